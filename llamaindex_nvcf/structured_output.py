"""Structured output: asked for as the model's row allows, and read out of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel, ValidationError

from nvcf_core.errors import InvalidRequestError
from nvcf_core.response.json_text import find_json, partial_json

if TYPE_CHECKING:
    from .base import NVCF

Method: TypeAlias = Literal["json_schema", "tool", "prompt"]

_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")
_OWN_KEYWORDS = frozenset(
    ("tools", "tool_choice", "tool_required", "allow_parallel_tool_calls", "response_format")
)
"""Per-call keywords that structured output sets itself."""
_INSTRUCTION = """Answer with one JSON value that follows this JSON schema, and with nothing else. \
Do not repeat the schema.
{schema}"""
_LONGEST_SHOWN = 1_000


class StructuredRequest(Generic[Model]):
    """What is asked of the model, and how the object is read out of its answer.

    Attributes:
        messages: the conversation to send.
        keywords: the keywords of the chat.
    """

    def __init__(
        self,
        llm: NVCF,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> None:
        self._output_cls = output_cls
        given = {
            name: value for name, value in (llm_kwargs or {}).items() if name not in _OWN_KEYWORDS
        }
        schema = _schema(output_cls)
        method = _method(llm, given, schema)
        messages = llm._extend_messages(prompt.format_messages(llm=llm, **prompt_args))
        self.messages = _instructed(messages, schema) if method == "prompt" else messages
        self.keywords = {**given, **_keywords(method, output_cls, schema)}

    def read(self, response: ChatResponse) -> Model:
        """The object in a whole answer.

        Raises:
            ValueError: there is none in it. The message shows what came.
        """
        call = _first_call(response.message)
        length = response.additional_kwargs.get("finish_reason") == "length"
        if call is not None and length:
            raise self._unusable(
                response, "its tool call was cut by its length (finish_reason 'length')"
            )
        text = (response.message.content or "") if call is None else _arguments(call)
        problem: Exception | None = None
        for candidate in find_json(text):
            try:
                return self._output_cls.model_validate_json(json.dumps(candidate))
            except ValidationError as error:
                problem = problem or error
        reason = "it holds no JSON" if problem is None else str(problem)[:_LONGEST_SHOWN]
        if length:
            reason = f"it was cut by its length (finish_reason 'length'); {reason}"
        raise self._unusable(response, reason) from problem

    def _unusable(self, response: ChatResponse, reason: str) -> ValueError:
        call = _first_call(response.message)
        said = response.additional_kwargs.get("refusal") or response.message.content or ""
        shown = said if call is None else f"{call.tool_name}({_arguments(call)})"
        return ValueError(
            f"The answer is no {self._output_cls.__name__}: {reason}. "
            f"The model answered: {shown[:_LONGEST_SHOWN]!r}"
        )


class StructuredStream(Generic[Model]):
    """The object of an answer that is still arriving."""

    def __init__(self, question: StructuredRequest[Model], output_cls: type[Model]) -> None:
        self._question = question
        self._output_cls = output_cls
        self._flexible: type[FlexibleModel] = create_flexible_model(output_cls)
        self._text = ""
        self._data: Any = None
        self._given: BaseModel | None = None
        self._last = ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT))

    def feed(self, response: ChatResponse) -> Model | FlexibleModel | None:
        """What there is of the object now, None where nothing was added.

        An `output_cls` where that much is valid, else a model of the same fields, all optional.
        """
        self._last = response
        call = _first_call(response.message)
        text = (response.message.content or "") if call is None else _arguments(call)
        if text == self._text:
            return None
        self._text = text
        data = partial_json(text)
        if not isinstance(data, dict) or not data or data == self._data:
            return None
        self._data = data
        self._given = self._partial(data)
        return self._given

    def end(self) -> Model | None:
        """The whole object; None where it was given already.

        Raises:
            ValueError: the answer holds none.
        """
        whole = self._question.read(self._last)
        return None if whole == self._given else whole

    def _partial(self, data: dict[str, Any]) -> Model | FlexibleModel:
        try:
            return self._output_cls.model_validate(data)
        except ValidationError:
            return self._flexible.model_validate(data)


def _schema(output_cls: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a class, with its properties at the top even where it refers to itself."""
    schema = output_cls.model_json_schema()
    reference = schema.pop("$ref", None)
    if reference is None:
        return schema
    return {**schema["$defs"][reference.rpartition("/")[2]], **schema}


def _method(llm: NVCF, given: Mapping[str, Any], schema: Mapping[str, Any]) -> Method:
    """How the object is asked for.

    Raises:
        InvalidRequestError: the mode is one of those that are made for other models.
    """
    mode = llm.pydantic_program_mode
    tools: Method = "tool" if schema.get("type") == "object" else "prompt"
    if mode == PydanticProgramMode.LLM:
        return "prompt"
    if mode == PydanticProgramMode.FUNCTION:
        return tools
    if mode != PydanticProgramMode.DEFAULT:
        raise InvalidRequestError(
            f"pydantic_program_mode {mode.value!r} is made for other models; "
            "here there are default, function and llm",
            field="pydantic_program_mode",
        )
    if llm._spec(given).documents("response_format"):
        return "json_schema"
    return tools if llm.metadata.is_function_calling_model else "prompt"


def _keywords(
    method: Method, output_cls: type[BaseModel], schema: dict[str, Any]
) -> dict[str, Any]:
    name = str(schema.get("title") or output_cls.__name__)
    if method == "json_schema":
        wanted = {"name": _REFUSED.sub("_", name)[:64], "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    if method == "tool":
        function = {
            "name": name,
            "description": schema.get("description", ""),
            "parameters": schema,
        }
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        }
    return {}


def _instructed(messages: list[ChatMessage], schema: dict[str, Any]) -> list[ChatMessage]:
    """The messages, with the schema at the end of what the user says last."""
    block = TextBlock(text=_INSTRUCTION.format(schema=json.dumps(schema, ensure_ascii=False)))
    if not messages or messages[-1].role != MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, blocks=[block])]
    last = messages[-1].model_copy(update={"blocks": [*messages[-1].blocks, block]})
    return [*messages[:-1], last]


def _first_call(message: ChatMessage) -> ToolCallBlock | None:
    return next((block for block in message.blocks if isinstance(block, ToolCallBlock)), None)


def _arguments(call: ToolCallBlock) -> str:
    given = call.tool_kwargs
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
