"""Clients that nobody here wrote: whole and streamed, with tools, sync and async; recorded, and replayed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from nvcf_emulator import Emulator

pytestmark = pytest.mark.peers

KIMI = "moonshotai/kimi-k2.6"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}
TOOL = {"type": "function", "function": FUNCTION}
QUESTION = "What is the weather in 'Paris'?"
HELLO = [{"role": "user", "content": "Hello there"}]
ASKING = [{"role": "user", "content": QUESTION}]


def added(chunks):
    """The text, and the name and arguments of the first call, of a stream of OpenAI's chunks."""
    text, name, arguments = "", "", ""
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    return text, name, json.loads(arguments) if arguments else None


def called(message):
    (call,) = message.tool_calls
    return call.id, call.function.name, json.loads(call.function.arguments)


class OpenAI:
    """The openai SDK."""

    def __init__(self, where, key):
        openai = pytest.importorskip("openai")
        self.given = {"base_url": where.base_url, "api_key": key, "max_retries": 0}
        self.sync, self.asynchronous = openai.OpenAI, openai.AsyncOpenAI

    def run(self):
        with self.sync(**self.given) as client:
            create = client.chat.completions.create
            yield create(model=KIMI, messages=HELLO).model_dump()
            yield added(create(model=KIMI, messages=HELLO, stream=True))
            yield called(create(model=KIMI, messages=ASKING, tools=[TOOL]).choices[0].message)
            yield added(create(model=KIMI, messages=ASKING, tools=[TOOL], stream=True))

    async def arun(self):
        async with self.asynchronous(**self.given) as client:
            create = client.chat.completions.create
            yield (await create(model=KIMI, messages=HELLO)).model_dump()
            stream = await create(model=KIMI, messages=HELLO, stream=True)
            yield added([chunk async for chunk in stream])
            answer = await create(model=KIMI, messages=ASKING, tools=[TOOL])
            yield called(answer.choices[0].message)
            stream = await create(model=KIMI, messages=ASKING, tools=[TOOL], stream=True)
            yield added([chunk async for chunk in stream])


class LangChain:
    """A chat model of LangChain's."""

    def made(self, where, key):
        raise NotImplementedError

    def __init__(self, where, key):
        self.model = self.made(where, key)
        self.caller = self.model.bind_tools([TOOL])

    @staticmethod
    def told(message):
        calls = [(call["id"], call["name"], call["args"]) for call in message.tool_calls]
        return message.text, calls, message.usage_metadata

    @classmethod
    def summed(cls, chunks):
        total = chunks[0]
        for chunk in chunks[1:]:
            total += chunk
        return cls.told(total)

    def run(self):
        for model, asked in ((self.model, "Hello there"), (self.caller, QUESTION)):
            yield self.told(model.invoke(asked))
            yield self.summed(list(model.stream(asked)))

    async def arun(self):
        for model, asked in ((self.model, "Hello there"), (self.caller, QUESTION)):
            yield self.told(await model.ainvoke(asked))
            yield self.summed([chunk async for chunk in model.astream(asked)])


class LangChainOpenAI(LangChain):
    """langchain-openai."""

    def made(self, where, key):
        peer = pytest.importorskip("langchain_openai")
        return peer.ChatOpenAI(model=KIMI, base_url=where.base_url, api_key=key, max_retries=0)


class LangChainNVIDIA(LangChain):
    """langchain-nvidia-ai-endpoints."""

    def made(self, where, key):
        peer = pytest.importorskip("langchain_nvidia_ai_endpoints")
        return peer.ChatNVIDIA(model=KIMI, base_url=where.base_url, api_key=key)


