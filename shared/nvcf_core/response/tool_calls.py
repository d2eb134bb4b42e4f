"""Fragments of tool calls put together, in every shape seen."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Container, Iterable, Mapping
from typing import Any

from nvcf_core.messages import ToolCall
from nvcf_core.tool_names import ToolNames
from nvcf_core.wire import get_int, get_object, get_text

__all__ = ["ToolCallAssembler"]


class _PartialCall:
    """A call whose fragments are still arriving."""

    __slots__ = ("arguments", "call", "wire_id", "wire_name")

    def __init__(self, call: ToolCall, wire_name: str) -> None:
        self.call = call
        self.wire_id = ""
        self.wire_name = wire_name
        self.arguments: list[str] = []


class ToolCallAssembler:
    """Turns the fragments of one answer's calls into fragments of one form.

    On the wire ids may be repeated, empty or missing after the first fragment, the index may be missing, names
    may be repeated, arguments may be null or an object, calls may be interleaved or come whole, several in
    one delta. What comes out has a stable index; id and name whole in a call's first fragment, and only there.
    """

    __slots__ = ("_answer_id", "_by_wire_id", "_by_wire_index", "_calls", "_ids", "_names")

    def __init__(self, names: ToolNames, answer_id: str | None = None) -> None:
        self._names = names
        self._answer_id = answer_id
        self._calls: list[_PartialCall] = []
        self._by_wire_index: dict[int, _PartialCall] = {}
        self._by_wire_id: dict[str, _PartialCall] = {}
        self._ids: set[str] = set()

    def feed(self, pieces: Iterable[Any]) -> tuple[ToolCall, ...]:
        """Take the `tool_calls` of one delta."""
        fragments: dict[int, list[ToolCall]] = {}
        for piece in pieces:
            if isinstance(piece, Mapping):
                fragment = self._piece(piece, fragments)
                fragments.setdefault(fragment.index, []).append(fragment)
        return tuple(map(_merge_fragments_of_delta, fragments.values()))

    def _piece(self, piece: Mapping[str, Any], touched: Container[int]) -> ToolCall:
        function = get_object(piece, "function")
        wire_id, name = get_text(piece, "id"), get_text(function, "name")
        wire_index = get_int(piece, "index")
        arguments = _arguments(function.get("arguments"))
        growing = self._find(wire_index, wire_id, name, touched)
        if growing is not None:
            self._learn(growing, wire_id)
            if arguments:
                growing.arguments.append(arguments)
            return ToolCall(growing.call.index, "", "", arguments)
        growing = self._begin(wire_id, name)
        if wire_index is not None:
            self._by_wire_index[wire_index] = growing
        if arguments:
            growing.arguments.append(arguments)
        return ToolCall(growing.call.index, growing.call.id, growing.call.name, arguments)

    def _find(
        self, wire_index: int | None, wire_id: str, name: str, touched: Container[int]
    ) -> _PartialCall | None:
        """The call that a fragment belongs to, None if it begins one."""
        if wire_index is not None:
            growing = self._by_wire_index.get(wire_index)
            # A server that numbers every call 0 tells them apart by their ids.
            other = growing and wire_id and growing.wire_id and wire_id != growing.wire_id and name
            return None if other else growing
        if wire_id:
            return self._by_wire_id.get(wire_id)
        last = self._calls[-1] if self._calls else None
        if last is None or not name:
            return last
        repeated = name == last.wire_name and last.call.index not in touched
        return last if repeated and not _has_whole_arguments(last) else None

    def _begin(self, wire_id: str, name: str) -> _PartialCall:
        index = len(self._calls)
        call_id = wire_id or self._make_id(index)
        if call_id in self._ids:
            call_id = f"{call_id}-{index}"
        self._ids.add(call_id)
        growing = _PartialCall(ToolCall(index, call_id, self._names.from_wire(name)), name)
        self._learn(growing, wire_id)
        self._calls.append(growing)
        return growing

    def _learn(self, growing: _PartialCall, wire_id: str) -> None:
        """Note the id that the wire gives to a call, which may come late."""
        if wire_id and not growing.wire_id:
            growing.wire_id = wire_id
            self._by_wire_id.setdefault(wire_id, growing)

    def _make_id(self, index: int) -> str:
        """An id for a call that came without one: of the answer's id, so that it is the same at every reading."""
        seed = f"{self._answer_id}:{index}" if self._answer_id else uuid.uuid4().hex
        return f"call_{hashlib.sha256(seed.encode(errors='replace')).hexdigest()[:24]}"

    def set_answer_id(self, answer_id: str) -> None:
        """Learn the answer's id."""
        self._answer_id = self._answer_id or answer_id


def _merge_fragments_of_delta(fragments: list[ToolCall]) -> ToolCall:
    """The fragments of one call that came in one delta, as one."""
    first = fragments[0]
    if len(fragments) == 1:
        return first
    arguments = "".join(fragment.arguments for fragment in fragments)
    return ToolCall(first.index, first.id, first.name, arguments)


def _has_whole_arguments(growing: _PartialCall) -> bool:
    """Whether the arguments that have arrived are a whole JSON object."""
    if not growing.arguments or not growing.arguments[-1].rstrip().endswith("}"):
        return False  # Seen at once: long arguments are not parsed anew with each of their pieces.
    try:
        json.loads("".join(growing.arguments))
    except ValueError:
        return False
    return True


def _arguments(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
