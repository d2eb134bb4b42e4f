"""One request held against its model's rules: what it asks for, or why it is rejected."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nvcf_emulator.specs.models import ModelSpec
from nvcf_emulator.specs.rejections import Rejection, unsupported
from nvcf_emulator.validation.content import ContentReader, FindAsset, asset_references
from nvcf_emulator.validation.messages import Message, read_messages, require_reasoning

__all__ = ["Effort", "ParsedRequest", "parse_body", "validate"]

Effort = Literal["none", "low", "high"]

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class ParsedRequest:
    """A request for an answer that its model's rules allow.

    Attributes:
        spec: The rules that it was held against.
        body: The parsed body.
        messages: Its messages, read.
        streams: Whether the answer is streamed.
        effort: How much the model reasons.
        prompt_tokens: Tokens of its messages.
    """

    spec: ModelSpec
    body: Mapping[str, Any]
    messages: tuple[Message, ...]
    streams: bool
    effort: Effort
    prompt_tokens: int

    @property
    def last(self) -> Message:
        """The last message."""
        return self.messages[-1]

    @property
    def question(self) -> str:
        """Text of the last message of the user; empty if there is none."""
        users = (message for message in reversed(self.messages) if message.role == "user")
        return next((message.text for message in users), "")

    @property
    def budget(self) -> int | None:
        """Most tokens that reasoning may take; None for no limit."""
        kwargs = self.body.get("chat_template_kwargs", {})
        value = kwargs.get("reasoning_budget", self.body.get("reasoning_budget", -1))
        return None if value == -1 else int(value)

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of the answer, reasoning included; None for no limit."""
        value = self.body.get("max_completion_tokens", self.body.get("max_tokens"))
        return None if value is None else int(value)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The functions it offers."""
        return [tool["function"] for tool in self.body.get("tools", ())]


def parse_body(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that a request's body is.

    Raises:
        Rejection: It is not JSON in UTF-8, holds NaN, an infinity or half a surrogate pair, or is
            nested too deeply.
    """
    try:
        body = json.loads(raw.decode(), parse_constant=_no_constant)
        if _SURROGATE.search(raw):
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Rejection(f"There was an error parsing the body: {error}") from error
    if not isinstance(body, dict):
        raise Rejection("Input should be an object")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def validate(
    body: Mapping[str, Any],
    spec: ModelSpec,
    header: str | None,
    find: FindAsset,
) -> ParsedRequest:
    """Return what `body` asks for, if the rules of `spec` allow it.

    Args:
        body: The parsed body.
        spec: The rules.
        header: Value of the header that names assets; None where it is missing.
        find: Returns an asset that the caller may use, by id.

    Raises:
        Rejection: The rules do not allow it.
    """
    _fields(body, spec)
    reader = ContentReader(spec, asset_references(header, spec), find)
    messages = read_messages(body.get("messages"), spec, reader)
    _tool_fields(body)
    streams = bool(body.get("stream", spec.streams))
    if spec.strict and "stream_options" in body and not streams:
        raise Rejection("only allowed when `stream` is true", field="stream_options")
    if "top_logprobs" in body and not body.get("logprobs"):
        raise Rejection("only allowed when `logprobs` is true", field="top_logprobs")
    effort = _effort(body, messages, spec)
    if effort != "none":
        _while_thinking(body, messages, spec)
    prompt_tokens = sum(message.tokens for message in messages)
    request = ParsedRequest(spec, body, messages, streams, effort, prompt_tokens)
    _window(request)
    return request


def _while_thinking(
    body: Mapping[str, Any], messages: tuple[Message, ...], spec: ModelSpec
) -> None:
    if spec.requires_reasoning:
        require_reasoning(messages)
    choice = body.get("tool_choice", "auto")
    if spec.forced_tools_refuse_thinking and choice not in ("auto", "none"):
        named = repr(choice) if isinstance(choice, str) else "of a named function"
        raise Rejection(
            f"tool_choice {named} is incompatible with thinking enabled", field="tool_choice"
        )


def _fields(body: Mapping[str, Any], spec: ModelSpec) -> None:
    known = {"messages", *spec.fields}
    if spec.names_model:
        known.add("model")
        if not isinstance(body.get("model"), str):
            raise Rejection("Field required", field="model")
    extra = sorted(set(body) - known)
    if extra and spec.strict:
        raise unsupported(extra)
    for name, rule in spec.fields.items():
        if name in body:
            rule.check(name, body[name])


def _tool_fields(body: Mapping[str, Any]) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if "tools" not in body:
        raise Rejection("only allowed when `tools` are given", field="tool_choice")
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        if name not in {tool["function"]["name"] for tool in body["tools"]}:
            raise Rejection(f"names {name!r}, which is not among the tools", field="tool_choice")


def _effort(body: Mapping[str, Any], messages: tuple[Message, ...], spec: ModelSpec) -> Effort:
    """Return how much the model is to reason; the template's own switch comes first."""
    if spec.thinking is None:
        return "none"
    kwargs = body.get("chat_template_kwargs", {})
    low = bool(kwargs.get("low_effort")) or body.get("reasoning_effort") == "low"
    on: Effort = "low" if low else "high"
    if spec.thinking.kwarg in kwargs:
        return on if kwargs[spec.thinking.kwarg] else "none"
    if spec.thinking.switches:
        system = " ".join(message.text for message in messages if message.role == "system")
        if "/no_think" in system:
            return "none"
    return "none" if body.get("reasoning_effort") == "none" else on


def _window(request: ParsedRequest) -> None:
    completion = request.most_tokens or 0
    asked = request.prompt_tokens + completion
    if asked > request.spec.window:
        raise Rejection(
            f"This model's maximum context length is {request.spec.window} tokens. However, you "
            f"requested {asked} tokens ({request.prompt_tokens} in the messages, {completion} in the "
            "completion). Please reduce the length of the messages or completion.",
            style="object-error",
        )
