"""The assets that one client uploaded: reused, waited for, deleted in the end."""

from __future__ import annotations

import os
from concurrent.futures import Future

from nvcf_core.locks import Lock
from nvcf_core.values import value_class

__all__ = ["ASSET_LIFETIME", "Asset", "UploadCache"]

ASSET_LIFETIME = 23 * 3600.0
"""Seconds that an uploaded asset is used again. The service keeps it for 24 hours."""


@value_class
class Asset:
    """An asset that this client created."""

    id: str
    root: str
    """The API it lies at (`nvcf_url`)."""
    created_at: float
    """When it was created, by a steady clock."""


_Key = tuple[str, str, str]
"""API root, SHA-256 of the bytes, media type."""


class UploadCache:
    """The assets that one client uploaded. Safe to share between threads and event loops.

    The same bytes are uploaded once: whoever comes second waits for the first.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._created: dict[str, Asset] = {}
        self._known: dict[_Key, Asset | Future[None]] = {}
        self._pid = os.getpid()

    def claim(self, key: _Key, now: float) -> Asset | Future[None] | None:
        """The cached asset; a Future of an upload in progress; or None if the caller must upload it."""
        with self._lock:
            self._forget_after_fork()
            known = self._known.get(key)
            if isinstance(known, Asset) and now - known.created_at > ASSET_LIFETIME:
                known = None
            if known is None:
                self._known[key] = Future()
            return known

    def finish(self, key: _Key, asset: Asset | None) -> None:
        """Finish an upload, and wake the flows that wait for it. None: it failed."""
        with self._lock:
            waiting = self._known.pop(key, None)
            if asset is not None:
                self._known[key] = asset
        if isinstance(waiting, Future):
            waiting.set_result(None)  # Drivers never cancel it: see their shield.

    def record(self, asset: Asset) -> None:
        """Record an asset that exists from now on."""
        with self._lock:
            self._forget_after_fork()
            self._created[asset.id] = asset

    def remove(self, asset_id: str) -> None:
        """Remove an asset that is gone."""
        self.invalidate(asset_id)
        with self._lock:
            self._created.pop(asset_id, None)

    def invalidate(self, asset_id: str) -> None:
        """Stop using an asset that the service does not find. It is still deleted in the end."""
        with self._lock:
            for key in list(self._known):
                known = self._known.get(key)
                if isinstance(known, Asset) and known.id == asset_id:
                    self._known.pop(key, None)

    def ids_in(self, text: str) -> list[str]:
        """Return the ids of this client's assets that a text contains."""
        with self._lock:
            return [asset_id for asset_id in list(self._created) if asset_id in text]

    def pop_all(self) -> list[Asset]:
        """Return and forget every asset that is still there, to be deleted now."""
        with self._lock:
            self._forget_after_fork()
            # What a dropped call notes meanwhile is in the one dict or in the other.
            created, self._created = self._created, {}
            for key in list(self._known):
                if not isinstance(self._known.get(key), Future):
                    self._known.pop(key, None)
            return list(created.values())

    @property
    def empty(self) -> bool:
        """Whether nothing is left to delete."""
        return not self._created

    def _forget_after_fork(self) -> None:
        """In a forked child, forget what is the parent's to use and to delete."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._created.clear()
            self._known.clear()
