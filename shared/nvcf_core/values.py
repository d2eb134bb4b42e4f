"""Dataclasses whose objects nobody changes, which type checkers enforce and the running program does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform, overload

__all__ = ["value_class"]

C = TypeVar("C")


@overload
def value_class(cls: type[C], /) -> type[C]: ...
@overload
def value_class(*, kw_only: bool = False) -> Callable[[type[C]], type[C]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_class(
    cls: type[C] | None = None, /, *, kw_only: bool = False
) -> type[C] | Callable[[type[C]], type[C]]:
    """Like `dataclass(frozen=True, slots=True)`, without what makes that three times as slow.

    A frozen class sets each field past its own refusal to do so. A call makes a dozen such objects, of a hundred
    fields, and one more for each message; and making the class itself takes 0.2 ms more of every import.

    Args:
        kw_only: as for `dataclass`.
    """
    make = dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)
    return make if cls is None else make(cls)
