"""A pytest fixture that gives each test an emulator of its own, at the price of one for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nvcf_emulator.server import Emulator


@pytest.fixture(scope="session")
def _nvcf_emulator_server() -> Iterator[Emulator]:
    # Imported here, since this file is imported by every run of pytest.
    from nvcf_emulator.server import Emulator

    with Emulator() as server:
        yield server


@pytest.fixture
def nvcf_emulator(_nvcf_emulator_server: Emulator) -> Iterator[Emulator]:
    """A running emulator as good as new; its thread and port are shared by all tests."""
    _nvcf_emulator_server.reset()
    yield _nvcf_emulator_server
    _nvcf_emulator_server.reset()
