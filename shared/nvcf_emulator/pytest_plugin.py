"""Fixtures for pytest: an emulator for each test, and an environment that points at it.

Where the `emulator` extra is not installed there are no fixtures.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

import pytest

_NEEDED = ("starlette", "uvicorn")
_MARKER = (
    "nvcf_emulator(strict=True, models=(), …): what the fixture of that name passes to "
    "nvcf_emulator.Emulator; functions={id: model} and keys=[…] are added to it"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the fixtures where the emulator can run."""
    config.addinivalue_line("markers", _MARKER)
    if all(find_spec(name) for name in _NEEDED):
        config.pluginmanager.register(_Fixtures(), "nvcf_emulator_fixtures")


_SERVER = pytest.StashKey[Any]()
_PASSED = pytest.StashKey[bool]()


class _Fixtures:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Let what the emulator found fail the test itself, beside what the test raised."""
        __tracebackhide__ = True
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            _check(item, error)
            raise
        _check(item)

    @pytest.fixture
    def nvcf_emulator(self, request: pytest.FixtureRequest) -> Iterator[Any]:
        """A running, strict emulator of this test's own; the marker of that name sets it up.

        A test fails with what a scripted function raised, and with AssertionError for requests
        that nothing was scripted for and for replies that were not used.
        """
        # Imported here, since every run of pytest imports this file.
        from nvcf_emulator.server import Emulator
        from nvcf_emulator.state import API_KEY

        # A key of its own: clients share limits by key and address, and a free port may come again.
        own_key = f"{API_KEY}-{uuid4().hex}"
        stash = request.node.stash
        marker = request.node.get_closest_marker("nvcf_emulator")
        given = {"strict": True, "api_key": own_key, **(marker.kwargs if marker else {})}
        functions, keys = given.pop("functions", {}), given.pop("keys", ())
        server = stash[_SERVER] = Emulator(**given).start()
        stash[_PASSED] = False
        for function_id, model in dict(functions).items():
            server.add_function(function_id, model)
        for key in keys:
            server.add_key(key)
        yield server
        server.stop()
        # What happened since: while other fixtures ended. A test that failed has said enough, and
        # one that was skipped, or never ran since another fixture failed, owes nothing.
        if stash[_PASSED]:
            server.check()

    @pytest.fixture
    def nvcf_env(self, nvcf_emulator: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The emulator of `nvcf_emulator`, with NVIDIA_API_KEY, NVIDIA_BASE_URL and NVCF_URL set."""
        monkeypatch.setenv("NVIDIA_API_KEY", nvcf_emulator.api_key)
        monkeypatch.setenv("NVIDIA_BASE_URL", nvcf_emulator.base_url)
        monkeypatch.setenv("NVCF_URL", nvcf_emulator.nvcf_url)
        return nvcf_emulator


def _check(item: pytest.Item, error: BaseException | None = None) -> None:
    __tracebackhide__ = True
    if _SERVER in item.stash:
        item.stash[_SERVER].check(error)
        item.stash[_PASSED] = error is None
