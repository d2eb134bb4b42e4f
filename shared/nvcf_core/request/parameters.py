"""The body of a request but for messages, tools and reasoning: sampling, stop, extra fields."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nvcf_core.config.settings import PHASES, CallSettings, Settings
from nvcf_core.errors import InvalidRequestError
from nvcf_core.models.validator import Validator, check_number

from .reasoning import add_reasoning, check_effort

__all__ = ["BodyFields", "body_fields", "check_client_limits", "check_settings"]

_SAMPLING = ("temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty")

_LEAST = {"max_retries": 0, "requests_per_minute": 1, "max_connections": 1, "context_window": 1}
"""The minimum of each limit that an object may have."""

_TIMES = ("timeout", "call_timeout", "poll_timeout")

_DEFAULTS: Mapping[str, Any] = {
    "n": 1,
    "parallel_tool_calls": True,
    "store": False,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "response_format": {"type": "text"},
}
"""Default values: sending one equals omitting the field. Omitted if the model does not document the field."""

_TEMPLATE = "chat_template_kwargs"


@dataclass(slots=True)
class BodyFields:
    """The body fields that the settings and keywords of one call give."""

    body: dict[str, Any]
    stops: tuple[str, ...] = ()
    """Stop sequences that the client enforces, because the model's documentation has no `stop`."""
    single_call: bool = False
    """Whether the client leaves out every tool call but the first."""


def check_settings(settings: Settings, validator: Validator) -> None:
    """Check the constructor's values against the model's documentation.

    Raises:
        InvalidRequestError: one is out of its bounds.
    """
    _check_times(settings, validator)
    for name in (*_SAMPLING, "reasoning_budget"):
        if (value := getattr(settings, name)) is not None:
            check_number(name, value, validator)
    check_effort(settings.reasoning_effort, validator)
    _stops(settings.stop, validator)


def check_client_limits(settings: CallSettings) -> None:
    """Check that client limits are at least their minimum.

    Raises:
        InvalidRequestError: one is lower.
    """
    values = vars(settings)
    for name, least in _LEAST.items():
        value = values.get(name)
        if value is not None and value < least:
            raise InvalidRequestError(f"{name}={value} must be at least {least}", field=name)


def body_fields(
    settings: CallSettings, extra: Mapping[str, Any], validator: Validator, *, stream: bool
) -> BodyFields:
    """Return the body fields besides model, messages and stream.

    Args:
        settings: those of this call.
        extra: its keywords that are not settings: tools, and whatever the service may take.
        validator: checks values against the model spec.
        stream: whether the answer is to be streamed.

    Raises:
        InvalidRequestError: a value is out of its bounds, or cannot be what the field wants.
    """
    _check_times(settings, validator)
    result = BodyFields({})
    for name in _SAMPLING:
        value = getattr(settings, name)
        if value is not None:
            check_number(name, value, validator)
            _add_field(name, value, validator, result)
    _add_stop(settings.stop, validator, result)
    add_reasoning(settings, validator, result.body)
    if extra:
        extra = _drop_inapplicable_fields(extra, settings.extra_body or {}, stream=stream)
        _add_extra(extra, validator, result, stream=stream)
    if settings.stream_usage and validator.spec.documents("stream_options"):
        result.body.setdefault("stream_options", {"include_usage": True})
    result.body.update(_beside_the_template(settings.extra_body or {}, result.body))
    if not stream:
        result.body.pop("stream_options", None)  # Services refuse it there.
    return result


def _beside_the_template(extra_body: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `extra_body`; what it gives the chat template stands beside what the settings give it."""
    ours, given = body.get(_TEMPLATE), extra_body.get(_TEMPLATE)
    if isinstance(ours, Mapping) and isinstance(given, Mapping):
        return {**extra_body, _TEMPLATE: {**ours, **given}}
    return dict(extra_body)


def _check_times(settings: CallSettings, validator: Validator) -> None:
    for name in _TIMES:
        value = getattr(settings, name)
        if value is not None and not _is_time(value):
            raise validator.invalid_request(
                name, f"{name} must be a number of seconds, not {value!r}"
            )
    pause = settings.stream_chunk_timeout
    if pause != math.inf and not _is_time(pause):
        raise validator.invalid_request(
            "stream_chunk_timeout",
            f'stream_chunk_timeout must be a number of seconds, or float("inf"), not {pause!r}',
        )


def _is_time(value: object) -> bool:
    """Return whether it is a number of seconds that a thread can wait, or an httpx.Timeout."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0 <= value <= threading.TIMEOUT_MAX
    return all(hasattr(value, phase) for phase in PHASES)


def _stops(stop: Any, validator: Validator) -> list[str]:
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    for text in stops:
        if not isinstance(text, str) or not text:
            raise validator.invalid_request(
                "stop", f"stop takes texts that are not empty, not {text!r}"
            )
    return stops


def _add_stop(stop: Any, validator: Validator, result: BodyFields) -> None:
    stops = _stops(stop, validator)
    if not stops:
        return
    if validator.spec.documents("stop"):
        result.body["stop"] = stop if isinstance(stop, str) else stops
    else:
        result.stops = tuple(stops)


def _drop_inapplicable_fields(
    extra: Mapping[str, Any], extra_body: Mapping[str, Any], *, stream: bool
) -> dict[str, Any]:
    """Drop fields that do not apply.

    These are `stream_options` without streaming, and `tool_choice`, `parallel_tool_calls` and an empty `tools` without
    tools: services refuse them. `stream` is set by the client.
    """
    left_out = {"stream"}
    if not stream:
        left_out.add("stream_options")
    if not extra.get("tools"):
        # An empty list of tools is refused, and so is a choice among none.
        left_out.add("tools")
        if not extra_body.get("tools"):
            left_out |= {"tool_choice", "parallel_tool_calls"}
    return {name: value for name, value in extra.items() if name not in left_out}


def _add_extra(
    extra: dict[str, Any], validator: Validator, result: BodyFields, *, stream: bool
) -> None:
    if not isinstance(extra.get("tools", []), (list, tuple)):
        raise validator.invalid_request(
            "tools", f"tools takes a list of tools, not {extra['tools']!r}"
        )
    if not validator.spec.documents("parallel_tool_calls") and "parallel_tool_calls" in extra:
        result.single_call = extra.pop("parallel_tool_calls") is False
    no_logprobs = validator.spec.documented and not extra.get("logprobs")
    if no_logprobs and _is_default("top_logprobs", extra.get("top_logprobs")):
        del extra["top_logprobs"]  # Services refuse any number of them without `logprobs`.
    if stream and isinstance(extra.get("n"), int) and extra["n"] > 1:
        raise validator.invalid_request("n", f"a stream has one answer, not n={extra['n']}")
    for name, value in extra.items():
        _add_field(name, value, validator, result)


def _add_field(name: str, value: object, validator: Validator, result: BodyFields) -> None:
    """Add a field to the body; skip an undocumented field that has its default value."""
    if not validator.spec.documents(name):
        if _is_default(name, value):
            return
        validator.warn_undocumented(name)
    result.body[name] = value


def _is_default(name: str, value: object) -> bool:
    """Return whether a value is the service's default: clients of many models send it to each."""
    default = _DEFAULTS.get(name)
    # True equals 1, and is not what 1 means.
    same_kind = isinstance(value, bool) is isinstance(default, bool)
    return default is not None and same_kind and value == default
