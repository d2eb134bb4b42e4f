"""`NVCF`: a LlamaIndex model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any, BinaryIO, Self

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    ImageBlock,
    LLMMetadata,
    MessageRole,
    VideoBlock,
)
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection, dispatcher
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import Model
from pydantic import Field

from nvcf_core import BaseNVCF, ChatRequest, Media
from nvcf_core.errors import InvalidRequestError

from .callbacks import with_astream_callbacks, with_callbacks, with_stream_callbacks
from .messages import MediaBlock, reads_files, to_core_messages
from .responses import (
    achat_responses,
    acompletions,
    chat_response,
    chat_responses,
    completion,
    completions,
)
from .structured_output import StructuredRequest, StructuredStream
from .tools import keep_first_tool_call, openai_tools, tool_keywords, tool_selections


class NVCF(BaseNVCF, FunctionCallingLLM):
    """A chat model that NVIDIA hosts, as a LlamaIndex LLM.

    Constructing one does no I/O. It may be shared between threads and event loops, pickled and
    copied; its key is in no dump. `with` and `close()` (`async with`, `aclose()`) release
    connections and uploaded assets.

    Besides the keywords below it takes all of `nvcf_core.config.settings.Settings` (`model`, `api_key`,
    `temperature`, …) and of `FunctionCallingLLM` (`system_prompt`, `callback_manager`,
    `output_parser`, `pydantic_program_mode`, `rate_limiter`, …).

    ```python
    from llamaindex_nvcf import NVCF

    llm = NVCF(model="moonshotai/kimi-k2.6", reasoning_effort="none")
    print(llm.complete("What is a monad?"))
    ```

    Raises:
        InvalidRequestError: a setting is out of the bounds of the model's documentation; from a call, also
            a message or keyword that cannot be sent. Nothing was sent then.
        NVCFError: what the service, or the way to it, refuses (see `nvcf_core.errors`).
    """

    context_window: int | None = Field(
        default=None,
        description="Tokens of prompt and answer together. Default: from the model spec.",
    )
    is_function_calling_model: bool | None = Field(
        default=None, description="Whether agents may give it tools. Default: from the model spec."
    )

    def __init__(self, model: str | None = None, **data: Any) -> None:
        """A model; its id may be given without its keyword."""
        super().__init__(**({} if model is None else {"model": model}), **data)

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serialises it."""
        return "NVCF"

    @property
    def metadata(self) -> LLMMetadata:
        """The model's metadata, which retrieval, memory and agents read."""
        spec = self._spec()
        calls = self.is_function_calling_model
        window = self.context_window or spec.context_window
        # Retrieval leaves so much of the window for the answer: all that a model could write would leave no room.
        answer = min(spec.max_output_tokens or window, window // 4)
        return LLMMetadata(
            context_window=window,
            num_output=self.max_tokens or answer,
            is_chat_model=True,
            is_function_calling_model=spec.supports_tools if calls is None else calls,
            model_name=self.model,
        )

    def __getstate__(self) -> dict[Any, Any]:
        # The framework deletes what it cannot pickle from the very object: it gets a copy.
        key = self._picklable_api_key()
        copied = self.model_copy(update={"api_key": key})
        copied._opened_client = None
        copied._key_left_behind = key is None and (self.api_key is not None or self.key_left_behind)
        return super(NVCF, copied).__getstate__()

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        # The framework constructs the object anew, which reads the environment of this process for what was not set.
        for name in ("base_url", "nvcf_url"):
            setattr(self, name, state["__dict__"][name])

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # A limiter is shared by all that it limits, and holds a lock, which cannot be copied.
        memo = {} if memo is None else memo
        memo[id(self.rate_limiter)] = self.rate_limiter
        return super().__deepcopy__(memo)

    # Chat

    @with_callbacks(llm_chat_callback)
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation.

        Args:
            messages: the conversation: text, images, audio, video, documents that are text,
                thoughts, tool calls and their results.
            kwargs: settings for this call alone (`temperature=0.1`); others go into the body as
                they are.

        Returns:
            Its message holds a `ThinkingBlock` where the model thought, a `TextBlock`, and a
            `ToolCallBlock` for each call. `additional_kwargs` has `finish_reason`, `id`,
            `model_name`, `request_id`, the token counts and, with `include_response_headers`,
            `headers`; `raw` is the service's own body.
        """
        return self._chat(messages, kwargs)

    @with_callbacks(llm_chat_callback)
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async version of `chat`."""
        return await self._achat(messages, kwargs)

    @with_stream_callbacks(llm_chat_callback)
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream the answer to a conversation.

        Returns:
            A generator. Each response's `message` holds all that has arrived, its `delta` the new
            text and `additional_kwargs["thinking_delta"]` the new thoughts; the last one has what
            `chat` returns. Closing the generator closes the connection.
        """
        return self._stream_chat(messages, kwargs)

    @with_astream_callbacks(llm_chat_callback)
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Async version of `stream_chat`: await it, and iterate over what it returns."""
        return await self._astream_chat(messages, kwargs)

    # Complete

    @with_callbacks(llm_completion_callback)
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a text.

        Args:
            prompt: sent as the user's message.
            formatted: whether `completion_to_prompt` has been applied to it already.
            kwargs: as for `chat`.

        Returns:
            The answer's text; thoughts in `additional_kwargs["thinking"]`.
        """
        return completion(self._chat(self._conversation(prompt, formatted), kwargs))

    @with_callbacks(llm_completion_callback)
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Async version of `complete`."""
        return completion(await self._achat(self._conversation(prompt, formatted), kwargs))

    @with_stream_callbacks(llm_completion_callback)
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Stream the answer to a text, as `stream_chat` does."""
        return completions(self._stream_chat(self._conversation(prompt, formatted), kwargs))

    @with_astream_callbacks(llm_completion_callback)
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Async version of `stream_complete`: await it, and iterate over what it returns."""
        return acompletions(await self._astream_chat(self._conversation(prompt, formatted), kwargs))

    def _conversation(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        if not isinstance(prompt, str):
            raise InvalidRequestError(
                f"prompt must be a str, not {type(prompt).__name__}", field="prompt"
            )
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        return [ChatMessage(role=MessageRole.USER, content=prompt)]

    def _chat(self, messages: Sequence[ChatMessage], given: dict[str, Any]) -> ChatResponse:
        call = self._build_chat_request(messages, given, stream=False)
        return chat_response(self._client.complete(call), call.include_headers)

    async def _achat(self, messages: Sequence[ChatMessage], given: dict[str, Any]) -> ChatResponse:
        call = await self._abuild_chat_request(messages, given, stream=False)
        return chat_response(await self._client.acomplete(call), call.include_headers)

    def _stream_chat(
        self, messages: Sequence[ChatMessage], given: dict[str, Any]
    ) -> ChatResponseGen:
        call = self._build_chat_request(messages, given, stream=True)
        return chat_responses(self._client.stream(call), call.include_headers)

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], given: dict[str, Any]
    ) -> ChatResponseAsyncGen:
        call = await self._abuild_chat_request(messages, given, stream=True)
        return achat_responses(self._client.astream(call), call.include_headers)

    def _build_chat_request(
        self, messages: Sequence[ChatMessage], given: dict[str, Any], *, stream: bool
    ) -> ChatRequest:
        tools = given.get("tools")
        if tools is None:
            tools = (self.call_keywords or {}).get("tools")
        if tools is not None:
            given = {**given, "tools": openai_tools(tools)}
        return self._build_request(to_core_messages(messages, self.warn_once), given, stream=stream)

    async def _abuild_chat_request(
        self, messages: Sequence[ChatMessage], given: dict[str, Any], *, stream: bool
    ) -> ChatRequest:
        """Async version of `_build_chat_request`: in a thread if a file has to be read."""
        if reads_files(messages):
            return await asyncio.to_thread(self._build_chat_request, messages, given, stream=stream)
        return self._build_chat_request(messages, given, stream=stream)

    # Tools

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 (the framework's own)
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The keywords of a chat that may call tools. The caller's history stays as it is."""
        messages = list(chat_history or ())
        if isinstance(user_msg, str):
            messages.append(ChatMessage(role=MessageRole.USER, content=user_msg))
        elif user_msg is not None:
            messages.append(user_msg)
        offered = tool_keywords(
            tools, tool_choice, required=tool_required, parallel=allow_parallel_tool_calls
        )
        return {"messages": messages, **offered, **kwargs}

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],  # noqa: ARG002 (the framework's own)
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResponse:
        return response if allow_parallel_tool_calls else keep_first_tool_call(response)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,  # noqa: ARG002 (the framework's own)
    ) -> list[ToolSelection]:
        """Return the tool calls of a response, complete or streamed, ready to be run.

        Raises:
            ValueError: there is none and `error_on_no_tool_call`; or, in a complete answer, a call
                was cut by the answer's length or has arguments that are not a JSON object.
        """
        return tool_selections(response, error_on_no_tool_call=error_on_no_tool_call)

    # Structured output

    @dispatcher.span
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object of a pydantic class.

        Asked for by `response_format` where the model has it, else by a tool, else by the schema in
        the prompt; `pydantic_program_mode` "function" and "llm" choose the second and the third.

        Args:
            output_cls: the class.
            prompt: the prompt, whose variables `prompt_args` fill.
            llm_kwargs: keywords of the chat. With `tools`, the model may call one of them instead of answering, which
                is a ValueError that names the call.
            prompt_args: the prompt's variables.

        Raises:
            ValueError: the model answered with something else; the message shows it.
        """
        _announce(output_cls, prompt, prompt_args)
        question = StructuredRequest(output_cls, self.pydantic_program_mode)
        messages, keywords = self._structured_call(question, prompt, llm_kwargs, prompt_args)
        result = question.read(self.chat(messages, **keywords))
        dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    @dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """The same as `structured_predict`, async."""
        _announce(output_cls, prompt, prompt_args)
        question = StructuredRequest(output_cls, self.pydantic_program_mode)
        messages, keywords = self._structured_call(question, prompt, llm_kwargs, prompt_args)
        result = question.read(await self.achat(messages, **keywords))
        dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel]]:
        """Yield the objects of `stream_structured_predict`: partial ones, then the complete one."""
        question = StructuredRequest(output_cls, self.pydantic_program_mode)
        messages, keywords = self._structured_call(question, prompt, llm_kwargs, prompt_args)
        growing = StructuredStream(question)
        with closing(self.stream_chat(messages, **keywords)) as responses:
            for response in responses:
                if (partial := growing.feed(response)) is not None:
                    yield partial
        if (whole := growing.end()) is not None:
            yield whole

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel]]:
        """Async version of `_structured_stream_call`."""
        question = StructuredRequest(output_cls, self.pydantic_program_mode)
        messages, keywords = self._structured_call(question, prompt, llm_kwargs, prompt_args)
        growing = StructuredStream(question)
        stream = await self.astream_chat(messages, **keywords)

        async def objects() -> AsyncGenerator[
            Model | list[Model] | FlexibleModel | list[FlexibleModel]
        ]:
            async with aclosing(stream) as responses:
                async for response in responses:
                    if (partial := growing.feed(response)) is not None:
                        yield partial
            if (whole := growing.end()) is not None:
                yield whole

        return objects()

    def _structured_call(
        self,
        question: StructuredRequest[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None,
        prompt_args: dict[str, Any],
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Return the messages and keywords of the chat call that requests an object."""
        given = {**(self.call_keywords or {}), **(llm_kwargs or {})}
        calls_tools = self.metadata.is_function_calling_model
        keywords = question.keywords(given, self._spec(given), calls_tools)
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args)), keywords

    # Media

    def upload(
        self,
        path_or_file: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> MediaBlock:
        """Upload an image, audio or video of any size, to be used in any number of messages.

        It is read from disk in constant memory, and stays at the service until this object is closed.

        Args:
            path_or_file: a path, or a file that is open for reading bytes.
            mime_type: needed only if it cannot be detected from the bytes.
            progress: called with (bytes sent, total bytes).

        Returns:
            A block that refers to it, for the `blocks` of a `ChatMessage`.

        Raises:
            AssetUploadError: it failed; `.stage` says where.
        """
        return _block(self._upload_media(path_or_file, mime_type, progress))

    async def aupload(
        self,
        path_or_file: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> MediaBlock:
        """Async version of `upload`."""
        return _block(await self._aupload_media(path_or_file, mime_type, progress))


def _announce(output_cls: type[Model], prompt: PromptTemplate, prompt_args: dict[str, Any]) -> None:
    dispatcher.event(
        LLMStructuredPredictStartEvent(
            output_cls=output_cls, template=prompt, template_args=prompt_args
        )
    )


def _block(media: Media) -> MediaBlock:
    """A block that refers to an uploaded asset."""
    mime = media.mime_type or ""
    url = f"data:{mime};asset_id,{media.asset_id}"
    if media.kind == "image":
        return ImageBlock(url=url, image_mimetype=mime)
    if media.kind == "video":
        return VideoBlock(url=url, video_mimetype=mime)
    return AudioBlock(url=url, format=mime.partition("/")[2])
