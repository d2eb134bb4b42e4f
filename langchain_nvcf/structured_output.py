"""`with_structured_output`: by tools, by response format, or by a schema in the prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough

from nvcf_core.messages import Message
from nvcf_core.models.spec import ModelSpec

from .errors import InvalidRequestError
from .output_parsers import parser_for
from .tools import json_schema, openai_response_format, openai_tools, titled

if TYPE_CHECKING:
    from .chat_models import ChatNVCF

Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]

IN_PROMPT = "schema_in_prompt"
"""The keyword under which a schema is bound that goes into the prompt; it is no field of the body."""
TRACED = "ls_structured_output_format"
"""The keyword under which tracers find the schema; langchain-core takes it out before the model is called."""

_INSTRUCTION = "Answer with one JSON object and nothing else: no code fence, no words around it."


def structured(
    model: ChatNVCF,
    schema: Any,
    *,
    method: Method | None,
    include_raw: bool,
    strict: bool | None,
    settings: dict[str, Any],
) -> Runnable[LanguageModelInput, Any]:
    """A runnable that answers with objects of a schema.

    Raises:
        InvalidRequestError: the method is unknown, or the schema is none.
    """
    chosen = method or default_method(model._spec(settings))
    if chosen not in ("function_calling", "json_schema", "json_mode"):
        raise InvalidRequestError(
            f'method={method!r} is none of "function_calling", "json_schema", "json_mode"',
            field="method",
        )
    if schema is None and chosen != "json_mode":
        raise InvalidRequestError(f"method={chosen!r} needs a schema", field="schema")
    if strict is not None and chosen == "json_mode":
        raise InvalidRequestError(
            "strict needs a schema to be strict about: json_mode has none", field="strict"
        )
    schema = titled(schema)
    if schema is not None:
        about = {
            key: value
            for key, value in (("method", chosen), ("strict", strict))
            if value is not None
        }
        settings = {**settings, TRACED: {"kwargs": about, "schema": json_schema(schema)}}
    llm, tool = _bound(model, schema, chosen, strict, settings)
    required = (
        tuple(json_schema(schema).get("required", ()))
        if schema is not None and tool is None
        else ()
    )
    parser = parser_for(schema, tool, required)
    if not include_raw:
        return llm | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _bound(
    model: ChatNVCF, schema: Any, method: Method, strict: bool | None, settings: dict[str, Any]
) -> tuple[Runnable[LanguageModelInput, AIMessage], str | None]:
    """The model with what it needs to answer so, and the tool that it is to call, if one."""
    if method == "function_calling":
        [tool] = openai_tools([schema], strict)
        name = tool["function"]["name"]
        return model.bind_tools([tool], tool_choice=name, **settings), name
    if method == "json_schema":
        wanted = openai_response_format(schema, strict)
    else:
        wanted = {"type": "json_object"}
        if schema is not None and not model._spec(settings).documents("response_format"):
            wanted = openai_response_format(schema)
    return model.bind(**response_format(model._spec(settings), wanted), **settings), None


def default_method(spec: ModelSpec) -> Method:
    """What a model does best: its own response format, else tools, else the schema in the prompt."""
    if spec.supports_tools and not spec.documents("response_format"):
        return "function_calling"
    return "json_schema"


def response_format(spec: ModelSpec, wanted: dict[str, Any]) -> dict[str, Any]:
    """The keyword that asks a model for a format: of the body where its documentation has one, else of the prompt."""
    if spec.documents("response_format"):
        return {"response_format": wanted}
    if wanted["type"] == "text":
        return {}
    return {IN_PROMPT: wanted.get("json_schema", {}).get("schema", {})}


def with_instruction(messages: Sequence[Message], schema: dict[str, Any]) -> list[Message]:
    """The conversation, with a system text that asks for a JSON object of this schema."""
    text = _INSTRUCTION
    if schema:
        text += f" It must fit this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    if messages and messages[0].role == "system":
        return [replace(messages[0], parts=(*messages[0].parts, text)), *messages[1:]]
    return [Message(role="system", parts=(text,)), *messages]
