"""The proxy between a client and the service that writes each exchange down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nvcf_core.config.endpoints import Endpoints

from .output import CommandError

__all__ = ["recorder"]


@contextmanager
def recorder(path: Path, service: Endpoints) -> Iterator[Any]:
    """Run the recording proxy, and yield it: its `base_url` and `nvcf_url` take the service's place.

    Args:
        path: the file to write; its folder is made.
        service: the roots of the service.

    Raises:
        CommandError: the emulator is not installed, or the file cannot be written.
    """
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
