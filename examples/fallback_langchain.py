"""Fallbacks between providers: from a model that has gone to OpenAI's, and from OpenAI's to one of NVIDIA's.

Needs: pip install "nvcf-adapters[langchain,emulator]" langchain-openai
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from _service import connection, stand_in
from langchain_openai import ChatOpenAI

from langchain_nvcf import ChatNVCF

GONE = "moonshotai/kimi-k2.6"  # Left NVIDIA's catalogue in July 2026.
OTHER = "gpt-5-mini"


@contextmanager
def other_provider() -> Iterator[dict[str, Any]]:
    """The keywords with which `ChatOpenAI` reaches OpenAI, or a stand-in where there is no key."""
    if os.environ.get("OPENAI_API_KEY"):
        yield {}
        return
    with stand_in(OTHER) as service:
        yield {name: service[name] for name in ("base_url", "api_key")}


def ask(model: Any, question: str) -> None:
    answer = model.invoke(question)
    print(f"> {question}\n{answer.text} ({answer.response_metadata['model_name']})\n")


if __name__ == "__main__":
    with connection() as service, other_provider() as other:
        gone = ChatNVCF(model=GONE, **service)
        openai = ChatOpenAI(model=OTHER, max_retries=1, timeout=60, **other)
        nemotron = ChatNVCF(model="nvidia/nemotron-3-super-120b-a12b", **service)
        ask(gone.with_fallbacks([openai]), "Who wrote the Odyssey?")
        ask(openai.with_fallbacks([nemotron]), "Who wrote the Aeneid?")
