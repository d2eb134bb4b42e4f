"""Replies for chosen requests, made when asked, in sequence; what is left over, and misspelt."""

from __future__ import annotations

import re
import threading

import httpx
import pytest

from nvcf_emulator import ChatRequest, Emulator

GEMMA = "google/gemma-3n-e2b-it"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
PALI = "google/paligemma"
FUNCTION = "11111111-2222-4333-8444-555555555555"
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a"],
        },
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def text(response) -> str:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]["content"]


@pytest.fixture
def loop(post):
    """A request in which a tool has answered."""

    def run(*results: str, model: str = KIMI):
        calls = [{**CALL, "id": f"c{place}"} for place in range(len(results))]
        messages = [
            {"role": "user", "content": "How hot is Rome?"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            *[
                {"role": "tool", "content": result, "tool_call_id": f"c{place}"}
                for place, result in enumerate(results)
            ],
        ]
        return post(model, {"messages": messages, "tools": [ADD]})

    return run


def test_a_reply_for_words_of_the_user(server, ask):
    server.reply("Sunny.", when="Rome")
    server.reply("Anything.")
    assert text(ask(KIMI, "The weather in Bern?")) == "Anything."
    assert text(ask(KIMI, "The weather in Rome?")) == "Sunny."
    assert "stand-in" in text(ask(KIMI, "The weather in Rome?"))


def test_conditions_come_before_the_queue_and_in_order(server, ask):
    server.reply("queue")
    server.reply("first", when="Rome")
    server.reply("second", when="Rome")
    said = [text(ask(KIMI, "Rome")) for _ in range(3)]
    assert said == ["first", "second", "queue"]


CONDITIONS = [
    ({"model": KIMI}, [(KIMI, "x")], [(GEMMA, "x"), ("moonshotai", "x")]),
    ({"user": "Rome"}, [(KIMI, "In Rome?")], [(KIMI, "rome")]),
    ({"model": GEMMA, "user": "Rome"}, [(GEMMA, "Rome")], [(KIMI, "Rome"), (GEMMA, "Bern")]),
]


@pytest.mark.parametrize(("when", "fitting", "others"), CONDITIONS)
def test_what_a_dict_asks_for(server, ask, when, fitting, others):
    server.reply("chosen", when=when, times=None)
    for model, content in fitting:
        assert text(ask(model, content)) == "chosen"
    for model, content in others:
        assert "chosen" not in ask(model, content).text


def test_by_system_text_and_by_tool_result(server, post, loop):
    server.reply("The planner.", when={"system": "planner"})
    server.reply("It is warm.", when={"user": "Rome", "tool_result": "21"})
    messages = [
        {"role": "system", "content": "You are the planner."},
        {"role": "user", "content": [{"type": "text", "text": "Go"}]},
    ]
    assert text(loop("19")) == "add answered: 19"
    assert text(loop("19", "21 degrees")) == "It is warm."
    assert text(post(KIMI, {"messages": messages})) == "The planner."


def test_a_predicate_sees_the_request(server, post):
    seen: list[ChatRequest] = []

    def predicate(request: ChatRequest) -> bool:
        seen.append(request)
        return len(request.messages) > 2

    server.reply("long", when=predicate)
    one = {"role": "user", "content": "Hi"}
    body = {"messages": [one], "tools": [ADD], "stream": False}
    assert text(post(KIMI, body)) != "long"
    assert (
        text(post(KIMI, {**body, "messages": [one, {**one, "role": "assistant"}, one]})) == "long"
    )
    assert len(seen) == 2, "it is asked once for a request"
    first = seen[0]
    assert (first.model, first.user, first.system, first.stream) == (KIMI, "Hi", "", False)
    assert (first.tools, first.tool_results) == (["add"], [])
    assert first.body["messages"] == first.messages == [one]


def test_tool_results_are_those_of_the_last_calls():
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    messages = [
        {"role": "user", "content": "a"},
        calling,
        {"role": "tool", "content": "old"},
        calling,
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url"}]},
    ]
    request = ChatRequest({"messages": messages})
    assert request.tool_results == ["1", "2"]
    assert request.user == "look"


@pytest.mark.parametrize(
    "body", [{}, {"messages": 1, "tools": 2}, {"messages": [1, {"role": "user", "content": 3}]}]
)
def test_a_request_may_be_anything(body):
    request = ChatRequest(body)
    assert (request.user, request.system, request.tools, request.tool_results) == ("", "", [], [])


def test_the_model_of_a_path_and_of_a_function(server, ask, client):
    server.add_function(FUNCTION, model=GEMMA)
    server.reply("seen", when={"model": PALI})
    server.reply("called", when={"model": GEMMA})
    body = {"model": GEMMA, "messages": [{"role": "user", "content": "x"}]}
    called = client.post(f"{server.nvcf_url}/pexec/functions/{FUNCTION}", json=body)
    assert text(called) == "called"
    assert text(ask(PALI, "x")) == "seen"


def test_the_default_of_stream_is_the_model_s(server, client):
    server.reply("streamed", when=lambda request: request.stream)
    body = {"model": SUPER, "messages": [{"role": "user", "content": "x"}]}
    response = client.post(f"{server.base_url}/chat/completions", json=body)
    assert "streamed" in response.text
    assert server.pending == []


def test_a_reply_made_when_asked(server, ask):
    server.reply(lambda request: f"You said {request.user}", times=2)
    server.reply(
        lambda request: {"text": "b", "reasoning": "hm", "finish_reason": "length"},
        finish_reason="stop",
        model="x/y",
    )
    assert text(ask(KIMI, "A")) == "You said A"
    assert text(ask(KIMI, "B")) == "You said B"
    body = ask(KIMI).json()
    assert body["choices"][0]["message"]["reasoning_content"] == "hm"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["model"] == "x/y"


def test_a_function_may_ask_the_same_server(server, ask, client):
    def nested(request: ChatRequest) -> str:
        models = client.get(f"{server.base_url}/models").json()["data"]
        return f"{len(models)} models"

    server.reply(nested)
    assert text(ask(KIMI)) == "6 models"


def test_a_sequence_of_replies(server, ask):
    server.reply([{"text": "one"}, {"text": ["tw", "o"]}], when="count", model="x/y")
    assert [ask(KIMI, "count").json()["model"] for _ in range(2)] == ["x/y"] * 2
    assert server.pending == []
    with pytest.raises(TypeError, match="not both"):
        server.reply(["one", {"text": "two"}])


def test_times(server, ask):
    server.reply("twice", times=2)
    server.reply("always", times=None)
    assert [text(ask(KIMI)) for _ in range(4)] == ["twice", "twice", "always", "always"]
    assert server.pending == []
    server.assert_all_used()


def test_a_fitting_failure_comes_first(server, ask):
    server.fail("rate_limit", when="Rome")
    server.fail(503, times=2)
    assert ask(KIMI, "Rome").status_code == 429
    assert [ask(KIMI, "Rome").status_code for _ in range(3)] == [503, 503, 200]


def test_how_an_answer_comes_may_be_chosen_too(server, ask, client):
    server.accept(when="Rome", polls=1)
    server.reply("polled", when="Rome")
    server.raw(chunks=[b"raw"], when="Oslo")
    assert ask(KIMI, "Oslo").content == b"raw"
    accepted = ask(KIMI, "Rome")
    assert accepted.status_code == 202
    url = f"{server.base_url}/status/{accepted.headers['nvcf-reqid']}"
    assert text(client.get(url)) == "polled"


NAMED = [
    ("context_length", 400, "maximum context length"),
    ("rate_limit", 429, "Too Many Requests"),
    ("overloaded", 503, "Service Unavailable"),
    ("gone", 410, "end of life"),
    ("credits", 402, "credits"),
    ("unauthorized", 401, "authorization"),
    ("forbidden", 403, "Authorization failed"),
    ("not_found", 404, "not found"),
    ("degraded", 400, "DEGRADED"),
    ("server_error", 500, "Internal Server Error"),
    ("timeout", 504, ""),
]


@pytest.mark.parametrize(("name", "status", "said"), NAMED)
def test_failures_by_name(server, ask, name, status, said):
    server.fail(name)
    response = ask(KIMI)
    assert response.status_code == status
    assert said in response.text


def test_a_filtered_answer(server, ask):
    server.fail("content_filter", times=2)
    choice = ask(KIMI).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "")
    assert '"finish_reason":"content_filter"' in ask(KIMI, stream=True).text
    with pytest.raises(ValueError, match="times and when alone"):
        server.fail("content_filter", retry_after=3)


