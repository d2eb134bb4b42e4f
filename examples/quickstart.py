"""Both adapters on two screens: reasoning, a picture, an agent's tool, an object, a clear error, and what it all cost.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]" rich
"""

import asyncio
from pathlib import Path
from typing import Any

from _screen import Screen
from _service import connection
from langchain_core.messages import AIMessageChunk
from llama_index.core.agent.workflow import AgentOutput, AgentStream, FunctionAgent, ToolCallResult
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from pydantic import BaseModel
from rich.console import Console

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.errors import InvalidRequestError

SUPER = "nvidia/nemotron-3-super-120b-a12b"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PICTURE = Path(__file__).parent / "media" / "lake.jpg"

Service = dict[str, Any]
Tokens = tuple[int, int]
"""What was sent, and what came back."""


class City(BaseModel):
    """A city."""

    name: str
    river: str
    inhabitants: int


def monthly_payment(loan: float, years: int, percent: float) -> float:
    """The monthly payment that repays a loan in so many years at a yearly interest."""
    rate, months = percent / 1200, years * 12
    return round(loan * rate / (1 - (1 + rate) ** -months), 2)


def stream_an_answer(screen: Screen, service: Service) -> Tokens:
    question = "Why is the sky blue?"
    screen.question(question)
    model = ChatNVCF(model=SUPER, reasoning_effort="high", **service)
    answer = AIMessageChunk(content="")
    with screen.paragraph() as paragraph:
        for chunk in model.stream(question):
            for block in chunk.content_blocks:
                if block["type"] == "reasoning":
                    paragraph.write(block["reasoning"], label="Reasoning: ", style="dim italic")
                elif block["type"] == "text":
                    paragraph.write(block["text"], label="Answer: ")
            answer += chunk
    return tokens_of(answer)


def ask_about_a_picture(screen: Screen, service: Service) -> Tokens:
    question = "What is in this picture?"
    screen.question(f"{question} [{PICTURE.name}]")
    llm = NVCF(OMNI, reasoning_effort="none", **service)
    blocks = [TextBlock(text=question), ImageBlock(path=PICTURE)]
    response = llm.chat([ChatMessage(blocks=blocks)])
    screen.line(response.message.content or "")
    counts = response.additional_kwargs
    return counts["prompt_tokens"], counts["completion_tokens"]


async def let_an_agent_work(screen: Screen, service: Service) -> Tokens:
    question = "200000 EUR over 20 years at 3.5 percent. What would I pay each month?"
    screen.question(question)
    llm = NVCF(SUPER, reasoning_effort="none", **service)
    run = FunctionAgent(llm=llm, tools=[monthly_payment]).run(question)
    sent = received = 0
    with screen.paragraph() as paragraph:
        async for event in run.stream_events():
            if isinstance(event, ToolCallResult):
                paragraph.end()
                given = ", ".join(f"{name}={value}" for name, value in event.tool_kwargs.items())
                screen.line(f"{event.tool_name}({given}) = {event.tool_output.content}", "cyan")
            elif isinstance(event, AgentStream):
                paragraph.write(event.delta)
            elif isinstance(event, AgentOutput) and isinstance(event.raw, dict):
                sent += event.raw["usage"]["prompt_tokens"]
                received += event.raw["usage"]["completion_tokens"]
    await run
    return sent, received


def ask_for_an_object(screen: Screen, service: Service) -> Tokens:
    text = "Lisbon lies on the Tagus, and has 567 thousand inhabitants."
    screen.question(text)
    model = ChatNVCF(model=SUPER, reasoning_effort="none", **service)
    answer = model.with_structured_output(City, include_raw=True).invoke(text)
    assert isinstance(answer, dict)
    screen.line(repr(answer["parsed"]))
    return tokens_of(answer["raw"])


def tokens_of(message: Any) -> Tokens:
    return message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]


def make_a_mistake(screen: Screen, service: Service) -> None:
    try:
        ChatNVCF(model=SUPER, **service).invoke("Hello", temperature=1.5)
    except InvalidRequestError as error:
        screen.line(f"InvalidRequestError: {error}", "red")


def main(console: Console, service: Service) -> None:
    screen = Screen(console)
    cost: dict[str, Tokens] = {}
    screen.heading("LangChain: a stream, its reasoning set apart")
    cost["stream"] = stream_an_answer(screen, service)
    screen.heading("LlamaIndex: a picture")
    cost["picture"] = ask_about_a_picture(screen, service)
    screen.heading("LlamaIndex: an agent calls a tool")
    cost["agent"] = asyncio.run(let_an_agent_work(screen, service))
    screen.heading("LangChain: an object instead of a text")
    cost["object"] = ask_for_an_object(screen, service)
    screen.heading("A mistake, refused before anything is sent")
    make_a_mistake(screen, service)
    screen.heading("What it cost")
    for name, (sent, received) in cost.items():
        screen.line(f"{name:8}{sent:6,} tokens sent{received:6,} received")


if __name__ == "__main__":
    with connection() as service:
        main(Console(highlight=False), service)
