"""The page of examples/web, served as `make web` serves it, and the emulator behind it."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import uvicorn

from nvcf_emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server() -> ModuleType:
    """The module examples/web/server.py."""
    path = ROOT / "examples" / "web" / "server.py"
    spec = importlib.util.spec_from_file_location("examples_web_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def address(server: ModuleType, nvcf_emulator: Emulator) -> Iterator[str]:
    """Where the page is, while the emulator answers for the service."""
    app = server.create_app(
        {
            "base_url": nvcf_emulator.base_url,
            "nvcf_url": nvcf_emulator.nvcf_url,
            "api_key": nvcf_emulator.api_key,
            "max_retries": 0,
        }
    )
    listening = socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    # A fixed number of seconds would be too short on some machine: it serves until it is told to end.
    thread = threading.Thread(target=serving.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"  # It is listened to already.
    serving.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(scope="session")
def media() -> Path:
    """A folder with an image, sounds and films."""
    return ROOT / "examples" / "media"
