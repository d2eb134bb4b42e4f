"""Scripting over HTTP, for programs in other languages and in other processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nvcf_emulator.http.redaction import SECRET_HEADERS
from nvcf_emulator.script.step_queue import Pending
from nvcf_emulator.state import Received, State

__all__ = ["PATH", "control_routes", "received_as_json"]

PATH = "/__emulator__"
_KNOWN = "POST reply, fail and reset; GET requests, pending and unexpected"


def control_routes(state: State) -> list[Route]:
    """Return the routes below `/__emulator__`; they need no key, and are not among what arrived."""

    async def pending(_: Request) -> Response:
        return _json([_pending(item) for item in state.script.pending])

    async def requests(_: Request) -> Response:
        return _json([received_as_json(item) for item in state.requests])

    async def unexpected(_: Request) -> Response:
        return _json([received_as_json(item) for item in state.unexpected])

    async def reset(_: Request) -> Response:
        state.reset()
        return _json({"pending": []})

    async def nothing(request: Request) -> Response:
        asked = f"{request.method} {request.url.path}"
        return _json({"error": f"there is no {asked}; below {PATH} there are {_KNOWN}"}, status=404)

    def scripting(method: Callable[..., None]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            try:
                method(**_keywords(await request.body()))
            except (TypeError, ValueError) as error:
                said = str(error).removeprefix("Script.")  # Of Python's own words.
                return _json({"error": said}, status=400)
            return _json({"pending": [_pending(item) for item in state.script.pending]})

        return handle

    return [
        Route(f"{PATH}/reply", scripting(state.script.reply), methods=["POST"]),
        Route(f"{PATH}/fail", scripting(state.script.fail), methods=["POST"]),
        Route(f"{PATH}/reset", reset, methods=["POST"]),
        Route(f"{PATH}/requests", requests),
        Route(f"{PATH}/pending", pending),
        Route(f"{PATH}/unexpected", unexpected),
        Route(f"{PATH}/{{rest:path}}", nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


def _keywords(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise ValueError(f"the body must be a JSON object of keywords: {error}") from None
    if not isinstance(given, dict):
        raise TypeError("the body must be a JSON object of keywords")
    return given


def _pending(item: Pending) -> dict[str, Any]:
    return {
        "method": item.method,
        **item.keywords,
        "times": item.times,
        "when": item.when,
    }


def received_as_json(item: Received) -> dict[str, Any]:
    """Return a request that arrived as a JSON object, without keys."""
    headers = {
        name: "***" if name in SECRET_HEADERS else value for name, value in item.headers.items()
    }
    return {
        "method": item.method,
        "path": item.path,
        "query": item.query,
        "headers": headers,
        "body": item.body,
        "length": item.length,
        "sha256": item.sha256,
        "place": item.place,
    }


def _json(value: object, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return Response(text, status, media_type="application/json")
