"""Model specs."""

from .catalog import known_models as known_models
from .catalog import register as register
from .catalog import spec_for as spec_for
from .catalog import unregister as unregister
from .spec import ModelSpec as ModelSpec
from .spec import Range as Range
from .spec import ReasoningEffort as ReasoningEffort

__all__ = [
    "ModelSpec",
    "Range",
    "ReasoningEffort",
    "known_models",
    "register",
    "spec_for",
    "unregister",
]
