"""Structured output: requested in the way that the model spec allows, and parsed from the answer."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, Generic, get_origin

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel, ValidationError

from nvcf_core.errors import InvalidRequestError, RefusalError
from nvcf_core.models.spec import ModelSpec
from nvcf_core.request.structured import (
    AnswerSchema,
    StructuredMethod,
    merge_call_keywords,
    structured_fields,
    structured_method,
    value_model,
)
from nvcf_core.response.finish_reason import cut_reason
from nvcf_core.response.json_text import find_answer, find_value, partial_answer
from nvcf_core.response.tool_arguments import shorten

from .tools import normalize_tool_kwargs, openai_tools


class StructuredRequest(Generic[Model]):
    """Requests an object of a class, and parses it from the answer.

    Of a type that is not a class of objects (an Enum, a Literal, a list of models) the answer is its member or value.
    """

    def __init__(self, output_cls: type[Model], mode: PydanticProgramMode) -> None:
        wrapper = value_model(output_cls)
        self.output_cls: type[Any] = wrapper or output_cls
        self._value_only = wrapper is not None
        self.is_list = list in (output_cls, get_origin(output_cls))
        self._mode = mode
        self._beside_tools = False
        """Whether the model may call tools instead of answering."""
        self._schema = _schema(self.output_cls)

    def keywords(
        self, given: Mapping[str, Any], spec: ModelSpec, calls_tools: bool
    ) -> dict[str, Any]:
        """The keywords of the chat.

        Args:
            given: the caller's own. `tools` are those that the model may call instead of answering.
            spec: the model spec.
            calls_tools: whether it may be given tools.

        Raises:
            InvalidRequestError: the mode is one of those that are made for other models, or the caller asks for
                another format of the answer.
        """
        tools = openai_tools(given.get("tools") or ())
        self._beside_tools = bool(tools)
        method = self._method(spec, calls_tools, beside_tools=bool(tools))
        answer = AnswerSchema(self._name, self._schema)
        return merge_call_keywords(
            structured_fields(method, answer, tools), normalize_tool_kwargs(given)
        )

    @property
    def _name(self) -> str:
        """The name of the schema, and of the tool whose call holds the object, if one does."""
        return str(self._schema.get("title") or self.output_cls.__name__)

    def _method(
        self, spec: ModelSpec, calls_tools: bool, *, beside_tools: bool
    ) -> StructuredMethod:
        # The arguments of a tool are an object; anything else is requested in the prompt.
        is_object = self._schema.get("type") == "object"
        if self._mode == PydanticProgramMode.LLM:
            return "prompt"
        if self._mode == PydanticProgramMode.FUNCTION:
            return "tool" if is_object else "prompt"
        if self._mode != PydanticProgramMode.DEFAULT:
            raise InvalidRequestError(
                f"pydantic_program_mode {self._mode.value!r} is made for other models; "
                "here there are default, function and llm",
                field="pydantic_program_mode",
            )
        method = structured_method(spec, calls_tools, beside_tools=beside_tools)
        return "prompt" if method == "tool" and not is_object else method

    def parsed(self, data: Any) -> Any:
        """The object that a JSON value stands for.

        Raises:
            pydantic.ValidationError: it does not fit.
        """
        if not self._value_only:
            return self.output_cls.model_validate_json(json.dumps(data))
        # Some models write the value alone.
        if not (isinstance(data, dict) and "value" in data):
            data = {"value": data}
        return self.output_cls.model_validate_json(json.dumps(data)).value

    def partial(self, data: dict[str, Any]) -> Any:
        """The object as far as it has arrived: of the class where that much is valid, else with all fields optional.

        None where a value, which has no fields, is not valid yet.
        """
        try:
            return self.parsed(data)
        except ValidationError:
            return None if self._value_only else self._flexible.model_validate(data)

    @functools.cached_property
    def _flexible(self) -> type[FlexibleModel]:
        return create_flexible_model(self.output_cls)

    def read(self, response: ChatResponse) -> Model:
        """The object in a whole answer.

        Raises:
            RefusalError: the model declined. (Engines of LlamaIndex take a ValueError for an empty answer.)
            ValueError: there is none in it. The message shows what came.
        """
        if refusal := response.additional_kwargs.get("refusal"):
            request_id = response.additional_kwargs.get("request_id")
            raise RefusalError(refusal, request_id=request_id)
        call = self.call_in(response.message)
        reasoned = any(isinstance(block, ThinkingBlock) for block in response.message.blocks)
        cut = cut_reason(
            response.additional_kwargs.get("finish_reason"),
            only_reasoning=reasoned and not (call or response.message.content),
        )
        if call is not None and cut:
            raise self._unusable(response, cut)
        if call is not None and self._beside_tools and call.tool_name != self._name:
            raise self._unusable(response, "it calls a tool instead")
        text = self.text_in(response.message)
        problem: Exception | None = None
        for candidate in (find_value if self._value_only else find_answer)(text):
            try:
                found: Model = self.parsed(candidate)
                return found
            except ValidationError as error:
                problem = problem or error
        reason = "it holds no JSON" if problem is None else shorten(str(problem))
        raise self._unusable(response, f"{cut}; {reason}" if cut else reason) from problem

    def call_in(self, message: ChatMessage) -> ToolCallBlock | None:
        """The call that holds the object, or else the first call; None where there is none."""
        calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        named = (call for call in calls if call.tool_name == self._name)
        return next(named, calls[0] if calls else None)

    def text_in(self, message: ChatMessage) -> str:
        """The text that the object is in: the arguments of its call, or the answer.

        Empty where another tool is called.
        """
        call = self.call_in(message)
        if call is None:
            return message.content or ""
        if self._beside_tools and call.tool_name != self._name:
            return ""
        return _arguments(call)

    def _unusable(self, response: ChatResponse, reason: str) -> ValueError:
        call = self.call_in(response.message)
        said = response.message.content or ""
        shown = said if call is None else f"{call.tool_name}({_arguments(call)})"
        return ValueError(
            f"The answer is not a {self.output_cls.__name__}: {reason}. "
            f"The model answered: {shorten(shown)!r}"
        )


class StructuredStream(Generic[Model]):
    """The object of an answer that is still arriving.

    Raises:
        InvalidRequestError: the answer is a list, which LlamaIndex's streams cannot hand out.
    """

    def __init__(self, question: StructuredRequest[Model]) -> None:
        if question.is_list:
            raise InvalidRequestError(
                "LlamaIndex streams objects, not lists: put the list into a field of a class",
                field="output_cls",
            )
        self._question = question
        self._text = ""
        self._data: Any = None
        self._given: Any = None
        self._last = ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT))

    def feed(self, response: ChatResponse) -> Model | FlexibleModel | None:
        """Return the object as far as it has arrived, None if nothing was added.

        An `output_cls` where that much is valid, else a model of the same fields, all optional.
        """
        self._last = response
        text = self._question.text_in(response.message)
        if text == self._text:
            return None
        self._text = text
        data = partial_answer(text)
        if not isinstance(data, dict) or not data or data == self._data:
            return None
        self._data = data
        grown = self._question.partial(data)
        if grown is None or grown == self._given:
            return None
        self._given = grown
        return self._given  # type: ignore[no-any-return]

    def end(self) -> Model | None:
        """The whole object; None where it was given already.

        Raises:
            ValueError: the answer holds none.
        """
        whole = self._question.read(self._last)
        return None if whole == self._given else whole


def _schema(output_cls: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a class, with its properties at the top even where it refers to itself."""
    schema = output_cls.model_json_schema()
    reference = schema.pop("$ref", None)
    if reference is None:
        return schema
    return {**schema["$defs"][reference.rpartition("/")[2]], **schema}


def _arguments(call: ToolCallBlock) -> str:
    given = call.tool_kwargs
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
