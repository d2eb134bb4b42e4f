"""Objects of a schema as answers: how they are asked for, read, checked, and typed in Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pyarrow as pa
from jsonschema.validators import validator_for
from pydantic import BaseModel, ValidationError

from nvcf_core import Chunk, ModelSpec
from nvcf_core.errors import InvalidRequestError, InvalidResponseError
from nvcf_core.request.structured import AnswerSchema, structured_fields, structured_method
from nvcf_core.response.json_text import find_json
from nvcf_core.response.tool_arguments import parse_tool_calls, shorten

__all__ = ["ParsedAnswers", "arrow_type"]

_SIMPLE = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


class ParsedAnswers:
    """Answers that fit a schema.

    Args:
        schema: a pydantic class, or a JSON schema.

    Raises:
        InvalidRequestError: it is neither.
    """

    def __init__(self, schema: type[BaseModel] | Mapping[str, Any]) -> None:
        self._model = schema if isinstance(schema, type) else None
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            self.json_schema: Mapping[str, Any] = schema.model_json_schema()
        elif isinstance(schema, Mapping):
            self.json_schema = dict(schema)
        else:
            raise InvalidRequestError(
                "schema must be a pydantic class or a JSON schema", field="schema"
            )
        try:
            validator_for(self.json_schema).check_schema(self.json_schema)
        except jsonschema.SchemaError as error:
            raise InvalidRequestError(
                f"schema is not a JSON schema: {error}", field="schema"
            ) from None
        self.type = arrow_type(self.json_schema)

    def keywords(self, spec: ModelSpec) -> dict[str, Any]:
        """The keywords of a call that ask for an object, in the best way that the model has."""
        title = str(self.json_schema.get("title") or "answer")
        return structured_fields(structured_method(spec), AnswerSchema(title, self.json_schema))

    def parse(self, answer: Chunk) -> Any:
        """The object of an answer, as Arrow takes it.

        Raises:
            InvalidResponseError: there is none, or it does not fit the schema.
        """
        value = self._checked(_value(answer), answer)
        try:
            typed: Any = pa.scalar(_as_type(value, self.type), self.type).as_py()
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise _unfit(answer, f"it does not fit its column: {error}") from error
        return typed

    def _checked(self, value: Any, answer: Chunk) -> Any:
        try:
            if self._model is not None:
                return self._model.model_validate(value).model_dump(mode="json", by_alias=True)
            validator_for(self.json_schema)(self.json_schema).validate(value)
        except (ValidationError, jsonschema.ValidationError) as error:
            said = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
            raise _unfit(answer, said) from None
        return value


def _value(answer: Chunk) -> Any:
    if answer.tool_calls:
        call = parse_tool_calls(answer.tool_calls, answer.finish_reason)[0]
        if call.arguments is None:
            raise _unfit(answer, call.error or "the tool call cannot be read")
        return call.arguments
    for value in find_json(answer.text):
        return value
    raise _unfit(answer, "there is no JSON in it")


def _unfit(answer: Chunk, reason: str) -> InvalidResponseError:
    body = answer.text or "".join(call.arguments for call in answer.tool_calls)
    return InvalidResponseError(
        f"the answer does not fit the schema: {shorten(reason)}",
        body=body.encode(errors="replace"),
        request_id=answer.request_id,
    )


def arrow_type(schema: Mapping[str, Any]) -> pa.DataType:
    """The Arrow type of the values of a JSON schema. What Arrow has no type for, such as a union, is JSON text."""
    return _type(schema, schema, ())


def _type(schema: Any, root: Mapping[str, Any], seen: tuple[str, ...]) -> pa.DataType:
    if not isinstance(schema, Mapping):
        return pa.string()
    reference = schema.get("$ref")
    if reference is not None:
        found = None if reference in seen else _resolve(reference, root)
        return _type(found, root, (*seen, reference))
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return _type(options[0], root, seen)
    kind = schema.get("type")
    if isinstance(kind, list) and len(rest := [name for name in kind if name != "null"]) == 1:
        kind = rest[0]
    if kind == "array" and "items" in schema:
        return pa.list_(_type(schema["items"], root, seen))
    properties = schema.get("properties")
    if kind == "object" and properties and not schema.get("additionalProperties"):
        return pa.struct([(name, _type(part, root, seen)) for name, part in properties.items()])
    return _SIMPLE.get(kind, pa.string()) if isinstance(kind, str) else pa.string()


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _as_type(value: Any, kind: pa.DataType) -> Any:
    """A value with all that is JSON text in its column as such."""
    if value is None:
        return None
    if pa.types.is_struct(kind) and isinstance(value, Mapping):
        return {field.name: _as_type(value.get(field.name), field.type) for field in kind}
    if pa.types.is_list(kind) and isinstance(value, list):
        return [_as_type(item, kind.value_type) for item in value]
    if pa.types.is_string(kind) and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value
