"""The tools of a body under names that the service accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nvcf_core.messages import Message
from nvcf_core.tool_names import ToolNames


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


def with_wire_names(body: dict[str, Any], names: ToolNames) -> dict[str, Any]:
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
