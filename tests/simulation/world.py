"""One simulated conversation: a client, its calls side by side, a service that fails, and what must hold."""

from __future__ import annotations

import functools
import heapq
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest.mock import patch

from nvcf_core import BaseNVCF, ChatRequest, Chunk, Media, Message
from nvcf_core.answer_stream import decode_options
from nvcf_core.errors import NVCFError, StreamInterruptedError
from nvcf_core.exchange import Request, Response
from nvcf_core.media import delivery
from nvcf_core.media.sources import BytesSource
from nvcf_core.protocol.assets import AssetApi, gather
from nvcf_core.protocol.chat import chat
from nvcf_core.protocol.retry import RetryPolicy
from nvcf_core.protocol.upload_cache import UploadCache
from nvcf_core.response.decoder import decoder_for

from .service import BASE, NVCF, Outcome, Service

KEY = "nvapi-never-to-be-seen"
MOST_EVENTS = 5_000
LONGEST_PAUSE = 66.0
PICTURES = [
    Media(kind="image", source=BytesSource(b"\x89PNG\r\n\x1a\n" + bytes([number]) * 40))
    for number in range(4)
]
POLL_TIMEOUTS = (0.0, 10.0, 100.0, 900.0)
MODEL = BaseNVCF(model="moonshotai/kimi-k2.6", api_key=KEY, base_url=BASE, nvcf_url=NVCF)


class Violation(AssertionError):
    """Something that must hold did not."""


@contextmanager
def small_media() -> Iterator[None]:
    """Let tiny pictures be too large to go inline, so that conversations are fast."""
    with patch.object(delivery, "INLINE_LIMIT", 0), patch.object(delivery, "INLINE_TOTAL", 0):
        yield


@functools.lru_cache(maxsize=2_000)
def built_request(parts: tuple[str | Media, ...], stream: bool) -> ChatRequest:
    """What a call sends. Of a million conversations most say the same: building takes longer than holding them."""
    request = MODEL._build_request([Message(role="user", parts=parts)], {}, stream=stream)
    request.deliveries.hash_uploads()
    return request


@dataclass
class Talk:
    """One flow under way, and what is known of it."""

    name: str
    flow: Any
    alone: bool
    """Whether its steps are taken one by one, as the synchronous driver does."""
    call: ChatRequest | None = None
    question: str = ""
    result: Any = None
    error: NVCFError | None = None
    done: bool = False
    left: bool = False
    answered: bool = False
    """Whether the first byte of its answer has arrived."""
    asks: int = 0
    lost: int = 0
    accepted_at: float | None = None
    outcome: Outcome | None = None
    """The last one with a body to be read."""
    step: Any = None
    answers: list[Any] = field(default_factory=list)
    turn: int = 0
    """Counts its steps, so that what comes too late is known."""


