"""One request judged against its model's page: what it asks for, or why it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nvcf_emulator.specs.models import Page
from nvcf_emulator.specs.rejections import Refusal, unsupported
from nvcf_emulator.validation import messages as conversation
from nvcf_emulator.validation.content import FindAsset, Intake, referenced
from nvcf_emulator.validation.messages import Message

Effort = Literal["none", "low", "high"]

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Ask:
    """A request that was found good.

    Attributes:
        page: The rules it was judged by.
        body: The parsed body.
        messages: Its messages, read.
        streams: Whether the answer is streamed.
        effort: How much the model reasons.
        prompt_tokens: Tokens of its messages.
    """

    page: Page
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
        Refusal: It is no JSON in UTF-8, holds NaN, an infinity or half a surrogate pair, or is
            nested too deeply.
    """
    try:
        body = json.loads(raw.decode(), parse_constant=_no_constant)
        if _SURROGATE.search(raw):
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refusal(f"There was an error parsing the body: {error}") from error
    if not isinstance(body, dict):
        raise Refusal("Input should be an object")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def judge(
    body: Mapping[str, Any],
    page: Page,
    header: str | None,
    find: FindAsset,
    require_reasoning: bool = False,
) -> Ask:
    """Return what `body` asks for, judged by `page`.

    Args:
        body: The parsed body.
        page: The rules.
        header: Value of the header that names assets; None where it is missing.
        find: Returns an asset that the caller may use, by id.
        require_reasoning: Whether tool calls must come back with their reasoning on pages that
            have a key for it.

    Raises:
        Refusal: The page does not allow it.
    """
    _fields(body, page)
    intake = Intake(page, referenced(header, page), find)
    messages = conversation.read(body.get("messages"), page, intake)
    _tool_fields(body)
    streams = bool(body.get("stream", page.streams))
    if page.strict and "stream_options" in body and not streams:
        raise Refusal("only allowed when `stream` is true", field="stream_options")
    if "top_logprobs" in body and not body.get("logprobs"):
        raise Refusal("only allowed when `logprobs` is true", field="top_logprobs")
    effort = _effort(body, messages, page)
    if require_reasoning and effort != "none" and "reasoning_content" in page.message_keys:
        conversation.require_reasoning(messages)
    prompt_tokens = sum(message.tokens for message in messages)
    ask = Ask(page, body, messages, streams, effort, prompt_tokens)
    _window(ask)
    return ask


def _fields(body: Mapping[str, Any], page: Page) -> None:
    known = {"messages", *page.fields}
    if page.names_model:
        known.add("model")
        if not isinstance(body.get("model"), str):
            raise Refusal("Field required", field="model")
    extra = sorted(set(body) - known)
    if extra and page.strict:
        raise unsupported(extra)
    for name, rule in page.fields.items():
        if name in body:
            rule.check(name, body[name])


def _tool_fields(body: Mapping[str, Any]) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if "tools" not in body:
        raise Refusal("only allowed when `tools` are given", field="tool_choice")
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        if name not in {tool["function"]["name"] for tool in body["tools"]}:
            raise Refusal(f"names {name!r}, which is not among the tools", field="tool_choice")


def _effort(body: Mapping[str, Any], messages: tuple[Message, ...], page: Page) -> Effort:
    """Return how much the model is to reason; the template's own switch comes first."""
    if page.thinking is None:
        return "none"
    kwargs = body.get("chat_template_kwargs", {})
    low = bool(kwargs.get("low_effort")) or body.get("reasoning_effort") == "low"
    on: Effort = "low" if low else "high"
    if page.thinking.kwarg in kwargs:
        return on if kwargs[page.thinking.kwarg] else "none"
    if page.thinking.switches:
        system = " ".join(message.text for message in messages if message.role == "system")
        if "/no_think" in system:
            return "none"
    return "none" if body.get("reasoning_effort") == "none" else on


def _window(ask: Ask) -> None:
    completion = ask.most_tokens or 0
    asked = ask.prompt_tokens + completion
    if asked > ask.page.window:
        raise Refusal(
            f"This model's maximum context length is {ask.page.window} tokens. However, you "
            f"requested {asked} tokens ({ask.prompt_tokens} in the messages, {completion} in the "
            "completion). Please reduce the length of the messages or completion.",
            style="object-error",
        )
