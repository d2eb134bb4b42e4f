"""Structured output: an object requested by response format, by a required tool, or in the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from types import UnionType
from typing import Any, Literal, TypeAlias, get_origin

from pydantic import BaseModel, RootModel, create_model

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import Message
from nvcf_core.models.spec import ModelSpec
from nvcf_core.tools.names import safe_name
from nvcf_core.values import value_class

from .normalize import number_messages
from .tools import named_tool

__all__ = [
    "SCHEMA_IN_PROMPT",
    "AnswerSchema",
    "StructuredMethod",
    "merge_call_keywords",
    "move_schema_into_prompt",
    "required_tool_fields",
    "response_format",
    "schema_prompt",
    "structured_fields",
    "structured_method",
    "value_model",
]

StructuredMethod: TypeAlias = Literal["response_format", "tool", "prompt"]

SCHEMA_IN_PROMPT = "schema_in_prompt"
"""The keyword that puts a schema into the prompt. It is not a field of the body."""

_NOTHING_ELSE = "and nothing else: no code fence, no words around it."


_PLAIN_TYPES = frozenset((str, int, float, bool, list, dict, set, tuple))
"""Types that are not described by fields of their own."""


def value_model(annotation: Any) -> type[BaseModel] | None:
    """A class whose only field, `value`, is of a type that is not an object: an Enum, a Literal, a list, a number.

    So is a RootModel of one of those.

    Args:
        annotation: a type as it stands in an annotation.

    Returns:
        The class; None where `annotation` is a class or a schema of an object, which needs none.
    """
    described = get_origin(annotation) is not None or isinstance(annotation, UnionType)
    if isinstance(annotation, type) and not described:
        described = (
            issubclass(annotation, Enum) or annotation in _PLAIN_TYPES or _is_plain_root(annotation)
        )
    if not described:
        return None
    name = getattr(annotation, "__name__", "Answer")
    return create_model(str(name), value=(annotation, ...))


def _is_plain_root(annotation: type) -> bool:
    """Return whether it is a pydantic class around a value that is not an object."""
    if not issubclass(annotation, RootModel):
        return False
    schema = annotation.model_json_schema()
    return "properties" not in schema and schema.get("type") != "object" and "$ref" not in schema


@value_class
class AnswerSchema:
    """The schema of an answer."""

    name: str
    """Any text: the service gets it as a name that it accepts."""
    schema: Mapping[str, Any]
    """A JSON schema."""
    strict: bool | None = None
    """Whether the answer must fit exactly; None: the service's own default."""


def structured_method(
    spec: ModelSpec, calls_tools: bool | None = None, *, beside_tools: bool = False
) -> StructuredMethod:
    """Return the best way to request an object from a model: response format, else a tool, else the prompt.

    Args:
        spec: the model spec.
        calls_tools: whether it may be given tools. None: as the model spec says.
        beside_tools: whether it may call other tools instead of answering: then no tool is forced.
    """
    if spec.documents("response_format"):
        return "response_format"
    if beside_tools:
        return "prompt"
    return "tool" if (spec.supports_tools if calls_tools is None else calls_tools) else "prompt"


def structured_fields(
    method: StructuredMethod, answer: AnswerSchema, tools: Sequence[Any] = ()
) -> dict[str, Any]:
    """Return the keywords of a call that requests an object of a schema.

    Args:
        method: how the object is requested.
        answer: the schema.
        tools: what the model may call instead.
    """
    if method == "tool":
        return required_tool_fields(_schema_tool(answer), tools)
    beside = {"tools": list(tools)} if tools else {}
    if method == "response_format":
        return {"response_format": _json_schema_format(answer), **beside}
    return {SCHEMA_IN_PROMPT: dict(answer.schema), **beside}


