"""A request for an answer as a test's predicates and functions see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["ChatRequest"]


@dataclass(frozen=True, eq=False)
class ChatRequest:
    """A request for an answer, as it arrived.

    Attributes:
        body: The parsed JSON body; empty where it was not a JSON object.
        model: Id of the model that is asked; empty where none is named.
        stream: Whether the answer is streamed.
    """

    body: Mapping[str, Any]
    model: str = ""
    stream: bool = False

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, as they are in the body."""
        return _objects(self.body.get("messages"))

    @property
    def user(self) -> str:
        """Text of the last message of the user; empty if there is none."""
        texts = [_text(item) for item in self.messages if item.get("role") == "user"]
        return texts[-1] if texts else ""

    @property
    def system(self) -> str:
        """Text of the system messages, a line break between two."""
        roles = ("system", "developer")
        return "\n".join(_text(item) for item in self.messages if item.get("role") in roles)

    @property
    def tool_results(self) -> list[str]:
        """What the tools answered to the calls of the last message of the assistant, in order."""
        found: list[str] = []
        for item in reversed(self.messages):
            if item.get("role") == "assistant":
                break
            if item.get("role") == "tool":
                found.insert(0, _text(item))
        return found

    @property
    def tools(self) -> list[str]:
        """Names of the tools on offer, in order."""
        functions = _objects([tool.get("function") for tool in _objects(self.body.get("tools"))])
        return [str(function.get("name")) for function in functions]

    def __str__(self) -> str:
        said = [f"model {self.model!r}"]
        if self.system:
            said.append(f"system {_short(self.system)}")
        said.append(f"user {_short(self.user)}")
        if self.tool_results:
            said.append(f"tool results {_short(' | '.join(self.tool_results))}")
        if self.tools:
            said.append(f"tools {', '.join(self.tools)}")
        return ", ".join(said)


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in _objects(content)]
    return "".join(text for text in texts if isinstance(text, str))


def _short(text: str, most: int = 120) -> str:
    return repr(text if len(text) <= most else f"{text[: most - 1]}…")
