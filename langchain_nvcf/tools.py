"""Tools, tool choices and response formats: every form that LangChain knows, as the service has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from nvcf_core.request.tools import function_tool
from nvcf_core.tools.names import safe_name

from .errors import InvalidRequestError

Tool: TypeAlias = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
"""What may be bound: a function, a pydantic or TypedDict class, a LangChain tool, a tool or schema as a dict."""

ToolChoice: TypeAlias = str | bool | Mapping[str, Any]
"""`"auto"`, `"none"`, `"any"`, `"required"`, True, the name of a tool, or a dict in OpenAI's or Anthropic's form."""

Json: TypeAlias = dict[str, Any]

_SCHEMA_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
"""What `type` says in a JSON schema. Anything else names a response format, of OpenAI's or of another server's."""


def openai_tools(tools: Sequence[Tool], strict: bool | None = None) -> list[Json]:
    """The tools in OpenAI's form.

    Raises:
        InvalidRequestError: one of them is nothing that describes a function.
    """
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise InvalidRequestError(
            f"tools is a list of tools, not a {type(tools).__name__}", field="tools"
        )
    return [_openai_tool(tool, strict, f"tools[{place}]") for place, tool in enumerate(tools)]


def _openai_tool(tool: Tool, strict: bool | None, field: str) -> Json:
    known = function_tool(tool) if isinstance(tool, Mapping) else None
    if known is not None:
        if strict is not None:
            known["function"] = {**known["function"], "strict": strict}
        return known
    try:
        converted = convert_to_openai_tool(tool, strict=strict)
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"{field} is not a tool: {error}", field=field) from error
    if not isinstance(converted.get("function"), Mapping):
        raise InvalidRequestError(
            f"{field} is a tool of type {converted.get('type')!r}: the models call functions only",
            field=field,
        )
    return converted


def names_of(tools: Sequence[Json]) -> list[str]:
    """The names of tools in OpenAI's form."""
    return [str(tool["function"].get("name")) for tool in tools]


def openai_response_format(schema: Any, strict: bool | None = None) -> Json:
    """A response format: as it is if it is one, else made of a schema.

    Raises:
        InvalidRequestError: it is neither.
    """
    if isinstance(schema, Mapping) and _is_format(schema):
        return dict(schema)
    described = json_schema(schema, strict)
    name = str(described.get("title") or "answer")
    about: Json = {"name": safe_name(name), "schema": described}
    if strict is not None:
        about["strict"] = strict
    return {"type": "json_schema", "json_schema": about}


def _is_format(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return isinstance(kind, str) and kind not in _SCHEMA_TYPES and kind != "function"


def with_title(schema: Any) -> Any:
    """A JSON schema that has no title with one; anything else as it is."""
    if isinstance(schema, Mapping) and "properties" in schema and "title" not in schema:
        return {"title": "answer", **schema}
    return schema


def json_schema(schema: Any, strict: bool | None = None) -> Json:
    """The JSON schema of a pydantic or TypedDict class, a function, a tool, or of what is one already.

    Raises:
        InvalidRequestError: it describes nothing.
    """
    if isinstance(schema, Mapping) and isinstance(schema.get("json_schema"), Mapping):
        schema = schema["json_schema"]
    if isinstance(schema, Mapping) and isinstance(schema.get("schema"), Mapping):
        return {"title": schema.get("name", "answer"), **schema["schema"]}
    try:
        return convert_to_json_schema(with_title(schema), strict=strict)
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"this is not a schema: {error}", field="schema") from error
