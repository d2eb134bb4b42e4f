"""The chat models that NVIDIA hosts (NVCF, build.nvidia.com), for LangChain."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if find_spec("langchain_core") is None:
    raise ImportError('langchain_nvcf needs langchain-core: pip install "nvcf-adapters[langchain]"')

from . import errors as errors
from .chat_models import ChatNVCF as ChatNVCF

if TYPE_CHECKING:
    from .llms import NVCFLLM as NVCFLLM

__all__ = ["NVCFLLM", "ChatNVCF", "errors"]


def __getattr__(name: str) -> Any:
    """`NVCFLLM`, when it is asked for: langchain-core's module for such models takes longer to import than this one."""
    if name == "NVCFLLM":
        from .llms import NVCFLLM

        return NVCFLLM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
