"""The uploads that one call needs, and files that are uploaded by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nvcf_core.errors import (
    APIConnectionError,
    AssetUploadError,
    InvalidRequestError,
)


async def test_files_are_uploaded(adapter: Any, server: Any, png: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(png(2_000_000))
    told: list[tuple[int, int]] = []
    model = adapter()
    media = model._upload_media(path, None, lambda *done: told.append(done))
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert (media.kind, media.mime_type, media.source) == ("image", "image/png", None)
    with path.open("rb") as file:
        other = await model._aupload_media(file, "image/png", None)
    assert other.asset_id != media.asset_id
    put = server.requests[1]
    assert put.method == "PUT"
    assert "authorization" not in put.headers
    assert put.headers["content-length"] == str(size)


async def test_one_of_several_uploads_fails(
    adapter: Any, server: Any, say: Any, large: Any, ask: Any
) -> None:
    server.fail(403, on="put")
    with pytest.raises(AssetUploadError) as caught:
        await ask(adapter(), [say("look", large(1), large(2))])
    assert caught.value.stage == "put"
    assert [r.method for r in server.requests].count("DELETE") == 2


async def test_nobody_there_to_upload_to(ask: Any, adapter: Any, say: Any, large: Any) -> None:
    model = adapter(nvcf_url="http://127.0.0.1:9/nvcf", max_retries=0)
    with pytest.raises(
        AssetUploadError, match=r"could not create an asset: create \(127"
    ) as caught:
        await ask(model, [say("look", large(1), large(2))])
    assert isinstance(caught.value.__cause__, APIConnectionError)


async def test_an_upload_url_that_cannot_be_sent_to(
    ask: Any, adapter: Any, server: Any, say: Any, large: Any
) -> None:
    created = {"assetId": "asset-1", "uploadUrl": "http://1.2.3.999/"}
    server.raw(chunks=[json.dumps(created).encode()], on="create")
    with pytest.raises(AssetUploadError, match="put: the request cannot be sent") as caught:
        await ask(adapter(), [say("look", large())])
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert [request.method for request in server.requests] == ["POST", "DELETE"]
