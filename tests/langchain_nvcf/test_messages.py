"""Outbound conversion, without a service: what the core is given for each kind of message and block."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_nvcf.errors import InvalidRequestError
from langchain_nvcf.messages import to_core_messages
from nvcf_core.errors import InvalidRequestError as CoreInvalidRequestError
from nvcf_core.messages import Media, Message, ToolCall

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"


def one(message: BaseMessage) -> Message:
    [converted] = to_core_messages([message])
    return converted


def part(block: Any) -> Any:
    [found] = one(HumanMessage([block])).parts
    return found


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (HumanMessage("hi"), "user"),
        (SystemMessage("hi"), "system"),
        (AIMessage("hi"), "assistant"),
        (AIMessageChunk(content="hi"), "assistant"),
        (ToolMessage("hi", tool_call_id="1"), "tool"),
        (ChatMessage("hi", role="context"), "context"),
        (ChatMessage("hi", role="user"), "user"),
        (ChatMessage("hi", role="developer"), "system"),
        (ChatMessage("hi", role="ai"), "assistant"),
    ],
)
def test_role(message: BaseMessage, role: str) -> None:
    assert (one(message).role, one(message).parts) == (role, ("hi",))


def test_names_and_ids() -> None:
    assert one(HumanMessage("hi", name="Ann")).name == "Ann"
    tool = one(ToolMessage("22", tool_call_id="c1", name="add", status="error", artifact={"a": 1}))
    assert tool == Message(role="tool", parts=("22",), name="add", tool_call_id="c1")
    chat = ChatMessage("22", role="tool", additional_kwargs={"tool_call_id": "c2"})
    assert one(chat).tool_call_id == "c2"


@pytest.mark.parametrize("content", ["", []])
def test_empty_content_is_no_part(content: Any) -> None:
    assert one(HumanMessage(content)).parts == ()
    assert one(AIMessage(content)).parts == ()


def test_content_of_none_is_no_part() -> None:
    message = HumanMessage("x")
    message.content = None  # type: ignore[assignment]
    assert one(message).parts == ()


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]: a RemoveMessage") as refused:
        to_core_messages([HumanMessage("hi"), RemoveMessage(id="1")])
    assert refused.value.field == "messages[1]"


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("hi", "hi"),
        ({"type": "text", "text": "hi"}, "hi"),
        ({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}, "index": 0}, "hi"),
        ({"text": "hi"}, "hi"),
        ({"type": "input_text", "text": "hi"}, "hi"),
        ({"type": "output_text", "text": "hi", "annotations": []}, "hi"),
        ({"type": "text-plain", "text": "hi", "mime_type": "text/plain"}, "hi"),
        ({"type": "text-plain", "base64": "aGk=", "mime_type": "text/plain"}, "hi"),
        ({"type": "file", "source_type": "text", "text": "hi", "mime_type": "text/plain"}, "hi"),
        ({"type": "file", "base64": "aGk=", "mime_type": "text/markdown"}, "hi"),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
            },
            "hi",
        ),
        ({"type": "non_standard", "value": {"type": "input_text", "text": "hi"}}, "hi"),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "text/plain", "data": "aGk="},
            },
            "hi",
        ),
        ({"type": "json", "json": {"a": ["ü"]}}, '{"a": ["ü"]}'),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "S",
                "content": [{"type": "text", "text": "hi"}],
            },
            "T\nS\nhi",
        ),
    ],
)
def test_text_blocks(block: Any, text: str) -> None:
    assert part(block) == text


def image_ways(image: SimpleNamespace) -> list[dict[str, Any]]:
    b64, mime = image.base64, image.mime
    return [
        {"type": "image", "base64": b64, "mime_type": mime},
        {"type": "image", "url": image.url},
        {"type": "image", "source_type": "base64", "data": b64, "mime_type": mime},
        {"type": "image", "source": {"type": "base64", "media_type": mime, "data": b64}},
        {"type": "image_url", "image_url": {"url": image.url}},
        {"type": "image_url", "image_url": image.url},
        {"type": "input_image", "image_url": image.url},
        {"type": "non_standard", "value": {"type": "image_url", "image_url": {"url": image.url}}},
    ]


def test_every_way_of_giving_bytes_gives_the_same_bytes(image: SimpleNamespace) -> None:
    for block in image_ways(image):
        media = part(block)
        assert (media.kind, media.mime_type) == ("image", "image/png"), block
        assert b"".join(media.source.chunks()) == image.data, block


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_links_and_assets(kind: str) -> None:
    url = f"https://example.com/a.{kind}"
    link = Media(kind=kind, url=url)  # type: ignore[arg-type]
    ways = [
        {"type": kind, "url": url},
        {"type": kind, "source_type": "url", "url": url},
        {"type": kind, "source": {"type": "url", "url": url}},
        {"type": f"{kind}_url", f"{kind}_url": {"url": url}},
        {"type": f"{kind}_url", f"{kind}_url": url},
    ]
    assert [part(block) for block in ways] == [link] * len(ways)
    mime = f"{kind}/x"
    asset = Media(kind=kind, asset_id=ASSET, mime_type=mime)  # type: ignore[arg-type]
    ways = [
        {"type": kind, "file_id": ASSET, "mime_type": mime},
        {"type": kind, "source_type": "id", "id": ASSET, "mime_type": mime},
        {"type": kind, "source": {"type": "file", "file_id": ASSET}, "mime_type": mime},
        {"type": kind, "url": f"data:{mime};asset_id,{ASSET}"},
        {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{mime};asset_id,{ASSET}"}},
    ]
    assert [part(block) for block in ways] == [asset] * len(ways)


def test_the_detail_of_an_image_is_kept() -> None:
    block = {
        "type": "image_url",
        "image_url": {"url": "https://example.com/a.png", "detail": "low"},
    }
    assert part(block).detail == "low"


def test_input_audio(audio: SimpleNamespace) -> None:
    media = part({"type": "input_audio", "input_audio": {"data": audio.base64, "format": "wav"}})
    assert (media.kind, media.mime_type) == ("audio", "audio/wav")
    assert b"".join(media.source.chunks()) == audio.data


def test_order_of_text_and_media_is_kept() -> None:
    url = "https://example.com/a.png"
    blocks = [
        "one",
        {"type": "image", "url": url},
        {"type": "text", "text": "two"},
        {"type": "image", "url": url},
    ]
    picture = Media(kind="image", url=url)
    assert one(HumanMessage(blocks)).parts == ("one", picture, "two", picture)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"type": "hologram"}, "a block of type 'hologram' cannot be sent"),
        ({"foo": 1, "bar": 2}, "a block of type 'foo, bar'"),
        ({"type": "non_standard", "value": {"type": "hologram"}}, "'hologram'"),
        ({"type": "text"}, "the text block has no text"),
        ({"type": "image"}, "neither base64, nor url, nor file_id"),
        ({"type": "image_url", "image_url": {}}, "has no url"),
        ({"type": "image", "url": "file:///etc/passwd"}, "neither an http nor a data url"),
        ({"type": "image", "url": "/etc/passwd"}, "neither an http nor a data url"),
        ({"type": "image", "base64": "abc"}, "cut off"),
        ({"type": "image", "base64": ""}, "empty"),
        ({"type": "image", "file_id": "../x", "mime_type": "image/png"}, "is not an asset id"),
        ({"type": "image", "file_id": ASSET}, "needs its mime_type"),
        ({"type": "input_audio", "input_audio": "x"}, "an input_audio block is"),
        (
            {"type": "file", "base64": "aGk=", "mime_type": "application/pdf"},
            "application/pdf cannot be sent",
        ),
        ({"type": "file", "file_id": "f1"}, "a file block cannot be sent"),
        ({"type": "media", "mime_type": "application/zip", "data": "aGk="}, "application/zip"),
        (
            {"type": "text-plain", "base64": "/w==", "mime_type": "text/plain"},
            "not base64 of UTF-8",
        ),
        (
            {"type": "document", "source": {"type": "base64", "data": "aGk="}},
            "a document block cannot",
        ),
        ({"type": "json", "json": float("nan")}, "holds no JSON"),
        ({"type": "reasoning", "reasoning": "hm"}, "type 'reasoning'"),
        ({"type": "tool_use", "id": "1", "name": "f", "input": {}}, "type 'tool_use'"),
    ],
)
def test_a_block_that_cannot_be_sent_names_its_place(block: Any, words: str) -> None:
    with pytest.raises(CoreInvalidRequestError, match=words) as refused:
        to_core_messages([SystemMessage("s"), HumanMessage(["text", block])])
    assert refused.value.field == "messages[1].content[1]"


CALL = {"name": "add", "args": {"a": 1, "b": "ü"}, "id": "c1", "type": "tool_call"}
SENT = ToolCall(0, "c1", "add", '{"a": 1, "b": "ü"}')


def test_tool_calls_are_the_source_of_truth() -> None:
    stale = {
        "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "old", "arguments": "{}"}}
        ]
    }
    message = AIMessage("", tool_calls=[CALL], additional_kwargs=stale)
    assert one(message).tool_calls == (SENT,)


@pytest.mark.parametrize(
    "mirror",
    [
        {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}},
        {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1}},
        {"type": "tool_call_chunk", "id": "c1", "name": "add", "args": "{}", "index": 0},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "input_json_delta", "partial_json": "{}", "index": 1},
    ],
)
def test_blocks_that_mirror_calls_are_not_sent_twice(mirror: dict[str, Any]) -> None:
    message = one(AIMessage([{"type": "text", "text": "hm"}, mirror], tool_calls=[CALL]))
    assert (message.parts, message.tool_calls) == (("hm",), (SENT,))


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1, "b": "ü"}},
        {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1, "b": "ü"}},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "add",
            "arguments": '{"a": 1, "b": "ü"}',
        },
    ],
)
def test_calls_that_only_the_content_has_are_sent(block: dict[str, Any]) -> None:
    assert one(AIMessage([block])).tool_calls == (SENT,)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1', {"INVALID_JSON": '{"a": 1'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (None, {}),
    ],
)
def test_invalid_calls_go_back_as_json_objects(arguments: Any, sent: Any) -> None:
    bad = {
        "name": "add",
        "args": arguments,
        "id": "c2",
        "error": "broken",
        "type": "invalid_tool_call",
    }
    first, second = one(AIMessage("", tool_calls=[CALL], invalid_tool_calls=[bad])).tool_calls
    assert first == SENT
    assert (second.index, second.id, second.name) == (1, "c2", "add")
    assert json.loads(second.arguments) == sent


def test_a_call_without_an_id_gets_the_same_one_every_time() -> None:
    message = AIMessage("", tool_calls=[{**CALL, "id": None}])
    [[first], [again]] = [
        to_core_messages([HumanMessage("x"), message])[1].tool_calls for _ in range(2)
    ]
    assert first.id
    assert first == again


def test_arguments_that_are_no_json_are_refused() -> None:
    for value in (float("nan"), object()):
        message = AIMessage("", tool_calls=[{**CALL, "args": {"a": value}}])
        with pytest.raises(CoreInvalidRequestError, match=r"messages\[0\].tool_calls\[0\]"):
            to_core_messages([message])


def test_functions_of_the_old_form_stay_tied_to_their_results() -> None:
    called = AIMessage(
        "", additional_kwargs={"function_call": {"name": "add", "arguments": '{"a": 1}'}}
    )
    call, result = to_core_messages([called, FunctionMessage("22", name="add")])
    assert call.tool_calls == (ToolCall(0, "function_add", "add", '{"a": 1}'),)
    assert (result.role, result.tool_call_id, result.parts) == ("tool", "function_add", ("22",))


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("yes", additional_kwargs={"reasoning_content": "hm"}),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "yes"}]),
        AIMessage([{"type": "thinking", "thinking": "hm", "signature": "x"}, "yes"]),
        AIMessage(
            [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, "yes"]
        ),
        AIMessage([{"type": "reasoning_content", "reasoning_content": {"text": "hm"}}, "yes"]),
        AIMessage([{"type": "reasoning", "text": "hm"}, "yes"]),
        AIMessage([{"type": "text", "text": "hm", "thought": True}, "yes"]),
        AIMessage("yes", additional_kwargs={"reasoning": "hm"}),
        AIMessage("yes", additional_kwargs={"thinking": {"text": "hm", "signature": "x"}}),
        AIMessage(
            [{"type": "reasoning", "reasoning": "hm"}, "yes"],
            additional_kwargs={"reasoning_content": "hm"},
        ),
        AIMessage(
            [{"type": "non_standard", "value": {"type": "thinking", "thinking": "hm"}}, "yes"]
        ),
        AIMessage(
            "yes",
            additional_kwargs={"reasoning": {"summary": [{"type": "summary_text", "text": "hm"}]}},
        ),
    ],
)
def test_reasoning_of_every_provider(message: AIMessage) -> None:
    assert one(message) == Message(role="assistant", parts=("yes",), reasoning="hm")


def test_reasoning_that_is_encrypted_has_no_text() -> None:
    message = AIMessage(
        [{"type": "redacted_thinking", "data": "xyz"}, {"type": "text", "text": "yes"}]
    )
    assert one(message) == Message(role="assistant", parts=("yes",))


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("", additional_kwargs={"refusal": "no"}),
        AIMessage([{"type": "refusal", "refusal": "no"}]),
        AIMessage([{"type": "non_standard", "value": {"type": "refusal", "refusal": "no"}}]),
    ],
)
def test_a_refusal_stays_in_the_history(message: AIMessage) -> None:
    assert one(message).parts == ("no",)


def test_tool_results_inside_of_a_user_message() -> None:
    blocks = [
        {"type": "tool_result", "tool_use_id": "c1", "content": "22"},
        {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "23"}]},
        {"type": "text", "text": "and now?"},
    ]
    assert to_core_messages([HumanMessage(blocks)]) == [
        Message(role="tool", parts=("22",), tool_call_id="c1"),
        Message(role="tool", parts=("23",), tool_call_id="c2"),
        Message(role="user", parts=("and now?",)),
    ]
    assert [message.role for message in to_core_messages([HumanMessage(blocks[:1])])] == ["tool"]


@pytest.mark.parametrize("content", [[5], [None], 5])
def test_content_that_is_no_content(content: Any) -> None:
    message = HumanMessage("x")
    message.content = content
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]"):
        to_core_messages([message])


def test_blocks_are_unwrapped_however_deep_they_lie() -> None:
    block: dict[str, Any] = {"type": "text", "text": "hi"}
    for _ in range(5_000):
        block = {"type": "non_standard", "value": block}
    assert part(block) == "hi"


def test_arguments_that_are_nested_too_deeply_go_back_as_text() -> None:
    deep = '{"a":' * 100_000
    bad = {"name": "f", "args": deep, "id": "c", "error": None, "type": "invalid_tool_call"}
    [call] = one(AIMessage("", invalid_tool_calls=[bad])).tool_calls
    assert json.loads(call.arguments) == {"INVALID_JSON": deep}


@pytest.mark.parametrize("kind", [HumanMessage, AIMessage, SystemMessage])
@pytest.mark.parametrize("name", [None, "ann"])
@pytest.mark.parametrize("text", ["Hello", "", " \n", "<img src='x'>", "é🎉"])
def test_a_text_is_the_same_as_a_string_and_as_a_block(
    kind: Any, name: str | None, text: str
) -> None:
    blocks = [{"type": "text", "text": text}] if text else []
    plain, block = (to_core_messages([kind(content, name=name)]) for content in (text, blocks))
    assert plain == block
    assert [message.index for message in plain] == [0]


def test_an_answer_with_more_than_its_text_keeps_it() -> None:
    call = {"name": "f", "args": {}, "id": "c"}
    bad = {"name": "g", "args": "{", "id": "d", "error": None}
    answers = [
        AIMessage("word", tool_calls=[call]),
        AIMessage("word", invalid_tool_calls=[bad]),
        AIMessage("word", additional_kwargs={"reasoning_content": "because"}),
    ]
    called, broken, thought = to_core_messages(answers)
    assert [call.name for call in called.tool_calls] == ["f"]
    assert [call.name for call in broken.tool_calls] == ["g"]
    assert thought.reasoning == "because"
    assert [message.index for message in (called, broken, thought)] == [0, 1, 2]
