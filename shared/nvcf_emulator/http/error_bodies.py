"""What the service says with each status, where a test queued a failure without a body."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from nvcf_emulator.answers.http_response import Outgoing, json_reply, plain, xml_error
from nvcf_emulator.script.script import Failure, Place
from nvcf_emulator.specs.rejections import as_json

_PROBLEM_JSON = "application/problem+json"
_JSON_BODIES: Mapping[int, Mapping[str, Any]] = {
    400: {"error": {"message": "Validation: Bad Request", "type": "Bad Request", "code": 400}},
    402: {"status": 402, "title": "Payment Required", "detail": "Cloud credits expired"},
    403: {"status": 403, "title": "Forbidden", "detail": "Authorization failed"},
    410: {
        "title": "Gone",
        "detail": "The model has reached its end of life on 2026-01-01T00:00:00Z",
    },
    413: {"error": "Request Entity Too Large"},
    422: {"detail": [{"loc": ["body"], "msg": "Unprocessable Entity", "type": "value_error"}]},
    429: {"status": 429, "title": "Too Many Requests"},
}
_TEXTS: Mapping[int, str] = {
    401: "Header of type `authorization` was missing",
    404: "404 page not found",
    500: "Internal Server Error",
    504: "",
}


def failure(step: Failure, place: Place) -> Outgoing:
    """Return the reply that a queued failure stands for, at `place`."""
    headers = dict(step.headers)
    if step.retry_after is not None:
        headers["retry-after"] = str(step.retry_after)
    if step.body is not None:
        outgoing = _given(step.body, step.status)
    elif place == "put":
        outgoing = _of_storage(step.status)
    else:
        outgoing = _usual(step.status)
    return outgoing.with_headers(headers)


def _given(body: str | bytes | Mapping[str, Any], status: int) -> Outgoing:
    if isinstance(body, bytes):
        return plain(body, None, status)
    if isinstance(body, str):
        return plain(body.encode(), "text/plain; charset=utf-8", status)
    return json_reply(dict(body), status)


def _of_storage(status: int) -> Outgoing:
    phrase = _phrase(status)
    return xml_error(status, phrase.replace(" ", ""), phrase)


def _usual(status: int) -> Outgoing:
    if status in _TEXTS:
        return plain(_TEXTS[status].encode(), "text/plain; charset=utf-8", status)
    if status in _JSON_BODIES:
        return json_reply(_JSON_BODIES[status], status)
    if status == HTTPStatus.BAD_GATEWAY:
        page = "<html><head><title>502 Bad Gateway</title></head><body></body></html>"
        return plain(page.encode(), "text/html", status)
    problem = {"type": "about:blank", "title": _phrase(status), "status": status}
    return plain(as_json(problem), _PROBLEM_JSON, status)


def _phrase(status: int) -> str:
    known = {int(item): item.phrase for item in HTTPStatus}
    return known.get(status, f"Status {status}")
