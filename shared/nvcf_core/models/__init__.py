"""What a model is."""

from .catalog import known_models as known_models
from .catalog import register as register
from .catalog import spec_for as spec_for
from .spec import Bound as Bound
from .spec import Effort as Effort
from .spec import ModelSpec as ModelSpec
