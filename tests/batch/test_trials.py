"""The trial of kills, a little of it; `make batches` does more, and runs the trial of faults on a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

ROOT = Path(__file__).parents[2]


def run(trial: str, *options: str) -> str:
    """Run a trial, which must find nothing wrong; returns what it printed."""
    command = [sys.executable, "-m", f"tests.batch.trials.{trial}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=450)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout
    return done.stdout


@pytest.mark.parametrize("options", [(), ("--key", "id")], ids=["all they hold", "a key"])
def test_killed_at_random_moments(options: tuple[str, ...]) -> None:
    run("kills", "--kills", "3", *options)
