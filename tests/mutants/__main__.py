"""Changes the core in one place after another, and lists the changes that the tests of the module do not notice.

    python -m tests.mutants --seconds 900 [--seed 1] [MODULE…]

Each change is tried in a copy of the project, by the tests that mirror the module. Time is dealt out
evenly: the changes of every module are tried in turn, in an order that the seed determines, until the time is over.
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
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from .operators import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
CORE = Path("shared/nvcf_core")
FOLDERS = ("protocol", "response", "transport")

TESTS = {
    "protocol/chat_request": ["protocol/test_chat"],
    "response/choice": ["response/test_decoder", "response/test_usual_events"],
    "response/event_stream": ["response/test_decoder", "response/test_usual_events", "response/test_sse"],
    "response/json_body": ["response/test_decoder"],
    "transport/clients": ["transport/test_httpx_client", "transport/test_pools"],
    "transport/driver": ["transport/test_driver", "transport/test_backends", "transport/test_bodies"],
    "transport/encodings": ["transport/direct/test_client", "transport/test_bodies"],
    "transport/failures": ["transport/direct/test_client", "transport/test_httpx_client"],

    "transport/direct/network": ["transport/direct/test_client"],
}  # fmt: skip
"""The tests of modules that have no file of the same name below tests/core."""

LONGEST = 40
"""Seconds after which a change counts as noticed: the tests wait for something that never comes."""

PRELOADED = ("pytest", "pytest_asyncio", "hypothesis", "hypothesis.strategies", "httpx", "httpcore", "h11",
             "pydantic", "starlette.applications", "uvicorn", "jsonschema", "yaml", "anyio")  # fmt: skip

PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "pytest_benchmark.plugin", "_hypothesis_pytestplugin",
           "nvcf_emulator.pytest_plugin", "no:cacheprovider")  # fmt: skip


def modules() -> list[str]:
    """The modules that can be changed, as paths below the core."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / CORE / folder).glob("*.py"))]
    names = [f"{path.parent.name}/{path.stem}" for path in found if path.stem != "__init__"]
    return [name for name in names if tests_of(name)]


def tests_of(module: str) -> list[str]:
    """The files of the tests of a module."""
    folder, _, name = module.partition("/")
    wanted = TESTS.get(module, [f"{folder}/test_{name}"])
    paths = [Path("tests/core") / f"{each}.py" for each in wanted]
    return [str(path) for path in paths if (ROOT / path).exists()]


def copy_to(folder: Path) -> None:
    """Copy what the tests of the core need."""
    for name in ("shared", "tests/core", "tests/replies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)


def passes(folder: Path, tests: list[str]) -> bool:
    """Whether the tests pass in a copy. They run in a fork, which finds the large libraries loaded already."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(_run(folder, tests))
        finally:
            os._exit(99)
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run(folder: Path, tests: list[str]) -> int:
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


def noticed(mutant: Mutant, folder: Path, source: str) -> bool:
    """Whether any test of a module fails with a change in it."""
    path = folder / CORE / f"{mutant.module}.py"
    path.write_text(mutant.code)
    try:
        return not passes(folder, tests_of(mutant.module))
    finally:
        path.write_text(source)


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
        broken = [each for each in chosen if not passes(folder, tests_of(each))]
        if broken:
            print(f"the tests of these fail without any change: {', '.join(broken)}")
            return 1
        return _try_all(made, sources, folder, time.monotonic() + given.seconds)


def _try_all(
    made: dict[str, list[Mutant]], sources: dict[str, str], folder: Path, deadline: float
) -> int:
    tried = survived = 0
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*made.values()))
    for mutant in in_turn:
        if mutant is None:
            continue
        if time.monotonic() > deadline:
            break
        tried += 1
        source = sources[mutant.module]
        if not noticed(mutant, folder, source):
            survived += 1
            print(mutant.diff(source), flush=True)
    print(f"{tried} tried, {tried - survived} noticed, {survived} not")
    return 0


if __name__ == "__main__":
    sys.exit(main())
