"""Scripting over HTTP, and the command with its script, its log and its exit code."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from nvcf_emulator.__main__ import main

KIMI = "moonshotai/kimi-k2.6"
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def control(server, bare):
    def run(method, path, **body):
        url = f"{server.root}/__emulator__/{path}"
        return bare.request(method, url, **({"json": body} if method == "POST" else {}))

    return run


def test_replies_and_failures_over_http(server, control, ask):
    call = {"name": "add", "arguments": {"a": 1}}
    first = control("POST", "reply", text="Sunny.", when={"user": "Rome"}, times=2)
    assert first.json()["pending"] == [
        {"method": "reply", "text": "Sunny.", "times": 2, "when": {"user": "Rome"}}
    ]
    control("POST", "reply", tool_calls=[call], unchecked=True)
    control("POST", "fail", status="rate_limit", retry_after=2, when="Oslo")
    control("POST", "fail", status=503)
    assert len(control("GET", "pending").json()) == 4
    assert "Sunny." in ask(KIMI, "Rome").text
    limited = ask(KIMI, "Oslo")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert ask(KIMI).json()["choices"][0]["finish_reason"] == "tool_calls"
    assert ask(KIMI).status_code == 503
    assert [item["method"] for item in control("GET", "pending").json()] == ["reply"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("reply", {"txet": "x"}, "txet"),
        ("reply", {"text": "x", "when": {"usr": "x"}}, "usr"),
        ("reply", {"text": "x", "times": "two"}, "times takes a whole number"),
        ("fail", {"status": 500, "tims": 1}, "tims"),
        ("fail", {"status": "rate_limt"}, "rate_limt"),
        ("fail", {}, "status"),
    ],
)
def test_mistakes_are_named(server, control, path, body, named):
    refused = control("POST", path, **body)
    assert refused.status_code == 400
    assert named in refused.json()["error"]
    assert server.pending == []


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_bodies_that_are_not_objects(server, bare, content):
    refused = bare.post(f"{server.root}/__emulator__/reply", content=content)
    assert refused.status_code == 400
    assert "must be a JSON object of keywords" in refused.json()["error"]


def test_what_arrived_is_told_without_the_key(server, control, ask):
    ask(KIMI, "Rome", headers={"x-api-key": "secret", "cookie": "id=secret"})
    (request,) = control("GET", "requests").json()
    assert request["body"]["messages"] == [{"role": "user", "content": "Rome"}]
    assert (request["place"], request["method"]) == ("ask", "POST")
    assert server.api_key not in json.dumps(request)
    assert "secret" not in json.dumps(request)
    assert server.requests[0].path == "/v1/chat/completions"
    assert len(server.requests) == 1, "the control endpoints are not among what arrived"


def test_a_function_of_the_test_itself_is_told_as_text(server, control):
    server.reply(lambda request: "x", when=lambda request: True)
    (item,) = control("GET", "pending").json()
    assert "function" in item["text"]
    assert "function" in item["when"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "repyl"), ("GET", "reply"), ("POST", "requests"), ("DELETE", "reset"), ("GET", "")],
)
def test_paths_that_there_are_not(server, control, method, path):
    refused = control(method, path)
    assert refused.status_code == 404
    assert f"no {method} /__emulator__/{path}; below" in refused.json()["error"]
    assert "POST reply, fail" in refused.json()["error"]
    assert server.requests == []


@pytest.mark.nvcf_emulator(strict=False)
def test_reset(server, control, ask):
    server.reply("x", when="Rome")
    server.alternating = True
    ask(KIMI)
    assert control("POST", "reset").status_code == 200
    assert (server.requests, server.pending, server.alternating) == ([], [], False)
    assert control("GET", "reply").status_code == 404


def test_unexpected_requests(bare):
    from nvcf_emulator import Emulator

    server = Emulator(strict=True).start()
    key = {"authorization": f"Bearer {server.api_key}"}
    body = {"model": KIMI, "messages": HI}
    assert bare.post(f"{server.base_url}/chat/completions", json=body, headers=key).is_error
    (item,) = bare.get(f"{server.root}/__emulator__/unexpected").json()
    assert item["body"] == body
    server.stop()


SCRIPT = """
- text: Sunny.
  when: Rome
