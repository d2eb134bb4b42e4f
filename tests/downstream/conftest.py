"""What the tests of other people's software share: models of both adapters that ask the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
OUR_WARNINGS = ("error::nvcf_core.errors.NVCFWarning", "error::ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is in this folder. None of it makes up answers: a request that is not expected is a failure."""
    for item in items:
        if "downstream" in item.path.parts:
            item.add_marker(pytest.mark.downstream)
            item.add_marker(pytest.mark.nvcf_emulator(strict=True), append=False)
            item.add_marker(pytest.mark.filterwarnings("default", *OUR_WARNINGS))


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this software reports home from a test."""
    for name, value in {
        "DO_NOT_TRACK": "true",
        "RAGAS_DO_NOT_TRACK": "true",
        "LANGSMITH_TRACING": "false",
        "LANGCHAIN_TRACING_V2": "false",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def settings(nvcf_emulator: Emulator) -> dict[str, Any]:
    """What leads a model of either adapter to the emulator."""
    return {
        "model": KIMI,
        "base_url": nvcf_emulator.base_url,
        "nvcf_url": nvcf_emulator.nvcf_url,
        "api_key": nvcf_emulator.api_key,
        "max_retries": 0,
    }


@pytest.fixture
def chat(settings: dict[str, Any]) -> Iterator[ChatNVCF]:
    """LangChain's chat model."""
    with ChatNVCF(**settings) as model:
        yield model


@pytest.fixture
def llm(settings: dict[str, Any]) -> Iterator[NVCF]:
    """LlamaIndex's LLM."""
    with NVCF(**settings) as model:
        yield model


USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
"""What the service says an answer took, wherever a test looks at tokens."""


@pytest.fixture
def usage() -> dict[str, int]:
    """A usage object to script answers with."""
    return dict(USAGE)


@pytest.fixture
def call() -> Callable[..., dict[str, Any]]:
    """A tool call to script an answer with: its id, the tool's name, the arguments."""
    return lambda id, name, **arguments: {"id": id, "name": name, "arguments": arguments}
