"""A prompt with columns in braces."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["column_names", "fill_in"]


class _Formatter(string.Formatter):
    """As `str.format`, but that what stands in braces is a column's name as a whole: nothing is looked up in values."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG002 - the name is the whole
        """The value of a column; a null is the empty text."""
        value = kwargs[field_name]
        return ("" if value is None else value), field_name


def column_names(template: str) -> list[str]:
    """The columns that a template names, each once.

    Raises:
        ValueError: a brace is not closed, or braces are empty.
    """
    names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    if "" in names:
        raise ValueError("there is no column between a pair of braces; {{}} stands for braces")
    return list(dict.fromkeys(names))


def fill_in(template: str, row: Mapping[str, Any]) -> str:
    """The text of a template for one row."""
    return _Formatter().vformat(template, (), row)
