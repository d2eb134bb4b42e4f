"""Lines of JSON as tables: the type of each column is that of all its values, and JSON text where they have none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from nvcf_core.errors import InvalidRequestError

__all__ = ["infer_columns", "lines_to_table"]

_ROWS_AT_ONCE = 1_000


def infer_columns(lines: Iterable[str]) -> tuple[pa.Schema, int]:
    """The columns of a file, and its number of rows. Dates stay text.

    Raises:
        InvalidRequestError: a line is not a JSON object.
    """
    types: dict[str, pa.DataType] = {}
    rows = 0
    for chunk in _chunks(_objects(lines)):
        rows += len(chunk)
        for name in dict.fromkeys(name for row in chunk for name in row):
            found = _type_of([row.get(name) for row in chunk])
            types[name] = _common(types[name], found) if name in types else found
    return pa.schema([(name, _without_nulls(kind)) for name, kind in types.items()]), rows


def lines_to_table(lines: Iterable[str], schema: pa.Schema) -> pa.Table:
    """Lines as a table of columns that `infer_columns` found. What a line lacks is null."""
    rows = list(_objects(lines))
    columns = [
        pa.array([_as_type(row.get(field.name), field.type) for row in rows], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InvalidRequestError(
                f"source: line {number} is not JSON: {error}", field="source"
            ) from None
        if not isinstance(value, dict):
            raise InvalidRequestError(f"source: line {number} is not a JSON object", field="source")
        yield value


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _ROWS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _type_of(values: list[Any]) -> pa.DataType:
    try:
        kind = pa.array(values).type
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.string()
    # An object without fields has no form in Parquet.
    return pa.string() if pa.types.is_struct(kind) and not kind.num_fields else kind


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    try:
        return pa.unify_schemas(
            [pa.schema([("column", one)]), pa.schema([("column", other)])],
            promote_options="permissive",
        ).types[0]
    except pa.ArrowException:
        return pa.string()


def _without_nulls(kind: pa.DataType) -> pa.DataType:
    """The type with text where there was never a value."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_without_nulls(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_nulls(field.type)) for field in kind])
    return kind


def _as_type(value: Any, kind: pa.DataType) -> Any:
    if value is None or isinstance(value, str) or not pa.types.is_string(kind):
        return value
    return json.dumps(value, ensure_ascii=False)
