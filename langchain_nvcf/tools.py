"""Tools, tool choices and response formats: every form that LangChain knows, as the service has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from nvcf_core.tool_names import safe_name

from .errors import InvalidRequestError

Tool: TypeAlias = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
"""What may be bound: a function, a pydantic or TypedDict class, a LangChain tool, a tool or schema as a dict."""

ToolChoice: TypeAlias = str | bool | Mapping[str, Any]
"""`"auto"`, `"none"`, `"any"`, `"required"`, True, the name of a tool, or a dict in OpenAI's or Anthropic's form."""

Json: TypeAlias = dict[str, Any]

_FORMATS = frozenset(("json_schema", "json_object", "text"))


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
    if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping):
        function = tool["function"]
        return (
            {**tool, "function": {**function, "strict": strict}}
            if strict is not None
            else dict(tool)
        )
    if (
        isinstance(tool, Mapping) and tool.get("type") == "function"
    ):  # The form of OpenAI's responses API.
        tool = {key: value for key, value in tool.items() if key != "type"}
    try:
        converted = convert_to_openai_tool(tool, strict=strict)
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"{field} is no tool: {error}", field=field) from error
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
    if isinstance(schema, Mapping) and schema.get("type") in _FORMATS:
        return dict(schema)
    described = json_schema(schema, strict)
    name = str(described.get("title") or "answer")
    about: Json = {"name": safe_name(name), "schema": described}
    if strict is not None:
        about["strict"] = strict
    return {"type": "json_schema", "json_schema": about}


def titled(schema: Any) -> Any:
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
        return convert_to_json_schema(titled(schema), strict=strict)
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"this is no schema: {error}", field="schema") from error
