"""Reasoning switched on and off: by the settings, by the media, by a token in the system message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nvcf_core.messages import Media, Message
from nvcf_core.models.validator import Judge, _check_number


def _add_reasoning(values: Mapping[str, Any], judge: Judge, body: dict[str, Any]) -> None:
    spec, effort, budget = judge.spec, values["reasoning_effort"], values["reasoning_budget"]
    given = values["chat_template_kwargs"]
    template: dict[str, Any] = {}
    if effort is not None and spec.efforts is None:
        judge.warn("reasoning_effort", f"{spec.id} does not reason: reasoning_effort is not sent")
    elif effort is not None and spec.efforts is not None:
        if effort not in spec.efforts:
            allowed = ", ".join(spec.efforts)
            raise judge.refusal(
                "reasoning_effort", f"reasoning_effort={effort!r} is none of {allowed}"
            )
        adds = dict(spec.efforts[effort])
        template.update(adds.pop("chat_template_kwargs", {}))
        body.update(adds)
    if budget is not None:
        _check_number("reasoning_budget", budget, judge)
        judge.undocumented("reasoning_budget")
        body["reasoning_budget"] = budget
    if given:
        judge.undocumented("chat_template_kwargs")
        template.update(given)
    if template:
        body["chat_template_kwargs"] = template


def quieted(
    messages: tuple[Message, ...], body: dict[str, Any], effort: str | None, judge: Judge
) -> tuple[Message, ...]:
    """Switch thinking off where the page wants that for the media in the messages.

    A caller who asked for thinking, by setting or by a word in the system message, keeps it, and is warned.
    """
    spec = judge.spec
    kinds = {part.kind for message in messages for part in message.parts if isinstance(part, Media)}
    if not kinds & spec.quiet_media or spec.efforts is None or spec.quiet_word is None:
        return messages
    off = spec.efforts["none"]["chat_template_kwargs"]
    template = body.setdefault("chat_template_kwargs", {})
    system = "\n".join(message.text for message in messages if message.role == "system")
    switched_off = _has_word(system, spec.quiet_word)
    asked = effort in ("low", "high") or any(template.get(name) for name in off)
    if asked or (_has_word(system, spec.think_word) and not switched_off):
        if not template:
            del body["chat_template_kwargs"]
        media = " and ".join(sorted(kinds & spec.quiet_media))
        judge.warn(
            "quiet_media",
            f"{spec.id} should not think about {media}: its page asks for {spec.quiet_word}",
        )
        return messages
    body["chat_template_kwargs"] = {**off, **template}
    return messages if switched_off else _with_word(messages, spec.quiet_word)


def _has_word(text: str, word: str | None) -> bool:
    return word is not None and re.search(rf"(?<![\w/]){re.escape(word)}\b", text) is not None


def _with_word(messages: tuple[Message, ...], word: str) -> tuple[Message, ...]:
    for place, message in enumerate(messages):
        if message.role == "system":
            text = f"{message.text} {word}".strip()
            return (*messages[:place], replace(message, parts=(text,)), *messages[place + 1 :])
    return (Message(role="system", parts=(word,)), *messages)
