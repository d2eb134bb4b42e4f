"""The service that is soaked: the stand-in in a process of its own, in trouble of every kind, at random."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import Any, get_args

from nvcf_emulator import Emulator, FaultKind, Place, Received, StreamError

EACH = 0.05
"""How likely each kind of trouble is, for one request."""

KINDS: tuple[FaultKind, ...] = (
    "reset", "close", "garbage", "stall", "truncate", "half-close", "stall-body", "bad-json", "bad-utf8",
)  # fmt: skip
SILENT: tuple[FaultKind, ...] = ("reset", "close", "garbage")


def fault(kind: FaultKind) -> Callable[..., None]:
    """Trouble of a kind, on the next answer or at a place."""
    return lambda server, place="ask": server.fault(kind, place)


def status(code: int) -> Callable[..., None]:
    """A failure with a status, on the next answer or at a place."""
    return lambda server, place="ask": server.fail(code, on=place)


ASK: list[Callable[[Emulator], None]] = [
    *map(fault, KINDS),
    *map(status, (429, 500, 503)),
    lambda s: s.fail(429, retry_after=0.2),
    lambda s: s.accept(polls=2),
    lambda s: s.accept(polls=1, redirect=True),
    lambda s: s.error_in_stream(random.choice(get_args(StreamError))),
]  # fmt: skip
OTHER: list[Callable[[Emulator, Place], None]] = [
    *map(fault, SILENT),
    *map(status, (403, 429, 503)),
]
OTHER_PLACES: frozenset[Place] = frozenset(("create", "put", "poll", "get", "delete"))


class Troubled(Emulator):
    """Fails at random, and remembers no request: it is to run for hours."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.state.note = self._trouble  # type: ignore[method-assign]

    def _trouble(self, request: Received) -> None:
        """What is queued while a request is noted happens to this very request."""
        chosen = int(random.random() / EACH)
        if request.place == "ask" and chosen < len(ASK):
            ASK[chosen](self)
        elif request.place in OTHER_PLACES and chosen < len(OTHER):
            OTHER[chosen](self, request.place)
        self.state.notify()


def main() -> None:
    """Serve until the standard input ends; the first line of output says where."""
    random.seed(int(sys.argv[1]))
    with Troubled(hash_uploads=False) as server:
        where = {
            "base_url": server.base_url,
            "nvcf_url": server.nvcf_url,
            "api_key": server.api_key,
        }
        print(json.dumps(where), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
