"""Conversations put into the form that a model's page wants."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import BaseNVCF, Media, Message, ToolCall, spec_for
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.sources import BytesSource
from nvcf_core.models.validator import Validator
from nvcf_core.request.normalize import normalize
from nvcf_core.request.past_calls import with_call_reasoning

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"

IMAGE = Media(kind="image", url="https://x.org/a.png")
PNG = BytesSource(b"\x89PNG\r\n\x1a\n" + bytes(32))
PNG_IMAGE = Media(kind="image", source=PNG)
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


@pytest.mark.parametrize("model", [NANO, KIMI, UNKNOWN])
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


def test_a_system_message_with_media(arranged: Any) -> None:
    turns = [("system", "a", IMAGE), ("user", "b")]
    with pytest.raises(InvalidRequestError, match="only user messages may have media"):
        arranged(KIMI, *turns)
    sent = [("system", ("a", IMAGE)), ("user", ("b",))]
    assert arranged(UNKNOWN, *turns) == sent
    assert arranged(KIMI, *turns, validation="off") == sent


def test_media_of_tools_follow_their_results(arranged: Any) -> None:
    found = arranged(
        KIMI,
        ("user", "a"),
        ("assistant", "calls"),
        ("tool", "one", IMAGE),
        ("tool", "two"),
        ("assistant", "b"),
        ("tool", IMAGE),
    )
    assert found == [
        ("user", ("a",)),
        ("assistant", ("calls",)),
        ("tool", ("one",)),
        ("tool", ("two",)),
        ("user", (IMAGE,)),
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
    ("turns", "place"),
    [
        ([("user", "a"), ("user", "b")], r"messages\[1\]"),
        ([("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c")], r"messages\[2\]"),
        ([("assistant", "a"), ("user", "b")], r"messages\[0\]"),
        ([("system", "a")], "messages"),
    ],
)
def test_paligemma_takes_no_conversation(turns: Any, place: str, arranged: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{place}: .*exactly one user message, not: "):
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
    found = arranged(SUPER, ("user", "a"), ("assistant", "b"), ("tool", "x"), ("tool", "y"))
    assert found == [("user", ("a",)), ("assistant", ("b",)), ("tool", ("x",)), ("tool", ("y",))]


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
    assert (user.parts, user.name) == (("ann: q\n\nbob:\n\nbob: r",), None)
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


GIF = Media(kind="image", source=BytesSource(b"GIF89a" + bytes(20)))
FILM = Media(kind="video", url="https://x.org/a.mp4")


def call(call_id: str, name: str = "f") -> ToolCall:
    return ToolCall(0, call_id, name, "{}")


def test_an_answer_that_says_nothing_is_left_out(arranged: Any) -> None:
    turns = [("user", "a"), ("assistant",), ("assistant", ""), ("user", "b")]
    for model in (KIMI, NANO, UNKNOWN):
        assert arranged(model, *turns) == [("user", ("a",)), ("user", ("b",))]
    for model in (GEMMA, SUPER):
        assert arranged(model, *turns) == [("user", ("a\n\nb",))]
    with pytest.raises(InvalidRequestError, match="no messages to send"):
        arranged(KIMI, ("assistant", ""))


def test_an_answer_with_calls_or_media_alone_stays(judge_of: Any) -> None:
    messages = [
        Message(role="user", parts=("a",)),
        Message(role="assistant", tool_calls=(call("1"),), reasoning="hm"),
        Message(role="tool", parts=("x",), tool_call_id="1"),
        Message(role="assistant", parts=(IMAGE,)),
    ]
    assert len(normalize(messages, judge_of(UNKNOWN)[0])) == 4


@pytest.mark.parametrize(
    ("turns", "sent"),
    [
        ([("user", "a"), ("user", "b")], [("user", ("a\n\nb",))]),
        (
            [("system", "s"), ("system", "t"), ("user", "a")],
            [("system", ("s\n\nt",)), ("user", ("a",))],
        ),
        (
            [("user", "a"), ("system", "s"), ("assistant", "b"), ("user", "c")],
            [("system", ("s",)), ("user", ("a",)), ("assistant", ("b",)), ("user", ("c",))],
        ),
        ([("user", "a", IMAGE), ("user", "b")], [("user", ("a", IMAGE, "b"))]),
    ],
)
def test_gemma_alternates_and_the_system_comes_first(turns: Any, sent: Any, arranged: Any) -> None:
    assert arranged(GEMMA, *turns) == sent


def test_gemma_does_not_begin_with_an_answer(arranged: Any, judge_of: Any) -> None:
    turns = [("system", "s"), ("assistant", "Hello!"), ("user", "a")]
    with pytest.raises(
        InvalidRequestError, match=r"messages\[1\] has role assistant and comes first"
    ) as caught:
        arranged(GEMMA, *turns)
    assert caught.value.field == "messages[1]"
    judge, warned = judge_of(GEMMA, "warn")
    assert len(normalize(make(*turns), judge)) == 3
    assert "comes first" in warned[0]


def test_what_a_tool_returned_and_the_model_cannot_see_is_described(judge_of: Any) -> None:
    messages = [
        Message(role="user", parts=("go",)),
        Message(role="assistant", tool_calls=(call("1"),)),
        Message(role="tool", parts=("see", PNG_IMAGE, FILM), tool_call_id="1"),
    ]
    judge, warned = judge_of(SUPER)
    *_, result = normalize(messages, judge)
    assert result.parts == (
        "see",
        "[image, png, 40 bytes; not shown: this model takes no images]",
        "[video, https://x.org/a.mp4; not shown: this model takes no video]",
    )
    assert warned[0].startswith("messages[2]: [image, png")


def test_a_format_that_the_model_lacks_is_described_too(judge_of: Any) -> None:
    messages = [
        Message(role="user", parts=("go",)),
        Message(role="tool", parts=(GIF,), tool_call_id="1"),
    ]
    spec_judge, _ = judge_of(GEMMA)
    *_, last = normalize(messages, spec_judge, tools_as_text=True)
    assert "[image, gif, 26 bytes; not shown: this model takes images as jpeg, png]" in last.text


def test_the_users_own_media_are_left_to_the_plan_of_their_delivery(arranged: Any) -> None:
    assert arranged(SUPER, ("user", "a", IMAGE)) == [("user", ("a", IMAGE))]


@pytest.mark.parametrize("validation", ["warn", "off"])
def test_all_media_are_sent_where_nothing_is_checked(validation: str, arranged: Any) -> None:
    found = arranged(SUPER, ("user", "a"), ("tool", "x", IMAGE), validation=validation)
    assert found[-1] == ("user", (IMAGE,))


def test_media_of_several_results_are_introduced(judge_of: Any) -> None:
    messages = [
        Message(role="user", parts=("go",)),
        Message(role="assistant", tool_calls=(call("1", "draw"), ToolCall(1, "2", "photo", "{}"))),
        Message(role="tool", parts=(IMAGE,), tool_call_id="1"),
        Message(role="tool", parts=("ok", FILM), tool_call_id="2"),
        Message(role="user", parts=("well?",)),
    ]
    found = normalize(messages, judge_of(KIMI)[0])
    assert found[4].role == "user"
    assert found[4].parts == (
        "Returned by draw (call 1):", IMAGE, "Returned by photo (call 2):", FILM
    )  # fmt: skip


def test_media_of_one_result_alone_are_not_introduced(judge_of: Any) -> None:
    calls = (call("1", "draw"), ToolCall(1, "2", "photo", "{}"))
    results = [
        Message(role="tool", parts=("ok",), tool_call_id="1"),
        Message(role="tool", parts=(IMAGE, IMAGE), tool_call_id="2"),
    ]
    asked = Message(role="assistant", tool_calls=calls)
    *_, shown = normalize([asked, *results], judge_of(KIMI)[0])
    assert shown.parts == (IMAGE, IMAGE)


@pytest.mark.parametrize("as_text", [False, True])
def test_an_id_that_comes_again_is_of_the_last_call_before(as_text: bool, judge_of: Any) -> None:
    """Servers that count the calls of each turn anew give the same ids again."""
    messages = []
    for first, second in (("draw", "photo"), ("scan", "print")):
        calls = (call("1", first), ToolCall(1, "2", second, "{}"))
        messages += [
            Message(role="user", parts=("go",)),
            Message(role="assistant", tool_calls=calls),
            Message(role="tool", parts=(IMAGE,), tool_call_id="1"),
            Message(role="tool", parts=(IMAGE,), tool_call_id="2"),
        ]
    model = GEMMA if as_text else KIMI
    found = normalize(messages, judge_of(model)[0], tools_as_text=as_text)
    texts = " ".join(part for message in found for part in message.parts if isinstance(part, str))
    lead = "Result of " if as_text else "Returned by "
    named = [piece.split()[0].rstrip(":") for piece in texts.split(lead)[1:]]
    assert named == ["draw", "photo", "scan", "print"]


HALF = "\ud800"


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("content", Message(role="user", parts=("a", f"b{HALF}"))),
        ("content", Message(role="system", parts=(HALF,))),
        ("tool_calls", Message(role="assistant", tool_calls=(call("1", HALF),))),
        ("tool_calls", Message(role="assistant", tool_calls=(ToolCall(0, "1", "f", HALF),))),
        ("tool_call_id", Message(role="tool", parts=("x",), tool_call_id=HALF)),
        ("name", Message(role="user", parts=("x",), name=HALF)),
        ("reasoning_content", Message(role="assistant", parts=("x",), reasoning=HALF)),
    ],
)
def test_half_a_character_is_told_at_the_callers_own_place(
    key: str, bad: Message, judge_of: Any
) -> None:
    joined = make(("system", "a"), ("system", "b"), ("user", "c"), ("user", "d"))
    for model in (KIMI, SUPER):
        row = judge_of(model)[0]
        if key == "reasoning_content" and key not in row.spec.message_keys:
            continue  # Not sent, and so not looked at.
        with pytest.raises(InvalidRequestError, match="half of a surrogate pair") as caught:
            normalize([*joined, bad], row)
        assert str(caught.value).startswith(f"messages[4].{key} ")
        assert caught.value.field == "messages[4]"


def test_places_are_the_callers_own_whatever_was_moved(judge_of: Any) -> None:
    messages = make(
        ("system", "a"), ("system", "b"), ("user", "c"), ("user", "d"), ("user", "e", IMAGE)
    )
    *_, user = normalize(messages, judge_of(SUPER, "off")[0])
    [image] = [part for part in user.parts if isinstance(part, Media)]
    assert image.place == "messages[4]"
    moved = normalize(
        make(("user", "a"), ("assistant", "b"), ("tool", "x", IMAGE), ("user", AUDIO)),
        judge_of(KIMI)[0],
    )
    assert [
        part.place for message in moved for part in message.parts if isinstance(part, Media)
    ] == [
        "messages[2]",
        "messages[3]",
    ]


def test_a_place_that_a_message_brings_along_is_kept(judge_of: Any) -> None:
    message = Message(role="tool", parts=("x",), index=7)
    with pytest.raises(InvalidRequestError, match=r"messages\[7\].*tool_call_id"):
        normalize([message], judge_of(KIMI)[0])


def speaking(*turns: tuple[str, str, str | None]) -> list[Message]:
    return [Message(role=role, parts=(text,), name=name) for role, text, name in turns]


@pytest.mark.parametrize(
    "turns",
    [
        [("user", "q", None), ("assistant", "42", "math agent")],
        [
            ("user", "q", None),
            ("assistant", "go", "boss"),
            ("user", "x", None),
            ("assistant", "42", "math agent"),
        ],
        [
            ("user", "q", None),
            ("assistant", "go", None),
            ("user", "x", None),
            ("assistant", "42", "math agent"),
        ],
    ],
)
def test_another_speakers_last_message_is_the_users(turns: Any, judge_of: Any) -> None:
    last = normalize(speaking(*turns), judge_of(SUPER)[0])[-1]
    assert (last.role, last.name) == ("user", None)
    assert last.text.endswith("math agent: 42")


@pytest.mark.parametrize(
    "turns",
    [
        [("user", "q", None), ("assistant", "42", None)],
        [
            ("user", "q", None),
            ("assistant", "a", "m"),
            ("user", "q", None),
            ("assistant", "42", "m"),
        ],
    ],
)
def test_the_models_own_last_message_is_refused(turns: Any, judge_of: Any) -> None:
    with pytest.raises(
        InvalidRequestError,
        match=rf"messages\[{len(turns) - 1}\], the last message, has role assistant",
    ):
        normalize(speaking(*turns), judge_of(SUPER)[0])


def test_neighbours_of_different_names_are_told_apart(judge_of: Any) -> None:
    turns = [("user", "hi", "alice"), ("user", "ho", "bob"), ("user", "hm", None)]
    [user] = normalize(speaking(*turns), judge_of(SUPER)[0])
    assert (user.text, user.name) == ("alice: hi\n\nbob: ho\n\nhm", None)
    [user] = normalize(speaking(*turns[:1], *turns[:1]), judge_of(SUPER)[0])
    assert (user.text, user.name) == ("hi\n\nhi", "alice")
    pictured = [Message(role="user", parts=(IMAGE,), name="alice"), *speaking(turns[1])]
    [user] = normalize(pictured, judge_of(SUPER, "off")[0])
    assert user.parts == ("alice:", IMAGE, "bob: ho")


@pytest.mark.parametrize(
    ("name", "sent"),
    [("Research Agent", "Research_Agent"), ("ok-1", "ok-1"), ("", None), ("é" * 99, "_" * 64)],
)
def test_names_are_made_safe(name: str, sent: str | None, judge_of: Any) -> None:
    [user] = normalize(speaking(("user", "hi", name)), judge_of(KIMI)[0])
    assert user.name == sent


TOOL_HISTORY = [
    Message(role="user", parts=("go",)),
    Message(
        role="assistant", parts=("Let me see.",), tool_calls=(ToolCall(0, "1", "f", '{"a": 1}'),)
    ),
    Message(role="tool", parts=("20 degrees",), tool_call_id="1"),
    Message(role="user", parts=("and?",)),
]


def test_a_tool_history_without_tools_names_the_keyword(judge_of: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"messages\[1\] has tool calls.*tools_as_text=True"
    ):
        normalize(TOOL_HISTORY, judge_of(GEMMA)[0])
    with pytest.raises(
        InvalidRequestError, match=r"messages\[0\] has role 'tool'.*tools_as_text=True"
    ):
        normalize(TOOL_HISTORY[2:], judge_of(NANO)[0])


def test_a_tool_history_as_text(judge_of: Any) -> None:
    found = normalize(TOOL_HISTORY, judge_of(GEMMA)[0], tools_as_text=True)
    assert said(found) == [
        ("user", ("go",)),
        ("assistant", ('Let me see.\n\nCall of f: {"a": 1}',)),
        ("user", ("Result of f:\n20 degrees\n\nand?",)),
    ]
    assert not any(message.tool_calls for message in found)


def test_a_model_with_tools_keeps_them(judge_of: Any) -> None:
    assert len(normalize(TOOL_HISTORY, judge_of(KIMI)[0], tools_as_text=True)) == 4


def test_a_lone_result_belongs_to_the_only_call_that_waits(judge_of: Any) -> None:
    calls = (call("1", "f"), ToolCall(1, "2", "g", "{}"))
    asked = [Message(role="user", parts=("go",)), Message(role="assistant", tool_calls=calls)]
    known = Message(role="tool", parts=("b",), tool_call_id="2")
    lone = Message(role="tool", parts=("a",))
    assert normalize([*asked, lone, known], judge_of(KIMI)[0])[2].tool_call_id == "1"
    strange = Message(role="tool", parts=("a",), tool_call_id="call_0")
    assert normalize([*asked, known, strange], judge_of(KIMI)[0])[3].tool_call_id == "1"
    with pytest.raises(InvalidRequestError, match=r"messages\[2\].*tool_call_id"):
        normalize([*asked, lone, lone], judge_of(KIMI)[0])


OFF_BODY = {"chat_template_kwargs": {"thinking": False}}


def test_a_call_without_reasoning_gets_words_in_its_place(judge_of: Any) -> None:
    judge, warned = judge_of(KIMI)
    thought = replace(TOOL_HISTORY[1], reasoning="hm")
    lacking, kept = with_call_reasoning((TOOL_HISTORY[1], thought), {}, judge)
    assert lacking.reasoning
    assert kept is thought
    assert len(warned) == 1
    for model, body in ((KIMI, OFF_BODY), (SUPER, {}), (UNKNOWN, {})):
        judge, warned = judge_of(model)
        assert with_call_reasoning((TOOL_HISTORY[1],), body, judge)[0].reasoning is None
        assert warned == []


PLAIN_TURNS = st.lists(
    st.tuples(
        st.sampled_from(("system", "user", "assistant", "tool", "developer", "context")),
        st.sampled_from(("", "a", "é", "half \ud800", "<img src='x.png'>")),
        st.sampled_from((None, None, None, "planner")),
    ),
    max_size=6,
)


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI, SUPER, UNKNOWN])
@pytest.mark.parametrize("validation", ["error", "warn"])
@given(turns=PLAIN_TURNS)
def test_plain_text_takes_a_short_path_to_the_same_end(
    model: str, validation: Any, turns: list[tuple[str, str, str | None]]
) -> None:
    """Which is taken where every message has its place already: without one, it takes the way of all others."""

    def outcome(places: bool) -> Any:
        warned: list[str] = []
        validator = Validator(spec_for(model), validation, lambda _, text: warned.append(text))
        messages = [
            Message(role=role, parts=(text,), name=name, index=place if places else None)
            for place, (role, text, name) in enumerate(turns)
        ]
        try:
            arranged = normalize(messages, validator)
        except InvalidRequestError as error:
            return str(error), error.field, warned
        return arranged, [message.index for message in arranged], warned

    assert outcome(places=True) == outcome(places=False)
