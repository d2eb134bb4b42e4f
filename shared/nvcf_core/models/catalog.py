"""One row for each documented model. A new model is a new row, never a new branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .spec import ModelSpec, Range, ReasoningEffort

__all__ = ["known_models", "register", "spec_for", "unregister"]

_INT64 = 2**63


def _template(name: str, **low: bool) -> Mapping[ReasoningEffort, Mapping[str, Any]]:
    """Reasoning switched by one of the chat template's own arguments."""
    return {
        "none": {"chat_template_kwargs": {name: False}},
        "low": {"chat_template_kwargs": {name: True, **low}},
        "high": {"chat_template_kwargs": {name: True}},
    }


_CHAT_ROLES = frozenset(("system", "user", "assistant"))

_SAMPLING = frozenset(("temperature", "top_p", "max_tokens"))

_ROWS = (
    ModelSpec(
        id="google/gemma-3n-e2b-it",
        media={"image": frozenset(("png", "jpeg")), "audio": frozenset(("wav", "mp3"))},
        html_tags=frozenset(("image", "audio")),
        audio_part="audio_url",
        roles=_CHAT_ROLES,
        message_keys=frozenset(),
        parameters=_SAMPLING | {"seed", "stop", "frequency_penalty", "presence_penalty"},
        bounds={
            "frequency_penalty": Range(-2, 2),
            "max_tokens": Range(1, 8192),
            "presence_penalty": Range(-2, 2),
            "seed": Range(-_INT64, _INT64 - 1),
            "temperature": Range(0, 2),
            "top_p": Range(0, 1),
        },
        context_window=32_768,
        reasoning_efforts=None,
    ),
    ModelSpec(
        id="nvidia/nemotron-3-nano-omni-30b-a3b-reasoning",
        media={
            "image": frozenset(("png", "jpeg", "webp")),
            "audio": frozenset(("wav", "mp3")),
            "video": frozenset(("mp4", "mov", "webm")),
        },
        audio_part="audio_url",
        roles=_CHAT_ROLES,
        message_keys=frozenset(),
        parameters=_SAMPLING | {"seed", "reasoning_budget", "chat_template_kwargs"},
        bounds={
            "max_tokens": Range(1, 65_536),
            "reasoning_budget": Range(-1, 32_768),
            "seed": Range(-_INT64, _INT64 - 1),
            "temperature": Range(0, 2),
            "top_p": Range(0, 1),
        },
        context_window=262_144,
        reasoning_efforts=_template("enable_thinking"),
        no_think_media=frozenset(("audio", "video")),
        no_think_token="/no_think",
        think_token="/think",
    ),
    ModelSpec(
        id="google/paligemma",
        base_url="https://ai.api.nvidia.com/v1",
        path="vlm/google/paligemma",
        model_in_body=False,
        media={"image": frozenset(("png", "jpeg"))},
        html_tags=frozenset(("image",)),
        max_media=1,
        remote_urls=False,
        roles=frozenset(("user",)),
        message_keys=frozenset(),
        single_message=True,
        parameters=_SAMPLING,
        bounds={
            "max_tokens": Range(1, 1024),
            "temperature": Range(0, 1),
            "top_p": Range(0, 1),
        },
        context_window=2_048,
        reasoning_efforts=None,
    ),
    ModelSpec(
        id="moonshotai/kimi-k2.6",
        media={"image": None, "video": None},
        html_tags=frozenset(("image", "video")),
        roles=_CHAT_ROLES | {"tool"},
        message_keys=frozenset(("name", "reasoning_content")),
        parameters=_SAMPLING
        | {"seed", "chat_template_kwargs", "tools", "tool_choice", "stream_options"},
        bounds={
            "max_tokens": Range(1, 65_536),
            "seed": Range(-(2**53 - 1), 2**53 - 1),
            "temperature": Range(0, 1),
            "top_p": Range(0, 1),
        },
        context_window=262_144,
        reasoning_efforts=_template("thinking"),
    ),
    ModelSpec(
        id="nvidia/nemotron-3-super-120b-a12b",
        media={},
        html_tags=frozenset(),
        assets=False,
        roles=_CHAT_ROLES | {"tool", "context"},
        alternating=True,
        last_roles=frozenset(("user", "tool")),
        # The documentation says "Compatible with OpenAI": the fields of that API which it does not list itself
        # are those after the break.
        parameters=_SAMPLING
        | {"seed", "stop", "reasoning_effort", "reasoning_budget", "chat_template_kwargs"}
        | {"tools", "tool_choice", "parallel_tool_calls", "response_format", "stream_options"}
        | {"logprobs", "top_logprobs", "logit_bias", "n", "user"},
        bounds={
            "max_tokens": Range(1, 32_768),
            "reasoning_budget": Range(-1, 32_768),
            "seed": Range(0, 2**64 - 1),
            "temperature": Range(0, 1),
            "top_p": Range(0, 1),
        },
        context_window=262_144,
        reasoning_efforts=_template("enable_thinking", low_effort=True),
    ),
)

_MODELS: dict[str, ModelSpec] = {row.id: row for row in _ROWS}


def spec_for(model: str) -> ModelSpec:
    """The model's row, or the defaults for a model that has none."""
    return _MODELS.get(model) or ModelSpec(id=model)


def register(spec: ModelSpec) -> None:
    """Add a row, or replace the one with the same id, for the whole process."""
    _MODELS[spec.id] = spec


def unregister(model: str) -> None:
    """Undo `register`: a documented model has its own row again, any other one none."""
    _MODELS.pop(model, None)
    _MODELS.update((row.id, row) for row in _ROWS if row.id == model)


def known_models() -> tuple[ModelSpec, ...]:
    """Every row there is, the registered ones included."""
    return tuple(_MODELS.values())
