"""A local stand-in for the service, over real HTTP: not a model, but a strict judge of requests."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvcf_emulator.media.assets import AssetState
    from nvcf_emulator.script.chat_request import ChatRequest
    from nvcf_emulator.script.shapes import SHAPES
    from nvcf_emulator.script.step_queue import Pending
    from nvcf_emulator.script.steps import FaultKind, Place, StreamError
    from nvcf_emulator.server import Emulator
    from nvcf_emulator.state import API_KEY, Received

__all__ = [
    "API_KEY",
    "SHAPES",
    "AssetState",
    "ChatRequest",
    "Emulator",
    "FaultKind",
    "Pending",
    "Place",
    "Received",
    "StreamError",
]

_MODULES = {
    "API_KEY": "state",
    "SHAPES": "script.shapes",
    "AssetState": "media.assets",
    "ChatRequest": "script.chat_request",
    "Emulator": "server",
    "FaultKind": "script.steps",
    "Pending": "script.step_queue",
    "Place": "script.steps",
    "Received": "state",
    "StreamError": "script.steps",
}


def __getattr__(name: str) -> object:
    # Late, since pytest imports this package at every start, whether a test needs it or not.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f".{_MODULES[name]}", __name__)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'the emulator needs {error.name}: pip install "nvcf-adapters[emulator]"'
        ) from error
    return getattr(module, name)
