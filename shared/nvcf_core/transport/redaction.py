"""A key that the service echoed, taken out of responses and errors."""

from __future__ import annotations

from typing import Any

from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Reply


def mask(error: BaseException, secret: str) -> None:
    """Take a key that the service echoed out of an error, its reply, and what caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        current.args = tuple(_masked(part, secret) for part in current.args)
        if isinstance(current, NVCFError):
            for name, value in vars(current).items():
                setattr(current, name, _masked(value, secret))
        current = current.__cause__ or current.__context__


def _masked(value: Any, secret: str) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "***")
    if isinstance(value, bytes):
        return value.replace(secret.encode(), b"***")
    return masked_reply(value, secret) if isinstance(value, Reply) else value


def masked_reply(reply: Reply, secret: str) -> Reply:
    """A reply without a key that the service echoed in it."""
    headers = {name: text.replace(secret, "***") for name, text in reply.headers.items()}
    return Reply(reply.status, headers, reply.body.replace(secret.encode(), b"***"), reply.at)
