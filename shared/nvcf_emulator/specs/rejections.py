"""How the service says no: one exception, and the body shapes it may take on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

__all__ = [
    "STYLES",
    "ErrorBody",
    "Rejection",
    "Style",
    "asset_missing",
    "encode_json",
    "not_found_text",
    "unsupported",
]

Style = Literal["error-object", "error-string", "object-error", "problem", "detail", "text"]


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class ErrorBody:
    """A body ready for the wire, with the status and content type that go with it."""

    status: int
    body: bytes
    content_type: str


class Rejection(Exception):
    """A request that the service turns down.

    Args:
        message: What is wrong, in the service's words.
        field: Path of the offending field, as in `messages[0].role`; empty for none.
        status: HTTP status code.
        style: Shape of the body; None leaves it to the model's row.
        title: The problem's title; empty for the status code's usual phrase.
        headers: Headers that go with the response.
    """

    def __init__(
        self,
        message: str,
        field: str = "",
        status: int = 400,
        style: Style | None = None,
        title: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status
        self.style = style
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})

    def error_body(self, style: Style) -> ErrorBody:
        """Return the body, in this rejection's own shape or else in `style`."""
        return STYLES[self.style or style](self)


def encode_json(value: object) -> bytes:
    """Return `value` as compact JSON in UTF-8, with non-ASCII characters as they are."""
    return _ENCODER.encode(value).encode()


def _named(rejection: Rejection) -> str:
    if not rejection.field or rejection.field in rejection.message:
        return rejection.message
    return f"{rejection.field}: {rejection.message}"


def _json(status: int, body: Any, content_type: str = "application/json") -> ErrorBody:
    return ErrorBody(status, encode_json(body), content_type)


def _error_object(rejection: Rejection) -> ErrorBody:
    error: dict[str, Any] = {"message": _named(rejection), "type": rejection.title}
    if rejection.field:
        error["param"] = rejection.field
    return _json(rejection.status, {"error": {**error, "code": rejection.status}})


def _error_string(rejection: Rejection) -> ErrorBody:
    return _json(rejection.status, {"error": _named(rejection)})


def _object_error(rejection: Rejection) -> ErrorBody:
    body = {
        "object": "error",
        "message": _named(rejection),
        "type": rejection.title.replace(" ", "") + "Error",
        "param": rejection.field or None,
        "code": rejection.status,
    }
    return _json(rejection.status, body)


def _problem(rejection: Rejection) -> ErrorBody:
    body = {"status": rejection.status, "title": rejection.title, "detail": _named(rejection)}
    return _json(rejection.status, body, "application/problem+json")


def _detail(rejection: Rejection) -> ErrorBody:
    """Older containers check with a schema, and answer 422 where others say 400."""
    status = 422 if rejection.status == 400 else rejection.status
    where = ["body", *rejection.field.replace("[", ".").replace("]", "").split(".")]
    item = {
        "loc": [part for part in where if part],
        "msg": _named(rejection),
        "type": "value_error",
    }
    return _json(status, {"detail": [item]})


def _text(rejection: Rejection) -> ErrorBody:
    return ErrorBody(rejection.status, _named(rejection).encode(), "text/plain; charset=utf-8")


STYLES: Mapping[Style, Callable[[Rejection], ErrorBody]] = {
    "error-object": _error_object,
    "error-string": _error_string,
    "object-error": _object_error,
    "problem": _problem,
    "detail": _detail,
    "text": _text,
}


def unsupported(names: list[str]) -> Rejection:
    """Return the rejection of body fields that the model's documentation lacks."""
    listed = ", ".join(f"`{name}`" for name in names)
    return Rejection(
        f"Validation: Unsupported parameter(s): {listed}", title="Bad Request", style="error-object"
    )


def not_found_text() -> Rejection:
    """Return the 404 of an unknown path or model: plain text."""
    return Rejection("404 page not found", status=404, style="text")


def asset_missing(asset_id: str) -> Rejection:
    """Return the 404 of an asset that is not there, or not this account's."""
    return Rejection(f"failed to find asset {asset_id}", status=404, style="problem")
