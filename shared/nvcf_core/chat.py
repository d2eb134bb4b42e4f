"""One chat call, from messages to the reply that answers them: upload, ask, and wait while the service works."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from .assets import Asset, Ledger, delete, may_follow, together, upload
from .choice import Reading
from .decode import LONGEST_ANSWER
from .encode import MessageEncoder
from .errors import (
    APIStatusError,
    APITimeoutError,
    InvalidResponseError,
    NotFoundError,
    NVCFError,
    PollingTimeoutError,
)
from .exchange import Flow, Reply, Request
from .media import Placed, Placements
from .messages import Message
from .models import ModelSpec
from .retry import Retry, attempt, check
from .terms import Terms
from .tools import ToolNames

REFERENCES = "nvcf-input-asset-references"
"""The header that names the assets of a request."""
POLL_SECONDS = "nvcf-poll-seconds"
"""The header that says how long the service may hold a request before it answers 202."""
_POLL_SECONDS = 60
"""How long the service is asked to hold each poll. Its limit is 300."""
_SLOWEST_POLL = 5.0
"""The longest pause between polls, in seconds. A request that nobody polls for 10 is dropped."""
_MOST_ENTRIES = 100
"""Files that the zip of a result may hold."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGED_ZIP = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, RuntimeError, EOFError, OSError,
)  # fmt: skip
"""What the zip reader raises for bytes that are none, or damaged."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Everything that decides one answer."""

    spec: ModelSpec
    messages: tuple[Message, ...]
    """As the model's page wants them."""
    about: Mapping[str, Any]
    """The body but for the messages."""
    stream: bool
    url: str
    base_url: str
    nvcf_url: str | None
    terms: Terms
    placements: Placements = field(default_factory=Placements)
    digest_uploads: Callable[[], None] = lambda: None
    """Reads what is to be uploaded once, for its hash. To be called before the conversation begins."""
    names: ToolNames = field(default_factory=lambda: ToolNames(()))
    reading: Reading = field(default_factory=Reading)
    retry: Retry = field(default_factory=Retry)
    poll_timeout: float = 900.0
    on_progress: Callable[[float], None] | None = None
    streaming: bool = False
    """Whether a whole answer is to be asked for as a stream."""


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


def _place(call: Call, ledger: Ledger, now: float) -> Flow[dict[int, str]]:
    """The asset ids of all media that travel as assets, by identity; those not there yet are uploaded."""
    ids: dict[int, str] = {}
    uploaded: dict[tuple[str, str], str] = {}
    waiting = call.placements.uploads()
    while waiting:
        waiting = yield from _upload_some(call, waiting, uploaded, ledger, now)
    for identity, placed in call.placements.items():
        if placed.way == "upload":
            ids[identity] = uploaded[placed.digest, placed.mime]
        elif placed.media.asset_id is not None:
            ids[identity] = placed.media.asset_id
    return ids


def _upload_some(
    call: Call,
    wanted: list[Placed],
    uploaded: dict[tuple[str, str], str],
    ledger: Ledger,
    now: float,
) -> Flow[list[Placed]]:
    """Upload those that nobody else is uploading; then wait for the others. Returns what to look at again."""
    root = call.nvcf_url or ""
    mine: list[Placed] = []
    theirs: list[tuple[Placed, Future[None]]] = []
    for placed in wanted:
        claim = ledger.claim((root, placed.digest, placed.mime), now)
        if isinstance(claim, Asset):
            uploaded[placed.digest, placed.mime] = claim.id
        elif claim is None:
            mine.append(placed)
        else:
            theirs.append((placed, claim))
    yield from _upload_mine(call, root, mine, uploaded, ledger)
    for _, other in theirs:
        yield other
    return [placed for placed, _ in theirs]


def _upload_mine(
    call: Call, root: str, mine: list[Placed], uploaded: dict[tuple[str, str], str], ledger: Ledger
) -> Flow[None]:
    results: list[Asset | NVCFError] = []
    try:
        flows = [
            upload(placed.media.source, placed.mime, root, call.retry, ledger)
            for placed in mine
            if placed.media.source is not None
        ]
        results = yield from together(flows)
    finally:
        # Also when the conversation is left halfway: whoever waits must not wait for ever.
        made = [result for result in results if isinstance(result, Asset)]
        kept = made if len(made) == len(mine) else [None] * len(mine)
        for placed, asset in zip(mine, kept, strict=True):
            ledger.settle((root, placed.digest, placed.mime), asset)
    failures = [result for result in results if isinstance(result, NVCFError)]
    if failures:
        yield from together([delete(asset, call.retry, ledger) for asset in made])
        raise failures[0]
    for placed, result in zip(mine, results, strict=True):
        if isinstance(result, Asset):
            uploaded[placed.digest, placed.mime] = result.id


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


