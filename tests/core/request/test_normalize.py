"""Conversations put into the form that a model's page wants."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nvcf_core import BaseNVCF, Media, Message, ToolCall
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.sources import BytesSource
from nvcf_core.request.normalize import normalize

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"

IMAGE = Media(kind="image", url="https://x.org/a.png")
PNG = BytesSource(b"\x89PNG\r\n\x1a\n" + bytes(32))
AUDIO = Media(kind="audio", url="https://x.org/a.wav")


def said(messages: Any) -> list[tuple[str, tuple[Any, ...]]]:
    return [(message.role, message.parts) for message in messages]


def make(*turns: tuple[Any, ...]) -> list[Message]:
    return [
        Message(role=role, parts=parts, tool_call_id="t" if role == "tool" else None)
        for role, *parts in turns
        for parts in [tuple(parts)]
    ]


@pytest.fixture
def calling_nano() -> Any:
    """Prepares a call of nano-omni."""
    return lambda *messages: BaseNVCF(model=NANO)._build_request(messages, {}, stream=False)


@pytest.fixture
def arranged(judge_of: Any) -> Any:
    def run(model: str, *turns: tuple[Any, ...], validation: str = "error") -> Any:
        return said(normalize(make(*turns), judge_of(model, validation)[0]))

    return run


@pytest.mark.parametrize("model", [GEMMA, NANO, KIMI, UNKNOWN])
def test_an_ordinary_conversation_stays_as_it_is(model: str, arranged: Any) -> None:
    turns = [("system", "s"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]
    assert arranged(model, *turns) == [(role, tuple(parts)) for role, *parts in turns]


@pytest.mark.parametrize("model", [GEMMA, PALI, SUPER, UNKNOWN])
def test_no_messages(model: str, arranged: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no messages") as caught:
        arranged(model)
    assert caught.value.field == "messages"


@pytest.mark.parametrize(
    ("model", "role"), [(GEMMA, "tool"), (NANO, "tool"), (KIMI, "developer"), (GEMMA, "context")]
)
def test_a_role_that_the_page_lacks(model: str, role: str, arranged: Any, judge_of: Any) -> None:
    with pytest.raises(InvalidRequestError, match=rf"messages\[1\] has role '{role}'") as caught:
        arranged(model, ("user", "a"), (role, "b"))
    assert caught.value.field == "messages[1]"
    judge, warned = judge_of(model, "warn")
    assert len(normalize(make(("user", "a"), (role, "b")), judge)) == 2
    assert role in warned[0]
    assert arranged(model, (role, "b"), validation="off") == [(role, ("b",))]


def test_an_unknown_model_may_have_any_role(arranged: Any) -> None:
    assert arranged(UNKNOWN, ("developer", "b")) == [("developer", ("b",))]


def test_a_tools_result_needs_its_call(judge_of: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\].*tool_call_id"):
        normalize([Message(role="tool", parts=("x",))], judge_of(KIMI, "off")[0])


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_only_users_have_media(role: str, arranged: Any) -> None:
    with pytest.raises(InvalidRequestError, match="only user messages may have media"):
        arranged(KIMI, (role, "a", IMAGE), ("user", "b"))


def test_media_of_tools_follow_their_results(arranged: Any) -> None:
    found = arranged(
        KIMI,
        ("user", "a"),
        ("assistant", ""),
        ("tool", "one", IMAGE),
        ("tool", AUDIO, "two"),
        ("assistant", "b"),
        ("tool", IMAGE),
    )
    assert found == [
        ("user", ("a",)),
        ("assistant", ("",)),
        ("tool", ("one",)),
        ("tool", ("two",)),
        ("user", (IMAGE, AUDIO)),
        ("assistant", ("b",)),
        ("tool", ()),
        ("user", (IMAGE,)),
    ]


def test_paligemma_takes_one_message_led_by_the_system_text(arranged: Any) -> None:
    assert arranged(PALI, ("system", "one"), ("user", "two", IMAGE), ("system", "three")) == [
        ("user", ("one\n\nthree\n\ntwo", IMAGE))
    ]
    assert arranged(PALI, ("system", "one"), ("user", IMAGE, "two")) == [
        ("user", ("one", IMAGE, "two"))
    ]
    assert arranged(PALI, ("system", ""), ("user", "two")) == [("user", ("two",))]
    assert arranged(PALI, ("system", "one"), ("user",)) == [("user", ("one",))]


@pytest.mark.parametrize(
    "turns",
    [
        [("user", "a"), ("user", "b")],
        [("user", "a"), ("assistant", "b"), ("user", "c")],
        [("assistant", "a")],
        [("system", "a")],
    ],
)
def test_paligemma_takes_no_conversation(turns: Any, arranged: Any) -> None:
    with pytest.raises(InvalidRequestError, match="exactly one user message, not: "):
        arranged(PALI, *turns, validation="off")


def test_paligemma_refuses_a_picture_in_the_system_message(arranged: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\] has role system: only user"):
        arranged(PALI, ("system", IMAGE), ("user", "a"))


def test_super_has_one_system_message_and_alternates(arranged: Any) -> None:
    assert arranged(
        SUPER,
        ("system", "s1"),
        ("system", "s2"),
        ("user", "a"),
        ("system", "late"),
        ("assistant", "b"),
        ("assistant", "c"),
        ("user", "d"),
        ("user", "e"),
    ) == [
        ("system", ("s1\n\ns2",)),
        ("user", ("a\n\nlate",)),
        ("assistant", ("b\n\nc",)),
        ("user", ("d\n\ne",)),
    ]


def test_super_never_joins_tools_results(arranged: Any) -> None:
    found = arranged(SUPER, ("user", "a"), ("assistant", ""), ("tool", "x"), ("tool", "y"))
    assert found == [("user", ("a",)), ("assistant", ("",)), ("tool", ("x",)), ("tool", ("y",))]


def test_super_keeps_the_context_before_the_question(arranged: Any) -> None:
    assert arranged(SUPER, ("context", "facts"), ("user", "a")) == [
        ("context", ("facts",)),
        ("user", ("a",)),
    ]


@pytest.mark.parametrize("turns", [[("user", "a"), ("assistant", "b")], [("system", "a")]])
def test_super_wants_the_user_to_speak_last(turns: Any, arranged: Any, judge_of: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match="the model's documentation wants tool or user"
    ) as caught:
        arranged(SUPER, *turns)
    assert caught.value.field == f"messages[{len(turns) - 1}]"
    assert len(arranged(SUPER, *turns, validation="off")) == len(turns)


def test_joined_messages_keep_everything(judge_of: Any) -> None:
    call = ToolCall(0, "a", "f", "{}")
    messages = [
        Message(role="user", parts=("q",), name="ann"),
        Message(role="user", parts=(), name="bob"),
        Message(role="user", parts=("r",), name="bob"),
        Message(role="assistant", parts=("x",), tool_calls=(call,), reasoning="one", name="m"),
        Message(role="assistant", parts=("",), tool_calls=(call,), reasoning="two", name="m"),
        Message(role="user", parts=("z",)),
    ]
    user, assistant, _ = normalize(messages, judge_of(SUPER)[0])
    assert (user.parts, user.name) == (("q\n\nr",), None)
    assert (assistant.parts, assistant.name) == (("x",), "m")
    assert assistant.tool_calls == (call, call)
    assert assistant.reasoning == "one\n\ntwo"


def test_ten_megabytes_in_ten_thousand_messages_are_joined_at_once(judge_of: Any) -> None:
    # Copied anew with each of them, it would be fifty gigabytes.
    messages = make(*[("user", "x" * 1000) for _ in range(10_000)])
    start = time.process_time()
    (only,) = normalize(messages, judge_of(SUPER)[0])
    assert time.process_time() - start < 5
    assert len(only.text) == 10_000 * 1000 + 9_999 * 2


def test_text_of_a_message() -> None:
    assert Message(role="assistant", parts=("a", "b")).text == "ab"
    assert Message(role="user", parts=("a", IMAGE, "b")).text == "a\nb"
    assert Message(role="tool").text == ""


def test_errors_count_messages_as_the_user_does(arranged: Any) -> None:
    turns = [("system", "a"), ("system", "b"), ("user", "c"), ("robot", "d")]
    with pytest.raises(InvalidRequestError, match=r"messages\[3\] has role 'robot'"):
        arranged(SUPER, *turns)


def test_a_switch_that_is_added_moves_no_number(calling_nano: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]: the audio is png"):
        calling_nano(Message(role="user", parts=(Media(kind="audio", source=PNG),)))
