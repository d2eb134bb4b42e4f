"""What the core's tests share: the recorded replies, a judge, media files, and hands to drive conversations with."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nvcf_core import BaseNVCF, Media, Message, spec_for
from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Request, Response
from nvcf_core.media.sources import BytesSource
from nvcf_core.models.validator import Validator
from nvcf_core.response.decoder import decoder_for
from nvcf_core.response.options import DecodeOptions

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def models() -> SimpleNamespace:
    """The ids of the five models."""
    return SimpleNamespace(gemma=GEMMA, nano=NANO, pali=PALI, kimi=KIMI, super=SUPER)


@pytest.fixture(scope="session")
def replies() -> SimpleNamespace:
    """The folder of recorded replies, and what each must be read as."""
    folder = Path(__file__).parents[1] / "replies"
    expected = json.loads((folder / "expected.json").read_text())
    return SimpleNamespace(folder=folder, expected=expected)


@pytest.fixture(scope="session")
def judge_of() -> Callable[..., tuple[Validator, list[str]]]:
    """A judge for a model, and the list in which its warnings end up."""

    def make(model: str, validation: Any = "error") -> tuple[Validator, list[str]]:
        said: list[str] = []
        return Validator(spec_for(model), validation, lambda _, message: said.append(message)), said

    return make


def read(
    body: bytes,
    reading: DecodeOptions | None = None,
    kind: str = "text/event-stream",
    cuts: Sequence[int] = (),
) -> tuple[list[Any], Any]:
    """The chunks that a body decodes to when it arrives cut at `cuts`, and the decoder's whole answer."""
    headers = {"content-type": kind, "nvcf-reqid": "req-1"}
    decoder = decoder_for(Response(200, headers), reading or DecodeOptions())
    chunks = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        chunks += decoder.feed(body[start:end])
    chunks += decoder.flush()
    return chunks, decoder.snapshot()


@pytest.fixture(scope="session")
def decoded() -> Callable[..., tuple[list[Any], Any]]:
    """Reads the body of an answer; see `read`."""
    return read


class Hand:
    """Drives a conversation by hand: a list of what it asks, and one answer at a time."""

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        self.asked: list[Any] = []
        self.result: Any = None
        self.done = False

    def start(self) -> Any:
        return self._step(lambda: next(self.flow))

    def give(self, answer: Any) -> Any:
        """Answer the last step: a reply, a tuple of replies, None, or an error to throw in."""
        step = self.asked[-1]
        pairs = zip(step, answer, strict=True) if isinstance(step, tuple) else [(step, answer)]
        for request, reply in pairs:
            if isinstance(request, Request) and request.on_response and isinstance(reply, Response):
                request.on_response(reply)
        if isinstance(answer, NVCFError):
            return self._step(lambda: self.flow.throw(answer))
        return self._step(lambda: self.flow.send(answer))

    def _step(self, move: Callable[[], Any]) -> Any:
        try:
            step = move()
        except StopIteration as stop:
            self.done, self.result = True, stop.value
            return None
        self.asked.append(step)
        return step

    def run(self, answers: Iterable[Any]) -> Any:
        """Answer every step in turn; return the result."""
        self.start()
        for answer in answers:
            assert not self.done, "it ended before all answers were given"
            self.give(answer)
        assert self.done, f"it still asks for {self.asked[-1]}"
        return self.result

    @property
    def requests(self) -> list[Request]:
        """Every request so far, those of one step apart."""
        found: list[Request] = []
        for step in self.asked:
            found += step if isinstance(step, tuple) else [step]
        return found


@pytest.fixture(scope="session")
def hand() -> type[Hand]:
    """Drives a conversation by hand."""
    return Hand


def json_reply(status: int, body: Any = None, at: float = 0.0, **headers: str) -> Response:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, data, at)


@pytest.fixture(scope="session")
def reply() -> Callable[..., Response]:
    """A reply: status, body (dumped unless bytes), time, headers."""
    return json_reply


@pytest.fixture
def server(nvcf_emulator: Any) -> Any:
    """The service that answers."""
    return nvcf_emulator


@pytest.fixture
def adapter(nvcf_emulator: Any) -> Iterable[Callable[..., BaseNVCF]]:
    """Makes models that ask the emulator; they are closed after the test."""
    made: list[BaseNVCF] = []

    def make(model: str = KIMI, **settings: Any) -> BaseNVCF:
        roots = {
            "base_url": nvcf_emulator.base_url,
            "nvcf_url": nvcf_emulator.nvcf_url,
            "api_key": nvcf_emulator.api_key,
        }
        made.append(BaseNVCF(model=model, **{**roots, **settings}))
        return made[-1]

    yield make
    for model in made:
        model.close()


def user(*parts: Any, role: str = "user", **more: Any) -> Message:
    return Message(role=role, parts=parts, **more)


@pytest.fixture(scope="session")
def say() -> Callable[..., Message]:
    """A message of the user, or of another role."""
    return user


@pytest.fixture(
    params=[("whole", "sync"), ("whole", "async"), ("stream", "sync"), ("stream", "async")],
    ids=lambda way: " ".join(way),
)
def ask(request: pytest.FixtureRequest) -> Any:
    """Asks a model in each of the four ways, and returns the answer in one piece: `await ask(model, messages)`."""
    form, colour = request.param

    async def run(model: BaseNVCF, messages: Sequence[Message], **given: Any) -> Any:
        call = model._build_request(messages, given, stream=form == "stream")
        core = model._client
        if form == "whole":
            return core.complete(call) if colour == "sync" else await core.acomplete(call)
        if colour == "sync":
            return added(list(core.stream(call)))
        return added([chunk async for chunk in core.astream(call)])

    run.streams = form == "stream"  # type: ignore[attr-defined]
    run.colour = colour  # type: ignore[attr-defined]
    return run


def added(chunks: Sequence[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


@pytest.fixture(scope="session")
def total() -> Callable[[Sequence[Any]], Any]:
    """The sum of chunks."""
    return added


def picture(padding: int = 0, seed: int = 0) -> bytes:
    """A PNG of one pixel, with as many bytes of padding as wanted."""

    def piece(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0" + bytes(3))
    note = b"note\0" + seed.to_bytes(8, "big") + bytes(padding)
    return (
        b"\x89PNG\r\n\x1a\n"
        + piece(b"IHDR", head)
        + piece(b"teXt", note)
        + piece(b"IDAT", pixel)
        + piece(b"IEND", b"")
    )


@pytest.fixture(scope="session")
def png() -> Callable[..., bytes]:
    """A picture; `padding` makes it large, `seed` makes it another."""
    return picture


@pytest.fixture(scope="session")
def large(png: Callable[..., bytes]) -> Callable[..., Media]:
    """An image that is too large to be sent inline; `seed` makes it another."""
    return lambda seed=0: Media(kind="image", source=BytesSource(png(200_000, seed)))


@contextmanager
def answering(body: bytes) -> Iterator[tuple[str, list[Any]]]:
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.headers)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/v1", received
        http.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def saying() -> Callable[[bytes], AbstractContextManager[tuple[str, list[Any]]]]:
    """A server that answers everything with the same bytes: its url, and the headers that arrived."""
    return answering
