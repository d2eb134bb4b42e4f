"""Tools: how they are offered, what the calls look like, whole and streamed in every shape."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.calling import acall_tool_with_selection, call_tool_with_selection
from pydantic import BaseModel

from llamaindex_nvcf import NVCF, BadRequestError, InvalidRequestError, NVCFWarning
from llamaindex_nvcf.tools import keep_first_tool_call
from nvcf_emulator import Emulator

pytestmark = pytest.mark.filterwarnings("ignore:.*has no reasoning:nvcf_core.errors.NVCFWarning")
"""The emulator's kimi calls tools without a thought unless it is told to think; see test_history."""

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def stocks(symbol: str) -> str:
    """The price of a share."""
    return f"{symbol} at 5"


WEATHER = FunctionTool.from_defaults(weather)
STOCKS = FunctionTool.from_defaults(stocks)
TOOLS = [WEATHER, STOCKS]
PARIS = {"name": "weather", "arguments": {"city": "Paris"}}
ACME = {"name": "stocks", "arguments": {"symbol": "ACME"}}


@pytest.fixture
def llm(make: Any) -> NVCF:
    return make(KIMI)


def test_nothing_but_the_tools_is_said_unasked(llm: NVCF):
    prepared = llm._prepare_chat_with_tools(TOOLS, allow_parallel_tool_calls=True)
    assert set(prepared) == {"messages", "tools"}
    function = prepared["tools"][0]["function"]
    assert function["name"] == "weather"
    assert "The weather in a city." in function["description"]
    assert function["parameters"]["required"] == ["city"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"tool_required": True}, "required"),
        ({"tool_choice": "any"}, "required"),
        ({"tool_choice": "auto", "tool_required": True}, "auto"),
        ({"tool_choice": "none"}, "none"),
        ({"tool_choice": "stocks"}, {"type": "function", "function": {"name": "stocks"}}),
        ({"tool_choice": {"type": "any"}}, "required"),
        (
            {"tool_choice": {"type": "tool", "name": "stocks"}},
            {"type": "function", "function": {"name": "stocks"}},
        ),
        ({"tool_choice": None}, None),
    ],
)
def test_every_form_of_choice(llm: NVCF, given: dict[str, Any], sent: object):
    prepared = llm._prepare_chat_with_tools(TOOLS, **given)
    assert prepared.get("tool_choice") == sent


SPECIFICATIONS = [
    {"type": "function", "function": {"name": tool.metadata.get_name(), "parameters": {}}}
    for tool in TOOLS
]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("stocks", {"type": "function", "function": {"name": "stocks"}}),
        ({"type": "any"}, "required"),
        (None, None),
    ],
)
def test_every_form_of_choice_of_a_plain_chat(
    make: Any, server: Emulator, colour: Any, way: str, choice: Any, sent: object
):
    messages = [ChatMessage(content="'Rome'")]
    given = {"tools": SPECIFICATIONS, "tool_choice": choice}
    colour.answer(make(SUPER), way, messages, **given)
    colour.answer(make(SUPER, **given), way, messages)
    assert [request.body.get("tool_choice") for request in server.chats] == [sent] * 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tools": SPECIFICATIONS, "tool_choice": "bread"}, "not one of the tools: weather"),
        ({"tools": SPECIFICATIONS, "tool_choice": {"type": "function"}}, "does not name a tool"),
        ({"tool_choice": "any"}, "there are no tools"),
        ({"tools": [], "tool_choice": "weather"}, "there are none"),
    ],
)
def test_a_plain_chats_choice_of_no_tool_is_refused(
    llm: NVCF, colour: Any, way: str, given: dict[str, Any], words: str
):
    with pytest.raises(InvalidRequestError, match=words):
        colour.answer(llm, way, [ChatMessage(content="hi")], **given)


@pytest.mark.nvcf_emulator(strict=False, models=["someone/self-hosted"])
def test_a_choice_that_only_the_server_knows_goes_as_it_is(make: Any, server: Emulator, way: str):
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    given = {"tools": SPECIFICATIONS, "tool_choice": choice}
    llm = make("someone/self-hosted", base_url=server.base_url, nvcf_url=None)
    server.fail(400)
    with pytest.raises(BadRequestError):
        llm.chat([ChatMessage(content="hi")], **given)
    assert server.chats[0].body["tool_choice"] == choice


