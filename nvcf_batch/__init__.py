"""Batches: a model asked for each row of a table, on one machine or on a Ray cluster, and never twice for one row."""

from importlib.util import find_spec

if missing := [
    name for name in ("fsspec", "jsonschema", "pyarrow", "ray", "rich") if find_spec(name) is None
]:
    raise ImportError(f'nvcf_batch needs {missing[0]}: pip install "nvcf-adapters[batch]"')

from .cluster_limiter import ClusterLimiter as ClusterLimiter
from .report import Estimate as Estimate
from .report import Report as Report
from .run import estimate as estimate
from .run import run as run

__all__ = ["ClusterLimiter", "Estimate", "Report", "estimate", "run"]
