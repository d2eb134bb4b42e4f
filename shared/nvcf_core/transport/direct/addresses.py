"""The addresses of a host, looked up in threads of our own: the system's resolver takes no time limit."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

from nvcf_core.locks import Lock

__all__ = ["Address", "look_up"]

Address: TypeAlias = "tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]"
"""As `socket.getaddrinfo` gives it: family, kind, protocol, canonical name, and where to connect to."""


def look_up(host: str, port: int) -> Future[list[Address]]:
    """Look up the addresses of a host. The caller decides how long to wait.

    Concurrent look-ups of one host wait for the same answer, so that a resolver that hangs holds one thread for each
    host, however many calls there are. The thread ends with the process: nobody has to wait for it.

    Returns:
        Its result raises an OSError where the host has no address. Cancelling it has no effect.
    """
    key = (os.getpid(), host, port)  # A forked child has none of its parent's threads.
    future: Future[list[Address]] = Future()
    future.set_running_or_notify_cancel()
    if _is_numeric(host):
        _answer(future, host, port)
        return future
    with _lock:
        if key in _under_way:
            return _under_way[key]
        _under_way[key] = future

    def ask() -> None:
        try:
            _answer(future, host, port)
        finally:
            with _lock:
                _under_way.pop(key, None)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    return future


def _is_numeric(host: str) -> bool:
    """Return whether a host is an address already, so that no look-up is needed."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _answer(future: Future[list[Address]], host: str, port: int) -> None:
    try:
        found: Sequence[Address] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        future.set_result(list(found))
    except (OSError, UnicodeError) as error:
        failure = error if isinstance(error, OSError) else OSError(str(error))
        # Nobody else sees the frames of this thread.
        future.set_exception(failure.with_traceback(None))


_under_way: dict[tuple[int, str, int], Future[list[Address]]] = {}
_lock = Lock()
