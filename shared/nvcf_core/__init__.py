"""The core of nvcf-adapters: conversations with the chat models that NVIDIA hosts, free of any framework."""

from typing import TYPE_CHECKING, Any

from .base import BaseNVCF as BaseNVCF
from .messages import Chunk as Chunk
from .messages import Media as Media
from .messages import MediaKind as MediaKind
from .messages import Message as Message
from .messages import Part as Part
from .messages import ToolCall as ToolCall
from .messages import Usage as Usage
from .models.catalog import register as register
from .models.catalog import spec_for as spec_for
from .models.spec import ModelSpec as ModelSpec
from .protocol.chat_request import ChatRequest as ChatRequest
from .transport.limits.rate_limiter import RequestLimiter as RequestLimiter

if TYPE_CHECKING:
    from .client import Client as Client
    from .transport.limits.file_limiter import FileLimiter as FileLimiter

__all__ = [
    "BaseNVCF",
    "ChatRequest",
    "Chunk",
    "Client",
    "FileLimiter",
    "Media",
    "MediaKind",
    "Message",
    "ModelSpec",
    "Part",
    "RequestLimiter",
    "ToolCall",
    "Usage",
    "register",
    "spec_for",
]


def __getattr__(name: str) -> Any:
    """What importing an adapter does not need, when it is asked for: the transport, and SQLite."""
    if name == "Client":
        from .client import Client

        return Client
    if name == "FileLimiter":
        from .transport.limits.file_limiter import FileLimiter

        return FileLimiter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