def test_a_choice_of_no_tool_is_refused(llm: NVCF):
    with pytest.raises(
        InvalidRequestError, match="'bread' is not one of the tools: weather, stocks"
    ):
        llm._prepare_chat_with_tools(TOOLS, tool_choice="bread")
    with pytest.raises(InvalidRequestError, match="does not name a tool"):
        llm._prepare_chat_with_tools(TOOLS, tool_choice={"type": "function"})
    with pytest.raises(InvalidRequestError, match="there are no tools"):
        llm._prepare_chat_with_tools([], tool_choice="any")


def test_without_tools_nothing_of_them_is_said(llm: NVCF):
    prepared = llm._prepare_chat_with_tools([], user_msg="hi", tool_required=True)
    assert set(prepared) == {"messages"}


def test_the_callers_history_stays_as_it_is(llm: NVCF):
    history = [ChatMessage(content="a")]
    prepared = llm._prepare_chat_with_tools(TOOLS, user_msg="b", chat_history=history, seed=3)
    assert [message.content for message in prepared["messages"]] == ["a", "b"]
    assert [message.content for message in history] == ["a"]
    assert prepared["seed"] == 3
    message = ChatMessage(content="c")
    assert llm._prepare_chat_with_tools(TOOLS, user_msg=message)["messages"] == [message]


def test_a_long_description_is_no_obstacle(llm: NVCF):
    tool = FunctionTool.from_defaults(weather, description="d" * 5000)
    (sent,) = llm._prepare_chat_with_tools([tool])["tools"]
    assert sent["function"]["description"] == "d" * 5000


