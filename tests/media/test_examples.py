"""The samples, and the examples as a user without a key runs them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLES = EXAMPLES / "media"
WITHOUT_KEY = {
    name: value
    for name, value in os.environ.items()
    if name not in ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL")
}


def run(name: str, *arguments: str, **environment: str) -> list[str]:
    """The lines that an example prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**WITHOUT_KEY, "COLUMNS": "120", **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def told(line: str, sample: str) -> bool:
    """Whether a line says what the emulator read of a sample."""
    data = (SAMPLES / sample).read_bytes()
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:12]}" in line


def test_see():
    first, _, langchain, _, llamaindex = run("see.py")
    assert "No NVIDIA_API_KEY: the emulator answers." in first
    for line in (langchain, llamaindex):
        assert "What is on this picture?" in line
        assert "image image/png, 360x240 pixels" in line
        assert told(line, "lake.png")
        assert "asset" in line


def test_see_another_picture():
    _, _, langchain, _, llamaindex = run("see.py", str(SAMPLES / "lake.jpg"))
    assert told(langchain, "lake.jpg")
    assert told(llamaindex, "lake.jpg")
    assert "asset" not in langchain + llamaindex


def test_upload():
    said = "\n".join(run("upload.py"))
    assert said.count("100.0/100.0 MB") == 2
    assert said.count("100018696 bytes") == 2
    assert said.count("3.00 seconds") == 2


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.*")))
def test_samples_are_small(sample):
    assert (SAMPLES / sample).stat().st_size < 200_000


def test_one_sample_is_too_large_to_go_inline():
    assert (SAMPLES / "lake.png").stat().st_size > 135_000
