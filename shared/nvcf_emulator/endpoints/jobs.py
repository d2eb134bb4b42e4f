"""Answers that are not ready at once: 202, polls, and results that lie in a zip elsewhere."""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from nvcf_emulator.answers.http_response import (
    HTTPResponse,
    json_response,
    plain_response,
    xml_error,
)
from nvcf_emulator.http.error_bodies import two_authorizations
from nvcf_emulator.http.fault_injection import ResponseSender
from nvcf_emulator.http.incoming import Incoming, as_received, scripted_response, with_fault
from nvcf_emulator.script.steps import Accept
from nvcf_emulator.specs.rejections import Rejection
from nvcf_emulator.state import State
from nvcf_emulator.validation.content import ASSET_HEADER

__all__ = ["Job", "Jobs"]

LONGEST_HOLD = 300
USUAL_HOLD = 60.0


@dataclass
class Job:
    """An answer that waits to be polled.

    Attributes:
        account: Whose it is.
        accepted: How it was accepted.
        result: The response that the last poll brings.
        stored: The same answer whole, for results that lie elsewhere.
        polls: How often it was polled.
        since: When it was accepted, on the monotonic clock.
    """

    account: str
    accepted: Accept
    result: HTTPResponse
    stored: bytes
    polls: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until it is ready."""
        return self.since + (self.accepted.seconds or 0.0) - time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether this poll brings the answer."""
        if self.accepted.seconds is not None:
            return self.left <= 0
        return self.polls >= self.accepted.polls

    def waiting(self, request_id: str) -> HTTPResponse:
        """Return the 202 that says it is not ready."""
        headers = {"nvcf-reqid": request_id, "nvcf-status": "in-progress"}
        if self.polls < len(self.accepted.percent):
            headers["nvcf-percent-complete"] = str(self.accepted.percent[self.polls])
        if self.accepted.body_empty:
            return HTTPResponse(202, headers)
        said = {"requestId": request_id, "status": "in-progress"}
        return json_response(said, 202).with_headers(headers)


class Jobs:
    """The answers that wait, and the results that lie elsewhere."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: dict[str, Job] = {}
        self._stored: dict[str, bytes] = {}

    def accept(self, request_id: str, job: Job) -> HTTPResponse:
        """Keep an answer until it was polled often enough; return the first 202."""
        self._waiting[request_id] = job
        return job.waiting(request_id)

    async def poll(self, arrived: Incoming) -> HTTPResponse:
        """Answer a poll: 202, the result, or 302 to where it lies."""
        if arrived.header(ASSET_HEADER) is not None:
            raise Rejection("only allowed on the request itself", field=ASSET_HEADER)
        request_id = arrived.path["id"]
        job = self._find(request_id, arrived.account)
        hold = _hold(arrived.header("nvcf-poll-seconds"))
        job.polls += 1
        if job.accepted.seconds is not None and not job.ready:
            await asyncio.sleep(min(hold, job.left))
        if not job.ready:
            return job.waiting(request_id)
        self._find(request_id, arrived.account)
        del self._waiting[request_id]
        headers = {"nvcf-reqid": request_id}
        if not job.accepted.redirect:
            return job.result.with_headers(headers)
        self._stored[request_id] = job.stored
        place = arrived.request.url.replace(path=f"/results/{request_id}.zip", query=_SIGNED)
        return HTTPResponse(302, {**headers, "location": str(place)})

    def _find(self, request_id: str, account: str) -> Job:
        job = self._waiting.get(request_id)
        if job is None or job.account != account:
            raise Rejection(f"Request id '{request_id}' not found", status=404, style="problem")
        return job

    async def fetch(self, request: Request) -> Response:
        """Answer the GET of a signed url with the zip that holds a result."""
        self._state.note(as_received(request, "get"))
        response = scripted_response(self._state, "get")
        if response is None:
            response = with_fault(self._zip(request), self._state, "get")
        return ResponseSender(response, self._state)

    def _zip(self, request: Request) -> HTTPResponse:
        if "authorization" in request.headers:
            return two_authorizations()
        request_id = str(request.path_params["id"])
        stored = self._stored.get(request_id)
        if stored is None or "X-Amz-Signature" not in request.query_params:
            return xml_error(403, "AccessDenied", "Access Denied")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{request_id}.response", stored)
        return plain_response(packed.getvalue(), "application/zip")


_SIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-Signature=0"


def _hold(header: str | None) -> float:
    if header is None:
        return USUAL_HOLD
    if not header.isascii() or not header.isdigit() or int(header) > LONGEST_HOLD:
        raise Rejection(f"a number of seconds up to {LONGEST_HOLD}", field="NVCF-POLL-SECONDS")
    return float(header)
