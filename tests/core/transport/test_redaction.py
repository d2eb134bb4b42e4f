"""A key that the service echoes is masked in responses and errors."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core.errors import (
    AuthenticationError,
    InvalidResponseError,
)


async def test_the_key_is_masked_where_the_service_echoes_it(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fail(401, body={"detail": f"bad key {server.api_key}"})
    with pytest.raises(AuthenticationError) as caught:
        await ask(adapter(), [say("hi")])
    assert server.api_key not in f"{caught.value} {caught.value.response.body!r}"
    server.raw(headers={"content-type": "application/json"}, chunks=[server.api_key.encode()])
    with pytest.raises(InvalidResponseError) as invalid:
        await ask(adapter(), [say("hi")])
    assert server.api_key not in f"{invalid.value} {invalid.value.body!r}"
