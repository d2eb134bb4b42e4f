"""`NVCF` under the name that LlamaIndex gives to its integrations: the same class as `llamaindex_nvcf.NVCF`."""

from llamaindex_nvcf import NVCF

__all__ = ["NVCF"]
