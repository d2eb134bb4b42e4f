"""Assets, their whole life, driven by hand: created, put, shared, lost, deleted."""

from __future__ import annotations

import gc
import inspect
import json
from concurrent.futures import Future
from typing import Any

import pytest

from nvcf_core.errors import (
    APIConnectionError,
    AssetUploadError,
    BadRequestError,
    InvalidRequestError,
    PermissionDeniedError,
)
from nvcf_core.exchange import Request, Response
from nvcf_core.media.sources import BytesSource
from nvcf_core.protocol import upload_cache
from nvcf_core.protocol.assets import AssetApi, gather
from nvcf_core.protocol.retry import RetryPolicy
from nvcf_core.protocol.upload_cache import ASSET_LIFETIME, Asset, UploadCache

ROOT = "https://api.nvcf.nvidia.com/v2/nvcf"
PUT_URL = "https://s3.example.org/put?signature=x"
CREATED = {
    "assetId": "asset-1",
    "uploadUrl": PUT_URL,
    "contentType": "image/png",
    "description": "d",
}
DATA = BytesSource(b"the bytes")


@pytest.fixture
def ledger() -> UploadCache:
    return UploadCache()


@pytest.fixture
def uploading(hand: Any, ledger: UploadCache) -> Any:
    def start(max_retries: int = 0, root: str = ROOT, progress: Any = None) -> Any:
        retry = RetryPolicy(max_retries=max_retries)
        return hand(AssetApi(root, retry, ledger).upload(DATA, "image/png", progress))

    return start


def test_an_upload(uploading: Any, ledger: UploadCache, reply: Any) -> None:
    told: list[Any] = []
    driven = uploading(progress=lambda *done: told.append(done))
    asset = driven.run([reply(200, CREATED, at=7.0), Response(200, {})])
    assert asset == Asset("asset-1", ROOT, 7.0)
    create, put = driven.requests
    assert (create.stage, create.method, create.url) == ("create", "POST", f"{ROOT}/assets")
    assert json.loads(create.body) == {"contentType": "image/png", "description": "chat input"}
    assert create.authorized
    assert (put.stage, put.method, put.url) == ("put", "PUT", PUT_URL)
    assert put.headers == {
        "content-type": "image/png",
        "content-length": "9",
        "x-amz-meta-nvcf-asset-description": "chat input",
    }
    assert put.body is DATA
    assert not put.authorized
    put.on_progress(1, 9)
    assert told == [(1, 9)]
    assert ledger.pop_all() == [asset]


def test_a_failure_to_create(uploading: Any, ledger: UploadCache) -> None:
    driven = uploading()
    driven.start()
    with pytest.raises(AssetUploadError, match="could not create an asset: HTTP 403") as caught:
        driven.give(Response(403, {"nvcf-reqid": "r"}))
    error = caught.value
    assert (error.stage, error.asset_id, error.retryable, error.request_id) == (
        "create",
        None,
        False,
        "r",
    )
    assert isinstance(error.__cause__, PermissionDeniedError)
    assert ledger.empty


def test_a_failure_to_put_deletes_what_was_created(
    uploading: Any, ledger: UploadCache, reply: Any
) -> None:
    driven = uploading()
    driven.start()
    driven.give(reply(200, CREATED))
    removal = driven.give(APIConnectionError("reset"))
    assert (removal.stage, removal.method, removal.url) == (
        "delete",
        "DELETE",
        f"{ROOT}/assets/asset-1",
    )
    assert not ledger.empty
    with pytest.raises(AssetUploadError, match="could not put asset asset-1: reset") as caught:
        driven.give(Response(204, {}))
    error = caught.value
    assert (error.stage, error.asset_id, error.retryable) == ("put", "asset-1", True)
    assert ledger.empty


def test_what_cannot_be_deleted_is_named_and_kept_for_later(
    uploading: Any, ledger: UploadCache, reply: Any
) -> None:
    driven = uploading()
    with pytest.raises(AssetUploadError) as caught:
        driven.run([reply(200, CREATED), Response(403, {}), Response(500, {})])
    (note,) = caught.value.__notes__
    assert "could not be deleted" in note
    assert "asset-1" in note
    assert [asset.id for asset in ledger.pop_all()] == ["asset-1"]


