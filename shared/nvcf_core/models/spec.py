"""What is known of one model, and the ranges of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from nvcf_core.messages import MediaKind

__all__ = ["NEAREST_EFFORT", "ModelSpec", "Range", "ReasoningEffort", "TextToolCalls"]

ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high"]

NEAREST_EFFORT: Mapping[str, ReasoningEffort] = {"minimal": "low", "medium": "high"}
"""The effort that is sent to a model that does not document these."""


TextToolCalls: TypeAlias = Literal["kimi", "nemotron"]
"""The form in which a model writes its tool calls: `<|tool_calls_section_begin|>…`, or `<TOOLCALL>[…]</TOOLCALL>`."""

_THINKING_SWITCHES = ("enable_thinking", "thinking")
"""What chat templates call the argument that switches thinking on and off."""

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
    """What is known of one model. The defaults are for an unknown model: no rule of a model is checked here."""

    id: str
    aliases: tuple[str, ...] = ()
    """Other names of the same weights. Names are looked up whatever the case of their letters."""
    base_url: str = _INTEGRATE
    """The documented host, up to `/v1`."""
    path: str = "chat/completions"
    """Below the base url."""
    model_in_body: bool = True
    """Whether the body says `model`, or the path already does."""

    media: Mapping[MediaKind, frozenset[str] | None] = field(
        default_factory=lambda: {"image": None, "audio": None, "video": None}
    )
    """The kinds it takes, each with the formats its documentation names; None: it names none."""
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
    system_first: bool = False
    """Whether system texts, wherever they stand, are collected into one message that comes first."""
    first_roles: frozenset[str] | None = None
    """The roles that the first message after the system's may have, None: any."""
    last_roles: frozenset[str] | None = None
    """The roles its last message may have, None: any."""
    past_call_reasoning: str | None = None
    """What is sent as the reasoning of an earlier tool call that has none, while the model thinks; None: nothing."""

    parameters: frozenset[str] | None = None
    """The body fields that its documentation lists besides messages, model and stream. None: no documentation, any
    field is sent."""
    bounds: Mapping[str, Range] = field(default_factory=dict[str, Range])
    context_window: int = 128_000
    """Tokens of prompt and answer together."""

    reasoning_efforts: Mapping[str, Mapping[str, Any]] | None = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    """What each `reasoning_effort` adds to the body; empty: the field of that name, with any value; None: the model
    does not reason."""
    forced_tool_thinks: bool = True
    """Whether it may think before a tool call that it is made to make. If not, thinking is switched off for it."""
    no_think_media: frozenset[MediaKind] = frozenset()
    """The kinds of media with which the model's documentation wants thinking switched off."""
    no_think_token: str | None = None
    """What its system message then says."""
    think_token: str | None = None
    """What a system message says to switch thinking on."""

    text_tool_calls: TextToolCalls | None = None
    """The form of its tool calls that its server may leave in the answer's text, None where that is not known."""

    def for_own_server(self) -> ModelSpec:
        """Return the model spec for a server of the user's own, which NVIDIA's documentation does not describe.

        The rules for messages stay, and what switches reasoning: both belong to the weights. Bounds, formats and what
        the documentation lacks are the server's to judge.
        """
        return replace(
            self,
            parameters=None,
            bounds={},
            media=dict.fromkeys(self.media),
            max_media=None,
            remote_urls=True,
        )

    def documents(self, parameter: str) -> bool:
        """Return whether the model's documentation has this body field. A model without documentation takes all."""
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
    def thinking_switches(self) -> tuple[str, ...]:
        """What its chat template calls the arguments that switch thinking off; the usual names where none is known."""
        off = (self.reasoning_efforts or {}).get("none", {})
        return tuple(off.get("chat_template_kwargs", ())) or _THINKING_SWITCHES

    def thinking_is_off(self, fields: Mapping[str, Any]) -> bool:
        """Whether a body switches the model's thinking off.

        Args:
            fields: the body of a request but for its messages.
        """
        template = fields.get("chat_template_kwargs")
        if isinstance(template, Mapping) and any(
            template.get(name) is False for name in self.thinking_switches
        ):
            return True
        return self.supports_reasoning and fields.get("reasoning_effort") == "none"

    @property
    def max_output_tokens(self) -> int | None:
        """The most tokens an answer may have, None where it is not documented."""
        bound = self.bounds.get("max_tokens")
        return None if bound is None else int(bound.high)
