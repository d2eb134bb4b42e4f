"""LlamaIndex's messages in the core's words, block by block."""

from __future__ import annotations

import base64
import io
import json
import typing
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection

from llamaindex_nvcf import InvalidRequestError
from llamaindex_nvcf import messages as conversion
from nvcf_core import Media, Message, ToolCall
from nvcf_core.media.sources import PathSource


def converted_of(messages: list[Any]) -> list[Message]:
    return conversion.to_core_messages(
        messages, lambda _, message: warnings.warn(message, stacklevel=2)
    )


def only(message: ChatMessage):
    (converted,) = converted_of([message])
    return converted


def parts(*blocks: object, role: str = "user"):
    return only(ChatMessage(role=role, blocks=list(blocks))).parts


def data_of(medium: Media) -> bytes:
    assert medium.source is not None
    return b"".join(medium.source.chunks())


@pytest.mark.parametrize(
    ("role", "sent"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("chatbot", "assistant"),
        ("model", "assistant"),
        ("tool", "tool"),
        ("function", "tool"),
    ],
)
def test_every_role_has_a_name_that_the_service_knows(role: str, sent: str):
    assert only(ChatMessage(role=role, content="x")).role == sent


def test_no_role_is_forgotten():
    assert {role.value for role in MessageRole} == {
        "system", "developer", "user", "assistant", "function", "tool", "chatbot", "model"
    }  # fmt: skip


def test_every_block_class_of_the_framework_is_decided():
    known = {
        TextBlock, ImageBlock, AudioBlock, VideoBlock, DocumentBlock, CachePoint, CitableBlock,
        CitationBlock, ThinkingBlock, ToolCallBlock,
    }  # fmt: skip
    union, _ = typing.get_args(ContentBlock)
    assert set(typing.get_args(union)) == known


def test_text_and_media_keep_their_order(media: SimpleNamespace):
    picture, sound = media.png(), media.wav()
    found = parts(
        TextBlock(text="one"),
        ImageBlock(image=picture),
        TextBlock(text="two"),
        AudioBlock(audio=sound),
    )
    assert [part if isinstance(part, str) else part.kind for part in found] == [
        "one", "image", "two", "audio"
    ]  # fmt: skip
    assert data_of(found[1]) == picture
    assert data_of(found[3]) == sound


def test_media_by_bytes_base64_stream_file_and_path(media: SimpleNamespace, tmp_path: Path):
    picture = media.png()
    path = tmp_path / "picture.png"
    path.write_bytes(picture)
    with path.open("rb") as opened:
        found = parts(
            ImageBlock(image=picture),
            ImageBlock(image=base64.b64encode(picture)),
            ImageBlock(image=io.BytesIO(picture)),
            ImageBlock(image=opened),
            ImageBlock(path=path),
        )
        assert [data_of(medium) for medium in found] == [picture] * 5
    assert isinstance(found[4].source, PathSource)


def test_a_stream_is_read_from_its_start_at_every_turn(media: SimpleNamespace, tmp_path: Path):
    film = media.mp4()
    path = tmp_path / "film.mp4"
    path.write_bytes(film)
    with path.open("rb") as opened:
        for stream in (io.BytesIO(film), opened):
            stream.seek(5)
            block = VideoBlock(video=stream)
            for _ in range(2):
                (medium,) = parts(block)
                assert data_of(medium) == film


def test_a_stream_that_cannot_be_rewound_is_refused():
    class Tape(io.RawIOBase):
        def seekable(self) -> bool:
            return False

    with pytest.raises(InvalidRequestError, match="cannot be rewound"):
        parts(ImageBlock(image=Tape()))


def test_urls_data_urls_and_assets():
    asset = "6c1c9a0e-0a52-4d5a-8f64-1f2d3b4c5d6e"
    link, inline, reference = parts(
        ImageBlock(url="https://example.com/a.png", detail="low"),
        VideoBlock(url=f"data:video/mp4;base64,{base64.b64encode(b'film').decode()}"),
        AudioBlock(url=f"data:audio/wav;asset_id,{asset}"),
    )
    assert (link.url, link.mime_type, link.detail) == (
        "https://example.com/a.png",
        "image/png",
        "low",
    )
    assert (data_of(inline), inline.mime_type) == (b"film", "video/mp4")
    assert (reference.asset_id, reference.mime_type) == (asset, "audio/wav")


