"""The core of nvcf-adapters: conversations with the chat models that NVIDIA hosts, free of any framework."""

from .base import BaseNVCF as BaseNVCF
from .client import Client as Client
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
from .transport.limits.file_limiter import FileLimiter as FileLimiter
from .transport.limits.rate_limiter import RequestLimiter as RequestLimiter

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