MISSPELT = [
    (lambda s: s.reply(txet="x"), TypeError, "'txet'.*did you mean 'text'.*extra="),
    (lambda s: s.reply([{"txt": "x"}]), TypeError, "'txt'.*did you mean 'text'"),
    (lambda s: s.reply([{"text": "x"}, {"txt": "x"}]), TypeError, "'txt'.*did you mean 'text'"),
    (lambda s: s.reply(5), TypeError, "text takes a text.*got 5"),
    (lambda s: s.reply("x", when={"usr": "x"}), ValueError, "'usr'.*user"),
    (lambda s: s.reply("x", when={}), ValueError, "empty"),
    (lambda s: s.reply("x", when=""), ValueError, "every request"),
    (lambda s: s.reply("x", when={"user": 1}), TypeError, "must be a text"),
    (lambda s: s.reply("x", when=3), TypeError, "a text, a dict or a function"),
    (lambda s: s.reply("x", times=0), ValueError, "times"),
    (lambda s: s.reply("x", shape="nothing"), ValueError, "unknown shape"),
    (lambda s: s.reply(tool_calls=[{"nam": "x"}]), TypeError, "tool call"),
    (lambda s: s.reply(tool_calls=[{"name": "x", "args": {}}]), TypeError, "'args'"),
    (lambda s: s.reply(b"x"), TypeError, "text takes a text.*got b'x'"),
    (lambda s: s.reply("x", reasoning=[1]), TypeError, "reasoning takes a text or a list"),
    (lambda s: s.reply("x", usage=5), TypeError, "usage takes a dict; got 5"),
    (lambda s: s.reply("x", delay="0.1"), TypeError, "delay takes a number of seconds"),
    (lambda s: s.reply("x", chunk_delay=-1), TypeError, "chunk_delay takes a number of seconds"),
    (lambda s: s.reply("x", times="2"), TypeError, "times takes a whole number.*got '2'"),
    (lambda s: s.reply("x", times=1.5), TypeError, "times takes a whole number"),
    (lambda s: s.reply([{"text": "x"}, {"text": 3}]), TypeError, "text takes a text.*got 3"),
    (lambda s: s.reply(tool_calls={"name": "x"}), TypeError, "tool_calls takes a list of dicts"),
    (lambda s: s.reply(tool_calls=[{"name": 5}]), TypeError, "name of a tool call takes a text"),
    (
        lambda s: s.reply(tool_calls=[{"name": "x", "arguments": [1]}]),
        TypeError,
        "arguments of a tool call takes a dict",
    ),
    (lambda s: s.reply("x", unchecked="no"), TypeError, "unchecked takes True or False"),
    (lambda s: s.fail(99999), ValueError, "99999: a status from 200 to 599"),
    (lambda s: s.fail(True), ValueError, "unknown failure True"),
    (lambda s: s.fail(500, headers={"a": 5}), TypeError, "headers takes a dict of texts"),
    (lambda s: s.fail(500, body=5), TypeError, "body takes a dict, a list, a text or bytes"),
    (lambda s: s.fail("rate_limt"), ValueError, "did you mean 'rate_limit'"),
    (lambda s: s.fail(500, tims=2), TypeError, "tims"),
    (lambda s: s.fail(500, on="models", when="x"), ValueError, "when"),
]


