"""NVIDIA's hosted chat models (NVCF, build.nvidia.com) for LlamaIndex."""

from nvcf_core.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AssetUploadError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelGoneError,
    NotFoundError,
    NVCFError,
    NVCFWarning,
    PermissionDeniedError,
    PollingTimeoutError,
    RateLimitError,
    RefusalError,
    ServerError,
    StreamInterruptedError,
)

try:
    from .base import NVCF
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "llama_index":
        raise
    raise ImportError(
        'llamaindex_nvcf needs llama-index-core: pip install "nvcf-adapters[llamaindex]"'
    ) from missing

__all__ = [
    "NVCF",
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AssetUploadError",
    "AuthenticationError",
    "BadRequestError",
    "ContextLengthError",
    "InvalidRequestError",
    "InvalidResponseError",
    "ModelGoneError",
    "NVCFError",
    "NVCFWarning",
    "NotFoundError",
    "PermissionDeniedError",
    "PollingTimeoutError",
    "RateLimitError",
    "RefusalError",
    "ServerError",
    "StreamInterruptedError",
]
