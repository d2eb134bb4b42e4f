"""The client over real sockets, without any framework: answers, failures, leaving early, uploads, closing."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from nvcf_core import Media, answer_stream
from nvcf_core import client as client_module
from nvcf_core.errors import (
    APIConnectionError,
    APITimeoutError,
    AssetUploadError,
    AuthenticationError,
    InvalidRequestError,
    InvalidResponseError,
    NVCFWarning,
    PermissionDeniedError,
    ServerError,
    StreamInterruptedError,
)
from nvcf_core.media.sources import BytesSource
from nvcf_core.protocol.retry import RetryPolicy
from nvcf_core.transport import bodies as bodies_module

KIMI = "moonshotai/kimi-k2.6"
PALI = "google/paligemma"


@pytest.fixture
def server(nvcf_emulator: Any) -> Any:
    return nvcf_emulator


async def test_an_answer(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.reply(text="Hello there", reasoning="hm")
    answer = await ask(adapter(), [say("hi")])
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hello there", "hm", "stop")
    assert answer.last
    assert answer.usage.total_tokens > 0
    assert answer.model == KIMI
    assert answer.request_id
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {server.api_key}"


async def test_answers_of_a_model_with_a_path_of_its_own(
    ask: Any, adapter: Any, server: Any, say: Any, png: Any
) -> None:
    picture = Media(kind="image", source=BytesSource(png()))
    server.reply(text="<loc0001> cat")
    answer = await ask(adapter(PALI), [say("detect cat", picture)])
    assert answer.text == "<loc0001> cat"
    assert server.requests[0].path.endswith("/v1/vlm/google/paligemma")


async def test_a_whole_call_may_be_streamed(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.reply(text="one two three")
    assert (await ask(adapter(streaming=True), [say("hi")])).text == "one two three"
    assert server.requests[0].body["stream"] is True


async def test_the_clients_own_stop_ends_the_answer(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.reply(text=["one ", "E", "ND", " two"])
    answer = await ask(adapter(), [say("hi")], stop="END")
    assert (answer.text, answer.finish_reason) == ("one ", "stop")
    assert "stop" not in server.requests[0].body


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (500, ServerError)],
)
async def test_failures(
    status: int, error: Any, ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fail(status, times=9)
    with pytest.raises(error) as caught:
        await ask(adapter(max_retries=0), [say("hi")])
    assert caught.value.status == status
    assert len(server.requests) == 1


async def test_retries(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.fail(503, times=1, retry_after=0)
    server.fault("reset")
    server.reply(text="at last")
    assert (await ask(adapter(), [say("hi")])).text == "at last"
    assert len(server.requests) == 3


async def test_polls(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    told: list[float] = []
    server.accept(polls=2, percent=(25, 75))
    server.reply(text="late")
    assert (await ask(adapter(on_progress=told.append), [say("hi")])).text == "late"
    assert told == [25, 75]


async def test_a_large_result_behind_a_redirect(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.accept(polls=1, redirect=True)
    server.reply(text="large")
    assert (await ask(adapter(), [say("hi")])).text == "large"
    assert "authorization" not in server.requests[-1].headers


@pytest.mark.parametrize("kind", ["truncate", "bad-json", "bad-utf8"])
async def test_an_answer_that_breaks_off(
    kind: Any, ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fault(kind)
    server.reply(text=["one ", "two ", "three ", "four"])
    if ask.streams:
        with pytest.raises(StreamInterruptedError) as caught:
            await ask(adapter(), [say("hi")])
        assert caught.value.partial.text == "one two "
        assert caught.value.request_id
    else:
        with pytest.raises((StreamInterruptedError, InvalidResponseError)):
            await ask(adapter(), [say("hi")])
    assert len(server.requests) == 1


async def test_what_came_before_a_failure_is_handed_out_first(
    adapter: Any, server: Any, say: Any
) -> None:
    server.error_in_stream("error-object", after=2)
    server.reply(text=["one ", "two ", "three "])
    model = adapter()
    chunks = model._client.stream(model._build_request([say("hi")], {}, stream=True))
    assert [next(chunks).text, next(chunks).text] == ["one ", "two "]
    with pytest.raises(StreamInterruptedError, match="the engine has stopped"):
        next(chunks)


async def test_a_connection_that_breaks_after_the_answer_is_whole(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    event = {
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": "all"}, "finish_reason": "stop"}],
    }
    data = f"data: {json.dumps(event)}\n\n".encode()
    headers = {"content-type": "text/event-stream", "content-length": str(len(data) + 10)}
    server.raw(headers=headers, chunks=[data])
    assert (await ask(adapter(), [say("hi")])).text == "all"


async def test_an_answer_that_stands_still(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.fault("stall-body")
    server.reply(text=["one ", "two ", "three "])
    limits = {"stream_chunk_timeout": 0.2, "timeout": httpx.Timeout(5, read=0.2)}
    with pytest.raises(StreamInterruptedError, match=r"nothing arrived for 0\.2 s") as caught:
        await ask(adapter(**limits), [say("hi")])
    assert isinstance(caught.value.__cause__, APITimeoutError)


async def test_signs_of_life_alone_end_a_call(
    ask: Any, adapter: Any, server: Any, say: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(answer_stream, "_KEEPALIVE_LIMIT", -1.0)
    server.raw(headers={"content-type": "text/event-stream"}, chunks=[b": ping\n\n"] * 3)
    if not ask.streams:
        pytest.skip("only a stream has comments")
    with pytest.raises(StreamInterruptedError, match="signs of life alone"):
        await ask(adapter(), [say("hi")])


async def test_the_key_is_masked_where_the_service_echoes_it(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fail(401, body={"detail": f"bad key {server.api_key}"})
    with pytest.raises(AuthenticationError) as caught:
        await ask(adapter(), [say("hi")])
    assert server.api_key not in f"{caught.value} {caught.value.response.body!r}"
    server.raw(headers={"content-type": "application/json"}, chunks=[server.api_key.encode()])
    with pytest.raises(InvalidResponseError) as invalid:
        await ask(adapter(), [say("hi")])
    assert server.api_key not in f"{invalid.value} {invalid.value.body!r}"


async def test_no_key(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    with pytest.raises(AuthenticationError, match="NVIDIA_API_KEY"):
        await ask(adapter(api_key=None), [say("hi")])
    assert "authorization" not in server.requests[0].headers


async def test_a_callable_key(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    async def later() -> str:
        return server.api_key

    server.reply(text="ok", times=2)
    assert (await ask(adapter(api_key=lambda: server.api_key), [say("hi")])).text == "ok"
    if ask.colour == "async":
        assert (await ask(adapter(api_key=later), [say("hi")])).text == "ok"
    else:
        with pytest.raises(InvalidRequestError, match="async calls only"):
            await ask(adapter(api_key=later), [say("hi")])


async def test_nobody_there(ask: Any, adapter: Any, say: Any) -> None:
    with pytest.raises(APIConnectionError, match=r"ask \(127\.0\.0\.1\)"):
        await ask(adapter(base_url="http://127.0.0.1:9/v1", max_retries=0), [say("hi")])


async def test_a_reply_that_is_longer_than_any(
    ask: Any, adapter: Any, server: Any, say: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(bodies_module, "_LONGEST_BODY", 100)
    monkeypatch.setattr(bodies_module, "_LONGEST_PROBLEM", 50)
    server.fail(500, body=b"x" * 1000)
    with pytest.raises(ServerError) as caught:
        await ask(adapter(max_retries=0), [say("hi")])
    assert len(caught.value.response.body) == 50
    server.raw(status=201, chunks=[b"x" * 1000])
    with pytest.raises(InvalidResponseError, match="longer than 100 bytes"):
        await ask(adapter(), [say("hi")])


async def test_leaving_a_stream_closes_the_connection(adapter: Any, server: Any, say: Any) -> None:
    model = adapter()
    server.reply(text=["word "] * 500, chunk_delay=0.01, times=2)
    chunks = model._client.stream(model._build_request([say("hi")], {}, stream=True))
    assert next(chunks).text
    chunks.close()
    with pytest.raises(StopIteration):
        next(chunks)
    achunks = model._client.astream(model._build_request([say("hi")], {}, stream=True))
    assert (await anext(achunks)).text
    await achunks.aclose()
    await model.aclose()
    async with asyncio.timeout(5):
        while server.open_connections:
            await asyncio.sleep(0.01)


async def test_the_models_that_are_listed(adapter: Any, server: Any) -> None:
    listed = adapter().available_models()
    assert KIMI in listed
    assert listed == sorted(set(listed)) == await adapter().aavailable_models()


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"data":5}', b"{}"])
async def test_a_list_of_models_that_is_none(body: bytes, adapter: Any, server: Any) -> None:
    server.raw(chunks=[body], on="models", times=2)
    with pytest.raises(InvalidResponseError, match="list of models"):
        adapter().available_models()
    with pytest.raises(InvalidResponseError, match="list of models"):
        await adapter().aavailable_models()


def test_models_without_ids_are_left_out(adapter: Any, server: Any) -> None:
    server.raw(chunks=[b'{"data":[{"id":"b"},{"id":"a"},{"id":"b"},{"id":5},{},7]}'], on="models")
    assert adapter().available_models() == ["a", "b"]


def large(png: Any, seed: int = 0) -> Media:
    return Media(kind="image", source=BytesSource(png(200_000, seed)))


async def test_an_upload_is_used_again_and_deleted_at_the_end(
    ask: Any, adapter: Any, server: Any, say: Any, png: Any
) -> None:
    model = adapter()
    for _ in range(2):
        await ask(model, [say("look", large(png))])
    methods = [(request.method, request.path.rpartition("/")[2][:6]) for request in server.requests]
    assert [method for method, _ in methods] == ["POST", "PUT", "POST", "POST"]
    await model.aclose()
    assert server.requests[-1].method == "DELETE"
    await ask(model, [say("look", large(png))])
    assert [request.method for request in server.requests[-3:]] == ["POST", "PUT", "POST"]
    model.close()
    assert server.requests[-1].method == "DELETE"


async def test_calls_side_by_side_upload_once(
    adapter: Any, server: Any, say: Any, png: Any
) -> None:
    model = adapter()
    calls = [model._build_request([say("look", large(png))], {}, stream=False) for _ in range(4)]
    await asyncio.gather(*(model._client.acomplete(call) for call in calls))
    assert [request.method for request in server.requests].count("PUT") == 1
    threads = [threading.Thread(target=model._client.complete, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [request.method for request in server.requests].count("PUT") == 1
    await model.aclose()


async def test_threads_wait_for_one_upload(adapter: Any, server: Any, say: Any, png: Any) -> None:
    model = adapter()
    calls = [model._build_request([say("look", large(png))], {}, stream=False) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(model._client.complete, call) for call in calls))
    assert [request.method for request in server.requests].count("PUT") == 1


async def test_assets_that_could_not_be_deleted_are_named(
    adapter: Any, server: Any, say: Any, png: Any
) -> None:
    model = adapter()
    model._client.complete(model._build_request([say("look", large(png))], {}, stream=False))
    server.fail(403, on="delete", times=2)
    named = "assets were left behind for their 24 hours.*asset"
    with pytest.warns(NVCFWarning, match=named):
        model.close()
    with pytest.warns(NVCFWarning, match=named):
        await model.aclose()
    model.close()
    assert [request.method for request in server.requests[-3:]] == ["DELETE"] * 3


async def held(model: Any, flow: Any, colour: str) -> Any:
    """What a conversation returns, held sync or async."""
    if colour == "sync":
        return model._client.run(flow, model._own_options())
    return await model._client.arun(flow, model._own_options())


async def test_files_are_uploaded(adapter: Any, server: Any, png: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(png(2_000_000))
    told: list[tuple[int, int]] = []
    model = adapter()
    media = model._upload_media(path, None, lambda *done: told.append(done))
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert (media.kind, media.mime_type, media.source) == ("image", "image/png", None)
    with path.open("rb") as file:
        other = await model._aupload_media(file, "image/png", None)
    assert other.asset_id != media.asset_id
    put = server.requests[1]
    assert put.method == "PUT"
    assert "authorization" not in put.headers
    assert put.headers["content-length"] == str(size)


async def test_a_file_that_vanishes_before_it_is_sent(
    adapter: Any, server: Any, png: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    model = adapter(max_retries=0)
    for colour in ("sync", "async"):
        path.write_bytes(png(10))
        _, uploading = model._uploading(path, None, None)
        path.unlink()
        with pytest.raises(AssetUploadError):
            await held(model, uploading, colour)
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
    flow = model._client.uploading(Changing(bytes(size)), "image/png", server.nvcf_url, retry, None)
    with pytest.raises(AssetUploadError, match="changed while it was sent"):
        await held(model, flow, colour)


async def test_injected_clients_are_used_and_never_closed(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    with httpx.Client(headers={"x-mine": "1"}) as client:
        async with httpx.AsyncClient(headers={"x-mine": "1"}) as aclient:
            model = adapter(http_client=client, http_async_client=aclient)
            await ask(model, [say("hi")])
            assert server.requests[0].headers["x-mine"] == "1"
            model.close()
            await model.aclose()
            assert not client.is_closed
            assert not aclient.is_closed
            await ask(model, [say("hi")])


async def test_an_injected_client_that_is_closed_is_refused(
    ask: Any, adapter: Any, say: Any
) -> None:
    client, aclient = httpx.Client(), httpx.AsyncClient()
    client.close()
    await aclient.aclose()
    model = adapter(http_client=client, http_async_client=aclient)
    with pytest.raises(InvalidRequestError, match="the request cannot be sent") as caught:
        await ask(model, [say("hi")])
    assert caught.value.field == "http_client"


async def test_limits_of_an_injected_client_hold_where_none_are_given(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fault("stall", times=4)
    with httpx.Client(timeout=0.2) as client:
        async with httpx.AsyncClient(timeout=0.2) as aclient:
            model = adapter(http_client=client, http_async_client=aclient, max_retries=0)
            with pytest.raises(APITimeoutError, match=r"no response within 0\.2 s \(timeout\)"):
                await ask(model, [say("hi")])


async def test_a_pool_belongs_to_its_loop(adapter: Any, server: Any, say: Any) -> None:
    model = adapter()

    def in_a_loop_of_its_own() -> str:
        call = model._build_request([say("hi")], {}, stream=False)
        return asyncio.run(model._client.acomplete(call)).text

    server.reply(text="ok", times=4)
    texts = [await asyncio.to_thread(in_a_loop_of_its_own) for _ in range(3)]
    call = model._build_request([say("hi")], {}, stream=False)
    texts.append((await model._client.acomplete(call)).text)
    assert texts == ["ok"] * 4
    assert server.open_connections == 1  # Those of the loops that ended are closed.
    model.close()  # From outside a coroutine's own task: the loop closes its pool by itself.
    async with asyncio.timeout(5):
        while server.open_connections:
            await asyncio.sleep(0.01)


def test_a_client_that_is_collected_closes_its_pool(adapter: Any, server: Any, say: Any) -> None:
    from nvcf_core import BaseNVCF

    model = BaseNVCF(
        model=KIMI, base_url=server.base_url, nvcf_url=server.nvcf_url, api_key=server.api_key
    )
    model._client.complete(model._build_request([say("hi")], {}, stream=False))
    assert server.open_connections == 1
    del model
    gc.collect()
    deadline = time.monotonic() + 5
    while server.open_connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_end_of_the_process_deletes_what_was_uploaded(
    server: Any, tmp_path: Path, png: Any
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(200_000))
    script = """
        import sys
        from nvcf_core import BaseNVCF
        base_url, nvcf_url, key, path, status = sys.argv[1:]
        model = BaseNVCF(model="moonshotai/kimi-k2.6", base_url=base_url, nvcf_url=nvcf_url, api_key=key)
        print(model._upload_media(path, None, None).asset_id)
        del model
    """
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(script),
        server.base_url,
        server.nvcf_url,
        server.api_key,
        path,
        "",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert server.requests[-1].method == "DELETE"
    assert done.stdout.strip() in server.requests[-1].path
    server.fail(403, on="delete", times=2)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "assets were left behind" in done.stderr
    assert done.stdout.strip() in done.stderr


async def test_closing_by_leaving_a_block(adapter: Any, server: Any, say: Any, png: Any) -> None:
    with adapter() as model:
        model._client.complete(model._build_request([say("look", large(png))], {}, stream=False))
    assert server.requests[-1].method == "DELETE"
    async with adapter() as model:
        await model._client.acomplete(
            model._build_request([say("look", large(png))], {}, stream=False)
        )
    assert server.requests[-1].method == "DELETE"
    async with adapter(), adapter() as unused:
        assert unused._opened_client is None


@pytest.mark.parametrize("seconds", [5.0, -1.0])
def test_at_the_end_of_the_process(
    seconds: float, adapter: Any, server: Any, say: Any, png: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(client_module, "_pending_cleanup", {})
    monkeypatch.setattr(client_module, "_AT_EXIT", seconds)
    model = adapter()
    model._client.complete(model._build_request([say("look", large(png))], {}, stream=False))
    in_time = nullcontext() if seconds > 0 else pytest.warns(NVCFWarning, match="no time to delete")
    with in_time:
        client_module._delete_at_exit()
    assert (server.requests[-1].method == "DELETE") is (seconds > 0)
    client_module._delete_at_exit()
    assert [r.method for r in server.requests].count("DELETE") == (1 if seconds > 0 else 0)


@contextmanager
def saying(body: bytes) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers everything with the same bytes: its url, and the headers that arrived."""
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


