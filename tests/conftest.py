"""What all tests share: an emulator that makes up the answers that a test does not script."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the emulator be lenient where a test does not say otherwise.

    Most tests here are about what is sent, and need some answer to it, whichever.
    """
    for item in items:
        if item.get_closest_marker("nvcf_emulator") is None:
            item.add_marker(pytest.mark.nvcf_emulator(strict=False))