@pytest.mark.parametrize(
    ("block", "mime"),
    [
        (AudioBlock(url="https://x.org/a", format="mp3"), "audio/mpeg"),
        (AudioBlock(url="https://x.org/a", format="x-wav"), "audio/wav"),
        (AudioBlock(url="https://x.org/a", format="audio/flac"), "audio/flac"),
        (AudioBlock(url="https://x.org/a", format="wav"), "audio/wav"),
        (AudioBlock(url="https://x.org/a"), None),
        (ImageBlock(url="https://x.org/a", image_mimetype="image/webp"), "image/webp"),
        (VideoBlock(url="https://x.org/a.mp4"), "video/mp4"),
    ],
)
def test_the_declared_type_of_a_medium(block: object, mime: str | None):
    (medium,) = parts(block)
    assert medium.mime_type == mime


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (ImageBlock(url="file:///etc/passwd"), "neither an http nor a data url"),
        (ImageBlock(url="ftp://example.com/a.png"), "neither an http nor a data url"),
        (ImageBlock(image=b""), "empty"),
        (ImageBlock(), "neither data, path nor url"),
        (AudioBlock.model_construct(path=Path("gone.wav")), "cannot read the file"),
        (AudioBlock(url="data:audio/wav;asset_id,../../x"), "is not an asset id"),
    ],
)
def test_media_that_cannot_be_sent_are_refused_by_place(block: object, said: str):
    with pytest.raises(InvalidRequestError, match=said) as caught:
        converted_of([ChatMessage(content="x"), ChatMessage(blocks=[TextBlock(text="a"), block])])
    assert caught.value.field == "messages[1].blocks[1]"


def test_documents_that_are_text_become_text(tmp_path: Path):
    path = tmp_path / "notes.md"
    path.write_text("# Überschrift", encoding="utf-8")
    assert parts(
        DocumentBlock(data="grüße".encode(), document_mimetype="text/plain"),
        DocumentBlock(data=b'{"a": 1}', document_mimetype="application/json"),
        DocumentBlock(data=io.BytesIO(b"stream"), document_mimetype="text/csv"),
        DocumentBlock(path=path),
    ) == ("grüße", '{"a": 1}', "stream", "# Überschrift")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (DocumentBlock(data=b"%PDF-1.7 text", title="x"), "application/pdf"),
        (DocumentBlock(path="report.docx"), "give its text"),
        (DocumentBlock(path="gone.txt"), "cannot be read"),
        (DocumentBlock(url="https://example.com/a.txt"), "no document is fetched"),
        (DocumentBlock(), "neither data nor path"),
        (DocumentBlock(data=b"\xff\xfe\0x", document_mimetype="text/plain"), "not text"),
    ],
)
def test_other_documents_are_refused(block: DocumentBlock, said: str):
    with pytest.raises(InvalidRequestError, match=said):
        parts(block)


def test_cited_text_is_sent_and_an_answers_own_citations_are_not():
    citation = CitationBlock(
        cited_content="the source", source="s", title="t", additional_location_info={}
    )
    citable = CitableBlock(title="t", source="s", content="quotable")
    assert parts(citable, citation) == ("quotable", "the source")
    assert parts(TextBlock(text="said"), citation, role="assistant") == ("said",)


def test_hints_thoughts_and_empty_texts_are_no_content():
    point = CachePoint(cache_control=CacheControl(type="ephemeral"))
    assert parts(point, ThinkingBlock(content="hm"), TextBlock(text="")) == ()


def test_an_unknown_block_is_refused():
    class Smell(BaseContentBlock):
        block_type: str = "smell"

    message = ChatMessage.model_construct(
        role=MessageRole.USER, blocks=[Smell()], additional_kwargs={}
    )
    with pytest.raises(InvalidRequestError, match="Smell cannot be sent"):
        converted_of([message])


def test_what_is_no_message_is_refused():
    with pytest.raises(InvalidRequestError, match=r"messages\[0\] is not a ChatMessage, but str"):
        converted_of(["hello"])


def test_thoughts_come_from_blocks_or_from_where_other_models_keep_them():
    def reasoning(*blocks: object, role: str = "assistant", **extra: object):
        return only(ChatMessage(role=role, blocks=list(blocks), additional_kwargs=extra)).reasoning

    assert reasoning(ThinkingBlock(content="a"), ThinkingBlock(content="b")) == "a\n\nb"
    assert reasoning(ThinkingBlock(content="a"), reasoning_content="other") == "a"
    assert reasoning(reasoning_content="kept") == "kept"
    assert reasoning(thinking="kept") == "kept"
    assert reasoning(reasoning="kept") == "kept"
    assert reasoning(reasoning={"summary": []}, thinking="kept") == "kept"
    assert reasoning(ThinkingBlock(content=None), TextBlock(text="x")) is None
    assert reasoning(ThinkingBlock(content="a"), role="user") is None


