"""The assets that were created: who owns them, what state they are in, what their bytes are."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from nvcf_emulator.media.detect import Media

__all__ = ["LIVING", "AssetState", "AssetStatus", "Assets"]

AssetStatus = Literal["created", "stored", "deleted", "expired"]

LIVING: frozenset[AssetStatus] = frozenset({"created", "stored"})
URL_SECONDS = 3600


@dataclass(frozen=True)
class AssetState:
    """What is known of one asset.

    Attributes:
        id: The asset's UUID.
        account: The account that owns it.
        content_type: As declared when it was created.
        description: As declared when it was created.
        length: Size in bytes of what was put; 0 before.
        sha256: Hash in hex of what was put; empty before, or where hashing is off.
        state: created, stored, deleted or expired.
        media: What its bytes are; None before they were put.
        created: When it was created, in seconds since the epoch.
    """

    id: str
    account: str
    content_type: str
    description: str
    length: int = 0
    sha256: str = ""
    state: AssetStatus = "created"
    media: Media | None = None
    created: float = 0.0


class Assets:
    """All assets of all accounts."""

    def __init__(self) -> None:
        self._all: dict[str, AssetState] = {}
        self._secret = secrets.token_bytes(32)

    def snapshot(self) -> dict[str, AssetState]:
        """Return every asset ever created, by id, as it is now."""
        return dict(self._all)

    def forget(self) -> None:
        """Forget every asset."""
        self._all.clear()

    def create(self, account: str, content_type: str, description: str) -> AssetState:
        """Create an asset that waits for its bytes."""
        made = AssetState(
            str(uuid.uuid4()), account, content_type, description, created=time.time()
        )
        self._all[made.id] = made
        return made

    def any(self, asset_id: str) -> AssetState | None:
        """Return the asset in whatever state, or None."""
        return self._all.get(asset_id)

    def owned(self, account: str) -> list[AssetState]:
        """Return the assets of `account` that exist, in the order of their creation."""
        return [
            asset
            for asset in list(self._all.values())
            if asset.account == account and asset.state in LIVING
        ]

    def get(self, account: str, asset_id: str) -> AssetState | None:
        """Return the asset if it exists and `account` owns it."""
        found = self._all.get(asset_id)
        if found is None or found.account != account:
            return None
        return found if found.state in LIVING else None

    def stored(self, account: str, asset_id: str) -> AssetState | None:
        """Return the asset if `account` may use it: it exists and its bytes are there."""
        found = self.get(account, asset_id)
        return found if found and found.state == "stored" else None

    def store(self, asset_id: str, media: Media) -> None:
        """Note the bytes of an asset, unless it went while they came."""
        found = self._all.get(asset_id)
        if found is None or found.state not in LIVING:
            return
        self._all[asset_id] = replace(
            found, length=media.length, sha256=media.sha256, state="stored", media=media
        )

    def delete(self, asset_id: str) -> None:
        """Delete an asset that exists."""
        self._all[asset_id] = replace(self._all[asset_id], state="deleted")

    def expire(self, asset_id: str | None = None) -> None:
        """Let one asset expire, or all that exist."""
        chosen = list(self._all) if asset_id is None else [asset_id]
        for key in chosen:
            if self._all[key].state in LIVING:
                self._all[key] = replace(self._all[key], state="expired")

    def signed_query(self, asset: AssetState) -> str:
        """Return the query of the url where the asset's bytes may be put."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(asset.created))
        return urlencode(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Date": moment,
                "X-Amz-Expires": str(URL_SECONDS),
                "X-Amz-SignedHeaders": "content-type;host;x-amz-meta-nvcf-asset-description",
                "X-Amz-Signature": self.signature(asset.id, asset.content_type, asset.description),
            }
        )

    def signature(self, asset_id: str, content_type: str, description: str) -> str:
        """Return what the url of a put with these headers is signed with."""
        text = f"{asset_id}\n{content_type}\n{description}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
