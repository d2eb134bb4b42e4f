"""One row for each documented model. A new model is a new row, never a new branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .spec import ModelSpec, Range

__all__ = ["known_models", "register", "spec_for", "unregister"]

_INT64 = 2**63


def _template(name: str, **low: bool) -> Mapping[str, Mapping[str, Any]]:
    """Reasoning switched by one of the chat template's own arguments."""
    return {
        "none": {"chat_template_kwargs": {name: False}},
        "low": {"chat_template_kwargs": {name: True, **low}},
        "high": {"chat_template_kwargs": {name: True}},
    }


def _precisions(name: str) -> tuple[str, ...]:
    """The names under which the weights are published: as they are, and in each precision."""
    return (name, *(f"{name}-{precision}" for precision in ("BF16", "FP8", "NVFP4")))


_CHAT_ROLES = frozenset(("system", "user", "assistant"))

_COMMON_PARAMETERS = frozenset(("temperature", "top_p", "max_tokens"))

_ROWS = (
    ModelSpec(
        id="google/gemma-3n-e2b-it",
        aliases=("google/gemma-3n-E2B-it",),
        media={"image": frozenset(("png", "jpeg")), "audio": frozenset(("wav", "mp3"))},
        html_tags=frozenset(("image", "audio")),
        audio_part="audio_url",
        roles=_CHAT_ROLES,
        message_keys=frozenset(),
        # Its published chat template refuses anything else.
        alternating=True,
        system_first=True,
        first_roles=frozenset(("user",)),
        parameters=_COMMON_PARAMETERS | {"seed", "stop", "frequency_penalty", "presence_penalty"},
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
        aliases=(
            *_precisions("nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning"),
            "nvidia/nemotron-3-nano-omni",
        ),
        media={
            "image": frozenset(("png", "jpeg", "webp")),
            "audio": frozenset(("wav", "mp3")),
            "video": frozenset(("mp4", "mov", "webm")),
        },
        audio_part="audio_url",
        roles=_CHAT_ROLES,
        message_keys=frozenset(),
        parameters=_COMMON_PARAMETERS | {"seed", "reasoning_budget", "chat_template_kwargs"},
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
        parameters=_COMMON_PARAMETERS,
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
        aliases=("moonshotai/Kimi-K2.6",),
        media={"image": None, "video": None},
        html_tags=frozenset(("image", "video")),
        roles=_CHAT_ROLES | {"tool"},
        message_keys=frozenset(("name", "reasoning_content")),
        # Its maker's API answers 400 where thinking is on and an earlier call has no reasoning, or an empty one.
        past_call_reasoning="The reasoning behind this call is not recorded.",
        parameters=_COMMON_PARAMETERS
        | {"seed", "chat_template_kwargs", "tools", "tool_choice", "stream_options"},
        bounds={
            "max_tokens": Range(1, 65_536),
            "seed": Range(-(2**53 - 1), 2**53 - 1),
            "temperature": Range(0, 1),
            "top_p": Range(0, 1),
        },
        context_window=262_144,
        reasoning_efforts=_template("thinking"),
        forced_tool_thinks=False,
        text_tool_calls="kimi",
    ),
    ModelSpec(
        id="nvidia/nemotron-3-super-120b-a12b",
        aliases=(
            *_precisions("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B"),
            *_precisions("nvidia/Nemotron-3-Super-120B-A12B"),
            "nvidia/nemotron-3-super",
        ),
        media={},
        html_tags=frozenset(),
        assets=False,
        roles=_CHAT_ROLES | {"tool", "context"},
        alternating=True,
        last_roles=frozenset(("user", "tool")),
        # The documentation says "Compatible with OpenAI": the fields of that API which it does not list itself
        # are those after the break.
        parameters=_COMMON_PARAMETERS
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
        text_tool_calls="nemotron",
    ),
)

_MODELS: dict[str, ModelSpec] = {row.id: row for row in _ROWS}

_ON_OWN_SERVERS: dict[str, tuple[ModelSpec, ModelSpec]] = {}
"""Rows, and what they are at a server of the user's own, so that this need not be worked out for each call."""


def spec_for(model: str, *, own_server: bool = False) -> ModelSpec:
    """Return the model's spec, or the defaults for a model that has none.

    Args:
        model: its id, or another name of the same weights; the spec has the id that is given.
        own_server: whether it runs on a server of the user's own; see `ModelSpec.for_own_server`.
    """
    spec = _MODELS.get(model) or _by_other_name(model) or ModelSpec(id=model)
    return _on_own_server(spec) if own_server and spec.documented else spec


def _by_other_name(model: str) -> ModelSpec | None:
    wanted = model.casefold()
    for row in _MODELS.values():
        if any(wanted == name.casefold() for name in (row.id, *row.aliases)):
            return replace(row, id=model)
    return None


def _on_own_server(spec: ModelSpec) -> ModelSpec:
    row, changed = _ON_OWN_SERVERS.get(spec.id, (None, spec))
    if row is not spec:
        changed = spec.for_own_server()
        _ON_OWN_SERVERS[spec.id] = spec, changed
    return changed


def register(spec: ModelSpec) -> None:
    """Add a model spec, or replace the one with the same id, for the whole process."""
    _MODELS[spec.id] = spec


def unregister(model: str) -> None:
    """Undo `register`: a documented model has its own spec again, any other has none."""
    documented = next((row for row in _ROWS if row.id == model), None)
    if documented is None:
        _MODELS.pop(model, None)
    else:
        # In its old place: the order of the rows is that of the documentation.
        _MODELS[model] = documented


def known_models() -> tuple[ModelSpec, ...]:
    """Return every model spec, registered ones included, each once. Other names are in `aliases`."""
    return tuple(_MODELS.values())
