"""Every example runs as a user runs it, against the emulator, and does what its first line says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from nvcf_emulator import Emulator

pytestmark = pytest.mark.slow

NO_MODEL = "No NVIDIA_API_KEY: the emulator answers"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"

Run = Callable[..., str]
Load = Callable[[Path], ModuleType]


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def test_every_example_is_run(load: Load, examples: Path) -> None:
    names = {path.name for path in examples.glob("[!_]*.py")}
    assert set(load(Path(__file__).with_name("run_all.py")).SAYS) == names


def test_the_index_lists_every_example(load: Load, examples: Path) -> None:
    generator = load(examples.parent / "docs" / "generate_examples.py")
    page = (examples / "README.md").read_text(encoding="utf-8")
    assert generator.page() == page, "run: python docs/generate_examples.py"


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
    server = nvcf_emulator
    server.reply(reasoning="Rayleigh.", text="It scatters.", when="sky", usage=usage(5, 70))
    server.reply("A boat.", when={"model": OMNI}, usage=usage(300, 2))
    server.reply("It is 1159.92.", when={"tool_result": "1159.92"}, usage=usage(40, 3))
    loan = {"loan": 200000, "years": 20, "percent": 3.5}
    call = {"name": "monthly_payment", "arguments": loan}
    server.reply(tool_calls=[call], when="each month", usage=usage(20, 4))
    city = {"name": "Lisbon", "river": "Tagus", "inhabitants": 567000}
    server.reply(json.dumps(city), when="Lisbon", usage=usage(1200, 6))
    printed = run("quickstart.py")
    server.assert_all_used()
    assert NO_MODEL not in printed
    assert "Reasoning: Rayleigh.\nAnswer: It scatters.\n" in printed
    assert "[lake.jpg]\nA boat.\n" in printed
    assert (
        "monthly_payment(loan=200000, years=20, percent=3.5) = 1159.92\nIt is 1159.92." in printed
    )
    assert "City(name='Lisbon', river='Tagus', inhabitants=567000)" in printed
    assert "InvalidRequestError: temperature=1.5 is out of range" in printed
    assert printed.endswith(
        "stream       5 tokens sent    70 received\n"
        "picture    300 tokens sent     2 received\n"
        "agent       60 tokens sent     7 received\n"
        "object   1,200 tokens sent     6 received\n"
    )
    sky, picture, agent, _, lisbon = (request.body for request in server.chats)
    assert sky["stream"] is True
    assert sky["chat_template_kwargs"] == {"enable_thinking": True}
    assert picture["messages"][0]["content"][1]["type"] == "image_url"
    assert [tool["function"]["name"] for tool in agent["tools"]] == ["monthly_payment"]
    assert lisbon["response_format"]["json_schema"]["name"] == "City"


def usage(sent: int, received: int) -> dict[str, int]:
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


def test_the_demo_without_a_key(run_without_key: Run) -> None:
    printed = run_without_key("quickstart.py", COLUMNS="80")
    lines = printed.splitlines()
    assert lines[0].startswith(NO_MODEL)
    assert "stand-in" not in printed, "an answer that nobody would give"
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 48, "more than two screens"
    assert "\x1b" not in printed, "not a terminal"


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_the_demo_in_a_terminal(
    environment: dict[str, str], coloured: bool, in_a_terminal: Run
) -> None:
    printed = in_a_terminal("quickstart.py", **environment)
    assert "\x1b[2;3mReasoning:\x1b[0m" in printed, "the reasoning is not dimmed"
    assert ("\x1b[31mInvalidRequestError" in printed) == coloured
    assert ("\x1b[1;34m> Why" in printed) == coloured
    assert max(map(len, without_styles(printed).splitlines())) <= 80


def without_styles(printed: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", printed)


def test_the_pictures_of_the_readme_show_what_the_demo_prints(
    run_without_key: Run, examples: Path
) -> None:
    printed = run_without_key("quickstart.py", COLUMNS="80").splitlines()
    expected = ["$makedemo", *("".join(line.split()) for line in printed if line)]
    for theme in ("light", "dark"):
        svg = (examples.parent / "docs" / "images" / f"demo-{theme}.svg").read_text("utf-8")
        assert shown_lines(svg) == expected, "run: python docs/make_demo_picture.py"
        assert re.findall(r"(?:href|src|url)[=(]\W?https?:", svg) == [], "asks another host"


def shown_lines(svg: str) -> list[str]:
    """The lines of a terminal's picture, in which spaces are gaps between texts: without them."""
    namespace = "{http://www.w3.org/2000/svg}"
    lines: dict[float, dict[float, str]] = {}
    for text in ElementTree.fromstring(svg).iter(f"{namespace}text"):
        if "clip-path" in text.attrib:
            line = lines.setdefault(float(text.attrib["y"]), {})
            line[float(text.attrib["x"])] = "".join((text.text or "").split())
    whole = ("".join(pieces[x] for x in sorted(pieces)) for _, pieces in sorted(lines.items()))
    return [line for line in whole if line]


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
    first, second = printed.split("span chat nvidia/nemotron-3-super-120b-a12b: ")[1:]
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
    nvcf_emulator.reply(json.dumps(receipt), when={"model": OMNI, "system": "currency"})
    assert json.loads(run("extract.py")) == receipt
    [body] = (request.body for request in nvcf_emulator.chats)
    assert '"Three letters, such as EUR."' in body["messages"][0]["content"], "no schema"
    text, image = body["messages"][-1]["content"]
    assert text == {"type": "text", "text": "Read this receipt."}
    data = base64.b64encode((examples / "media" / "receipt.png").read_bytes()).decode()
    assert image["image_url"]["url"] == f"data:image/png;base64,{data}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_batch_ray(run_with_ray: Run, nvcf_emulator: Emulator) -> None:
    def answer(request: Any) -> dict[str, Any]:
        if "ordered" in request.user:
            assert request.body["response_format"]["type"] == "json_schema"
            customer = "Anna" if "Anna" in request.user else "Ben"
            return {"text": json.dumps({"customer": customer, "item": "lamp"})}
        if request.tool_results:
            return {"text": f"There are {request.tool_results[-1]}."}
        return {"tool_calls": [{"name": "in_stock", "arguments": {"item": "lamp"}}]}

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


