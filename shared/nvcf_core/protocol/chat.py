"""One chat call, from messages to the response that answers them: upload, ask, and wait while the service works."""

from __future__ import annotations

from collections.abc import Mapping

from nvcf_core.errors import NotFoundError
from nvcf_core.exchange import Flow, Request, Response
from nvcf_core.request.body import MessageEncoder

from .call import ChatRequest
from .polling import POLL_SECONDS, POLL_SECONDS_HEADER, hold_seconds, poll_until_done
from .results import download_result
from .retry import send_with_retries
from .upload_cache import UploadCache
from .uploads import upload_all

__all__ = ["REFERENCES", "chat"]

REFERENCES = "nvcf-input-asset-references"
"""The header that names the assets of a request."""


def chat(call: ChatRequest, cache: UploadCache, now: float) -> Flow[Response]:
    """Upload what is too large to go inline, ask, and wait while the service is still working.

    Args:
        call: what to ask.
        cache: what the client has uploaded so far.
        now: the time, by the same steady clock as `Response.received_at`.

    Raises:
        NVCFError: whatever goes wrong.
    """
    assets = yield from upload_all(call, cache, now)
    try:
        response: Response = yield from send_with_retries(_ask(call, assets), call.retry)
    except NotFoundError as error:
        lost = cache.ids_in(error.response.text)
        if not lost:
            raise
        for asset_id in lost:
            cache.invalidate(asset_id)
        assets = yield from upload_all(call, cache, now)
        response = yield from send_with_retries(_ask(call, assets), call.retry)
    if response.status == 202:
        response = yield from poll_until_done(call, response)
    if response.status == 302:
        response = yield from download_result(call, response)
    return response


def _ask(call: ChatRequest, assets: Mapping[int, str]) -> Request:
    encoder = MessageEncoder(call.spec, call.deliveries, assets, call.names)
    body = encoder.body(call.messages, call.fields)
    length = len(body) if isinstance(body, bytes) else body.length
    headers = {
        "accept": "text/event-stream" if call.stream else "application/json",
        "content-type": "application/json",
        "content-length": str(length),
    }
    if call.nvcf_url is not None and POLL_SECONDS_HEADER not in call.options.headers:
        headers[POLL_SECONDS_HEADER] = str(hold_seconds(call, POLL_SECONDS))
    if assets:
        headers[REFERENCES] = ",".join(dict.fromkeys(assets.values()))
    return Request("ask", "POST", call.url, headers, body, stream=True)