@pytest.mark.parametrize("way", ["whole", "stream"])
def test_calls_come_back_whole_and_streamed(make, server: Emulator, colour, way: str):
    llm = make(KIMI)
    server.reply(reasoning="let me see", text="I look.", tool_calls=[PARIS, ACME])
    given = {"user_msg": "weather, stocks", "allow_parallel_tool_calls": True}
    if way == "whole":
        response = colour.call(llm, "chat_with_tools", TOOLS, **given)
    else:
        response = colour.stream(llm, "stream_chat_with_tools", TOOLS, **given)[-1]
    calls = llm.get_tool_calls_from_response(response)
    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [
        ("weather", {"city": "Paris"}), ("stocks", {"symbol": "ACME"})
    ]  # fmt: skip
    blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    assert [block.tool_call_id for block in blocks] == [call.tool_id for call in calls]
    assert all(call.tool_id for call in calls)
    assert response.message.content == "I look."
    assert response.additional_kwargs["finish_reason"] == "tool_calls"
    body = server.chats[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["weather", "stocks"]
    assert "tool_choice" not in body
    assert "parallel_tool_calls" not in body


TOOL_SHAPES = [
    "default", "tool-ids-repeated", "tool-ids-empty", "tool-ids-null", "tool-ids-missing",
    "tool-index-missing", "tool-arguments-null", "tool-arguments-absent", "tool-arguments-object",
    "tool-calls-whole", "tool-interleaved", "kimi-ids", "tool-stop", "tool-newlines-first",
    "tool-name-every", "small-pieces", "usage-cumulative", "whole-on-stream",
]  # fmt: skip


@pytest.mark.parametrize("shape", TOOL_SHAPES)
def test_fragments_of_every_shape_grow_into_the_same_calls(make, server: Emulator, shape: str):
    llm = make(KIMI)
    server.reply(tool_calls=[PARIS, ACME], shape=shape)
    ids: list[set[str]] = [set(), set()]
    last = None
    for last in llm.stream_chat_with_tools(TOOLS, user_msg="x", allow_parallel_tool_calls=True):
        selections = llm.get_tool_calls_from_response(last, error_on_no_tool_call=False)
        for place, selection in enumerate(selections):
            ids[place].add(selection.tool_id)
            assert set(selection.tool_kwargs) <= {"city", "symbol"}
    calls = llm.get_tool_calls_from_response(last)
    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [
        ("weather", {"city": "Paris"}), ("stocks", {"symbol": "ACME"})
    ]  # fmt: skip
    assert [len(seen) for seen in ids] == [1, 1]
    assert ids[0] != ids[1]


def test_names_that_the_service_refuses_are_mapped_there_and_back(make, server: Emulator, colour):
    odd = FunctionTool(weather, ToolMetadata(name="wétter.heute", description="Weather."))
    llm = make(KIMI)
    first = colour.call(llm, "chat_with_tools", [odd], user_msg="hi", tool_choice="wétter.heute")
    (call,) = llm.get_tool_calls_from_response(first)
    assert call.tool_name == "wétter.heute"
    body = server.chats[0].body
    safe = body["tools"][0]["function"]["name"]
    assert safe == "w_tter_heute"
    assert body["tool_choice"] == {"type": "function", "function": {"name": safe}}
    history = [
        ChatMessage(content="hi"),
        first.message,
        ChatMessage(role="tool", content="5", additional_kwargs={"tool_call_id": call.tool_id}),
    ]
    colour.call(llm, "chat_with_tools", [odd], chat_history=history)
    sent = server.chats[1].body["messages"][1]["tool_calls"][0]
    assert sent["function"]["name"] == safe


def test_one_call_at_a_time_where_the_page_lacks_the_field(make, server: Emulator, colour, way):
    llm = make(KIMI)
    server.reply(tool_calls=[PARIS, ACME])
    if way == "whole":
        response = colour.call(llm, "chat_with_tools", TOOLS, user_msg="x")
    else:
        response = colour.stream(llm, "stream_chat_with_tools", TOOLS, user_msg="x")[-1]
    assert [call.tool_name for call in llm.get_tool_calls_from_response(response)] == ["weather"]
    assert len(response.message.additional_kwargs["tool_calls"]) == 1
    assert "parallel_tool_calls" not in server.chats[0].body


def test_one_call_at_a_time_is_asked_for_where_the_page_has_the_field(make, server: Emulator):
    llm = make(SUPER)
    server.reply(tool_calls=[PARIS, ACME])
    response = llm.chat_with_tools(TOOLS, user_msg="x")
    assert server.chats[0].body["parallel_tool_calls"] is False
    assert [call.tool_name for call in llm.get_tool_calls_from_response(response)] == ["weather"]


def response_of(*arguments: Any, **facts: Any) -> ChatResponse:
    blocks = [
        ToolCallBlock(tool_call_id=f"id-{place}", tool_name="f", tool_kwargs=given)
        for place, given in enumerate(arguments)
    ]
    message = ChatMessage(role="assistant", blocks=[TextBlock(text="t"), *blocks])
    return ChatResponse(message=message, additional_kwargs=facts)


def test_trimming_leaves_the_response_that_listeners_hold_as_it_was():
    response = response_of("{}", "{}")
    response.message.additional_kwargs["tool_calls"] = [1, 2]
    trimmed = keep_first_tool_call(response)
    assert [block.block_type for block in trimmed.message.blocks] == ["text", "tool_call"]
    assert trimmed.message.additional_kwargs["tool_calls"] == [1]
    assert len(response.message.blocks) == 3
    assert response.message.additional_kwargs["tool_calls"] == [1, 2]
    assert keep_first_tool_call(trimmed) is trimmed


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ("", {}),
        ('{"a"', {}),
        ('{"a": "x', {"a": "x"}),
        ('{"a": 1, "b', {"a": 1}),
        ("null", {}),
        ("[1", {}),
        ("nonsense", {}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_half_of_the_arguments_is_tolerated_while_they_stream(llm: NVCF, arguments, parsed):
    (call,) = llm.get_tool_calls_from_response(response_of(arguments, partial=True))
    assert call.tool_kwargs == parsed


@pytest.mark.parametrize("arguments", ['{"a": "x', '{"a": 1}', ""])
@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_tokens"), ("content_filter", "filter")]
)
def test_a_call_of_an_answer_that_was_cut_is_refused(
    llm: NVCF, arguments: str, finish: str, reason: str
):
    with pytest.raises(ValueError, match=f"finish_reason '{finish}'") as caught:
        llm.get_tool_calls_from_response(response_of("{}", arguments, finish_reason=finish))
    assert reason in str(caught.value)
    assert type(caught.value) is ValueError


def anything(**given: Any) -> str:
    RAN.append(given)
    return "ran"


def one(city: str = "Rome") -> str:
    RAN.append(city)
    return "ran"


def nothing() -> str:
    RAN.append(None)
    return "ran"


RAN: list[Any] = []
"""What the functions above were called with."""


@pytest.mark.parametrize("function", [anything, one, nothing])
@pytest.mark.parametrize("arguments", ['{"a": "x', "[1]", '"text"', "nonsense", '{"a":1}{"a":2}'])
@pytest.mark.parametrize("facts", [{}, {"finish_reason": "tool_calls"}, {"finish_reason": "stop"}])
async def test_a_call_with_bad_arguments_fails_when_it_is_run_and_says_why(
    llm: NVCF, function: Any, arguments: str, facts: dict[str, Any]
):
    RAN.clear()
    tool = FunctionTool.from_defaults(function, name="f")
    (selection,) = llm.get_tool_calls_from_response(response_of(arguments, **facts))
    assert (selection.tool_id, selection.tool_name) == ("id-0", "f")
    outputs = [
        call_tool_with_selection(selection, [tool]),
        await acall_tool_with_selection(selection, [tool]),
    ]
    for output in outputs:
        assert output.is_error
        assert re.search("arguments are not (a )?JSON", output.content)
    assert RAN == []
    assert json.loads(selection.model_dump_json())["tool_kwargs"]["arguments"] == arguments


def test_no_call_is_an_error_only_if_one_was_wanted(llm: NVCF):
    response = response_of(finish_reason="stop")
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match=r"Expected at least one tool call.*'t'"):
        llm.get_tool_calls_from_response(response)


