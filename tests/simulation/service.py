"""A model of the service: what it does with each request, and all the ways in which it fails."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from nvcf_core.errors import APIConnectionError, APITimeoutError, NVCFError
from nvcf_core.exchange import Request, Response

BASE = "https://integrate.api.nvidia.com/v1"
NVCF = "https://api.nvcf.nvidia.com/v2/nvcf"
STORAGE = "https://storage.example.org"

PASSING = (408, 409, 429, 500, 502, 503, 504)
"""Failures that may go away."""
LASTING = (300, 400, 401, 402, 403, 404, 410, 413, 422)
"""Failures that will not."""

FAILURES = ("never there", "reply lost", "silence", "passing", "passing", "lasting", "nonsense")
PROBLEMS = (b"", b"text", b'{"title":"T","detail":"D"}', b'{"error":{}}', b"DEGRADED function")
NONSENSE = (b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"assetId":5}', b"<html>", b'{"choices":{}}')


@dataclass
class Outcome:
    """What comes of a request."""

    takes: float
    """Seconds until it is there."""
    result: Response | NVCFError
    body: list[bytes] = field(default_factory=list)
    """The pieces of a body that is read as it arrives."""
    breaks: NVCFError | None = None
    """What happens at the end of the pieces: None for the body's own end."""


@dataclass
class Job:
    """A request that was accepted with 202."""

    question: str
    stream: bool
    ready_at: float


