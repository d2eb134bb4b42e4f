"""Reading a request and sending a response without a framework, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from h11 import LocalProtocolError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from nvcf_emulator.http.connection import Connection

__all__ = [
    "body_pieces",
    "read_body",
    "request_headers",
    "request_path",
    "send_chunks",
    "until_the_client_leaves",
]


async def body_pieces(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the body of a request as it comes.

    Raises:
        ClientDisconnect: The client left before it had sent all of it.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request.

    Raises:
        ClientDisconnect: The client left before it had sent all of it.
    """
    return b"".join([piece async for piece in body_pieces(receive)])


def request_path(scope: Scope) -> str:
    """Return the path of a request as it was sent, with its escapes and without the query."""
    raw: bytes = scope["raw_path"]
    return raw.decode("ascii")


def request_headers(scope: Scope) -> dict[str, str]:
    """Return the headers of a request, names in lower case."""
    return {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def send_chunks(
    scope: Scope,
    send: Send,
    status: int,
    headers: Iterable[tuple[str, str]],
    chunks: AsyncIterator[bytes],
) -> bool:
    """Send a response, each chunk as it comes; where they break off, break the connection.

    Returns:
        Whether the chunks came to their end.
    """
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    try:
        async for data in chunks:
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except ConnectionError:
        connection: Connection = scope["state"]["connection"]
        connection.close()
        return False
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return True


def until_the_client_leaves(
    app: ASGIApp, failed: Callable[[Exception], None] = lambda _: None
) -> ASGIApp:
    """Return `app`, which does nothing more for a request once its connection is gone.

    Args:
        app: The application.
        failed: Is told what it raised otherwise.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]
        if connection.lost:
            return
        connection.task = asyncio.current_task()
        try:
            await app(scope, receive, send)
        except (asyncio.CancelledError, ClientDisconnect):
            if not connection.lost:
                raise
        except LocalProtocolError:
            # The scripted headers announce another body than the scripted one: the connection breaks, as it was to.
            connection.close()
        except Exception as error:
            failed(error)
            raise
        finally:
            connection.task = None

    return run
