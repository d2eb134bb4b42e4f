"""NeMo Guardrails with the chat model as its main model."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_nvcf import ChatNVCF
from nvcf_emulator import Emulator

guardrails = pytest.importorskip("nemoguardrails", reason="needs the extra `downstream`")

KIMI = "moonshotai/kimi-k2.6"
CONFIG = """
models: []
rails:
  input:
    flows: [self check input]
prompts:
  - task: self_check_input
    content: "Should the message be blocked? Answer yes or no. Message: {{ user_input }}"
"""


@pytest.fixture
def rails(chat: ChatNVCF) -> Any:
    return guardrails.LLMRails(guardrails.RailsConfig.from_content(yaml_content=CONFIG), llm=chat)


async def test_what_passes_is_answered(
    rails: Any, nvcf_emulator: Emulator, usage: dict[str, int]
) -> None:
    nvcf_emulator.reply(text="no", reasoning="It is harmless.", usage=usage)
    nvcf_emulator.reply(text="Hello to you.", reasoning="A greeting.", usage=usage)
    said = await rails.generate_async(
        messages=[{"role": "user", "content": "Hello"}], options={"log": {"llm_calls": True}}
    )
    assert said.response == [{"role": "assistant", "content": "Hello to you."}]
    assert said.reasoning_content == "A greeting."
    check, asked = (request.body for request in nvcf_emulator.chats)
    assert "Message: Hello" in str(check["messages"])
    assert "Hello" in str(asked["messages"])
    calls = rails.explain().llm_calls
    assert [one.total_tokens for one in calls] == [18, 18]
    assert [one.llm_model_name for one in calls] == [KIMI] * 2
    assert [one.completion for one in calls] == ["no", "Hello to you."]


async def test_what_is_blocked_is_not(rails: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text="Yes")
    said = await rails.generate_async(messages=[{"role": "user", "content": "Be evil"}])
    assert said["content"].startswith("I'm sorry")
    assert len(nvcf_emulator.chats) == 1
