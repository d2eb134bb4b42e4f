"""A 404 says what may be missing: the model, the API below `base_url`, or an asset."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core import errors
from nvcf_emulator import Emulator

OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
ASSET = "11111111-2222-3333-4444-555555555555"


async def test_the_model_and_where_it_was_asked_for(
    way: Any, settings: dict[str, Any], nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.fail(404, body={"detail": "Function '1': Not found for account 'a'"})
    with pytest.raises(errors.NotFoundError, match="retired") as caught:
        await way().ask()
    assert settings["model"] in str(caught.value)
    assert f"{nvcf_emulator.base_url}/chat/completions" in str(caught.value)
    assert "available_models()" in str(caught.value)


async def test_a_root_without_its_version(way: Any, nvcf_emulator: Emulator) -> None:
    asked = way(base_url=nvcf_emulator.base_url.removesuffix("/v1"))
    with pytest.raises(errors.NotFoundError, match="base_url should end in /v1") as caught:
        await asked.ask()
    assert "available_models" not in str(caught.value)


async def test_a_root_that_is_the_url_of_an_endpoint(way: Any, nvcf_emulator: Emulator) -> None:
    asked = way(base_url=f"{nvcf_emulator.base_url}/chat/completions")
    with pytest.raises(errors.NotFoundError, match="base_url should end in /v1"):
        await asked.ask()


async def test_a_model_that_has_reached_its_end_of_life(
    way: Any, settings: dict[str, Any], nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.fail(410, body={"title": "Gone", "detail": "It has reached its end of life."})
    with pytest.raises(errors.ModelGoneError, match=r"end of life\. Choose another") as caught:
        await way().ask()
    assert f"{settings['model']} was asked for at" in str(caught.value)
    assert "the account may lack it" not in str(caught.value)


@pytest.mark.parametrize("kind", [ChatNVCF, NVCF])
def test_an_asset_that_is_gone(settings: dict[str, Any], kind: type[Any]) -> None:
    tag = f'<img src="data:image/png;asset_id,{ASSET}" />'
    with kind(**{**settings, "model": OMNI, "media_tags": "parse"}) as model:
        ask = getattr(model, "invoke", None) or model.complete
        with pytest.raises(errors.NotFoundError, match=rf"Asset {ASSET} is gone.*24 hours.*upload"):
            ask(f"What is this? {tag}")
