"""Names that the service accepts and the way back; fragments of tool calls, in every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import Chunk, ToolCall
from nvcf_core.response.options import DecodeOptions
from nvcf_core.response.tool_calls import ToolCallAssembler
from nvcf_core.tools.names import ToolNames


def test_names_that_can_stay_do_stay() -> None:
    names = ToolNames(["get_weather", "a-b", "X" * 64])
    assert [names.to_wire(name) for name in ("get_weather", "a-b", "X" * 64)] == [
        "get_weather",
        "a-b",
        "X" * 64,
    ]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("get weather", "get_weather"),
        ("a.b/c", "a_b_c"),
        ("", "tool"),
        ("é", "_"),
        ("y" * 70, "y" * 64),
    ],
)
def test_other_names_are_replaced(name: str, safe: str) -> None:
    names = ToolNames([name])
    assert names.to_wire(name) == safe
    assert names.from_wire(safe) == name


def test_a_replacement_takes_no_other_tools_name() -> None:
    names = ToolNames(["a.b", "a_b", "a b"])
    safe = [names.to_wire(name) for name in ("a.b", "a_b", "a b")]
    assert safe[1] == "a_b"
    assert len(set(safe)) == 3
    assert [names.from_wire(name) for name in safe] == ["a.b", "a_b", "a b"]


def test_unknown_names_pass() -> None:
    names = ToolNames([])
    assert names.to_wire("x y") == "x y"
    assert names.from_wire("z") == "z"


@given(st.lists(st.text(max_size=80), max_size=8))
def test_every_name_has_a_way_there_and_back(wanted: list[str]) -> None:
    names = ToolNames(wanted)
    safe = {name: names.to_wire(name) for name in wanted}
    assert len(set(safe.values())) == len(safe)
    for name, sent in safe.items():
        assert 0 < len(sent) <= 64
        assert all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in sent)
        assert names.from_wire(sent) == name


def assembled(*deltas: list[Any], names: ToolNames | None = None) -> Any:
    assembler = ToolCallAssembler(DecodeOptions(names=names or ToolNames(())), "answer")
    total = Chunk()
    for delta in deltas:
        total = total + Chunk(tool_calls=assembler.feed(delta))
    total = total + Chunk(tool_calls=assembler.flush())
    return [(call.id, call.name, call.arguments) for call in total.tool_calls]


def piece(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> Any:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


def test_pieces_that_are_no_objects_are_left_out() -> None:
    assert assembled([None, 5, "x", ["y"], piece(0, "a", "f", "{}")]) == [("a", "f", "{}")]


def test_a_name_may_come_late() -> None:
    calls = assembled(
        [{"index": 0, "id": "a", "function": None}],
        [piece(0, None, None, '{"x"')],
        [piece(0, None, "f", ":1")],
        [piece(0, None, None, "}")],
    )
    assert calls == [("a", "f", '{"x":1}')]


@pytest.mark.parametrize("index", [True, "0", 1.0, None])
def test_an_index_that_is_none(index: Any) -> None:
    assert assembled([piece(index, "a", "f", "{")], [piece(index, "a", None, "}")]) == [
        ("a", "f", "{}")
    ]


@pytest.mark.parametrize("index", [None, 0])
def test_a_call_that_never_gets_a_name_is_left_out_with_a_warning(index: Any) -> None:
    warned: list[str] = []
    assembler = ToolCallAssembler(DecodeOptions(warn=lambda reason, _: warned.append(reason)))
    assert assembler.feed([piece(index, None, None, "{}")]) == ()
    assert assembler.flush() == ()
    assert warned == ["nameless_call"]


@pytest.mark.parametrize("index", [1, 7])
def test_a_piece_with_neither_name_nor_id_goes_on_with_the_call_before_it(index: int) -> None:
    calls = assembled(
        [piece(0, "a", "f", "")], [piece(index, None, None, '{"x"')], [piece(index, "", "", ":1}")]
    )
    assert calls == [("a", "f", '{"x":1}')]


@pytest.mark.parametrize("index", [0, None])
def test_a_name_once_more_and_then_other_arguments_are_another_call(index: Any) -> None:
    texts = ["", '{"a"', ": 1}"], ["", '{"a"', ": 2}"]
    pieces = [
        piece(index, None, None if at else "f", part)
        for text in texts
        for at, part in enumerate(text)
    ]
    calls = [arguments for _, _, arguments in assembled(*([each] for each in pieces))]
    assert calls == ['{"a": 1}', '{"a": 2}']


def test_two_pieces_that_happen_to_be_equal_are_two() -> None:
    pieces = [
        piece(0, "a", "f", '{"a": "'),
        *[piece(0, None, None, "ha")] * 2,
        piece(0, None, None, '"}'),
    ]
    assert assembled(*([each] for each in pieces)) == [("a", "f", '{"a": "haha"}')]


@pytest.mark.parametrize("name", ["f", "g"])
def test_named_pieces_under_one_index_and_without_ids_are_calls_of_their_own(name: str) -> None:
    first, second = piece(0, None, "f", '{"a": 1}'), piece(0, None, name, '{"a": 2}')
    for deltas in ([[first], [second]], [[first, second]]):
        calls = [(name, arguments) for _, name, arguments in assembled(*deltas)]
        assert calls == [("f", '{"a": 1}'), (name, '{"a": 2}')]


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(0, "a", "f", '{"a":1}')] * 2,
        [piece(0, None, "f", '{"a":1}')] * 3,
        [piece(None, "a", "f", '{"a":1}')] * 2,
        [piece(0, "a", "f", '{"a":1}'), piece(1, "a", "f", '{"a":1}')],
        [piece(0, "a", "f", '{"a"'), piece(0, "a", "f", ":1}")] * 2,
        [piece(0, "a", "f", '{"a":1}{"a": 1}')],
        [piece(0, "a", "f", '{"a":1}'), piece(0, "a", "f", "")],
        [piece(0, None, "f", '{"a":1}'), piece(0, None, "f", "")],
        [piece(None, None, "f", '{"a":1}'), piece(None, None, "f", "")],
        [
            each
            for each in (
                piece(0, "a", "f", ""),
                piece(0, None, None, '{"a"'),
                piece(0, None, None, ":1}"),
            )
            for _ in "12"
        ],
    ],
)
def test_copies_are_one_call(pieces: list[Any]) -> None:
    calls = assembled(*([each] for each in pieces))
    assert [(name, arguments) for _, name, arguments in calls] == [("f", '{"a":1}')]


def test_arguments_that_differ_under_one_id_stay_together_and_are_not_json() -> None:
    calls = assembled([piece(0, "a", "f", '{"a":1}')], [piece(0, "a", "f", '{"a":2}')])
    assert calls == [("a", "f", '{"a":1}{"a":2}')]


@pytest.mark.parametrize("call_id", ["null", "None", "undefined"])
def test_an_id_that_says_there_is_none(call_id: str) -> None:
    ((made, _, _),) = assembled([piece(0, call_id, "f", "{}")])
    assert made.startswith("call_")


def test_a_call_that_comes_again_with_an_id_taken_gets_another() -> None:
    calls = assembled([piece(0, "a", "f", "{}"), piece(1, "a", "g", "{}")])
    assert calls == [("a", "f", "{}"), ("a-1", "g", "{}")]


def test_an_id_that_comes_late_is_still_the_calls() -> None:
    # The id that was made up for the first piece stays: it is out already.
    calls = assembled([piece(0, None, "f", "{")], [piece(0, "late", None, "}")])
    assert [(name, arguments) for _, name, arguments in calls] == [("f", "{}")]
    assert calls[0][0].startswith("call_")


def test_a_name_repeated_after_whole_arguments_begins_another_call() -> None:
    calls = assembled(
        [piece(None, None, "f", '{"a":{"b":1}')],
        [piece(None, None, "f", "}")],
        [piece(None, None, "f", "{}")],
    )
    assert [arguments for _, _, arguments in calls] == ['{"a":{"b":1}}', "{}"]


def test_another_name_begins_another_call() -> None:
    calls = assembled([piece(None, None, "f", "{")], [piece(None, None, "g", "{}")])
    assert [(name, arguments) for _, name, arguments in calls] == [("f", "{"), ("g", "{}")]


def test_names_are_mapped_back_for_every_call() -> None:
    names = ToolNames(["a.b"])
    assert assembled([piece(0, "x", "a_b", "{}")], names=names) == [("x", "a.b", "{}")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (None, ""),
        ("{}", "{}"),
        ({"a": "é"}, '{"a": "é"}'),
        ([1], "[1]"),
        ({}, "{}"),
        ("", ""),
        ([], ""),
    ],
)
def test_arguments_of_every_form(arguments: Any, text: str) -> None:
    assert assembled([piece(0, "a", "f", arguments)]) == [("a", "f", text)]


def test_ids_without_an_answers_id_are_unique() -> None:
    first, second = (ToolCallAssembler(DecodeOptions()) for _ in range(2))
    ids = [each.feed([piece(0, None, "f", "{}")])[0].id for each in (first, second)]
    assert ids[0] != ids[1]


def test_the_answers_id_is_learned_once() -> None:
    one, other = ToolCallAssembler(DecodeOptions()), ToolCallAssembler(DecodeOptions())
    one.set_answer_id("x")
    one.set_answer_id("y")
    other.set_answer_id("x")
    made = [each.feed([piece(0, None, "f", "{}")])[0].id for each in (one, other)]
    assert made[0] == made[1]


def test_equal_pieces_of_arguments_that_say_whose_they_are_both_count() -> None:
    pieces = ["", '{"x": ', '"', '"', "}"]
    deltas = [[piece(0, "a", "f", each)] for each in pieces]
    assert assembled(*deltas) == [("a", "f", '{"x": ""}')]
    doubled = [delta for delta in deltas for _ in range(2)]
    assert assembled(*doubled) == [("a", "f", '{"x": ""}')]


@given(
    st.lists(st.tuples(st.sampled_from("fgh"), st.text(max_size=12)), min_size=1, max_size=4),
    st.data(),
)
def test_calls_interleaved_at_random_come_out_whole(
    calls: list[tuple[str, str]], data: st.DataObject
) -> None:
    texts = [json.dumps({"x": value}) for _, value in calls]
    at = [0] * len(calls)
    deltas = [[piece(n, f"id-{n}", name, "")] for n, (name, _) in enumerate(calls)]
    while any(at[n] < len(text) for n, text in enumerate(texts)):
        n = data.draw(st.sampled_from([n for n, text in enumerate(texts) if at[n] < len(text)]))
        size = data.draw(st.integers(1, 8))
        repeat = data.draw(st.booleans())
        more = texts[n][at[n] : at[n] + size]
        deltas.append(
            [piece(n, f"id-{n}" if repeat else None, calls[n][0] if repeat else "", more)]
        )
        at[n] += size
    expected = [(f"id-{n}", name, texts[n]) for n, (name, _) in enumerate(calls)]
    assert assembled(*deltas) == expected


class Lines:
    """Counts the lines of Python that run while it is entered: work, whatever the machine is doing."""

    def __enter__(self) -> Lines:
        import sys

        self.count, self._before = 0, sys.gettrace()
        sys.settrace(self._trace)
        return self

    def _trace(self, frame: Any, event: str, _: Any) -> Any:
        self.count += event == "line"
        return self._trace

    def __exit__(self, *_: object) -> None:
        import sys

        sys.settrace(self._before)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: piece(None, f"id-{n}", "f", "{}"), id="ids"),
        pytest.param(lambda n: piece(None, None, f"f{n}", "{}"), id="names"),
        pytest.param(lambda n: piece(n, None, "f", "{}"), id="indexes"),
    ],
)
def test_many_calls_cost_time_linear_in_their_number(make: Any) -> None:
    counts = []
    for many in (200, 800):
        assembler = ToolCallAssembler(DecodeOptions(), "answer")
        with Lines() as lines:
            calls = assembler.feed([make(n) for n in range(many)])
        assert len(calls) == many
        counts.append(lines.count)
    assert counts[1] < 6 * counts[0]


def test_two_pieces_of_one_call_in_one_delta_are_one() -> None:
    assembler = ToolCallAssembler(DecodeOptions(), "answer")
    delta = [piece(0, "a", "f", '{"x"'), piece(1, "b", "g", "{}"), piece(0, None, None, ":1}")]
    assert assembler.feed(delta) == (ToolCall(0, "a", "f", '{"x":1}'), ToolCall(1, "b", "g", "{}"))
    assert assembler.feed([piece(0), piece(0, "a", "", " ")]) == ()
    assert assembler.flush() == (ToolCall(0, "", "", " "),)


def test_pieces_add_up_by_index() -> None:
    left = Chunk(tool_calls=(ToolCall(0, "a", "f", "{"), ToolCall(1, "b", "g", "")))
    right = Chunk(
        tool_calls=(ToolCall(1, "", "", "{}"), ToolCall(0, "", "", "}"), ToolCall(2, "c", "h", ""))
    )
    assert (left + right).tool_calls == (
        ToolCall(0, "a", "f", "{}"),
        ToolCall(1, "b", "g", "{}"),
        ToolCall(2, "c", "h", ""),
    )
