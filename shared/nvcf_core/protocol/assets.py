"""The asset API: create, put, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pydantic_core import from_json

from nvcf_core.config.endpoints import is_safe_redirect
from nvcf_core.errors import APIStatusError, AssetUploadError, NVCFError
from nvcf_core.exchange import ByteSource, Flow, Request, Response, Step
from nvcf_core.wire import dump_json

from .retry import RetryPolicy, send_with_retries
from .upload_cache import Asset, UploadCache

__all__ = ["delete", "gather", "upload"]

T = TypeVar("T")

_DESCRIPTION = "chat input"


def upload(
    source: ByteSource,
    mime: str,
    root: str,
    retry: RetryPolicy,
    cache: UploadCache,
    progress: Callable[[int, int], None] | None = None,
) -> Flow[Asset]:
    """Create an asset and put its bytes. A failure halfway deletes it again.

    Raises:
        AssetUploadError: names the stage.
    """
    asset, url = yield from _create(mime, root, retry, cache)
    # The url is signed for these headers: one more, above all the key, and it is refused.
    headers = {
        "content-type": mime,
        "content-length": str(source.length),
        "x-amz-meta-nvcf-asset-description": _DESCRIPTION,
    }
    put = Request("put", "PUT", url, headers, source, authorized=False, on_progress=progress)
    try:
        yield from send_with_retries(put, retry)
    except NVCFError as error:
        failure = _failed("put", asset.id, error)
        try:
            yield from delete(asset, retry, cache)
        except AssetUploadError as left:
            failure.add_note(f"and it could not be deleted: {left}")
        raise failure from error
    return asset


def _create(
    mime: str, root: str, retry: RetryPolicy, cache: UploadCache
) -> Flow[tuple[Asset, str]]:
    about = dump_json({"contentType": mime, "description": _DESCRIPTION})
    headers = {"content-type": "application/json", "accept": "application/json"}

    def note(response: Response) -> None:
        asset_id, _ = _created(response)
        if response.status < 300 and asset_id is not None:
            cache.record(Asset(asset_id, root, response.received_at))

    create = Request("create", "POST", f"{root}/assets", headers, about, on_response=note)
    try:
        response: Response = yield from send_with_retries(create, retry)
    except NVCFError as error:
        raise _failed("create", None, error) from error
    asset_id, url = _created(response)
    if asset_id is None:
        raise AssetUploadError("the service created an asset without an id", stage="create")
    asset = Asset(asset_id, root, response.received_at)
    if url is None or not is_safe_redirect(url, root):
        yield from delete(asset, retry, cache)
        raise AssetUploadError(
            f"asset {asset_id} was created without a usable upload url",
            stage="create",
            asset_id=asset_id,
        )
    return asset, url


def _created(response: Response) -> tuple[str | None, str | None]:
    try:
        body = from_json(response.body)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    found = [body.get("assetId"), body.get("uploadUrl")]
    asset_id, url = (value if isinstance(value, str) and value else None for value in found)
    if asset_id is not None and not asset_id.replace("-", "").isalnum():
        asset_id = None  # It goes into a path and a header.
    return asset_id, url


def delete(asset: Asset, retry: RetryPolicy, cache: UploadCache) -> Flow[None]:
    """Delete an asset. One that is gone already is no failure.

    Raises:
        AssetUploadError: stage "delete". The asset stays in the cache.
    """
    gone = False
    try:
        yield from send_with_retries(
            Request("delete", "DELETE", f"{asset.root}/assets/{asset.id}"), retry
        )
        gone = True
    except NVCFError as error:
        gone = isinstance(error, APIStatusError) and error.status == 404
        if not gone:
            raise _failed("delete", asset.id, error) from error
    finally:
        # Also when the conversation is left halfway: what may still be there stays known.
        if gone:
            cache.remove(asset.id)
        else:
            cache.record(asset)


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


def gather(flows: list[Flow[T]]) -> Flow[list[T | NVCFError]]:
    """Run conversations side by side, each step of all in one. A failed one leaves its error in the list."""
    results: list[Any] = [None] * len(flows)
    waiting: list[tuple[int, Any]] = [(number, None) for number in range(len(flows))]
    while waiting:
        steps: dict[int, Step] = {}
        for number, response in waiting:
            flow = flows[number]
            try:
                steps[number] = (
                    flow.throw(response) if isinstance(response, NVCFError) else flow.send(response)
                )
            except StopIteration as stop:
                results[number] = stop.value
            except NVCFError as error:
                results[number] = error
        responses = (yield tuple(steps.values())) if steps else ()
        waiting = list(zip(steps, responses, strict=True))
    return results
