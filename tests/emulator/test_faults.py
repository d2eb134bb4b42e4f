"""Failures, exact bytes, and faults of the network over real sockets."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

KIMI = "moonshotai/kimi-k2.6"
MESSAGES = [{"role": "user", "content": "Hi"}]
ASSET = {"contentType": "image/png", "description": "a"}
PUT_HEADERS = {"content-type": "image/png", "x-amz-meta-nvcf-asset-description": "a"}


class Wire:
    """One request over a bare socket, and what comes back of it."""

    def __init__(self, server, streams: bool = False, timeout: float = 5) -> None:
        url = urlsplit(server.base_url)
        body = json.dumps({"model": KIMI, "messages": MESSAGES, "stream": streams}).encode()
        head = (
            f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\n"
            f"authorization: Bearer {server.api_key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.socket = socket.create_connection((url.hostname, url.port), timeout=timeout)
        self.socket.sendall(head.encode() + body)

    def read(self, most: int = 10_000_000) -> tuple[bytes, str]:
        """The bytes, and how they ended: fin, reset, silence, or enough."""
        received = bytearray()
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                return bytes(received), "reset"
            except TimeoutError:
                return bytes(received), "silence"
            received += piece
            if not piece:
                return bytes(received), "fin"
            if len(received) > most:
                return bytes(received), "enough"

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("kind", "end"), [("reset", "reset"), ("close", "fin"), ("stall", "silence")]
)
def test_faults_before_the_reply(server, kind, end, streams):
    server.fault(kind)
    with Wire(server, streams, timeout=0.2) as wire:
        assert wire.read() == (b"", end)
    assert len(server.chats) == 1


def test_garbage_is_not_http(server, client):
    server.fault("garbage", times=2)
    with Wire(server) as wire:
        data, end = wire.read()
    assert not data.startswith(b"HTTP/")
    assert end == "fin"
    body = {"model": KIMI, "messages": MESSAGES}
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(f"{server.base_url}/chat/completions", json=body)


WITHIN = [
    ("truncate", "fin"),
    ("stall-body", "silence"),
    ("half-close", "fin"),
    ("reset", "reset"),
    ("close", "fin"),
    ("stall", "silence"),
]


@pytest.mark.parametrize(("kind", "end"), WITHIN)
def test_faults_inside_a_whole_reply(server, kind, end):
    server.fault(kind, after=0.5)
    server.reply("x" * 1000)
    with Wire(server, timeout=0.2) as wire:
        data, ended = wire.read()
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-length: " in head
    declared = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == declared // 2
    assert ended == end


@pytest.mark.parametrize(("kind", "end"), WITHIN)
@pytest.mark.parametrize("after", [0, 2, 3, 100, 0.5])
def test_faults_inside_a_stream(server, kind, end, after):
    server.fault(kind, after=after)
    server.reply(["one ", "two ", "three ", "four "])
    with Wire(server, streams=True, timeout=0.2) as wire:
        data, ended = wire.read()
    sent = {0: 0, 2: 2, 3: 3, 100: 4, 0.5: 2}[after]
    whole_events = [line for line in data.split(b"\n\n") if line.rstrip().endswith(b"}")]
    words = sum(b'"delta":{"content":"' in event for event in whole_events)
    assert words == sent
    assert b'"finish_reason":"stop"' not in data
    assert b"[DONE]" not in data
    assert not data.endswith(b"0\r\n\r\n")
    assert ended == end


def test_the_middle_is_where_it_breaks_by_default(server):
    server.fault("truncate")
    server.reply(["one ", "two ", "three ", "four "])
    with Wire(server, streams=True) as wire:
        data, _ = wire.read()
    assert b"two" in data
    assert b"four" not in data


def test_a_half_closed_connection_goes_on_reading(server):
    server.fault("half-close")
    with Wire(server) as wire:
        _, end = wire.read()
        assert end == "fin"
        assert server.open_connections >= 1
        wire.socket.sendall(b"still here")
        wire.socket.sendall(b"and here")


@pytest.mark.parametrize("kind", ["bad-json", "bad-utf8"])
def test_what_is_sent_may_be_broken(server, ask, kind):
    server.fault(kind, times=2)
    server.reply(["one ", "two ", "three "], times=2)
    data = ask(KIMI, stream=True).content
    bad = [event for event in data.split(b"\n\n") if b'"broken"' in event]
    assert len(bad) == 1
    with pytest.raises(ValueError):
        json.loads(bad[0].removeprefix(b"data: ").decode())
    assert data.index(b"two") < data.index(b"broken") < data.index(b"three")
    assert data.endswith(b"data: [DONE]\n\n")
    with pytest.raises(ValueError):
        json.loads(ask(KIMI).content.decode())


@pytest.mark.parametrize("streams", [False, True])
def test_lines_may_never_end(server, streams):
    server.fault("endless-line")
    with Wire(server, streams) as wire:
        data, end = wire.read(most=1_000_000)
    assert end == "enough"
    assert b"x" * 60_000 in data
    assert server.wait_until(lambda: server.streaming == 0)


def test_a_stalled_put_is_not_read(server, client, bare):
    made = client.post(f"{server.nvcf_url}/assets", json=ASSET).json()
    server.fault("stall", on="put")
    large = bytes(30_000_000)
    with pytest.raises(httpx.WriteTimeout):
        bare.put(made["uploadUrl"], content=large, headers=PUT_HEADERS, timeout=0.2)
    assert server.wait_until(lambda: server.streaming == 0)
    assert server.requests[-1].length < len(large)


PLACES = ["create", "get", "delete", "models", "poll", "put", "ask"]


@pytest.fixture
def request_of(server, client, bare):
    """A request of each kind."""

    def run(place):
        if place == "ask":
            body = {"model": KIMI, "messages": MESSAGES}
            return client.build_request("POST", f"{server.base_url}/chat/completions", json=body)
        if place == "models":
            return client.build_request("GET", f"{server.base_url}/models")
        if place == "create":
            return client.build_request("POST", f"{server.nvcf_url}/assets", json=ASSET)
        if place == "poll":
            server.accept(polls=1)
            body = {"model": KIMI, "messages": MESSAGES}
            response = client.post(f"{server.base_url}/chat/completions", json=body)
            url = f"{server.nvcf_url}/pexec/status/{response.headers['nvcf-reqid']}"
            return client.build_request("GET", url)
        made = client.post(f"{server.nvcf_url}/assets", json=ASSET).json()
        if place == "put":
            return bare.build_request(
                "PUT", made["uploadUrl"], content=b"x" * 100, headers=PUT_HEADERS
            )
        method = "DELETE" if place == "delete" else "GET"
        return client.build_request(method, f"{server.nvcf_url}/assets/{made['assetId']}")

    return run


@pytest.mark.parametrize("place", PLACES)
def test_any_place_may_fail(server, client, request_of, place):
    request = request_of(place)
    server.fail(503, on=place, times=2, retry_after=7)
    for _ in range(2):
        response = client.send(request)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "7"
    assert client.send(request).status_code < 300
    assert server.requests[-1].place == place


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["reset", "close", "truncate", "garbage", "half-close"])
def test_any_place_may_break(server, client, request_of, place, kind):
    request = request_of(place)
    server.fault(kind, on=place)
    with pytest.raises(httpx.TransportError):
        client.send(request)
    assert server.requests[-1].place == place


@pytest.mark.parametrize("kind", ["stall", "stall-body"])
@pytest.mark.parametrize("place", PLACES)
def test_any_place_may_stall(server, client, request_of, place, kind):
    request = request_of(place)
    request.extensions["timeout"] = {"read": 0.1, "connect": 5, "write": 5, "pool": 5}
    server.fault(kind, on=place)
    with pytest.raises(httpx.ReadTimeout):
        client.send(request)
    assert server.wait_until(lambda: server.streaming == 0)


def test_any_is_any(server, client, request_of):
    server.fail(418, on="any", times=2)
    assert client.send(request_of("models")).status_code == 418
    assert client.send(request_of("ask")).status_code == 418
    assert client.send(request_of("ask")).status_code == 200


@pytest.mark.parametrize(
    ("after", "read", "state"), [(0, 0, "created"), (0.5, 50, "created"), (1.0, 100, "stored")]
)
def test_a_put_may_break_anywhere(server, client, request_of, after, read, state):
    request = request_of("put")
    server.fault("reset", on="put", after=after)
    with pytest.raises(httpx.TransportError):
        client.send(request)
    assert [asset.state for asset in server.assets.values()] == [state]
    assert server.requests[-1].length >= read


def test_steps_happen_in_order(server, ask):
    server.reply("first")
    server.fail(500)
    server.reply("third", times=2)
    responses = [ask(KIMI) for _ in range(4)]
    assert [response.status_code for response in responses] == [200, 500, 200, 200]
    texts = [responses[place].json()["choices"][0]["message"]["content"] for place in (0, 2, 3)]
    assert texts == ["first", "third", "third"]
    assert "stand-in" in ask(KIMI).text


BODIES = [
    (400, "application/json", "Validation"),
    (401, "text/plain; charset=utf-8", "Header of type `authorization` was missing"),
    (402, "application/json", "credits"),
    (403, "application/json", '"detail":"Authorization failed"'),
    (404, "text/plain; charset=utf-8", "404 page not found"),
    (408, "application/problem+json", '"status":408'),
    (410, "application/json", "end of life"),
    (422, "application/json", '"detail":[{'),
    (429, "application/json", '{"status":429,"title":"Too Many Requests"}'),
    (500, "text/plain; charset=utf-8", "Internal Server Error"),
    (502, "text/html", "<html>"),
    (503, "application/problem+json", '"title":"Service Unavailable"'),
    (504, "text/plain; charset=utf-8", ""),
    (529, "application/problem+json", "Status 529"),
]


@pytest.mark.parametrize(("status", "content_type", "said"), BODIES)
def test_what_a_status_says(server, ask, status, content_type, said):
    server.fail(status)
    response = ask(KIMI)
    assert response.status_code == status
    assert response.headers["content-type"] == content_type
    assert said in response.text
    assert "retry-after" not in response.headers
    assert response.headers["nvcf-status"] == "errored"


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"error": "x"}, "application/json", b'{"error":"x"}'),
        ("plain", "text/plain; charset=utf-8", b"plain"),
        (b"\xff", None, b"\xff"),
        ("", "text/plain; charset=utf-8", b""),
    ],
)
def test_a_failure_may_have_a_body_of_its_own(server, ask, body, content_type, sent):
    server.fail(400, body=body, headers={"X-Why": "so"})
    response = ask(KIMI)
    assert response.headers.get("content-type") == content_type
    assert response.content == sent
    assert response.headers["x-why"] == "so"


def test_exact_bytes(server, ask):
    headers = {"Content-Type": "text/event-stream", "X-Other": "1"}
    server.raw(headers=headers, chunks=[b"data: {}\n", b"\n", b"data: [DONE]\n\n"])
    response = ask(KIMI, stream=True)
    assert response.content == b"data: {}\n\ndata: [DONE]\n\n"
    assert response.headers["x-other"] == "1"
    assert response.headers["content-type"] == "text/event-stream"
    server.raw(status=418, on="models")
    assert server.chats[-1].body["stream"] is True


def test_exact_bytes_may_break_too(server):
    server.fault("truncate", after=1)
    server.raw(chunks=[b"first", b"second"])
    with Wire(server) as wire:
        data, end = wire.read()
    assert b"first" in data
    assert b"second" not in data
    assert end == "fin"


@pytest.mark.parametrize("call", [lambda s: s.fault("x"), lambda s: s.fail(500, on="x")])
def test_misspelt_steps_are_refused(server, call):
    with pytest.raises(ValueError, match="unknown"):
        call(server)
    with pytest.raises(ValueError, match="times"):
        server.fail(500, times=0)


def test_clear_forgets_steps(server, ask):
    server.fail(500)
    server.clear()
    assert server.requests == []
    assert ask(KIMI).status_code == 200


@pytest.mark.parametrize("announced", [5, 500])
def test_a_scripted_length_that_is_not_that_of_the_body_breaks_the_connection(server, announced):
    server.raw(headers={"content-length": str(announced)}, chunks=[b"0123456789"])
    with Wire(server) as wire:
        received, end = wire.read()
    assert received.count(b"content-length") == 1
    assert received.endswith(b"0123456789" if announced > 10 else b"\r\n\r\n")
    assert end == "fin"