def test_each_stage_is_tried_again(uploading: Any, reply: Any) -> None:
    driven = uploading(max_retries=1)
    driven.run([Response(503, {}), reply(200, CREATED), APIConnectionError("x"), Response(200, {})])
    assert [request.stage for request in driven.requests] == ["create", "create", "put", "put"]
    assert [request.delay > 0 for request in driven.requests] == [False, True, False, True]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        [],
        {},
        {"assetId": 5, "uploadUrl": PUT_URL},
        {"assetId": "", "uploadUrl": PUT_URL},
        {"assetId": "../x", "uploadUrl": PUT_URL},
        {"assetId": "a\r\nb", "uploadUrl": PUT_URL},
    ],
    ids=str,
)
def test_an_asset_without_a_usable_id(
    body: Any, uploading: Any, ledger: UploadCache, reply: Any
) -> None:
    driven = uploading()
    driven.start()
    with pytest.raises(AssetUploadError, match="without an id") as caught:
        driven.give(reply(200, body))
    assert caught.value.stage == "create"
    assert ledger.empty


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        5,
        "ftp://x/y",
        "http://s3.example.org/x",
        "https://",
        "https://[x/",
        "file:///etc/passwd",
    ],
)
def test_an_upload_url_that_may_not_be_followed(
    url: Any, uploading: Any, ledger: UploadCache, reply: Any
) -> None:
    driven = uploading()
    driven.start()
    removal = driven.give(reply(200, {**CREATED, "uploadUrl": url}))
    assert removal.stage == "delete"
    with pytest.raises(AssetUploadError, match="without a usable upload url") as caught:
        driven.give(Response(204, {}))
    assert caught.value.asset_id == "asset-1"
    assert ledger.empty


def test_a_service_without_tls_may_name_a_url_without(uploading: Any, reply: Any) -> None:
    driven = uploading(root="http://127.0.0.1:8/nvcf")
    asset = driven.run(
        [reply(200, {**CREATED, "uploadUrl": "http://127.0.0.1:8/put"}), Response(200, {})]
    )
    assert asset.id == "asset-1"


ASSET = Asset("asset-1", ROOT, 0.0)


@pytest.mark.parametrize("status", [200, 204, 404])
def test_deleted_or_gone_already(status: int, hand: Any, ledger: UploadCache) -> None:
    ledger.record(ASSET)
    hand(AssetApi(ROOT, RetryPolicy(), ledger).delete(ASSET)).run([Response(status, {})])
    assert ledger.empty


@pytest.mark.parametrize(
    "failure", [Response(403, {}), APIConnectionError("x"), InvalidRequestError("no key")]
)
def test_an_asset_that_could_not_be_deleted_stays_known(
    failure: Any, hand: Any, ledger: UploadCache
) -> None:
    driven = hand(AssetApi(ROOT, RetryPolicy(max_retries=0), ledger).delete(ASSET))
    driven.start()
    with pytest.raises(AssetUploadError, match="could not delete asset asset-1") as caught:
        driven.give(failure)
    assert caught.value.stage == "delete"
    assert ledger.pop_all() == [ASSET]


def test_so_does_one_whose_deletion_was_left_halfway(hand: Any, ledger: UploadCache) -> None:
    ledger.record(ASSET)
    assert ledger.pop_all() == [ASSET]
    driven = hand(gather([AssetApi(ROOT, RetryPolicy(), ledger).delete(ASSET)]))
    driven.start()
    driven.flow.close()
    assert ledger.pop_all() == [ASSET]


KEY = (ROOT, "digest", "image/png")


def test_the_same_bytes_are_uploaded_once(ledger: UploadCache) -> None:
    assert ledger.claim(KEY, 0.0) is None
    waiting = ledger.claim(KEY, 0.0)
    assert isinstance(waiting, Future)
    assert ledger.claim(KEY, 0.0) is waiting
    assert not waiting.done()
    ledger.finish(KEY, ASSET)
    assert waiting.done()
    assert ledger.claim(KEY, 0.0) is ASSET


def test_after_a_failure_the_next_one_uploads(ledger: UploadCache) -> None:
    assert ledger.claim(KEY, 0.0) is None
    waiting = ledger.claim(KEY, 0.0)
    assert isinstance(waiting, Future)
    ledger.finish(KEY, None)
    assert waiting.result(0) is None
    assert ledger.claim(KEY, 0.0) is None


def test_an_old_asset_is_not_used_again(ledger: UploadCache) -> None:
    assert ASSET_LIFETIME < 24 * 3600
    ledger.claim(KEY, 0.0)
    ledger.finish(KEY, ASSET)
    assert ledger.claim(KEY, ASSET_LIFETIME) is ASSET
    assert ledger.claim(KEY, ASSET_LIFETIME + 1) is None


