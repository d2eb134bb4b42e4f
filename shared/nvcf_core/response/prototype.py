"""Many pydantic objects of one form, each a copy of one that was validated.

Validating what is known to be right is most of what a chunk of a stream costs: a message of langchain-core takes four
microseconds, its copy one. Who makes copies vouches for the fields that differ: they are of the types that validation
would have left them in. What comes out is what the constructor would have made, in every version of the frameworks: a
constructor made the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

__all__ = ["Prototype"]

M = TypeVar("M", bound=BaseModel)

# What pydantic's own `model_construct` sets, past the checks of `BaseModel.__setattr__`.
_slots = vars(BaseModel)
_set_values = _slots["__dict__"].__set__
_set_given = _slots["__pydantic_fields_set__"].__set__
_set_extra = _slots["__pydantic_extra__"].__set__
_set_private = _slots["__pydantic_private__"].__set__


class Prototype(Generic[M]):
    """Makes copies of a validated object.

    Args:
        sample: the first one, made by its constructor with the keywords that all others would be given.

    Raises:
        TypeError: it has values that are not those of its fields.
    """

    __slots__ = ("_class", "_containers", "_given", "_new", "_takes_extra", "_values")

    def __init__(self, sample: M) -> None:
        if sample.__pydantic_extra__ or sample.__pydantic_private__:
            raise TypeError(f"{type(sample).__name__} holds more than its fields")
        self._class = type(sample)
        self._new = self._class.__new__  # Looked up once: pydantic's metaclass takes its time.
        self._given = sample.__pydantic_fields_set__
        self._takes_extra = sample.__pydantic_extra__ is not None
        self._values = dict(sample.__dict__)
        self._containers = tuple(
            (name, value.copy)
            for name, value in self._values.items()
            if isinstance(value, (dict, list))
        )

    def copy(self, changes: Mapping[str, Any]) -> M:
        """A copy with other values in some fields, and lists and dicts of its own in the others.

        Args:
            changes: by field. They become part of the copy as they are.
        """
        values = {**self._values, **changes}  # In the order of the class's fields.
        for name, fresh in self._containers:
            if name not in changes:
                values[name] = fresh()
        made: M = self._new(self._class)
        _set_values(made, values)
        _set_given(made, self._given.copy())
        _set_extra(made, {} if self._takes_extra else None)
        _set_private(made, None)
        return made
