"""The asset API: create, put, delete; and the uploads that one call needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

from pydantic_core import from_json

from nvcf_core.config.endpoints import is_safe_redirect
from nvcf_core.errors import APIStatusError, AssetUploadError, NVCFError
from nvcf_core.exchange import ByteSource, Flow, Request, Response, Step
from nvcf_core.media.delivery import ContentKey, Upload
from nvcf_core.wire import dump_json

from .retry import RetryPolicy, send_with_retries
from .upload_cache import Asset, UploadCache

__all__ = ["AssetApi", "gather"]

T = TypeVar("T")

_DESCRIPTION = "chat input"


class AssetApi:
    """The asset API of one service, as flows.

    Args:
        root: its root (`nvcf_url`).
        retry: for each of its requests.
        cache: records uploaded assets, and finds them again.
    """

    __slots__ = ("_cache", "_retry", "_root")

    def __init__(self, root: str, retry: RetryPolicy, cache: UploadCache) -> None:
        self._root, self._retry, self._cache = root, retry, cache

    def upload(
        self, source: ByteSource, mime_type: str, progress: Callable[[int, int], None] | None = None
    ) -> Flow[Asset]:
        """Create an asset and put its bytes. A failure halfway deletes it again.

        Args:
            source: the bytes.
            mime_type: the media type.
            progress: called with (bytes sent, total bytes) while they are sent.

        Raises:
            AssetUploadError: names the stage.
        """
        asset, url = yield from self._create(mime_type)
        # The url is signed for these headers: one more, above all the key, and it is refused.
        headers = {
            "content-type": mime_type,
            "content-length": str(source.length),
            "x-amz-meta-nvcf-asset-description": _DESCRIPTION,
        }
        put = Request("put", "PUT", url, headers, source, authorized=False, on_progress=progress)
        try:
            yield from send_with_retries(put, self._retry)
        except NVCFError as error:
            failure = _failed("put", asset.id, error)
            try:
                yield from self.delete(asset)
            except AssetUploadError as left:
                failure.add_note(f"and it could not be deleted: {left}")
            raise failure from error
        return asset

    def upload_all(self, uploads: Sequence[Upload], now: float) -> Flow[dict[ContentKey, str]]:
        """The asset ids of several uploads. What was uploaded before is used again.

        Args:
            uploads: each content once, with its hash taken.
            now: the time, by the same steady clock as `Response.received_at`.

        Raises:
            AssetUploadError: one of them failed; the others are deleted again.
        """
        ids: dict[ContentKey, str] = {}
        waiting = uploads
        while waiting:
            mine: list[Upload] = []
            theirs: list[tuple[Upload, Future[None]]] = []
            for upload in waiting:
                claim = self._cache.claim((self._root, *upload.key), now)
                if isinstance(claim, Asset):
                    ids[upload.key] = claim.id
                elif claim is None:
                    mine.append(upload)
                else:
                    theirs.append((upload, claim))
            ids |= yield from self._upload_claimed(mine)
            for _, other in theirs:
                yield other
            waiting = [upload for upload, _ in theirs]
        return ids

    def delete(self, asset: Asset) -> Flow[None]:
        """Delete an asset. One that is gone already is not a failure.

        Raises:
            AssetUploadError: stage "delete". The asset stays in the cache.
        """
        gone = False
        try:
            yield from send_with_retries(
                Request("delete", "DELETE", f"{asset.root}/assets/{asset.id}"), self._retry
            )
            gone = True
        except NVCFError as error:
            gone = isinstance(error, APIStatusError) and error.status == 404
            if not gone:
                raise _failed("delete", asset.id, error) from error
        finally:
            # Also when the flow is closed halfway: an asset that may still exist stays known.
            if gone:
                self._cache.remove(asset.id)
            else:
                self._cache.record(asset)

    def _create(self, mime_type: str) -> Flow[tuple[Asset, str]]:
        body = dump_json({"contentType": mime_type, "description": _DESCRIPTION})
        headers = {"content-type": "application/json", "accept": "application/json"}

        def note(response: Response) -> None:
            asset_id, _ = _created(response)
            if response.status < 300 and asset_id is not None:
                self._cache.record(Asset(asset_id, self._root, response.received_at))

        create = Request("create", "POST", f"{self._root}/assets", headers, body, on_response=note)
        try:
            response: Response = yield from send_with_retries(create, self._retry)
        except NVCFError as error:
            raise _failed("create", None, error) from error
        asset_id, url = _created(response)
        if asset_id is None:
            raise AssetUploadError("the service created an asset without an id", stage="create")
        asset = Asset(asset_id, self._root, response.received_at)
        if url is None or not is_safe_redirect(url, self._root):
            yield from self.delete(asset)
            raise AssetUploadError(
                f"asset {asset_id} was created without a usable upload url",
                stage="create",
                asset_id=asset_id,
            )
        return asset, url

    def _upload_claimed(self, uploads: Sequence[Upload]) -> Flow[Mapping[ContentKey, str]]:
        """Upload what this call has claimed, side by side: all of it, or nothing."""
        results: list[Asset | NVCFError] = []
        try:
            results = yield from gather(
                [self.upload(upload.source, upload.mime_type) for upload in uploads]
            )
        finally:
            # Also when the flow is closed halfway: whoever waits must not wait for ever.
            made = [result for result in results if isinstance(result, Asset)]
            kept = made if len(made) == len(uploads) else [None] * len(uploads)
            for upload, asset in zip(uploads, kept, strict=True):
                self._cache.finish((self._root, *upload.key), asset)
        failures = [result for result in results if isinstance(result, NVCFError)]
        if failures:
            yield from gather([self.delete(asset) for asset in made])
            raise failures[0]
        return {upload.key: asset.id for upload, asset in zip(uploads, made, strict=True)}


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
    """Run flows concurrently, one step of all of them at a time. The result of a failed flow is its error.

    When it is closed, so are they, at once: what they have to note is not left to the garbage collector.
    """
    results: list[Any] = [None] * len(flows)
    waiting: list[tuple[int, Any]] = [(number, None) for number in range(len(flows))]
    try:
        while waiting:
            steps: dict[int, Step] = {}
            for number, response in waiting:
                try:
                    steps[number] = _next_step(flows[number], response)
                except StopIteration as stop:
                    results[number] = stop.value
                except NVCFError as error:
                    results[number] = error
            responses = (yield tuple(steps.values())) if steps else ()
            waiting = list(zip(steps, responses, strict=True))
    finally:
        for flow in flows:
            flow.close()
    return results


def _next_step(flow: Flow[Any], response: Any) -> Step:
    """Send the outcome of its last step into a flow."""
    return flow.throw(response) if isinstance(response, NVCFError) else flow.send(response)
