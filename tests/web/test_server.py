"""The server of the web page, asked as the page asks it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SERVER = Path(__file__).parents[2] / "examples" / "web" / "server.py"


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    """A client of the page's server."""
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def told(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def ask(http: httpx.Client, text: str, conversation: str = "one", **more: Any) -> list[Any]:
    question = {"conversation": conversation, "model": KIMI, "text": text, **more}
    return told(http.post("/chat", json=question))


def said(events: list[Any], kind: str = "text") -> str:
    return "".join(event["text"] for event in events if event["type"] == kind)


def asked(server: Emulator) -> list[list[dict[str, Any]]]:
    """The messages of each request to a model."""
    return [request.body["messages"] for request in server.chats]


def test_the_page_and_its_parts(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for part in ("style.css", "chat.js"):
        assert f'"{part}"' in page.text
        assert http.get(f"/{part}").status_code == 200
    assert "http" not in page.text.replace("http-equiv", ""), "nothing is loaded from elsewhere"


def test_the_models_and_their_media(http: httpx.Client) -> None:
    models = {one["id"]: one["media"] for one in http.get("/models").json()}
    assert models[KIMI] == ["image", "video"]
    assert models["nvidia/nemotron-3-super-120b-a12b"] == []


def test_an_answer_in_pieces(http: httpx.Client, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(reasoning=["Let me ", "see."], text=["Four", "."])
    events = ask(http, "2 + 2?")
    assert said(events, "reasoning") == "Let me see."
    assert said(events) == "Four."
    assert events[-1] == {"type": "end"}
    assert len(events) >= 4, "it comes in pieces"


def test_a_conversation_goes_on_and_others_do_not_see_it(
    http: httpx.Client, nvcf_emulator: Emulator
) -> None:
    ask(http, "I am Ada.", "one")
    ask(http, "I am Bob.", "two")
    ask(http, "Who am I?", "one")
    *_, last = asked(nvcf_emulator)
    assert [message["role"] for message in last] == ["user", "assistant", "user"]
    assert "Ada" in str(last[0])
    assert "Bob" not in str(last)


def test_another_model_goes_on_where_one_ended(http: httpx.Client, nvcf_emulator: Emulator) -> None:
    ask(http, "Hello")
    ask(http, "Go on", model="nvidia/nemotron-3-super-120b-a12b")
    first, second = (request.body for request in nvcf_emulator.chats)
    assert (first["model"], second["model"]) == (KIMI, "nvidia/nemotron-3-super-120b-a12b")
    assert len(second["messages"]) == 3


def test_a_tool_is_called_and_its_result_told(http: httpx.Client, nvcf_emulator: Emulator) -> None:
    arguments = {"first": "2026-02-01", "last": "2026-03-01"}
    nvcf_emulator.reply(
        reasoning="I count.",
        tool_calls=[{"id": "c1", "name": "days_between", "arguments": arguments}],
    )
    nvcf_emulator.reply(text="28 days.")
    events = ask(http, "How long is February?")
    call, result = (event for event in events if event["type"] in ("call", "result"))
    assert (call["name"], json.loads(call["arguments"])) == ("days_between", arguments)
    assert (result["id"], result["text"]) == (call["id"], "28")
    assert said(events) == "28 days."
    assert asked(nvcf_emulator)[1][-1]["content"] == "28"
    ask(http, "And March?")
    assert len(asked(nvcf_emulator)[2]) == 5, "the call and its result are remembered"


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("days_between", {"first": "yesterday", "last": "2026-03-01"}, "ValidationError"),
        ("no_such_tool", {}, "KeyError"),
        ("days_between", '{"first": ', "ValueError"),
    ],
)
def test_a_call_that_fails_is_told_to_the_model(
    http: httpx.Client, nvcf_emulator: Emulator, name: str, arguments: Any, why: str
) -> None:
    call = {"id": "c1", "name": name, "arguments": arguments}
    nvcf_emulator.reply(reasoning="Now.", tool_calls=[call], unchecked=True)
    nvcf_emulator.reply(text="I cannot.")
    events = ask(http, "Try")
    assert why in said(events, "result")
    assert why in asked(nvcf_emulator)[1][-1]["content"]
    assert events[-1] == {"type": "end"}


def test_a_model_that_calls_for_ever_is_ended(
    http: httpx.Client, nvcf_emulator: Emulator, server: ModuleType
) -> None:
    arguments = {"first": "2026-02-01", "last": "2026-03-01"}
    call = {"name": "days_between", "arguments": arguments}
    nvcf_emulator.reply(reasoning="Again.", tool_calls=[call], times=None)
    assert "called tools" in said(ask(http, "Go"), "error")
    assert len(nvcf_emulator.chats) == server.MOST_ROUNDS


def test_an_error_in_words_and_the_conversation_goes_on(
    http: httpx.Client, nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.fail("rate_limit")
    events = ask(http, "Hello")
    assert events[-1]["type"] == "error"
    assert "429" in events[-1]["text"] or "rate" in events[-1]["text"].lower()
    assert nvcf_emulator.api_key not in str(events)
    assert ask(http, "Hello again")[-1] == {"type": "end"}
    assert len(asked(nvcf_emulator)[-1]) == 1, "the question that failed is not asked again"


def test_an_answer_that_breaks_off_is_not_remembered(
    http: httpx.Client, nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.fault("truncate")
    nvcf_emulator.reply(text=["Half ", "of ", "it"])
    events = ask(http, "Hello")
    assert said(events) == "Half of "
    assert events[-1]["type"] == "error"
    ask(http, "Hello again")
    assert len(asked(nvcf_emulator)[-1]) == 1


def test_what_a_model_cannot_take_is_said(http: httpx.Client, media: Path) -> None:
    sound = upload(http, media / "lake.wav")[-1]["attachment"]
    assert "audio" in said(ask(http, "Listen", attachments=[sound]), "error")


def upload(http: httpx.Client, path: Path, **headers: str) -> list[Any]:
    return told(http.post("/upload", content=path.read_bytes(), headers=headers))


@pytest.mark.parametrize(
    ("name", "kind"), [("lake.png", "image"), ("lake.wav", "audio"), ("lake.mp4", "video")]
)
def test_a_file(
    http: httpx.Client, nvcf_emulator: Emulator, media: Path, name: str, kind: str
) -> None:
    events = upload(http, media / name)
    shares = [event["share"] for event in events if event["type"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    attachment = events[-1]["attachment"]
    assert attachment["type"] == kind
    (asset,) = nvcf_emulator.assets.values()
    assert asset.sha256 == hashlib.sha256((media / name).read_bytes()).hexdigest()
    omni = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
    assert said(ask(http, "What is it?", model=omni, attachments=[attachment]))
    assert attachment["file_id"] in nvcf_emulator.chats[-1].headers["nvcf-input-asset-references"]


def test_a_file_that_is_none_of_these(http: httpx.Client) -> None:
    events = told(http.post("/upload", content=b"a text", headers={"content-type": "text/plain"}))
    assert [event["type"] for event in events] == ["error"]
    events = told(http.post("/upload", content=b""))
    assert [event["type"] for event in events] == ["error"]


def test_an_upload_that_fails(http: httpx.Client, nvcf_emulator: Emulator, media: Path) -> None:
    nvcf_emulator.fail(500, on="put")
    assert "could not put" in said(upload(http, media / "lake.png"), "error")
    assert {asset.state for asset in nvcf_emulator.assets.values()} == {"deleted"}


def test_leaving_ends_the_request_to_the_model(http: httpx.Client, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text=["word "] * 1000, chunk_delay=0.05)
    question = {"conversation": "one", "model": KIMI, "text": "Talk"}
    with http.stream("POST", "/chat", json=question) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["text"]
        assert nvcf_emulator.streaming == 1
    assert nvcf_emulator.wait_until(
        lambda: nvcf_emulator.streaming == 0 and nvcf_emulator.open_connections == 0
    )
    ask(http, "Go on")
    roles = [message["role"] for message in asked(nvcf_emulator)[-1]]
    assert roles == ["user", "assistant", "user"], "what had come is remembered"


def test_leaving_before_the_model_says_anything(
    http: httpx.Client, nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.reply(text="late", delay=60)
    question = {"conversation": "one", "model": KIMI, "text": "Think"}
    with http.stream("POST", "/chat", json=question):
        assert nvcf_emulator.wait_until(lambda: nvcf_emulator.chats)
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.open_connections == 0)


def test_two_at_once(http: httpx.Client, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text=["slow "] * 1000, chunk_delay=0.05, when="slowly")
    nvcf_emulator.reply(text="At once.", when="quickly")
    slow = {"conversation": "one", "model": KIMI, "text": "slowly"}
    with http.stream("POST", "/chat", json=slow) as response:
        lines = response.iter_lines()
        assert next(lines)
        assert said(ask(http, "quickly", "two")) == "At once."
        assert nvcf_emulator.streaming == 1


def test_other_names_of_this_machine_are_refused(http: httpx.Client) -> None:
    assert http.get("/models", headers={"host": "evil.example"}).status_code == 400


def test_other_sites_are_refused(http: httpx.Client, nvcf_emulator: Emulator) -> None:
    question = {"conversation": "one", "model": KIMI, "text": "Hello"}
    for site in ("cross-site", "same-site"):
        answer = http.post("/chat", json=question, headers={"sec-fetch-site": site})
        assert answer.status_code == 403
    assert not nvcf_emulator.requests


def test_what_was_uploaded_is_deleted_in_the_end(
    server: ModuleType, nvcf_emulator: Emulator, media: Path
) -> None:
    from starlette.testclient import TestClient

    app = server.create_app(
        {
            "base_url": nvcf_emulator.base_url,
            "nvcf_url": nvcf_emulator.nvcf_url,
            "api_key": nvcf_emulator.api_key,
        }
    )
    with TestClient(app, base_url="http://localhost") as client:
        client.post("/upload", content=(media / "lake.png").read_bytes())
        assert {asset.state for asset in nvcf_emulator.assets.values()} == {"stored"}
    assert {asset.state for asset in nvcf_emulator.assets.values()} == {"deleted"}


@pytest.mark.slow
def test_it_is_started_and_ended_as_a_user_does() -> None:
    """Without a key, and where its port may be taken."""
    ours = ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-u", SERVER]
    with subprocess.Popen(command, env=env, stdout=-1, stderr=-1, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        lines = iter(running.stdout)
        address = next(line for line in lines if line.startswith("Open ")).split()[1]
        with httpx.Client(base_url=address, timeout=60) as client:
            assert said(ask(client, "Hello"))
        running.send_signal(signal.SIGINT)
        assert running.wait() == 0
        assert running.stderr.read() == ""