def test_approve(run: Run, nvcf_emulator: Emulator) -> None:
    call = {"name": "transfer", "arguments": {"recipient": "Ben", "amount": 250}}
    nvcf_emulator.reply("It is done.", when={"tool_result": "sent to Ben"})
    nvcf_emulator.reply(tool_calls=[call])
    printed = run("approve_langgraph.py")
    assert "transfer({'recipient': 'Ben', 'amount': 250})? [y/n] y\nIt is done." in printed
    first, second = (request.body for request in nvcf_emulator.chats)
    assert roles(first) == ["user"]
    assert roles(second) == ["user", "assistant", "tool"], "the run was not in the file"


@pytest.mark.parametrize("path", ["langchain", "llamaindex"])
def test_an_endpoint_whose_reader_leaves(
    path: str,
    load: Load,
    examples: Path,
    nvcf_emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = nvcf_emulator
    monkeypatch.syspath_prepend(examples)
    service = {"base_url": server.base_url, "nvcf_url": server.nvcf_url, "api_key": server.api_key}
    server.reply(["One"] + 1000 * [" more"], chunk_delay=0.05)
    module = load(examples / "fastapi_stream.py")
    with (
        module.serving(module.make_app(service)) as url,
        httpx.stream("GET", f"{url}/{path}", params={"question": "?"}, timeout=60) as response,
    ):
        assert next(response.iter_text()).startswith("One")
        assert server.streaming == 1
        response.close()
        assert server.wait_until(lambda: server.streaming == 0, timeout=60)
