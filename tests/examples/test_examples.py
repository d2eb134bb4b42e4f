"""Every example runs as a user runs it, against the emulator, and does what its first line says."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nvcf_emulator import Emulator

pytestmark = pytest.mark.slow

NO_MODEL = "No NVIDIA_API_KEY: the emulator answers."

Run = Callable[..., str]


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def test_every_example_is_run(examples: Path) -> None:
    named = Path(__file__).read_text(encoding="utf-8")
    names = {path.name for path in examples.glob("[!_]*.py")}
    runs = ('run("{}"', 'run_without_key("{}"')
    assert {name for name in names if not any(run.format(name) in named for run in runs)} == set()


def test_without_a_key_the_emulator_answers_and_is_named(run_without_key: Run) -> None:
    assert run_without_key("quickstart.py").startswith(NO_MODEL)


def received(line: str, sample: Path) -> bool:
    """Whether a line says that the emulator received a sample's bytes."""
    data = sample.read_bytes()
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:12]}" in line


def test_see(run_without_key: Run, examples: Path) -> None:
    first, _, langchain, _, llamaindex = run_without_key("see.py").splitlines()
    assert NO_MODEL in first
    for line in (langchain, llamaindex):
        assert "What is on this picture?" in line
        assert "image image/png, 360x240 pixels" in line
        assert received(line, examples / "media" / "lake.png")
        assert "asset" in line


def test_see_another_image(run_without_key: Run, examples: Path) -> None:
    sample = examples / "media" / "lake.jpg"
    _, _, langchain, _, llamaindex = run_without_key("see.py", str(sample)).splitlines()
    assert received(langchain, sample)
    assert received(llamaindex, sample)
    assert "asset" not in langchain + llamaindex


def test_upload(run_without_key: Run) -> None:
    printed = run_without_key("upload.py")
    assert printed.count("100.0/100.0 MB") == 2
    assert printed.count("100018696 bytes") == 2
    assert printed.count("3.00 seconds") == 2


