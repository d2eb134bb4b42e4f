"""What is known of one model, and the ranges of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from nvcf_core.messages import MediaKind

__all__ = ["ModelSpec", "Range", "ReasoningEffort"]

ReasoningEffort: TypeAlias = Literal["none", "low", "high"]

_INTEGRATE = "https://integrate.api.nvidia.com/v1"


@dataclass(frozen=True, slots=True)
class Range:
    """The range that the documentation gives to a parameter, both ends included."""

    low: float
    high: float

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

    media: Mapping[MediaKind, frozenset[str] | None] = field(
        default_factory=lambda: {"image": None, "audio": None, "video": None}
    )
    """The kinds it takes, each with the formats its documentation names; None: the model's documentation names none."""
    html_tags: frozenset[MediaKind] = frozenset(("image", "audio", "video"))
    """The kinds that its service reads out of HTML-style tags, where a user's content is a string."""
    max_media: int | None = None
    """Media in one request, None where the model's documentation gives no number."""
    remote_urls: bool = True
    """Whether media may be given as http urls."""
    assets: bool = True
    """Whether its documentation has the `NVCF-INPUT-ASSET-REFERENCES` header."""
    audio_part: Literal["audio_url", "input_audio"] = "input_audio"
    """The content part in which inline audio goes. OpenAI-compatible servers share only `input_audio`."""

    roles: frozenset[str] | None = None
    """The roles its documentation allows, None: any."""
    message_keys: frozenset[str] = frozenset(("name",))
    """Which optional keys a message may have: `name`, `reasoning_content`."""
    single_message: bool = False
    """Whether it takes exactly one user message; system text is folded into it."""
    alternating: bool = False
    """Whether system comes first and only once, and no two messages of one role follow each other."""
    last_roles: frozenset[str] | None = None
    """The roles its last message may have, None: any."""

    parameters: frozenset[str] | None = None
    """The body fields its documentation documents besides messages, model and stream; None: not documented, all go."""
    bounds: Mapping[str, Range] = field(default_factory=dict[str, Range])
    context_window: int = 128_000
    """Tokens of prompt and answer together."""

    reasoning_efforts: Mapping[ReasoningEffort, Mapping[str, Any]] | None = field(
        default_factory=lambda: {
            effort: {"reasoning_effort": effort} for effort in ("none", "low", "high")
        }
    )
    """What each `reasoning_effort` adds to the body; None: the model does not reason."""
    no_think_media: frozenset[MediaKind] = frozenset()
    """The kinds of media with which the model's documentation wants thinking switched off."""
    no_think_token: str | None = None
    """What its system message then says."""
    think_token: str | None = None
    """What a system message says to switch thinking on."""

    def documents(self, parameter: str) -> bool:
        """Whether the model's documentation has this body field. A model without documentation takes all."""
        return self.parameters is None or parameter in self.parameters

    @property
    def documented(self) -> bool:
        """Whether there is documentation to hold a request against."""
        return self.parameters is not None

    @property
    def supports_tools(self) -> bool:
        """Whether it calls functions."""
        return self.documents("tools")

    @property
    def supports_reasoning(self) -> bool:
        """Whether it can think before it answers."""
        return self.reasoning_efforts is not None

    @property
    def max_output_tokens(self) -> int | None:
        """The most tokens an answer may have, None where it is not documented."""
        bound = self.bounds.get("max_tokens")
        return None if bound is None else int(bound.high)
