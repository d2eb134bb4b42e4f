"""`nvcf models`: the rows, and whether the service lists them."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core.models.catalog import known_models
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


def test_the_table_has_a_line_for_each_model(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("models")
    assert ended.status == 0
    header, *lines = ended.out.splitlines()
    assert header.split() == ["model", "media", "tools", "reasoning", "window", "listed"]
    assert [line.split()[0] for line in lines] == [spec.id for spec in known_models()]
    (kimi,) = (line for line in lines if line.startswith(KIMI))
    assert kimi.split()[1:] == ["image,", "video", "yes", "yes", "262,144", "yes"]


def test_json_has_the_same(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("models", "--json")
    assert ended.status == 0
    assert ended.err == ""
    rows = {row["id"]: row for row in ended.document["models"]}
    assert rows[KIMI] == {
        "id": KIMI,
        "media": ["image", "video"],
        "tools": True,
        "reasoning": True,
        "context_window": 262_144,
        "max_output_tokens": 65_536,
        "listed": True,
    }


@pytest.mark.nvcf_emulator(strict=False, models=["acme/own-model"])
def test_listed_models_without_a_row(nvcf: Any, service: Emulator) -> None:
    assert nvcf("models", "--json").document["other_listed_models"] == ["acme/own-model"]
    assert "acme/own-model" not in nvcf("models").out
    assert nvcf("models", "--all").out.splitlines()[-1] == "acme/own-model"


def test_a_model_that_is_not_listed(nvcf: Any, service: Emulator) -> None:
    listed = b'{"object": "list", "data": [{"id": "google/paligemma", "object": "model"}]}'
    service.raw(200, {"content-type": "application/json"}, [listed], on="models")
    rows = {row["id"]: row for row in nvcf("models", "--json").document["models"]}
    assert rows["google/paligemma"]["listed"] is True
    assert rows[KIMI]["listed"] is False


def test_a_service_that_cannot_be_asked(nvcf: Any, service: Emulator, closed_port: int) -> None:
    address = f"http://127.0.0.1:{closed_port}/v1"
    ended = nvcf("models", "--base-url", address)
    assert ended.status == 1
    assert len(ended.out.splitlines()) == 1 + len(known_models())
    assert all(line.rstrip().endswith("?") for line in ended.out.splitlines()[1:])
    assert "the service could not be asked which models it lists" in ended.err
    document = nvcf("models", "--base-url", address, "--json").document
    assert document["error"]["type"] == "APIConnectionError"
    assert document["models"][0]["listed"] is None


def test_offline_asks_nothing(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("models", "--offline", "--json")
    assert ended.status == 0
    assert ended.document["models"][0]["listed"] is None
    assert not service.requests
