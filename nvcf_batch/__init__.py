"""Batches: a model asked for each row of a table, on one machine or on a Ray cluster, and never twice for one row."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["ClusterLimiter", "Estimate", "Report", "estimate", "run"]

_NEEDED = ("pyarrow", "fsspec", "ray", "jsonschema", "rich")

if missing := [name for name in _NEEDED if find_spec(name) is None]:
    raise ImportError(
        f'nvcf_batch needs {", ".join(missing)}: pip install "nvcf-adapters[batch]"',
        name=missing[0],
    )

from .cluster_limiter import ClusterLimiter
from .report import Estimate, Report
from .run import estimate, run
