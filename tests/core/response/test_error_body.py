"""Errors: the class for each reply, what its message says, pickling, and keys that are masked."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nvcf_core import Chunk, ToolCall, errors
from nvcf_core.errors import APIStatusError, NVCFError
from nvcf_core.exchange import Response
from nvcf_core.response.error_body import describe_error_body, named_status, status_error
from nvcf_core.transport.redaction import redact, redact_response
from nvcf_core.wire import retry_after

FOLDER = Path(__file__).parents[2] / "replies"
EXPECTED = {
    name: want
    for name, want in json.loads((FOLDER / "expected.json").read_text()).items()
    if name.startswith("errors/")
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_body_shape(name: str) -> None:
    want = EXPECTED[name]
    reply = Response(want["status"], {"nvcf-reqid": "req-1"}, (FOLDER / name).read_bytes())
    error = status_error(reply)
    assert type(error).__name__ == want["kind"]
    assert (error.title, error.detail, error.status) == (
        want["title"],
        want["detail"],
        want["status"],
    )
    assert error.response is reply
    assert error.request_id == "req-1"
    for part in (f"HTTP {want['status']}", want["title"], want["detail"], "(request id req-1)"):
        assert part in str(error)
    if not want["title"] and not want["detail"]:
        assert "the response has no explanation" in str(error)


KINDS = {
    300: "APIStatusError",
    304: "APIStatusError",
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PermissionDeniedError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    405: "BadRequestError",
    408: "ServerError",
    409: "BadRequestError",
    410: "ModelGoneError",
    413: "BadRequestError",
    422: "BadRequestError",
    429: "RateLimitError",
    500: "ServerError",
    502: "ServerError",
    503: "ServerError",
    504: "ServerError",
    599: "ServerError",
}
RETRYABLE = {408, 409, 429, 500, 502, 503, 504, 599}


@pytest.mark.parametrize("status", KINDS)
def test_every_status(status: int) -> None:
    error = status_error(Response(status, {}))
    assert type(error).__name__ == KINDS[status]
    assert error.retryable is (status in RETRYABLE)
    assert error.request_id is None
    assert "request id" not in str(error)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "NVIDIA_API_KEY"),
        (402, "credits"),
        (403, "NVIDIA_API_KEY"),
        (410, "available_models()"),
        (429, "requests_per_minute"),
    ],
)
def test_hints(status: int, hint: str) -> None:
    assert hint in str(status_error(Response(status, {})))


def test_only_a_409_of_the_bad_requests_may_be_tried_again() -> None:
    assert status_error(Response(409, {})).retryable
    assert not status_error(Response(400, {})).retryable


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_server_may_say_that_trying_again_does_not_help(status: int) -> None:
    assert not status_error(Response(status, {"x-should-retry": "false"})).retryable
    assert status_error(Response(status, {"x-should-retry": "true"})).retryable


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 16384 tokens.",
        '{"error":{"code":"context_length_exceeded","message":"x"}}',
        "prompt is too long: 9 tokens",
        "exceeds the model's Context Window",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "Input is too long for requested model.",
        "prompt too long; exceeded max context length by 9 tokens",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
        "Prompt length (5000) exceeds maximum input length (4096). Set max_input_len.",
        "Please reduce the length of the messages or completion.",
        '{"error":{"type":"exceed_context_size_error","message":"x"}}',
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_conversation_that_is_too_long(text: str, status: int) -> None:
    assert type(status_error(Response(status, {}, text.encode()))) is errors.ContextLengthError
    assert type(status_error(Response(500, {}, text.encode()))) is errors.ServerError


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens must be at least 1, got 0",
        "messages: field required",
        "stop: the text is too long",
        "response_format needs the context of a tool",
        "tools[0].function.name: 65 characters are too long",
    ],
)
def test_a_request_that_is_wrong_and_not_too_long(text: str) -> None:
    assert type(status_error(Response(400, {}, text.encode()))) is errors.BadRequestError


def test_degraded_is_an_outage_only_where_it_is_a_400() -> None:
    assert status_error(Response(400, {}, b"DEGRADED function cannot be invoked")).retryable
    assert not status_error(Response(422, {}, b"DEGRADED")).retryable


def test_the_request_id_of_the_body_where_the_headers_have_none() -> None:
    body = b'{"title":"x","requestId":"req-body"}'
    assert status_error(Response(500, {}, body)).request_id == "req-body"
    assert status_error(Response(500, {"nvcf-reqid": "req-head"}, body)).request_id == "req-head"
    assert status_error(Response(500, {}, b'{"requestId":7}')).request_id is None


def test_long_bodies_are_cut_in_messages() -> None:
    for body in (b"x" * 1_000_000, json.dumps({"detail": "x" * 1_000_000}).encode()):
        error = status_error(Response(500, {}, body))
        assert len(str(error)) < 3_000
        assert error.response.body == body


def test_bytes_that_are_no_text() -> None:
    assert "\ufffd" in status_error(Response(500, {}, b"\xff\xfe oops")).detail


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {}}, ("", "{}")),
        ({"error": {"type": "t"}}, ("t", "{'type': 't'}")),
        ({"error": ["x"]}, ("", "{'error': ['x']}")),
        ({"detail": {"a": 1}}, ("", "{'detail': {'a': 1}}")),
        (
            {"title": "t", "detail": ["x", {"msg": "m"}, {"loc": "no list", "msg": "n"}]},
            ("t", "x; m; n"),
        ),
        ({}, ("", "{}")),
    ],
)
def test_odd_bodies_are_explained(body: Any, expected: tuple[str, str]) -> None:
    assert describe_error_body(body) == expected


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        (
            format_datetime((NOW + timedelta(seconds=9)).astimezone(timezone(timedelta(hours=5)))),
            9.0,
        ),
        ("-3", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("", None),
        ("9" * 400, None),
        ("Mon, 99 Foo 99999999 99:99:99 GMT", None),
    ],
)
def test_how_long_the_service_asks_to_wait(value: str, seconds: float | None) -> None:
    headers = {"retry-after": value, "date": format_datetime(NOW, usegmt=True)}
    assert retry_after(headers) == seconds
    assert status_error(Response(429, headers)).retry_after == seconds


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}])
def test_without_a_date_of_its_own_this_machines_clock_counts(date: dict[str, str]) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=20)
    seconds = retry_after({"retry-after": format_datetime(soon, usegmt=True), **date})
    assert seconds is not None
    assert 0 < seconds <= 20
    assert retry_after({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0.0
    assert retry_after({}) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_header_is_a_time_or_nothing(value: str, date: str) -> None:
    found = retry_after({"retry-after": value, "date": date})
    assert found is None or found >= 0


@given(
    st.integers(300, 999),
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["nvcf-reqid", "retry-after", "date"]), st.text(max_size=10)),
)
def test_any_reply_becomes_an_error(status: int, body: bytes, headers: dict[str, str]) -> None:
    error = status_error(Response(status, headers, body))
    assert isinstance(error, APIStatusError)
    assert str(status) in str(error)


REPLY = Response(
    429, {"nvcf-reqid": "req-1", "retry-after": "3"}, b'{"title":"T","detail":"D"}', 5.0
)
PARTIAL = Chunk(
    text="half", reasoning="why", tool_calls=(ToolCall(0, "a", "f", "{"),), raw={"x": 1}
)
SAMPLES: list[NVCFError] = [
    NVCFError("m", request_id="r"),
    errors.InvalidRequestError("m", field="f", model="x"),
    errors.APIConnectionError("m", failed_at=3.0),
    errors.APITimeoutError("m", failed_at=3.0),
    errors.PollingTimeoutError("m", request_id="r"),
    errors.StreamInterruptedError("m", partial=PARTIAL, request_id="r"),
    errors.AssetUploadError("m", stage="put", asset_id="a", retryable=True, request_id="r"),
    errors.RefusalError("m", request_id="r"),
    errors.InvalidResponseError("m", body=b"x" * 5000, request_id="r"),
    *(
        kind(REPLY, hint="do this")
        for kind in (
            errors.APIStatusError,
            errors.BadRequestError,
            errors.ContextLengthError,
            errors.AuthenticationError,
            errors.PermissionDeniedError,
            errors.NotFoundError,
            errors.ModelGoneError,
            errors.RateLimitError,
            errors.ServerError,
        )
    ),
]


def all_kinds(kind: type[NVCFError]) -> set[type[NVCFError]]:
    return {kind}.union(*map(all_kinds, kind.__subclasses__()))


def test_there_is_a_sample_of_every_class() -> None:
    ours = {kind for kind in all_kinds(NVCFError) if kind.__module__ == "nvcf_core.errors"}
    assert {type(error) for error in SAMPLES} == ours


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["pickle", "copy", "deepcopy"])
def test_every_error_travels(error: NVCFError, way: str) -> None:
    error.add_note("a note")
    ways = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda e: pickle.loads(pickle.dumps(e)),
    }
    other = ways[way](error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
    assert other.args == error.args
    error.__notes__.clear()


def test_the_message_is_said_once() -> None:
    error = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(SAMPLES[0]))))
    assert str(error) == "m (request id r)"


def test_an_invalid_request_is_not_a_value_error() -> None:
    """LlamaIndex's engines take a ValueError for an answer without content, and go on."""
    assert not isinstance(SAMPLES[1], ValueError)
    assert isinstance(SAMPLES[3], errors.APIConnectionError)


