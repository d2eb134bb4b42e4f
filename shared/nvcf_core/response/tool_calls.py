"""Fragments of tool calls put together, in every shape seen."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Container, Mapping, Sequence
from typing import Any

from nvcf_core.messages import ToolCall
from nvcf_core.tools.arguments import ArgumentsDecoder
from nvcf_core.values import value_class
from nvcf_core.wire import get_int, get_object, get_text

from .options import DecodeOptions

__all__ = ["ToolCallAssembler"]


_NO_ID = frozenset(("null", "none", "undefined"))
"""Texts, in lower case, that some servers send as the id of a call that has none."""


class _PartialCall:
    """A call whose fragments are still arriving. It is passed on from the fragment that names it."""

    __slots__ = ("_unsent", "arguments", "index", "may_be_duplicate", "wire_id", "wire_name")

    def __init__(self) -> None:
        self.index = -1
        """Its place among the calls that have a name, -1 before it has one."""
        self.wire_id = ""
        self.wire_name = ""
        self.may_be_duplicate = False
        """Whether it has done no more so far than to repeat the name of the call before it, which was whole."""
        self.arguments = ArgumentsDecoder()
        self._unsent: list[str] = []

    def feed(self, text: str) -> str:
        """Take a fragment of the arguments; return what is certain, nothing before the call has a name."""
        if self.index < 0:
            self._unsent.append(text)
            return ""
        unsent, self._unsent = "".join(self._unsent), []
        return self.arguments.feed(unsent + text)


class ToolCallAssembler:
    """Turns the fragments of one answer's calls into fragments of one form.

    On the wire ids may be repeated, empty or missing after the first fragment, the index may be missing or the same
    for every call, names may be repeated or come late, arguments may be null, an object, repeated or encoded twice,
    calls may be interleaved or come whole, several in one delta. What comes out has a stable index; id and name whole
    in a call's first fragment, and only there.

    Args:
        options: the names and the schemas of the offered tools.
        answer_id: the id of the answer, of which ids are made for calls that come without one.
    """

    __slots__ = (
        "_answer_id",
        "_began",
        "_by_wire_id",
        "_by_wire_index",
        "_calls",
        "_doubled",
        "_ids",
        "_last_delta",
        "_named",
        "_options",
    )

    def __init__(self, options: DecodeOptions, answer_id: str | None = None) -> None:
        self._options = options
        self._answer_id = answer_id
        self._calls: list[_PartialCall] = []
        self._named: list[_PartialCall] = []
        self._by_wire_index: dict[int, _PartialCall] = {}
        self._by_wire_id: dict[str, _PartialCall] = {}
        self._ids: set[str] = set()
        self._last_delta: Sequence[Any] | None = None
        """The delta before this one, None if this one must not be taken for its copy."""
        self._began = False
        """Whether a call began with the delta before this one."""
        self._doubled = False
        """Whether the server sends every delta twice."""

    def feed(self, pieces: Sequence[Any]) -> tuple[ToolCall, ...]:
        """Take the `tool_calls` of one delta; return what is certain of them."""
        growing = self._continued(pieces)
        if (growing is None or self._doubled) and self._is_duplicate_delta(pieces):
            return ()
        if growing is not None:
            self._last_delta = self._last_delta if self._doubled else None
            arguments = growing.feed(_arguments(pieces[0]["function"].get("arguments")))
            return (ToolCall(growing.index, "", "", arguments),) if arguments else ()
        self._began = False
        fragments: dict[int, list[ToolCall]] = {}
        touched: set[int] = set()
        for piece in pieces:
            if isinstance(piece, Mapping):
                place, arguments = _read(piece)
                growing = self._call_of(place, arguments, touched)
                touched.add(id(growing))
                fragment = self._fragment(growing, place.name, arguments)
                if fragment.id or fragment.arguments:
                    fragments.setdefault(fragment.index, []).append(fragment)
        return tuple(map(_merge_fragments_of_delta, fragments.values()))

    def flush(self) -> tuple[ToolCall, ...]:
        """Return the arguments that were held back. A call that never got a name is left out, with a warning."""
        if any(not growing.wire_name for growing in self._calls):
            self._options.warn(
                "nameless_call", "a tool call without a name was left out of an answer"
            )
        rests = [(growing.index, growing.arguments.flush()) for growing in self._named]
        return tuple(ToolCall(index, arguments=rest) for index, rest in rests if rest)

    def has_id(self, call_id: str) -> bool:
        """Return whether a call has this id on the wire."""
        return call_id in self._by_wire_id

    def set_answer_id(self, answer_id: str) -> None:
        """Learn the answer's id."""
        self._answer_id = self._answer_id or answer_id

    def _is_duplicate_delta(self, pieces: Sequence[Any]) -> bool:
        """Return whether a delta is the one before it once more. A server that repeats how a call begins repeats all of
        it.

        One that sends id and name with every fragment may well send the same fragment of the arguments twice.
        """
        may_be = self._doubled or (self._began and any(map(_names_a_call, pieces)))
        if may_be and pieces == self._last_delta:
            self._doubled, self._last_delta = True, None
            return True
        self._doubled = self._doubled and self._last_delta is None
        self._last_delta = pieces
        return False

    def _continued(self, pieces: Sequence[Any]) -> _PartialCall | None:
        """The call that a delta goes on with, if it is one fragment and says nothing else, as most do."""
        piece = pieces[0] if len(pieces) == 1 else None
        if not isinstance(piece, dict) or piece.get("id"):
            return None
        function, index = piece.get("function"), piece.get("index")
        if not isinstance(function, dict) or function.get("name") or type(index) is not int:
            return None
        growing = self._by_wire_index.get(index)
        return growing if growing is not None and growing.index >= 0 else None

    def _call_of(self, place: _Place, arguments: str, touched: Container[int]) -> _PartialCall:
        """The call that a fragment belongs to, or begins."""
        growing = self._find(place, arguments, touched)
        if growing is None:
            growing = _PartialCall()
            growing.may_be_duplicate = self._may_be_duplicate(place, arguments)
            self._calls.append(growing)
            self._began = True
        if place.index is not None and (place.name or place.index not in self._by_wire_index):
            self._by_wire_index[place.index] = growing
        if place.id and not growing.wire_id:
            growing.wire_id = place.id
            self._by_wire_id.setdefault(place.id, growing)
        return growing

    def _find(self, place: _Place, arguments: str, touched: Container[int]) -> _PartialCall | None:
        """The call that a fragment belongs to, None if it begins one."""
        if place.index is not None and place.index in self._by_wire_index:
            growing = self._by_wire_index[place.index]
            return None if _begins_another(growing, place, arguments) else growing
        known = self._by_wire_id.get(place.id)
        if place.id and (known is None or place.index is None or not place.name):
            return known
        if known is not None:
            return known if _is_duplicate(known, place, arguments) else None
        last = self._calls[-1] if self._calls else None
        if last is None or not place.name:
            return last
        if place.index is not None or place.name != last.wire_name or id(last) in touched:
            return None
        return (
            last if not last.arguments.complete or last.arguments.is_duplicate(arguments) else None
        )

    def _may_be_duplicate(self, place: _Place, arguments: str) -> bool:
        last = self._calls[-1] if self._calls else None
        if last is None or place.id or arguments.strip():
            return False
        return place.name == last.wire_name and last.arguments.complete

    def _fragment(self, growing: _PartialCall, name: str, arguments: str) -> ToolCall:
        growing.wire_name = growing.wire_name or name
        growing.may_be_duplicate = growing.may_be_duplicate and not arguments.strip()
        if growing.index < 0 and growing.wire_name and not growing.may_be_duplicate:
            return self._announce(growing, arguments)
        return ToolCall(growing.index, arguments=growing.feed(arguments))

    def _announce(self, growing: _PartialCall, arguments: str) -> ToolCall:
        """The first fragment of a call that has a name."""
        name = growing.wire_name
        growing.index = len(self._named)
        growing.arguments = ArgumentsDecoder(self._options.schemas.get(name))
        self._named.append(growing)
        call_id = growing.wire_id or self._make_id(growing.index)
        if call_id in self._ids:
            call_id = f"{call_id}-{growing.index}"
        self._ids.add(call_id)
        original = self._options.names.from_wire(name)
        return ToolCall(growing.index, call_id, original, growing.feed(arguments))

    def _make_id(self, index: int) -> str:
        """An id for a call that came without one: of the answer's id, so that it is the same at every reading."""
        seed = f"{self._answer_id}:{index}" if self._answer_id else uuid.uuid4().hex
        return f"call_{hashlib.sha256(seed.encode(errors='replace')).hexdigest()[:24]}"


