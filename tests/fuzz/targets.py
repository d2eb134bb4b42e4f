"""What is fuzzed: a name, what makes input for it, and a check that raises where something does not hold."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from nvcf_core.errors import (
    APIStatusError,
    InvalidRequestError,
    InvalidResponseError,
    StreamInterruptedError,
)
from nvcf_core.exchange import Response
from nvcf_core.media.tags import contains_tag, escape_media_tags, parse_tags
from nvcf_core.messages import Chunk, Media
from nvcf_core.protocol.results import extract_answer
from nvcf_core.response.decoder import decoder_for
from nvcf_core.response.error_body import status_error
from nvcf_core.response.options import DecodeOptions
from nvcf_core.response.sse import SSEDecoder
from nvcf_core.tools.names import ToolNames
from nvcf_core.transport.encodings import decompressor_for

CORPUS = Path(__file__).parent / "corpus"
REPLIES = Path(__file__).parents[1] / "replies"


@dataclass(frozen=True)
class Target:
    """One thing to be fuzzed."""

    name: str
    folders: tuple[Path, ...]
    """Where its corpus lies."""
    words: tuple[bytes, ...]
    """Pieces that mean something to it."""
    check: Callable[[bytes, list[int]], None]
    """Takes an input, and where to cut it."""

    def corpus(self) -> list[bytes]:
        """Inputs to begin with."""
        paths = sorted(path for folder in self.folders for path in folder.iterdir())
        return [path.read_bytes() for path in paths if path.suffix != ".md"]

    def inputs(self) -> st.SearchStrategy[bytes]:
        """Inputs of three kinds: made of words, of anything, and of the corpus with something changed."""
        pieces = st.sampled_from(self.words) | st.binary(max_size=8)
        made = st.lists(pieces, max_size=40).map(b"".join)
        return made | st.binary(max_size=300) | self._changed()

    def _changed(self) -> st.SearchStrategy[bytes]:
        places = st.floats(0, 1, exclude_max=True)
        edit = st.tuples(
            places, st.integers(0, 12), st.sampled_from(self.words) | st.binary(max_size=3)
        )
        return st.builds(changed, st.sampled_from(self.corpus()), st.lists(edit, max_size=4))


def changed(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Bytes with some of them replaced: each edit says where, how many go, and what comes."""
    for place, gone, new in edits:
        start = int(place * len(data))
        data = data[:start] + new + data[start + gone :]
    return data


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes in pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[edges[n] : edges[n + 1]] for n in range(len(edges) - 1)]


def check_sse(data: bytes, cuts: list[int]) -> None:
    """The same events at every cut, and no more bytes than came in."""
    events = []
    everywhere = list(range(min(len(data), 500)))
    for pieces in ([data], split(data, cuts), split(data, everywhere)):
        decoder = SSEDecoder()
        found = [event for piece in pieces for event in decoder.feed(piece)]
        events.append(found + decoder.flush())
    assert events[0] == events[1] == events[2]
    assert sum(len(name) + len(body) for name, body in events[0]) <= len(data)


READINGS = (
    DecodeOptions(),
    DecodeOptions(stops=("END", "b", "</think>"), single_call=True, names=ToolNames(["a.b"])),
    DecodeOptions(
        text_tool_calls="kimi", schemas={"f": {"properties": {"a": {"type": "integer"}}}}
    ),
    DecodeOptions(text_tool_calls="nemotron", no_calls=True),
)


def check_answer(data: bytes, cuts: list[int]) -> None:
    """An answer or our own error, of the right shape, and the same at every cut."""
    for kind in ("text/event-stream", "application/json"):
        for reading in READINGS:
            outcomes = [answered(kind, reading, pieces) for pieces in ([data], split(data, cuts))]
            assert outcomes[0] == outcomes[1]


def answered(kind: str, reading: DecodeOptions, pieces: list[bytes]) -> Any:
    headers = {"content-type": kind, "nvcf-reqid": "r"}
    decoder = decoder_for(Response(200, headers), reading)
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
            if decoder.has_failure:
                break
        for chunk in decoder.flush():
            chunks.append(chunk)
    except StreamInterruptedError as error:
        return "interrupted", error.request_id, plain(error.partial)
    except InvalidResponseError as error:
        return "invalid", error.request_id
    except APIStatusError as error:
        return "status", error.status, error.request_id
    check_chunks(chunks)
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    whole = decoder.snapshot()
    assert total == whole
    return "answer", plain(whole)


def plain(answer: Chunk) -> Any:
    """What an answer says, without ids that were made up."""
    calls = [(call.index, call.name, call.arguments) for call in answer.tool_calls]
    return answer.text, answer.reasoning, answer.refusal, calls, answer.finish_reason, answer.last


def check_chunks(chunks: list[Chunk]) -> None:
    """What every stream of chunks promises."""
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    begun: set[int] = set()
    for chunk in chunks:
        for value in (chunk.finish_reason, chunk.id, chunk.model):
            assert value is None or isinstance(value, str)
        assert chunk.logprobs is None or isinstance(chunk.logprobs, dict)
        for call in chunk.tool_calls:
            assert bool(call.id) == (call.index not in begun)
            assert isinstance(call.arguments, str)
            begun.add(call.index)


STATUSES = (300, 400, 401, 404, 408, 409, 413, 422, 429, 500, 599)