def test_names_and_ids_go_where_they_belong():
    extra = {"name": "ada", "tool_call_id": "call_1"}
    user = only(ChatMessage(role="user", content="x", additional_kwargs=extra))
    assert (user.name, user.tool_call_id) == ("ada", None)
    tool = only(ChatMessage(role="tool", content="x", additional_kwargs=extra))
    assert (tool.name, tool.tool_call_id) == ("ada", "call_1")
    function = only(ChatMessage(role="function", content="x", additional_kwargs=extra))
    assert (function.role, function.tool_call_id) == ("tool", "call_1")


def calls(*blocks: object, **extra: object) -> tuple[ToolCall, ...]:
    message = ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=extra)
    return only(message).tool_calls


def test_tool_calls_by_text_stay_as_they_are_and_objects_become_text():
    assert calls(
        ToolCallBlock(tool_call_id="a", tool_name="f", tool_kwargs='{"x":  1}'),
        ToolCallBlock(tool_call_id="b", tool_name="g", tool_kwargs={"ü": [1, None]}),
        ToolCallBlock(tool_call_id="c", tool_name="h", tool_kwargs=""),
    ) == (
        ToolCall(0, "a", "f", '{"x":  1}'),
        ToolCall(1, "b", "g", '{"ü": [1, null]}'),
        ToolCall(2, "c", "h", "{}"),
    )


def test_tool_calls_without_an_id_get_one_that_stays():
    block = ToolCallBlock(tool_name="f")
    assert calls(block, block) == calls(block, block)
    assert [call.id for call in calls(block, block)] == ["call_0_0", "call_0_1"]


OPENAI = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}


@pytest.mark.parametrize(
    "call",
    [
        OPENAI,
        SimpleNamespace(id="a", function=SimpleNamespace(name="f", arguments='{"x":1}')),
        {"id": "a", "name": "f", "arguments": '{"x":1}'},
        {"id": "fc_1", "call_id": "a", "name": "f", "arguments": '{"x":1}'},  # OpenAI's responses.
        SimpleNamespace(id="fc_1", call_id="a", name="f", arguments='{"x":1}'),
        {"id": "a", "type": "tool_use", "name": "f", "input": {"x": 1}},  # Anthropic
        {"toolUseId": "a", "name": "f", "input": {"x": 1}},  # Bedrock
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
        {"id": "a", "name": "f", "args": {"x": 1}},  # Gemini
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
        ToolSelection(tool_id="a", tool_name="f", tool_kwargs={"x": 1}),
    ],
)
def test_calls_of_other_models_messages_are_understood(call: object):
    message = ChatMessage(role="assistant", content="")
    message.additional_kwargs = {"tool_calls": [call]}
    [found] = only(message).tool_calls
    assert (found.id, found.name, json.loads(found.arguments)) == ("a", "f", {"x": 1})


def test_a_call_in_openais_first_form_is_understood():
    message = ChatMessage(role="assistant", content="")
    message.additional_kwargs = {"function_call": {"name": "f", "arguments": '{"x":1}'}}
    [found] = only(message).tool_calls
    assert (found.name, json.loads(found.arguments)) == ("f", {"x": 1})


def test_blocks_win_over_additional_kwargs_and_nothing_is_said_twice():
    block = ToolCallBlock(tool_call_id="a", tool_name="f", tool_kwargs={})
    assert calls(block, tool_calls=[OPENAI, OPENAI]) == (ToolCall(0, "a", "f", "{}"),)


def test_what_is_no_call_and_what_is_no_json_are_refused():
    with pytest.raises(
        InvalidRequestError, match=r"messages\[0\].*dict in tool_calls is not a tool call"
    ):
        calls(tool_calls=[{"id": "a"}])
    with pytest.raises(InvalidRequestError, match=r"messages\[0\].*tool_calls is not a list"):
        calls(tool_calls=5)
    with pytest.raises(
        InvalidRequestError, match=r"tool_calls\[0\]: the arguments of a tool call cannot be JSON"
    ):
        calls(ToolCallBlock(tool_name="f", tool_kwargs={"x": object()}))


@pytest.mark.parametrize("role", list(MessageRole))
@pytest.mark.parametrize("text", ["Hello", "", " \n", "é🎉"])
def test_a_text_is_the_same_whatever_stands_beside_it(role: MessageRole, text: str) -> None:
    alone = ChatMessage(role=role, blocks=[TextBlock(text=text)])
    beside = ChatMessage(role=role, blocks=[TextBlock(text=text), TextBlock(text="")])
    more = ChatMessage(
        role=role, blocks=[TextBlock(text=text)], additional_kwargs={"something": "else"}
    )
    [first], [second], [third] = (converted_of([said]) for said in (alone, beside, more))
    assert first == second == third
    assert first.index == 0