@pytest.mark.parametrize(("script", "kind", "said"), MISSPELT)
def test_misspelt_scripts_are_refused_at_once(server, script, kind, said):
    with pytest.raises(kind, match=said):
        script(server)
    assert server.pending == []


def test_what_is_pending(server, ask):
    server.reply("one", when="Rome", times=2)
    server.fail(429, retry_after=1)
    first, second = server.pending
    assert str(first) == "reply(text='one', when='Rome'), 2 times"
    assert (first.method, first.times, first.when) == ("reply", 2, "Rome")
    assert str(second) == "fail(status=429, retry_after=1)"
    with pytest.raises(
        AssertionError, match=r"2 scripted step\(s\) not used up:\n  reply\(text='one'"
    ):
        server.assert_all_used()
    ask(KIMI, "Rome")
    assert server.pending[0].times == 1
    server.forget_replies()
    assert server.pending == []
    assert len(server.chats) == 1
    server.assert_all_used()
    server.clear()
    assert server.requests == []


FITTING = [
    {"a": 1},
    {"a": 1, "b": 2},
    '{"a": 1}',
    '{"a": ',
    "",
]
NOT_FITTING = [
    ({}, "'a' is a required property"),
    ({"a": "x"}, "a: 'x' is not of type 'integer'"),
    ('{"a": 1.5}', "a: 1.5 is not of type 'integer'"),
]


@pytest.mark.parametrize("arguments", FITTING)
def test_calls_of_offered_tools(server, ask, arguments):
    server.reply(tool_calls=[{"name": "add", "arguments": arguments}])
    assert ask(KIMI, tools=[ADD]).status_code == 200


@pytest.mark.parametrize(("arguments", "said"), NOT_FITTING)
def test_arguments_against_the_schema(within, arguments, said):
    given = {"tool_calls": [{"name": "add", "arguments": arguments}], "fields": {"tools": [ADD]}}
    with pytest.raises(AssertionError) as raised:
        within(**given)
    assert said in str(raised.value)
    assert "unchecked=True" in str(raised.value)
    assert within(**given, unchecked=True).status_code == 200


