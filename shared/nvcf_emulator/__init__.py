"""A local stand-in for the service, over real HTTP: not a model, but a strict judge of requests."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvcf_emulator.media.assets import AssetState
    from nvcf_emulator.script.script import FaultKind, Place, StreamError
    from nvcf_emulator.script.shapes import SHAPES
    from nvcf_emulator.server import API_KEY, Emulator
    from nvcf_emulator.state import Received

__all__ = [
    "API_KEY",
    "SHAPES",
    "AssetState",
    "Emulator",
    "FaultKind",
    "Place",
    "Received",
    "StreamError",
]

_HOMES = {
    "API_KEY": "server",
    "SHAPES": "script.shapes",
    "AssetState": "media.assets",
    "Emulator": "server",
    "FaultKind": "script.script",
    "Place": "script.script",
    "Received": "state",
    "StreamError": "script.script",
}


def __getattr__(name: str) -> object:
    # Late, since pytest imports this package at every start, whether a test needs it or not.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f".{_HOMES[name]}", __name__)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'the emulator needs {error.name}: pip install "nvcf-adapters[emulator]"'
        ) from error
    return getattr(home, name)
