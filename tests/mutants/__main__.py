"""Changes the core in one place after another, and lists the changes that the tests of the module do not notice.

    python -m tests.mutants --seconds 900 [--seed 1] [MODULE…]

Each change is tried in a copy of the project, by the tests that mirror the module. Time is dealt out
evenly: the changes of every module are tried in turn, in an order that the seed determines, until the time is over.
What is printed at the end counts those apart whose tests were still waiting when their time was over.
"""

from __future__ import annotations

import argparse
import importlib
import io
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from .operators import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
CORE = Path("shared/nvcf_core")
FOLDERS = ("protocol", "response", "transport")

Outcome: TypeAlias = Literal["passed", "failed", "still waiting"]
"""What tests say."""

TESTS = {
    "protocol/chat_request": ["protocol/test_chat"],
    "response/choice": ["response/test_decoder", "response/test_usual_events"],
    "response/event_stream": ["response/test_decoder", "response/test_usual_events", "response/test_sse"],
    "response/json_body": ["response/test_decoder"],
    "response/prototype": ["response/test_decoder", "response/test_usual_events"],
    "transport/clients": ["transport/test_httpx_client", "transport/test_pools"],
    "transport/driver": ["transport/test_driver", "transport/test_backends", "transport/test_bodies"],
    "transport/failures": ["transport/direct/test_client", "transport/test_httpx_client"],
    "transport/interface": ["transport/direct/test_client", "transport/test_httpx_client"],
    "transport/direct/http1": ["transport/direct/test_client"],
    "transport/direct/idle_connections": ["transport/direct/test_client"],
    "transport/direct/network": ["transport/direct/test_client"],
    "transport/direct/prepared_request": ["transport/direct/test_client"],
}  # fmt: skip
"""The tests of modules that have no file of the same name below tests/core."""

PATIENCE = 20
"""Seconds that tests get beyond five times what they took without a change. Those that take longer wait for something
that never comes: they have noticed."""

PRELOADED = ("pytest", "pytest_asyncio", "hypothesis", "hypothesis.strategies", "httpx", "httpcore", "h11",
             "pydantic", "starlette.applications", "uvicorn", "jsonschema", "yaml", "anyio")  # fmt: skip

PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "pytest_benchmark.plugin", "_hypothesis_pytestplugin",
           "nvcf_emulator.pytest_plugin", "no:cacheprovider")  # fmt: skip


def modules() -> list[str]:
    """The modules that can be changed, as paths below the core."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / CORE / folder).rglob("*.py"))]
    names = [str(path.relative_to(ROOT / CORE).with_suffix("")) for path in found]
    return [name for name in names if not name.endswith("__init__")]


def tests_of(module: str) -> list[str]:
    """The files of the tests of a module."""
    folder, _, name = module.rpartition("/")
    wanted = TESTS.get(module, [f"{folder}/test_{name}"])
    return [str(Path("tests/core") / f"{each}.py") for each in wanted]


def copy_to(folder: Path) -> None:
    """Copy what the tests of the core need."""
    for name in ("shared", "tests/core", "tests/replies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)


def outcome(folder: Path, tests: Sequence[str], longest: float) -> Outcome:
    """What the tests say in a copy. They run in a fork, which finds the large libraries loaded already.

    Args:
        folder: the copy.
        tests: their files.
        longest: seconds that they may take.
    """
    child = os.fork()
    if child == 0:
        try:
            os._exit(_run(folder, tests))
        finally:
            os._exit(99)
    deadline = time.monotonic() + longest
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "passed" if os.waitstatus_to_exitcode(status) == 0 else "failed"
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "still waiting"


def _run(folder: Path, tests: Sequence[str]) -> int:
    os.chdir(folder)
    sys.path[:0] = [str(folder / "shared"), str(folder)]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = (
        "1"  # Some of those that may be installed take seconds.
    )
    pytest = importlib.import_module("pytest")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        options = ["-x", "-q", "-m", "not slow"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Its plugins are preloaded.
        for plugin in PLUGINS:
            options += ["-p", plugin]
        return int(pytest.main([*options, *tests]))


def limits_of(chosen: list[str], folder: Path) -> dict[str, float]:
    """Seconds that the tests of each module may take.

    Raises:
        SystemExit: the tests of a module fail without any change in it.
    """
    taken: dict[tuple[str, ...], float] = {}
    for name in chosen:
        tests = tuple(tests_of(name))
        if tests in taken:
            continue
        begun = time.monotonic()
        if outcome(folder, tests, 600) != "passed":
            raise SystemExit(f"the tests of {name} fail without any change")
        taken[tests] = time.monotonic() - begun
    return {name: PATIENCE + 5 * taken[tuple(tests_of(name))] for name in chosen}


def main() -> int:
    """Print the survivors, and how many of the changes were noticed."""
    parser = argparse.ArgumentParser(description="Which changes of the core no test notices.")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("modules", nargs="*")
    given = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    chosen = given.modules or modules()
    sources = {name: (ROOT / CORE / f"{name}.py").read_text() for name in chosen}
    made = {name: mutants_of(name, source, given.seed) for name, source in sources.items()}
    print(f"{sum(map(len, made.values()))} changes of {len(made)} modules", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_to(folder)
        limits = limits_of(chosen, folder)
        # Else what was compiled from one change might pass for the next, of the same second and size.
        sys.dont_write_bytecode = True
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*made.values()))
        mutants = (mutant for mutant in in_turn if mutant is not None)
        deadline = time.monotonic() + given.seconds
        outcomes = Counter[Outcome]()
        for mutant in itertools.takewhile(lambda _: time.monotonic() < deadline, mutants):
            said = _said_of(mutant, folder, limits[mutant.module])
            outcomes[said] += 1
            if said == "passed":
                print(mutant.diff(sources[mutant.module]), flush=True)
    print(
        f"{outcomes.total()} tried: {outcomes['failed']} failed a test, {outcomes['still waiting']} kept one waiting, "
        f"{outcomes['passed']} not noticed"
    )
    return 0


def _said_of(mutant: Mutant, folder: Path, longest: float) -> Outcome:
    """What the tests of a module say when there is a change in it."""
    path = folder / CORE / f"{mutant.module}.py"
    source = path.read_text()
    path.write_text(mutant.code)
    try:
        return outcome(folder, tests_of(mutant.module), longest)
    finally:
        path.write_text(source)


if __name__ == "__main__":
    sys.exit(main())
