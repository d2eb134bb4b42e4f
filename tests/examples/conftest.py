"""Runs an example as a user runs it: a process of its own, with or without a key in its environment."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from nvcf_emulator import Emulator

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVICE = ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL")

Run = Callable[..., str]


def _run(name: str, *arguments: str, **environment: str) -> str:
    printed, complaints = _run_to_the_end(name, *arguments, **environment)
    assert complaints == ""
    return printed


def _run_to_the_end(name: str, *arguments: str, **environment: str) -> tuple[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in SERVICE}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", EXAMPLES / name, *arguments],
        env={**kept, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def run_without_key() -> Run:
    """Runs an example in an environment that says nothing of a service; returns what it printed."""
    return _run


@pytest.fixture
def run(nvcf_emulator: Emulator) -> Run:
    """Runs an example as with a key, which here leads to the test's own emulator; returns what it printed."""
    server = nvcf_emulator
    places = {"NVIDIA_BASE_URL": server.base_url, "NVCF_URL": server.nvcf_url}
    return lambda *given: _run(*given, NVIDIA_API_KEY=server.api_key, **places)


@pytest.fixture
def run_with_ray(nvcf_emulator: Emulator) -> Run:
    """As `run`, for an example on Ray, which logs what it does."""

    def run(name: str) -> str:
        server = nvcf_emulator
        places = {"NVIDIA_BASE_URL": server.base_url, "NVCF_URL": server.nvcf_url}
        printed, logged = _run_to_the_end(name, NVIDIA_API_KEY=server.api_key, **places)
        assert "Traceback" not in logged
        return printed

    return run


@pytest.fixture
def in_a_terminal() -> Run:
    """As `run_without_key`, in a terminal of 80 columns."""

    def run(name: str, **environment: str) -> str:
        names = (*SERVICE, "NO_COLOR", "COLUMNS", "TERM")
        kept = {key: value for key, value in os.environ.items() if key not in names}
        command = shlex.join([sys.executable, str(EXAMPLES / name)])
        printed, status = pexpect.run(
            command,
            env={**kept, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment},
            dimensions=(48, 80),
            withexitstatus=True,
            timeout=110,
        )
        assert status == 0
        return str(printed, encoding="utf-8")

    return run


@pytest.fixture
def examples() -> Path:
    """The folder that they are in."""
    return EXAMPLES
