"""The answer to a request: scripted or made up, with its id, usage and log probabilities."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import Choice, Completion, ToolCallIds, logprob
from nvcf_emulator.answers.made_up import made_up_choice
from nvcf_emulator.answers.scripted import require_offered_tools, scripted_choice
from nvcf_emulator.script.steps import Reply
from nvcf_emulator.validation.request import ParsedRequest

__all__ = ["generate"]


def generate(request: ParsedRequest, reply: Reply | None, numbered: bool | None) -> Completion:
    """Return the answer to a request.

    Args:
        request: The request.
        reply: What a test scripted; None to make an answer up.
        numbered: Whether ids of tool calls look like `functions.name:0`; None for the model's
            own way.

    Raises:
        ScriptError: The reply calls a tool that the request does not offer.
    """
    own = request.spec.call_ids == "numbered"
    before = sum(len(message.calls) for message in request.messages)
    ids = ToolCallIds(own if numbered is None else numbered, before)
    if reply:
        require_offered_tools(reply, request.tools)
        choices = [scripted_choice(reply, ids)]
    else:
        wanted = int(request.body.get("n", 1))
        choices = [made_up_choice(request, ids, number) for number in range(wanted)]
    choices = [_with_logprobs(request, choice) for choice in choices]
    named = str(request.body.get("model", request.spec.model))
    options = request.body.get("stream_options", {})
    return Completion(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        model=(reply and reply.model) or named,
        created=int(time.time()),
        choices=tuple(choices),
        usage=reply.usage if reply and reply.usage is not None else _usage(request, choices),
        usage_asked=bool(options.get("include_usage")),
        extra=(reply and reply.extra) or {},
    )


def _with_logprobs(request: ParsedRequest, choice: Choice) -> Choice:
    if choice.logprobs is not None or not choice.content or not request.body.get("logprobs"):
        return choice
    alternatives = int(request.body.get("top_logprobs", 0))
    return replace(choice, logprobs=tuple(logprob(token, alternatives) for token in choice.content))


def _usage(request: ParsedRequest, choices: Sequence[Choice]) -> dict[str, Any]:
    reasoning = sum(len(choice.reasoning) for choice in choices)
    completion = reasoning + sum(len(choice.content or ()) for choice in choices)
    completion += sum(tokens.count(call.arguments) for choice in choices for call in choice.calls)
    audio = [item for message in request.messages for item in message.media if item.kind == "audio"]
    prompt: dict[str, int] = {"cached_tokens": 0}
    if audio:
        prompt["audio_tokens"] = tokens.MEDIA_TOKENS * len(audio)
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": request.prompt_tokens + completion,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