@value_class
class _Place:
    """By what a fragment says which call it belongs to."""

    index: int | None
    id: str
    name: str


def _read(piece: Mapping[str, Any]) -> tuple[_Place, str]:
    """Return what a fragment says about its call, and its fragment of the arguments."""
    function = get_object(piece, "function")
    wire_id = get_text(piece, "id")
    wire_id = "" if wire_id.casefold() in _NO_ID else wire_id
    place = _Place(get_int(piece, "index"), wire_id, get_text(function, "name"))
    return place, _arguments(function.get("arguments"))


def _names_a_call(piece: object) -> bool:
    """Return whether a fragment has a name, and an index or an id that distinguishes it from another call's."""
    is_placed = get_int(piece, "index") is not None or get_text(piece, "id")
    return bool(is_placed and get_text(get_object(piece, "function"), "name"))


def _is_duplicate(growing: _PartialCall, place: _Place, arguments: str) -> bool:
    """Return whether a fragment is a whole call once more."""
    return place.name == growing.wire_name and growing.arguments.is_duplicate(arguments)


def _begins_another(growing: _PartialCall, place: _Place, arguments: str) -> bool:
    """Return whether a fragment under the index of a call begins another one: a server may number every call 0."""
    if not place.name or not growing.wire_name:
        return False
    if place.id and growing.wire_id:
        return place.id != growing.wire_id
    if place.name != growing.wire_name:
        return growing.arguments.complete or growing.arguments.empty
    return growing.arguments.complete and not _is_duplicate(growing, place, arguments)


def _merge_fragments_of_delta(fragments: list[ToolCall]) -> ToolCall:
    """The fragments of one call that came in one delta, as one."""
    first = fragments[0]
    if len(fragments) == 1:
        return first
    arguments = "".join(fragment.arguments for fragment in fragments)
    return ToolCall(first.index, first.id, first.name, arguments)


def _arguments(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
