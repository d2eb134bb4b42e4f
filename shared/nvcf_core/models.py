"""What is known about each model. A new model is a new row, never a new branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .messages import Kind

Effort: TypeAlias = Literal["none", "low", "high"]

_INTEGRATE = "https://integrate.api.nvidia.com/v1"
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Bound:
    """The range that a page gives to a parameter, both ends included."""

    low: float
    high: float
    integer: bool = False

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One row. The defaults describe a model that nobody has told us about: the service judges."""

    id: str
    base_url: str = _INTEGRATE
    """The documented host, up to `/v1`."""
    path: str = "chat/completions"
    """Below the base url."""
    model_in_body: bool = True
    """Whether the body says `model`, or the path already does."""

    media: Mapping[Kind, frozenset[str] | None] = field(
        default_factory=lambda: {"image": None, "audio": None, "video": None}
    )
    """The kinds it takes, each with the formats its page names; None: the page names none."""
    tags: frozenset[Kind] = frozenset(("image", "audio", "video"))
    """The kinds that its service reads out of HTML-style tags, where a user's content is a string."""
    max_media: int | None = None
    """Media in one request, None where the page gives no number."""
    remote_urls: bool = True
    """Whether media may be given as http urls."""
    assets: bool = True
    """Whether its page has the `NVCF-INPUT-ASSET-REFERENCES` header."""
    audio_part: Literal["audio_url", "input_audio"] = "input_audio"
    """The content part in which inline audio goes. OpenAI-compatible servers share only `input_audio`."""

    roles: frozenset[str] | None = None
    """The roles its page allows, None: any."""
    message_keys: frozenset[str] = frozenset(("name",))
    """Which optional keys a message may have: `name`, `reasoning_content`."""
    single_message: bool = False
    """Whether it takes exactly one user message; system text is folded into it."""
    alternating: bool = False
    """Whether system comes first and only once, and no two messages of one role follow each other."""
    last_roles: frozenset[str] | None = None
    """The roles its last message may have, None: any."""

    parameters: frozenset[str] | None = None
    """The body fields its page documents besides messages, model and stream; None: no page, all go."""
    bounds: Mapping[str, Bound] = field(default_factory=dict[str, Bound])
    context_window: int = 128_000
    """Tokens of prompt and answer together."""

    efforts: Mapping[Effort, Mapping[str, Any]] | None = field(
        default_factory=lambda: {
            effort: {"reasoning_effort": effort} for effort in ("none", "low", "high")
        }
    )
    """What each `reasoning_effort` adds to the body; None: the model does not reason."""
    quiet_media: frozenset[Kind] = frozenset()
    """The kinds of media with which the page wants thinking switched off."""
    quiet_word: str | None = None
    """What its system message then says."""
    think_word: str | None = None
    """What a system message says to switch thinking on."""

    def documents(self, parameter: str) -> bool:
        """Whether the page has this body field. A model without a page documents all."""
        return self.parameters is None or parameter in self.parameters

    @property
    def known(self) -> bool:
        """Whether there is a page to hold a request against."""
        return self.parameters is not None

    @property
    def tools(self) -> bool:
        """Whether it calls functions."""
        return self.documents("tools")

    @property
    def reasons(self) -> bool:
        """Whether it can think before it answers."""
        return self.efforts is not None

    @property
    def max_output(self) -> int | None:
        """The most tokens an answer may have, None where no page says."""
        bound = self.bounds.get("max_tokens")
        return None if bound is None else int(bound.high)


def _template(name: str, **low: bool) -> Mapping[Effort, Mapping[str, Any]]:
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
        tags=frozenset(("image", "audio")),
        audio_part="audio_url",
        roles=_CHAT_ROLES,
        message_keys=frozenset(),
        parameters=_SAMPLING | {"seed", "stop", "frequency_penalty", "presence_penalty"},
        bounds={
            "frequency_penalty": Bound(-2, 2),
            "max_tokens": Bound(1, 8192, integer=True),
            "presence_penalty": Bound(-2, 2),
            "seed": Bound(-_INT64, _INT64 - 1, integer=True),
            "temperature": Bound(0, 2),
            "top_p": Bound(0, 1),
        },
        context_window=32_768,
        efforts=None,
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
            "max_tokens": Bound(1, 65_536, integer=True),
            "reasoning_budget": Bound(-1, 32_768, integer=True),
            "seed": Bound(-_INT64, _INT64 - 1, integer=True),
            "temperature": Bound(0, 2),
            "top_p": Bound(0, 1),
        },
        context_window=262_144,
        efforts=_template("enable_thinking"),
        quiet_media=frozenset(("audio", "video")),
        quiet_word="/no_think",
        think_word="/think",
    ),
    ModelSpec(
        id="google/paligemma",
        base_url="https://ai.api.nvidia.com/v1",
        path="vlm/google/paligemma",
        model_in_body=False,
        media={"image": frozenset(("png", "jpeg"))},
        tags=frozenset(("image",)),
        max_media=1,
        remote_urls=False,
        roles=frozenset(("user",)),
        message_keys=frozenset(),
        single_message=True,
        parameters=_SAMPLING,
        bounds={
            "max_tokens": Bound(1, 1024, integer=True),
            "temperature": Bound(0, 1),
            "top_p": Bound(0, 1),
        },
        context_window=2_048,
        efforts=None,
    ),
    ModelSpec(
        id="moonshotai/kimi-k2.6",
        media={"image": None, "video": None},
        tags=frozenset(("image", "video")),
        roles=_CHAT_ROLES | {"tool"},
        message_keys=frozenset(("name", "reasoning_content")),
        parameters=_SAMPLING
        | {"seed", "chat_template_kwargs", "tools", "tool_choice", "stream_options"},
        bounds={
            "max_tokens": Bound(1, 65_536, integer=True),
            "seed": Bound(-(2**53 - 1), 2**53 - 1, integer=True),
            "temperature": Bound(0, 1),
            "top_p": Bound(0, 1),
        },
        context_window=262_144,
        efforts=_template("thinking"),
    ),
    ModelSpec(
        id="nvidia/nemotron-3-super-120b-a12b",
        media={},
        tags=frozenset(),
        assets=False,
        roles=_CHAT_ROLES | {"tool", "context"},
        alternating=True,
        last_roles=frozenset(("user", "tool")),
        # The page says "Compatible with OpenAI": the fields of that API which it does not list itself
        # are those after the break.
        parameters=_SAMPLING
        | {"seed", "stop", "reasoning_effort", "reasoning_budget", "chat_template_kwargs"}
        | {"tools", "tool_choice", "parallel_tool_calls", "response_format", "stream_options"}
        | {"logprobs", "top_logprobs", "logit_bias", "n", "user"},
        bounds={
            "max_tokens": Bound(1, 32_768, integer=True),
            "reasoning_budget": Bound(-1, 32_768, integer=True),
            "seed": Bound(0, 2**64 - 1, integer=True),
            "temperature": Bound(0, 1),
            "top_p": Bound(0, 1),
        },
        context_window=262_144,
        efforts=_template("enable_thinking", low_effort=True),
    ),
)

_MODELS: dict[str, ModelSpec] = {row.id: row for row in _ROWS}


def spec_for(model: str) -> ModelSpec:
    """The model's row, or the defaults for a model that has none."""
    return _MODELS.get(model) or ModelSpec(id=model)


def register(spec: ModelSpec) -> None:
    """Add a row, or replace the one with the same id, for the whole process."""
    _MODELS[spec.id] = spec


def known_models() -> tuple[ModelSpec, ...]:
    """Every row there is, the registered ones included."""
    return tuple(_MODELS.values())