class Service:
    """Keeps assets and jobs, and answers each question with its own name.

    Args:
        rng: where all chance comes from.
        trouble: how likely each request is to fail, 0 to 1.
    """

    def __init__(self, rng: random.Random, trouble: float) -> None:
        self.rng = rng
        self.trouble = trouble
        self.assets: dict[str, bool] = {}
        """Every asset that exists, and whether its bytes have come."""
        self.jobs: dict[str, Job] = {}
        self.results: dict[str, tuple[str, bool]] = {}
        self.violations: list[str] = []
        self._made = 0

    def handle(self, request: Request, now: float) -> Outcome:
        """Do what a request asks for, or fail."""
        handlers: dict[str, Callable[[Request, float], Outcome]] = {
            "create": self._create,
            "put": self._put,
            "delete": self._delete,
            "ask": self._ask,
            "poll": self._poll,
            "fetch": self._fetch,
        }
        takes = self.rng.choice((0.0, 0.01, 0.5, 5.0))
        if self.rng.random() >= self.trouble:
            outcome = handlers[request.stage](request, now)
            outcome.takes += takes
        else:
            outcome = self._fail(request, now, handlers[request.stage], takes)
        return self._in_time(request, outcome, now)

    def user_asset(self) -> str:
        """An asset that the user made: nobody else deletes it."""
        asset_id = self._new("mine")
        self.assets[asset_id] = True
        return asset_id

    def lose_an_asset(self) -> None:
        """Forget an asset, as if its day were over."""
        if self.assets:
            self.assets.pop(self.rng.choice(sorted(self.assets)), None)

    def _new(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self._made}"

    def _in_time(self, request: Request, outcome: Outcome, now: float) -> Outcome:
        limit = 300.0 if request.read_timeout is None else min(300.0, request.read_timeout)
        if outcome.takes > limit:
            return Outcome(limit, APITimeoutError("no reply in time", failed_at=now + limit))
        if isinstance(outcome.result, Response):
            reply = outcome.result
            arrived = now + outcome.takes
            outcome.result = Response(reply.status, reply.headers, reply.body, arrived)
        return outcome

    def _fail(
        self,
        request: Request,
        now: float,
        handler: Callable[[Request, float], Outcome],
        takes: float,
    ) -> Outcome:
        kind = self.rng.choice(FAILURES)
        if kind == "never there":
            return Outcome(takes, APIConnectionError("connection refused", failed_at=now + takes))
        if kind == "reply lost":
            handler(request, now)
            return Outcome(takes, APIConnectionError("connection reset", failed_at=now + takes))
        if kind == "silence":
            return Outcome(1e9, APIConnectionError("never"))
        if kind == "nonsense":
            if request.stage == "delete":
                handler(request, now)  # Who says that it is gone, says the truth.
            return self._nonsense(request, now, takes)
        status = self.rng.choice(PASSING if kind == "passing" else LASTING)
        if request.stage == "delete" and status == 404:
            handler(request, now)
        return Outcome(takes, self._failure(status, now + takes))

    def _failure(self, status: int, at: float) -> Response:
        headers = {"nvcf-reqid": self._new("req")}
        if self.rng.random() < 0.3:
            headers["retry-after"] = self.rng.choice(("0", "2", "59.5", "61", "86400", "nonsense"))
        return Response(status, headers, self.rng.choice(PROBLEMS), at)

    def _nonsense(self, request: Request, now: float, takes: float) -> Outcome:
        """A reply that says all is well, with a body or headers that make no sense."""
        data = self.rng.choice(NONSENSE)
        if request.stream and self.rng.random() < 0.3:
            headers = self.rng.choice(({"nvcf-reqid": "../x"}, {}))
            return Outcome(takes, Response(202, headers, b"", now + takes))
        if request.stream and self.rng.random() < 0.3:
            where = self.rng.choice(("http://evil.example.org/x", "file:///etc/passwd", ""))
            return Outcome(takes, Response(302, {"location": where}, b"", now + takes))
        kind = self.rng.choice(("application/json", "text/event-stream", ""))
        reply = Response(200, {"content-type": kind}, b"" if request.stream else data, now + takes)
        return Outcome(takes, reply, [data] if request.stream else [])

    def _create(self, request: Request, now: float) -> Outcome:
        asset_id = self._new("asset")
        self.assets[asset_id] = False
        url: Any = f"{STORAGE}/put/{asset_id}?signature=x"
        if self.rng.random() < self.trouble / 4:
            # Its own host, where the key must not go along either; or nothing usable.
            url = self.rng.choice((f"{NVCF}/put/{asset_id}", "http://x.example.org/", None, 5, ""))
        body = json.dumps({"assetId": asset_id, "uploadUrl": url}).encode()
        return Outcome(0.0, Response(200, {}, body, now))

    def _put(self, request: Request, now: float) -> Outcome:
        found = re.search(r"/put/([a-z0-9-]+)", request.url)
        if found is None or found[1] not in self.assets:
            return Outcome(0.0, Response(404, {}, b"<Error/>", now))
        if "x-amz-meta-nvcf-asset-description" not in request.headers:
            self.violations.append("a put without the header that its url is signed for")
        self.assets[found[1]] = True
        return Outcome(0.0, Response(200, {}, b"", now))

    def _delete(self, request: Request, now: float) -> Outcome:
        asset_id = request.url.rpartition("/")[2]
        if asset_id.startswith("mine"):
            self.violations.append("an asset of the user's was deleted")
        known = self.assets.pop(asset_id, None) is not None
        return Outcome(0.0, Response(204 if known else 404, {}, b"", now))

    def _ask(self, request: Request, now: float) -> Outcome:
        data = request.body if isinstance(request.body, bytes) else b""
        body = json.loads(data)
        question = re.findall(r"question-\d+", data.decode())[-1]
        named = request.headers.get("nvcf-input-asset-references", "")
        ids = named.split(",") if named else []
        if sorted(set(ids)) != sorted(set(re.findall(r"asset_id,([a-z0-9-]+)", data.decode()))):
            self.violations.append(f"the header names {ids}, the content something else")
        if len(ids) > 10:
            self.violations.append(f"{len(ids)} assets")
        lost = [asset_id for asset_id in ids if not self.assets.get(asset_id)]
        if lost:
            problem = {"title": "Not Found", "detail": f"failed to find asset {lost[0]}"}
            return Outcome(0.0, Response(404, {}, json.dumps(problem).encode(), now))
        if self.rng.random() < 0.3:
            return self._accept(question, body["stream"], now)
        return self._deliver(question, body["stream"], now, self._new("req"))

    def _accept(self, question: str, stream: bool, now: float) -> Outcome:
        request_id = self._new("req")
        ready = now + self.rng.choice((0.0, 1.0, 30.0, 200.0, 5000.0))
        self.jobs[request_id] = Job(question, stream, ready)
        return Outcome(0.0, Response(202, {"nvcf-reqid": request_id}, b"", now))

    def _poll(self, request: Request, now: float) -> Outcome:
        request_id = request.url.rpartition("/")[2]
        job = self.jobs.get(request_id)
        if job is None:
            return Outcome(0.0, Response(404, {}, b'{"detail":"unknown request"}', now))
        held = self.rng.choice((0.0, float(request.headers["nvcf-poll-seconds"])))
        if job.ready_at > now + held:
            headers = {"nvcf-reqid": request_id, "nvcf-percent-complete": "50"}
            return Outcome(held, Response(202, headers, b"", now + held))
        waited = max(0.0, job.ready_at - now)
        del self.jobs[request_id]  # A result is delivered once.
        outcome = self._deliver(job.question, job.stream, now + waited, request_id)
        outcome.takes += waited
        return outcome

    def _deliver(self, question: str, stream: bool, now: float, request_id: str) -> Outcome:
        if self.rng.random() < 0.1:
            url = f"{self.rng.choice((STORAGE, BASE))}/result/{request_id}"
            self.results[url] = (question, stream)
            return Outcome(
                0.0, Response(302, {"location": url, "nvcf-reqid": request_id}, b"", now)
            )
        if self.rng.random() < 0.05:
            stream = not stream  # The content type tells what it is.
        kind = "text/event-stream" if stream else "application/json"
        reply = Response(200, {"content-type": kind, "nvcf-reqid": request_id}, b"", now)
        pieces, breaks = self._broken(self._cut(self._answer(question, stream)))
        return Outcome(0.0, reply, pieces, breaks)

    def _fetch(self, request: Request, now: float) -> Outcome:
        found = self.results.get(request.url)
        if found is None:
            return Outcome(0.0, Response(403, {}, b"<Error/>", now))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.response", self._answer(*found))
        return Outcome(0.0, Response(200, {}, file.getvalue(), now))

    def _answer(self, question: str, stream: bool) -> bytes:
        text, made = f"the answer to {question}", {"id": "chat-1", "model": "m"}
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        if not stream:
            choice: dict[str, Any] = {
                "index": 0,
                "message": {"content": text},
                "finish_reason": "stop",
            }
            return json.dumps({**made, "choices": [choice], "usage": usage}).encode()
        events = []
        for word in re.findall(r"\S+\s*", text):
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            events.append(json.dumps({**made, "choices": [choice]}))
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        events += [json.dumps({**made, "choices": [end]})]
        events += [json.dumps({**made, "choices": [], "usage": usage}), "[DONE]"]
        return "".join(f"data: {event}\n\n" for event in events).encode()

    def _cut(self, data: bytes) -> list[bytes]:
        cuts = sorted(self.rng.randrange(len(data)) for _ in range(self.rng.randrange(4)))
        edges = [0, *cuts, len(data)]
        return [data[start:end] for start, end in pairwise(edges)]

    def _broken(self, pieces: list[bytes]) -> tuple[list[bytes], NVCFError | None]:
        """Perhaps a body that ends, fails or turns to nonsense halfway."""
        if self.rng.random() >= self.trouble:
            return pieces, None
        kept = pieces[: self.rng.randrange(len(pieces) + 1)]
        way = self.rng.choice(("reset", "stall", "end", "garbage", "error"))
        if way == "reset":
            return kept, APIConnectionError("connection reset")
        if way == "stall":
            return kept, APITimeoutError("nothing arrived for 120 s (stream_chunk_timeout)")
        if way == "garbage":
            return [*kept, b"\n\n\xff{garbage", b"\n\n"], None
        if way == "error":
            return [*kept, b'\n\ndata: {"error":{"message":"the engine stopped"}}\n\n'], None
        return kept, None