def _poll(call: Call, accepted: Reply) -> Flow[Reply]:
    """Ask for the result until it is there.

    The service holds each poll; where it does not, the pause between two grows.

    Raises:
        PollingTimeoutError: it was not there within `poll_timeout`.
    """
    _tell(call.on_progress, accepted)
    request_id = accepted.headers.get("nvcf-reqid", "")
    if not _REQUEST_ID.fullmatch(request_id):
        raise InvalidResponseError("the service answered 202 without a usable request id", body=b"")
    root = f"{call.nvcf_url}/pexec" if call.nvcf_url else call.base_url
    accept = "text/event-stream" if call.stream else "application/json"
    url = f"{root}/status/{request_id}"
    reply, at, pause, failures = accepted, accepted.at, 0.0, 0
    deadline = accepted.at + call.poll_timeout
    while reply.status == 202:
        left = deadline - at - pause
        if left <= 0:
            raise _polled_too_long(call, request_id)
        hold = str(_hold(call, left))
        poll = Request(
            "poll",
            "GET",
            url,
            {"accept": accept, POLL_SECONDS: hold},
            after=pause,
            live=True,
            patience=left,
        )
        try:
            reply = check((yield poll))
        except NVCFError as error:
            if isinstance(error, APITimeoutError) and error.at >= deadline:
                raise _polled_too_long(call, request_id) from error
            delay = call.retry.delay(failures, error)
            if delay is None:
                raise
            at, pause, failures = error_time(error, at + pause), delay, failures + 1
            continue
        held, at, failures = reply.at - at - pause, reply.at, 0
        pause = 0.0 if held >= 1.0 else min(max(pause * 2, 0.1), _SLOWEST_POLL)
        _tell(call.on_progress, reply)
    return reply


def error_time(error: NVCFError, earliest: float) -> float:
    """When a failure came, by the steady clock of the replies."""
    at = error.response.at if isinstance(error, APIStatusError) else getattr(error, "at", 0.0)
    return max(float(at), earliest)


def _hold(call: Call, left: float) -> int:
    """Seconds that the service may hold a request: within what is left, and within the client's own patience."""
    timeout = call.terms.timeout
    read = timeout if isinstance(timeout, (int, float)) else getattr(timeout, "read", None)
    patience = _POLL_SECONDS if read is None else read - 1
    return max(1, int(min(_POLL_SECONDS, left, patience)))


def _polled_too_long(call: Call, request_id: str) -> PollingTimeoutError:
    return PollingTimeoutError(
        f"{call.spec.id} was still working after {call.poll_timeout:g} s (poll_timeout)",
        request_id=request_id,
    )


def _tell(on_progress: Callable[[float], None] | None, reply: Reply) -> None:
    percent = reply.headers.get("nvcf-percent-complete", "")
    if on_progress is not None and re.fullmatch(r"\d{1,3}(\.\d{1,9})?", percent):
        on_progress(float(percent))


def _fetch(call: Call, reply: Reply) -> Flow[Reply]:
    """Follow the redirect of a large result, without the key, and take the answer out of the zip."""
    url = reply.headers["location"]
    if not may_follow(url, call.url):
        raise InvalidResponseError(
            "the service redirected to an url that may not be followed", body=url.encode()[:100]
        )
    fetched: Reply = yield from attempt(Request("fetch", "GET", url, authorized=False), call.retry)
    request_id = reply.headers.get("nvcf-reqid")
    body = _unzipped(fetched.body, request_id)
    starts_as_events = body.lstrip()[:6].startswith((b"data:", b"event:", b":", b"id:"))
    kind = "text/event-stream" if starts_as_events else "application/json"
    headers = {"content-type": kind} | ({"nvcf-reqid": request_id} if request_id else {})
    return replace(fetched, status=200, headers=headers, body=body)


def _unzipped(data: bytes, request_id: str | None) -> bytes:
    """The one `.response` of a result's zip, within bounds of entries, size and ratio."""
    if data.count(b"PK\x01\x02") > _MOST_ENTRIES:
        # Counted before the reader makes an object of each.
        raise InvalidResponseError(
            "the result's zip has too many entries", body=b"", request_id=request_id
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [
                entry for entry in archive.infolist() if entry.filename.endswith(".response")
            ]
            # The other methods take as much memory as a few bytes ask them to.
            usual = {entry.compress_type for entry in entries} <= _METHODS
            if len(entries) != 1 or not usual:
                raise InvalidResponseError(
                    "the result's zip does not hold one answer", body=b"", request_id=request_id
                )
            size = entries[0].file_size
            if size > LONGEST_ANSWER or size > 1_000 * max(entries[0].compress_size, 1_024):
                raise InvalidResponseError(
                    "the result's zip is too large", body=b"", request_id=request_id
                )
            with archive.open(entries[0]) as file:
                return file.read(size + 1)
    except _DAMAGED_ZIP as error:
        raise InvalidResponseError(
            f"the result is no zip: {error}", body=data, request_id=request_id
        ) from None
