"""The probes of one model, made from its spec: what is sent, and the documented outcome."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from nvcf_cli.samples import AUDIO, IMAGE, VIDEO
from nvcf_core import MediaKind, ModelSpec
from nvcf_core.messages import TAGS
from nvcf_core.models.spec import Range

from . import outcomes
from .exchange import Connection, JSONObject, ProbeObservation
from .outcomes import BUDGET, TOOL

__all__ = ["Probe", "probes_for"]

_SHORT, _LONG = 64, 512
"""Tokens of an answer: without and with reasoning."""

_UNKNOWN = "no-such-model"
_UNKNOWN_FIELD = "field_that_does_not_exist"

_TOOL: JSONObject = {
    "type": "function",
    "function": {
        "name": TOOL,
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}

_MEDIA: Mapping[MediaKind, tuple[str, bytes]] = {
    "image": ("image/png", IMAGE),
    "audio": ("audio/wav", AUDIO),
    "video": ("video/mp4", VIDEO),
}

_WHOLE_NUMBERS = frozenset(("max_tokens", "reasoning_budget", "seed"))
"""The bounded fields that take no fraction."""


@dataclass(frozen=True)
class Probe:
    """One request and what is known of its outcome.

    Attributes:
        name: what is asked about.
        documented: the outcome that the model's documentation promises; None where it says nothing.
        send: makes the request.
        outcome: puts what came back into words.
        tokens: most tokens that the answer may cost.
        polled: whether the emulator is to answer with a 202 first.
    """

    name: str
    documented: str | None
    send: Callable[[Connection], ProbeObservation]
    outcome: Callable[[ProbeObservation], str]
    tokens: int
    polled: bool = False


def probes_for(spec: ModelSpec, *, assets: bool) -> list[Probe]:
    """Return the probes of a model.

    Args:
        spec: the model spec. For a model without documentation no outcome is documented.
        assets: whether the service has an asset API.
    """
    found = [
        *_answers(spec),
        *_thinking(spec),
        *_tools(spec),
        *_histories(spec),
        *_media(spec, assets=assets),
        *_limits(spec),
        *_refusals(spec),
    ]
    return found if spec.documented else [replace(probe, documented=None) for probe in found]


def _answers(spec: ModelSpec) -> Iterator[Probe]:
    short = {"max_tokens": _SHORT, **_quiet(spec)}
    # The documentation of the other path does not promise OpenAI's form of an answer.
    usage = outcomes.USAGE if spec.model_in_body else None
    yield Probe(
        "text", outcomes.ANSWERED, _chat_probe(spec, **short), outcomes.answer_outcome, _SHORT
    )
    yield Probe(
        "stream",
        outcomes.STREAMED,
        _chat_probe(spec, stream=True, **short),
        outcomes.stream_outcome,
        _SHORT,
    )
    yield Probe("usage", usage, _chat_probe(spec, **short), outcomes.usage_outcome, _SHORT)
    if spec.documents("stream_options"):
        asked = _chat_probe(spec, stream=True, stream_options={"include_usage": True}, **short)
        yield Probe("usage in a stream", outcomes.USAGE, asked, outcomes.usage_outcome, _SHORT)
    patient = _chat_probe(spec, headers={"nvcf-poll-seconds": "1"}, **short)
    yield Probe(
        "202 and polling", outcomes.ANSWERED, patient, outcomes.answer_outcome, _SHORT, polled=True
    )


def _thinking(spec: ModelSpec) -> Iterator[Probe]:
    if spec.reasoning_efforts is None:
        return
    for name, body, wanted, tokens in _thinking_switches(spec):
        asked = _chat_probe(spec, max_tokens=tokens, **body)
        yield Probe(name, wanted, asked, outcomes.reasoning_outcome, tokens)
    if spec.parameters is not None and "reasoning_budget" in spec.parameters:
        body = {"reasoning_budget": BUDGET, **_effort(spec, "high")}
        asked = _chat_probe(spec, max_tokens=_LONG, **body)
        yield Probe(
            "reasoning_budget", outcomes.WITHIN_BUDGET, asked, outcomes.budget_outcome, _LONG
        )


def _thinking_switches(spec: ModelSpec) -> Iterator[tuple[str, JSONObject, str, int]]:
    """Every way to switch thinking on and off: name, fields, wanted outcome, most tokens."""
    yield "thinking on", _effort(spec, "high"), outcomes.REASONED, _LONG
    yield "thinking off", _effort(spec, "none"), outcomes.UNREASONED, _SHORT
    if spec.parameters is not None and "reasoning_effort" in spec.parameters:
        for effort, wanted, tokens in (
            ("high", outcomes.REASONED, _LONG),
            ("none", outcomes.UNREASONED, _SHORT),
        ):
            yield f"reasoning_effort {effort}", {"reasoning_effort": effort}, wanted, tokens
    for token, wanted, tokens in (
        (spec.think_token, outcomes.REASONED, _LONG),
        (spec.no_think_token, outcomes.UNREASONED, _SHORT),
    ):
        if token is not None:
            said = [{"role": "system", "content": token}, _user("Say hello.")]
            yield f"{token} in the system message", {"messages": said}, wanted, tokens


def _tools(spec: ModelSpec) -> Iterator[Probe]:
    if not spec.supports_tools:
        return
    offered = {"tools": [_TOOL], "max_tokens": _SHORT, **_quiet(spec)}
    text = f"Call {TOOL} for the city 'Rome'."
    yield Probe(
        "tool call",
        outcomes.CALLED,
        _chat_probe(spec, text, **offered),
        outcomes.tool_call_outcome,
        _SHORT,
    )
    yield Probe(
        "tool call, streamed",
        outcomes.CALLED,
        _chat_probe(spec, text, stream=True, **offered),
        outcomes.tool_call_outcome,
        _SHORT,
    )
    if spec.reasoning_efforts is not None:
        forced = {
            "tools": [_TOOL],
            "tool_choice": {"type": "function", "function": {"name": TOOL}},
            "max_tokens": _LONG,
            **_effort(spec, "high"),
        }
        yield Probe(
            "forced tool while thinking",
            None,
            _chat_probe(spec, text, **forced),
            outcomes.tool_call_outcome,
            _LONG,
        )


def _histories(spec: ModelSpec) -> Iterator[Probe]:
    short = {"max_tokens": _SHORT, **_quiet(spec)}
    if spec.supports_tools:
        for name, content, documented in (
            ("content null beside a call", None, outcomes.ANSWERED),
            ('content "" beside a call', "", None),
        ):
            asked = _chat_probe(spec, messages=_after_a_call(content), tools=[_TOOL], **short)
            yield Probe(name, documented, asked, outcomes.answer_outcome, _SHORT)
    if spec.supports_reasoning:
        documented = outcomes.ANSWERED if "reasoning_content" in spec.message_keys else None
        thought = {
            "role": "assistant",
            "content": "Four.",
            "reasoning_content": "Two and two are four.",
        }
        conversation = [_user("What is 2 + 2?"), thought, _user("And 3 + 3?")]
        yield Probe(
            "reasoning in the history",
            documented,
            _chat_probe(spec, messages=conversation, **short),
            outcomes.answer_outcome,
            _SHORT,
        )


def _media(spec: ModelSpec, *, assets: bool) -> Iterator[Probe]:
    short = {"max_tokens": _SHORT, **_quiet(spec)}
    for kind in _MEDIA:
        documented = outcomes.ANSWERED if kind in spec.media else None
        asked = _chat_probe(spec, content=[_text("Describe it."), _part(kind, spec)], **short)
        yield Probe(f"inline {kind}", documented, asked, outcomes.answer_outcome, _SHORT)
    tagged = [kind for kind in _MEDIA if kind in spec.html_tags and kind in spec.media]
    if assets and spec.assets and tagged:
        kind = tagged[0]
        yield Probe("asset", outcomes.DELETED, _asset_probe(spec, kind), _asset_outcome, _SHORT)


def _limits(spec: ModelSpec) -> Iterator[Probe]:
    """The values next to the documented range: above each, and below those that do not begin at 0."""
    for name, bound in sorted(spec.bounds.items()):
        for value in _outside(name, bound):
            asked = _chat_probe(spec, **{"max_tokens": _SHORT, **_quiet(spec), name: value})
            yield Probe(
                f"{name} {value}", outcomes.REFUSED, asked, outcomes.refusal_outcome, _SHORT
            )


def _outside(name: str, bound: Range) -> list[float]:
    step = 1 if name in _WHOLE_NUMBERS else 0.01
    above = bound.high + step
    # Where a range begins at 0, the documentation mostly leaves that to the reader.
    return [above] if bound.low == 0 else [bound.low - step, above]


def _refusals(spec: ModelSpec) -> Iterator[Probe]:
    short = {"max_tokens": _SHORT, **_quiet(spec)}
    unknown = _chat_probe(spec, **{**short, _UNKNOWN_FIELD: True})
    yield Probe("unknown field", None, unknown, outcomes.refusal_outcome, _SHORT)
    yield Probe(
        "wrong model id",
        outcomes.REFUSED,
        _chat_probe(_other(spec), **short),
        outcomes.refusal_outcome,
        _SHORT,
    )
    if spec.alternating or spec.single_message:
        twice = [_user("Say hello."), _user("Say hello again.")]
        asked = _chat_probe(spec, messages=twice, **short)
        # `system_first` comes from a chat template, which the documentation does not mention.
        documented = None if spec.system_first else outcomes.REFUSED
        yield Probe(
            "two user messages in a row", documented, asked, outcomes.refusal_outcome, _SHORT
        )


def _chat_probe(
    spec: ModelSpec,
    text: str = "Say hello.",
    *,
    headers: Mapping[str, str] | None = None,
    **body: Any,
) -> Callable[[Connection], ProbeObservation]:
    """A request with further fields of the body; `content` or `messages` take the place of the text."""
    content = body.pop("content", None) or _question(spec, text)
    fields = {"messages": [_user(content)], "stream": False, **body}
    if spec.model_in_body:
        fields["model"] = spec.id
    return lambda connection: connection.ask(spec.path, fields, headers)


def _question(spec: ModelSpec, text: str) -> Any:
    """The content of a question: a model that takes one image and nothing else is not asked without it."""
    return [_text(text), _part("image", spec)] if spec.max_media == 1 else text


def _asset_probe(spec: ModelSpec, kind: MediaKind) -> Callable[[Connection], ProbeObservation]:
    media_type, data = _MEDIA[kind]

    def send(connection: Connection) -> ProbeObservation:
        try:
            asset = connection.upload(data, media_type)
            content = f'Describe it. <{TAGS[kind]} src="data:{media_type};asset_id,{asset}" />'
            headers = {"nvcf-input-asset-references": asset}
            fields = {"content": content, "max_tokens": _SHORT, **_quiet(spec)}
            observed = _chat_probe(spec, headers=headers, **fields)(connection)
            connection.delete(asset)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            return ProbeObservation(problem=f"the asset API: {type(error).__name__}: {error}")
        return observed

    return send


def _asset_outcome(observed: ProbeObservation) -> str:
    """The outcome of a question about an asset, which was deleted where there is one at all."""
    outcome = outcomes.answer_outcome(observed)
    if observed.problem:
        return "the asset API failed"
    return outcomes.DELETED if outcome == outcomes.ANSWERED else outcome


def _quiet(spec: ModelSpec) -> JSONObject:
    """The fields that switch thinking off, where it is known how."""
    return _effort(spec, "none") if spec.reasoning_efforts else {}


def _effort(spec: ModelSpec, effort: str) -> JSONObject:
    """The fields that a `reasoning_effort` comes to; those of a model without documentation are a guess."""
    if spec.reasoning_efforts:
        return dict(spec.reasoning_efforts[effort])
    return {"reasoning_effort": effort}


def _other(spec: ModelSpec) -> ModelSpec:
    """The same endpoint with an id that nobody serves."""
    path = spec.path if spec.model_in_body else f"{spec.path}-{_UNKNOWN}"
    return replace(spec, id=f"{spec.id}-{_UNKNOWN}", path=path)


def _after_a_call(content: str | None) -> list[JSONObject]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": TOOL, "arguments": '{"city": "Rome"}'},
    }
    return [
        _user("What is the weather in Rome?"),
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, sunny"},
    ]


def _user(content: Any) -> JSONObject:
    return {"role": "user", "content": content}


def _text(text: str) -> JSONObject:
    return {"type": "text", "text": text}


def _part(kind: MediaKind, spec: ModelSpec) -> JSONObject:
    """Inline media in the part that the documentation has for its kind."""
    media_type, data = _MEDIA[kind]
    encoded = base64.b64encode(data).decode()
    if kind == "audio" and spec.audio_part == "input_audio":
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}
    return {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{media_type};base64,{encoded}"}}
