"""Checks that ask the service: the listing, one token of each model, an asset there and back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nvcf_cli.chat_model import ChatModel
from nvcf_cli.samples import IMAGE
from nvcf_core import Media, Message, Part
from nvcf_core.errors import NVCFError
from nvcf_core.media.sources import BytesSource

from .advice import advice_for, cause_of
from .check import CheckResult

__all__ = ["check_assets", "check_listing", "check_model"]

_LONGEST = 300
"""Characters of an error that a line shows."""


def check_listing(model: ChatModel) -> tuple[CheckResult, list[str]]:
    """Check whether the service lists its models; and their ids, none where it does not.

    Args:
        model: asks, whatever model it is for.
    """
    try:
        listed = model.available_models()
    except NVCFError as error:
        return _failed("models", error, advice_for(error)), []
    return CheckResult("models", "ok", f"the service lists {len(listed)}"), listed


def check_model(model: ChatModel, listed: Sequence[str]) -> CheckResult:
    """Check whether a model answers with one token.

    Args:
        model: the model.
        listed: the ids that the service lists; empty where that is not known.
    """
    spec = model.spec
    thinking = "none" if spec.documented and spec.supports_reasoning else None
    parts: tuple[Part, ...] = ("Hi",)
    if spec.single_message and "image" in spec.media:
        parts = (*parts, Media(kind="image", source=BytesSource(IMAGE)))
    try:
        answer = model.complete(
            [Message(role="user", parts=parts)], max_tokens=1, reasoning_effort=thinking
        )
    except NVCFError as error:
        return _failed(f"model {spec.id}", error, advice_for(error, spec.id, listed))
    used = f"{answer.usage.total_tokens} tokens used" if answer.usage else "usage not reported"
    unlisted = "" if not listed or spec.id in listed else "; it is not in the listing"
    return CheckResult(f"model {spec.id}", "ok", f"answers; {used}{unlisted}")


def check_assets(model: ChatModel) -> CheckResult:
    """Check whether an asset can be created, put and deleted.

    Args:
        model: uploads, whatever model it is for. It is closed.
    """
    if model.endpoints.nvcf_url is None:
        return CheckResult(
            "assets",
            "note",
            "there is no asset API: NVCF_URL is not set, and NVIDIA_BASE_URL is not NVIDIA's; "
            "images, audio and video go inline, whatever their size",
            "set NVCF_URL where the server has one",
        )
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "nvcf-doctor.png")
            path.write_bytes(IMAGE)
            model.upload(path)
            model.delete_uploads()
    except NVCFError as error:
        return _failed("assets", error, advice_for(cause_of(error)))
    return CheckResult("assets", "ok", "created, put and deleted")


def _failed(name: str, error: NVCFError, advice: str) -> CheckResult:
    text = " ".join(str(error).split())
    return CheckResult(
        name, "failed", text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…", advice
    )
