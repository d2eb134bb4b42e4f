"""Everything that decides one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nvcf_core.config.options import RequestOptions
from nvcf_core.media.delivery import Deliveries
from nvcf_core.messages import Message
from nvcf_core.models.spec import ModelSpec
from nvcf_core.response.options import DecodeOptions
from nvcf_core.tool_names import ToolNames

from .retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """Everything that decides one answer."""

    spec: ModelSpec
    messages: tuple[Message, ...]
    """As the model's documentation wants them."""
    fields: Mapping[str, Any]
    """The body but for the messages."""
    stream: bool
    url: str
    base_url: str
    nvcf_url: str | None
    options: RequestOptions
    deliveries: Deliveries = field(default_factory=Deliveries)
    hash_uploads: Callable[[], None] = lambda: None
    """Reads what is to be uploaded once, for its hash. To be called before the conversation begins."""
    names: ToolNames = field(default_factory=lambda: ToolNames(()))
    reading: DecodeOptions = field(default_factory=DecodeOptions)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    poll_timeout: float = 900.0
    on_progress: Callable[[float], None] | None = None
    streaming: bool = False
    """Whether a whole answer is to be asked for as a stream."""
