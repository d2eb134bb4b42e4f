"""One chat call, from messages to the response that answers them: upload, ask, and wait while the service works."""

from __future__ import annotations

from collections.abc import Mapping

from nvcf_core.errors import NotFoundError
from nvcf_core.exchange import Flow, Reply, Request
from nvcf_core.request.body import MessageEncoder

from .call import Call
from .polling import _POLL_SECONDS, POLL_SECONDS, _hold, _poll
from .results import _fetch
from .retry import attempt
from .upload_cache import Ledger
from .uploads import _place

REFERENCES = "nvcf-input-asset-references"
"""The header that names the assets of a request."""


def chat(call: Call, ledger: Ledger, now: float) -> Flow[Reply]:
    """Upload what is too large to go inline, ask, and wait while the service is still working.

    Args:
        call: what to ask.
        ledger: what the client has uploaded so far.
        now: the time, by the same steady clock as `Reply.at`.

    Raises:
        NVCFError: whatever goes wrong.
    """
    assets = yield from _place(call, ledger, now)
    try:
        reply: Reply = yield from attempt(_ask(call, assets), call.retry)
    except NotFoundError as error:
        lost = ledger.mentioned(error.response.text)
        if not lost:
            raise
        for asset_id in lost:
            ledger.lost(asset_id)
        assets = yield from _place(call, ledger, now)
        reply = yield from attempt(_ask(call, assets), call.retry)
    if reply.status == 202:
        reply = yield from _poll(call, reply)
    if reply.status == 302:
        reply = yield from _fetch(call, reply)
    return reply


def _ask(call: Call, assets: Mapping[int, str]) -> Request:
    encoder = MessageEncoder(call.spec, call.placements, assets, call.names)
    body = encoder.body(call.messages, call.about)
    length = len(body) if isinstance(body, bytes) else body.length
    headers = {
        "accept": "text/event-stream" if call.stream else "application/json",
        "content-type": "application/json",
        "content-length": str(length),
    }
    if call.nvcf_url is not None and POLL_SECONDS not in call.terms.headers:
        headers[POLL_SECONDS] = str(_hold(call, _POLL_SECONDS))
    if assets:
        headers[REFERENCES] = ",".join(dict.fromkeys(assets.values()))
    return Request("ask", "POST", call.url, headers, body, live=True)
