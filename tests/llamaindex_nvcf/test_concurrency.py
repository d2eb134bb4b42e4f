"""One model object shared by loops, threads and tasks: every answer reaches its own question."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage

from nvcf_emulator import Emulator


def question(number: int) -> list[ChatMessage]:
    return [ChatMessage(content=f"question number {number}.")]


def test_three_loops_in_a_row(make, server: Emulator):
    llm = make()

    async def both(number: int) -> list[str]:
        whole = await llm.achat(question(number))
        stream = await llm.astream_chat(question(number))
        last = [response async for response in stream][-1]
        return [whole.message.content, last.message.content]

    for number in range(3):
        for answer in asyncio.run(both(number)):
            assert f"question number {number}." in answer
    assert len(server.chats) == 6


# The framework reads its own deprecated attributes.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_agent_in_three_loops_in_a_row(make, server: Emulator):
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    llm = make()

    async def run() -> str:
        return str(await FunctionAgent(tools=[double], llm=llm).run("double the number 21"))

    for _ in range(3):
        assert "42" in asyncio.run(run())


def test_64_threads(make, server: Emulator):
    llm = make()

    def ask(number: int) -> bool:
        if number % 2:
            answer = llm.chat(question(number)).message.content
        else:
            answer = list(llm.stream_chat(question(number)))[-1].message.content
        return f"question number {number}." in answer

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(ask, range(192)))
    assert len(server.chats) == 192


async def test_100_tasks(make, server: Emulator):
    llm = make()

    async def ask(number: int) -> bool:
        if number % 2:
            answer = (await llm.achat(question(number))).message.content
        else:
            stream = await llm.astream_chat(question(number))
            answer = [response async for response in stream][-1].message.content
        return f"question number {number}." in answer

    assert all(await asyncio.gather(*(ask(number) for number in range(100))))
    await llm.aclose()


def test_loops_and_threads_at_once(make, server: Emulator):
    llm = make()

    def ask(number: int) -> bool:
        if number % 2:
            answer = asyncio.run(llm.achat(question(number))).message.content
        else:
            answer = llm.complete(f"question number {number}.").text
        return f"question number {number}." in answer

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(48)))


def test_it_can_be_used_again_after_closing(make, server: Emulator, colour):
    llm = make()
    for _ in range(3):
        assert "question number 1." in colour.call(llm, "chat", question(1)).message.content
        llm.close()
