"""What all tests share: profiles of Hypothesis, an emulator that makes up answers, a restored catalog, loaded files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from nvcf_core.models import known_models, unregister

settings.register_profile("fast", deadline=None, max_examples=20)
settings.register_profile("full", deadline=None, max_examples=400)
settings.load_profile("fast")  # `make check` asks for the other: --hypothesis-profile=full


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the emulator be lenient where a test does not say otherwise.

    Most tests here are about what is sent, and need some answer to it, whichever.
    """
    for item in items:
        if item.get_closest_marker("nvcf_emulator") is None:
            item.add_marker(pytest.mark.nvcf_emulator(strict=False))


@pytest.fixture
def restored_catalog() -> Iterator[None]:
    """Models that the test registers are unregistered after it."""
    before = known_models()
    yield
    for spec in known_models():
        if spec not in before:
            unregister(spec.id)


@pytest.fixture
def load() -> Callable[[Path], ModuleType]:
    """Imports a file that is in no package."""

    def imported(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look for their module here.
        sys.modules[path.stem] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[path.stem]
        return module

    return imported
