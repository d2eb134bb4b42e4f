"""Tool calls of the history: arguments as the JSON text that the service reads, ids, names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn, TypeAlias

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import ToolCall

__all__ = ["PastCall", "arguments_text", "past_calls"]

PastCall: TypeAlias = tuple[str | None, str | None, Any]
"""Id, name and arguments of a call, as a framework's message has them."""


def past_calls(calls: Iterable[PastCall], number: int) -> tuple[ToolCall, ...]:
    """The tool calls of an assistant message.

    Args:
        calls: what the message says of them. A call without an id gets one by its place, the same at every turn.
        number: the message's place in the caller's own list.

    Raises:
        InvalidRequestError: the arguments of one cannot be JSON.
    """
    return tuple(
        ToolCall(
            place,
            call_id or f"call_{number}_{place}",
            name or "",
            arguments_text(arguments, field=f"messages[{number}].tool_calls[{place}]"),
        )
        for place, (call_id, name, arguments) in enumerate(calls)
    )


def arguments_text(value: Any, *, field: str) -> str:
    """The arguments of an earlier call as the text of a JSON object, which is all that the services read.

    Text that is such an object stays as the model wrote it. What is not an object, because the answer was cut or the
    model was wrong, becomes the only value of one, `{"INVALID_JSON": …}`, so that the model sees what it wrote.

    Args:
        value: JSON text, a mapping, or None for none.
        field: where the call stands, for errors.

    Raises:
        InvalidRequestError: the value cannot be JSON.
    """
    if value is None or value == "":
        return "{}"
    if isinstance(value, str):
        return _object_text(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"{field}: the arguments of a tool call cannot be JSON: {error}", field=field
        ) from None
    return text if isinstance(value, dict) else _wrapped(text)


def _object_text(text: str) -> str:
    if _is_object(text, strict=True):
        return text
    if _is_object(
        text, strict=False
    ):  # Line breaks inside its strings, which not every parser takes.
        return json.dumps(json.loads(text, strict=False), ensure_ascii=False)
    return _wrapped(text)


def _is_object(text: str, *, strict: bool) -> bool:
    try:
        return isinstance(json.loads(text, strict=strict, parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _wrapped(text: str) -> str:
    return json.dumps({"INVALID_JSON": text}, ensure_ascii=False)
