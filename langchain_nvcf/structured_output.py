"""`with_structured_output`: by tools, by response format, or by a schema in the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough

from nvcf_core.models.spec import ModelSpec
from nvcf_core.request.structured import (
    merge_call_keywords,
    required_tool_fields,
    response_format,
    structured_method,
    value_model,
)

from .errors import InvalidRequestError
from .output_parsers import parser_for
from .tools import json_schema, openai_response_format, openai_tools, with_title

Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]

TRACED = "ls_structured_output_format"
"""The keyword under which tracers find the schema; langchain-core takes it out before the model is called."""


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """How a model is to answer with objects of a schema.

    Raises:
        InvalidRequestError: the method is unknown, or it and the other arguments do not go together.
    """

    schema: Any
    """A class, another type, a JSON schema or a tool; None only with `json_mode`."""
    method: Method
    include_raw: bool
    strict: bool | None
    value_only: bool = False
    """Whether the answer is the `value` of the schema's class."""

    def __post_init__(self) -> None:
        if self.method not in ("function_calling", "json_schema", "json_mode"):
            raise InvalidRequestError(
                f'method={self.method!r} is not "function_calling", "json_schema" or "json_mode"',
                field="method",
            )
        if self.schema is None and self.method != "json_mode":
            raise InvalidRequestError(f"method={self.method!r} needs a schema", field="schema")
        if self.strict is not None and self.method == "json_mode":
            raise InvalidRequestError(
                "strict needs a schema to be strict about: json_mode has none", field="strict"
            )

    @classmethod
    def of(
        cls, schema: Any, method: Method, *, include_raw: bool, strict: bool | None
    ) -> StructuredOutput:
        """The same, of any schema: one that is not an object's becomes the only field of one."""
        wrapper = value_model(schema)
        described = with_title(schema) if wrapper is None else wrapper
        return cls(described, method, include_raw, strict, value_only=wrapper is not None)

    def bound_to(
        self, model: BaseChatModel, spec: ModelSpec, settings: Mapping[str, Any]
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that answers with the objects.

        Args:
            model: the model to call.
            spec: its model spec.
            settings: further keywords of the call. `tools` are tools that it may call instead of answering; it then
                gives None, and with `include_raw` the message that calls them.

        Raises:
            InvalidRequestError: the schema describes nothing, something is not a tool, or `settings` have another
                format of the answer.
        """
        tools = openai_tools(settings.get("tools") or ())
        fields, tool = self._request_fields(spec, tools)
        llm = model.bind(**{**self._traced(), **merge_call_keywords(fields, settings)})
        parser = parser_for(
            self.schema,
            tool,
            self._required(tool),
            value_only=self.value_only,
            beside_tools=bool(tools),
        )
        if not self.include_raw:
            return llm | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        raw: Runnable[LanguageModelInput, dict[str, AIMessage]] = RunnableMap(raw=llm)
        return raw | parsed.with_fallbacks([failed], exception_key="parsing_error")

    def _request_fields(
        self, spec: ModelSpec, tools: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], str | None]:
        """Return the keywords that request the object, and the name of the tool whose call holds it, if any."""
        beside = {"tools": tools} if tools else {}
        if self.method == "function_calling":
            [tool] = openai_tools([self.schema], self.strict)
            return required_tool_fields(tool, tools), tool["function"]["name"]
        wanted: Mapping[str, Any] = {"type": "json_object"}
        if self.method == "json_schema":
            wanted = openai_response_format(self.schema, self.strict)
        elif self.schema is not None and not spec.documents("response_format"):
            wanted = openai_response_format(self.schema)
        return {**response_format(spec, wanted), **beside}, None

    def _traced(self) -> dict[str, Any]:
        if self.schema is None:
            return {}
        said = {"method": self.method, "strict": self.strict}
        kwargs = {name: value for name, value in said.items() if value is not None}
        return {TRACED: {"kwargs": kwargs, "schema": json_schema(self.schema)}}

    def _required(self, tool: str | None) -> tuple[str, ...]:
        if self.schema is None or tool is not None:
            return ()
        return tuple(json_schema(self.schema).get("required", ()))


def default_method(spec: ModelSpec, *, beside_tools: bool) -> Method:
    """Return the best method for a model: its response format, else tools, else the schema in the prompt.

    Beside tools that it may call, no tool is forced.
    """
    by_tool = structured_method(spec, beside_tools=beside_tools) == "tool"
    return "function_calling" if by_tool else "json_schema"
