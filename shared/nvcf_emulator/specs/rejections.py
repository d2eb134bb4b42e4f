"""How the service says no: one exception, and the body shapes it may take on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

Style = Literal["error-object", "error-string", "object-error", "problem", "detail", "text"]


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Said:
    """A body ready for the wire, with the status and content type that go with it."""

    status: int
    body: bytes
    content_type: str


class Refusal(Exception):
    """A request that the service turns down.

    Args:
        message: What is wrong, in the service's words.
        field: Path of the offending field, as in `messages[0].role`; empty for none.
        status: HTTP status code.
        style: Shape of the body; None leaves it to the model's row.
        title: The problem's title; empty for the status code's usual phrase.
        headers: Headers that go with the reply.
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

    def said(self, style: Style) -> Said:
        """Return the body, in this refusal's own shape or else in `style`."""
        return STYLES[self.style or style](self)


def as_json(value: object) -> bytes:
    """Return `value` as compact JSON in UTF-8, with non-ASCII characters as they are."""
    return _ENCODER.encode(value).encode()


def _named(refusal: Refusal) -> str:
    if not refusal.field or refusal.field in refusal.message:
        return refusal.message
    return f"{refusal.field}: {refusal.message}"


def _json(status: int, body: Any, content_type: str = "application/json") -> Said:
    return Said(status, as_json(body), content_type)


def _error_object(refusal: Refusal) -> Said:
    error: dict[str, Any] = {"message": _named(refusal), "type": refusal.title}
    if refusal.field:
        error["param"] = refusal.field
    return _json(refusal.status, {"error": {**error, "code": refusal.status}})


def _error_string(refusal: Refusal) -> Said:
    return _json(refusal.status, {"error": _named(refusal)})


def _object_error(refusal: Refusal) -> Said:
    body = {
        "object": "error",
        "message": _named(refusal),
        "type": refusal.title.replace(" ", "") + "Error",
        "param": refusal.field or None,
        "code": refusal.status,
    }
    return _json(refusal.status, body)


def _problem(refusal: Refusal) -> Said:
    body = {"status": refusal.status, "title": refusal.title, "detail": _named(refusal)}
    return _json(refusal.status, body, "application/problem+json")


def _detail(refusal: Refusal) -> Said:
    """Older containers check with a schema, and answer 422 where others say 400."""
    status = 422 if refusal.status == 400 else refusal.status
    where = ["body", *refusal.field.replace("[", ".").replace("]", "").split(".")]
    item = {"loc": [part for part in where if part], "msg": _named(refusal), "type": "value_error"}
    return _json(status, {"detail": [item]})


def _text(refusal: Refusal) -> Said:
    return Said(refusal.status, _named(refusal).encode(), "text/plain; charset=utf-8")


STYLES: Mapping[Style, Callable[[Refusal], Said]] = {
    "error-object": _error_object,
    "error-string": _error_string,
    "object-error": _object_error,
    "problem": _problem,
    "detail": _detail,
    "text": _text,
}


def unsupported(names: list[str]) -> Refusal:
    """Return the refusal of body fields that the model's page does not document."""
    listed = ", ".join(f"`{name}`" for name in names)
    return Refusal(
        f"Validation: Unsupported parameter(s): {listed}", title="Bad Request", style="error-object"
    )


def not_found_text() -> Refusal:
    """Return the 404 of an unknown path or model: plain text."""
    return Refusal("404 page not found", status=404, style="text")


def asset_missing(asset_id: str) -> Refusal:
    """Return the 404 of an asset that is not there, or not this account's."""
    return Refusal(f"failed to find asset {asset_id}", status=404, style="problem")
