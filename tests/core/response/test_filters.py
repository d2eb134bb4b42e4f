"""Stop sequences and `<think>` tags: the same text cut anywhere comes out the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.response.filters import (
    StopFilter,
    ThinkFilter,
    possible_start,
    split_unopened_think,
)


def cut(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def stopped(pieces: list[str], *stops: str) -> str:
    filtered = StopFilter(stops)
    return "".join(filtered.feed(piece) for piece in pieces) + filtered.flush()


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one END two", ["END"], "one "),
        ("one EN", ["END"], "one EN"),
        ("nothing", ["END"], "nothing"),
        ("END", ["END"], ""),
        ("aab", ["ab"], "a"),
        ("aaab", ["aab"], "a"),
        ("abc abcd", ["abcd", "bc"], "a"),
        ("abcd", ["abcd", "bcd"], ""),
        ("x", ["x", "xx"], ""),
        ("a\nb", ["\n"], "a"),
        ("keep", [], "keep"),
    ],
)
def test_a_stop_sequence_cuts(text: str, stops: list[str], expected: str) -> None:
    assert stopped([text], *stops) == expected
    assert stopped(list(text), *stops) == expected


@given(
    st.text("abc", max_size=25),
    st.lists(st.text("abc", min_size=1, max_size=5), max_size=4),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_stops_at_any_cut(text: str, stops: list[str], cuts: list[int]) -> None:
    assert stopped(cut(text, cuts), *stops) == stopped([text], *stops)


def test_no_more_is_held_back_than_may_be_a_stop() -> None:
    filtered = StopFilter(["</answer>"])
    assert filtered.feed("text </ans") == "text "
    assert filtered.feed("x") == "</ansx"
    assert not filtered.hit


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=6))
def test_possible_start_is_the_longest(text: str, word: str) -> None:
    lengths = [n for n in range(1, len(word)) if n <= len(text) and text.endswith(word[:n])]
    assert possible_start(text, word) == max(lengths, default=0)


def split(pieces: list[str]) -> tuple[str, str]:
    filtered = ThinkFilter()
    said = [filtered.feed(piece) for piece in pieces] + [filtered.flush()]
    return "".join(thought for thought, _ in said), "".join(text for _, text in said)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>why</think>yes", ("why", "yes")),
        ("<think>why</think>\n\r\n\nyes\n", ("why", "yes\n")),
        (" \n<think>\nwhy\n</think>\n\nyes", ("\nwhy\n", "yes")),
        ("<think></think>yes", ("", "yes")),
        ("<think>why", ("why", "")),
        ("<think>why</thi", ("why</thi", "")),
        ("<think>a</thinking></think>b", ("a</thinking>", "b")),
        ("<think>why</think>", ("why", "")),
        ("<think>why</think>\n", ("why", "")),
        ("yes", ("", "yes")),
        ("", ("", "")),
        ("<thin", ("", "<thin")),
        ("<thin air", ("", "<thin air")),
        ("<thinking>x", ("", "<thinking>x")),
        ("yes <think>no</think>", ("", "yes <think>no</think>")),
        ("yes</think>no", ("", "yes</think>no")),
        ("<think>a</think>b<think>c</think>", ("a", "b<think>c</think>")),
        (" " * 300 + "<think>why</think>", ("", " " * 300 + "<think>why</think>")),
    ],
)
def test_thinking(text: str, expected: tuple[str, str]) -> None:
    assert split(list(text)) == expected
    if len(text) < 256:
        assert split([text]) == expected


TAGS = st.lists(
    st.sampled_from(["<think>", "</think>", "<thi", "nk>", "</", " ", "\n", "a", "<"]), max_size=8
)


@given(TAGS, st.lists(st.integers(0, 40), max_size=6))
def test_thinking_at_any_cut(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    assert split(cut(text, cuts)) == split([text])


def test_white_space_is_not_held_back_for_ever() -> None:
    filtered = ThinkFilter()
    said = [filtered.feed(" " * 100)[1] for _ in range(4)]
    assert "".join(said) == " " * 400


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("plain", ("", "plain")),
        ("thought\n</think>\n\nanswer", ("thought\n", "answer")),
        ("</think>answer", ("", "answer")),
        ("a</think>b</think>c", ("a", "b</think>c")),
        ("<think>a</think>b", ("", "<think>a</think>b")),
        ("say <think>a</think>b", ("", "say <think>a</think>b")),
        ('{"tag": "</think>"}', ("", '{"tag": "</think>"}')),
    ],
)
def test_a_closing_tag_that_nothing_opened(text: str, split: tuple[str, str]) -> None:
    assert split_unopened_think(text) == split
