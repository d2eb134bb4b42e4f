"""A key that the service echoes is masked in responses and errors."""

from __future__ import annotations

import base64
import json
import pickle
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nvcf_core import Chunk
from nvcf_core.errors import (
    APIConnectionError,
    AuthenticationError,
    InvalidResponseError,
    NVCFError,
    PollingTimeoutError,
    StreamInterruptedError,
)
from nvcf_core.exchange import Response
from nvcf_core.transport.redaction import redact, redact_response

KEY = "nvapi-Ab/3+x_~Zq-09"
SECRET = SecretStr(KEY)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda key: key,
    "JSON, all escaped": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "JSON, some escaped": lambda key: "".join(
        f"\\u{ord(letter):04X}" if number % 2 else letter for number, letter in enumerate(key)
    ),
    "JSON with escaped slashes": lambda key: key.replace("/", "\\/"),
    "JSON within JSON": lambda key: json.dumps("".join(f"\\u{ord(letter):04x}" for letter in key)),
    "in small letters": str.lower,
    "in capitals": str.upper,
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded, every letter": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "percent-encoded twice": lambda key: quote(quote(key, safe=""), safe=""),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 after one byte": lambda key: base64.b64encode(f":{key}.".encode()).decode(),
    "base64 after two bytes": lambda key: base64.b64encode(f"a:{key}..".encode()).decode(),
    "base64 for urls": lambda key: base64.urlsafe_b64encode(f"??>{key}".encode()).decode(),
}


def core_of(spelt: str) -> str:
    """What must not be left of a spelling: of base64 the first and last letters say nothing."""
    return spelt[5:-5]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling(spelling: str) -> None:
    spelt = SPELLINGS[spelling](KEY)
    error = APIConnectionError(f"before {spelt} after")
    redact(error, SECRET)
    assert core_of(spelt) not in str(error)
    assert "***" in str(error)
    assert str(error).startswith("before ")
    assert str(error).endswith(" after")
    response = redact_response(Response(500, {"x": spelt}, f"<{spelt}>".encode()), SECRET)
    assert core_of(spelt) not in repr(response.headers) + response.text


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=80))
def test_any_key_in_every_spelling(key: str) -> None:
    for spell in SPELLINGS.values():
        error = NVCFError(f" {spell(key)} ")
        redact(error, SecretStr(key))
        assert core_of(spell(key)) not in str(error) or core_of(spell(key)) in "***"


@pytest.mark.parametrize("length", [12, 20, 21, 59, 79])
def test_where_a_text_was_cut_the_beginning_of_a_key_is_masked(length: int) -> None:
    """All but a few letters, in which no more is said than that there was a key."""
    key = "nvapi-" + "".join(random.Random(1).choices("abcdefgh0123456789_-", k=74))
    error = InvalidResponseError(f"cut: {key[:length]}", body=f"x {key[:length]}".encode())
    redact(error, SecretStr(key))
    assert str(error).startswith("cut: ***")
    assert error.body.startswith(b"x ***")
    assert len(error.body) < len(b"x ***") + 8


def test_a_key_may_be_long() -> None:
    key = "".join(random.Random(1).choices("abcdefgh0123456789_-.", k=4000))
    error = NVCFError(f"whole: {key}.")
    redact(error, SecretStr(key))
    assert str(error) == "whole: ***."


def test_what_keys_have_in_common_is_not_masked() -> None:
    error = NVCFError("keys begin with nvapi-")
    redact(error, SECRET)
    assert str(error) == "keys begin with nvapi-"


@pytest.mark.parametrize("key", ["k", "local", "1234567"])
def test_a_short_key_is_not_a_secret(key: str) -> None:
    error = NVCFError(f"the {key} one")
    redact(error, SecretStr(key))
    assert str(error) == f"the {key} one"
    assert redact_response(Response(500, {}, key.encode()), SecretStr(key)).body == key.encode()


def test_wherever_it_lies_in_an_error() -> None:
    error = StreamInterruptedError(
        KEY, partial=Chunk(f"a {KEY}", raw={"x": [{KEY: (KEY,)}]}), request_id=KEY
    )
    error.add_note(f"and {KEY}")
    error.__cause__ = ValueError(f"b'{KEY}'")
    redact(error, SECRET)
    assert KEY not in repr((error, vars(error), error.__notes__, error.__cause__))
    assert KEY not in repr(pickle.loads(pickle.dumps(error)).__dict__)
    assert error.partial.text == "a ***"


async def test_a_request_id_that_is_the_key(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.raw(status=202, headers={"nvcf-reqid": server.api_key})
    with pytest.raises(NVCFError) as caught:
        await ask(adapter(poll_timeout=0.1, max_retries=0), [say("hi")])
    error: BaseException | None = caught.value
    assert isinstance(error, PollingTimeoutError) or "404" in str(error)
    while error is not None:
        assert server.api_key not in f"{error} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__


async def test_a_status_line_that_is_the_key(ask: Any, adapter: Any, raw: Any, say: Any) -> None:
    key = f"nvapi-{random.randbytes(8).hex()}"
    raw.answer(f"HTTP/1.1 {key}\r\n\r\n".encode())
    with pytest.raises(APIConnectionError) as caught:
        await ask(adapter(base_url=raw.url, api_key=key, max_retries=0), [say("hi")])
    error: BaseException | None = caught.value
    while error is not None:
        assert key not in f"{error} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__


async def test_a_good_answer_is_never_changed(adapter: Any, server: Any) -> None:
    body = {"data": [{"id": f"model-{server.api_key}"}]}
    server.raw(headers={"content-type": "application/json"}, chunks=[json.dumps(body).encode()],
               on="models")  # fmt: skip
    assert adapter().available_models() == [f"model-{server.api_key}"]


async def test_the_key_is_masked_where_the_service_echoes_it(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fail(401, body={"detail": f"bad key {server.api_key}"})
    with pytest.raises(AuthenticationError) as caught:
        await ask(adapter(), [say("hi")])
    assert server.api_key not in f"{caught.value} {caught.value.response.body!r}"
    server.raw(headers={"content-type": "application/json"}, chunks=[server.api_key.encode()])
    with pytest.raises(InvalidResponseError) as invalid:
        await ask(adapter(), [say("hi")])
    assert server.api_key not in f"{invalid.value} {invalid.value.body!r}"
