"""The sample files of the examples are small, but for one that cannot go inline."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "examples" / "media"


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.*")))
def test_samples_are_small(sample):
    assert (SAMPLES / sample).stat().st_size < 200_000


def test_one_sample_is_too_large_to_go_inline():
    assert (SAMPLES / "lake.png").stat().st_size > 135_000
