"""The applications that are tested offline: each as its user runs it, and always with the same outcome."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "offline").glob("test_*.py"))
NEEDED = ("langchain_nvidia_ai_endpoints", "llama_index.embeddings.nvidia", "langgraph")
SERVICE = ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL")
OPTIONS = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
STRICT = ("-W", "error::nvcf_core.errors.NVCFWarning")
"""Not of sockets: the client of the embeddings, which is not ours, leaves one open in each turn, and an error that the
collector raises in the middle of anything fails what it happens to be in."""

MANY_TIMES = """
import pytest

def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("turn")
    metafunc.parametrize("turn", range(100))
"""


def run(example: Path, folder: Path, *options: str) -> str:
    # In a folder of its own: this project's settings for pytest are not its user's.
    (folder / example.name).write_bytes(example.read_bytes())
    kept = {name: value for name, value in os.environ.items() if name not in SERVICE}
    paths = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, *STRICT, *options, example.name],
        cwd=folder,
        env={**kept, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_there_is_one_for_each_framework() -> None:
    assert [path.stem for path in EXAMPLES] == ["test_langgraph", "test_llamaindex"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_has_fewer_than_thirty_lines(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    code = text.splitlines()[docstring.end_lineno or 0 :]
    assert len([line for line in code if line.strip()]) < 30


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="the clients of others are missing")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_ends_well_a_hundred_times(example: Path, tmp_path: Path) -> None:
    (tmp_path / "many_times.py").write_text(MANY_TIMES)
    assert "1 passed" in run(example, tmp_path)
    assert "100 passed" in run(example, tmp_path, "-p", "many_times")
