"""Reasoning switched on and off: by the settings, by the media, by a token in the system message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from nvcf_core.config.settings import CallSettings
from nvcf_core.messages import Media, Message
from nvcf_core.models.spec import NEAREST_EFFORT, ReasoningEffort
from nvcf_core.models.validator import Validator, check_number

__all__ = ["add_reasoning", "check_effort", "without_thinking", "without_thinking_for_forced_tool"]

_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)


def check_effort(effort: object, validator: Validator) -> None:
    """Hold a `reasoning_effort`, of any type, against those that there are.

    Raises:
        InvalidRequestError: the model's documentation has no such effort. The message lists those that there are.
    """
    spec = validator.spec
    if effort is None or spec.reasoning_efforts == {}:
        return
    has = _EFFORTS if spec.reasoning_efforts is None else tuple(spec.reasoning_efforts)
    nearest = NEAREST_EFFORT.get(effort) if isinstance(effort, str) else None
    if effort not in has and nearest not in has:
        allowed = ", ".join(
            name for name in _EFFORTS if name in has or NEAREST_EFFORT.get(name) in has
        )
        raise validator.invalid_request(
            "reasoning_effort", f"reasoning_effort={effort!r} is not one of {allowed}"
        )


def add_reasoning(settings: CallSettings, validator: Validator, body: dict[str, Any]) -> None:
    """Add what switches reasoning: `reasoning_effort` and `reasoning_budget` in the model's own terms.

    Raises:
        InvalidRequestError: the model does not have this effort, or the budget is out of range.
    """
    budget, given = settings.reasoning_budget, settings.chat_template_kwargs
    check_effort(settings.reasoning_effort, validator)
    adds = _effort_fields(settings.reasoning_effort, validator)
    template = dict(adds.pop("chat_template_kwargs", {}))
    body.update(adds)
    if budget is not None:
        check_number("reasoning_budget", budget, validator)
        validator.warn_undocumented("reasoning_budget")
        body["reasoning_budget"] = budget
    if given:
        validator.warn_undocumented("chat_template_kwargs")
        template.update(given)
    if template:
        body["chat_template_kwargs"] = template


def _effort_fields(effort: str | None, validator: Validator) -> dict[str, Any]:
    """Return the body fields for an effort, from the model spec."""
    spec, efforts = validator.spec, validator.spec.reasoning_efforts
    if effort is None:
        return {}
    if efforts is None:
        validator.warn(
            "reasoning_effort", f"{spec.id} does not reason: reasoning_effort is not sent"
        )
        return {}
    if not efforts:
        return {"reasoning_effort": effort}
    if effort not in efforts:
        nearest = NEAREST_EFFORT[effort]
        validator.warn(
            f"reasoning_effort:{effort}",
            f'{spec.id} has no reasoning_effort="{effort}": "{nearest}" is sent in its place',
        )
        effort = nearest
    return dict(efforts[effort])


def without_thinking_for_forced_tool(
    body: Mapping[str, Any], validator: Validator
) -> Mapping[str, Any]:
    """The body with thinking switched off where the model must not think before a tool that it is made to call.

    A caller who set reasoning keeps it, and is warned where that may be refused.
    """
    spec = validator.spec
    choice = body.get("tool_choice")
    if spec.forced_tool_thinks or not spec.reasoning_efforts or choice in (None, "auto", "none"):
        return body
    off = spec.reasoning_efforts["none"]["chat_template_kwargs"]
    template = body.get("chat_template_kwargs")
    template = template if isinstance(template, Mapping) else {}
    if not any(name in template for name in off):
        return {**body, "chat_template_kwargs": {**off, **template}}
    if any(template[name] != value for name, value in off.items() if name in template):
        validator.warn(
            "forced_tool",
            f"{spec.id} may refuse a tool that it is made to call while it thinks: "
            'reasoning_effort="none" switches thinking off',
        )
    return body


def without_thinking(
    messages: tuple[Message, ...],
    body: Mapping[str, Any],
    effort: str | None,
    validator: Validator,
) -> tuple[tuple[Message, ...], Mapping[str, Any]]:
    """The messages and the body with thinking switched off, where the documentation wants that for their media.

    A caller who requested thinking, by setting or by a token in the system message, keeps it, and is warned.
    """
    spec = validator.spec
    if not (spec.no_think_media and spec.reasoning_efforts) or spec.no_think_token is None:
        return messages, body
    kinds = {part.kind for message in messages for part in message.parts if isinstance(part, Media)}
    if not kinds & spec.no_think_media:
        return messages, body
    off = spec.reasoning_efforts["none"]["chat_template_kwargs"]
    template = body.get("chat_template_kwargs", {})
    system = "\n".join(message.text for message in messages if message.role == "system")
    switched_off = _has_token(system, spec.no_think_token)
    asked = effort not in (None, "none") or any(template.get(name) for name in off)
    if asked or (_has_token(system, spec.think_token) and not switched_off):
        media = " and ".join(sorted(kinds & spec.no_think_media))
        validator.warn(
            "quiet_media",
            f"{spec.id} should not think about {media}: its documentation asks for {spec.no_think_token}",
        )
        return messages, body
    quiet = messages if switched_off else _with_token(messages, spec.no_think_token)
    return quiet, {**body, "chat_template_kwargs": {**off, **template}}


def _has_token(text: str, word: str | None) -> bool:
    return word is not None and re.search(rf"(?<![\w/]){re.escape(word)}\b", text) is not None


def _with_token(messages: tuple[Message, ...], word: str) -> tuple[Message, ...]:
    for place, message in enumerate(messages):
        if message.role == "system":
            text = f"{message.text} {word}".strip()
            return (*messages[:place], replace(message, parts=(text,)), *messages[place + 1 :])
    return (Message(role="system", parts=(word,)), *messages)