class LlamaIndexNVIDIA:
    """llama-index-llms-nvidia."""

    def __init__(self, where, key):
        peer = pytest.importorskip("llama_index.llms.nvidia")
        tools = pytest.importorskip("llama_index.core.tools")
        given = {"base_url": where.base_url, "api_key": key, "max_retries": 0}
        self.llm = peer.NVIDIA(
            KIMI, is_chat_model=True, is_function_calling_model=True, max_tokens=99, **given
        )
        self.tools = [tools.FunctionTool.from_defaults(self.weather)]

    @staticmethod
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}."

    def told(self, response):
        calls = self.llm.get_tool_calls_from_response(response)
        return [(call.tool_id, call.tool_name, call.tool_kwargs) for call in calls]

    def run(self):
        yield self.llm.complete("Hello there").text
        yield list(self.llm.stream_complete("Hello there"))[-1].text
        yield self.told(self.llm.chat_with_tools(self.tools, QUESTION))
        yield self.told(list(self.llm.stream_chat_with_tools(self.tools, QUESTION))[-1])

    async def arun(self):
        yield (await self.llm.acomplete("Hello there")).text
        stream = await self.llm.astream_complete("Hello there")
        yield [response async for response in stream][-1].text
        yield self.told(await self.llm.achat_with_tools(self.tools, QUESTION))
        stream = await self.llm.astream_chat_with_tools(self.tools, QUESTION)
        yield self.told([response async for response in stream][-1])


CLIENTS = [OpenAI, LangChainOpenAI, LangChainNVIDIA, LlamaIndexNVIDIA]


def require_what_was_asked_for(answers):
    first, second, *calls = map(repr, answers)
    assert '"Hello there"' in first.replace('\\"', '"')
    assert '"Hello there"' in second.replace('\\"', '"')
    assert len(calls) == 2
    for call in calls:
        assert "weather" in call
        assert "{'city': 'Paris'}" in call


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.filterwarnings("default")
def test_synchronous(server, tmp_path, client):
    path = tmp_path / "session.jsonl"
    with Emulator.record(path, upstream=server.base_url) as recorder:
        first = list(client(recorder, server.api_key).run())
    require_what_was_asked_for(first)
    assert server.api_key not in path.read_text()
    with Emulator.replay(path) as replayed:
        assert list(client(replayed, "nvapi-another").run()) == first
        assert replayed.unused == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.filterwarnings("default")
async def test_asynchronous(server, tmp_path, client):
    path = tmp_path / "session.jsonl"
    with Emulator.record(path, upstream=server.base_url) as recorder:
        first = [answer async for answer in client(recorder, server.api_key).arun()]
    require_what_was_asked_for(first)
    assert server.api_key not in path.read_text()
    with Emulator.replay(path) as replayed:
        assert [answer async for answer in client(replayed, "nvapi-another").arun()] == first
        assert replayed.unused == []


LITELLM = """
import asyncio, json, sys
import litellm

base_url, key, model, hello, asking, tool = json.loads(sys.stdin.read())
given = {"model": f"nvidia_nim/{model}", "api_base": base_url, "api_key": key, "max_retries": 0}
wanted = [{"messages": hello}, {"messages": asking, "tools": [tool]}]

def told(response):
    message = response.choices[0].message
    return [message.content, [call.model_dump() for call in message.tool_calls or ()]]

def added(chunks):
    return told(litellm.stream_chunk_builder(chunks))

async def session():
    for more in wanted:
        yield told(await litellm.acompletion(**given, **more))
        stream = await litellm.acompletion(**given, **more, stream=True)
        yield added([chunk async for chunk in stream])

async def gathered():
    return [answer async for answer in session()]

answers = []
for more in wanted:
    answers.append(told(litellm.completion(**given, **more)))
    answers.append(added(list(litellm.completion(**given, **more, stream=True))))
print(json.dumps(answers + asyncio.run(gathered())))
"""


def litellm_session(where, key):
    """What litellm answers; in a process of its own, since it leaves sockets and a loop open."""
    given = json.dumps([where.base_url, key, KIMI, HELLO, ASKING, TOOL])
    # It fetches a list of prices while it is imported, unless told not to.
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", LITELLM], input=given, capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(300)  # Its import alone takes long on a busy machine, and there are two.
@pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
def test_litellm(server, tmp_path):
    path = tmp_path / "session.jsonl"
    with Emulator.record(path, upstream=server.base_url) as recorder:
        first = litellm_session(recorder, server.api_key)
    assert len(first) == 8
    for text, _ in (*first[:2], *first[4:6]):
        assert '"Hello there"' in text
    for _, (call,) in (*first[2:4], *first[6:]):
        assert call["function"]["name"] == "weather"
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert server.api_key not in path.read_text()
    with Emulator.replay(path) as replayed:
        assert litellm_session(replayed, "nvapi-another") == first
        assert replayed.unused == []
