"""The columns that an answer adds to its row."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow as pa

from nvcf_core.errors import InvalidRequestError

__all__ = ["RESULT_NAMES", "Result", "output_schema"]

_CALL = pa.struct([("id", pa.string()), ("name", pa.string()), ("arguments", pa.string())])


@dataclass(slots=True)
class Result:
    """What came of one row; None is null in Parquet."""

    answer: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """`id`, `name` and `arguments`, which is JSON text."""
    parsed: Any = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    request_id: str | None = None
    error_type: str | None = None
    """The name of the error's class, such as `RateLimitError`. None: the row was answered."""
    error: str | None = None
    tries: int = 0
    """Requests to the model; 0 where the row was refused before any."""
    seconds: float = 0.0
    """From the first request to the end of the answer."""


RESULT_NAMES = tuple(field.name for field in fields(Result))
"""The columns, in order."""


def _result_fields(parsed: pa.DataType) -> list[pa.Field]:
    text, count = pa.string(), pa.int64()
    types = {
        "answer": text,
        "reasoning": text,
        "tool_calls": pa.list_(_CALL),
        "parsed": parsed,
        "finish_reason": text,
        "prompt_tokens": count,
        "completion_tokens": count,
        "request_id": text,
        "error_type": text,
        "error": text,
        "tries": pa.int32(),
        "seconds": pa.float64(),
    }
    return [pa.field(name, kind) for name, kind in types.items()]


def output_schema(source: pa.Schema, parsed: pa.DataType) -> pa.Schema:
    """The columns of the output: those of the source, and those of the results.

    Raises:
        InvalidRequestError: a column of the source has the name of a result's.
    """
    added = _result_fields(parsed)
    for found in added:
        if found.name in source.names:
            raise InvalidRequestError(
                f"source: its column {found.name!r} would be overwritten by the results; rename it",
                field="source",
            )
    return pa.schema([*source.remove_metadata(), *added])
