"""Ten seconds of the soak; `make soak` runs ten minutes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "tests.soak"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_seconds() -> None:
    done = subprocess.run(
        [*RUN, "--seconds", "10"], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations: none" in done.stdout
    assert "answered" in done.stdout
    assert "StreamInterruptedError" in done.stdout, "the service was in no trouble"


def test_help() -> None:
    done = subprocess.run([*RUN, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "--minutes" in done.stdout
