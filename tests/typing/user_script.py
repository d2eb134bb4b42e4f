"""A user's script over both adapters: what a type checker of an editor must not complain of."""

import asyncio
import os
from pathlib import Path

import httpx
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from pydantic import BaseModel, SecretStr

from langchain_nvcf import NVCFLLM, ChatNVCF
from langchain_nvcf import errors as langchain_errors
from llamaindex_nvcf import NVCF, RateLimitError
from nvcf_core import ModelSpec, register, spec_for
from nvcf_core.errors import NVCFError


class City(BaseModel):
    name: str
    inhabitants: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def langchain() -> None:
    model = ChatNVCF(
        model="moonshotai/kimi-k2.6",
        api_key=SecretStr("nvapi-1"),
        base_url="http://127.0.0.1:8000/v1",
        temperature=0.5,
        max_tokens=100,
        reasoning_effort="low",
        timeout=httpx.Timeout(30, connect=5),
        max_retries=3,
        default_headers={"x-team": "blue"},
        validation="warn",
    )
    ChatNVCF(model="moonshotai/kimi-k2.6", api_key="nvapi-1", timeout=30)
    ChatNVCF(model="moonshotai/kimi-k2.6", api_key=lambda: os.environ["KEY"])
    answer: AIMessage = model.invoke([SystemMessage("Be brief."), HumanMessage("Hello")])
    text: str = answer.text
    usage = answer.usage_metadata
    total: int = usage["total_tokens"] if usage else 0
    for chunk in model.stream("Hello", stop=["\n"]):
        text += chunk.text
    calls = model.bind_tools([weather], tool_choice="weather").invoke("Cairo?")
    names: list[str] = [call["name"] for call in calls.tool_calls]
    structured = model.with_structured_output(City)
    city = structured.invoke("Paris")
    chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | model | StrOutputParser()
    said: str = chain.invoke({"question": "Hello"})
    patient = model.with_retry(stop_after_attempt=2).with_fallbacks([model])
    patient.batch(["a", "b"])
    agent = create_agent(model, tools=[weather])
    state = agent.invoke({"messages": [HumanMessage("Cairo?")]})
    block = model.upload("cat.png")
    model.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, block])])
    print(total, names, city, said, state["messages"][-1], model.available_models())
    with ChatNVCF(model="google/gemma-3n-e2b-it") as closing:
        closing.get_num_tokens("Hello")
    print(NVCFLLM(model="moonshotai/kimi-k2.6").invoke("Once upon a time"))


async def langchain_async() -> None:
    async with ChatNVCF(model="moonshotai/kimi-k2.6") as model:
        answer = await model.ainvoke("Hello")
        async for chunk in model.astream("Hello"):
            print(chunk.text, chunk.usage_metadata)
        print(answer.response_metadata, await model.aupload(Path("cat.png")))


def llamaindex() -> None:
    llm = NVCF(
        model="moonshotai/kimi-k2.6",
        api_key="nvapi-1",
        temperature=0.5,
        max_tokens=100,
        reasoning_effort="none",
        timeout=30.0,
    )
    answer = llm.chat([ChatMessage(role="user", content="Hello")])
    text: str = answer.message.content or ""
    for piece in llm.stream_chat([ChatMessage("Hello")]):
        text += piece.delta or ""
    picture = ChatMessage(
        role="user", blocks=[TextBlock(text="What is it?"), ImageBlock(path=Path("cat.png"))]
    )
    llm.chat([picture], stop=["\n"])
    completed: str = llm.complete("Once upon a time").text
    city = llm.as_structured_llm(City).complete("Paris").raw
    agent = FunctionAgent(llm=llm, tools=[add])
    print(text, completed, city, agent.name, llm.metadata.context_window, llm.available_models())
    llm.close()


async def llamaindex_async() -> None:
    async with NVCF(model="moonshotai/kimi-k2.6") as llm:
        await llm.achat([ChatMessage("Hello")])
        async for piece in await llm.astream_chat([ChatMessage("Hello")]):
            print(piece.delta)
        print(await llm.aupload("cat.png"))


def failures() -> None:
    try:
        langchain()
    except langchain_errors.RateLimitError as error:
        print(error.status, error.retry_after)
    try:
        llamaindex()
    except RateLimitError as error:
        print(error.status, error.request_id)
    except NVCFError as error:
        print(error.retryable)


if __name__ == "__main__":
    register(ModelSpec(id="acme/parrot", context_window=spec_for("acme/parrot").context_window))
    failures()
    asyncio.run(langchain_async())
    asyncio.run(llamaindex_async())
