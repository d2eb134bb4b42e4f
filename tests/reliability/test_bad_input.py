"""Bad input: a clear error before anything is sent, or the right bytes. Never a wrong request, never a crash."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage, ImageBlock

from nvcf_core import errors
from nvcf_core.errors import InvalidRequestError
from nvcf_emulator import Emulator

HALF = "\ud800"
"""Half of a surrogate pair: no UTF-8 can carry it."""
only_whole = pytest.mark.parametrize("mode", ["whole"])
TEN_MEGABYTES = 10 * 1024 * 1024


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"deeper": value}
    return value


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Parameters that a page does not have are warned of, which is tested elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.NVCFWarning)
        yield


# What arrives as it was given.

TEXTS = {
    "NUL": "before\0after",
    "control characters": "".join(map(chr, range(32))),
    "line separators": "a\u2028b\u2029c\x85d\r\ne",
    "BOM": "\ufeffhello",
    "beyond the BMP": "\U0001f600 \U0010ffff",
    "right to left": "\u202eabc\u202c",
    "quotes": '"}]}\\u0000\\',
    "a stream's end": "data: [DONE]\n\n",
    "empty": "",
    "blank": " \n ",
}


@only_whole
@pytest.mark.parametrize("text", TEXTS)
async def test_odd_text_arrives_as_it_is(way: Any, nvcf_emulator: Emulator, text: str) -> None:
    await way().ask(TEXTS[text])
    assert nvcf_emulator.chats[0].body["messages"] == [{"role": "user", "content": TEXTS[text]}]


async def test_odd_text_comes_back_as_it_is(way: Any, nvcf_emulator: Emulator) -> None:
    for text in TEXTS.values():
        nvcf_emulator.reply(text=[text[:2], text[2:]])
        assert await way().ask() == text


@only_whole
async def test_ten_megabytes_of_text(way: Any, nvcf_emulator: Emulator) -> None:
    """They arrive, and the service says that it is too much."""
    text = "wörd " * (TEN_MEGABYTES // 6)
    with pytest.raises(errors.ContextLengthError):
        await way().ask(text)
    assert nvcf_emulator.chats[0].body["messages"][0]["content"] == text


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["async"])
async def test_ten_thousand_messages(face: Any, nvcf_emulator: Emulator, colour: str) -> None:
    asked = face()
    nvcf_emulator.reply(text="read")
    messages = [asked.messages(f"message {number}", None)[0] for number in range(10_000)]
    assert await asked.acomplete(messages) == "read"
    sent = nvcf_emulator.chats[0].body["messages"]
    assert [message["content"] for message in sent] == [f"message {n}" for n in range(10_000)]


@only_whole
async def test_nesting_as_deep_as_json_may_be(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text="read")
    nvcf_emulator.raw(chunks=[b"{}"])
    with pytest.raises(
        errors.NVCFError
    ):  # The page has no such field; what counts is what arrived.
        await way(validation="off").ask(extra_body={"x": nested(100)})
    assert nvcf_emulator.chats[0].body["x"] == nested(100)


# What is refused.


async def _refuses(way: Any, server: Emulator, says: str = ".", **given: Any) -> None:
    with pytest.raises(errors.InvalidRequestError, match=says) as caught:
        await way.ask(**given)
    assert server.requests == [], "nothing was sent"
    assert 0 < len(str(caught.value)) < 500
    assert not caught.value.retryable


@pytest.mark.parametrize("text", [HALF, f"a{HALF}b", "\udfff"])
async def test_half_a_character(way: Any, nvcf_emulator: Emulator, text: str) -> None:
    await _refuses(way(), nvcf_emulator, "surrogate", text=text)


NOT_JSON = {
    "NaN": (math.nan, "nan"),
    "infinity": ([math.inf], "inf"),
    "half a character": ({"a": HALF}, "surrogate"),
    "half a character in a key": ({HALF: 1}, "surrogate"),
    "a set": ({1, 2}, "set"),
    "bytes": (b"bytes", "bytes"),
    "an object": (object(), "object"),
    "too deep": (nested(100_000), "deep"),
}


@pytest.mark.parametrize("value", NOT_JSON)
@pytest.mark.parametrize("place", ["extra_body", "chat_template_kwargs", "unheard_of"])
@only_whole
async def test_what_no_json_has(way: Any, nvcf_emulator: Emulator, value: str, place: str) -> None:
    bad, says = NOT_JSON[value]
    given = {place: bad} if place == "unheard_of" else {place: {"x": bad}}
    await _refuses(way(), nvcf_emulator, f"(?i){says}", **given)


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["itself"] = value
    return value


@only_whole
async def test_what_holds_itself(way: Any, nvcf_emulator: Emulator) -> None:
    await _refuses(way(), nvcf_emulator, extra_body={"x": circle()})


KEYWORDS: dict[str, list[Any]] = {
    "temperature": ["hot", math.nan, math.inf, -math.inf, [], {}, 3, -0.1],
    "top_p": ["x", -1, 1.01, math.nan],
    "max_tokens": ["many", 1.5, 0, -1, 10**30],
    "seed": ["x", 1.5, 2**53],
    "stop": [5, [5], [""], "", {"a": 1}],
    "frequency_penalty": ["x", math.nan],
    "reasoning_effort": ["much", 5, ""],
    "reasoning_budget": ["x", 1.5],
    "chat_template_kwargs": [5, "x", ["a"]],
    "timeout": ["x", -1, math.nan],
    "stream_chunk_timeout": ["x", -1, math.nan],
    "poll_timeout": ["x", -1, math.nan],
    "max_retries": ["x", 1.5, None.__class__],
    "default_headers": [5, "x", {"a": 5}, {5: "a"}],
    "extra_body": [5, "x", ["a"]],
    "validation": ["strict", 5],
    "media_tags": ["x", 5],
    "on_progress": [5, "x"],
    "streaming": ["maybe", 5],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(k, v, id=f"{k}-{n}") for k, vs in KEYWORDS.items() for n, v in enumerate(vs)],
)
def test_keywords(face: Any, nvcf_emulator: Emulator, name: str, value: Any) -> None:
    """Refused by the constructor and by the call alike, and named."""
    with pytest.raises((errors.InvalidRequestError, pydantic.ValidationError), match=name):
        face(**{name: value})
    asked = face()
    for ask in (asked.complete, lambda messages, **given: list(asked.stream(messages, **given))):
        with pytest.raises(errors.InvalidRequestError, match=name):
            ask(asked.messages("hi", None), **{name: value})
    assert nvcf_emulator.requests == []


@pytest.mark.parametrize(
    "name", ["api_key", "base_url", "nvcf_url", "verify", "max_connections", "requests_per_minute",
             "http_client", "http_async_client"]
)  # fmt: skip
def test_what_belongs_to_the_constructor(face: Any, nvcf_emulator: Emulator, name: str) -> None:
    asked = face()
    with pytest.raises(errors.InvalidRequestError, match=f"{name} is given to the constructor"):
        asked.complete(asked.messages("hi", None), **{name: 1})
    assert nvcf_emulator.requests == []


URLS = ["x", "ftp://h/v1", "file:///etc/passwd", "http://", "http://h:port/v1", "http://a b/v1",
        "http://h/v1\r\nx: y", "http://h/v1?key=1", "http://h/v1#x", "http://user:pass@h/v1", "//h/v1",
        "http://[::1/v1"]  # fmt: skip


@pytest.mark.parametrize("name", ["base_url", "nvcf_url"])
@pytest.mark.parametrize("url", URLS)
def test_urls(face: Any, name: str, url: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=name):
        face(**{name: url})


@pytest.mark.parametrize("name", ["requests_per_minute", "max_connections"])
@pytest.mark.parametrize("value", [0, -1, "x", 1.5])
def test_limits(face: Any, name: str, value: Any) -> None:
    with pytest.raises((errors.InvalidRequestError, pydantic.ValidationError), match=name):
        face(**{name: value})


HEADERS = [{"x": "a\r\nauthorization: Bearer other"}, {"x": "a\nb"}, {"x": "a\rb"}, {"x\r\ny": "a"}, {"x y": "a"},
           {"": "a"}, {"x": "\0"}, {"x": HALF}, {"x:": "a"}]  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS, ids=range(len(HEADERS)))
@only_whole
async def test_headers_that_break_out(
    way: Any, nvcf_emulator: Emulator, headers: dict[str, str]
) -> None:
    with pytest.raises(errors.InvalidRequestError, match="default_headers"):
        way(default_headers=headers)
    await _refuses(way(), nvcf_emulator, "default_headers", default_headers=headers)


CLIMBING = [
    "../../v1/models",
    "..",
    "a/b",
    "a?b=c",
    "a#b",
    "a b",
    "%2e%2e/x",
    "a\r\nb",
    "é",
    "",
    "x" * 200,
    "/etc",
]


@pytest.mark.parametrize("identity", CLIMBING)
@only_whole
async def test_function_ids_that_climb(way: Any, nvcf_emulator: Emulator, identity: str) -> None:
    await _refuses(way(), nvcf_emulator, "function_id", function_id=identity)
    await _refuses(
        way(function_id="f"), nvcf_emulator, "function_version", function_version=identity
    )


@pytest.mark.parametrize("model", [" ", "a\nb", "a\0b", "\r\nx: y"])
@only_whole
async def test_model_ids(way: Any, nvcf_emulator: Emulator, model: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="model"):
        way(model=model)
    await _refuses(way(), nvcf_emulator, "model", model=model)


def test_keys_that_are_none(face: Any, nvcf_emulator: Emulator) -> None:
    """A line break in a key would end its header."""
    for key in ("nvapi-\r\nx: y", "nvapi-\n", "nväpi", lambda: 5, lambda: ["x"]):
        asked = face(api_key=key)
        if isinstance(key, str) and key.strip().isascii() and "\n" not in key.strip():
            continue  # A line break at the end is a slip of the hand: it is cut off.
        with pytest.raises(errors.InvalidRequestError, match=r"(?i)api.key"):
            asked.complete(asked.messages("hi", None))
    assert nvcf_emulator.requests == []


# What each framework's own messages may hold.

LANGCHAIN: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "no messages": [],
    "a list of None": [None],
    "a dict": {"role": "user"},
    "half a character": HALF,
    "half a character in a block": [HumanMessage([{"type": "text", "text": "\udfff"}])],
    "half a character in a name": [HumanMessage("hi", name=HALF)],
    "an unknown block": [HumanMessage([{"type": "hologram"}])],
    "a text that is none": [HumanMessage([{"type": "text", "text": None}])],
    "a text that is a number": [HumanMessage([{"type": "text", "text": 5}])],
    "an image without data": [HumanMessage([{"type": "image"}])],
    "an image_url of None": [HumanMessage([{"type": "image_url", "image_url": None}])],
    "an image_url of a number": [HumanMessage([{"type": "image_url", "image_url": {"url": 5}}])],
    "base64 of a number": [HumanMessage([{"type": "image", "base64": 5, "mime_type": "image/png"}])],
    "base64 that is none": [HumanMessage([{"type": "image", "base64": "$$$$", "mime_type": "image/png"}])],
    "base64 that is empty": [HumanMessage([{"type": "image", "base64": "", "mime_type": "image/png"}])],
    "a file_id that climbs": [HumanMessage([{"type": "image", "file_id": "../x", "mime_type": "image/png"}])],
    "a file_id of a number": [HumanMessage([{"type": "image", "file_id": 5, "mime_type": "image/png"}])],
    "a file url": [HumanMessage([{"type": "image", "url": "file:///etc/passwd"}])],
    "a path": [HumanMessage([{"type": "image", "url": "/etc/passwd"}])],
    "a url with a line break": [HumanMessage([{"type": "image", "url": "https://h/x\r\ny"}])],
    "a result without an id": [HumanMessage("x"), ToolMessage("r", tool_call_id="")],
    "arguments with NaN": [
        HumanMessage("x"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": math.nan}, "id": "1"}]),
        ToolMessage("r", tool_call_id="1"),
    ],
    "arguments with a set": [
        HumanMessage("x"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": {1}}, "id": "1"}]),
        ToolMessage("r", tool_call_id="1"),
    ],
    "arguments that are too deep": [
        HumanMessage("x"),
        AIMessage("", tool_calls=[{"name": "f", "args": nested(3000), "id": "1"}]),
        ToolMessage("r", tool_call_id="1"),
    ],
}  # fmt: skip
CLEAR = (errors.NVCFError, ValueError, NotImplementedError)
"""What LangChain itself raises for what is no message at all is its own: a ValueError, or a NotImplementedError."""


@pytest.mark.parametrize("face", ["langchain"], indirect=True)
@pytest.mark.parametrize("messages", LANGCHAIN)
async def test_langchain_messages(face: Any, nvcf_emulator: Emulator, messages: str) -> None:
    asked, bad = face(), LANGCHAIN[messages]
    with pytest.raises(CLEAR):
        asked.complete(bad)
    with pytest.raises(CLEAR):
        await asked.acomplete(bad)
    with pytest.raises(CLEAR):
        list(asked.stream(bad))
    with pytest.raises(CLEAR):
        [piece async for piece in await asked.astream(bad)]
    assert nvcf_emulator.requests == []


def _called(arguments: Any) -> list[ChatMessage]:
    block = ToolCallBlock(tool_name="f", tool_call_id="1", tool_kwargs=arguments)
    result = ChatMessage(role="tool", content="r", additional_kwargs={"tool_call_id": "1"})
    return [ChatMessage("x"), ChatMessage(role="assistant", blocks=[block]), result]


LLAMAINDEX: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "no messages": [],
    "a text": "hi",
    "a list of None": [None],
    "a list of texts": ["hi"],
    "a list of dicts": [{"role": "user", "content": "x"}],
    "half a character": [ChatMessage(HALF)],
    "an image without data": [ChatMessage(blocks=[ImageBlock()])],
    "an image that is none": [ChatMessage(blocks=[ImageBlock(image=b"aGVsbG8=")])],
    "a file url": [ChatMessage(blocks=[ImageBlock(url="file:///etc/passwd")])],
    "a result without an id": [ChatMessage("x"), ChatMessage(role="tool", content="r")],
    "arguments with NaN": _called({"a": math.nan}),
    "arguments with a set": _called({"a": {1}}),
    "arguments that are too deep": _called(nested(3000)),
}


@pytest.mark.parametrize("face", ["llamaindex"], indirect=True)
@pytest.mark.parametrize("messages", LLAMAINDEX)
async def test_llamaindex_messages(face: Any, nvcf_emulator: Emulator, messages: str) -> None:
    asked, bad = face(), LLAMAINDEX[messages]
    clear = (errors.NVCFError, ValueError)
    with pytest.raises(clear):
        asked.complete(bad)
    with pytest.raises(clear):
        await asked.acomplete(bad)
    with pytest.raises(clear):
        list(asked.stream(bad))
    with pytest.raises(clear):
        [piece async for piece in await asked.astream(bad)]
    assert nvcf_emulator.requests == []


@pytest.mark.parametrize("content", [None, []])
def test_no_content_is_an_empty_text(face: Any, nvcf_emulator: Emulator, content: Any) -> None:
    asked = face()
    messages = asked.messages("", None)
    if isinstance(messages[0], ChatMessage):
        messages = [ChatMessage(content=content) if content is None else ChatMessage(blocks=[])]
    elif isinstance(messages[0], HumanMessage):
        messages = [HumanMessage(content or [])]
    asked.complete(messages)
    assert json.loads(nvcf_emulator.chats[0].raw)["messages"][0]["content"] in ("", [])


async def test_a_count_given_per_call_is_held_against_reason(
    way: Any, nvcf_emulator: Emulator
) -> None:
    with pytest.raises(InvalidRequestError, match="max_retries=-1 must be at least 0"):
        await way().ask(max_retries=-1)
    assert not nvcf_emulator.requests
