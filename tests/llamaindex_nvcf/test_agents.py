"""LlamaIndex's own agents: whole conversations, with the bytes of each turn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import (
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context, JsonSerializer
from pydantic import BaseModel

from llamaindex_nvcf import NVCF, RateLimitError
from nvcf_emulator import Emulator

# The framework reads its own deprecated attributes.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore:Skipping serialization",
    "ignore:.*has no reasoning:nvcf_core.errors.NVCFWarning",
)

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def call(name: str, call_id: str = "call-1", **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "name": name, "arguments": arguments}


def sent(call: dict[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    return {"id": call["id"], "type": "function", "function": function}


@pytest.fixture(params=[KIMI, SUPER])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def llm(make: Any, model: str) -> AsyncIterator[NVCF]:
    built = make(model)
    yield built
    await built.aclose()


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_and_every_byte_it_sends(
    server: Emulator, llm: NVCF, model: str, streaming: bool
):
    agent = FunctionAgent(tools=[add], llm=llm, system_prompt="Be brief.", streaming=streaming)
    adding = call("add", a=2, b=3)
    server.reply(reasoning="I must add", text="Adding.", tool_calls=[adding])
    server.reply(reasoning="done", text="It is 5.")
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    handler = agent.run("what is 2 + 3?", memory=memory)
    streamed = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    result = await handler
    assert str(result) == "It is 5."
    assert [(each.tool_name, each.tool_kwargs) for each in result.tool_calls] == [
        ("add", {"a": 2, "b": 3})
    ]
    if streaming:
        assert "".join(event.delta for event in streamed) == "Adding.It is 5."
        thoughts = "".join(event.thinking_delta or "" for event in streamed)
        assert thoughts == "I must adddone"

    first, second = (request.body for request in server.chats)
    assert first["stream"] is second["stream"] is streaming
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "what is 2 + 3?"},
    ]
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add"]
    answer = {"role": "assistant", "content": "Adding.", "tool_calls": [sent(adding)]}
    if model == KIMI:
        answer["reasoning_content"] = "I must add"
    result_message = {"role": "tool", "content": "5", "tool_call_id": "call-1"}
    assert second["messages"] == [*first["messages"], answer, result_message]
    assert second["tools"] == first["tools"]

    server.reply(text="It was 5.")
    assert str(await agent.run("what was it?", memory=memory)) == "It was 5."
    last = {"role": "assistant", "content": "It is 5."}
    if model == KIMI:
        last["reasoning_content"] = "done"
    assert server.chats[2].body["messages"] == [
        *second["messages"], last, {"role": "user", "content": "what was it?"}
    ]  # fmt: skip


async def test_calls_side_by_side(server: Emulator, llm: NVCF, model: str):
    agent = FunctionAgent(tools=[add, weather], llm=llm)
    both = [call("add", "id-1", a=1, b=1), call("weather", "id-2", city="Rome")]
    server.reply(tool_calls=both)
    server.reply(text="Two, and sunny.")
    assert str(await agent.run("1 + 1, and Rome?")) == "Two, and sunny."
    *_, answer, one, two = server.chats[1].body["messages"]
    assert answer["tool_calls"] == [sent(each) for each in both]
    results = {message["tool_call_id"]: message["content"] for message in (one, two)}
    assert results == {"id-1": "2", "id-2": "sunny in Rome"}
    assert "parallel_tool_calls" not in server.chats[0].body


async def test_the_emulator_itself_calls_the_tool_that_the_words_name(server: Emulator, llm: NVCF):
    agent = FunctionAgent(tools=[add, weather], llm=llm)
    assert "sunny in" in str(await agent.run('What is the weather in the city "Oslo"?'))
    assert len(server.chats) == 2


async def test_a_first_tool_that_is_forced(server: Emulator, llm: NVCF):
    agent = FunctionAgent(tools=[add, weather], llm=llm, initial_tool_choice="weather")
    await agent.run("hello")
    first, second = (request.body for request in server.chats)
    assert first["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert "tool_choice" not in second


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_tool_that_answers_for_the_agent(server: Emulator, llm: NVCF, streaming: bool):
    tool = FunctionTool.from_defaults(weather, return_direct=True)
    agent = FunctionAgent(tools=[tool], llm=llm, streaming=streaming)
    server.reply(tool_calls=[call("weather", city="Rome")])
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    assert str(await agent.run("Rome?", memory=memory)) == "sunny in Rome"
    assert len(server.chats) == 1
    server.reply(text="You are welcome.")
    await agent.run("thanks", memory=memory)
    messages = server.chats[1].body["messages"]
    assert [message["role"] for message in messages] == [
        "user", "assistant", "tool", "assistant", "user"
    ]  # fmt: skip
    assert "tool_call_id" not in messages[3]


async def test_a_tool_that_fails_is_told_to_the_model(server: Emulator, llm: NVCF):
    def broken() -> str:
        """Break."""
        raise RuntimeError("no such luck")

    agent = FunctionAgent(tools=[broken], llm=llm)
    server.reply(tool_calls=[call("broken")])
    server.reply(text="Sorry.")
    assert str(await agent.run("go")) == "Sorry."
    assert server.chats[1].body["messages"][-1]["content"] == "no such luck"


async def test_a_tool_that_says_nothing(server: Emulator, llm: NVCF):
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(lambda: "", name="quiet")], llm=llm)
    server.reply(tool_calls=[call("quiet")])
    server.reply(text="Done.")
    assert str(await agent.run("go")) == "Done."
    assert server.chats[1].body["messages"][-1]["role"] == "tool"


async def test_an_agent_that_is_stopped_early_still_sums_up(server: Emulator, llm: NVCF):
    agent = FunctionAgent(tools=[add], llm=llm, early_stopping_method="generate")
    server.reply(tool_calls=[call("add", a=1, b=1)])
    server.reply(text="I had to stop.")
    assert str(await agent.run("go on", max_iterations=1)) == "I had to stop."
    last = server.chats[-1].body["messages"][-1]
    assert last["role"] in ("system", "user")
    assert "max" in last["content"].lower() or "iteration" in last["content"].lower()


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_hand_off(server: Emulator, llm: NVCF, model: str, streaming: bool):
    common = {"llm": llm, "streaming": streaming}
    writer = FunctionAgent(
        name="writer", description="writes", tools=[add], system_prompt="W.", **common
    )
    critic = FunctionAgent(
        name="critic", description="judges", tools=[weather], system_prompt="C.", **common
    )
    workflow = AgentWorkflow(agents=[writer, critic], root_agent="writer")
    server.reply(
        reasoning="not mine", tool_calls=[call("handoff", to_agent="critic", reason="judge it")]
    )
    server.reply(tool_calls=[call("weather", "call-2", city="Rome")])
    server.reply(text="Good.")
    handler = workflow.run(user_msg="is it good?")
    results = [
        event async for event in handler.stream_events() if isinstance(event, ToolCallResult)
    ]
    assert str(await handler) == "Good."
    assert [event.tool_name for event in results] == ["handoff", "weather"]
    first, second, third = (request.body["messages"] for request in server.chats)
    assert [message["role"] for message in first] == ["system", "user"]
    assert (first[0]["content"], second[0]["content"]) == ("W.", "C.")
    assert second[2]["tool_calls"][0]["function"]["name"] == "handoff"
    assert (second[2].get("reasoning_content") == "not mine") == (model == KIMI)
    assert third[-1] == {
        "role": "tool", "content": "sunny in Rome", "tool_call_id": "call-2"
    }  # fmt: skip


async def test_a_context_saved_and_loaded_in_the_middle_of_a_tool_loop(
    server: Emulator, llm: NVCF, model: str
):
    agent = FunctionAgent(tools=[add], llm=llm)
    server.reply(reasoning="a thought", tool_calls=[call("add", a=2, b=3)])
    server.fail(400)
    ctx = Context(agent)
    with pytest.raises(Exception, match="HTTP 400"):
        await agent.run("2 + 3?", ctx=ctx)
    saved = json.loads(json.dumps(ctx.to_dict(serializer=JsonSerializer())))
    assert server.api_key not in json.dumps(saved)

    restored = Context.from_dict(agent, saved, serializer=JsonSerializer())
    scratchpad = await restored.store.get("scratchpad")
    assert [message.role.value for message in scratchpad] == ["assistant", "tool"]
    history = [ChatMessage(content="2 + 3?"), *scratchpad]
    server.reply(text="It is 5.")
    response = await llm.achat_with_tools(agent.tools, chat_history=history)
    assert response.message.content == "It is 5."
    interrupted, resumed = (request.body["messages"] for request in server.chats[1:])
    assert resumed == interrupted
    assert (resumed[1].get("reasoning_content") == "a thought") == (model == KIMI)


async def test_a_memory_saved_and_loaded_between_turns(server: Emulator, llm: NVCF, model: str):
    agent = FunctionAgent(tools=[add], llm=llm)
    server.reply(reasoning="a thought", text="First.", tool_calls=[call("add", a=2, b=3)])
    server.reply(text="It is 5.")
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    await agent.run("2 + 3?", memory=memory)
    saved = [message.model_dump_json() for message in memory.get_all()]
    messages = [ChatMessage.model_validate_json(each) for each in saved]
    restored = ChatMemoryBuffer.from_defaults(llm=llm, chat_history=messages)
    for kept in (memory, restored):
        server.reply(text="Sure.")
        await agent.run("sure?", memory=kept)
    assert server.chats[2].body["messages"] == server.chats[3].body["messages"]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("name", [KIMI, SUPER, "google/gemma-3n-e2b-it"])
async def test_a_react_agent(make, server: Emulator, name: str, streaming: bool):
    llm = make(name)
    agent = ReActAgent(tools=[weather], llm=llm, streaming=streaming)
    server.reply(text='Thought: I look.\nAction: weather\nAction Input: {"city": "Rome"}')
    server.reply(text="Thought: I can answer.\nAnswer: Sunny.")
    assert str(await agent.run("Rome?")) == "Sunny."
    first, second = (request.body for request in server.chats)
    assert "tools" not in first
    assert "weather" in json.dumps(first["messages"][0])
    assert second["messages"][-1] == {"role": "user", "content": "Observation: sunny in Rome"}
    await llm.aclose()


class Sum(BaseModel):
    total: int


async def test_an_agent_that_answers_with_an_object(server: Emulator, llm: NVCF, model: str):
    agent = FunctionAgent(tools=[add], llm=llm, output_cls=Sum)
    server.reply(tool_calls=[call("add", a=2, b=3)])
    server.reply(text="It is 5.")
    if model == KIMI:
        server.reply(tool_calls=[call("Sum", total=5)])
    else:
        server.reply(text='{"total": 5}')
    result = await agent.run("2 + 3?")
    assert result.structured_response == {"total": 5}


async def test_an_agent_meets_our_own_errors(server: Emulator, llm: NVCF):
    agent = FunctionAgent(tools=[add], llm=llm)
    server.fail(429, times=9, retry_after=0)
    with pytest.raises(RateLimitError):
        await agent.run("hello")
    assert len(server.chats) == 3


async def test_history_of_another_provider_is_taken_over(server: Emulator, llm: NVCF):
    agent = FunctionAgent(tools=[add], llm=llm)
    openai = {
        "id": "call_x", "type": "function",
        "function": {"name": "add", "arguments": '{"a":1,"b":1}'},
    }  # fmt: skip
    history = [
        ChatMessage(role="user", content="1 + 1?"),
        ChatMessage(role="assistant", content=None, additional_kwargs={"tool_calls": [openai]}),
        ChatMessage(role="tool", content="2", additional_kwargs={"tool_call_id": "call_x"}),
        ChatMessage(role="model", content="2."),
    ]
    server.reply(text="Yes.")
    await agent.run("sure?", chat_history=history)
    messages = server.chats[0].body["messages"]
    assert messages[1]["tool_calls"] == [openai]
    assert messages[3] == {"role": "assistant", "content": "2."}


@pytest.mark.parametrize("stream", [True, False])
async def test_an_agent_goes_on_after_bad_arguments(make, server: Emulator, stream: bool):
    ran: list[Any] = []

    def anything(**given: Any) -> None:
        ran.append(given)

    def one(city: str = "Rome") -> None:
        ran.append(city)

    llm = make(KIMI)
    tools = [FunctionTool.from_defaults(function) for function in (anything, one)]
    for name in ("anything", "one"):
        server.reply(tool_calls=[{"name": name, "arguments": '{"city": "Ro'}], unchecked=True)
    server.reply(text="I give up.")
    agent = FunctionAgent(tools=tools, llm=llm, streaming=stream)
    answer = await agent.run("weather?")
    assert str(answer) == "I give up."
    assert ran == []
    results = [m for m in server.chats[2].body["messages"] if m["role"] == "tool"]
    assert len(results) == 2
    assert all("not JSON" in result["content"] for result in results)