def test_quickstart(run: Run, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(reasoning="Rayleigh.", text="It scatters.")
    nvcf_emulator.reply(text="Red, green, blue.")
    printed = run("quickstart.py")
    assert NO_MODEL not in printed
    assert "reasoning:\nRayleigh.\ntext:\nIt scatters.\nusage: {'input_tokens'" in printed
    assert "Red, green, blue.\ntokens in all: " in printed
    assert "InvalidRequestError: temperature=1.5 is out of range" in printed
    assert len(printed.splitlines()) < 24, "more than one screen"
    stream, chat = (request.body for request in nvcf_emulator.chats)
    assert stream["stream"] is True
    assert stream["chat_template_kwargs"] == {"thinking": True}
    assert chat["stream"] is False
    assert chat["chat_template_kwargs"] == {"thinking": False}


def test_thinking(run: Run, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(reasoning="Not ten cents.", text="It costs **0.05**.")
    printed = run("thinking.py")
    assert "thinking" in printed
    assert printed.index("Not ten cents.") < printed.index("It costs 0.05.")
    assert nvcf_emulator.chats[0].body["chat_template_kwargs"] == {"enable_thinking": True}


def test_agent_langgraph(run: Run, nvcf_emulator: Emulator) -> None:
    printed = run("agent_langgraph.py")
    assert "monthly_payment answered: 1159.92" in printed
    assert "exchange answered: 950.0" in printed
    bodies = [request.body for request in nvcf_emulator.chats]
    turn = ["user", "assistant", "tool", "assistant"]
    assert [roles(body) for body in bodies] == [
        turn[:1],
        turn[:3],
        turn + turn[:1],
        turn + turn[:3],
    ]
    assert bodies[3]["messages"][:5] == bodies[2]["messages"]
    [call] = bodies[1]["messages"][1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {
        "loan": 200000,
        "years": 20,
        "percent": 3.5,
    }
    assert bodies[1]["messages"][2]["tool_call_id"] == call["id"]


def test_observe_opentelemetry(run: Run, nvcf_emulator: Emulator) -> None:
    printed = run("observe_opentelemetry.py")
    first, second = printed.split("span chat moonshotai/kimi-k2.6: ")[1:]
    assert "finish_reasons = ('tool_calls',)" in first
    assert "finish_reasons = ('stop',)" in second
    for part in (first, second):
        assert "gen_ai.usage.input_tokens = " in part
        assert "gen_ai.response.time_to_first_chunk = " in part
    assert "span answer a customer: " in second
    assert "order 7 left the harbour" in second.partition("answer a customer")[2]
    for metric in ("operation.duration :", "operation.time_to_first_chunk :", "token.usage input:"):
        assert f"metric gen_ai.client.{metric} 2 times" in printed
    assert all(request.body["stream"] for request in nvcf_emulator.chats)


def test_agent_llamaindex(run: Run, nvcf_emulator: Emulator) -> None:
    printed = run("agent_llamaindex.py")
    assert "count_words({'text': 'the quick brown fox'}) = 4\ncount_words answered: 4" in printed
    assert "reverse_letters({'text': 'stressed'}) = desserts" in printed
    bodies = [request.body for request in nvcf_emulator.chats]
    turn = ["user", "assistant", "tool", "assistant"]
    assert [roles(body) for body in bodies] == [
        turn[:1],
        turn[:3],
        turn + turn[:1],
        turn + turn[:3],
    ]
    assert all(body["stream"] for body in bodies)
    assert bodies[1]["messages"][1]["reasoning_content"]


def test_workflow_llamaindex(run: Run, nvcf_emulator: Emulator) -> None:
    printed = run("workflow_llamaindex.py")
    assert "read_notes({'subject': 'tides'}): The moon pulls" in printed
    assert "Agent Editor is now handling the request" in printed
    said_by_the_editor = printed.partition("Editor: ")[2]
    assert "read_notes answered: The moon pulls" in said_by_the_editor
    reader, editor = (request.body for request in nvcf_emulator.chats)
    assert reader["messages"][0]["content"] == "You read notes, and hand off to the Editor."
    offered = [tool["function"]["name"] for tool in reader["tools"]]
    assert sorted(offered) == ["handoff", "read_notes"]
    assert editor["messages"][0]["content"] == "You make texts shorter."
    assert "tools" not in editor
    assert roles(editor) == ["system", "user", "assistant", "tool", "tool"]


def test_rag(run: Run, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text="StreamInterruptedError, and its partial answer.")
    printed = run("rag.py")
    question, answer, found = printed.split("\n\n")
    assert question.startswith("Which error does a stream raise that ends halfway")
    assert answer == "StreamInterruptedError, and its partial answer."
    assert found.startswith("found in:\n")
    assert printed.count(".md: ") == 3
    [body] = (request.body for request in nvcf_emulator.chats)
    assert body["stream"] is True
    prompt = str(body["messages"][-1]["content"])
    assert question in prompt
    assert "StreamInterruptedError" in prompt, "the pages that were found are not in the prompt"


def test_extract(run: Run, nvcf_emulator: Emulator, examples: Path) -> None:
    receipt = {
        "shop": "HARBOUR CAFE",
        "currency": "EUR",
        "items": [{"name": "Espresso", "quantity": 2, "price": 5.0}],
        "total": 15.5,
    }
    nvcf_emulator.reply(tool_calls=[{"name": "Receipt", "arguments": receipt}])
    assert json.loads(run("extract.py")) == receipt
    [body] = (request.body for request in nvcf_emulator.chats)
    text, image = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "Read this receipt."}
    data = base64.b64encode((examples / "media" / "receipt.png").read_bytes()).decode()
    assert image["image_url"]["url"] == f"data:image/png;base64,{data}"
    assert body["tool_choice"]["function"]["name"] == "Receipt"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_batch_ray(run_with_ray: Run, nvcf_emulator: Emulator) -> None:
    def answer(request: Any) -> dict[str, Any]:
        if "ordered" in request.user:
            name = request.body["tools"][0]["function"]["name"]
            customer = "Anna" if "Anna" in request.user else "Ben"
            arguments = {"customer": customer, "item": "lamp"}
        elif not request.tool_results:
            name, arguments = "in_stock", {"item": "lamp"}
        else:
            return {"text": f"There are {request.tool_results[-1]}."}
        return {"tool_calls": [{"name": name, "arguments": arguments}]}

    nvcf_emulator.reply(answer, times=6)
    run = run_with_ray
    printed = run("batch_ray.py")
    assert "Anna wants: lamp\n  There are 4." in printed
    assert "Ben wants: lamp\n  There are 4." in printed
    assert NO_MODEL not in printed


def test_hear(run: Run, nvcf_emulator: Emulator, examples: Path) -> None:
    printed = run("hear.py")
    assert printed.count("audio audio/") == 2
    for name, request in zip(("lake.wav", "lake.mp3"), nvcf_emulator.chats, strict=True):
        sound = (examples / "media" / name).read_bytes()
        uploaded = hashlib.sha256(sound).hexdigest() in {
            asset.sha256 for asset in nvcf_emulator.assets.values()
        }
        assert uploaded != (base64.b64encode(sound) in request.raw)
    assert {asset.state for asset in nvcf_emulator.assets.values()} <= {"deleted"}


def test_watch(run: Run, nvcf_emulator: Emulator, examples: Path) -> None:
    printed = run("watch.py")
    assert printed.count("video video/mp4") == 3
    bodies = [request.body for request in nvcf_emulator.chats]
    assert [body["stream"] for body in bodies] == [False, False, True]
    assert [roles(body)[-1] for body in bodies] == ["user"] * 3
    assert [len(body["messages"]) for body in bodies] == [2, 4, 2]
    film = hashlib.sha256((examples / "media" / "lake.mp4").read_bytes()).hexdigest()
    assert film in {asset.sha256 for asset in nvcf_emulator.assets.values()}
    assert {asset.state for asset in nvcf_emulator.assets.values()} == {"deleted"}
