"""`NVCFLLM`: text in, text out, over the chat endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.runnables.config import ContextThreadPoolExecutor
from typing_extensions import override

from nvcf_core import ChatRequest, Chunk, Message

from .base import BaseLangChainNVCF
from .errors import translating_errors
from .outputs import additional_kwargs, response_metadata, usage_metadata


class NVCFLLM(BaseLangChainNVCF, BaseLLM):
    """A model that NVIDIA hosts, as a LangChain LLM: the prompt is one user message, the answer its text.

    Takes the keywords of `ChatNVCF`. `generation_info` has reasoning, finish reason and ids, `llm_output` the usage.
    """

    @property
    @override
    def _llm_type(self) -> str:
        return "nvcf"

    @override
    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        if len(prompts) == 1:
            return _result([self._answer(prompts[0], stop, run_manager, kwargs)])
        # Of several prompts langchain-core hands over the callbacks of the first alone: none hears of tokens.
        with ContextThreadPoolExecutor() as pool:
            return _result(
                list(pool.map(lambda prompt: self._answer(prompt, stop, None, kwargs), prompts))
            )

    @override
    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        run = run_manager if len(prompts) == 1 else None
        # All are waited for, so that none goes on in the background when another fails.
        answers = await asyncio.gather(
            *(self._aanswer(prompt, stop, run, kwargs) for prompt in prompts),
            return_exceptions=True,
        )
        return _result([_or_raised(answer) for answer in answers])

    @override
    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        with translating_errors:
            call = self._build_chat_request(prompt, stop, kwargs, stream=True)
            with closing(self._client.stream(call)) as chunks:
                for chunk in chunks:
                    piece = _generation_chunk(chunk, call.include_headers)
                    if run_manager:
                        run_manager.on_llm_new_token(piece.text, chunk=piece)
                    yield piece

    @override
    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        with translating_errors:
            call = self._build_chat_request(prompt, stop, kwargs, stream=True)
            async with aclosing(self._client.astream(call)) as chunks:
                async for chunk in chunks:
                    piece = _generation_chunk(chunk, call.include_headers)
                    if run_manager:
                        await run_manager.on_llm_new_token(piece.text, chunk=piece)
                    yield piece

    def _answer(
        self,
        prompt: str,
        stop: list[str] | None,
        run: CallbackManagerForLLMRun | None,
        kwargs: Mapping[str, Any],
    ) -> list[Generation]:
        """Return the generations of one prompt, through a stream if `streaming` is set."""
        if self._is_streaming(kwargs):
            return [_sum(list(self._stream(prompt, stop, run, **kwargs)))]
        with translating_errors:
            call = self._build_chat_request(prompt, stop, kwargs, stream=False)
            return _generations(self._client.complete(call), call.include_headers)

    async def _aanswer(
        self,
        prompt: str,
        stop: list[str] | None,
        run: AsyncCallbackManagerForLLMRun | None,
        kwargs: Mapping[str, Any],
    ) -> list[Generation]:
        if self._is_streaming(kwargs):
            return [_sum([piece async for piece in self._astream(prompt, stop, run, **kwargs)])]
        with translating_errors:
            call = self._build_chat_request(prompt, stop, kwargs, stream=False)
            return _generations(await self._client.acomplete(call), call.include_headers)

    def _is_streaming(self, kwargs: Mapping[str, Any]) -> bool:
        if self._requests_several_answers(kwargs):
            return False
        given = kwargs.get("streaming")
        return self.streaming if given is None else bool(given)

    def _build_chat_request(
        self, prompt: str, stop: list[str] | None, kwargs: Mapping[str, Any], *, stream: bool
    ) -> ChatRequest:
        given = {key: value for key, value in kwargs.items() if key != "stream"}
        if stop is not None:
            given["stop"] = stop
        return self._build_request([Message(role="user", parts=(prompt,))], given, stream=stream)


def _or_raised(answer: list[Generation] | BaseException) -> list[Generation]:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _generation_chunk(chunk: Chunk, include_headers: bool) -> GenerationChunk:
    """Return a chunk of an answer. Fields that are sent once are in the last one, so that a sum has them once too."""
    info = _info(chunk, include_headers) if chunk.last else additional_kwargs(chunk)
    if chunk.logprobs:
        info["logprobs"] = chunk.logprobs
    return GenerationChunk(text=chunk.text, generation_info=info or None)


def _info(answer: Chunk, include_headers: bool) -> dict[str, Any]:
    info = {**additional_kwargs(answer), **response_metadata(answer, include_headers)}
    usage = usage_metadata(answer.usage)
    return {**info, "usage_metadata": usage} if usage else info


def _generations(answer: Chunk, include_headers: bool) -> list[Generation]:
    return [
        Generation(text=choice.text, generation_info=_info(choice, include_headers))
        for choice in (answer, *answer.other_choices)
    ]


def _sum(pieces: list[GenerationChunk]) -> Generation:
    """Add up the chunks of a stream. Every stream has a last chunk, so there is at least one."""
    whole, *others = pieces
    for piece in others:
        whole += piece
    return Generation(text=whole.text, generation_info=whole.generation_info)


def _result(answers: Sequence[list[Generation]]) -> LLMResult:
    """The result for several prompts, with the tokens that all of them took."""
    used = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    models: set[str] = set()
    for info in (generation.generation_info or {} for answer in answers for generation in answer):
        models.add(info["model_name"])
        if usage := info.get("usage_metadata"):
            used["prompt_tokens"] += usage["input_tokens"]
            used["completion_tokens"] += usage["output_tokens"]
            used["total_tokens"] += usage["total_tokens"]
    output = {"token_usage": used, "model_name": ", ".join(sorted(models))}
    return LLMResult(generations=[list(answer) for answer in answers], llm_output=output)
