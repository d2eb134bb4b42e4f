"""The uploads that one call needs."""

from __future__ import annotations

from concurrent.futures import Future

from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Flow
from nvcf_core.media.delivery import Delivery

from .assets import delete, gather, upload
from .call import ChatRequest
from .upload_cache import Asset, UploadCache

__all__ = ["upload_all"]


def upload_all(call: ChatRequest, cache: UploadCache, now: float) -> Flow[dict[int, str]]:
    """The asset ids of all media that travel as assets, by identity; those not there yet are uploaded."""
    ids: dict[int, str] = {}
    uploaded: dict[tuple[str, str], str] = {}
    waiting = call.deliveries.uploads()
    while waiting:
        waiting = yield from _upload_some(call, waiting, uploaded, cache, now)
    for identity, delivery in call.deliveries.items():
        if delivery.method == "upload":
            ids[identity] = uploaded[delivery.sha256, delivery.mime_type]
        elif delivery.media.asset_id is not None:
            ids[identity] = delivery.media.asset_id
    return ids


def _upload_some(
    call: ChatRequest,
    wanted: list[Delivery],
    uploaded: dict[tuple[str, str], str],
    cache: UploadCache,
    now: float,
) -> Flow[list[Delivery]]:
    """Upload those that nobody else is uploading; then wait for the others. Returns what to look at again."""
    root = call.nvcf_url or ""
    mine: list[Delivery] = []
    theirs: list[tuple[Delivery, Future[None]]] = []
    for delivery in wanted:
        claim = cache.claim((root, delivery.sha256, delivery.mime_type), now)
        if isinstance(claim, Asset):
            uploaded[delivery.sha256, delivery.mime_type] = claim.id
        elif claim is None:
            mine.append(delivery)
        else:
            theirs.append((delivery, claim))
    yield from _upload_mine(call, root, mine, uploaded, cache)
    for _, other in theirs:
        yield other
    return [delivery for delivery, _ in theirs]


def _upload_mine(
    call: ChatRequest,
    root: str,
    mine: list[Delivery],
    uploaded: dict[tuple[str, str], str],
    cache: UploadCache,
) -> Flow[None]:
    results: list[Asset | NVCFError] = []
    try:
        flows = [
            upload(delivery.media.source, delivery.mime_type, root, call.retry, cache)
            for delivery in mine
            if delivery.media.source is not None
        ]
        results = yield from gather(flows)
    finally:
        # Also when the conversation is left halfway: whoever waits must not wait for ever.
        made = [result for result in results if isinstance(result, Asset)]
        kept = made if len(made) == len(mine) else [None] * len(mine)
        for delivery, asset in zip(mine, kept, strict=True):
            cache.finish((root, delivery.sha256, delivery.mime_type), asset)
    failures = [result for result in results if isinstance(result, NVCFError)]
    if failures:
        yield from gather([delete(asset, call.retry, cache) for asset in made])
        raise failures[0]
    for delivery, result in zip(mine, results, strict=True):
        if isinstance(result, Asset):
            uploaded[delivery.sha256, delivery.mime_type] = result.id
