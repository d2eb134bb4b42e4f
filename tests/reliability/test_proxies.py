"""A proxy of the environment is for the network, never for this machine."""

from __future__ import annotations

import asyncio

import pytest

from nvcf_core import BaseNVCF, Message
from nvcf_emulator import Emulator

ASKED = [Message(role="user", parts=("hello",))]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_local_server_is_asked_without_the_proxy(
    nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")  # Nobody listens there.
    server = nvcf_emulator
    with BaseNVCF(
        model="google/gemma-3n-e2b-it", base_url=server.base_url, api_key=server.api_key
    ) as model:
        model._client.complete(model._build_request(ASKED, {}, stream=False))
        asyncio.run(model._client.acomplete(model._build_request(ASKED, {}, stream=False)))
    assert len(server.chats) == 2