def test_the_body_of_an_invalid_response_is_its_beginning() -> None:
    assert errors.InvalidResponseError("m", body=b"x" * 5000).body == b"x" * 2000


KEY = "nvapi-0123456789"


def test_an_echoed_key_is_masked() -> None:
    body = json.dumps({"detail": f"bad key {KEY}"}).encode()
    error = status_error(Response(401, {"x-echo": f"Bearer {KEY}"}, body))
    cause = ValueError(f"inner {KEY}", 5)
    cause.__context__ = RuntimeError(f"deeper {KEY}")
    error.__cause__ = cause
    redact(error, SecretStr(KEY))
    for text in (str(error), error.detail, repr(error.response.headers), str(error.response.body)):
        assert KEY not in text
    assert "bad key ***" in str(error)
    assert error.__cause__.args == ("inner ***", 5)
    assert str(error.__cause__.__context__) == "deeper ***"
    assert error.status == 401


def test_errors_that_are_their_own_cause_are_masked_too() -> None:
    first, second = NVCFError(f"a {KEY}"), NVCFError(f"b {KEY}")
    first.__context__, second.__context__ = second, first
    redact(first, SecretStr(KEY))
    assert (str(first), str(second)) == ("a ***", "b ***")


def test_the_beginning_of_an_invalid_response_is_masked() -> None:
    error = errors.InvalidResponseError(f"no JSON: {KEY}", body=f"<{KEY}>".encode())
    redact(error, SecretStr(KEY))
    assert (str(error), error.body) == ("no JSON: ***", b"<***>")


def test_a_masked_reply_is_else_the_same() -> None:
    masked = redact_response(Response(500, {"a": KEY}, KEY.encode(), 4.0), SecretStr(KEY))
    assert masked == Response(500, {"a": "***"}, b"***", 4.0)


def test_a_reply_has_a_status_code_and_a_text() -> None:
    assert (REPLY.status_code, REPLY.text) == (429, '{"title":"T","detail":"D"}')
    assert "detail" not in repr(REPLY)


@pytest.mark.parametrize(
    ("said", "status"),
    [(399, None), (400, 400), ("429", 429), (599, 599), (600, None), ("4290", None)],
)
@pytest.mark.parametrize(
    "place", [lambda status: {"error": {"code": status}}, lambda status: {"status": status}]
)
def test_the_status_that_a_body_names(place: Any, said: Any, status: int | None) -> None:
    assert named_status(place(said)) == status
