"""What each model's documentation allows, one row a model: the only place where models differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from nvcf_emulator.specs.fields import (
    INT64,
    SAFE_INTEGER,
    Choice,
    Flag,
    Number,
    Object,
    ResponseFormat,
    Rule,
    Stop,
    Text,
    ToolChoice,
    Tools,
    integer,
)
from nvcf_emulator.specs.rejections import Style

__all__ = [
    "ANY_FORMAT",
    "GEMMA_3N",
    "KIMI_K2",
    "MODELS",
    "NANO_OMNI",
    "NEMOTRON_SUPER",
    "PALIGEMMA",
    "PART_KINDS",
    "TAG_KINDS",
    "UNDOCUMENTED",
    "Dialect",
    "Kind",
    "ModelSpec",
    "Thinking",
    "spec_for",
]

Kind = Literal["image", "audio", "video"]

TAG_KINDS: Mapping[str, Kind] = {"img": "image", "audio": "audio", "video": "video"}
PART_KINDS: Mapping[str, Kind] = {
    "image_url": "image",
    "audio_url": "audio",
    "input_audio": "audio",
    "video_url": "video",
}
ANY_FORMAT: Mapping[Kind, frozenset[str]] = {
    "image": frozenset({"png", "jpeg", "webp", "gif"}),
    "audio": frozenset({"wav", "mp3"}),
    "video": frozenset({"mp4", "mov", "webm"}),
}


@dataclass(frozen=True)
class Thinking:
    """How a model's reasoning is switched, and where it appears.

    Attributes:
        kwarg: Key of `chat_template_kwargs` that switches it on and off.
        switches: Whether `/think` and `/no_think` in the system message do, too.
    """

    kwarg: str
    switches: bool = False


@dataclass
class Dialect:
    """Rules that some servers have besides what the models' documentation says.

    Attributes:
        require_reasoning: Whether assistant messages with tool calls are refused that came back
            without their reasoning, by models that have a key for it and while they reason.
        refuse_empty_content: Whether an assistant message whose content is an empty text is
            refused; beside tool calls it has to be null.
        forced_tools_refuse_thinking: Whether a request that forces a tool is refused while the
            model thinks.
        alternating: Whether every model's messages must alternate between user and assistant,
            with the only system message first.
        head_first: Whether the head of a response is sent at once, and its delay is the wait
            between the head and the body.
    """

    require_reasoning: bool = False
    refuse_empty_content: bool = False
    forced_tools_refuse_thinking: bool = False
    alternating: bool = False
    head_first: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """The rules of one model. The defaults describe a model that nobody documented.

    Attributes:
        model: The model's id.
        path: Path of its endpoint below the base url.
        names_model: Whether the body has a `model` key.
        strict: Whether what the row does not name is refused.
        fields: Rule for each optional body field.
        roles: Roles that a message may have.
        message_keys: Keys that a message may have.
        list_roles: Roles whose content may be a list of parts.
        formats: Media formats that are accepted, for each kind of media.
        tags: Tags that are read as media in the string content of a user message.
        asset_tags: Tags that are read only where they refer to an asset.
        remote: Whether media may be an http(s) url.
        assets: Whether assets may be referred to.
        most_messages: Messages allowed in one request.
        most_media: Media allowed in one request.
        alternates: Whether user and assistant must alternate, with system first.
        requires_reasoning: Whether tool calls must come back with their reasoning.
        refuses_empty_content: Whether the content of an assistant message may not be empty.
        forced_tools_refuse_thinking: Whether a tool may be forced only without thinking.
        window: Context window in tokens.
        streams: Whether an answer is streamed when the body does not say.
        thinking: How the model reasons; None where it does not.
        call_ids: How ids of tool calls are made.
        style: Body shape of most of its rejections.
    """

    model: str = ""
    path: str = "chat/completions"
    names_model: bool = True
    strict: bool = True
    fields: Mapping[str, Rule] = field(default_factory=dict)
    roles: frozenset[str] = frozenset({"system", "user", "assistant"})
    message_keys: frozenset[str] = frozenset({"role", "content"})
    list_roles: frozenset[str] = frozenset({"user"})
    formats: Mapping[Kind, frozenset[str]] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    asset_tags: frozenset[str] = frozenset()
    remote: bool = True
    assets: bool = True
    most_messages: float = math.inf
    most_media: float = math.inf
    alternates: bool = False
    requires_reasoning: bool = False
    refuses_empty_content: bool = False
    forced_tools_refuse_thinking: bool = False
    window: int = 262_144
    streams: bool = False
    thinking: Thinking | None = None
    call_ids: Literal["random", "numbered"] = "random"
    style: Style = "error-object"

    def under(self, dialect: Dialect) -> ModelSpec:
        """Return these rules with those of a dialect added."""
        keeps_reasoning = "reasoning_content" in self.message_keys
        return replace(
            self,
            alternates=self.alternates or dialect.alternating,
            requires_reasoning=(
                self.requires_reasoning or (dialect.require_reasoning and keeps_reasoning)
            ),
            refuses_empty_content=self.refuses_empty_content or dialect.refuse_empty_content,
            forced_tools_refuse_thinking=(
                self.forced_tools_refuse_thinking or dialect.forced_tools_refuse_thinking
            ),
        )


BUDGET = integer(-1, 32768)
UNIT = Number(0, 1)
STREAM_OPTIONS = Object({"include_usage": Flag(), "continuous_usage_stats": Flag()})

OPENAI_FIELDS: Mapping[str, Rule] = {
    "tools": Tools(),
    "tool_choice": ToolChoice(),
    "parallel_tool_calls": Flag(),
    "response_format": ResponseFormat(),
    "stream_options": STREAM_OPTIONS,
    "n": integer(1, 128),
    "logit_bias": Object({}, open=True),
    "logprobs": Flag(),
    "top_logprobs": integer(0, 20),
    "max_completion_tokens": integer(1, 32768),
    "metadata": Object({}, open=True),
    "store": Flag(),
    "user": Text(),
    "service_tier": Text(),
    "safety_identifier": Text(),
    "prompt_cache_key": Text(),
}

GEMMA_3N = ModelSpec(
    model="google/gemma-3n-e2b-it",
    fields={
        "max_tokens": integer(1, 8192),
        "temperature": Number(0, 2),
        "top_p": UNIT,
        "seed": integer(-INT64, INT64 - 1),
        "frequency_penalty": Number(-2, 2),
        "presence_penalty": Number(-2, 2),
        "stop": Stop(),
        "stream": Flag(),
    },
    formats={"image": frozenset({"png", "jpeg"}), "audio": frozenset({"wav", "mp3"})},
    tags=frozenset({"img", "audio"}),
    window=32_768,
    style="detail",
)

NANO_OMNI = ModelSpec(
    model="nvidia/nemotron-3-nano-omni-30b-a3b-reasoning",
    fields={
        "max_tokens": integer(1, 65536),
        "reasoning_budget": BUDGET,
        "chat_template_kwargs": Object(
            {"enable_thinking": Flag(), "reasoning_budget": BUDGET}, open=True
        ),
        "temperature": Number(0, 2),
        "top_p": UNIT,
        "seed": integer(-INT64, INT64 - 1),
        "stream": Flag(),
    },
    formats={
        "image": frozenset({"png", "jpeg", "webp"}),
        "audio": frozenset({"wav", "mp3"}),
        "video": frozenset({"mp4", "mov", "webm"}),
    },
    tags=frozenset({"img", "audio"}),
    asset_tags=frozenset({"video"}),
    thinking=Thinking("enable_thinking", switches=True),
    style="error-string",
)

PALIGEMMA = ModelSpec(
    model="google/paligemma",
    path="vlm/google/paligemma",
    names_model=False,
    fields={
        "max_tokens": integer(1, 1024),
        "temperature": UNIT,
        "top_p": UNIT,
        "stream": Flag(),
    },
    roles=frozenset({"user"}),
    formats={"image": frozenset({"png", "jpeg"})},
    tags=frozenset({"img"}),
    remote=False,
    most_messages=1,
    most_media=1,
    window=2_048,
    style="problem",
)

KIMI_K2 = ModelSpec(
    model="moonshotai/kimi-k2.6",
    fields={
        "max_tokens": integer(1, 65536),
        "chat_template_kwargs": Object({"thinking": Flag()}, open=True),
        "tools": Tools(),
        "tool_choice": ToolChoice(),
        "temperature": UNIT,
        "top_p": UNIT,
        "seed": integer(-SAFE_INTEGER, SAFE_INTEGER),
        "stream": Flag(),
        "stream_options": STREAM_OPTIONS,
    },
    roles=frozenset({"system", "user", "assistant", "tool"}),
    message_keys=frozenset(
        {"role", "content", "name", "tool_call_id", "tool_calls", "reasoning_content"}
    ),
    list_roles=frozenset({"user", "tool"}),
    formats={kind: ANY_FORMAT[kind] for kind in ("image", "video")},
    tags=frozenset({"img"}),
    asset_tags=frozenset({"video"}),
    thinking=Thinking("thinking"),
    call_ids="numbered",
    style="object-error",
)

NEMOTRON_SUPER = ModelSpec(
    model="nvidia/nemotron-3-super-120b-a12b",
    fields={
        **OPENAI_FIELDS,
        "max_tokens": integer(1, 32768),
        "reasoning_effort": Choice(("none", "low", "high")),
        "reasoning_budget": BUDGET,
        "chat_template_kwargs": Object(
            {"enable_thinking": Flag(), "low_effort": Flag(), "reasoning_budget": BUDGET},
            open=True,
        ),
        "temperature": UNIT,
        "top_p": UNIT,
        "seed": integer(0, 2**64 - 1),
        "stop": Stop(),
        "stream": Flag(),
    },
    roles=frozenset({"system", "context", "user", "assistant", "tool"}),
    message_keys=frozenset({"role", "content", "name", "tool_call_id", "tool_calls", "refusal"}),
    list_roles=frozenset({"system", "context", "user", "assistant", "tool"}),
    assets=False,
    alternates=True,
    streams=True,
    thinking=Thinking("enable_thinking"),
)

MODELS: Mapping[str, ModelSpec] = {
    spec.model: spec for spec in (GEMMA_3N, NANO_OMNI, PALIGEMMA, KIMI_K2, NEMOTRON_SUPER)
}

UNDOCUMENTED = ModelSpec(
    strict=False,
    fields={
        **OPENAI_FIELDS,
        "frequency_penalty": Number(-2, 2),
        "presence_penalty": Number(-2, 2),
        "max_tokens": integer(1, INT64),
        "max_completion_tokens": integer(1, INT64),
        "chat_template_kwargs": Object({}, open=True),
        "stop": Stop(),
        "stream": Flag(),
    },
    formats=ANY_FORMAT,
    tags=frozenset(TAG_KINDS),
    list_roles=frozenset({"system", "developer", "user", "assistant", "tool"}),
)


def spec_for(model: object) -> ModelSpec:
    """Return the row of `model`, or that of a model that nobody documented."""
    return MODELS.get(model, UNDOCUMENTED) if isinstance(model, str) else UNDOCUMENTED
