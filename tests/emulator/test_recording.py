"""Recording what a real server says, and answering from the recording."""

from __future__ import annotations

import base64
import json
import socket
import threading
from urllib.parse import quote

import httpx
import pytest

from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
SECRET = "nvapi-a-real-key-that-must-not-be-written"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recording.jsonl"


@pytest.fixture
def to(bare):
    def run(where, content="Hi", key=SECRET, model=KIMI, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        headers = {"authorization": f"Bearer {key}"}
        return bare.post(f"{where.base_url}/chat/completions", json=body, headers=headers)

    return run


@pytest.fixture
def recorded(server, path):
    """A recorder before the emulator, which knows the key."""
    server.add_key(SECRET)
    with Emulator.record(path, upstream=server.base_url) as recorder:
        yield recorder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_session_is_replayed_byte_for_byte(server, recorded, path, to, bare):
    server.reply("one two three", reasoning="hm", chunk_delay=0.01)
    server.reply("é日本😀", shape="utf8-split")
    server.fail(429, retry_after=3)
    server.accept(polls=1)
    server.reply("polled")
    first = [
        to(recorded, stream=True),
        to(recorded, "cut", stream=True),
        to(recorded, "limited"),
        to(recorded, "later"),
    ]
    status = f"status/{first[3].headers['nvcf-reqid']}"
    key = {"authorization": f"Bearer {SECRET}"}
    first.append(bare.get(f"{recorded.base_url}/{status}", headers=key))
    first.append(bare.get(f"{recorded.nvcf_url}/assets?limit=1", headers=key))
    recorded.stop()
    assert SECRET not in path.read_text()
    assert "authorization" not in path.read_text()
    with Emulator.replay(path) as replayed:
        second = [
            to(replayed, "limited", key="any"),
            to(replayed, stream=True),
            to(replayed, "cut", stream=True),
            to(replayed, "later"),
            bare.get(f"{replayed.base_url}/{status}"),
            bare.get(f"{replayed.nvcf_url}/assets?limit=1"),
        ]
        assert replayed.unused == []
    first.insert(0, first.pop(2))
    assert [item.content for item in second] == [item.content for item in first]
    assert [item.status_code for item in second] == [429, 200, 200, 202, 200, 200]
    assert second[0].headers["retry-after"] == "3"
    for one, other in zip(first, second, strict=True):
        for name in ("content-type", "nvcf-reqid", "nvcf-status"):
            assert one.headers.get(name) == other.headers.get(name)


def test_pauses_are_kept(server, recorded, path, to):
    server.reply(["a", "b", "c"], chunk_delay=0.05)
    to(recorded, stream=True)
    recorded.stop()
    head, exchange = lines(path)
    assert head["format"] == "nvcf-recording"
    assert head["upstream"] == server.base_url
    chunks = exchange["response"]["chunks"]
    assert len(chunks) >= 4
    assert sum(pause for pause, _ in chunks[1:]) > 0.1
    with Emulator.replay(path, pauses=True) as replayed:
        assert to(replayed, stream=True).elapsed.total_seconds() > 0.1


def test_a_request_that_differs(server, recorded, path, to):
    server.reply("x", times=2)
    to(recorded, "one", temperature=0.5, top_p=1)
    to(recorded, "two")
    recorded.stop()

    def differing():
        with Emulator.replay(path) as replayed:
            response = to(replayed, "one", temperature=0.6, seed=3)
            assert response.status_code == 500
            said = response.json()["error"]["message"]
            assert "body.temperature: recorded 0.5, got 0.6" in said
            assert "body.top_p: recorded 1, got nothing" in said
            assert "body.seed: not recorded, got 3" in said
            assert to(replayed, "two").status_code == 200
            assert len(replayed.unused) == 1

    with pytest.raises(AssertionError, match=r"not in recording\.jsonl.*body\.temperature"):
        differing()


def test_a_request_more_than_was_recorded(server, recorded, path, to):
    to(recorded)
    recorded.stop()

    def twice():
        with Emulator.replay(path) as replayed:
            to(replayed).raise_for_status()
            to(replayed).raise_for_status()

    with pytest.raises(httpx.HTTPStatusError) as raised:
        twice()
    assert "used already" in raised.value.__notes__[0]


def test_an_echoed_key_and_chosen_texts_are_not_written(server, path, to):
    server.add_key(SECRET)
    with Emulator.record(path, server.base_url, redact=["Ann"]) as recorder:
        server.fail(403, body={"detail": f"{SECRET} may not"})
        server.reply(["Dear A", "nn"])
        assert SECRET in to(recorder, "Ann asks").text, "the client gets it as it is"
        to(recorder, "For Ann", stream=True)
    text = path.read_text()
    assert SECRET not in text
    assert "Ann" not in text
    first, second = lines(path)[1:]
    assert first["request"]["body"]["messages"][0]["content"] == "[redacted] asks"
    assert "[redacted] may not" in first["response"]["chunks"][0][1]
    assert second["request"]["body"]["messages"][0]["content"] == "For [redacted]"
    with Emulator.replay(path) as replayed:
        assert "[redacted] may not" in to(replayed, "Ann asks").text
        assert to(replayed, "For Bob", stream=True).status_code == 200


ODD = 'nvapi-a/real+key"with=signs'


@pytest.mark.parametrize(
    "echo",
    [
        ODD,
        json.dumps({"said": ODD}),
        json.dumps({"said": ODD}).replace("/", "\\/"),
        f"?key={quote(ODD)}&next=1",
        f"?key={quote(ODD, safe='')}",
        f"?key={quote(ODD, safe='').replace('%2F', '%2f')}",
        base64.b64encode(ODD.encode()).decode(),
        json.dumps({ODD: 1}),
        f'{{"said": "{ODD}"}}'.replace("+", "\\u002B").replace('key"', "key\\u0022"),
    ],
)
def test_a_key_is_not_written_in_any_spelling(server, path, to, echo):
    server.add_key(ODD)
    data = echo.encode()
    with Emulator.record(path, server.base_url) as recorder:
        server.raw(status=403, headers={}, chunks=[data[:20], data[20:]])
        assert to(recorder, key=ODD).content == data
    (exchange,) = lines(path)[1:]
    written = "".join(text for _, text in exchange["response"]["chunks"])
    assert "[redacted]" in written
    assert len(written) < len(echo)
    assert not any(part in written for part in ("real", "cmVhb"))


def test_a_key_in_the_query_and_in_a_field_name(server, recorded, path, bare, to):
    headers = {"authorization": f"Bearer {SECRET}"}
    bare.get(f"{recorded.base_url}/models?api_key={SECRET}&x=1", headers=headers)
    to(recorded, **{SECRET: 1})
    recorded.stop()
    assert SECRET not in path.read_text()
    with Emulator.replay(path) as replayed:
        assert bare.get(f"{replayed.base_url}/models?api_key=another&x=1").status_code == 200


def test_base64_of_a_short_text_is_left_alone(server, path, to):
    """Redacting it would break media: the base64 of a few letters may be that of anything."""
    server.reply("QW5u")
    with Emulator.record(path, server.base_url, redact=["Ann"]) as recorder:
        to(recorder, key=server.api_key)
    assert "QW5u" in path.read_text()


def test_paths_keep_their_escapes(server, recorded, path, bare):
    escaped = "models/a%2Fb%20c"
    assert bare.get(f"{recorded.base_url}/{escaped}?x=%2F").status_code == 404
    recorded.stop()
    (exchange,) = lines(path)[1:]
    assert exchange["request"]["path"] == f"/v1/{escaped}"
    assert server.requests[-1].path == "/v1/models/a/b c", "escaped once"
    with Emulator.replay(path) as replayed:
        assert bare.get(f"{replayed.base_url}/{escaped}?x=%2F").status_code == 404


def test_keys_in_other_headers(server, recorded, path, bare):
    headers = {"x-api-key": SECRET, "api-key": SECRET, "authorization": f"Bearer {SECRET}"}
    server.fail(403, body=f"{SECRET} is wrong", on="models", headers={"set-cookie": "id=1"})
    bare.get(f"{recorded.base_url}/models", headers=headers)
    recorded.stop()
    assert SECRET not in path.read_text()
    assert "id=1" not in path.read_text()


def test_an_upstream_that_breaks_off(server, recorded, path, to, bare):
    server.fault("truncate", after=2)
    server.reply(["one ", "two ", "three "])
    with pytest.raises(httpx.RemoteProtocolError):
        to(recorded, stream=True)
    recorded.stop()
    (exchange,) = lines(path)[1:]
    assert exchange["response"]["complete"] is False
    with Emulator.replay(path) as replayed, pytest.raises(httpx.RemoteProtocolError):
        to(replayed, stream=True)


def test_an_upstream_that_is_not_there(path, to):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with Emulator.record(path, upstream) as recorder:
            response = to(recorder)
    assert response.status_code == 502
    assert f"cannot reach {upstream}/chat/completions" in response.text
    assert len(lines(path)) == 1


def test_a_client_that_leaves(server, recorded, path):
    server.reply(["word "] * 1000, chunk_delay=0.01)
    body = {"model": KIMI, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"authorization": f"Bearer {SECRET}"}
    url = f"{recorded.base_url}/chat/completions"
    with (
        httpx.Client(headers=headers) as client,
        client.stream("POST", url, json=body) as response,
    ):
        next(response.iter_bytes())
    assert server.wait_until(lambda: server.streaming == 0)
    recorded.stop()
    (exchange,) = lines(path)[1:]
    assert exchange["response"]["complete"] is False
    assert exchange["response"]["chunks"]


def test_many_at_once(server, recorded, path, to):
    server.reply(lambda request: request.user, times=None)
    texts = [f"text {number}" for number in range(20)]
    threads = [threading.Thread(target=to, args=(recorded, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded.stop()
    with Emulator.replay(path) as replayed:
        for text in texts:
            assert to(replayed, text).json()["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("upstream", ["localhost:8000/v1", "http://localhost:8000", "ftp://a/v1"])
def test_what_cannot_be_recorded(path, upstream):
    with pytest.raises(ValueError, match="ends in /v1"):
        Emulator.record(path, upstream=upstream)


def test_other_paths_go_nowhere(recorded, bare, path):
    assert bare.get(recorded.base_url.removesuffix("/v1") + "/other").status_code == 404
    assert len(lines(path)) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "other"}', '{"format": "nvcf-recording", "version": 1}\n{}']
)
def test_what_cannot_be_replayed(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match="cannot be replayed"):
        Emulator.replay(path)
