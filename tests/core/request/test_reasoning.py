"""Reasoning switched off for media that a model should not think about."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from nvcf_core import Media, Message
from nvcf_core.request.reasoning import without_thinking

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
KIMI = "moonshotai/kimi-k2.6"
UNKNOWN = "someone/new-model"

IMAGE = Media(kind="image", url="https://x.org/a.png")
AUDIO = Media(kind="audio", url="https://x.org/a.wav")


@pytest.fixture
def quiet(judge_of: Any) -> Any:
    def run(
        model: str, *turns: Any, effort: str | None = None, body: dict[str, Any] | None = None
    ) -> Any:
        validator, warned = judge_of(model)
        messages = tuple(Message(role=role, parts=tuple(parts)) for role, *parts in turns)
        given = {} if body is None else body
        before = copy.deepcopy(given)
        messages, changed = without_thinking(messages, given, effort, validator)
        assert given == before
        return [(message.role, message.parts) for message in messages], changed, warned

    return run


OFF = {"chat_template_kwargs": {"enable_thinking": False}}


def test_sound_and_film_switch_thinking_off(quiet: Any) -> None:
    assert quiet(NANO, ("user", "a", AUDIO)) == (
        [("system", ("/no_think",)), ("user", ("a", AUDIO))],
        OFF,
        [],
    )


def test_the_word_is_added_to_the_system_message(quiet: Any) -> None:
    found, body, _ = quiet(NANO, ("system", "Be brief."), ("user", AUDIO), body={"seed": 1})
    assert found == [("system", ("Be brief. /no_think",)), ("user", (AUDIO,))]
    assert body == {"seed": 1, **OFF}


def test_a_system_message_that_says_so_already(quiet: Any) -> None:
    found, body, warned = quiet(NANO, ("system", "/no_think please"), ("user", AUDIO))
    assert found[0] == ("system", ("/no_think please",))
    assert (body, warned) == (OFF, [])


@pytest.mark.parametrize("model", [NANO, KIMI, GEMMA, UNKNOWN])
def test_pictures_let_it_think(model: str, quiet: Any) -> None:
    assert quiet(model, ("user", IMAGE)) == ([("user", (IMAGE,))], {}, [])


@pytest.mark.parametrize(
    ("system", "effort", "body"),
    [
        ("/think", None, {}),
        ("s", "high", {"chat_template_kwargs": {"enable_thinking": True}}),
        ("s", "low", {"chat_template_kwargs": {"enable_thinking": True}}),
        ("s", None, {"chat_template_kwargs": {"enable_thinking": True}}),
    ],
)
def test_who_asks_for_thinking_keeps_it_and_is_warned(
    system: str, effort: str | None, body: Any, quiet: Any
) -> None:
    before = dict(body)
    found, after, warned = quiet(
        NANO, ("system", system), ("user", AUDIO), effort=effort, body=body
    )
    assert found[0] == ("system", (system,))
    assert after == before
    assert warned == [f"{NANO} should not think about audio: its documentation asks for /no_think"]


@pytest.mark.parametrize("text", ["/thinking", "a/think", "//think", "/no_thinking", "/think_not"])
def test_words_that_only_look_like_a_switch(text: str, quiet: Any) -> None:
    found, body, warned = quiet(NANO, ("system", text), ("user", AUDIO))
    assert found[0] == ("system", (f"{text} /no_think",))
    assert (body, warned) == (OFF, [])


def test_effort_none_and_other_template_arguments_stay(quiet: Any) -> None:
    template = {"enable_thinking": False, "x": 1}
    _, body, warned = quiet(
        NANO, ("user", AUDIO), effort="none", body={"chat_template_kwargs": dict(template)}
    )
    assert body == {"chat_template_kwargs": template}
    assert warned == []
