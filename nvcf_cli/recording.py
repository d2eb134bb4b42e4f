"""The proxy between a client and the service that writes each exchange down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .chat_model import ChatModel
from .options import service_settings
from .output import CommandError

__all__ = ["recorder"]


@contextmanager
def recorder(path: Path, base_url: str | None, nvcf_url: str | None) -> Iterator[Any]:
    """Run the recording proxy, and yield it: its `base_url` and `nvcf_url` take the service's place.

    Args:
        path: the file to write; its folder is made.
        base_url: the service's root; None for the environment's, else NVIDIA's.
        nvcf_url: the root of its asset API, likewise.

    Raises:
        CommandError: the emulator is not installed, or the file cannot be written.
        InvalidRequestError: a url is unusable.
    """
    service = ChatModel(model="any", **service_settings(base_url, nvcf_url)).endpoints
    try:
        from nvcf_emulator import Emulator  # It comes with an extra of its own.
    except ImportError as error:
        raise CommandError(str(error)) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        server = Emulator.record(path, upstream=service.base_url, nvcf_upstream=service.nvcf_url)
        server.start()
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot record in {path}: {error}") from None
    with server:
        yield server
