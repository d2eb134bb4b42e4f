"""The flow of one chat call: upload, send the request, poll while the service works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from nvcf_core.errors import AuthenticationError, ModelGoneError, NotFoundError
from nvcf_core.exchange import Flow, Request, Response
from nvcf_core.media.delivery import ContentKey
from nvcf_core.request.body import MessageEncoder

from .assets import AssetApi
from .chat_request import ChatRequest
from .polling import poll_until_done
from .results import download_result
from .retry import Retries, send_with_retries
from .upload_cache import UploadCache

__all__ = ["REFERENCES", "chat"]

_TWO_PATHS = re.compile(r"/(chat/completions|vlm/.+)/(chat/completions|vlm/.+)")
"""What is asked where `base_url` holds a model's path, which is added to it."""

REFERENCES = "nvcf-input-asset-references"
"""The header that names the assets of a request."""


def chat(
    call: ChatRequest, cache: UploadCache, now: float, retries: Retries | None = None
) -> Flow[Response]:
    """Upload what is too large to go inline, send the request, and poll while the service is still working.

    Args:
        call: the request.
        cache: what the client has uploaded so far.
        now: the time, by the same steady clock as `Response.received_at`.
        retries: the retries that are left. None: all that the call may have.

    Raises:
        NVCFError: the call failed.
    """
    try:
        return (yield from _post_and_poll(call, cache, now, retries or Retries(call.retry)))
    except AuthenticationError as error:
        if hint := call.options.auth.hint:
            error.add_hint(hint)
        raise


def _post_and_poll(
    call: ChatRequest, cache: UploadCache, now: float, retries: Retries
) -> Flow[Response]:
    uploaded = yield from _upload(call, cache, now)
    try:
        response: Response = yield from _post_chat(call, uploaded, retries)
    except NotFoundError as error:
        lost = cache.ids_in(error.response.text)
        if not lost:
            raise
        for asset_id in lost:
            cache.invalidate(asset_id)
        uploaded = yield from _upload(call, cache, now)
        response = yield from _post_chat(call, uploaded, retries)
    if response.status == 202:
        response = yield from poll_until_done(call, response)
    if response.status == 302:
        response = yield from download_result(call, response)
    return response


def _upload(call: ChatRequest, cache: UploadCache, now: float) -> Flow[dict[ContentKey, str]]:
    uploads = call.deliveries.uploads()
    if not uploads or call.nvcf_url is None:
        return {}
    return (yield from AssetApi(call.nvcf_url, call.retry, cache).upload_all(uploads, now))


def _post_chat(
    call: ChatRequest, uploaded: Mapping[ContentKey, str], retries: Retries
) -> Flow[Response]:
    try:
        return (yield from send_with_retries(_build_http_request(call, uploaded), retries))
    except NotFoundError as error:
        error.add_hint(_not_found_hint(call, error))
        raise


def _not_found_hint(call: ChatRequest, error: NotFoundError) -> str:
    """What may be missing: an asset of the user's, the API below `base_url`, or the model."""
    for item in call.deliveries.items:
        if item.asset_id is not None and item.asset_id in error.response.text:
            return f"Asset {item.asset_id} is gone: assets are kept for 24 hours. upload() it again"
    url = urlsplit(call.url)
    asked = f"{url.scheme}://{url.netloc}{url.path}"
    if not re.search(r"/v\d", url.path) or _TWO_PATHS.search(url.path):
        return f"{asked} was asked: base_url should end in /v1"
    if isinstance(error, ModelGoneError):
        return f"{call.spec.id} was asked for at {asked}"
    return (
        f"{call.spec.id} was asked for at {asked}: the account may lack it, or it may have been retired. "
        "available_models() lists the models; check model, base_url and function_id"
    )


def _build_http_request(call: ChatRequest, uploaded: Mapping[ContentKey, str]) -> Request:
    body = MessageEncoder(call.spec, call.names, uploaded).body(call.messages, call.fields)
    length = len(body) if isinstance(body, bytes) else body.length
    headers = {**call.headers, "content-length": str(length)}
    if references := call.deliveries.asset_ids(uploaded):
        headers[REFERENCES] = ",".join(references)
    return Request("ask", "POST", call.url, headers, body, stream=True)
