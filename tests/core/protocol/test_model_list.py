"""The models that the service lists."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core.errors import (
    InvalidResponseError,
)

KIMI = "moonshotai/kimi-k2.6"


async def test_the_models_that_are_listed(adapter: Any, server: Any) -> None:
    listed = adapter().available_models()
    assert KIMI in listed
    assert listed == sorted(set(listed)) == await adapter().aavailable_models()


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"data":5}', b"{}"])
async def test_a_list_of_models_that_is_none(body: bytes, adapter: Any, server: Any) -> None:
    server.raw(chunks=[body], on="models", times=2)
    with pytest.raises(InvalidResponseError, match="list of models"):
        adapter().available_models()
    with pytest.raises(InvalidResponseError, match="list of models"):
        await adapter().aavailable_models()


def test_models_without_ids_are_left_out(adapter: Any, server: Any) -> None:
    server.raw(chunks=[b'{"data":[{"id":"b"},{"id":"a"},{"id":"b"},{"id":5},{},7]}'], on="models")
    assert adapter().available_models() == ["a", "b"]