class World:
    """A client with its ledger, its calls, the service, and a clock that only moves when all wait.

    Args:
        seed: everything follows from it.
        tell: told each thing that happens, for reading.
    """

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        random.seed(seed)  # The pauses between retries have a jitter, which comes from there.
        self.rng = random.Random(seed)
        self.tell = tell
        self.service = Service(self.rng, self.rng.choice((0.0, 0.05, 0.2, 0.5)))
        self.ledger = UploadCache()
        self.now = 1000.0
        self.named = ""
        """What errors and warnings said."""
        self.known: set[str] = set()
        """Assets that the client was told of and that are its own to delete."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._talks: list[Talk] = []

    def run(self) -> list[Talk]:
        """Hold the conversation, close the client, and see that everything holds.

        Raises:
            Violation: something does not.
        """
        for number in range(self.rng.randint(1, 4)):
            self._begin(number)
            if self.rng.random() < 0.05:
                self._close()  # While calls are under way: the client can be used again.
            if self.rng.random() < 0.5:
                self._pump()  # Else the next call runs beside this one.
        self._pump()
        for _ in range(self.rng.choice((1, 1, 2))):
            self._close()
            self._pump()
        self._check_the_end()
        return self._talks

    def _say(self, text: str) -> None:
        if self.tell is not None:
            self.tell(f"{self.now:10.2f}  {text}")

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(what)

    def _begin(self, number: int) -> None:
        rng = self.rng
        alone = rng.random() < 0.5
        if rng.random() < 0.1:
            retry = RetryPolicy(max_retries=rng.choice((0, 1, 2)))
            source: Any = rng.choice(PICTURES).source
            uploading = AssetApi(NVCF, retry, self.ledger).upload(source, "image/png")
            self._start(Talk(f"upload {number}", uploading, alone))
            return
        retry = RetryPolicy(max_retries=rng.choice((0, 1, 2, 4)))
        poll_timeout = rng.choice(POLL_TIMEOUTS)
        question = f"question-{number}"
        parts: list[Any] = []
        for _ in range(rng.choice((0, 0, 1, 2, 3))):
            parts.append(rng.choice(PICTURES))
        if rng.random() < 0.1:
            asset_id = self.service.user_asset()
            parts.append(Media(kind="image", asset_id=asset_id, mime_type="image/png"))
        rng.shuffle(parts)
        request = built_request((question, *parts), rng.random() < 0.5)
        call = replace(request, retry=retry, poll_timeout=poll_timeout)
        flow = chat(call, self.ledger, self.now)
        self._start(Talk(f"call {number}", flow, alone, call=call, question=question))

    def _start(self, talk: Talk) -> None:
        self._talks.append(talk)
        self._say(f"{talk.name} begins")
        self._resume(talk, None)
        if self.rng.random() < 0.05:
            self._at(self.rng.choice((0.0, 0.3, 6.0)), lambda: self._leave(talk))

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + seconds, self._count, action))

    def _pump(self) -> None:
        """Let time pass until nothing is under way."""
        for _ in range(MOST_EVENTS):
            if not self._queue:
                break
            at, _, action = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            action()
            if self.rng.random() < 0.02 * self.service.trouble:
                self.service.lose_an_asset()
        else:
            raise Violation("it goes on for ever")
        self._must(all(talk.done for talk in self._talks), "someone waits for ever")

    def _leave(self, talk: Talk) -> None:
        """Whoever asked goes away, as by cancelling a task."""
        if not talk.done:
            self._say(f"{talk.name} is left")
            talk.done = talk.left = True
            talk.flow.close()

    def _resume(self, talk: Talk, value: Any) -> None:
        """Give a flow what came of its step, and take the next one."""
        if talk.done:
            return
        try:
            step = talk.flow.throw(value) if isinstance(value, NVCFError) else talk.flow.send(value)
        except StopIteration as stop:
            self._finish(talk, stop.value)
        except NVCFError as error:
            self._end_with(talk, error)
        else:
            talk.turn += 1
            self._take(talk, step)

    def _take(self, talk: Talk, step: Any) -> None:
        if isinstance(step, Request):
            self._send(talk, step, talk.turn, lambda value: self._resume(talk, value))
        elif isinstance(step, Future):
            step.add_done_callback(lambda _: self._at(0.0, lambda: self._resume(talk, None)))
        elif not step:
            self._at(0.0, lambda: self._resume(talk, ()))
        else:
            self._take_several(talk, step)

    def _take_several(self, talk: Talk, step: tuple[Any, ...]) -> None:
        answers: dict[int, Any] = {}

        def came(number: int, value: Any) -> None:
            answers[number] = value
            if talk.alone and number + 1 < len(step):
                self._send(talk, step[number + 1], talk.turn, lambda v: came(number + 1, v))
            elif len(answers) == len(step):
                self._resume(talk, tuple(answers[n] for n in range(len(step))))

        for number, request in enumerate(step[:1] if talk.alone else step):
            self._send(talk, request, talk.turn, partial(came, number))

    def _send(self, talk: Talk, request: Request, turn: int, then: Callable[[Any], None]) -> None:
        self._judge(talk, request)

        def arrive() -> None:
            if talk.done and self.rng.random() < 0.5:
                return  # It was left before the request went out.
            outcome = self.service.handle(request, self.now)
            self._at(outcome.takes, lambda: back(outcome))

        def back(outcome: Outcome) -> None:
            if talk.done or turn != talk.turn:
                return
            result = outcome.result
            status = result.status if isinstance(result, Response) else type(result).__name__
            self._say(f"{talk.name}: {request.stage} {request.url} -> {status}")
            self._note(talk, request, outcome)
            then(result)

        self._at(request.delay, arrive)

    def _judge(self, talk: Talk, request: Request) -> None:
        """What must hold of every request."""
        body = request.body if isinstance(request.body, bytes) else b""
        shown = KEY in f"{request.url} {request.headers}" or KEY.encode() in body
        self._must(not shown, "the key is in a request")
        if request.stage in ("put", "fetch"):
            self._must(not request.authorized, f"the key would go along with a {request.stage}")
        elif request.authorized:
            known = request.url.startswith((f"{BASE}/", f"{NVCF}/"))
            self._must(known, f"the key would go to {request.url}")
        self._must(0 <= request.delay <= LONGEST_PAUSE, f"a pause of {request.delay} s")
        self._must(not talk.answered, f"{talk.name} asks again after the first byte of its answer")
        if request.stage == "ask" and talk.call is not None:
            talk.asks += 1
            most = (1 + talk.call.retry.max_retries) * (1 + min(talk.lost, 1))
            self._must(talk.asks <= most, f"{talk.name} asks {talk.asks} times, {most} at most")
        if request.stage == "poll" and talk.call is not None and talk.accepted_at is not None:
            end = talk.accepted_at + talk.call.poll_timeout
            start = self.now + request.delay
            self._must(start <= end + 1e-6, "a poll begins after its time")
            self._must(request.read_timeout is not None, "a poll without a limit")
            self._must(
                start + (request.read_timeout or 0) <= end + 0.5 + 1e-6,
                "a poll may outlast its time by more than half a second",
            )

    def _note(self, talk: Talk, request: Request, outcome: Outcome) -> None:
        """Remember what the client now knows."""
        reply = outcome.result
        if not isinstance(reply, Response):
            return
        if request.on_response is not None:
            request.on_response(reply)
        if request.stage == "create" and reply.status == 200:
            found = [name for name in self.service.assets if f'"{name}"'.encode() in reply.body]
            self.known.update(found)
        if request.stage == "ask" and reply.status == 404 and b"failed to find asset" in reply.body:
            talk.lost += 1
        if request.stage == "ask" and reply.status == 202:
            talk.accepted_at = reply.received_at
        if request.stage in ("ask", "poll") and reply.status in (200, 204):
            talk.answered = True
            talk.outcome = outcome

    def _finish(self, talk: Talk, value: Any) -> None:
        if talk.call is None:
            talk.done, talk.result = True, value
            self._say(f"{talk.name} ends with {value}")
            if isinstance(value, list):  # What a close could not delete: it warns of it.
                self.named += "\n".join(str(error) for error in value if error is not None)
            return
        try:
            talk.result = self._read(talk, talk.call, value)
        except NVCFError as error:
            self._end_with(talk, error)
            return
        talk.done = True
        self._say(f"{talk.name} is answered: {talk.result.text!r}")

    def _end_with(self, talk: Talk, error: NVCFError) -> None:
        talk.done, talk.error = True, error
        self.named += "\n".join((str(error), *getattr(error, "__notes__", ()), ""))
        self._must(KEY not in self.named, "the key is in an error")
        self._say(f"{talk.name} ends with {type(error).__name__}: {error}")

    def _read(self, talk: Talk, call: ChatRequest, reply: Response) -> Chunk:
        """The answer, read as a client reads it."""
        decoder = decoder_for(reply, decode_options(call))
        pieces, breaks = [reply.body], None
        if talk.outcome is not None and reply is talk.outcome.result:
            pieces, breaks = talk.outcome.body, talk.outcome.breaks
        chunks: list[Chunk] = []
        for piece in pieces:
            chunks += decoder.feed(piece)
            if decoder.stopped or decoder.has_failure:
                break
        else:
            if breaks is not None and not (decoder.can_end or decoder.done):
                raise StreamInterruptedError(str(breaks), partial=decoder.snapshot()) from breaks
        chunks += decoder.flush()
        self._must([chunk.last for chunk in chunks].count(True) == 1, "not one last chunk")
        whole = decoder.snapshot()
        self._must(
            "".join(chunk.text for chunk in chunks) == whole.text, "the pieces do not add up"
        )
        return whole

    def _close(self) -> None:
        """Delete what was uploaded, as a client does that is closed."""
        assets = self.ledger.pop_all()
        self._say(f"the client closes and deletes {[asset.id for asset in assets]}")
        api = AssetApi(NVCF, RetryPolicy(max_retries=1), self.ledger)
        removals = [api.delete(asset) for asset in assets]
        talk = Talk("close", gather(removals), alone=self.rng.random() < 0.5)
        self._talks.append(talk)
        self._resume(talk, None)

    def _check_the_end(self) -> None:
        self._must(not self.service.violations, "; ".join(self.service.violations))
        left = {asset_id for asset_id in self.known if asset_id in self.service.assets}
        unnamed = {asset_id for asset_id in left if asset_id not in self.named}
        self._must(not unnamed, f"assets stay behind that nobody named: {sorted(unnamed)}")
        for talk in self._talks:
            self._check_a_talk(talk)

    def _check_a_talk(self, talk: Talk) -> None:
        ends = [talk.result is not None, talk.error is not None, talk.left]
        self._must(ends.count(True) == 1, f"{talk.name} has {ends.count(True)} ends")
        if isinstance(talk.result, Chunk):
            right = talk.result.text == f"the answer to {talk.question}"
            self._must(right, f"{talk.name} got {talk.result.text!r}")
            self._must(talk.result.last, f"{talk.name} has no last chunk")
        elif isinstance(talk.error, StreamInterruptedError):
            arrived = talk.error.partial.text
            right = f"the answer to {talk.question}".startswith(arrived)
            self._must(right, f"{talk.name} got {arrived!r} before it broke off")
        elif talk.call is not None and talk.error is not None:
            self._must(bool(str(talk.error)), f"{talk.name} ends without a word")


def simulate(seed: int, tell: Callable[[str], None] | None = None) -> list[Talk]:
    """Hold the conversation that follows from a seed.

    Raises:
        Violation: something that must hold did not. Any other exception is a violation, too.
    """
    return World(seed, tell).run()
