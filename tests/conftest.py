"""What all tests share: one Hypothesis profile for each lane, and a catalog that is left as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from nvcf_core.models import known_models, unregister

settings.register_profile("fast", deadline=None, max_examples=20)
settings.register_profile("full", deadline=None, max_examples=400)
settings.load_profile("fast")  # `make check` asks for the other: --hypothesis-profile=full


@pytest.fixture
def restored_catalog() -> Iterator[None]:
    """Models that the test registers are unregistered after it."""
    before = known_models()
    yield
    for spec in known_models():
        if spec not in before:
            unregister(spec.id)
