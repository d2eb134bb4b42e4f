"""Tools, tool choices and response formats: every form that LangChain knows, as the service has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from nvcf_core.tool_names import ToolNames

from .errors import InvalidRequestError

Tool: TypeAlias = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
"""What may be bound: a function, a pydantic or TypedDict class, a LangChain tool, a tool or schema as a dict."""

ToolChoice: TypeAlias = str | bool | Mapping[str, Any]
"""`"auto"`, `"none"`, `"any"`, `"required"`, True, the name of a tool, or a dict in OpenAI's or Anthropic's form."""

Json: TypeAlias = dict[str, Any]

_WORDS = {"auto": "auto", "none": "none", "any": "required", "required": "required"}
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


def openai_tool_choice(choice: ToolChoice | None, tools: Sequence[Json]) -> str | Json | None:
    """The choice in OpenAI's form, None where there is nothing to choose.

    Args:
        choice: what the user gave. None and False leave the choice to the service.
        tools: the tools to choose from, in OpenAI's form.

    Raises:
        InvalidRequestError: a tool is to be called that is not among them.
    """
    if choice is None or choice is False:
        return None
    names = [tool["function"].get("name") for tool in tools]
    if isinstance(choice, Mapping):
        choice = _from_dict(choice)
    if choice is True:
        choice = "required"
    if choice in names:
        return {"type": "function", "function": {"name": choice}}
    word = _WORDS.get(choice)
    if word is None:
        raise InvalidRequestError(
            f"tool_choice={choice!r} is none of the tools: {', '.join(map(str, names)) or 'there are none'}",
            field="tool_choice",
        )
    if not tools and word == "required":
        raise InvalidRequestError(
            f"tool_choice={choice!r}, and there are no tools", field="tool_choice"
        )
    return word if tools else None


def _from_dict(choice: Mapping[str, Any]) -> str:
    """The name or word in OpenAI's `{"function": {"name": …}}`, Anthropic's `{"type": "tool", "name": …}`, …"""
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    word = choice.get("type")
    if isinstance(name, str):
        return name
    if isinstance(word, str) and word in _WORDS:
        return word
    raise InvalidRequestError(f"tool_choice={dict(choice)!r} names no tool", field="tool_choice")


def openai_response_format(schema: Any, strict: bool | None = None) -> Json:
    """A response format: as it is if it is one, else made of a schema.

    Raises:
        InvalidRequestError: it is neither.
    """
    if isinstance(schema, Mapping) and schema.get("type") in _FORMATS:
        return dict(schema)
    described = json_schema(schema, strict)
    name = str(described.get("title") or "answer")
    about: Json = {"name": ToolNames([name]).to_wire(name), "schema": described}
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
