"""A chat request: everything that decides one answer, built before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from nvcf_core.config.options import RequestOptions
from nvcf_core.media.delivery import Deliveries
from nvcf_core.messages import Message
from nvcf_core.models.spec import ModelSpec
from nvcf_core.response.options import ignore_warning
from nvcf_core.tools.names import ToolNames
from nvcf_core.values import value_class

from .retry import RetryPolicy

__all__ = ["ChatRequest"]


@value_class(kw_only=True)
class ChatRequest:
    """Everything that decides one answer."""

    spec: ModelSpec
    messages: tuple[Message, ...]
    """As the model's documentation wants them; their media are `Delivery` objects."""
    fields: Mapping[str, Any]
    """The body but for the messages."""
    stream: bool
    """Whether the answer is requested as an event stream."""
    url: str
    poll_url: str
    """The URL below which the result of a request that was accepted with 202 is polled, by its id."""
    nvcf_url: str | None
    """The root of the asset API, None where there is none."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers of the request, besides the length of the body and the assets that it references."""
    hold_seconds: int = 60
    """The longest that the service may hold a request before it answers: less than the client waits."""
    options: RequestOptions
    deliveries: Deliveries
    """The media of the messages. Its `hash_uploads` has to be called before the flow begins."""
    names: ToolNames = field(default_factory=lambda: ToolNames(()))
    stops: tuple[str, ...] = ()
    """Stop sequences that the client enforces, because the model's documentation has no `stop`."""
    single_call: bool = False
    """Whether every tool call but the first is left out of the answer."""
    keeps_raw: bool = True
    """Whether stream chunks keep their events as `raw`. The last chunk always does."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    poll_timeout: float = 900.0
    """Seconds that the service may work on it after it accepted it with 202."""
    warn: Callable[[str, str], None] = ignore_warning
    """Called with a reason, for which the model object warns only once, and the message."""
    include_headers: bool = False
    """Whether the caller wants the headers of the response with the answer."""
    on_progress: Callable[[float], None] | None = None
    """Called with the percentage done while the service works, if it reports that."""
