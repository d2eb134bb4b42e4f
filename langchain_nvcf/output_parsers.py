"""Parsers that turn an answer into the requested object: complete, and partial while the answer streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import override

from nvcf_core.messages import Chunk, ToolCall
from nvcf_core.response.accumulator import Accumulator
from nvcf_core.response.finish_reason import cut_reason
from nvcf_core.response.json_text import find_answer, find_value, partial_answer
from nvcf_core.response.tool_arguments import shorten

from .errors import RefusalError


class StructuredOutputParser(BaseTransformOutputParser[Any]):
    """Reads an object out of a message: its first call of a tool, or the JSON in its text.

    The text may have code fences or words around the object. A pydantic class gives an instance, anything else a
    dict. While the answer streams, growing objects come out, each time one has changed.
    """

    schema_class: Any = None
    """The pydantic class to make an instance of, None for a dict."""
    tool: str | None = None
    """The tool whose call holds the object, None where the text holds it."""
    required: tuple[str, ...] = ()
    """Keys without which a dict is refused."""
    value_only: bool = False
    """Whether the instance's `value` comes out: the schema is that of `nvcf_core.request.structured.value_model`."""
    beside_tools: bool = False
    """Whether the model may call tools instead, which gives None."""

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        generation = result[0]
        message = (
            generation.message
            if isinstance(generation, ChatGeneration)
            else AIMessage(generation.text)
        )
        return self.read(message)

    @override
    def parse(self, text: str) -> Any:
        return self.read(AIMessage(text))

    def read(self, message: BaseMessage) -> Any:
        """The object in a whole message.

        Raises:
            OutputParserException: there is none, or it does not fit. The error shows what came.
            RefusalError: the model refused.
        """
        if refusal := message.additional_kwargs.get("refusal"):
            raise RefusalError(refusal)
        reason = "there is no JSON object in it" if self.tool is None else "the tool is not called"
        for found in self._found(message):
            try:
                return self._fitting(found)
            except ValueError as error:  # What pydantic raises, v1 and v2, is one too.
                reason = str(error)
        if self.beside_tools and isinstance(message, AIMessage) and message.tool_calls:
            return None
        raise _nothing_fits(message, self._wanted, reason)

    def read_partial(self, grown: str) -> Any | None:
        """The object in as much of a JSON text as has arrived, None while there is none that fits."""
        found = partial_answer(grown, objects_only=True)
        try:
            return None if found is None else self._instance(found)
        except (ValueError, RecursionError):  # It does not fit yet.
            return None

    @property
    def _wanted(self) -> str:
        return self.tool or str(getattr(self.schema_class, "__name__", "an object of the schema"))

    def _found(self, message: BaseMessage) -> Iterator[dict[str, Any]]:
        if self.tool is None and self.value_only:
            yield from map(_with_value, find_value(str(message.text)))
        elif self.tool is None:
            yield from find_answer(message.text, objects_only=True)
        elif isinstance(message, AIMessage):
            yield from (call["args"] for call in message.tool_calls if call["name"] == self.tool)

    def _fitting(self, found: dict[str, Any]) -> Any:
        missing = [key for key in self.required if key not in found]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return self._instance(found)

    def _instance(self, found: dict[str, Any]) -> Any:
        if self.schema_class is None:
            return found
        if self.value_only:
            return self.schema_class.model_validate(found).value
        if hasattr(self.schema_class, "model_validate"):
            return self.schema_class.model_validate(found)
        return self.schema_class.parse_obj(found)

    @override
    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        objects = _PartialObjects(self)
        for chunk in input:
            yield from objects.feed(chunk)
        yield from objects.end()

    @override
    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        objects = _PartialObjects(self)
        async for chunk in input:
            for grown in objects.feed(chunk):
                yield grown
        for grown in objects.end():
            yield grown


def parser_for(
    schema: Any,
    tool: str | None,
    required: tuple[str, ...] = (),
    *,
    value_only: bool = False,
    beside_tools: bool = False,
) -> StructuredOutputParser:
    """The parser of answers to a schema, see `StructuredOutputParser`."""
    is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
    return StructuredOutputParser(
        schema_class=schema if is_model else None,
        tool=tool,
        required=() if is_model else required,
        value_only=value_only,
        beside_tools=beside_tools,
    )


def _with_value(found: Any) -> dict[str, Any]:
    """Return `{"value": …}`, also if the model wrote only the value."""
    return found if isinstance(found, dict) and "value" in found else {"value": found}


class _PartialObjects:
    """The objects that come out of an answer that is still arriving."""

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._messages: list[BaseMessage] = []
        self._answer = Accumulator()
        self._given: Any = None

    def feed(self, piece: str | BaseMessage) -> Iterator[Any]:
        message = AIMessageChunk(content=piece) if isinstance(piece, str) else piece
        self._messages.append(message)
        if not isinstance(message, AIMessageChunk):
            return  # A whole message: the model does not stream.
        chunk = _to_chunk(message)
        self._answer.add(chunk)
        if chunk.tool_calls if self._parser.tool else chunk.text:
            yield from self._new(self._parser.read_partial(self._source()))

    def end(self) -> Iterator[Any]:
        if self._messages:
            first, *others = self._messages
            whole = first + others if isinstance(first, AIMessageChunk) else first
            yield from self._new(self._parser.read(whole))

    def _source(self) -> str:
        """The text in which the object is: the answer's, or the arguments of the call."""
        if self._parser.tool is None:
            return self._answer.text
        calls = self._answer.tool_calls
        return next((call.arguments for call in calls if call.name == self._parser.tool), "")

    def _new(self, grown: Any | None) -> Iterator[Any]:
        if grown is not None and grown != self._given:
            self._given = grown
            yield grown


def _to_chunk(message: AIMessageChunk) -> Chunk:
    calls = tuple(
        ToolCall(fragment["index"] or 0, "", fragment["name"] or "", fragment["args"] or "")
        for fragment in message.tool_call_chunks
    )
    return Chunk(str(message.text), tool_calls=calls)


def _nothing_fits(message: BaseMessage, wanted: str, reason: str) -> OutputParserException:
    said = str(message.text)
    if isinstance(message, AIMessage) and (
        calls := [*message.tool_calls, *message.invalid_tool_calls]
    ):
        said = json.dumps([_shown(call) for call in calls], ensure_ascii=False, default=str)
    only_reasoning = bool(message.additional_kwargs.get("reasoning_content")) and not said
    if cut := cut_reason(
        message.response_metadata.get("finish_reason"), only_reasoning=only_reasoning
    ):
        reason = cut
    shown = shorten(said) or "(nothing)"
    return OutputParserException(
        f"The answer does not hold {wanted}: {reason}. It says: {shown}", llm_output=said
    )


def _shown(call: Mapping[str, Any]) -> dict[str, Any]:
    return {key: call.get(key) for key in ("name", "args")}