- status: rate_limit
- tool_calls: [{name: add, arguments: {a: 1}}]
  when: {system: planner}
  unchecked: true
"""


class Running:
    """The command, running in a folder."""

    def __init__(self, folder, *options):
        command = [sys.executable, "-m", "nvcf_emulator", "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )
        self.env = {}
        for line in iter(self.process.stdout.readline, ""):
            if found := re.fullmatch(r"export (\w+)=(.*)\n", line):
                self.env[found[1]] = found[2]
            if "NVIDIA_API_KEY" in self.env or ("NVCF_URL" in self.env and "--record" in options):
                break

    def ask(self, bare, content, key=None):
        body = {"model": KIMI, "messages": [{"role": "user", "content": content}]}
        key = key or self.env["NVIDIA_API_KEY"]
        headers = {"authorization": f"Bearer {key}"}
        url = f"{self.env['NVIDIA_BASE_URL']}/chat/completions"
        return bare.post(url, json=body, headers=headers)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.fixture
def command(tmp_path):
    started = []

    def run(*options):
        started.append(Running(tmp_path, *options))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def test_a_script_from_a_file(command, tmp_path, bare):
    (tmp_path / "script.yaml").write_text(SCRIPT)
    running = command("--strict", "--script", "script.yaml", "--log", "log.jsonl")
    assert "Sunny." in running.ask(bare, "Rome").text
    assert running.ask(bare, "Bern").status_code == 429
    assert running.ask(bare, "Bern").status_code == 500
    code, errors = running.stop()
    assert code == 1
    assert "user 'Bern'" in errors
    assert "when={'system': 'planner'}" in errors
    assert "Traceback" not in errors
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [item["body"]["messages"][0]["content"] for item in logged] == ["Rome", "Bern", "Bern"]
    assert running.env["NVIDIA_API_KEY"] not in (tmp_path / "log.jsonl").read_text()


def test_recording_and_replaying_from_a_shell(command, server, tmp_path, bare):
    server.reply("Recorded.")
    recording = command("--record", "it.jsonl", "--upstream", server.base_url)
    assert "Recorded." in recording.ask(bare, "Hi", key=server.api_key).text
    assert recording.stop()[0] == 0
    replaying = command("--replay", "it.jsonl")
    assert "Recorded." in replaying.ask(bare, "Hi").text
    assert replaying.stop()[0] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- txet: x", "line 1: unknown keyword 'txet'"),
        ("- text: x\n  when: Rome\n- 3", "line 3: a dict"),
        ("# Replies\n- text: x\n  text: y", "line 2: 'text' stands there twice"),
        ("- text: x\n- text: x\n  when: {user: a, user: b}", "line 2: 'user' stands there twice"),
        ("- text: x\n  times: two", "line 1: times takes a whole number"),
        ("- text: 5", "line 1: text takes a text"),
        ("text: x", "must hold a list"),
        ("- [", "is not YAML"),
    ],
)
def test_scripts_that_are_wrong(tmp_path, capsys, text, said):
    path = tmp_path / "script.yaml"
    path.write_text(text)
    assert main(["--port", "0", "--script", str(path)]) == 1
    assert said in capsys.readouterr().err


def test_a_script_from_a_file_in_a_program(tmp_path, server):
    (tmp_path / "script.yaml").write_text("- text: Sunny.\n  when: Rome\n- status: overloaded")
    server.load_script(tmp_path / "script.yaml")
    assert [pending.method for pending in server.pending] == ["reply", "fail"]
    (tmp_path / "other.yaml").write_text("text: x")
    with pytest.raises(ValueError, match="must hold a list"):
        server.load_script(str(tmp_path / "other.yaml"))
    with pytest.raises(FileNotFoundError):
        server.load_script(tmp_path / "none.yaml")


def test_files_that_are_missing(tmp_path, capsys):
    assert main(["--port", "0", "--script", str(tmp_path / "none.yaml")]) == 1
    assert main(["--port", "0", "--replay", str(tmp_path / "none.jsonl")]) == 1
    assert main(["--port", "0", "--record", str(tmp_path / "it"), "--upstream", "localhost"]) == 1
    assert capsys.readouterr().err.count("nvcf-emulator: ") == 3