def check_error(data: bytes, cuts: list[int]) -> None:
    """Every reply becomes an error with a message of bounded length."""
    status = STATUSES[sum(cuts) % len(STATUSES)]
    value = data[:60].decode("latin-1")
    headers = {"retry-after": value, "date": value[::-1], "nvcf-reqid": "r"}
    error = status_error(Response(status, headers, data))
    assert isinstance(error, APIStatusError)
    assert f"HTTP {status}" in str(error)
    assert "(request id r)" in str(error)
    assert len(str(error)) < 5_000
    assert error.retry_after is None or error.retry_after >= 0


def check_tags(data: bytes, cuts: list[int]) -> None:
    """Tags become media or our own error; an escaped text has none, and comes back whole."""
    text = data.decode("utf-8", "surrogateescape")
    escaped = escape_media_tags(text)
    assert not contains_tag(escaped)
    assert list(parse_tags(escaped, field="f")) == ([escaped] if escaped else [])
    try:
        parts = list(parse_tags(text, field="f"))
    except InvalidRequestError:
        return
    assert sum(len(part) for part in parts if isinstance(part, str)) <= len(text)
    for part in parts:
        if isinstance(part, Media):
            given = (part.source, part.url, part.asset_id)
            assert sum(value is not None for value in given) == 1
            assert contains_tag(text)


def check_zip(data: bytes, cuts: list[int]) -> None:
    """The zip of a result gives bounded bytes, or our own error."""
    try:
        body = extract_answer(data, "r")
    except InvalidResponseError:
        return
    assert len(body) <= max(1_000 * len(data), 1_024_000) + 1


def check_encoding(data: bytes, cuts: list[int]) -> None:
    """A compressed body, whatever stands behind it, becomes the same bytes at every cut, or our own error."""
    for encoding in ("gzip", "deflate"):
        assert decoded(encoding, [data]) == decoded(encoding, split(data, cuts))
    packed = gzip.compress(data)
    assert decoded("gzip", split(packed + data, cuts)) == data
    assert decoded("deflate", split(zlib.compress(data)[2:] + data, cuts)) == data


def decoded(encoding: str, pieces: list[bytes]) -> bytes | None:
    """What a body becomes. None: it is not of this encoding."""
    decompressor = decompressor_for({"content-encoding": encoding})
    assert decompressor is not None
    try:
        return b"".join(each for piece in pieces for each in decompressor.feed(piece))
    except InvalidResponseError:
        return None


JSON_WORDS = (
    b'{"choices":[{"index":0,"delta":{"content":"', b'"},"finish_reason":"stop"}]}', b'{"message":{"content":"',
    b'"tool_calls":[{"index":0,"id":"a","function":{"name":"a_b","arguments":"{', b'"finish_reason":', b"null",
    b'"reasoning_content":"', b"<think>", b"</think>", b"END", b'"usage":', b'"logprobs":{"content":[]}', b"{}", b"[]",
    b'"error":', b'"title":', b'"detail":', b'"object":"error"', b"1e999", b"\\ud800", b"-", b'"', b"[" * 300,
    b"{", b"}", b"]", b",", b":", b"\\u0000", b"9" * 400,
)  # fmt: skip
SSE_WORDS = (
    b"data: ", b"data:", b"data", b"event: error", b"event:", b": ", b"\n", b"\r", b"\r\n", b"\n\n", b"[DONE]",
    b"\xef\xbb\xbf", b"id: 1", b"\xe2\x80\xa8", b" ",
)  # fmt: skip
ERROR_WORDS = (
    b"maximum context length", b"DEGRADED", b'"loc":', b'"msg":', b'"requestId":"', b"Mon, 01 Jan 2024 00:00:00 GMT",
    b"99999999999", b"1.5", b"-0000",
)  # fmt: skip
TAG_WORDS = (
    b"<img ", b"<audio ", b"<video ", b"</", b"src=", b'src="', b"src='", b'"', b"'", b"/>", b">", b"<", b" ", b"\n",
    b"https://x.org/a", b"data:image/png;base64,", b"data:image/png;asset_id,", b"iVBORw0K", b"=", b";", b",", b"file:///",
    b"http://[",
)  # fmt: skip
ZIP_WORDS = (
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
    b".response",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x08\0",
    b"\x0e\0",
)

ENCODING_WORDS = (
    b"\x1f\x8b\x08", b"\x78\x9c", b"\x00\x00\x00\xff\xff", b"\x03\x00", b"\x01\x00\x00\xff\xff", b"\xff" * 4,
)  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target("sse", (CORPUS / "sse", REPLIES / "streams"), SSE_WORDS, check_sse),
        Target(
            "answer",
            (CORPUS / "answer", REPLIES / "streams", REPLIES / "whole"),
            JSON_WORDS + SSE_WORDS,
            check_answer,
        ),
        Target(
            "error", (CORPUS / "error", REPLIES / "errors"), JSON_WORDS + ERROR_WORDS, check_error
        ),
        Target("tags", (CORPUS / "tags",), TAG_WORDS, check_tags),
        Target("encoding", (CORPUS / "encoding",), ENCODING_WORDS, check_encoding),
        Target("zip", (CORPUS / "zip",), ZIP_WORDS, check_zip),
    )
}
"""Everything that reads what others wrote."""
