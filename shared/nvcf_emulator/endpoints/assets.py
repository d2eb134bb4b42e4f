"""The asset API, and the storage behind its signed urls."""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import IO, Any, cast

from starlette.requests import Request
from starlette.responses import Response

from nvcf_emulator.answers.http_response import HTTPResponse, json_response, xml_error
from nvcf_emulator.http.error_bodies import two_authorizations
from nvcf_emulator.http.fault_injection import ResponseSender
from nvcf_emulator.http.incoming import Incoming, as_received, scripted_response, with_fault
from nvcf_emulator.media.assets import LIVING, AssetState
from nvcf_emulator.media.detect import Media, decode
from nvcf_emulator.script.steps import BEFORE_RESPONSE, Fault, Step
from nvcf_emulator.specs.fields import only_keys, require_text
from nvcf_emulator.specs.models import Kind
from nvcf_emulator.specs.rejections import asset_missing
from nvcf_emulator.state import State

__all__ = ["AssetApi", "Storage"]

LARGEST_ASSET = 5 * 1024**3
DESCRIPTION_HEADER = "x-amz-meta-nvcf-asset-description"

_KEPT_BYTES = 64 * 1024**2
_IN_MEMORY = 1024**2
_SHARE_FIRST = 0.5


class AssetApi:
    """Creates, lists, shows and deletes assets."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def create(self, arrived: Incoming) -> HTTPResponse:
        """Create an asset and return where its bytes go."""
        body = arrived.body or {}
        only_keys("body", body, frozenset({"contentType", "description"}))
        content_type = require_text("contentType", body.get("contentType"), empty=False)
        description = require_text("description", body.get("description"), empty=False)
        made = self._state.assets.create(arrived.account, content_type, description)
        self._state.notify()
        query = self._state.assets.signed_query(made)
        url = arrived.request.url.replace(path=f"/upload/{made.id}", query=query)
        return json_response({**_shown(made), "uploadUrl": str(url)})

    async def list(self, arrived: Incoming) -> HTTPResponse:
        """List the account's assets."""
        owned = self._state.assets.owned(arrived.account)
        return json_response({"assets": [_shown(asset) for asset in owned]})

    async def show(self, arrived: Incoming) -> HTTPResponse:
        """Show one asset."""
        return json_response({"asset": _shown(self._owned(arrived))})

    async def delete(self, arrived: Incoming) -> HTTPResponse:
        """Delete one asset."""
        self._state.assets.delete(self._owned(arrived).id)
        self._state.notify()
        return HTTPResponse(204)

    def _owned(self, arrived: Incoming) -> AssetState:
        asset_id = arrived.path["id"]
        found = self._state.assets.get(arrived.account, asset_id)
        if found is None:
            raise asset_missing(asset_id)
        return found


def _shown(asset: AssetState) -> dict[str, Any]:
    return {
        "assetId": asset.id,
        "contentType": asset.content_type,
        "description": asset.description,
    }


@dataclass
class _Arriving:
    """What has arrived of one put."""

    length: int = 0
    sha256: str = ""
    media: Media | None = None


class Storage:
    """Takes the bytes of assets at signed urls.

    Args:
        state: Where the assets are.
        hashes: Whether what is put is hashed; without, a large put is faster.
    """

    def __init__(self, state: State, hashes: bool) -> None:
        self._state = state
        self._hashes = hashes

    async def put(self, request: Request) -> Response:
        """Take the bytes of an asset, unless its url or its headers say otherwise."""
        arriving = _Arriving()
        try:
            response = self._rejected(request)
            if response is None:
                response = await self._taken(request, arriving)
        finally:
            noted = as_received(request, "put")
            self._state.note(replace(noted, length=arriving.length, sha256=arriving.sha256))
        return ResponseSender(response, self._state)

    def _rejected(self, request: Request) -> HTTPResponse | None:
        headers = request.headers
        if "authorization" in headers:
            return two_authorizations()
        if "transfer-encoding" in headers:
            return xml_error(
                501,
                "NotImplemented",
                "A header you provided implies functionality that is not implemented: "
                "Transfer-Encoding",
            )
        if "content-length" not in headers:
            return xml_error(
                411, "MissingContentLength", "You must provide the Content-Length HTTP header."
            )
        if int(headers["content-length"]) > LARGEST_ASSET:
            return xml_error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum size")
        return self._signature_rejected(request)

    def _signature_rejected(self, request: Request) -> HTTPResponse | None:
        asset = self._state.assets.any(str(request.path_params["id"]))
        if asset is None:
            return xml_error(403, "AccessDenied", "Access Denied")
        if asset.state not in LIVING:
            return xml_error(403, "AccessDenied", "Request has expired")
        signed = self._state.assets.signature(
            asset.id,
            request.headers.get("content-type", ""),
            request.headers.get(DESCRIPTION_HEADER, ""),
        )
        if request.query_params.get("X-Amz-Signature") != signed:
            return xml_error(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
            )
        return None

    async def _taken(self, request: Request, arriving: _Arriving) -> HTTPResponse:
        length = int(request.headers["content-length"])
        step = self._state.script.queue.take("put", _breaks_the_body)
        share = _SHARE_FIRST if step else 1
        if isinstance(step, Fault) and step.after is not None:
            share = min(step.after, 1)
        await self._read(request, arriving, int(length * share))
        replaced = (
            HTTPResponse(fault=replace(step, after=None)) if isinstance(step, Fault) else None
        )
        replaced = replaced or scripted_response(self._state, "put")
        if arriving.media and share >= 1 and _is_good(replaced):
            self._state.assets.store(arriving.media.asset, arriving.media)
            self._state.notify()
        if replaced:
            return replaced
        return with_fault(
            HTTPResponse(200, {"etag": f'"{arriving.sha256[:32]}"'}), self._state, "put"
        )

    async def _read(self, request: Request, arriving: _Arriving, wanted: int) -> None:
        """Read `wanted` bytes of the body, hash them, and look at the beginning of them."""
        digest = hashlib.sha256() if self._hashes else None
        asset = self._state.assets.any(str(request.path_params["id"]))
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as kept:
            async for piece in _until(request.stream(), wanted):
                if digest:
                    digest.update(piece)
                if arriving.length < _KEPT_BYTES:
                    kept.write(piece)
                arriving.length += len(piece)
            arriving.sha256 = digest.hexdigest() if digest else ""
            if asset:
                arriving.media = _looked_at(kept, asset, arriving)


def _breaks_the_body(step: Step) -> bool:
    return isinstance(step, Fault) and step.kind in BEFORE_RESPONSE


def _is_good(replaced: HTTPResponse | None) -> bool:
    """Tell whether the bytes were taken, be it that the response to it gets lost."""
    return replaced is None or replaced.status < 300


async def _until(pieces: AsyncIterator[bytes], wanted: int) -> AsyncIterator[bytes]:
    """Yield what arrives until `wanted` bytes are there."""
    seen = 0
    if wanted == 0:
        return
    async for piece in pieces:
        yield piece
        seen += len(piece)
        if seen >= wanted:
            return


def _looked_at(kept: IO[bytes], asset: AssetState, arriving: _Arriving) -> Media:
    kind = cast(Kind, asset.content_type.partition("/")[0])
    kept.flush()
    if arriving.length <= _IN_MEMORY:
        kept.seek(0)
        data = kept.read()
        return decode(kind, data, arriving.length, arriving.sha256, asset.id)
    with mmap.mmap(kept.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return decode(kind, mapped, arriving.length, arriving.sha256, asset.id)
