"""What the service says with each status, where a test scripted a failure without a body."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from nvcf_emulator.answers.http_response import (
    HTTPResponse,
    json_response,
    plain_response,
    xml_error,
)
from nvcf_emulator.script.steps import Failure, Place
from nvcf_emulator.specs.rejections import encode_json

__all__ = ["failure_response", "two_authorizations"]

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
_NAMED_BODIES: Mapping[str, Mapping[str, Any]] = {
    "context_length": {
        "object": "error",
        "message": "This model's maximum context length is 262144 tokens. However, you requested "
        "262145 tokens (262145 in the messages, 0 in the completion). Please reduce the length "
        "of the messages or completion.",
        "type": "BadRequestError",
        "param": None,
        "code": 400,
    },
    "degraded": {
        "status": 400,
        "title": "Bad Request",
        "detail": "Function id '00000000-0000-4000-8000-000000000000': DEGRADED function cannot "
        "be invoked",
    },
}
_TEXTS: Mapping[int, str] = {
    401: "Header of type `authorization` was missing",
    404: "404 page not found",
    500: "Internal Server Error",
    504: "",
}


def failure_response(step: Failure, place: Place) -> HTTPResponse:
    """Return the response that a scripted failure stands for, at `place`."""
    headers = dict(step.headers)
    if step.retry_after is not None:
        headers["retry-after"] = str(step.retry_after)
    if step.body is not None:
        response = _given(step.body, step.status)
    elif place == "put":
        response = _of_storage(step.status)
    elif step.name in _NAMED_BODIES:
        response = json_response(_NAMED_BODIES[step.name], step.status)
    else:
        response = _usual(step.status)
    return response.with_headers(headers)


def two_authorizations() -> HTTPResponse:
    """Return the error about a key where the url is signed already."""
    return xml_error(
        400,
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
        "query string parameter or the Authorization header should be specified",
    )


def _given(body: str | bytes | Mapping[str, Any], status: int) -> HTTPResponse:
    if isinstance(body, bytes):
        return plain_response(body, None, status)
    if isinstance(body, str):
        return plain_response(body.encode(), "text/plain; charset=utf-8", status)
    return json_response(dict(body), status)


def _of_storage(status: int) -> HTTPResponse:
    phrase = _phrase(status)
    return xml_error(status, phrase.replace(" ", ""), phrase)


def _usual(status: int) -> HTTPResponse:
    if status in _TEXTS:
        return plain_response(_TEXTS[status].encode(), "text/plain; charset=utf-8", status)
    if status in _JSON_BODIES:
        return json_response(_JSON_BODIES[status], status)
    if status == HTTPStatus.BAD_GATEWAY:
        html = "<html><head><title>502 Bad Gateway</title></head><body></body></html>"
        return plain_response(html.encode(), "text/html", status)
    problem = {"type": "about:blank", "title": _phrase(status), "status": status}
    return plain_response(encode_json(problem), _PROBLEM_JSON, status)


def _phrase(status: int) -> str:
    known = {int(item): item.phrase for item in HTTPStatus}
    return known.get(status, f"Status {status}")
