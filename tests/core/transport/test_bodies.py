"""Bodies held to their length while they are sent, and to a limit while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nvcf_core.errors import (
    APIConnectionError,
    AssetUploadError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from nvcf_core.media.delivery import Upload
from nvcf_core.protocol.retry import RetryPolicy
from nvcf_core.transport import bodies as bodies_module
from nvcf_core.transport.bodies import BoundedBody


async def test_a_reply_that_is_longer_than_any(
    ask: Any, adapter: Any, server: Any, say: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(bodies_module, "LONGEST_DOCUMENT", 100)
    server.fail(500, body=b"x" * ((1 << 20) + 1000))
    with pytest.raises(ServerError) as caught:
        await ask(adapter(max_retries=0), [say("hi")])
    assert len(caught.value.response.body) == 1 << 20
    server.raw(status=201, chunks=[b"x" * 1000])
    with pytest.raises(InvalidResponseError, match="longer than 100 bytes"):
        await ask(adapter(), [say("hi")])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"content-encoding": "gzip, gzip"}, b"...", id="one within another"),
        pytest.param({"content-encoding": "br"}, b"...", id="one that nobody asked for"),
        pytest.param({"content-encoding": "gzip"}, b"no gzip", id="not as it says"),
        pytest.param({"content-length": "99"}, b"half a", id="cut"),
    ],
)
async def test_an_error_whose_body_cannot_be_read_is_that_error(
    ask: Any, adapter: Any, raw: Any, say: Any, headers: dict[str, str], body: bytes
) -> None:
    said = {"content-length": str(len(body)), "connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    for status in (b"429 Slow down\r\nretry-after: 99", b"201 Created"):
        raw.answers.append(_closing(b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, head.encode(), body)))
    with pytest.raises(RateLimitError) as caught:
        await ask(adapter(base_url=raw.url), [say("hi")])
    assert caught.value.retry_after == 99
    with pytest.raises((InvalidResponseError, APIConnectionError)):
        await ask(adapter(base_url=raw.url, max_retries=0), [say("hi")])


def _closing(answer: bytes) -> Callable[[], Iterator[bytes]]:
    """An answer after which the server leaves."""

    def pieces() -> Iterator[bytes]:
        yield answer
        raise OSError

    return pieces


async def held(model: Any, flow: Any, colour: str) -> Any:
    """What a conversation returns, held sync or async."""
    if colour == "sync":
        return model._client.run_flow(flow, model._own_options())
    return await model._client.arun_flow(flow, model._own_options())


async def test_a_file_that_vanishes_before_it_is_sent(
    adapter: Any, server: Any, png: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    model = adapter(max_retries=0)
    for colour in ("sync", "async"):
        path.write_bytes(png(10))
        _, upload = model._upload_flow(path, None, None)
        path.unlink()
        with pytest.raises(AssetUploadError):
            await held(model, upload, colour)
    await model.aclose()
    created = [r for r in server.requests if r.method == "POST"]
    deleted = [r for r in server.requests if r.method == "DELETE"]
    assert len(created) == len(deleted)


class Changing:
    """A file that has `length` bytes when it is looked at, and others when it is read."""

    length = 30

    def __init__(self, data: bytes) -> None:
        self.data = data

    def chunks(self) -> Any:
        yield self.data

    def base64(self) -> Any:
        raise AssertionError("it is uploaded, not sent inline")


@pytest.mark.parametrize("size", [20, 40])
@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_file_that_changes_while_it_is_sent(
    colour: str, size: int, adapter: Any, server: Any
) -> None:
    model = adapter()
    retry = RetryPolicy(max_retries=0)
    flow = model._client.upload_flow(
        Upload(Changing(bytes(size)), "image/png"), server.nvcf_url, retry, None
    )
    with pytest.raises(AssetUploadError, match="changed while it was sent"):
        await held(model, flow, colour)


@pytest.mark.parametrize(
    ("stage", "status", "mebibytes"), [("fetch", 200, 256), ("ask", 200, 32), ("fetch", 299, 256)]
)
def test_how_long_a_body_may_be(stage: Any, status: int, mebibytes: int) -> None:
    body, piece = BoundedBody(status, stage), bytes(1 << 20)
    for _ in range(mebibytes):
        assert not body.add(piece)
    with pytest.raises(InvalidResponseError, match=f"longer than {mebibytes << 20} bytes"):
        body.add(b"x")


@pytest.mark.parametrize("status", [300, 404, 503])
def test_of_an_error_the_beginning_is_kept(status: int) -> None:
    body = BoundedBody(status, "fetch")
    assert not body.add(bytes(1 << 20))
    assert body.add(b"x")
    assert len(body.body()) == 1 << 20
