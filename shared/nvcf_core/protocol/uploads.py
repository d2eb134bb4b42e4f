"""The uploads that one call needs."""

from __future__ import annotations

from concurrent.futures import Future

from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Flow
from nvcf_core.media.delivery import Placed

from .assets import delete, together, upload
from .call import Call
from .upload_cache import Asset, Ledger


def _place(call: Call, ledger: Ledger, now: float) -> Flow[dict[int, str]]:
    """The asset ids of all media that travel as assets, by identity; those not there yet are uploaded."""
    ids: dict[int, str] = {}
    uploaded: dict[tuple[str, str], str] = {}
    waiting = call.placements.uploads()
    while waiting:
        waiting = yield from _upload_some(call, waiting, uploaded, ledger, now)
    for identity, placed in call.placements.items():
        if placed.way == "upload":
            ids[identity] = uploaded[placed.digest, placed.mime]
        elif placed.media.asset_id is not None:
            ids[identity] = placed.media.asset_id
    return ids


def _upload_some(
    call: Call,
    wanted: list[Placed],
    uploaded: dict[tuple[str, str], str],
    ledger: Ledger,
    now: float,
) -> Flow[list[Placed]]:
    """Upload those that nobody else is uploading; then wait for the others. Returns what to look at again."""
    root = call.nvcf_url or ""
    mine: list[Placed] = []
    theirs: list[tuple[Placed, Future[None]]] = []
    for placed in wanted:
        claim = ledger.claim((root, placed.digest, placed.mime), now)
        if isinstance(claim, Asset):
            uploaded[placed.digest, placed.mime] = claim.id
        elif claim is None:
            mine.append(placed)
        else:
            theirs.append((placed, claim))
    yield from _upload_mine(call, root, mine, uploaded, ledger)
    for _, other in theirs:
        yield other
    return [placed for placed, _ in theirs]


def _upload_mine(
    call: Call, root: str, mine: list[Placed], uploaded: dict[tuple[str, str], str], ledger: Ledger
) -> Flow[None]:
    results: list[Asset | NVCFError] = []
    try:
        flows = [
            upload(placed.media.source, placed.mime, root, call.retry, ledger)
            for placed in mine
            if placed.media.source is not None
        ]
        results = yield from together(flows)
    finally:
        # Also when the conversation is left halfway: whoever waits must not wait for ever.
        made = [result for result in results if isinstance(result, Asset)]
        kept = made if len(made) == len(mine) else [None] * len(mine)
        for placed, asset in zip(mine, kept, strict=True):
            ledger.settle((root, placed.digest, placed.mime), asset)
    failures = [result for result in results if isinstance(result, NVCFError)]
    if failures:
        yield from together([delete(asset, call.retry, ledger) for asset in made])
        raise failures[0]
    for placed, result in zip(mine, results, strict=True):
        if isinstance(result, Asset):
            uploaded[placed.digest, placed.mime] = result.id
