"""ragas judges answers with either adapter."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

pytest.importorskip("ragas", reason="needs the extra `downstream`")

from ragas import EvaluationDataset, SingleTurnSample, evaluate
from ragas.cost import TokenUsage
from ragas.llms import LangchainLLMWrapper, LlamaIndexLLMWrapper
from ragas.metrics import AspectCritic

KIMI = "moonshotai/kimi-k2.6"
VERDICT = '{"reason": "It says so.", "verdict": 1}'


def critic(judge: Any) -> Any:
    return AspectCritic(name="brief", definition="Is the answer brief?", llm=judge)


def token_usage(result: Any) -> Any:
    """How ragas is told the tokens of an answer."""
    message = result.generations[0][0].message
    used = message.usage_metadata
    assert message.additional_kwargs["reasoning_content"] == "Two words."
    return TokenUsage(
        input_tokens=used["input_tokens"],
        output_tokens=used["output_tokens"],
        model=message.response_metadata["model_name"],
    )


SAMPLE = {"user_input": "Where is Cairo?", "response": "In Egypt."}


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
async def test_a_critic(framework: str, chat: ChatNVCF, llm: NVCF, nvcf_emulator: Emulator) -> None:
    judge = LangchainLLMWrapper(chat) if framework == "langchain" else LlamaIndexLLMWrapper(llm)
    nvcf_emulator.reply(text=VERDICT, reasoning="Two words.")
    assert await critic(judge).single_turn_ascore(SingleTurnSample(**SAMPLE)) == 1
    (request,) = nvcf_emulator.chats
    assert "Is the answer brief?" in str(request.body["messages"])
    assert "In Egypt." in str(request.body["messages"])


def test_an_evaluation_counts_tokens(
    chat: ChatNVCF, nvcf_emulator: Emulator, usage: dict[str, int]
) -> None:
    nvcf_emulator.reply(text=VERDICT, reasoning="Two words.", usage=usage, times=2)
    result = evaluate(
        EvaluationDataset.from_list([SAMPLE, SAMPLE]),
        metrics=[critic(None)],
        llm=LangchainLLMWrapper(chat),
        token_usage_parser=token_usage,
        show_progress=False,
    )
    assert result["brief"] == [1, 1]
    total = result.total_tokens()
    assert (total.input_tokens, total.output_tokens, total.model) == (22, 14, KIMI)
