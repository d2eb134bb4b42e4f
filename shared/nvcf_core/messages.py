"""Messages and chunks: the types that both frameworks' messages are converted to and from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .exchange import ByteSource
from .values import value_class

__all__ = [
    "TAGS",
    "Chunk",
    "Media",
    "MediaKind",
    "Message",
    "Part",
    "ToolCall",
    "Usage",
    "extend_logprobs",
    "join_logprobs",
]

MediaKind: TypeAlias = Literal["image", "audio", "video"]

TAGS: Mapping[MediaKind, str] = {"image": "img", "audio": "audio", "video": "video"}
"""The HTML-style tag that the models' documentation gives to each kind of media."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An image, audio or video: its bytes, or the url or asset it is found at. Exactly one is set."""

    kind: MediaKind
    source: ByteSource | None = None
    url: str | None = None
    """An http or https url. The client hands it on and never fetches it."""
    asset_id: str | None = None
    """The id of an asset that the user uploaded."""
    mime_type: str | None = None
    """The media type as declared. Where there are bytes, they decide."""
    detail: str | None = None
    """OpenAI's `detail` of an `image_url`, which none of the five models documents."""
    index: int | None = field(default=None, compare=False, repr=False)
    """The place of its message in the caller's own list, for errors: messages are joined and moved."""
    returned: bool = field(default=False, compare=False, repr=False)
    """Whether a tool returned it: then it never ends the conversation, and is described where it cannot be sent."""

    @property
    def place(self) -> str:
        """The name of its message in errors, such as `messages[2]`."""
        return _place(self.index)


Part: TypeAlias = str | Media


@dataclass(slots=True)
class ToolCall:
    """A complete tool call, or a fragment of one: fragments with the same `index` add up."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    """JSON text, as the model wrote it."""

    def __add__(self, more: ToolCall) -> ToolCall:
        return ToolCall(
            self.index, self.id or more.id, self.name + more.name, self.arguments + more.arguments
        )


@value_class(kw_only=True)
class Message:
    """One message of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`; any other goes to the service as it is, where the model allows it."""
    parts: tuple[Part, ...] = ()
    """Text and media, in order."""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    """What the model thought in an earlier turn. Sent back only where the model's documentation has a place for it."""
    index: int | None = field(default=None, compare=False, repr=False)
    """Its place in the caller's own list, for errors; of joined messages, that of the last."""

    @property
    def place(self) -> str:
        """Its name in errors, such as `messages[2]`."""
        return _place(self.index)

    @property
    def text(self) -> str:
        """The text of the parts without media. The parts of an assistant message are concatenated, others joined by
        line breaks."""
        texts = [part for part in self.parts if isinstance(part, str)]
        return ("" if self.role == "assistant" else "\n").join(texts)


def _place(index: int | None) -> str:
    return "messages" if index is None else f"messages[{index}]"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a call used, as the service counted them. None: it did not say."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_audio_tokens: int | None = None
    completion_audio_tokens: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    """The service's own object, under its own names."""


@dataclass(slots=True)
class Chunk:
    """A chunk of an answer. Chunks add up, and a complete answer is a chunk too.

    In a stream, every chunk but the last has only `text`, `reasoning`, `refusal`, `tool_calls`, `logprobs`
    and `raw`; all fields that are sent once (`finish_reason`, `usage`, `id`, `model`, `request_id`, `headers`) are in
    the last one, whose `last` is true. There always is a last one.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    id: str | None = None
    model: str | None = None
    request_id: str | None = None
    last: bool = False
    # The factories are plain dict: calling dict[str, Any] takes as long as making all the rest of a chunk.
    raw: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The event or body as it came, under the wire's names."""
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The headers of the response, names in lower case. Said once."""
    other_choices: tuple[Chunk, ...] = ()
    """The second and later choices of a whole answer that was requested with `n` > 1."""

    def __add__(self, more: Chunk) -> Chunk:
        return Chunk(
            text=self.text + more.text,
            reasoning=self.reasoning + more.reasoning,
            tool_calls=_add_calls(self.tool_calls, more.tool_calls),
            refusal=self.refusal + more.refusal,
            logprobs=join_logprobs((self.logprobs, more.logprobs)),
            finish_reason=more.finish_reason or self.finish_reason,
            usage=more.usage or self.usage,
            id=more.id or self.id,
            model=more.model or self.model,
            request_id=more.request_id or self.request_id,
            last=self.last or more.last,
            raw={**self.raw, **more.raw},
            headers=more.headers or self.headers,
            other_choices=more.other_choices or self.other_choices,
        )


def _add_calls(left: tuple[ToolCall, ...], right: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    if not right:
        return left
    calls = {call.index: call for call in left}
    for call in right:
        calls[call.index] = calls[call.index] + call if call.index in calls else call
    return tuple(calls.values())


def join_logprobs(pieces: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Concatenate the lists of all chunks; of other values keep the last that is not null. None: no chunk has
    logprobs."""
    total: dict[str, Any] = {}
    found = False
    for piece in pieces:
        found = found or piece is not None
        extend_logprobs(total, piece or {})
    return total if found else None


def extend_logprobs(total: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Append the lists of a chunk to those of `total`, which grow; of anything else keep the last that is not null."""
    for name, value in piece.items():
        before = total.get(name)
        if isinstance(before, list) and isinstance(value, list):
            before.extend(value)
        elif isinstance(value, list):
            total[name] = list(value)  # A copy: it grows.
        elif value is not None or before is None:
            total[name] = value