def test_where_a_call_was_wanted_and_the_answer_was_cut_the_error_says_so(llm: NVCF):
    with pytest.raises(ValueError, match=r"Expected at least one tool call.*max_tokens.*'length'"):
        llm.get_tool_calls_from_response(response_of(finish_reason="length"))


def test_a_streamed_call_that_max_tokens_cut_is_refused_at_the_end(make, server: Emulator, colour):
    llm = make(KIMI, max_tokens=1)
    responses = colour.stream(
        llm, "stream_chat_with_tools", TOOLS, user_msg="weather", tool_choice="weather",
        reasoning_effort="none",
    )  # fmt: skip
    for response in responses[:-1]:
        llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    with pytest.raises(ValueError, match="length"):
        llm.get_tool_calls_from_response(responses[-1], error_on_no_tool_call=False)


def test_predict_and_call_runs_the_tool(make, server: Emulator, colour):
    llm = make(KIMI)
    server.reply(tool_calls=[PARIS])
    answer = colour.call(llm, "predict_and_call", [WEATHER], user_msg="x")
    assert str(answer) == "sunny in Paris"
    server.reply(tool_calls=[PARIS, ACME])
    answer = colour.call(
        llm, "predict_and_call", TOOLS, user_msg="x", allow_parallel_tool_calls=True
    )
    assert str(answer) == "sunny in Paris\n\nACME at 5"


def test_the_second_turn_carries_the_first_letter_for_letter(make, server: Emulator, colour, way):
    llm = make(KIMI)
    arguments = '{"city":   "Paris"}'
    server.reply(
        reasoning="a thought",
        text="One moment.",
        tool_calls=[{"name": "weather", "arguments": arguments, "id": "functions.weather:0"}],
    )
    first = colour.answer(llm, way, [ChatMessage(content="weather?")], **offered(llm))
    kept = ChatMessage.model_validate_json(first.message.model_dump_json())
    result = ChatMessage(
        role="tool", content="sunny", additional_kwargs={"tool_call_id": "functions.weather:0"}
    )
    colour.answer(llm, way, [ChatMessage(content="weather?"), kept, result], **offered(llm))
    assert server.chats[1].body["messages"] == [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "One moment.",
            "tool_calls": [
                {
                    "id": "functions.weather:0",
                    "type": "function",
                    "function": {"name": "weather", "arguments": arguments},
                }
            ],
            "reasoning_content": "a thought",
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "functions.weather:0"},
    ]


