"""The answer that a test scripted, held against the tools that the request offers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import Choice, ToolCall, ToolCallIds
from nvcf_emulator.script.step_queue import ScriptError
from nvcf_emulator.script.steps import Reply

__all__ = ["require_offered_tools", "scripted_choice"]


def scripted_choice(reply: Reply, ids: ToolCallIds) -> Choice:
    """Return the choice that a reply stands for."""
    calls = tuple(
        ToolCall(
            id=str(call["id"]) if "id" in call else ids.next(str(call["name"])),
            name=str(call["name"]),
            arguments=_arguments_text(call.get("arguments", {})),
        )
        for call in reply.tool_calls
    )
    return Choice(
        reasoning=_pieces(reply.reasoning),
        content=None if reply.text is None and calls else _pieces(reply.text),
        calls=calls,
        finish_reason=reply.finish_reason or ("tool_calls" if calls else "stop"),
        logprobs=None if reply.logprobs is None else tuple(reply.logprobs),
        message=reply.message or {},
    )


def require_offered_tools(reply: Reply, offered: Sequence[Mapping[str, Any]]) -> None:
    """Check the tool calls of a reply against the functions that the request offers.

    Arguments given as a text that is not a JSON object are not checked: that is how a test plays
    a model that writes broken ones.

    Raises:
        ScriptError: A tool is not offered, or its arguments do not fit its schema.
    """
    if reply.unchecked:
        return
    functions = {function["name"]: function for function in offered}
    for call in reply.tool_calls:
        name = str(call["name"])
        if name not in functions:
            names = ", ".join(repr(item) for item in functions) or "no tools"
            raise ScriptError(
                f"the scripted call of {name!r} is not of a tool that the request offers: it "
                f"offers {names}. Correct the name in reply(tool_calls=…), offer the tool, or "
                "pass unchecked=True."
            )
        problem = _misfit(call.get("arguments", {}), functions[name].get("parameters", {}))
        if problem:
            raise ScriptError(
                f"the arguments of the scripted call of {name!r} do not fit its schema: "
                f"{problem}. Correct reply(tool_calls=…), or pass unchecked=True."
            )


def _misfit(arguments: object, schema: Mapping[str, Any]) -> str:
    """Return how arguments break a schema; empty if they do not, or if neither can be read."""
    # Late, since most requests bring no scripted calls, and it takes a while to load.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from referencing.exceptions import Unresolvable

    parsed = _parsed(arguments)
    if parsed is None:
        return ""
    try:
        Draft202012Validator.check_schema(schema)
        error = best_match(Draft202012Validator(schema).iter_errors(parsed))
    except (SchemaError, Unresolvable):
        # Whether the service takes such a schema is for the request's own validation to say.
        return ""
    if error is None:
        return ""
    place = ".".join(str(step) for step in error.absolute_path)
    return f"{place}: {error.message}" if place else error.message


def _parsed(arguments: object) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _arguments_text(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _pieces(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return tuple(tokens.split(text) if isinstance(text, str) else text or ())
