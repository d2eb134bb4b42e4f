"""The service that is soaked: the stand-in in a process of its own, in trouble of every kind, at random."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import get_args

from nvcf_emulator import Emulator, Received, StreamError

EACH = 0.05
"""How likely each kind of trouble is, for one request."""

Trouble = Callable[[Emulator], None]

ASK: list[Trouble] = [
    *(lambda s, k=kind: s.fault(k) for kind in ("reset", "close", "garbage", "stall")),
    *(lambda s, k=kind: s.fault(k) for kind in ("truncate", "half-close", "stall-body", "bad-json", "bad-utf8")),
    *(lambda s, c=code: s.fail(c) for code in (429, 500, 503)),
    lambda s: s.fail(429, retry_after=0.2),
    lambda s: s.accept(polls=2),
    lambda s: s.accept(polls=1, redirect=True),
    lambda s: s.error_in_stream(random.choice(get_args(StreamError))),
]  # fmt: skip
OTHER: list[Trouble] = [
    *(lambda s, p, k=kind: s.fault(k, p) for kind in ("reset", "close", "garbage")),
    *(lambda s, p, c=code: s.fail(c, on=p) for code in (403, 429, 503)),
]


class Troubled(Emulator):
    """Fails at random, and remembers no request: it is to run for hours."""

    def record(self, request: Received) -> None:
        """What is queued while a request is noted happens to this very request."""
        troubles = ASK if request.place == "ask" else OTHER
        chosen = random.random() / EACH
        if chosen < len(troubles):
            trouble = troubles[int(chosen)]
            if request.place == "ask":
                trouble(self)
            elif request.place in ("create", "put", "poll", "get", "delete"):
                trouble(self, request.place)
        self.notify()


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
