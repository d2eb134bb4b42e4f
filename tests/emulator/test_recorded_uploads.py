"""Recording all of a session: signed uploads, answers that are polled, results that lie elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile

import httpx
import pytest

from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
GEMMA = "google/gemma-3n-e2b-it"
SECRET = "nvapi-a-real-key-that-must-not-be-written"
KEY = {"authorization": f"Bearer {SECRET}"}
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recording.jsonl"


@pytest.fixture
def recorded(server, path):
    """A recorder before the emulator, which knows the key."""
    server.add_key(SECRET)
    with Emulator.record(path, upstream=server.base_url) as recorder:
        yield recorder


@pytest.fixture
def to_json(bare):
    """Send an object with one field, whose name a recording has for bytes."""

    def run(where, value):
        url = f"{where.base_url}/chat/completions"
        return bare.post(url, json={"base64": value}, headers=KEY)

    return run


class Session:
    """What a client does with a server, and the bytes that it gets."""

    def __init__(self, where, client):
        self.where, self.client = where, client
        self.root = where.base_url.removesuffix("/v1")
        self.got = []

    def note(self, response):
        names = ("content-type", "location", "nvcf-reqid", "nvcf-status", "nvcf-percent-complete")
        headers = [(name, response.headers.get(name)) for name in names]
        told = [response.content, repr(headers).encode()]
        self.got.append((response.status_code, *[self.anywhere(item) for item in told]))
        return response

    def anywhere(self, data):
        """Recorder and replayer differ in their ports, and in nothing else."""
        return data.replace(self.root.encode(), b"http://here")

    def create(self, media_type="image/png"):
        body = {"contentType": media_type, "description": "a test"}
        url = f"{self.where.nvcf_url}/assets"
        return self.note(self.client.post(url, json=body, headers=KEY)).json()

    def put(self, made, data):
        headers = {
            "content-type": made["contentType"],
            "x-amz-meta-nvcf-asset-description": made["description"],
        }
        return self.note(self.client.put(made["uploadUrl"], content=data, headers=headers))

    def ask(self, content, headers=None, **fields):
        body = {"model": KIMI, "messages": [{"role": "user", "content": content}], **fields}
        url = f"{self.where.base_url}/chat/completions"
        return self.note(self.client.post(url, json=body, headers={**KEY, **(headers or {})}))

    def see(self, *assets, referring=True, **fields):
        ids = [asset["assetId"] for asset in assets]
        headers = {"nvcf-input-asset-references": ",".join(ids)} if referring else {}
        tags = "".join(f'<img src="data:image/png;asset_id,{item}" />' for item in ids)
        return self.ask(tags, headers, model=GEMMA, **fields)

    def poll(self, request_id):
        return self.note(self.client.get(f"{self.where.base_url}/status/{request_id}", headers=KEY))

    def delete(self, made):
        url = f"{self.where.nvcf_url}/assets/{made['assetId']}"
        return self.note(self.client.delete(url, headers=KEY))


def whole_session(where, client, files):
    """An asset, a stream, a tool call, an answer that is polled, a large result, a stream left early."""
    session = Session(where, client)
    made = session.create()
    assert session.put(made, files.png(padding=300_000)).status_code == 200
    assert "日本" in session.see(made, stream=True).text
    called = session.ask("Add 1 and 2.", tools=[ADD]).json()
    assert called["choices"][0]["message"]["tool_calls"]
    for question in ("Later.", "Large."):
        request_id = session.ask(question).headers["nvcf-reqid"]
        assert session.poll(request_id).status_code == 202
        answer = session.poll(request_id)
    assert answer.status_code == 302
    zipped = session.note(client.get(answer.headers["location"])).content
    assert zipfile.ZipFile(io.BytesIO(zipped)).namelist() == [f"{request_id}.response"]
    body = {"model": KIMI, "messages": [{"role": "user", "content": "Long."}], "stream": True}
    url = f"{where.base_url}/chat/completions"
    with client.stream("POST", url, json=body, headers=KEY) as response:
        session.got.append((response.status_code, next(response.iter_raw())))
    assert session.delete(made).status_code == 204
    assert session.delete(made).status_code == 404
    return session.got


def test_a_whole_session_is_replayed_with_equal_bytes(server, recorded, path, bare, files):
    server.reply(["é", "日本", "😀"], chunk_delay=0.01, when={"model": GEMMA})
    server.reply(tool_calls=[{"name": "add", "arguments": {"a": 1}}])
    server.accept(polls=2)
    server.reply("polled")
    server.accept(polls=2, redirect=True)
    server.reply("large " * 1000)
    server.reply(["word "] * 1000, chunk_delay=0.01)
    first = whole_session(recorded, bare, files)
    recorded.stop()
    assert server.wait_until(lambda: server.streaming == 0)
    (asset,) = server.assets.values()
    assert asset.sha256 == hashlib.sha256(files.png(padding=300_000)).hexdigest()
    text = path.read_text()
    assert SECRET not in text
    assert "X-Amz-Signature" not in text
    assert server.base_url.removesuffix("/v1") not in text.split("\n", 1)[1]
    assert len(text) < 100_000, "the bytes of an upload are not written"
    server.clear()
    with Emulator.replay(path) as replayed:
        second = whole_session(replayed, bare, files)
        assert replayed.unused == []
    assert second == first
    assert server.requests == []


def test_assets_that_are_told_apart_by_their_bytes(server, recorded, path, bare, files):
    """Two of a kind are created at once: which of the ids is for which is known with the bytes."""
    one, other = files.png(3), files.png(4)
    server.reply(lambda request: request.user[-60:], times=None)

    def session(where, order):
        run = Session(where, bare)
        made = {name: run.create() for name in order}
        run.put(made["one"], one)
        run.put(made["other"], other)
        answers = [run.see(made["one"]).content, run.see(made["other"], made["one"]).content]
        run.delete(made["other"])
        run.delete(made["one"])
        assert [status for status, *_ in run.got] == [200] * 6 + [204] * 2
        return answers, made

    first, _ = session(recorded, ("one", "other"))
    recorded.stop()
    with Emulator.replay(path) as replayed:
        second, made = session(replayed, ("other", "one"))
        assert replayed.unused == []
    assert made["one"]["assetId"] in second[0].decode()
    assert [len(answer) for answer in second] == [len(answer) for answer in first]


def test_other_bytes_than_were_recorded(server, recorded, path, bare, files):
    session = Session(recorded, bare)
    session.put(session.create(), files.png())
    recorded.stop()

    def differing():
        with Emulator.replay(path) as replayed:
            again = Session(replayed, bare)
            assert again.put(again.create(), files.jpeg()).status_code == 500

    with pytest.raises(AssertionError, match=r"PUT .* differs in body\.length.*body\.sha256"):
        differing()


def test_assets_that_a_request_does_not_refer_to(server, recorded, path, bare, files):
    def session(where, **how):
        run = Session(where, bare)
        made = run.create()
        run.put(made, files.png())
        return run.see(made, **how)

    assert session(recorded).status_code == 200
    recorded.stop()

    def differing():
        with Emulator.replay(path) as replayed:
            assert session(replayed, referring=False).status_code == 500

    with pytest.raises(AssertionError, match="header nvcf-input-asset-references: recorded"):
        differing()


def test_an_upload_that_the_storage_refuses(server, recorded, path, bare, files):
    session = Session(recorded, bare)
    made = {**session.create(), "description": "not what was signed"}
    refused = session.put(made, files.png())
    authorized = bare.put(made["uploadUrl"], content=b"x", headers=KEY)
    recorded.stop()
    assert (refused.status_code, authorized.status_code) == (403, 400)
    assert "SignatureDoesNotMatch" in refused.text
    with Emulator.replay(path) as replayed:
        again = Session(replayed, bare)
        assert again.put(
            {**again.create(), "description": made["description"]}, files.png()
        ).content == (refused.content)


def test_a_client_that_follows_redirects_by_itself(server, recorded, path):
    server.accept(polls=1, redirect=True)
    server.reply("elsewhere")

    def zipped(where):
        run = Session(where, httpx.Client(follow_redirects=True))
        with run.client:
            return run.poll(run.ask("Hi").headers["nvcf-reqid"])

    first = zipped(recorded)
    assert first.headers["content-type"] == "application/zip", first.text
    assert "authorization" not in server.requests[-1].headers
    recorded.stop()
    with Emulator.replay(path) as replayed:
        assert zipped(replayed).content == first.content


def test_chosen_texts_in_a_zip_are_not_written(server, path, bare):
    server.add_key(SECRET)
    server.accept(polls=1, redirect=True)
    server.reply(f"Ann has {SECRET}.")

    def answer(where):
        run = Session(where, bare)
        found = run.poll(run.ask("Hi").headers["nvcf-reqid"])
        zipped = run.note(bare.get(found.headers["location"])).content
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            return archive.read(archive.namelist()[0]).decode()

    with Emulator.record(path, server.base_url, redact=["Ann"]) as recorder:
        assert "Ann" in answer(recorder)
    with Emulator.replay(path) as replayed:
        assert "[redacted] has [redacted]." in answer(replayed)


def test_a_result_that_is_no_zip_after_all(server, path, bare):
    data = b"PK\x03\x04 and no zip \xff"
    with Emulator.record(path, server.base_url) as recorder:
        server.raw(chunks=[data[:9], data[9:]])
        assert Session(recorder, bare).ask("Hi").status_code == 403
    server.add_key(SECRET)
    with Emulator.record(path, server.base_url) as recorder:
        assert Session(recorder, bare).ask("Hi").content == data
    with Emulator.replay(path) as replayed:
        assert Session(replayed, bare).ask("Hi").content == data


def test_a_short_text_that_stands_in_base64_by_chance(server, recorded, path, bare):
    data = base64.b64decode("Annn") + b"\xff is not a text" + base64.b64decode("Annn")
    assert b"Ann" in base64.b64encode(data)
    recorded.stop()
    with Emulator.record(path, server.base_url, redact=["Ann"]) as recorder:
        server.raw(chunks=[data])
        body = b"\xff" + data
        sent = bare.post(f"{recorder.base_url}/chat/completions", content=body, headers=KEY)
        assert sent.status_code == 400
        assert Session(recorder, bare).ask("Hi").content == data
    with Emulator.replay(path) as replayed:
        assert Session(replayed, bare).ask("Hi").content == data
        sent = bare.post(f"{replayed.base_url}/chat/completions", content=body, headers=KEY)
        assert sent.status_code == 400
        assert replayed.unused == []


def test_a_key_in_a_binary_request(recorded, path, bare):
    body = f"{SECRET} and ".encode() + b"\xff"
    bare.post(f"{recorded.base_url}/chat/completions", content=body, headers=KEY)
    recorded.stop()
    (exchange,) = path.read_text().splitlines()[1:]
    held = base64.b64decode(json.loads(exchange)["request"]["body"]["base64"])
    assert held == b"[redacted] and \xff"
    with Emulator.replay(path) as replayed:
        bare.post(f"{replayed.base_url}/chat/completions", content=body, headers=KEY)
        assert replayed.unused == []


def test_a_field_that_is_named_base64(server, recorded, path, to_json):
    for value in ("no base64 at all!", 5, {"a": "b"}, "aGVsbG8="):
        assert to_json(recorded, value).status_code == 404
    recorded.stop()
    with Emulator.replay(path) as replayed:
        for value in ("no base64 at all!", 5, {"a": "b"}, "aGVsbG8="):
            assert to_json(replayed, value).status_code == 404
        assert replayed.unused == []


@pytest.mark.parametrize("prefix", ["", "a", "ab"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_inside_of_base64(server, recorded, path, bare, prefix, encode):
    echoed = encode(f"{prefix}{SECRET}>>>???".encode()).decode()
    server.reply(f"It is {echoed}.")
    assert echoed in Session(recorded, bare).ask("Hi").text
    recorded.stop()
    assert echoed[8:-12] not in path.read_text()
    assert "It is " in path.read_text()


def test_the_key_of_somebody_else(server, recorded, path, bare):
    other = "nvapi-Z9_of-another-person-0123456789"
    server.reply(f"Use {other} instead.")
    Session(recorded, bare).ask(f"Is {other} good?")
    bare.get(f"{recorded.base_url}/models?api_key={other}")
    recorded.stop()
    assert other not in path.read_text()
    assert "Use [redacted] instead." in path.read_text()


def test_texts_with_line_ends_of_their_own(server, recorded, path, bare):
    """A recording has a line for each exchange, whatever stands in it."""
    said = "a\u2028b\u2029c\u0085d"
    server.reply(said, shape="u2028")
    first = Session(recorded, bare).ask(said).content
    recorded.stop()
    with Emulator.replay(path) as replayed:
        assert Session(replayed, bare).ask(said).content == first
    assert len(path.read_text().rstrip("\n").split("\n")) == 2
    assert json.loads(path.read_text().split("\n")[1])["request"]["body"]["messages"]
