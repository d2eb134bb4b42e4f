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


def outcomes(said: str) -> set[tuple[str, str]]:
    return set(
        re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL) .*::test_(\S+)", said, re.MULTILINE)
    )


def test_the_fixtures(tmp_path):
    said = run_pytest(tmp_path, TESTS, "--strict-markers", "-o", "asyncio_mode=auto")
    good = {"good", "set_up", "environment", "environment_is_gone", "in_a_loop"}
    assert outcomes(said) == {("PASSED", name) for name in good}, said


MISTAKES = """
import unittest
import httpx
import pytest
from nvcf_emulator import Emulator

TOOL = {"type": "function", "function": {"name": "search", "parameters": {
    "type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}}}

def ask(server, text="Hi"):
    messages = [{"role": "user", "content": text}]
    body = {"model": "moonshotai/kimi-k2.6", "messages": messages, "tools": [TOOL]}
    headers = {"authorization": f"Bearer {server.api_key}"}
    httpx.post(f"{server.base_url}/chat/completions", json=body, headers=headers)

def misspelt(server):
    server.reply(txt="Hello.")

def unknown_tool(server):
    server.reply(tool_calls=[{"name": "serach", "arguments": {"query": "x"}}])
    ask(server)

def misfit(server):
    server.reply(tool_calls=[{"name": "search", "arguments": {"qeury": "x"}}])
    ask(server)

def leftover(server):
    server.reply("left over", times=2)
    ask(server)

def unmatched(server):
    server.reply("Sunny.", when="Rome")

def unexpected(server):
    ask(server)

def raising(server):
    server.reply(lambda request: {}["nothing"])
    ask(server)

def raising_predicate(server):
    server.reply("x", when=lambda request: request.nothing)
    ask(server)

ALL = [misspelt, unknown_tool, misfit, leftover, unmatched, unexpected, raising, raising_predicate]
NAMES = [mistake.__name__ for mistake in ALL]

@pytest.mark.parametrize("mistake", ALL, ids=NAMES)
def test_fixture(nvcf_emulator, mistake):
    mistake(nvcf_emulator)

@pytest.mark.asyncio
@pytest.mark.parametrize("mistake", ALL, ids=NAMES)
async def test_async(nvcf_env, mistake):
    mistake(nvcf_env)

@pytest.mark.parametrize("mistake", ALL, ids=NAMES)
def test_block(mistake):
    with Emulator(strict=True) as server:
        mistake(server)

class Case(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Emulator(strict=True))

for mistake in ALL:
    def test(self, mistake=mistake):
        mistake(self.server)
    setattr(Case, f"test_unittest_{mistake.__name__}", test)
"""

ADVICE = {
    "misspelt": "did you mean 'text'",
    "unknown_tool": "Correct the name in reply(tool_calls=…), offer the tool, or",
    "misfit": "'query' is a required property. Correct reply(tool_calls=…), or pass unchecked",
    "leftover": "reply(text='left over')\n",
    "unmatched": "Correct `when` or `times`, or leave them out.",
    "unexpected": "Script them with reply(…, when=…), or use Emulator(strict=False)",
    "raising": "KeyError: 'nothing'\n",
    "raising_predicate": "object has no attribute 'nothing'",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_mistake_fails_its_test(tmp_path, options):
    said = run_pytest(tmp_path, MISTAKES, "-o", "asyncio_mode=strict", *options)
    names = [f"{kind}[{name}]" for kind in ("fixture", "async", "block") for name in ADVICE]
    names += [f"unittest_{name}" for name in ADVICE]
    assert outcomes(said) == {("FAILED", name) for name in names}, said
    for name, advice in ADVICE.items():
        assert said.count(advice) >= 4, f"{name}: {advice}"
    assert "nvcf_emulator/endpoints" not in said, "the emulator's insides are of no use here"


ENDINGS = """
import unittest
import httpx
import pytest

def ask(server):
    body = {"model": "moonshotai/kimi-k2.6", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"authorization": f"Bearer {server.api_key}"}
    return httpx.post(f"{server.base_url}/chat/completions", json=body, headers=headers)

@pytest.fixture
def left(nvcf_emulator):
    nvcf_emulator.reply("left over")
    return nvcf_emulator

def test_failing(left):
    assert left is None, "its own failure"

def test_failing_by_words(left):
    pytest.fail("its own words")

def test_failing_of_what_it_scripted(nvcf_emulator):
    nvcf_emulator.reply(lambda request: {}["nothing"])
    ask(nvcf_emulator).raise_for_status()

def test_asked_for_late(request):
    request.getfixturevalue("left")

def test_skipping(left):
    pytest.skip("for a reason")

@pytest.mark.xfail(strict=True)
def test_expected_to_fail(left):
    pass

@pytest.fixture
def broken(left):
    raise RuntimeError("its own setup")

def test_broken_setup(broken):
    pass

@pytest.fixture
def closing(nvcf_emulator):
    yield
    nvcf_emulator.reply("used while it ends")
    ask(nvcf_emulator).raise_for_status()

def test_closing(closing):
    pass

@pytest.fixture
def forgetting(nvcf_emulator):
    yield
    nvcf_emulator.reply("not used while it ends")

def test_forgetting(forgetting):
    pass

@pytest.fixture
def late(nvcf_emulator):
    yield
    ask(nvcf_emulator)

def test_failing_and_late(late):
    assert late, "its own failure, and a request after it"

class Case(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def start(self, nvcf_emulator):
        nvcf_emulator.reply("left over")

    def test_case_left(self):
        pass

    def test_case_failing(self):
        self.fail("its own case")

    def test_case_skipping(self):
        self.skipTest("for a reason")
"""


def test_how_a_test_ends(tmp_path):
    said = run_pytest(tmp_path, ENDINGS)
    failed = {
        "failing",
        "failing_by_words",
        "failing_of_what_it_scripted",
        "failing_and_late",
        "asked_for_late",
        "case_left",
        "case_failing",
    }
    assert outcomes(said) == {
        *(("FAILED", name) for name in failed),
        ("XFAIL", "expected_to_fail"),
        ("ERROR", "broken_setup"),
        ("PASSED", "closing"),
        ("PASSED", "forgetting"),
        ("ERROR", "forgetting"),
    }, said
    assert "7 failed, 2 passed, 2 skipped, 1 xfailed, 2 errors" in said
    for own in ("own failure", "own words", "own setup", "own case", "500 Internal Server Error"):
        assert own in said
    assert said.count("reply(text='left over')") >= 4
    assert "reply(text='not used while it ends')" in said


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
