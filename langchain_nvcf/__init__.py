"""The chat models that NVIDIA hosts (NVCF, build.nvidia.com), for LangChain."""

from importlib.util import find_spec

if find_spec("langchain_core") is None:
    raise ImportError('langchain_nvcf needs langchain-core: pip install "nvcf-adapters[langchain]"')

from . import errors as errors
from .chat_models import ChatNVCF as ChatNVCF
from .llms import NVCFLLM as NVCFLLM
