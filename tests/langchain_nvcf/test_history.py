"""Histories of any provider and of any earlier failure: what arrives at the service."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import BadRequestError, InvalidRequestError, NVCFWarning
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
UNKNOWN = "someone/self-hosted"

Send = Callable[..., list[Any]]


@pytest.fixture
def send(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]) -> Send:
    """Asks a model, whole or streamed, sync or async, and gives the messages that arrived."""

    def asked(messages: list[BaseMessage], model: str = KIMI, **settings: Any) -> list[Any]:
        nvcf_emulator.reply(text="ok")
        ask(chat(model, **settings), messages)
        arrived: list[Any] = nvcf_emulator.chats[-1].body["messages"]
        return arrived

    return asked


def _block(medium: SimpleNamespace) -> dict[str, Any]:
    return {"type": medium.kind, "base64": medium.base64, "mime_type": medium.mime}


def called(*names: str, content: Any = "", thought: str = "hm", **more: Any) -> AIMessage:
    calls = [{"name": name, "args": {}, "id": f"c{place}"} for place, name in enumerate(names)]
    kwargs = {"reasoning_content": thought} if thought else {}
    return AIMessage(content, tool_calls=calls, additional_kwargs=kwargs, **more)


def result(content: Any, place: int = 0) -> ToolMessage:
    return ToolMessage(content, tool_call_id=f"c{place}")


GO = HumanMessage("go")


def test_calls_without_text_have_no_content(nvcf_emulator: Emulator, send: Send) -> None:
    nvcf_emulator.refuse_empty_content = True
    arrived = send([GO, called("f"), result("x")])
    assert arrived[1]["content"] is None
    assert (
        send([GO, called("f", content="Let me see."), result("x")])[1]["content"] == "Let me see."
    )


def test_a_call_without_reasoning_does_not_end_the_thread(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    nvcf_emulator.require_reasoning = True
    history = [GO, called("f", thought=""), result("x")]
    model = chat()
    nvcf_emulator.reply(text="ok", times=3)
    with pytest.warns(NVCFWarning, match=r"messages\[1\] calls a tool and has no reasoning"):
        ask(model, history)
    ask(model, history)  # Warned of once.
    ask(model, history, reasoning_effort="none")
    first, second, off = [request.body["messages"][1] for request in nvcf_emulator.chats]
    assert first["reasoning_content"]
    assert second["reasoning_content"] == first["reasoning_content"]
    assert "reasoning_content" not in off


def test_an_answer_that_says_nothing_is_left_out(nvcf_emulator: Emulator, send: Send) -> None:
    nvcf_emulator.refuse_empty_content = True
    spent = AIMessage("", additional_kwargs={"reasoning_content": "spent"})
    arrived = send([HumanMessage("a"), spent, HumanMessage("b")])
    assert [message["content"] for message in arrived] == ["a", "b"]
    assert send([HumanMessage("a"), spent, HumanMessage("b")], SUPER) == [
        {"role": "user", "content": "a\n\nb"}
    ]


def test_gemma_alternates(nvcf_emulator: Emulator, send: Send) -> None:
    nvcf_emulator.alternating = True
    history = [
        SystemMessage("one"),
        HumanMessage("a"),
        HumanMessage("b"),
        AIMessage("c"),
        SystemMessage("two"),
        HumanMessage("d"),
    ]
    assert send(history, GEMMA) == [
        {"role": "system", "content": "one\n\ntwo"},
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]


def test_gemma_does_not_begin_with_an_answer(chat: Callable[..., ChatNVCF], ask: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[1\] has role assistant"):
        ask(chat(GEMMA), [SystemMessage("s"), AIMessage("Hello!"), HumanMessage("a")])


FOREIGN = [
    {"type": "function_call_signature", "signature": "abc"},
    {"type": "executable_code", "executable_code": "1+1", "language": "python"},
    {"type": "code_execution_result", "code_execution_result": "2"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "server_tool_call", "id": "s", "name": "web_search", "args": {}},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"encrypted": "x"}]},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "reasoning", "encrypted_content": "xyz", "summary": []},
    {"type": "mcp_list_tools", "server_label": "x", "tools": []},
    {"type": "image", "file_id": "file-abc"},
]


@pytest.mark.parametrize("block", FOREIGN, ids=lambda block: str(block["type"]))
def test_what_only_its_maker_can_read_is_left_out_of_answers(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, block: dict[str, Any]
) -> None:
    history = [GO, AIMessage([{"type": "text", "text": "Hi"}, block, block]), HumanMessage("and?")]
    model = chat()
    nvcf_emulator.reply(text="ok", times=2)
    with pytest.warns(NVCFWarning, match=r"messages\[1\]\.content\[1\].*left out") as warned:
        model.invoke(history)
    assert len(warned) == 1
    model.invoke(history)
    assert nvcf_emulator.chats[-1].body["messages"][1] == {"role": "assistant", "content": "Hi"}
    assert model.get_num_tokens_from_messages(history) > 0


def test_in_the_users_messages_it_stays_an_error(chat: Callable[..., ChatNVCF]) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"messages\[0\]\.content\[0\].*'executable_code'"
    ):
        chat().invoke([HumanMessage([{"type": "executable_code", "code": "1+1"}])])


def test_mistrals_thinking_is_reasoning(send: Send) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    arrived = send([GO, AIMessage([thinking, {"type": "text", "text": "Hi"}]), GO])
    assert arrived[1] == {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}


def test_every_dialect_of_media(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace
) -> None:
    loud = image.url.replace("data:", "DATA:").replace(";base64,", ";BASE64,")
    blocks = [
        {"type": "media", "mime_type": "image/png", "data": image.base64},
        {"type": "media", "mime_type": "image/png", "data": image.data},
        {"type": "file", "mime_type": "image/png", "base64": image.base64},
        {"type": "file", "file": {"filename": "a.png", "file_data": image.url}},
        {"type": "input_file", "file_data": image.url},
        {
            "type": "resource",
            "resource": {"uri": "a:b", "mimeType": "image/png", "blob": image.base64},
        },
        {"type": "image_url", "image_url": {"url": loud}},
        {"image": {"format": "png", "source": {"bytes": image.data}}},
        {"type": "image", "image": {"format": "png", "source": {"bytes": image.base64}}},
        {"guardContent": {"image": {"format": "png", "source": {"bytes": image.data}}}},
        {"inlineData": {"mimeType": "image/png", "data": image.base64}},
        {"inline_data": {"mime_type": "image/png", "data": image.data}, "mediaResolution": {}},
        {"fileData": {"mimeType": "image/png", "fileUri": image.url}},
        {"file_data": {"mime_type": "image/png", "file_uri": image.url}},
    ]
    chat().invoke([HumanMessage(blocks)])
    sent = nvcf_emulator.chats[0].body["messages"][0]["content"]
    assert sent == [{"type": "image_url", "image_url": {"url": image.url}}] * len(blocks)


def test_a_conversation_with_bedrocks_api(send: Send, image: SimpleNamespace) -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}}
    call = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}
    shown = {"image": {"format": "png", "source": {"bytes": image.data}}}
    answered = {"toolUseId": "t1", "content": [{"text": "r"}, {"json": {"b": 2}}, shown]}
    arrived = send(
        [
            HumanMessage([{"text": "go"}, {"cachePoint": {"type": "default"}}]),
            AIMessage([thought, {"text": "I call."}, call]),
            HumanMessage([{"toolResult": answered}, {"guardContent": {"text": {"text": "so"}}}]),
        ]
    )
    assert arrived == [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "I call.",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
            ],
        },
        {"role": "tool", "content": 'r\n{"b": 2}', "tool_call_id": "t1"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": image.url}}],
        },
        {"role": "user", "content": "so"},
    ]


def test_a_conversation_with_geminis_api(send: Send) -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "x"}
    answered = {"functionResponse": {"name": "f", "response": {"result": "21"}}}
    arrived = send(
        [
            HumanMessage([{"text": "go"}]),
            AIMessage(
                [{"text": "hm", "thought": True}, {"text": "Hi", "thoughtSignature": "x"}, call]
            ),
            HumanMessage([answered, {"text": "so"}]),
        ]
    )
    [made] = arrived[1]["tool_calls"]
    assert (arrived[1]["content"], arrived[1]["reasoning_content"]) == ("Hi", "hm")
    assert made["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert arrived[2:] == [
        {"role": "tool", "content": '{"result": "21"}', "tool_call_id": made["id"]},
        {"role": "user", "content": "so"},
    ]


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"format": "txt", "source": {"bytes": b"Hi"}}, "Hi"),
        ({"format": "md", "source": {"text": "# Hi"}}, "# Hi"),
        ({"format": "csv", "source": {"content": [{"text": "a,b"}, {"text": "1,2"}]}}, "a,b\n1,2"),
    ],
)
def test_bedrocks_documents(send: Send, document: dict[str, Any], text: str) -> None:
    assert send([HumanMessage([{"document": {"name": "d", **document}}])])[0]["content"] == text


SAID = base64.b64encode('{"é": 1}'.encode()).decode()


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"type": "file", "file": {"filename": "a.json", "file_data": f"data:application/json;base64,{SAID}"}},
         '{"é": 1}'),
        ({"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{SAID}"}}, '{"é": 1}'),
        ({"type": "file", "base64": SAID, "mime_type": "application/json"}, '{"é": 1}'),
        ({"type": "document", "source": {"type": "content", "content": "Hi"}}, "Hi"),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}, "b"]}}, "a\nb"),
    ],
)  # fmt: skip
def test_documents_that_are_text(send: Send, document: dict[str, Any], text: str) -> None:
    assert send([HumanMessage([document])])[0]["content"] == text
    beside = send([HumanMessage([{"type": "text", "text": "Read: "}, document])])[0]["content"]
    assert beside[-1] == {"type": "text", "text": text}


def test_a_search_result_with_an_image_is_refused(
    chat: Callable[..., ChatNVCF], image: SimpleNamespace
) -> None:
    found = {"type": "search_result", "title": "t", "content": [{"type": "image", "base64": image.base64,
             "mime_type": "image/png"}]}  # fmt: skip
    with pytest.raises(
        InvalidRequestError, match=r"messages\[0\]\.content\[0\].*other content than"
    ):
        chat().invoke([HumanMessage([found])])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"document": {"format": "pdf", "source": {"bytes": b"%PDF-1.4"}}}, "application/pdf"),
        ({"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://a/b"}}}}, "'s3://a/b'"),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://a/b"}}, "'gs://a/b'"),
        ({"image": {"format": "png"}}, "the image block has neither base64"),
        ({"executableCode": {"language": "PYTHON", "code": "1"}}, "'executableCode'"),
        ({"functionCall": {"name": "f", "args": {}}}, "'tool_call'"),
        ({"colour": "red", "shape": "round"}, "'colour, shape'"),
    ],
)
def test_a_part_of_another_provider_that_cannot_be_sent(
    chat: Callable[..., ChatNVCF], part: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=rf"messages\[0\]\.content\[1\].*{words}"):
        chat().invoke([HumanMessage([{"text": "go"}, part])])


def test_what_a_tool_made_is_not_taken_for_a_part(send: Send) -> None:
    made = [
        {"image": {"name": "map"}},
        {"image": {"format": "png", "source": {"bytes": "x"}}, "caption": "A map."},
        {"text": "Hi", "pages": 2},
    ]
    sent = send([GO, called("f"), result(made)])[2]["content"]
    assert [json.loads(line) for line in sent.splitlines()] == made


def test_what_tools_return(send: Send) -> None:
    resource = {
        "type": "resource",
        "resource": {"uri": "a:b", "mimeType": "text/plain", "text": "Hi"},
    }
    link = {"type": "resource_link", "uri": "a:b", "name": "notes"}
    for content, text in (
        ([{"city": "Rome", "degrees": 20}], '{"city": "Rome", "degrees": 20}'),
        ([resource], "Hi"),
        ([link], json.dumps(link)),
        ([{"type": "text", "text": "a"}, "b"], "a\nb"),
    ):
        assert send([GO, called("f"), result(content)])[2]["content"] == text


def test_a_file_that_a_tool_returned_does_not_end_the_thread(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    pdf = {"type": "file", "mime_type": "application/pdf", "base64": "JVBERi0xLjQ="}
    with pytest.warns(NVCFWarning, match=r"messages\[2\]\.content\[0\].*application/pdf"):
        chat().invoke([GO, called("f"), result([pdf])])
    line = "[file, application/pdf; not shown: this model cannot read it]"
    assert nvcf_emulator.chats[0].body["messages"][2]["content"] == line


def test_a_tools_image_that_the_model_cannot_see(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    ask: Callable[..., Any],
    image: SimpleNamespace,
) -> None:
    history = [GO, called("f"), result([_block(image)])]
    model = chat(SUPER)
    with pytest.warns(NVCFWarning, match=r"messages\[2\]: \[image, png"):
        ask(model, history)
    ask(model, [*history, AIMessage("A map."), HumanMessage("Sure?")])
    size = len(image.data)
    line = f"[image, png, {size} bytes; not shown: this model takes no images]"
    assert [request.body["messages"][2]["content"] for request in nvcf_emulator.chats] == [line] * 2


@pytest.mark.parametrize(
    ("validation", "mime"),
    [
        ("error", "image/png"),
        ("error", "application/zip"),
        ("error", None),
        ("warn", "application/zip"),
        ("off", None),
    ],
)
def test_what_a_tool_calls_an_image_and_is_none(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    ask: Callable[..., Any],
    video: SimpleNamespace,
    mime: str | None,
    validation: str,
) -> None:
    page = base64.b64encode(b"<html>404</html>").decode()
    blocks = [{"type": "image", "base64": page, "mime_type": mime}]
    if validation == "error":
        blocks.append({"type": "image", "base64": video.base64, "mime_type": mime})
    model = chat(validation=validation)
    nvcf_emulator.reply(text="ok", times=2)
    history = [GO, called("f"), result(blocks)]
    with pytest.warns(NVCFWarning, match=r"messages\[2\]: \[image.*its bytes are not image data"):
        ask(model, history)
    ask(model, [*history, AIMessage("So."), HumanMessage("Sure?")])
    for request in nvcf_emulator.chats:
        sent = request.body["messages"][2]["content"]
        assert sent.count("not shown: its bytes are not image data") == len(blocks)


def test_the_images_of_many_turns_do_not_end_the_thread(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    image: SimpleNamespace,
) -> None:
    """Each is small enough to go inline, and all of them are too many for the assets of one request."""
    history: list[BaseMessage] = [GO]
    for number in range(14):
        shot = base64.b64encode(image.data + bytes(100_000 + number)).decode()
        block = {"type": "image", "base64": shot, "mime_type": "image/png"}
        call = {"name": "screenshot", "args": {}, "id": f"c{number}"}
        thought = {"reasoning_content": "hm"}
        history += [
            AIMessage("", tool_calls=[call], additional_kwargs=thought),
            ToolMessage([block], tool_call_id=call["id"]),
        ]
    model = chat()
    nvcf_emulator.reply(text="ok", times=2)
    with pytest.warns(NVCFWarning, match=r"messages\[4\]: \[image, png, .*10 assets at most"):
        colour.invoke(model, history)
    colour.invoke(model, [*history, AIMessage("So."), HumanMessage("Sure?")])
    for request in nvcf_emulator.chats:
        shown = [
            message["content"]
            for message in request.body["messages"][1:]
            if message["role"] == "user" and message["content"] != "Sure?"
        ]
        # One goes inline, ten as assets, and the three oldest of the others not at all.
        left_out = ["10 assets at most" in str(content) for content in shown]
        assert left_out == [False, *[True] * 3, *[False] * 10]
        assert len(request.headers["nvcf-input-asset-references"].split(",")) == 10


def test_images_of_two_tools_are_introduced(send: Send, image: SimpleNamespace) -> None:
    block = _block(image)
    arrived = send([GO, called("draw", "photo"), result([block]), result(["ok", block], 1)])
    shown = {"type": "image_url", "image_url": {"url": image.url}}
    assert arrived[-1] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "Returned by draw (call c0):"},
            shown,
            {"type": "text", "text": "Returned by photo (call c1):"},
            shown,
        ],
    }


@pytest.mark.parametrize("validation", ["warn", "off"])
def test_without_validation_media_are_sent_to_any_model(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace, validation: str
) -> None:
    model = chat(SUPER, validation=validation)
    block = _block(image)
    nvcf_emulator.fail(400, times=2)
    for content in ([{"type": "text", "text": "see"}, block], [block]):
        with pytest.raises(Exception, match="400"):
            _ask_warned(model, [HumanMessage(content)], validation)
        parts = nvcf_emulator.chats[-1].body["messages"][0]["content"]
        assert parts[-1] == {"type": "image_url", "image_url": {"url": image.url}}
        assert len(parts) == len(content)


def _ask_warned(model: ChatNVCF, messages: list[BaseMessage], validation: str) -> None:
    if validation == "warn" and not model._warned:
        with pytest.warns(
            NVCFWarning, match="has image; the model takes no media; it is sent all the same"
        ):
            model.invoke(messages)
    model.invoke(messages)


@pytest.mark.nvcf_emulator(strict=False, models=[UNKNOWN])
def test_a_system_message_with_an_image_at_a_server_of_ones_own(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace
) -> None:
    block = _block(image)
    chat(UNKNOWN).invoke([SystemMessage([{"type": "text", "text": "Look."}, block]), GO])
    assert [part["type"] for part in nvcf_emulator.chats[0].body["messages"][0]["content"]] == [
        "text",
        "image_url",
    ]


def test_a_tool_history_for_a_model_without_tools(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, send: Send
) -> None:
    history = [
        GO,
        called("weather", content="Let me see."),
        result("20 degrees"),
        HumanMessage("and?"),
    ]
    for model in (GEMMA, NANO):
        with pytest.raises(InvalidRequestError, match=r"messages\[1\].*tools_as_text=True"):
            chat(model).invoke(history)
    assert send(history, GEMMA, tools_as_text=True) == [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "Let me see.\n\nCall of weather: {}"},
        {"role": "user", "content": "Result of weather:\n20 degrees\n\nand?"},
    ]
    nvcf_emulator.reply(text="ok")
    chat(NANO).invoke(history, tools_as_text=True)
    assert [message["role"] for message in nvcf_emulator.chats[-1].body["messages"]] == [
        "user", "assistant", "user", "user"
    ]  # fmt: skip


def test_names_are_made_safe(send: Send) -> None:
    assert send([HumanMessage("hi", name="Research Agent")])[0]["name"] == "Research_Agent"


def test_who_spoke_is_kept_where_messages_are_joined(send: Send) -> None:
    history = [HumanMessage("hi", name="alice"), HumanMessage("ho", name="bob")]
    assert send(history, SUPER) == [{"role": "user", "content": "alice: hi\n\nbob: ho"}]


def test_another_agents_last_message_is_the_users(send: Send) -> None:
    handed = [HumanMessage("6 * 7?"), AIMessage("42", name="math agent")]
    assert send(handed, SUPER) == [{"role": "user", "content": "6 * 7?\n\nmath agent: 42"}]


@pytest.mark.parametrize(
    ("model", "before", "block", "words"),
    [
        (
            SUPER,
            [SystemMessage("a"), SystemMessage("b"), HumanMessage("c"), HumanMessage("d")],
            "image",
            r"messages\[4\] has image",
        ),
        (
            KIMI,
            [GO, called("f"), "picture", AIMessage("b"), HumanMessage("c")],
            "audio",
            r"messages\[5\] has audio",
        ),
    ],
)
def test_places_are_the_callers_own(
    chat: Callable[..., ChatNVCF],
    image: SimpleNamespace,
    audio: SimpleNamespace,
    model: str,
    before: list[Any],
    block: str,
    words: str,
) -> None:
    media = {"image": image, "audio": audio}[block]
    history = [result([_block(image)]) if entry == "picture" else entry for entry in before]
    with pytest.raises(InvalidRequestError, match=words):
        chat(model).invoke([*history, HumanMessage([_block(media)])])


def test_places_count_one_message_that_becomes_several(chat: Callable[..., ChatNVCF]) -> None:
    """Anthropic's form has the results of tools and the user's next words in one message."""
    both = HumanMessage(
        [
            {"type": "tool_result", "tool_use_id": "c0", "content": "x"},
            {"type": "text", "text": "and?"},
        ]
    )
    audio = HumanMessage([{"type": "audio", "url": "https://x.org/a.wav"}])
    with pytest.raises(InvalidRequestError, match=r"messages\[4\] has audio"):
        chat().invoke([GO, called("f"), both, AIMessage("b"), audio])


def test_eleven_assets_are_refused(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    blocks = [
        {
            "type": "image",
            "file_id": f"0f8fad5b-d9cb-469f-a165-7086772895{number:02}",
            "mime_type": "image/png",
        }
        for number in range(11)
    ]
    with pytest.raises(InvalidRequestError, match="11 assets; the service takes 10"):
        ask(chat(), [HumanMessage(blocks)])
    assert nvcf_emulator.requests == []


def test_tools_that_take_nothing_or_come_from_mcp(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    nothing = {"type": "object", "properties": {}}
    tools = [
        {"name": "now", "description": "The time."},
        {"type": "function", "function": {"name": "then", "parameters": {}}},
        {"name": "weather", "description": "It.", "inputSchema": schema},
        {"name": "climate", "input_schema": schema},
        {"name": "tides", "parametersJsonSchema": schema},
        {"name": "stop", "inputSchema": {"type": "object", "additionalProperties": False}},
    ]
    nvcf_emulator.reply(text="ok")
    ask(chat(SUPER).bind_tools(tools), "go")
    sent = [tool["function"] for tool in nvcf_emulator.chats[0].body["tools"]]
    closed = {**nothing, "additionalProperties": False}
    assert [tool["parameters"] for tool in sent] == [
        nothing, nothing, schema, schema, schema, closed,
    ]  # fmt: skip
    assert [tool["name"] for tool in sent] == ["now", "then", "weather", "climate", "tides", "stop"]
    assert "inputSchema" not in sent[2]


@pytest.mark.parametrize("nothing", ["", " ", "null", "{}", "None", None])
def test_arguments_that_mean_nothing_are_none(send: Send, nothing: str | None) -> None:
    bad = {"name": "f", "args": nothing, "id": "c0", "error": None, "type": "invalid_tool_call"}
    block = {"type": "function_call", "call_id": "c0", "name": "f", "arguments": nothing}
    thought = {"reasoning_content": "hm"}
    for past in (
        AIMessage("", invalid_tool_calls=[bad], additional_kwargs=thought),
        AIMessage([block], additional_kwargs=thought),
    ):
        [call] = send([GO, past, result("x")])[1]["tool_calls"]
        assert call["function"]["arguments"] == "{}"


def test_invalid_calls_of_the_history(send: Send) -> None:
    bad = {"name": "f", "args": '{"a": ', "id": "c0", "error": "cut", "type": "invalid_tool_call"}
    message = AIMessage("", invalid_tool_calls=[bad], additional_kwargs={"reasoning_content": "hm"})
    [call] = send([GO, message, result("no")])[1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"INVALID_JSON": '{"a": '}


@pytest.mark.nvcf_emulator(strict=False, models=[UNKNOWN])
def test_a_response_format_of_another_server(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    tags = {"type": "structural_tag", "structures": [], "triggers": []}
    with pytest.raises(BadRequestError, match="structural_tag"):  # The service judges.
        chat(UNKNOWN).bind(response_format=tags).invoke("go")
    assert nvcf_emulator.chats[0].body["response_format"] == tags
    with pytest.raises(
        InvalidRequestError, match="'structural_tag' cannot be requested in the prompt"
    ):
        chat(KIMI).bind_tools([], response_format=tags)
