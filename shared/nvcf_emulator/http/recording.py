"""A recording: exchanges with a server as JSON lines, without keys, and how two requests differ."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = [
    "REDACTED",
    "SECRET_HEADERS",
    "Exchange",
    "Recording",
    "RecordingWriter",
    "differences",
    "parsed_body",
]

REDACTED = "[redacted]"
_SHORTEST_IN_BASE64 = 8
"""Characters of a secret from which on its base64 is one, too: of less it may be that of anything."""
FORMAT = "nvcf-recording"
VERSION = 1

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie", "set-cookie"}
)
"""Headers that a recording leaves out, names in lower case."""


@dataclass(frozen=True)
class Exchange:
    """One request and what came back.

    Attributes:
        method: The HTTP method.
        path: The path at the recorder, without the query.
        query: The query.
        request_headers: The request's headers, without keys.
        request_body: The parsed JSON body, or a text; None where there was none.
        status: The status code.
        headers: The response's headers.
        chunks: The body as it came: the seconds before each chunk, and its bytes.
        complete: Whether the response came to its end.
    """

    method: str
    path: str
    query: str
    request_headers: Mapping[str, str]
    request_body: Any
    status: int
    headers: Sequence[tuple[str, str]] = ()
    chunks: Sequence[tuple[float, bytes]] = ()
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it as one line of a recording holds it."""
        return {
            "request": {
                "method": self.method,
                "path": self.path,
                "query": self.query,
                "headers": dict(self.request_headers),
                "body": self.request_body,
            },
            "response": {
                "status": self.status,
                "headers": [list(item) for item in self.headers],
                "chunks": [[round(pause, 4), _text(data)] for pause, data in self.chunks],
                "complete": self.complete,
            },
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Exchange:
        """Return the exchange that one line of a recording holds."""
        request, response = line["request"], line["response"]
        return cls(
            method=request["method"],
            path=request["path"],
            query=request["query"],
            request_headers=request["headers"],
            request_body=request["body"],
            status=response["status"],
            headers=[(name, value) for name, value in response["headers"]],
            chunks=[(pause, _bytes(data)) for pause, data in response["chunks"]],
            complete=response["complete"],
        )


class RecordingWriter:
    """Writes exchanges to a file, one by one as they end.

    Args:
        path: The file; one that exists is replaced.
        upstream: The server that is recorded.
        redact: Texts that are written as `[redacted]`, wherever they stand.
    """

    def __init__(self, path: Path, upstream: str, redact: Sequence[str] = ()) -> None:
        self._path = path
        self._redact = [text for text in redact if text]
        head = {"format": FORMAT, "version": VERSION, "upstream": upstream}
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def add(self, exchange: Exchange, keys: Sequence[str] = ()) -> None:
        """Write an exchange, without `keys` and what else is redacted."""
        secret = _secrets_pattern([*keys, *self._redact])
        line = _cleaned(
            (_cleaned_chunks(exchange, secret) if secret else exchange).as_json(), secret
        )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


@dataclass
class Recording:
    """What was recorded, for answering the same requests again.

    Attributes:
        path: The file.
        exchanges: Its exchanges that were not used yet, in order.
    """

    path: Path
    exchanges: list[Exchange] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a recording.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a recording, or one of another version.
        """
        lines = iter(path.read_text(encoding="utf-8").splitlines())
        return cls(path, list(_exchanges(path, lines)))

    def take(self, request: Exchange) -> Exchange | None:
        """Return and use up the first exchange whose request is the same, None if none is."""
        for place, exchange in enumerate(self.exchanges):
            if not differences(exchange, request):
                return self.exchanges.pop(place)
        return None

    def nearest(self, request: Exchange) -> list[str]:
        """Return how a request differs from the recorded one that is most like it."""
        if not self.exchanges:
            return ["every recorded exchange was used already"]
        return min((differences(exchange, request) for exchange in self.exchanges), key=len)


def _exchanges(path: Path, lines: Iterator[str]) -> Iterator[Exchange]:
    try:
        head = json.loads(next(lines, ""))
        if head.get("format") != FORMAT or head.get("version") != VERSION:
            raise ValueError(f"its first line is not that of a recording of version {VERSION}")
        for line in lines:
            yield Exchange.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be replayed: {error}") from error


def parsed_body(raw: bytes) -> Any:
    """Return a request's body as a recording holds it: parsed JSON, or a text."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return _text(raw)


def differences(recorded: Exchange, got: Exchange) -> list[str]:
    """Return in what two requests differ, each with its path; empty if they are the same."""
    found = [
        f"{name}: recorded {one!r}, got {other!r}"
        for name, one, other in (
            ("method", recorded.method, got.method),
            ("path", recorded.path, got.path),
            ("query", recorded.query, got.query),
        )
        if one != other and not _was_redacted(one, other)
    ]
    return [*found, *_different("body", recorded.request_body, got.request_body)]


def _different(name: str, recorded: Any, got: Any) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(got, dict):
        for key in [*recorded, *(key for key in got if key not in recorded)]:
            if key not in got:
                yield f"{name}.{key}: recorded {_short(recorded[key])}, got nothing"
            elif key not in recorded:
                yield f"{name}.{key}: not recorded, got {_short(got[key])}"
            else:
                yield from _different(f"{name}.{key}", recorded[key], got[key])
    elif isinstance(recorded, list) and isinstance(got, list) and len(recorded) == len(got):
        for place, (one, other) in enumerate(zip(recorded, got, strict=True)):
            yield from _different(f"{name}[{place}]", one, other)
    elif not _same(recorded, got) and not _was_redacted(recorded, got):
        yield f"{name}: recorded {_short(recorded)}, got {_short(got)}"


def _same(recorded: Any, got: Any) -> bool:
    # In Python true is 1; in JSON it is not.
    return bool(recorded == got) and isinstance(recorded, bool) == isinstance(got, bool)


def _was_redacted(recorded: Any, got: Any) -> bool:
    """Tell whether a text is the recorded one but for what was redacted in it."""
    if not isinstance(recorded, str) or not isinstance(got, str) or REDACTED not in recorded:
        return False
    position = 0
    for part in recorded.split(REDACTED):
        position = got.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return got.startswith(recorded.partition(REDACTED)[0])


def _short(value: Any, most: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def _secrets_pattern(secrets: Sequence[str]) -> re.Pattern[str] | None:
    """Return what finds each text: as it is, and as JSON, urls and base64 have it. None: there are none."""
    found = ["".join(map(_character_pattern, text)) for text in secrets if text]
    found += [
        re.escape(base64.b64encode(text.encode()).decode().rstrip("=")) + "=*"
        for text in secrets
        if len(text) >= _SHORTEST_IN_BASE64
    ]
    return re.compile("|".join(sorted(found, key=len, reverse=True))) if found else None


def _character_pattern(character: str) -> str:
    """Return what finds a character: as it is, after a backslash, as `%2F` and as `\\u002f`."""
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    utf16 = character.encode("utf-16-be").hex()
    escaped = "".join(rf"\\u{utf16[place : place + 4]}" for place in range(0, len(utf16), 4))
    forms = [rf"\\?{re.escape(character)}", f"(?i:{percent})", f"(?i:{escaped})"]
    if character == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"


def _cleaned_chunks(exchange: Exchange, secret: re.Pattern[str]) -> Exchange:
    """Return an exchange whose chunks hold no secret, be it that one is cut across them."""
    # What is not UTF-8 stays as it is.
    whole = b"".join(data for _, data in exchange.chunks).decode(errors="surrogateescape")
    if not secret.search(whole):
        return exchange
    cleaned = secret.sub(REDACTED, whole).encode(errors="surrogateescape")
    pause = sum(pause for pause, _ in exchange.chunks)
    headers = [item for item in exchange.headers if item[0].lower() != "content-length"]
    return replace(
        exchange,
        chunks=[(pause, cleaned)],
        headers=[*headers, ("content-length", str(len(cleaned)))],
    )


def _cleaned(value: Any, secret: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return secret.sub(REDACTED, value) if secret else value
    if isinstance(value, dict):
        return {
            _cleaned(name, secret): (
                REDACTED if str(name).lower() in SECRET_HEADERS else _cleaned(item, secret)
            )
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(item, secret) for item in value]
    return value
