"""The asset API: create, put, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pydantic_core import from_json

from nvcf_core.config.endpoints import may_follow
from nvcf_core.errors import APIStatusError, AssetUploadError, NVCFError
from nvcf_core.exchange import Flow, Reply, Request, Source, Step
from nvcf_core.wire import dump

from .retry import Retry, attempt
from .upload_cache import Asset, Ledger

T = TypeVar("T")

_DESCRIPTION = "chat input"


def upload(
    source: Source,
    mime: str,
    root: str,
    retry: Retry,
    ledger: Ledger,
    progress: Callable[[int, int], None] | None = None,
) -> Flow[Asset]:
    """Create an asset and put its bytes. A failure halfway deletes it again.

    Raises:
        AssetUploadError: names the stage.
    """
    asset, url = yield from _create(mime, root, retry, ledger)
    # The url is signed for these headers: one more, above all the key, and it is refused.
    headers = {
        "content-type": mime,
        "content-length": str(source.length),
        "x-amz-meta-nvcf-asset-description": _DESCRIPTION,
    }
    put = Request("put", "PUT", url, headers, source, authorized=False, progress=progress)
    try:
        yield from attempt(put, retry)
    except NVCFError as error:
        failure = _failed("put", asset.id, error)
        try:
            yield from delete(asset, retry, ledger)
        except AssetUploadError as left:
            failure.add_note(f"and it could not be deleted: {left}")
        raise failure from error
    return asset


def _create(mime: str, root: str, retry: Retry, ledger: Ledger) -> Flow[tuple[Asset, str]]:
    about = dump({"contentType": mime, "description": _DESCRIPTION})
    headers = {"content-type": "application/json", "accept": "application/json"}

    def note(reply: Reply) -> None:
        asset_id, _ = _created(reply)
        if reply.status < 300 and asset_id is not None:
            ledger.created(Asset(asset_id, root, reply.at))

    create = Request("create", "POST", f"{root}/assets", headers, about, heard=note)
    try:
        reply: Reply = yield from attempt(create, retry)
    except NVCFError as error:
        raise _failed("create", None, error) from error
    asset_id, url = _created(reply)
    if asset_id is None:
        raise AssetUploadError("the service created an asset without an id", stage="create")
    asset = Asset(asset_id, root, reply.at)
    if url is None or not may_follow(url, root):
        yield from delete(asset, retry, ledger)
        raise AssetUploadError(
            f"asset {asset_id} was created without a usable upload url",
            stage="create",
            asset_id=asset_id,
        )
    return asset, url


def _created(reply: Reply) -> tuple[str | None, str | None]:
    try:
        body = from_json(reply.body)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    found = [body.get("assetId"), body.get("uploadUrl")]
    asset_id, url = (value if isinstance(value, str) and value else None for value in found)
    if asset_id is not None and not asset_id.replace("-", "").isalnum():
        asset_id = None  # It goes into a path and a header.
    return asset_id, url


def delete(asset: Asset, retry: Retry, ledger: Ledger) -> Flow[None]:
    """Delete an asset. One that is gone already is no failure.

    Raises:
        AssetUploadError: stage "delete". The asset stays in the ledger.
    """
    gone = False
    try:
        yield from attempt(Request("delete", "DELETE", f"{asset.root}/assets/{asset.id}"), retry)
        gone = True
    except NVCFError as error:
        gone = isinstance(error, APIStatusError) and error.status == 404
        if not gone:
            raise _failed("delete", asset.id, error) from error
    finally:
        # Also when the conversation is left halfway: what may still be there stays known.
        if gone:
            ledger.forget(asset.id)
        else:
            ledger.created(asset)


def _failed(
    stage: Literal["create", "put", "delete"], asset_id: str | None, error: NVCFError
) -> AssetUploadError:
    what = f"asset {asset_id}" if asset_id else "an asset"
    failure = AssetUploadError(
        f"could not {stage} {what}: {error}",
        stage=stage,
        asset_id=asset_id,
        retryable=error.retryable,
    )
    failure.request_id = error.request_id
    return failure


def together(flows: list[Flow[T]]) -> Flow[list[T | NVCFError]]:
    """Run conversations side by side, each step of all in one. A failed one leaves its error in the list."""
    results: list[Any] = [None] * len(flows)
    waiting: list[tuple[int, Any]] = [(number, None) for number in range(len(flows))]
    while waiting:
        steps: dict[int, Step] = {}
        for number, reply in waiting:
            flow = flows[number]
            try:
                steps[number] = (
                    flow.throw(reply) if isinstance(reply, NVCFError) else flow.send(reply)
                )
            except StopIteration as stop:
                results[number] = stop.value
            except NVCFError as error:
                results[number] = error
        replies = (yield tuple(steps.values())) if steps else ()
        waiting = list(zip(steps, replies, strict=True))
    return results