def offered(llm: NVCF) -> dict[str, Any]:
    prepared = llm._prepare_chat_with_tools([WEATHER], allow_parallel_tool_calls=True)
    return {"tools": prepared["tools"]}


def test_thoughts_go_back_to_kimi_and_to_no_other(make, server: Emulator):
    for model in (KIMI, SUPER):
        llm = make(model)
        server.reply(reasoning="a thought", tool_calls=[PARIS])
        first = llm.chat_with_tools([WEATHER], user_msg="weather?")
        (call,) = llm.get_tool_calls_from_response(first)
        result = ChatMessage(
            role="tool", content="sunny", additional_kwargs={"tool_call_id": call.tool_id}
        )
        history = [ChatMessage(content="weather?"), first.message, result]
        llm.chat_with_tools([WEATHER], chat_history=history)
        sent = server.chats[-1].body["messages"][1]
        assert ("reasoning_content" in sent) == (model == KIMI)
        assert "a thought" not in json.dumps(sent) or model == KIMI


def test_a_kimi_that_insists_on_its_thoughts_gets_them(make, server: Emulator, colour, way):
    server.require_reasoning = True
    llm = make(KIMI)
    first = colour.answer(llm, way, [ChatMessage(content="weather in Paris")], **offered(llm))
    (call,) = llm.get_tool_calls_from_response(first)
    extra = {"tool_call_id": call.tool_id}
    result = ChatMessage(role="tool", content="sunny", additional_kwargs=extra)
    history = [ChatMessage(content="weather in Paris"), first.message, result]
    assert "sunny" in str(colour.answer(llm, way, history, **offered(llm)))


def test_tool_results_with_media_and_without_text(make, server: Emulator, media):
    from llama_index.core.base.llms.types import ImageBlock

    llm = make(KIMI)
    block = ToolCallBlock(tool_call_id="a", tool_name="weather", tool_kwargs={"city": "x"})
    history = [
        ChatMessage(content="x"),
        ChatMessage(role="assistant", blocks=[block]),
        ChatMessage(
            role="tool",
            blocks=[TextBlock(text="see"), ImageBlock(image=media.png())],
            additional_kwargs={"tool_call_id": "a"},
        ),
    ]
    llm.chat(history)
    messages = server.chats[0].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[2]["content"] == "see"
    assert messages[3]["content"][0]["type"] == "image_url"
    history[2].blocks = []
    llm.chat(history)
    assert server.chats[1].body["messages"][2]["content"] == ""


def test_tools_go_out_with_one_warning_each_where_the_page_has_none(make, server: Emulator):
    llm = make("google/gemma-3n-e2b-it", max_retries=0)
    assert llm.metadata.is_function_calling_model is False
    prepared = llm._prepare_chat_with_tools([WEATHER], user_msg="x", tool_required=True)
    for number in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(BadRequestError):
                llm.chat(**prepared)
        said = [str(each.message) for each in caught if each.category is NVCFWarning]
        assert len(said) == (0 if number else 2)
        assert all("does not have it" in each for each in said)
    assert server.chats[0].body["tools"]


def test_a_model_as_a_tool_schema(make, server: Emulator):
    class Place(BaseModel):
        city: str
        zip: int | None = None

    tool = FunctionTool.from_defaults(lambda **given: str(given), name="find", fn_schema=Place)
    llm = make(KIMI)
    response = llm.chat_with_tools([tool], user_msg='"Rome"', tool_required=True)
    (call,) = llm.get_tool_calls_from_response(response)
    assert call.tool_kwargs["city"] == "Rome"
    assert server.chats[0].body["tool_choice"] == "required"
