"""The server itself: keys, models, functions, what it remembers, and how it starts and stops."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

import httpx
import pytest

from nvcf_emulator import Emulator

GEMMA = "google/gemma-3n-e2b-it"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
MESSAGES = [{"role": "user", "content": "Hi"}]
FUNCTION = "11111111-2222-4333-8444-555555555555"


def test_it_starts_and_stops_quickly():
    started = time.monotonic()
    threads = threading.active_count()
    with Emulator() as server:
        port = int(server.base_url.rpartition(":")[2].partition("/")[0])
        assert server.base_url == f"http://127.0.0.1:{port}/v1"
        assert server.nvcf_url == f"http://127.0.0.1:{port}/v2/nvcf"
        assert server.start() is server
    assert time.monotonic() - started < 2
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.base_url
    server.stop()


def test_it_may_start_again():
    server = Emulator()
    for _ in range(2):
        with server:
            key = {"authorization": f"Bearer {server.api_key}"}
            assert httpx.get(f"{server.base_url}/models", headers=key).status_code == 200


def test_a_taken_port_is_an_error(server):
    port = int(server.base_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(OSError, match="in use"):
        Emulator(port=port).start()


@pytest.mark.parametrize("step", ["stall", "stall-body", "delay", "hold"])
def test_it_stops_while_clients_wait(step):
    with Emulator() as server:
        headers = {"authorization": f"Bearer {server.api_key}"}
        if step == "delay":
            server.reply("a", delay=60)
        elif step == "hold":
            server.accept(seconds=60)
        else:
            server.fault(step)
        body = {"model": KIMI, "messages": MESSAGES, "stream": True}
        ended = threading.Event()

        def wait():
            with httpx.Client(headers=headers, timeout=30) as client:
                try:
                    response = client.post(f"{server.base_url}/chat/completions", json=body)
                    request_id = response.headers["nvcf-reqid"]
                    client.get(f"{server.base_url}/status/{request_id}")
                except httpx.TransportError:
                    ended.set()

        thread = threading.Thread(target=wait)
        thread.start()
        place = "poll" if step == "hold" else "ask"
        assert server.wait_until(lambda: any(r.place == place for r in server.requests))
        started = time.monotonic()
    assert time.monotonic() - started < 1
    thread.join(5)
    assert ended.is_set()


def test_keys(server, bare):
    url = f"{server.base_url}/models"
    missing = bare.get(url)
    assert missing.status_code == 401
    assert missing.text == "Header of type `authorization` was missing"
    for value in ("Bearer wrong", "Basic abc", server.api_key, "Bearer"):
        wrong = bare.get(url, headers={"authorization": value})
        assert wrong.status_code == 403
        expected = {"status": 403, "title": "Forbidden", "detail": "Authorization failed"}
        assert wrong.json() == expected
    server.add_key("nvapi-second")
    assert bare.get(url, headers={"authorization": "Bearer nvapi-second"}).status_code == 200


def test_every_reply_has_its_ids(server, client, ask):
    responses = [ask(KIMI), ask(KIMI, temperature=9), client.get(f"{server.base_url}/models")]
    ids = {uuid.UUID(response.headers["nvcf-reqid"]) for response in responses}
    assert len(ids) == 3
    assert [response.headers["nvcf-status"] for response in responses] == [
        "fulfilled",
        "errored",
        "fulfilled",
    ]


def test_models_are_listed(server, client):
    body = client.get(f"{server.base_url}/models").json()
    assert body["object"] == "list"
    ids = [model["id"] for model in body["data"]]
    assert len(set(ids)) == 5 < len(ids)
    assert {"id", "object", "created", "owned_by"} == set(body["data"][0])


@pytest.mark.parametrize("model", ["someone/unknown", "google/paligemma", "", None, 7])
def test_unknown_models(post, server, client, model):
    body = {"model": model, "messages": MESSAGES}
    response = client.post(f"{server.base_url}/chat/completions", json=body)
    assert (response.status_code, response.text) == (404, "404 page not found")


def test_unknown_models_may_be_told_what_to_say(server, ask):
    server.reply("Hello")
    response = ask("someone/unknown", whatever=1, temperature=9)
    assert response.json()["choices"][0]["message"]["content"] == "Hello"
    server.raw(chunks=[b"x"])
    assert ask("someone/unknown").content == b"x"
    assert ask("someone/unknown").status_code == 404


def test_further_models_have_no_rules(files):
    with Emulator(models=["someone/other"]) as server:
        key = {"authorization": f"Bearer {server.api_key}"}
        image = files.data_url("image/png", files.png())
        odd = [
            {"role": "developer", "content": "x", "anything": 1},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]},
            {"role": "user", "content": '<video src="https://example.com/a.mp4">'},
            {"role": "user", "content": '<img src="nowhere">'},
        ]
        body = {"model": "someone/other", "messages": odd, "guided_json": {}}
        response = httpx.post(f"{server.base_url}/chat/completions", json=body, headers=key)
        text = response.json()["choices"][0]["message"]["content"]
        assert "3x2 pixels" in text
        assert "video at https://example.com/a.mp4" in text
        assert '<img src="nowhere">' in text
        bad = {**body, "max_tokens": "many"}
        response = httpx.post(f"{server.base_url}/chat/completions", json=bad, headers=key)
        assert response.status_code == 400
        listed = httpx.get(f"{server.base_url}/models", headers=key).json()["data"]
        assert "someone/other" in [model["id"] for model in listed]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("GET", "/v1/chat/completions"), ("POST", "/")]
)
def test_unknown_paths(server, client, method, path):
    response = client.request(method, server.root + path)
    assert (response.status_code, response.text) == (404, "404 page not found")
    assert server.requests[-1].path == path
    assert server.requests[-1].place == "any"


@pytest.fixture
def call(server, client):
    def run(body, function_id=FUNCTION, version=None):
        path = f"/pexec/functions/{function_id}" + (f"/versions/{version}" if version else "")
        return client.post(server.nvcf_url + path, json={"messages": MESSAGES, **body})

    return run


def test_functions_by_id(server, call):
    missing = call({"model": KIMI})
    assert missing.status_code == 404
    assert re.fullmatch(
        rf"Function '{FUNCTION}': Not found for account '\w+'", missing.json()["detail"]
    )
    server.add_function(FUNCTION)
    assert call({"model": KIMI}).status_code == 200
    assert call({"model": KIMI, "stop": "x"}).status_code == 400
    assert call({"model": "a/b", "anything": 1}).status_code == 200
    assert call({"anything": 1}).status_code == 200
    assert call({"model": KIMI}, version="v1").status_code == 200
    assert server.chats[-1].path.endswith("/versions/v1")


def test_functions_of_one_model(server, call):
    server.add_function(FUNCTION, model=GEMMA, version="v1")
    assert call({"model": GEMMA}, version="v1").status_code == 200
    assert call({"model": GEMMA}).status_code == 200
    assert call({"model": GEMMA}, version="v2").status_code == 404
    assert call({"model": GEMMA, "tools": []}).status_code == 400
    assert call({"model": KIMI}).status_code == 404
    server.add_function(FUNCTION, model=PALI)
    assert call({}).status_code == 200
    assert call({"model": PALI}).status_code == 400


def test_a_limit_of_requests_per_minute(server, ask, client):
    server.requests_per_minute = 3
    codes = [ask(KIMI).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    limited = ask(KIMI)
    assert limited.json() == {"status": 429, "title": "Too Many Requests"}
    assert "retry-after" not in limited.headers
    assert client.get(f"{server.base_url}/models").status_code == 200
    server.add_key("nvapi-second")
    assert ask(KIMI, headers={"authorization": "Bearer nvapi-second"}).status_code == 200


def test_what_arrived_is_remembered(server, ask, client):
    ask(KIMI, "Héllo", headers={"X-Some": "thing"})
    client.get(f"{server.base_url}/models?a=b")
    asked, listed = server.requests
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["x-some"] == "thing"
    assert asked.headers["authorization"] == f"Bearer {server.api_key}"
    assert asked.body["messages"][0]["content"] == "Héllo"
    assert len(asked.raw) == asked.length
    assert (listed.query, listed.body, listed.raw) == ("a=b", None, b"")
    assert server.chats == [asked]
    with pytest.raises(AttributeError):
        asked.method = "GET"
    server.clear()
    assert server.requests == []


def test_bodies_have_an_end(server, client):
    pieces = (bytes(1024 * 1024) for _ in range(70))
    response = client.post(f"{server.base_url}/chat/completions", content=pieces)
    assert response.status_code == 413
    assert server.requests[-1].raw == b""


def test_pipelined_and_broken_requests_do_no_harm(server, ask):
    address = server.root.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
    assert ask(KIMI).status_code == 200


def test_a_client_that_leaves_ends_the_stream(server):
    server.reply(["word "] * 1000, chunk_delay=0.01)
    key = {"authorization": f"Bearer {server.api_key}"}
    body = {"model": KIMI, "messages": MESSAGES, "stream": True}
    url = f"{server.base_url}/chat/completions"
    before = server.open_connections
    with (
        httpx.Client(headers=key) as client,
        client.stream("POST", url, json=body) as response,
    ):
        pieces = response.iter_bytes()
        next(pieces)
        assert server.streaming == 1
        assert server.open_connections == before + 1
    assert server.wait_until(lambda: server.streaming == 0)
    assert server.wait_until(lambda: server.open_connections == before)


def test_a_long_stream_ends_for_a_client_that_leaves(server):
    server.reply(["word "] * 30_000)
    key = {"authorization": f"Bearer {server.api_key}"}
    body = {"model": KIMI, "messages": MESSAGES, "stream": True}
    with (
        httpx.Client(headers=key) as client,
        client.stream("POST", f"{server.base_url}/chat/completions", json=body) as response,
    ):
        pieces = response.iter_bytes()
        next(pieces)
        assert server.wait_until(lambda: server.streaming == 1)
    assert server.wait_until(lambda: server.streaming == 0)


def test_wait_until_says_whether(server):
    assert server.wait_until(lambda: True)
    assert not server.wait_until(lambda: False, timeout=0.05)


async def test_it_serves_asyncio(server):
    key = {"authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(headers=key) as client:
        body = {"model": KIMI, "messages": MESSAGES}
        url = f"{server.base_url}/chat/completions"
        responses = await asyncio.gather(*(client.post(url, json=body) for _ in range(20)))
    assert {response.status_code for response in responses} == {200}


async def stream_over_socket(host: str, port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    data = await reader.readuntil(b"data: [DONE]")
    writer.close()
    await writer.wait_closed()
    return data


@pytest.mark.slow
async def test_a_thousand_streams_at_once(server):
    server.reply(["a "] * 20, chunk_delay=0.05, times=1000)
    host, port = server.root.removeprefix("http://").split(":")
    body = b'{"model":"%s","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
    body %= KIMI.encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n"
        f"authorization: Bearer {server.api_key}\r\nconnection: close\r\n\r\n"
    ).encode()
    many = [stream_over_socket(host, int(port), head + body) for _ in range(1000)]
    answers = await asyncio.gather(*many)
    assert {data.count(b'"content":"a "') for data in answers} == {20}
    assert len(server.chats) == 1000


def test_the_command(tmp_path):
    command = [sys.executable, "-m", "nvcf_emulator", "--port", "0", "--model", "a/b"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        lines = [running.stdout.readline() for _ in range(4)]
        found = dict(re.fullmatch(r"export (\w+)=(.*)\n", line).groups() for line in lines[1:])
        assert set(found) == {"NVIDIA_BASE_URL", "NVCF_URL", "NVIDIA_API_KEY"}
        key = {"authorization": f"Bearer {found['NVIDIA_API_KEY']}"}
        response = httpx.get(f"{found['NVIDIA_BASE_URL']}/models", headers=key)
        assert "a/b" in response.text
        running.send_signal(signal.SIGINT)
        assert running.wait(5) == 0
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def test_the_command_says_what_is_wrong(server, capsys):
    from nvcf_emulator.__main__ import main

    port = server.root.rpartition(":")[2]
    assert main(["--port", port]) == 1
    assert "in use" in capsys.readouterr().err
    assert main(["--shape", "nothing"]) == 1
    assert "unknown shape" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "not a model" in capsys.readouterr().out


def test_the_fixture_is_as_good_as_new(nvcf_emulator):
    assert nvcf_emulator.requests == []
    assert nvcf_emulator.assets == {}
    assert nvcf_emulator.open_connections == 0
    assert nvcf_emulator.streaming == 0
    assert nvcf_emulator.shape == "default"
    nvcf_emulator.shape = "pings"
    nvcf_emulator.fail(500)
    nvcf_emulator.requests_per_minute = 1
    nvcf_emulator.reset()
    assert nvcf_emulator.shape == "default"
    assert nvcf_emulator.requests_per_minute is None
