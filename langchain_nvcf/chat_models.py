"""`ChatNVCF`: the chat models that NVIDIA hosts, as a LangChain chat model."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, BinaryIO, Self, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import model_validator
from typing_extensions import override

from nvcf_core import ChatRequest, Chunk, Media
from nvcf_core.request.structured import response_format as response_format_fields
from nvcf_core.request.tools import tool_choice as chosen_tool

from .base import BaseLangChainNVCF
from .errors import translating_errors
from .messages import to_core_messages
from .outputs import ChunkConverter, combined_llm_output, to_chat_result, with_llm_output
from .profiles import profile_of
from .stream_events import Event, EventConverter
from .structured_output import TRACED, Method, StructuredOutput, default_method
from .tools import Tool, ToolChoice, names_of, openai_response_format, openai_tools

Progress = Callable[[int, int], None]
"""Callback that is called with (bytes sent, total bytes)."""

F = TypeVar("F", bound=Callable[..., Any])


def _with_signature(method: F) -> F:
    """Note the signature of a method, for which langchain-core asks at each call: reading it off the code is slow."""
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return method


class ChatNVCF(BaseLangChainNVCF, BaseChatModel):
    """A chat model that NVIDIA hosts, or any server that speaks the same API.

    ```python
    model = ChatNVCF(model="moonshotai/kimi-k2.6")
    model.invoke("Hello").content
    ```

    The keywords are those of `nvcf_core.config.settings.Settings`, and langchain-core's own (`rate_limiter`, `cache`,
    `callbacks`, `profile`, `output_version`, …). Most may also be given per call: `model.invoke(x, temperature=0.1)`.

    Raises:
        InvalidRequestError: a value is out of the bounds of the model's documentation.
        pydantic.ValidationError: a value has the wrong type.
    """

    @model_validator(mode="after")
    def _unset_streaming_false(self) -> Self:
        # langchain-core takes a False that was given for a ban on streams, and `configurable_fields` gives every
        # field. Off is the default, and no ban; that is `disable_streaming`.
        if not self.streaming:
            self.__pydantic_fields_set__.discard("streaming")
        return self

    @property
    @override
    def _llm_type(self) -> str:
        return "chat-nvcf"

    @override
    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # What langchain-core serialised at the first call would be the key of caches for ever, in copies with other
        # settings, too.
        self.__dict__.pop("_serialized", None)
        return super()._get_llm_string(stop=stop, **kwargs)

    @override
    def _should_stream(self, *, async_api: bool, **kwargs: Any) -> bool:
        # A stream of several answers (`n`) is refused where the caller wants a stream. Where only `streaming` is
        # set, the call is made without one.
        if not kwargs.get("stream") and self._requests_several_answers(kwargs):
            return False
        return super()._should_stream(async_api=async_api, **kwargs)

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self._spec())

    @override
    @_with_signature
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with translating_errors:
            call = self._build_chat_request(messages, stop, kwargs, stream=False)
            return to_chat_result(self._client.complete(call), call.include_headers)

    @override
    @_with_signature
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with translating_errors:
            call = self._build_chat_request(messages, stop, kwargs, stream=False)
            return to_chat_result(await self._client.acomplete(call), call.include_headers)

    # Where `streaming` or a handler wants it, langchain-core reads a stream for a whole call, without `llm_output`.

    @override
    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return with_llm_output(
            super()._generate_with_cache(messages, stop, run_manager=run_manager, **kwargs)
        )

    @override
    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return with_llm_output(
            await super()._agenerate_with_cache(messages, stop, run_manager=run_manager, **kwargs)
        )

    @override
    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return combined_llm_output(llm_outputs, self.model)

    # langchain-core itself calls the callbacks with every chunk that these two yield.

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with translating_errors:
            call = self._build_chat_request(messages, stop, kwargs, stream=True)
            pieces = ChunkConverter(call.include_headers)
            with closing(self._client.stream(call)) as chunks:
                for chunk in chunks:
                    yield from pieces.convert(chunk)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with translating_errors:
            call = self._build_chat_request(messages, stop, kwargs, stream=True)
            pieces = ChunkConverter(call.include_headers)
            async with aclosing(self._client.astream(call)) as chunks:
                async for chunk in chunks:
                    for piece in pieces.convert(chunk):
                        yield piece

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[Event]:
        """Yield the events of `stream_events(version="v3")`. langchain-core looks this method up by its name."""
        with translating_errors:
            call = self._build_chat_request(messages, stop, kwargs, stream=True)
            events = EventConverter(call.spec.id, _message_id(run_manager), call.include_headers)
            last = Chunk()
            with closing(self._client.stream(call)) as chunks:
                for chunk in chunks:
                    if chunk.last:
                        last = chunk
                    else:
                        yield from events.convert(chunk)
            # langchain-core reads no further than the end of the message: by then nothing may be open.
            yield from events.convert(last)

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Event]:
        """Async version of `_stream_chat_model_events`."""
        with translating_errors:
            call = self._build_chat_request(messages, stop, kwargs, stream=True)
            events = EventConverter(call.spec.id, _message_id(run_manager), call.include_headers)
            last = Chunk()
            async with aclosing(self._client.astream(call)) as chunks:
                async for chunk in chunks:
                    if chunk.last:
                        last = chunk
                    else:
                        for event in events.convert(chunk):
                            yield event
            for event in events.convert(last):
                yield event

    def _build_chat_request(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool,
    ) -> ChatRequest:
        """Build the request from what LangChain passes: messages, and keywords that were bound or given at the call."""
        given = {**(self.call_keywords or {}), **_set_keywords(kwargs)}
        if stop is not None:
            given["stop"] = stop
        if (tools := given.get("tools")) is not None:
            given["tools"] = openai_tools(tools)
        if (wanted := given.get("response_format")) is not None:
            given["response_format"] = openai_response_format(wanted)
        return self._build_request(to_core_messages(messages, self.warn_once), given, stream=stream)

    @override
    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: ToolChoice | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call tools.

        Args:
            tools: functions, pydantic or TypedDict classes, LangChain tools, dicts in OpenAI's or Anthropic's form,
                or JSON schemas with a title.
            tool_choice: `"auto"`, `"none"`, `"any"`, `"required"`, True (any), a tool's name, or a dict.
            strict: whether the arguments must fit the schema exactly. None: the service's own default.
            parallel_tool_calls: False for one call at a time.
            response_format: a schema, or a format in OpenAI's form, for the answer itself. Where the model documents
                none, the schema goes into the prompt.
            **kwargs: further keywords of the call.

        Raises:
            InvalidRequestError: something is not a tool, or `tool_choice` names none of them.
        """
        with translating_errors:
            bound = openai_tools(tools, strict)
            choice = chosen_tool(tool_choice, names_of(bound))
            if response_format is not None:
                wanted = openai_response_format(response_format)
                kwargs |= response_format_fields(self._spec(kwargs), wanted)
        asked = {
            "tools": bound or None,
            "tool_choice": choice,
            "parallel_tool_calls": parallel_tool_calls,
        }
        return self.bind(
            **{key: value for key, value in asked.items() if value is not None}, **kwargs
        )

    def with_thinking_mode(self, enabled: bool) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with its thinking on (`reasoning_effort="high"`) or off (`"none"`)."""
        return self.bind(reasoning_effort="high" if enabled else "none")

    @override
    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """A model that answers with objects of a schema.

        Args:
            schema: a pydantic class (its instances come out), a TypedDict class, JSON schema or tool (dicts do), or
                an Enum, a Literal or a list (its member, the value, a list come out).
            method: `"json_schema"`, `"function_calling"` or `"json_mode"`. None: what the model documents, in this
                order. Where it has no response format, the schema goes into the prompt and the answer is checked.
            include_raw: give `{"raw": message, "parsed": object, "parsing_error": error}` instead, and raise nothing.
            strict: whether the answer must fit the schema exactly. None: the service's own default.
            **kwargs: further keywords of the call. With `tools`, the model may call them instead of answering: None
                comes out then, and with `include_raw` the message that calls them.

        Raises:
            InvalidRequestError: the method is unknown, or the schema describes nothing.
        """
        with translating_errors:
            given = {**(self.call_keywords or {}), **_set_keywords(kwargs)}
            spec = self._spec(given)
            chosen = method or default_method(spec, beside_tools=bool(given.get("tools")))
            wanted = StructuredOutput.of(schema, chosen, include_raw=include_raw, strict=strict)
            return wanted.bound_to(self, spec, given)

    def upload(
        self,
        path_or_file: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Upload a file of any size from disk, and return the content block that refers to it.

        Args:
            path_or_file: a path, or a file that is open in binary mode.
            mime_type: the media type. Needed only if it cannot be detected from the bytes.
            progress: called with (bytes sent, total bytes) while the file is sent.

        Raises:
            InvalidRequestError: the file is empty or of no known kind, or the service has no asset API.
            AssetUploadError: the upload failed; `.stage` says where.
        """
        with translating_errors:
            return _block(self._upload_media(path_or_file, mime_type, progress))

    async def aupload(
        self,
        path_or_file: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Async version of `upload`."""
        with translating_errors:
            return _block(await self._aupload_media(path_or_file, mime_type, progress))


def _set_keywords(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call that are set. None means "not set": the constructor's value counts."""
    return {
        key: value
        for key, value in kwargs.items()
        if value is not None and key not in ("stream", TRACED)
    }


def _block(media: Media) -> dict[str, Any]:
    return {"type": media.kind, "file_id": media.asset_id, "mime_type": media.mime_type}


def _message_id(run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> str:
    return f"{LC_ID_PREFIX}-{run.run_id}" if run else ""
