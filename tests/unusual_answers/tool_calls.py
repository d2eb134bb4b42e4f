"""Tool calls as they come from servers that do not keep to the form, and what is to become of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Piece = dict[str, Any]

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "urgent": {"type": "boolean"},
        "note": {"type": "string"},
    },
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "pay", "description": "Pay.", "parameters": PARAMETERS},
    },
    {
        "type": "function",
        "function": {
            "name": "ping",
            "description": "Ping.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]
"""The tools that are offered."""


def piece(
    arguments: Any, name: str | None = "pay", call_id: str | None = "c1", index: int = 0
) -> Piece:
    """A fragment of a call, as the service sends it."""
    function = {"name": name, "arguments": arguments}
    return {
        "index": index,
        **({"id": call_id, "type": "function"} if call_id else {}),
        "function": {key: value for key, value in function.items() if value is not None},
    }


@dataclass(frozen=True)
class Case:
    """An answer with tool calls."""

    name: str
    deltas: tuple[tuple[Piece, ...], ...]
    calls: tuple[tuple[str, Any], ...] = ()
    """Name and arguments of every call that may be made."""
    bad: tuple[str, ...] = ()
    """The names of the calls that must not be made, because of their arguments."""
    cut: bool = False
    """Whether the answer was cut, so that no call may be made."""
    finish_reason: str | None = "tool_calls"

    def events(self) -> list[dict[str, Any]]:
        """The bodies of the events of a stream."""
        said = [{"role": "assistant"}, *({"tool_calls": list(delta)} for delta in self.deltas), {}]
        reasons = [None] * (len(said) - 1) + [self.finish_reason]
        return [
            {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            for delta, reason in zip(said, reasons, strict=True)
        ]

    def body(self) -> dict[str, Any]:
        """The same as one whole answer."""
        pieces = [dict(each) for delta in self.deltas for each in delta]
        message = {"role": "assistant", "content": None, "tool_calls": pieces}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {"id": "c", "choices": [choice]}


_NOTHING = ["", None, "null", "None", "{}", " ", "[]", [], {}, '""', '"{}"', '"null"']

CASES = (
    Case("half_of_the_arguments", ((piece('{"amount": 12'),),), bad=("pay",)),
    Case("half_a_name", ((piece('{"amo'),),), bad=("pay",)),
    Case("half_a_name_in_pieces", ((piece("{"),), (piece('"amo', None, None),)), bad=("pay",)),
    Case("half_without_finish", ((piece('{"amount": 12'),),), bad=("pay",), finish_reason=None),
    Case("no_json", ((piece("12 please"),),), bad=("pay",), finish_reason="stop"),
    Case("no_number", ((piece('{"amount": NaN}'),),), bad=("pay",)),
    Case("an_infinity", ((piece('{"amount": -Infinity, "note": "a"}'),),), bad=("pay",)),
    Case(
        "too_large_a_number",
        ((piece('{"amount": 1e9'),), (piece("99}", None, None),)),
        bad=("pay",),
    ),
    Case("no_number_in_a_text", ((piece('{"note": "NaN"}'),),), calls=(("pay", {"note": "NaN"}),)),
    Case("a_list", ((piece("[12]"),),), bad=("pay",)),
    *(
        Case(f"{reason}_{kind}", ((piece(arguments),),), cut=True, finish_reason=reason)
        for reason in ("length", "content_filter")
        for kind, arguments in (
            ("half", '{"amount": 12'),
            ("in_a_name", '{"amo'),
            ("in_a_text", '{"note": "a'),
            ("in_an_escape", '{"note": "a\\'),
            ("empty", ""),
            ("whole", '{"amount": 12}'),
        )
    ),
    Case(
        "arguments_under_another_index",
        (
            (piece("", index=0),),
            (piece('{"amount"', None, None, 1),),
            (piece(": 12}", None, None, 1),),
        ),
        calls=(("pay", {"amount": 12}),),
    ),
    Case(
        "every_call_is_number_0",
        ((piece('{"amount": 1}', call_id=None),), (piece('{"amount": 2}', call_id=None),)),
        calls=(("pay", {"amount": 1}), ("pay", {"amount": 2})),
    ),
    Case(
        "the_same_piece_twice",
        ((piece('{"amount": 1}'),), (piece('{"amount": 1}'),)),
        calls=(("pay", {"amount": 1}),),
    ),
    Case(
        "arguments_twice",
        ((piece('{"amount": 1}{"amount": 1}'),),),
        calls=(("pay", {"amount": 1}),),
    ),
    Case(
        "arguments_twice_and_not_the_same", ((piece('{"amount": 1}{"amount": 2}'),),), bad=("pay",)
    ),
    Case(
        "encoded_twice",
        ((piece(json.dumps(json.dumps({"amount": 1}))),),),
        calls=(("pay", {"amount": 1}),),
    ),
    Case(
        "encoded_thrice_in_pieces",
        tuple(
            (piece(part, "pay" if place == 0 else None),)
            for place, part in enumerate(
                json.dumps(json.dumps(json.dumps({"note": 'a "b"'}))).partition(" ")
            )
        ),
        calls=(("pay", {"note": 'a "b"'}),),
    ),
    Case(
        "values_as_strings",
        ((piece('{"amount": "3", "urgent": "True", "note": "3"}'),),),
        calls=(("pay", {"amount": 3, "urgent": True, "note": "3"}),),
    ),
    Case(
        "strings_that_are_no_such_value",
        ((piece('{"amount": "3 or 4", "urgent": "yes"}'),),),
        calls=(("pay", {"amount": "3 or 4", "urgent": "yes"}),),
    ),
    Case(
        "an_id_that_is_none",
        ((piece('{"amount": 1}', call_id="null"), piece("", "ping", "null", 1)),),
        calls=(("pay", {"amount": 1}), ("ping", {})),
    ),
    Case(
        "nothing_in_every_spelling",
        (
            tuple(
                piece(nothing, "ping", f"c{index}", index) for index, nothing in enumerate(_NOTHING)
            ),
        ),
        calls=(("ping", {}),) * len(_NOTHING),
    ),
)
