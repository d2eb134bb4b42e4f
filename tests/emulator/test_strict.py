"""The strict emulator: what nothing was scripted for, what is left over, and the fixtures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import httpx
import pytest

from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


@pytest.fixture
def to(bare):
    """Ask a server."""

    def run(server: Emulator, content: str = "Hi", **fields) -> httpx.Response:
        messages = [{"role": "user", "content": content}]
        return bare.post(
            f"{server.base_url}/chat/completions",
            json={"model": KIMI, "messages": messages, **fields},
            headers={"authorization": f"Bearer {server.api_key}"},
        )

    return run


def test_a_request_that_nothing_was_scripted_for(to):
    def run():
        with Emulator(strict=True) as server:
            server.reply("Sunny.", when="Rome")
            refused = to(server, "What of Bern?")
            assert refused.status_code == 500
            said = refused.json()["error"]["message"]
            assert "What of Bern?" in said
            assert "reply(text='Sunny.', when='Rome')" in said
            assert [request.body["messages"][0]["content"] for request in server.unexpected] == [
                "What of Bern?"
            ]
            to(server, "What of Bern?")

    with pytest.raises(AssertionError) as raised:
        run()
    said = str(raised.value)
    assert "2 request(s) that nothing was scripted for" in said
    assert "'What of Bern?' (2x)" in said
    assert "1 scripted step(s) not used up" in said


def test_all_is_well_where_everything_was_used(to):
    with Emulator(strict=True) as server:
        server.reply("Sunny.", when="Rome")
        server.fail(429)
        assert to(server, "Rome").status_code == 200
        assert to(server).status_code == 429


def test_a_way_of_answering_is_a_script_too(to):
    with Emulator(strict=True) as server:
        server.error_in_stream("error-object")
        assert to(server, stream=True).status_code == 200


def test_what_needs_no_script(to, bare):
    with Emulator(strict=True) as server:
        key = {"authorization": f"Bearer {server.api_key}"}
        assert bare.get(f"{server.base_url}/models", headers=key).status_code == 200
        assert bare.get(f"{server.nvcf_url}/assets", headers=key).status_code == 200
        body = {"model": "nvidia/nv-embedqa-e5-v5", "input": "x"}
        assert bare.post(f"{server.base_url}/embeddings", json=body, headers=key).status_code == 200
        assert to(server, temperature=9).status_code == 400, "its model refuses it first"
        assert server.unexpected == []


def test_a_block_that_failed_keeps_its_error_and_says_more(to):
    def run():
        with Emulator(strict=True) as server:
            server.reply("left", when="Rome")
            to(server).raise_for_status()

    with pytest.raises(httpx.HTTPStatusError) as raised:
        run()
    (note,) = raised.value.__notes__
    assert "nothing was scripted for" in note
    assert "reply(text='left', when='Rome')" in note


def test_the_lenient_one_checks_nothing_of_that(to):
    with Emulator() as server:
        server.reply("left", when="Rome")
        assert to(server).status_code == 200
        assert server.unexpected == []


def test_with_unittest(to):
    class Case(unittest.TestCase):
        def test(self):
            server = self.enterContext(Emulator(strict=True))
            server.reply("Hello.")
            assert "Hello." in to(server).text

        def test_left(self):
            self.enterContext(Emulator(strict=True)).reply("left")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 2
    ((case, trace),) = result.failures
    assert case.id().endswith("test_left")
    assert "not used up" in trace


TESTS = """
import os
import httpx
import pytest

KIMI = "moonshotai/kimi-k2.6"

def ask(server, text="Hi", model=KIMI, key=None):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": f"Bearer {key or server.api_key}"}
    return httpx.post(f"{server.base_url}/chat/completions", json=body, headers=headers)

def test_good(nvcf_emulator):
    nvcf_emulator.reply("Hello.")
    assert "Hello." in ask(nvcf_emulator).text

def test_leftover(nvcf_emulator):
    nvcf_emulator.reply("left over")

def test_unexpected(nvcf_emulator):
    ask(nvcf_emulator)

def test_raising(nvcf_emulator):
    nvcf_emulator.reply(lambda request: {}["nothing"])
    ask(nvcf_emulator)

def test_unknown_tool(nvcf_emulator):
    nvcf_emulator.reply(tool_calls=[{"name": "serach"}])
    ask(nvcf_emulator)

def test_misspelt(nvcf_emulator):
    nvcf_emulator.reply(txt="Hello.")

@pytest.mark.nvcf_emulator(
    strict=False, models=["a/b"], keys=["nvapi-second"], functions={"f-1": KIMI}
)
def test_set_up(nvcf_emulator):
    assert ask(nvcf_emulator, model="a/b", key="nvapi-second").status_code == 200
    assert nvcf_emulator.state.function("f-1", None).model == KIMI
    nvcf_emulator.reply("left over")

def test_environment(nvcf_env):
    assert os.environ["NVIDIA_API_KEY"] == nvcf_env.api_key
    assert os.environ["NVIDIA_BASE_URL"] == nvcf_env.base_url
    assert os.environ["NVCF_URL"] == nvcf_env.nvcf_url

def test_environment_is_gone():
    assert "NVCF_URL" not in os.environ

async def test_in_a_loop(nvcf_emulator, nvcf_env):
    assert nvcf_env is nvcf_emulator
    nvcf_emulator.reply("Hello.")
    async with httpx.AsyncClient(base_url=nvcf_emulator.base_url) as client:
        body = {"model": KIMI, "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"authorization": f"Bearer {nvcf_emulator.api_key}"}
        assert "Hello." in (await client.post("/chat/completions", json=body, headers=headers)).text
"""


def run_pytest(folder: Path, text: str, *options: str) -> str:
    (folder / "test_it.py").write_text(text)
    env = {key: value for key, value in os.environ.items() if key != "NVCF_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_fixtures(tmp_path):
    said = run_pytest(tmp_path, TESTS, "--strict-markers", "-o", "asyncio_mode=auto")
    outcomes = set(re.findall(r"^(PASSED|FAILED|ERROR) test_it.py::test_(\w+)", said, re.MULTILINE))
    good = {"good", "set_up", "environment", "environment_is_gone", "in_a_loop"}
    caught_at_the_end = {"leftover", "unexpected", "raising", "unknown_tool"}
    assert outcomes == {
        *(("PASSED", name) for name in good | caught_at_the_end),
        *(("ERROR", name) for name in caught_at_the_end),
        ("FAILED", "misspelt"),
    }, said
    assert "reply(text='left over')" in said
    assert "nothing was scripted for" in said
    assert "KeyError: 'nothing'" in said
    assert "'serach' is not of a tool that the request offers" in said
    assert "did you mean 'text'" in said


def test_there_are_no_fixtures_without_the_extra(tmp_path):
    (tmp_path / "hidden.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'uvicorn' else found(name, *rest)\n"
    )
    text = "def test_it(nvcf_emulator):\n    pass\n"
    said = run_pytest(tmp_path, text, "-p", "hidden")
    assert "fixture 'nvcf_emulator' not found" in said


def test_the_plugin_costs_nothing():
    code = (
        "import sys; import pytest; before = set(sys.modules)\n"
        "import nvcf_emulator.pytest_plugin\n"
        "new = set(sys.modules) - before\n"
        "print(*sorted(name for name in new if not name.startswith('nvcf_emulator')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == []
