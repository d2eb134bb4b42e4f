"""Both adapters on one screen: a stream with its reasoning, a chat, what they cost, and a clear error.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]" rich
"""

from typing import Any

from _service import connection
from langchain_core.messages import AIMessageChunk
from llama_index.core.llms import ChatMessage
from rich.console import Console

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.errors import InvalidRequestError

MODEL = "moonshotai/kimi-k2.6"

console = Console(highlight=False, soft_wrap=True)


def stream_with_langchain(service: dict[str, Any]) -> None:
    console.rule("LangChain: a stream, its reasoning apart from the answer", align="left")
    model = ChatNVCF(model=MODEL, reasoning_effort="high", **service)
    answer, kind = AIMessageChunk(content=""), ""
    for chunk in model.stream("Why is the sky blue?"):
        for block in chunk.content_blocks:
            if block["type"] != kind:
                kind = block["type"]
                console.print(f"\n[bold]{kind}:[/]")
            style = "dim" if kind == "reasoning" else None
            console.print(block.get(kind), style=style, end="", markup=False)
        answer += chunk
    console.print(f"\n[bold]usage:[/] {answer.usage_metadata}")


def chat_with_llamaindex(service: dict[str, Any]) -> None:
    console.rule("LlamaIndex: a chat", align="left")
    llm = NVCF(model=MODEL, reasoning_effort="none", **service)
    response = llm.chat([ChatMessage(content="Name three colours of the rainbow.")])
    console.print(response.message.content, markup=False)
    console.print(f"[bold]tokens in all:[/] {response.additional_kwargs['total_tokens']}")


def make_a_mistake(service: dict[str, Any]) -> None:
    console.rule("A mistake: refused before anything is sent", align="left")
    try:
        ChatNVCF(model=MODEL, **service).invoke("Hello", temperature=1.5)
    except InvalidRequestError as error:
        console.print(f"[bold]InvalidRequestError:[/] {error}")


if __name__ == "__main__":
    with connection() as service:
        stream_with_langchain(service)
        chat_with_llamaindex(service)
        make_a_mistake(service)
