"""Which error a response stands for, in every shape that error bodies have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from nvcf_core.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    ModelGoneError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from nvcf_core.exchange import Response
from nvcf_core.wire import get_int, get_object, get_text, retry_after

__all__ = ["describe_error_body", "named_status", "status_error"]

_LONGEST_DETAIL = 2_000
"""Characters of a service's own explanation that an error shows."""

_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    401: AuthenticationError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,
    410: ModelGoneError,
    429: RateLimitError,
}

_RETRYABLE = frozenset((409,))
"""Statuses after which the same request may succeed, though the class of their error as such is not `retryable`."""

_HINTS: Mapping[int, str] = {
    401: "Set NVIDIA_API_KEY, or pass api_key",
    402: "The account's credits are spent",
    403: "Check the key (NVIDIA_API_KEY or api_key) and what its account may use",
    410: "Choose another model: available_models() lists them",
    429: "requests_per_minute=… keeps below the account's limit",
}

_CONTEXT_LENGTH = re.compile(
    r"context[ _](length|size|window)|maximum (model|input) length|max_(input|seq)_len"
    r"|(prompt|input)( is)? too long|reduce the length of the (messages|prompt|input)|`max_new_tokens` must be <=",
    re.I,
)
"""What OpenAI, Anthropic, vLLM, SGLang, TensorRT-LLM, llama.cpp and TGI say of a prompt that is too long."""


def status_error(response: Response) -> APIStatusError:
    """The error that a response with a status of 300 or more stands for."""
    title, detail, request_id = _problem(response)
    kind = _error_class(response)
    error = kind(
        response,
        title=title,
        detail=detail,
        hint=_HINTS.get(response.status, ""),
        retry_after=retry_after(response.headers),
        request_id=request_id,
    )
    error.retryable = _is_retryable(response, kind)
    return error


def _is_retryable(response: Response, kind: type[APIStatusError]) -> bool:
    if response.headers.get("x-should-retry") == "false":
        return False
    return kind.retryable or response.status in _RETRYABLE


def _error_class(response: Response) -> type[APIStatusError]:
    if response.status >= 500:
        return ServerError
    if response.status in _BY_STATUS:
        return _BY_STATUS[response.status]
    if response.status < 400:
        return APIStatusError
    if response.status == 400 and b"DEGRADED" in response.body:
        return ServerError
    if _CONTEXT_LENGTH.search(response.text[:_LONGEST_DETAIL]):
        return ContextLengthError
    return BadRequestError


def _problem(response: Response) -> tuple[str, str, str | None]:
    """Title, detail and request id of an error body, whichever of the service's shapes it has."""
    request_id = response.headers.get("nvcf-reqid")
    try:
        body = from_json(response.body)
    except ValueError:
        said = " ".join(response.text[: 2 * _LONGEST_DETAIL].split())
        return "", said[:_LONGEST_DETAIL], request_id
    if not isinstance(body, dict):
        return "", ("" if body is None else str(body))[:_LONGEST_DETAIL], request_id
    title, detail = describe_error_body(body)
    request_id = request_id or get_text(body, "requestId") or None
    return title[:_LONGEST_DETAIL], detail[:_LONGEST_DETAIL], request_id


def describe_error_body(body: Mapping[str, Any]) -> tuple[str, str]:
    """Title and detail of an error body that is a JSON object, in any of the shapes seen."""
    error = body.get("error")
    if isinstance(error, Mapping):
        return get_text(error, "type"), get_text(error, "message") or str(error)
    detail = body.get("detail")
    if isinstance(detail, list):
        return get_text(body, "title"), "; ".join(_validation(item) for item in detail)
    words = get_text(body, "detail") or get_text(body, "error") or get_text(body, "message")
    title = get_text(body, "title")
    return title, words if words or title else str(dict(body))


def named_status(body: Mapping[str, Any]) -> int | None:
    """The HTTP status of an error, 400 to 599, that a body names which came under another one. None: it names none."""
    error = get_object(body, "error")
    for place in (error, body):
        for name in ("code", "status", "status_code"):
            status = get_int(place, name) or _number(get_text(place, name))
            if status is not None and 400 <= status <= 599:
                return status
    return None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{3}", text) else None


def _validation(item: object) -> str:
    """One entry of a FastAPI validation error: where, and what."""
    if not isinstance(item, Mapping):
        return str(item)
    place = item.get("loc")
    where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg')}" if where else str(item.get("msg"))