@pytest.mark.parametrize(("fields", "listed"), [({"tools": [ADD]}, "'add'"), ({}, "no tools")])
def test_calls_of_tools_that_are_not_offered(within, fields, listed):
    with pytest.raises(AssertionError, match=f"'ad'.*offers {listed}"):
        within(fields=fields, tool_calls=[{"name": "ad"}])
    message = within.response.json()["error"]["message"]
    assert within.response.status_code == 500
    assert "'ad' is not of a tool that the request offers" in message
    assert within.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "parameters", [{"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}]
)
def test_a_schema_that_cannot_be_read_is_not_held_against_anyone(server, ask, parameters):
    tool = {"type": "function", "function": {"name": "add", "parameters": parameters}}
    server.reply(tool_calls=[{"name": "add", "arguments": {"a": 1}}])
    assert ask(KIMI, tools=[tool]).status_code == 200


@pytest.fixture
def within(bare):
    """Script a server, ask it, and leave its `with` block; the response, unless that raises."""

    def run(strict=False, fields=None, check=False, **reply) -> httpx.Response:
        with Emulator(strict=strict) as server:
            server.reply(**reply)
            response = bare.post(
                f"{server.base_url}/chat/completions",
                json={
                    "model": KIMI,
                    "messages": [{"role": "user", "content": "Hi"}],
                    **(fields or {}),
                },
                headers={"authorization": f"Bearer {server.api_key}"},
            )
            if check:
                response.raise_for_status()
            run.response = response
        return response

    return run


class Broken(Exception):
    """What a test's function raises."""


def breaks(request: ChatRequest) -> str:
    raise Broken(f"at {request.user}")


RAISING = [
    ({"text": breaks}, Broken, "breaks.*raised"),
    ({"text": "x", "when": breaks}, Broken, "breaks raised"),
    ({"text": lambda request: {"txet": "x"}}, TypeError, "unknown keyword 'txet'"),
    ({"text": lambda request: 3}, TypeError, "returned 3"),
    ({"text": lambda request: pytest.fail("from within")}, pytest.fail.Exception, "from within"),
]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("reply", "kind", "said"), RAISING)
def test_a_function_that_raises_fails_the_test(within, strict, reply, kind, said):
    with pytest.raises(kind) as raised:
        within(strict=strict, **reply)
    assert "used what the test scripted" in raised.value.__notes__[0]
    assert within.response.status_code == 500
    assert re.search(said, within.response.json()["error"]["message"])


def test_what_the_function_raised_comes_before_what_it_caused(within):
    with pytest.raises(Broken) as raised:
        within(text=breaks, check=True)
    assert isinstance(raised.value.__context__, httpx.HTTPStatusError)


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_sent_fails_the_test(bare):
    """Whatever else is wrong with a script: the server says 500, and the test must not be green."""

    def run():
        with Emulator() as server:
            server.raw(headers={"a": 5}, chunks=[b"x"])
            body = {"model": KIMI, "messages": [{"role": "user", "content": "Hi"}]}
            key = {"authorization": f"Bearer {server.api_key}"}
            url = f"{server.base_url}/chat/completions"
            assert bare.post(url, json=body, headers=key).status_code == 500

    with pytest.raises(AttributeError, match="'int' object has no attribute 'encode'"):
        run()


@pytest.mark.parametrize("status", [200, 418, 499, 520, 599])
def test_a_failure_with_any_status(server, ask, status):
    server.fail(status)
    assert ask(KIMI).status_code == status


def test_a_key_press_is_not_hidden():
    def pressed():
        with Emulator(strict=True) as server:
            server.reply("left over")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pressed()


def test_three_agents_at_once(server):
    """Each agent gets what was scripted for it, whatever the order in which they ask."""
    names = ("planner", "writer", "critic")
    for turn in range(20):
        for name in names:
            server.reply(f"{name} {turn}", when={"system": name})
    said: dict[str, list[str]] = {name: [] for name in names}

    def agent(name: str) -> None:
        with httpx.Client(headers={"authorization": f"Bearer {server.api_key}"}) as own:
            for _ in range(20):
                messages = [
                    {"role": "system", "content": f"You are the {name}."},
                    {"role": "user", "content": "Go on."},
                ]
                body = {"model": KIMI, "messages": messages}
                url = f"{server.base_url}/chat/completions"
                said[name].append(text(own.post(url, json=body)))

    threads = [threading.Thread(target=agent, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {name: [f"{name} {turn}" for turn in range(20)] for name in names}
    server.assert_all_used()