def merge_call_keywords(fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the keywords that request an object with the caller's, which win.

    Args:
        fields: what `structured_fields` says, the caller's tools included.
        given: the caller's own.

    Raises:
        InvalidRequestError: the caller requests another format of the answer.
    """
    wanted = given.get("response_format")
    if wanted is not None and wanted != fields.get("response_format"):
        raise InvalidRequestError(
            "response_format and a schema are two formats of one answer: give one of them",
            field="response_format",
        )
    own = {name: value for name, value in given.items() if name != "tools" and value is not None}
    if "tools" not in fields and own.get("tool_choice") in ("any", "required", True):
        del own["tool_choice"]  # It requests the object, which is requested without a tool.
    return {**fields, **own}


def response_format(spec: ModelSpec, wanted: Mapping[str, Any] | AnswerSchema) -> dict[str, Any]:
    """Return the keywords that request a format: in the body if the model documents it, else in the prompt.

    Args:
        spec: the model spec.
        wanted: a schema, or a format as OpenAI's API has it.

    Raises:
        InvalidRequestError: the model documents no format, and this one cannot be put into words.
    """
    if isinstance(wanted, AnswerSchema):
        wanted = _json_schema_format(wanted)
    if spec.documents("response_format"):
        return {"response_format": dict(wanted)}
    if wanted["type"] == "text":
        return {}
    if wanted["type"] not in ("json_schema", "json_object"):
        raise InvalidRequestError(
            f"response_format of type {wanted['type']!r} cannot be requested in the prompt, and the documentation of "
            f"{spec.id} has no response_format",
            field="response_format",
            model=spec.id,
        )
    return {SCHEMA_IN_PROMPT: wanted.get("json_schema", {}).get("schema", {})}


def required_tool_fields(tool: Mapping[str, Any], others: Sequence[Any] = ()) -> dict[str, Any]:
    """Return the keywords that require one call of this tool, or calls of the others if there are any."""
    if others:
        return {"tools": [*others, tool], "tool_choice": "required"}
    return {
        "tools": [tool],
        "tool_choice": named_tool(tool["function"]["name"]),
        "parallel_tool_calls": False,
    }


def _json_schema_format(answer: AnswerSchema) -> dict[str, Any]:
    described: dict[str, Any] = {"name": safe_name(answer.name), "schema": dict(answer.schema)}
    if answer.strict is not None:
        described["strict"] = answer.strict
    return {"type": "json_schema", "json_schema": described}


def _schema_tool(answer: AnswerSchema) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": answer.name,
        "description": answer.schema.get("description", ""),
        "parameters": dict(answer.schema),
    }
    if answer.strict is not None:
        function["strict"] = answer.strict
    return {"type": "function", "function": function}


def schema_prompt(schema: Mapping[str, Any]) -> str:
    """The words that ask for one JSON value of a schema; of the empty schema: for any JSON object."""
    if not schema:
        return f"Answer with one JSON object {_NOTHING_ELSE}"
    value = "object" if schema.get("type", "object") == "object" else "value"
    described = json.dumps(schema, ensure_ascii=False)
    return (
        f"Answer with one JSON {value} {_NOTHING_ELSE} "
        f"It must fit this JSON schema, which is not to be repeated:\n{described}"
    )


def move_schema_into_prompt(
    messages: Sequence[Message], given: Mapping[str, Any]
) -> tuple[Sequence[Message], Mapping[str, Any]]:
    """Move a schema from the keywords into the prompt; return the messages and the other keywords.

    The words stand at the end of the first system message, which is made where there is none: there they stay the
    same from turn to turn, and what the user said is left as it is.
    """
    if SCHEMA_IN_PROMPT not in given:
        return messages, given
    rest = {name: value for name, value in given.items() if name != SCHEMA_IN_PROMPT}
    schema = given[SCHEMA_IN_PROMPT]
    if schema is None or not messages:
        return messages, rest
    text = schema_prompt(schema)
    if messages[0].role == "system":
        first = replace(messages[0], parts=(*messages[0].parts, text))
        return [first, *messages[1:]], rest
    # The others keep the places that they have in the caller's own list.
    return [Message(role="system", parts=(text,)), *number_messages(messages)], rest