def test_what_is_forgotten_is_neither_used_nor_deleted(ledger: UploadCache) -> None:
    ledger.record(ASSET)
    ledger.finish(KEY, ASSET)
    ledger.claim((ROOT, "other", "image/png"), 0.0)
    ledger.remove("asset-1")
    assert ledger.claim(KEY, 0.0) is None
    assert ledger.pop_all() == []


def test_which_assets_a_text_names(ledger: UploadCache) -> None:
    ledger.record(ASSET)
    ledger.record(Asset("asset-2", ROOT, 0.0))
    assert ledger.ids_in("failed to find asset asset-2") == ["asset-2"]
    assert ledger.ids_in("404 page not found") == []


def test_draining_leaves_uploads_that_are_under_way(ledger: UploadCache) -> None:
    ledger.record(ASSET)
    ledger.finish(KEY, ASSET)
    other = (ROOT, "other", "image/png")
    ledger.claim(other, 0.0)
    assert ledger.pop_all() == [ASSET]
    assert ledger.empty
    assert ledger.claim(KEY, 0.0) is None
    assert isinstance(ledger.claim(other, 0.0), Future)


def test_a_forked_child_has_none_of_its_parents(
    ledger: UploadCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record(ASSET)
    ledger.finish(KEY, ASSET)
    under_way = (ROOT, "other", "image/png")
    ledger.claim(under_way, 0.0)
    monkeypatch.setattr("nvcf_core.protocol.upload_cache.os.getpid", lambda: -1)
    assert ledger.claim(KEY, 0.0) is None
    assert ledger.claim(under_way, 0.0) is None
    mine = Asset("asset-3", ROOT, 0.0)
    ledger.record(mine)
    assert ledger.pop_all() == [mine]


def step(name: str) -> Request:
    return Request("ask", "GET", f"https://x.org/{name}")


def asking(*names: str) -> Any:
    said = []
    for name in names:
        said.append((yield step(name)))
    return said


def test_conversations_side_by_side(hand: Any) -> None:
    driven = hand(gather([asking("a", "b"), asking(), asking("c")]))
    first = driven.start()
    assert [request.url[-1] for request in first] == ["a", "c"]
    second = driven.give((1, 2))
    assert [request.url[-1] for request in second] == ["b"]
    driven.give((3,))
    assert driven.result == [[1, 3], [], [2]]


def test_those_side_by_side_are_left_at_once(hand: Any) -> None:
    flows = [asking("a", "b"), asking("c")]
    driven = hand(gather(flows))
    driven.start()
    driven.flow.close()
    assert [inspect.getgeneratorstate(flow) for flow in flows] == ["GEN_CLOSED"] * 2


def test_a_deletion_that_was_dropped_may_be_noted_while_its_cache_is_in_use(
    ledger: UploadCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector runs anywhere, and closes what nobody holds."""

    def drop_a_deletion() -> None:
        ring: list[Any] = [AssetApi(ROOT, RetryPolicy(), ledger).delete(ASSET)]
        next(ring[0])
        ring.append(ring)

    class FutureAfterACollection(Future[None]):
        def __init__(self) -> None:
            gc.collect()
            super().__init__()

    drop_a_deletion()
    monkeypatch.setattr(upload_cache, "Future", FutureAfterACollection)
    assert ledger.claim(KEY, 0.0) is None
    assert ledger.pop_all() == [ASSET]


def test_one_that_fails_leaves_its_error_and_the_others_go_on(hand: Any) -> None:
    error = BadRequestError(Response(400, {}))
    driven = hand(gather([asking("a", "b"), asking("c")]))
    driven.start()
    assert [request.url[-1] for request in driven.give((1, error))] == ["b"]
    driven.give((2,))
    assert driven.result == [[1, 2], error]
    driven = hand(gather([asking("a")]))
    driven.start()
    driven.give((error,))
    assert driven.result == [error]


def test_no_conversations_at_all(hand: Any) -> None:
    assert hand(gather([])).run([]) == []


def test_an_asset_that_the_service_lost_is_forgotten_and_no_other(ledger: UploadCache) -> None:
    other_key, other = (ROOT, "other", "image/png"), Asset("asset-2", ROOT, 0.0)
    for key, asset in ((KEY, ASSET), (other_key, other)):
        assert ledger.claim(key, 0.0) is None
        ledger.finish(key, asset)
    ledger.invalidate(ASSET.id)
    assert ledger.claim(other_key, 0.0) is other
    assert ledger.claim(KEY, 0.0) is None
