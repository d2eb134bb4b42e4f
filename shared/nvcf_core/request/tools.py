"""The tools of a body in one form, under names that the service accepts, and `tool_choice` in one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import Message
from nvcf_core.tools.names import ToolNames

__all__ = [
    "function_tool",
    "named_tool",
    "normalize_tools",
    "tool_choice",
    "tool_names_of",
    "with_wire_names",
]

_WORDS = {"auto": "auto", "none": "none", "any": "required", "required": "required"}
"""What a choice may say beside a name, and what the service calls it."""

_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}
"""The schema of a tool without arguments. Without any, services refuse the tool."""

_ELSEWHERE = frozenset(("$ref", "anyOf", "oneOf", "allOf"))
"""Where a schema says what it is, instead of saying it itself."""

_PARAMETERS = (
    "parameters",
    "input_schema",
    "inputSchema",
    "parameters_json_schema",
    "parametersJsonSchema",
)
"""Where a tool keeps the schema of its arguments: OpenAI's word, Anthropic's, MCP's, and Gemini's in two spellings."""


def function_tool(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """A tool as OpenAI's chat API has it, None where the mapping has no form of a tool that is known here.

    Args:
        tool: in the form of OpenAI's chat or responses API, of Anthropic, of MCP, of Bedrock or of Gemini, or a name
            and a description. One that says nothing of its arguments takes none.
    """
    function = tool.get("function")
    if isinstance(function, Mapping):
        return {**tool, "type": "function", "function": _with_parameters(function)}
    if isinstance(specification := tool.get("toolSpec"), Mapping):  # Bedrock's.
        tool = specification
    name, kind = tool.get("name"), tool.get("type", "function")
    if not isinstance(name, str) or kind not in ("function", "custom"):
        return None
    about = {
        key: tool[key] for key in ("name", "description", "strict") if tool.get(key) is not None
    }
    schema = next((tool[key] for key in _PARAMETERS if tool.get(key)), None)
    if isinstance(schema, Mapping) and set(schema) == {"json"}:  # Bedrock's, again.
        schema = schema["json"]
    return {"type": "function", "function": _with_parameters({**about, "parameters": schema})}


def _with_parameters(function: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters") or _NO_ARGUMENTS
    if isinstance(parameters, Mapping) and _is_plain_object(parameters):
        parameters = {**_NO_ARGUMENTS, **parameters}
    return {**function, "parameters": parameters}


def _is_plain_object(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is that of an object, said in the schema itself: services refuse one without `properties`."""
    return schema.get("type", "object") == "object" and _ELSEWHERE.isdisjoint(schema)


def normalize_tools(
    given: Mapping[str, Any], extra_body: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """The keywords of a call, with its tools and the choice among them as OpenAI's chat API has them.

    Args:
        given: the keywords. Those that are neither stay as they are.
        extra_body: further fields of the body, where tools may stand that are not ours to look at.

    Raises:
        InvalidRequestError: a tool is to be called that is not among them, or one of none.
    """
    changed = dict(given)
    tools = given.get("tools")
    if isinstance(tools, (list, tuple)):
        changed["tools"] = [
            (function_tool(tool) if isinstance(tool, Mapping) else None) or tool for tool in tools
        ]
    if (choice := changed.pop("tool_choice", None)) is not None:
        offered = (*_tools(changed), *_tools(extra_body or {}))
        names = [_function_name(tool) or "a tool of another kind" for tool in offered]
        chosen = tool_choice(choice, names)
        changed |= {} if chosen is None else {"tool_choice": chosen}
    return changed


def named_tool(name: str) -> dict[str, Any]:
    """The choice of one tool, as the service has it."""
    return {"type": "function", "function": {"name": name}}


def tool_choice(choice: object, names: Sequence[str]) -> str | dict[str, Any] | None:
    """A choice as the service has it, None where it is left to the service or there is nothing to choose from.

    Args:
        choice: `"auto"`, `"none"`, `"any"` or `"required"`, a tool's name, a mapping in OpenAI's or Anthropic's form,
            True (any); None and False leave it to the service. A mapping of another type, such as `allowed_tools`,
            stays as it is.
        names: the names of the tools to choose from.

    Raises:
        InvalidRequestError: a tool is to be called that is not among them, or one of none.
    """
    if choice is None or choice is False:
        return None
    if isinstance(choice, Mapping) and _is_of_another_type(choice):
        return dict(choice)
    wanted = _name_or_word(choice)
    if wanted in names:
        return named_tool(wanted)
    word = _WORDS.get(wanted)
    if word is None:
        there = ", ".join(names) or "there are none"
        raise InvalidRequestError(
            f"tool_choice={wanted!r} is not one of the tools: {there}", field="tool_choice"
        )
    if not names and word == "required":
        raise InvalidRequestError(
            f"tool_choice={wanted!r}, and there are no tools", field="tool_choice"
        )
    return word if names else None


def _is_of_another_type(choice: Mapping[str, Any]) -> bool:
    """Return whether it is such as `{"type": "allowed_tools", "allowed_tools": {…}}`, which the service is to
    understand."""
    kind = choice.get("type")
    return kind != "function" and isinstance(kind, str) and isinstance(choice.get(kind), Mapping)


def _name_or_word(choice: object) -> str:
    """Return the name or word in a choice: OpenAI's `{"function": {"name": …}}`, Anthropic's `{"type": "tool", …}`,
    …"""
    if choice is True:
        return "required"
    if isinstance(choice, str):
        return choice
    if isinstance(choice, Mapping):
        name = _function_name(choice) or choice.get("name")
        if isinstance(name, str):
            return name
        if choice.get("type") in _WORDS:
            return str(choice["type"])
    raise InvalidRequestError(f"tool_choice={choice!r} does not name a tool", field="tool_choice")


def tool_names_of(messages: Sequence[Message], body: Mapping[str, Any]) -> ToolNames:
    """The names of the tools that a body offers and of those that the messages call."""
    names = [name for tool in _tools(body) if (name := _function_name(tool))]
    names += [call.name for message in messages for call in message.tool_calls]
    return ToolNames(names)


def _tools(body: Mapping[str, Any]) -> Sequence[Any]:
    """The tools of a body, whatever an `extra_body` put there."""
    tools = body.get("tools")
    return tools if isinstance(tools, (list, tuple)) else ()


def _function_name(tool: Any) -> str | None:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def with_wire_names(body: Mapping[str, Any], names: ToolNames) -> dict[str, Any]:
    """The body with the tools under names that the service accepts."""
    changed = dict(body)
    if tools := _tools(body):
        changed["tools"] = [_renamed(tool, names) for tool in tools]
    if "tool_choice" in body:
        changed["tool_choice"] = _renamed(body["tool_choice"], names)
    return changed


def _renamed(tool: Any, names: ToolNames) -> Any:
    name = _function_name(tool)
    if name is None or names.to_wire(name) == name:
        return tool
    return {**tool, "function": {**tool["function"], "name": names.to_wire(name)}}
