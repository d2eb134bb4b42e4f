"""Reasoning switched on and off: by the settings, by the media, by a token in the system message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nvcf_core.config.settings import CallSettings
from nvcf_core.messages import Media, Message
from nvcf_core.models.validator import Validator, check_number

__all__ = ["add_reasoning", "without_thinking"]


def add_reasoning(settings: CallSettings, validator: Validator, body: dict[str, Any]) -> None:
    """Add what switches reasoning: `reasoning_effort` and `reasoning_budget` in the model's own terms.

    Raises:
        InvalidRequestError: the model does not have this effort, or the budget is out of range.
    """
    spec, effort, budget = validator.spec, settings.reasoning_effort, settings.reasoning_budget
    given = settings.chat_template_kwargs
    template: dict[str, Any] = {}
    if effort is not None and spec.reasoning_efforts is None:
        validator.warn(
            "reasoning_effort", f"{spec.id} does not reason: reasoning_effort is not sent"
        )
    elif effort is not None and spec.reasoning_efforts is not None:
        if effort not in spec.reasoning_efforts:
            allowed = ", ".join(spec.reasoning_efforts)
            raise validator.invalid_request(
                "reasoning_effort", f"reasoning_effort={effort!r} is none of {allowed}"
            )
        adds = dict(spec.reasoning_efforts[effort])
        template.update(adds.pop("chat_template_kwargs", {}))
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


def without_thinking(
    messages: tuple[Message, ...],
    body: Mapping[str, Any],
    effort: str | None,
    validator: Validator,
) -> tuple[tuple[Message, ...], Mapping[str, Any]]:
    """The messages and the body with thinking switched off, where the documentation wants that for their media.

    A caller who asked for thinking, by setting or by a word in the system message, keeps it, and is warned.
    """
    spec = validator.spec
    kinds = {part.kind for message in messages for part in message.parts if isinstance(part, Media)}
    if (
        not kinds & spec.no_think_media
        or spec.reasoning_efforts is None
        or spec.no_think_token is None
    ):
        return messages, body
    off = spec.reasoning_efforts["none"]["chat_template_kwargs"]
    template = body.get("chat_template_kwargs", {})
    system = "\n".join(message.text for message in messages if message.role == "system")
    switched_off = _has_token(system, spec.no_think_token)
    asked = effort in ("low", "high") or any(template.get(name) for name in off)
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
