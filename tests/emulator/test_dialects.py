"""Rules that some servers have besides the models' documentation, each behind a switch."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"

USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be kind"}
ANSWER = {"role": "assistant", "content": "Hello"}
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
RESULT = {"role": "tool", "content": "2", "tool_call_id": "c1"}
SWITCHES = (
    "require_reasoning",
    "refuse_empty_content",
    "forced_tools_refuse_thinking",
    "alternating",
    "head_first",
)


def test_every_switch_is_off_and_off_again(server):
    for switch in SWITCHES:
        assert getattr(server, switch) is False
        setattr(server, switch, True)
        assert getattr(server.state.dialect, switch) is True
    server.reset()
    assert [getattr(server, switch) for switch in SWITCHES] == [False] * 5


def test_a_misspelt_switch_is_an_error(server):
    with pytest.raises(AttributeError, match="alternatng"):
        server.alternatng = True
    with pytest.raises(AttributeError):
        server.requests = []
    assert "shape" in dir(type(server))
    assert type(server).shape is not None


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_empty_content(server, post, model):
    def calling(content):
        message = {"role": "assistant", "content": content, "tool_calls": [CALL]}
        return post(model, {"messages": [USER, message, RESULT]})

    def empty():
        return post(model, {"messages": [USER, {**ANSWER, "content": ""}, USER]})

    assert (calling("").status_code, empty().status_code) == (200, 200)
    server.refuse_empty_content = True
    for refused in (calling(""), empty()):
        assert refused.status_code == 400
        assert "must not be empty" in refused.text
    assert calling(None).status_code == 200
    assert calling("So").status_code == 200


FORCED = ["required", {"type": "function", "function": {"name": "add"}}]


@pytest.mark.parametrize("choice", FORCED)
@pytest.mark.parametrize(
    ("model", "off"),
    [
        (KIMI, {"chat_template_kwargs": {"thinking": False}}),
        (SUPER, {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_forced_tools_while_thinking(server, ask, choice, model, off):
    forced = {"tools": [ADD], "tool_choice": choice}
    assert ask(model, **forced).status_code == 200
    server.forced_tools_refuse_thinking = True
    refused = ask(model, **forced)
    assert refused.status_code == 400
    assert "incompatible with thinking enabled" in refused.text
    assert ask(model, **forced, **off).status_code == 200
    assert ask(model, tools=[ADD], tool_choice="auto").status_code == 200
    assert ask(model, tools=[ADD]).status_code == 200


ORDERS = [
    ([USER], True),
    ([SYSTEM, USER], True),
    ([SYSTEM, USER, ANSWER, USER], True),
    ([USER, USER], False),
    ([SYSTEM, SYSTEM, USER], False),
    ([USER, SYSTEM], False),
    ([ANSWER, USER], False),
]


@pytest.mark.parametrize("model", [GEMMA, NANO, KIMI])
@pytest.mark.parametrize(("messages", "good"), ORDERS)
def test_alternating(server, post, model, messages, good):
    assert post(model, {"messages": messages}).status_code == 200
    server.alternating = True
    response = post(model, {"messages": messages})
    assert (response.status_code == 200) == good
    assert good or "must alternate" in response.text


@pytest.mark.nvcf_emulator(strict=False, models=["a/b"])
def test_alternating_for_a_model_without_rules(server, post):
    server.alternating = True
    assert post("a/b", {"messages": [{**SYSTEM, "role": "developer"}, USER]}).status_code == 200
    assert post("a/b", {"messages": [{**USER, "role": "other"}]}).status_code == 400


@pytest.mark.parametrize("stream", ["true", "false"])
def test_the_head_comes_first(server, stream):
    """The head is there while the body waits for what a test decides."""
    server.head_first = True
    server.reply("late", delay=0.5)
    url = urlsplit(server.base_url)
    body = b'{"model":"%s","messages":[{"role":"user","content":"x"}],"stream":%s}'
    body %= (KIMI.encode(), stream.encode())
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\n"
        f"authorization: Bearer {server.api_key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=5) as wire:
        wire.sendall(head.encode() + body)
        first = wire.recv(65536)
        seen = time.monotonic()
        assert first.startswith(b"HTTP/1.1 200")
        assert first.endswith(b"\r\n\r\n"), "the head alone"
        rest = wire.recv(65536)
        assert time.monotonic() - seen > 0.3
        assert b"late" in rest or b"delta" in rest