async def test_a_stream_behind_a_redirect(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    event = {"id": "c", "choices": [{"delta": {"content": "far"}, "finish_reason": "stop"}]}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("r.response", f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")
    with saying(archive.getvalue()) as (url, received):
        server.raw(status=302, headers={"location": url})
        assert (await ask(adapter(), [say("hi")])).text == "far"
    assert "authorization" not in received[0]


async def test_errors_without_a_key(ask: Any, adapter: Any, say: Any) -> None:
    with saying(b"nonsense") as (url, received):
        model = adapter(base_url=url, api_key=None)
        with pytest.raises(InvalidResponseError, match="no JSON"):
            await ask(model, [say("hi")])
    assert "authorization" not in received[0]


async def test_one_of_several_uploads_fails(
    adapter: Any, server: Any, say: Any, png: Any, ask: Any
) -> None:
    server.fail(403, on="put")
    with pytest.raises(AssetUploadError) as caught:
        await ask(adapter(), [say("look", large(png, 1), large(png, 2))])
    assert caught.value.stage == "put"
    assert [r.method for r in server.requests].count("DELETE") == 2


async def test_nobody_there_to_upload_to(ask: Any, adapter: Any, say: Any, png: Any) -> None:
    model = adapter(nvcf_url="http://127.0.0.1:9/nvcf", max_retries=0)
    with pytest.raises(
        AssetUploadError, match=r"could not create an asset: create \(127"
    ) as caught:
        await ask(model, [say("look", large(png, 1), large(png, 2))])
    assert isinstance(caught.value.__cause__, APIConnectionError)


async def test_an_upload_url_that_cannot_be_sent_to(
    ask: Any, adapter: Any, server: Any, say: Any, png: Any
) -> None:
    created = {"assetId": "asset-1", "uploadUrl": "http://1.2.3.999/"}
    server.raw(chunks=[json.dumps(created).encode()], on="create")
    with pytest.raises(AssetUploadError, match="put: the request cannot be sent") as caught:
        await ask(adapter(), [say("look", large(png))])
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert [request.method for request in server.requests] == ["POST", "DELETE"]


async def test_a_redirect_to_nowhere(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.raw(status=302, headers={"location": "http://1.2.3.999/"})
    with pytest.raises(APIConnectionError, match="RemoteProtocolError"):
        await ask(adapter(max_retries=0), [say("hi")])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_uses_connections_of_its_own(
    adapter: Any, server: Any, say: Any, png: Any
) -> None:
    model = adapter()
    model._client.complete(model._build_request([say("look", large(png))], {}, stream=False))
    child = os.fork()
    if child == 0:
        try:
            model._client.complete(model._build_request([say("child")], {}, stream=False))
            model.close()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not any(request.method == "DELETE" for request in server.requests)
    model.close()
    assert server.requests[-1].method == "DELETE"


async def test_the_pace_is_kept_and_the_queue_is_waited_in(
    ask: Any, adapter: Any, server: Any, say: Any, monkeypatch: Any
) -> None:
    from nvcf_core.transport import rate_limiter as pace

    monkeypatch.setattr(pace, "_WINDOW", 0.3)
    monkeypatch.setattr(pace, "_limiters", {})
    model = adapter(requests_per_minute=1, max_retries=1)
    server.fail(429, retry_after=0)
    server.reply(text="ok", times=2)
    assert (await ask(model, [say("hi")])).text == "ok"
    (kept,) = pace._limiters.values()
    assert kept._share == 0.55
    assert len(kept._used) >= 1


async def test_who_leaves_the_queue_gives_the_place_back(
    adapter: Any, server: Any, say: Any, monkeypatch: Any
) -> None:
    from nvcf_core.transport import backends
    from nvcf_core.transport import rate_limiter as pace

    monkeypatch.setattr(pace, "_limiters", {})
    model = adapter(requests_per_minute=1)
    call = model._build_request([say("hi")], {}, stream=False)
    await model._client.acomplete(call)
    (kept,) = pace._limiters.values()
    waiting = asyncio.ensure_future(model._client.acomplete(call))
    while len(kept._reservations) < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(kept._reservations) == 1

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backends.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model._client.complete(call)
    assert len(kept._reservations) == 1
    assert len(server.requests) == 1
