"""One TCP connection, with what it takes to break it: uvicorn's own protocol, and a little more."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

__all__ = ["Connection"]

GARBAGE = b"\x16\x03\x01\x02\x00 this is not HTTP \xff\xfe\x00\r\n\r\n"

_UNREAD_SECONDS = 0.5


class Connection(H11Protocol):
    """A client's connection; the application finds it in its scope, under `state`.

    Attributes:
        lost: Whether the connection is gone.
        task: The application's task while it works on a request; cancelled when the
            connection goes, so that nothing is produced for a client that left.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[], None],
    ) -> None:
        self.lost = False
        self._ignores_input = False
        self.task: asyncio.Task[Any] | None = None
        self._changed = changed
        super().__init__(config, server_state, {"connection": self}, loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note a client that came."""
        # asyncio leaves this out for sockets that were not made by it: without, each reply would
        # wait for the client's delayed acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(cast(asyncio.Transport, transport))
        self._changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the work for a client that left."""
        self.lost = True
        super().connection_lost(exc)
        if self.task is not None:
            self.task.cancel()
        self._changed()

    def data_received(self, data: bytes) -> None:
        """Take what the client sends; on a broken connection it goes nowhere."""
        if not self._ignores_input:
            super().data_received(data)

    def reset(self) -> None:
        """End the connection with an RST instead of a FIN."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        """End the connection after what was written."""
        self.transport.close()

    def half_close(self) -> None:
        """Send a FIN after what was written, and go on reading."""
        with suppress(OSError):  # The client may have left before.
            self.transport.write_eof()

    def garbage(self) -> None:
        """Write bytes that are not HTTP, and end the connection."""
        self.transport.write(GARBAGE)
        self.transport.close()

    async def wait_lost(self) -> None:
        """Wait until the client leaves; its leaving cancels the task that waits.

        What it still sends goes nowhere. A body that was left off in the middle is not read for
        half a second, in which the client's sending stalls; then it is, since a connection that
        is not read does not show who left.
        """
        self._ignores_input = True
        if self.flow.read_paused:
            await asyncio.sleep(_UNREAD_SECONDS)
            self.flow.resume_reading()
        await asyncio.Event().wait()
