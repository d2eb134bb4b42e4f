"""Assets, their whole life: created, put, referenced, used again, deleted."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic_core import from_json

from .encode import dump
from .errors import APIStatusError, AssetUploadError, NVCFError
from .exchange import Flow, Reply, Request, Step
from .locks import Lock
from .retry import Retry, attempt
from .sources import Source

T = TypeVar("T")

LIFE = 23 * 3600.0
"""Seconds that an uploaded asset is used again. The service keeps it for 24 hours."""

_DESCRIPTION = "chat input"


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset that this client created."""

    id: str
    root: str
    """The API it lies at (`nvcf_url`)."""
    at: float
    """When it was created, by a steady clock."""


_Key = tuple[str, str, str]
"""API root, SHA-256 of the bytes, media type."""


class Ledger:
    """What one client uploaded, safe to share between threads and event loops.

    The same bytes are uploaded once: whoever comes second waits for the first.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._created: dict[str, Asset] = {}
        self._known: dict[_Key, Asset | Future[None]] = {}
        self._pid = os.getpid()

    def claim(self, key: _Key, now: float) -> Asset | Future[None] | None:
        """The asset with these bytes; or what to wait for; or None: the caller is to upload it."""
        with self._lock:
            self._leave_to_parent()
            known = self._known.get(key)
            if isinstance(known, Asset) and now - known.at > LIFE:
                known = None
            if known is None:
                self._known[key] = Future()
            return known

    def settle(self, key: _Key, asset: Asset | None) -> None:
        """Tell those who wait that an upload is done, or None: that it failed."""
        with self._lock:
            waiting = self._known.pop(key, None)
            if asset is not None:
                self._known[key] = asset
        if isinstance(waiting, Future):
            waiting.set_result(None)  # Drivers never cancel it: see their shield.

    def created(self, asset: Asset) -> None:
        """Note an asset that exists from now on, whatever becomes of it."""
        with self._lock:
            self._leave_to_parent()
            self._created[asset.id] = asset

    def forget(self, asset_id: str) -> None:
        """Note that an asset is no more."""
        self.lost(asset_id)
        with self._lock:
            self._created.pop(asset_id, None)

    def lost(self, asset_id: str) -> None:
        """Note that the service does not find an asset: it is not used again, though deleted in the end."""
        with self._lock:
            for key, known in list(self._known.items()):
                if isinstance(known, Asset) and known.id == asset_id:
                    del self._known[key]

    def mentioned(self, text: str) -> list[str]:
        """Which of our assets a text names."""
        with self._lock:
            return [asset_id for asset_id in self._created if asset_id in text]

    def drain(self) -> list[Asset]:
        """Every asset that is still there, to be deleted now."""
        with self._lock:
            self._leave_to_parent()
            assets = list(self._created.values())
            self._created.clear()
            self._known = {
                key: known for key, known in self._known.items() if isinstance(known, Future)
            }
            return assets

    @property
    def empty(self) -> bool:
        """Whether nothing is left to delete."""
        return not self._created

    def _leave_to_parent(self) -> None:
        """In a forked child, forget what is the parent's to use and to delete."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._created.clear()
            self._known.clear()


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


def may_follow(url: str, root: str) -> bool:
    """Whether an url that the service named may be used: never one less protected than the service itself."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port  # Reading a bad port raises.
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and root.startswith("http://")))


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
