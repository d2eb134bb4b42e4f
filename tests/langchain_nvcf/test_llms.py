"""`NVCFLLM`: prompt in, answer text out, with everything around it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompts import PromptTemplate

from langchain_nvcf import NVCFLLM
from langchain_nvcf.errors import InvalidRequestError, RateLimitError
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
PALI = "google/paligemma"


def text_of(llm: NVCFLLM, colour: SimpleNamespace, way: str, **keywords: Any) -> str:
    if way == "whole":
        return str(colour.invoke(llm, "Hello", **keywords))
    return "".join(colour.stream(llm, "Hello", **keywords))


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("model", [KIMI, PALI])
def test_prompt_in_text_out(
    llm: Callable[..., NVCFLLM],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    model: str,
    way: str,
) -> None:
    nvcf_emulator.reply(text="Hi.", reasoning="A greeting.")
    assert text_of(llm(model), colour, way) == "Hi."
    assert nvcf_emulator.chats[0].body["messages"] == [{"role": "user", "content": "Hello"}]
    assert nvcf_emulator.chats[0].body["stream"] is (way == "streamed")


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_stop(
    llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator, colour: SimpleNamespace, way: str
) -> None:
    nvcf_emulator.reply(text=["one t", "wo three"])
    assert text_of(llm(), colour, way, stop=["two"]) == "one "


def test_what_a_generation_tells(llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    nvcf_emulator.reply(text="Hi.", reasoning="A greeting.", usage=usage, times=4)
    model = llm()
    sync = model.generate(["Hello"])
    results = [
        sync,
        asyncio.run(model.agenerate(["Hello"])),
        model.generate(["Hello"], streaming=True),
    ]
    for result in results:
        [[generation]] = result.generations
        info = generation.generation_info
        assert info is not None
        assert info["reasoning_content"] == "A greeting."
        assert info["finish_reason"] == "stop"
        assert info["model_name"] == KIMI
        assert info["request_id"]
        assert result.llm_output == {"token_usage": usage, "model_name": KIMI}


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("by_call", [True, False])
def test_the_headers_of_the_response_where_they_are_wanted(
    llm: Callable[..., NVCFLLM], include: bool, streaming: bool, by_call: bool
) -> None:
    wanted = {"include_response_headers": include}
    model, given = (
        (llm(include_response_headers=not include), wanted) if by_call else (llm(**wanted), {})
    )
    for result in (
        model.generate(["Hello"], streaming=streaming, **given),
        asyncio.run(model.agenerate(["Hello"], streaming=streaming, **given)),
    ):
        info = result.generations[0][0].generation_info or {}
        assert (info.get("headers", {}).get("nvcf-reqid") == info["request_id"]) == include


def test_batches_are_asked_side_by_side_and_add_up(
    llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    asked = [f"question {number}" for number in range(12)]
    model = llm()
    answers = colour.batch(model, asked)
    assert [question in answer for question, answer in zip(asked, answers, strict=True)] == [
        True
    ] * 12
    one, all_ = model.generate(asked[:1]), model.generate(asked[:1] * 3)
    assert one.llm_output is not None
    assert all_.llm_output is not None
    tokens = one.llm_output["token_usage"]["total_tokens"]
    assert all_.llm_output["token_usage"]["total_tokens"] == 3 * tokens
    assert colour.batch(model, asked, config={"max_concurrency": 3})[11].count("question 11") == 1


def test_a_batch_of_which_one_fails(
    llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.fail(429)
    with pytest.raises(RateLimitError):
        colour.batch(llm(), ["a", "b", "c"])
    # None goes on in the background.
    asked = len(nvcf_emulator.chats)
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.streaming == 0)
    assert len(nvcf_emulator.chats) == asked


def test_logprobs(llm: Callable[..., NVCFLLM]) -> None:
    model = llm(SUPER)
    results = [model.generate(["Hello"], logprobs=True, streaming=way) for way in (False, True)]
    infos = [result.generations[0][0].generation_info or {} for result in results]
    whole, streamed = [[entry["token"] for entry in info["logprobs"]["content"]] for info in infos]
    assert "".join(whole) == "".join(streamed) == results[0].generations[0][0].text


def test_several_choices(llm: Callable[..., NVCFLLM]) -> None:
    result = llm(SUPER).generate(["Hello"], n=2)
    [generations] = result.generations
    assert len({generation.text for generation in generations}) == 2
    with pytest.raises(InvalidRequestError):
        list(llm(SUPER).stream("Hello", n=2))


class Recorder(BaseCallbackHandler):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.tokens: list[str] = []

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self.seen.append("start")

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.seen.append("token")
        self.tokens.append(token)

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self.seen.append("end")

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.seen.append(type(error).__name__)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_callbacks_hear_everything_once(
    llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator, colour: SimpleNamespace, way: str
) -> None:
    for model in (llm(), llm(streaming=True)):
        recorder = Recorder()
        nvcf_emulator.reply(text=["a", "b"])
        text_of(model, colour, way, config={"callbacks": [recorder]})
        assert (recorder.seen[0], recorder.seen[-1]) == ("start", "end")
        assert set(recorder.seen[1:-1]) <= {"token"}
        streams = way == "streamed" or model.streaming
        assert "".join(recorder.tokens) == ("ab" if streams else "")
    recorder = Recorder()
    nvcf_emulator.fail(429)
    with pytest.raises(RateLimitError):
        text_of(llm(), colour, way, config={"callbacks": [recorder]})
    assert recorder.seen == ["start", "RateLimitError"]


def test_a_stream_that_is_left_early(llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text=["piece "] * 1000, chunk_delay=0.01)
    stream = llm().stream("Hello")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.streaming == 0)


def test_caches_go_by_every_setting(
    llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    cache = InMemoryCache()
    for number, keywords in enumerate(
        ({}, {"temperature": 0.5}, {"reasoning_effort": "none"}, {"stop": "x"}), 1
    ):
        model = llm(cache=cache, **keywords)
        assert colour.invoke(model, "Hello") == colour.invoke(model, "Hello")
        assert len(nvcf_emulator.chats) == number


def test_chains(
    llm: Callable[..., NVCFLLM], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    chain = PromptTemplate.from_template("Say {word}.") | llm(temperature=0.1).bind(top_p=0.5)
    assert "Say hi." in colour.invoke(chain, {"word": "hi"})
    body = nvcf_emulator.chats[0].body
    assert (body["temperature"], body["top_p"]) == (0.1, 0.5)


def test_tracing_parameters(llm: Callable[..., NVCFLLM]) -> None:
    params = llm(temperature=0.3)._get_ls_params()
    assert params["ls_provider"] == "nvcf"
    assert params["ls_model_type"] == "llm"
    assert params["ls_model_name"] == KIMI
    assert llm()._llm_type == "nvcf"


def test_it_is_imported_when_it_is_asked_for() -> None:
    """langchain-core's module for such models takes longer to import than all of this package."""
    code = (
        "import sys, langchain_nvcf; print('langchain_core.language_models.llms' in sys.modules); "
        "print('NVCFLLM' in dir(langchain_nvcf)); from langchain_nvcf import NVCFLLM; print(NVCFLLM.__module__); "
        "print(hasattr(langchain_nvcf, 'something'))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True", "langchain_nvcf.llms", "False"]
