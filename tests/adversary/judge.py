"""What no call may do, whatever the server does: last too long, fail without a type, show the key."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import pickle
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from llama_index.core.llms import ChatMessage

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.errors import NVCFError

from .variations import Variation

__all__ = ["KEY", "LogWatch", "Outcome", "ask", "complaints", "holds_key", "longest"]

KEY = "nvapi-adversary-0123456789-abcdefghijklmnopqrstuvwxyz"

LIMIT = 0.4
"""Seconds of `timeout` and of `stream_chunk_timeout`."""
POLLS = 0.6
CALL = 1.5
"""Seconds of `call_timeout`, in every second call."""

SLACK = 3.0
"""Seconds beyond its limits that a call may last, for what it computes: a small body can stand for 256 MiB.
What a busy machine adds is measured and taken off before: see `LagWatch`."""

WAYS = list(itertools.product(("langchain", "llamaindex"), ("sync", "async"), ("whole", "stream")))


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    result: str | BaseException
    """The answer, or what was raised."""
    begun: float
    """When, in seconds of the monotonic clock."""
    ended: float
    computed: float
    """Seconds of its own processor time."""


def ask(root: str, variation: Variation) -> Outcome:
    """Make a call, in the way that the number says."""
    framework, colour, mode = WAYS[variation.number % len(WAYS)]
    base = f"{root}/{variation.number}"
    settings: dict[str, Any] = {
        "model": "moonshotai/kimi-k2.6", "api_key": KEY, "base_url": f"{base}/v1", "nvcf_url": base,
        "timeout": LIMIT, "stream_chunk_timeout": LIMIT, "poll_timeout": POLLS, "max_retries": variation.number % 3 % 2,
        "call_timeout": CALL if _has_call_limit(variation) else None,
    }  # fmt: skip
    model: Any = ChatNVCF(**settings) if framework == "langchain" else NVCF(**settings)
    begun, computed = time.monotonic(), time.thread_time()
    result: str | BaseException
    try:
        if colour == "async":
            result = asyncio.run(_async_answer(model, mode))
        else:
            with model:
                result = _answer(model, mode)
    except Exception as error:
        result = error
    return Outcome(result, begun, time.monotonic(), time.thread_time() - computed)


def _has_call_limit(variation: Variation) -> bool:
    return variation.endless or variation.number // len(WAYS) % 2 == 0


def _answer(model: Any, mode: str) -> str:
    if isinstance(model, ChatNVCF):
        if mode == "whole":
            return model.invoke("hi").text
        return "".join(chunk.text for chunk in model.stream("hi"))
    asked = [ChatMessage(content="hi")]
    if mode == "whole":
        return str(model.chat(asked).message.content)
    return "".join(response.delta or "" for response in model.stream_chat(asked))


async def _async_answer(model: Any, mode: str) -> str:
    async with model:
        if isinstance(model, ChatNVCF):
            if mode == "whole":
                return (await model.ainvoke("hi")).text
            return "".join([chunk.text async for chunk in model.astream("hi")])
        asked = [ChatMessage(content="hi")]
        if mode == "whole":
            return str((await model.achat(asked)).message.content)
        return "".join([one.delta or "" async for one in await model.astream_chat(asked)])


def longest(variation: Variation) -> float:
    """Seconds that the limits of a call come to."""
    # Two tries at most, each with a head, a body, the polls and a large result.
    return CALL + 1 if _has_call_limit(variation) else 2 * (4 * LIMIT + POLLS + 1)


def complaints(variation: Variation, outcome: str | BaseException, late: float) -> Iterator[str]:
    """What was wrong with the outcome of a call.

    Args:
        variation: what the server did.
        outcome: the answer, or what was raised.
        late: seconds by which it came after its limits, on a machine that is never busy.
    """
    if late > SLACK:
        yield f"was {late:.1f} s late"
    if isinstance(outcome, str):
        return
    if not isinstance(outcome, NVCFError):
        yield f"raised {type(outcome).__name__}: {outcome}"
    for error in _chain(outcome):
        shown = (
            str(error),
            repr(error),
            repr(error.args),
            repr(vars(error)),
            str(getattr(error, "__notes__", "")),
        )
        if any(map(holds_key, shown)):
            yield f"the key is in {type(error).__name__}"
    if holds_key("".join(traceback.format_exception(outcome))):
        yield "the key is in the traceback"
    if isinstance(outcome, NVCFError) and holds_key(pickle.dumps(outcome).decode("latin-1")):
        yield "the key is in the pickle"


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [cause for cause in (current.__cause__, current.__context__) if cause]


_BASE64 = [base64.b64encode(bytes(skipped) + KEY.encode()).decode()[4:-8] for skipped in range(3)]


def holds_key(text: str) -> bool:
    """Whether a text holds the key in any spelling that can be undone."""
    if KEY in text or any(part in text for part in _BASE64):
        return True
    plain = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: json.loads(f'"\\u{found[1]}"'), text)
    return KEY in plain or KEY in unquote(unquote(plain))


class LogWatch(logging.Handler):
    """Notes the loggers whose records show the key."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaking: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record."""
        if holds_key(record.getMessage()):
            self.leaking.add(record.name)
