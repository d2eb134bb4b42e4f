"""A recording: exchanges with a server as JSON lines, without keys, and how two requests differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nvcf_emulator.http.recorded_bodies import bytes_of, parsed_body, text_of
from nvcf_emulator.http.redaction import BASE64, REDACTED, Redaction
from nvcf_emulator.http.signed_urls import is_signed, led_to, path_at_recorder

__all__ = [
    "Exchange",
    "Recording",
    "RecordingWriter",
    "differences",
]

FORMAT = "nvcf-recording"
VERSION = 1

_COMPARED_HEADERS = ("nvcf-input-asset-references", "x-amz-meta-nvcf-asset-description")
"""Headers of a request that decide what the service answers, the key apart."""


@dataclass(frozen=True)
class Exchange:
    """One request and what came back.

    Attributes:
        method: The HTTP method.
        path: The path at the recorder, without the query.
        query: The query.
        request_headers: The request's headers, without keys.
        request_body: The parsed JSON body, or a text; of an upload its length and its hash; None
            where there was none.
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
                "chunks": [[round(pause, 4), text_of(data)] for pause, data in self.chunks],
                "complete": self.complete,
            },
        }

    @property
    def creates_asset(self) -> bool:
        """Whether it created an asset, so that its body says where the bytes go."""
        return self.method == "POST" and self.path.endswith("/nvcf/assets") and self.status < 300

    def at(self, root: str) -> Exchange:
        """Return it with the urls that stand for signed ones leading to `root`."""
        return replace(
            self,
            headers=[(name, led_to(root, value)) for name, value in self.headers],
            chunks=[(pause, led_to(root, data)) for pause, data in self.chunks]
            if self.creates_asset
            else self.chunks,
        )

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
            chunks=[(pause, bytes_of(data)) for pause, data in response["chunks"]],
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
        self._redact = tuple(redact)
        head = {"format": FORMAT, "version": VERSION, "upstream": upstream}
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def add(self, exchange: Exchange, keys: Sequence[str] = ()) -> None:
        """Write an exchange, without `keys` and what else is redacted."""
        redaction = Redaction([*keys, *self._redact])
        line = redaction.json(_without_secrets(exchange, redaction).as_json())
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

    def __post_init__(self) -> None:
        """Note the ids of the assets that were created, by the paths of their uploads."""
        self._asset_ids = dict(filter(None, map(_created_asset, self.exchanges)))

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a recording.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a recording, or one of another version.
        """
        # Not `splitlines`, which splits at U+2028 and others that may stand inside a line.
        lines = iter(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        return cls(path, list(_exchanges(path, lines)))

    def take(self, request: Exchange) -> Exchange | None:
        """Return and use up the first exchange whose request is the same, None if none is."""
        found = self._first(request)
        if found is None and self._follow_upload(request):
            found = self._first(request)
        if found is not None:
            self.exchanges.remove(found)
        return found

    def nearest(self, request: Exchange) -> list[str]:
        """Return how a request differs from the recorded one that is most like it."""
        if not self.exchanges:
            return ["every recorded exchange was used already"]
        return min((differences(exchange, request) for exchange in self.exchanges), key=len)

    def _first(self, request: Exchange) -> Exchange | None:
        fitting = (item for item in self.exchanges if not differences(item, request))
        return next(fitting, None)

    def _follow_upload(self, request: Exchange) -> bool:
        """Let two assets change places where the bytes of one come to the url of the other.

        Of assets that are created at the same time, it shows only then which is which.

        Returns:
            Whether these bytes were recorded, at another url.
        """
        if not is_signed(request.path):
            return False
        elsewhere = (
            item
            for item in self.exchanges
            if not differences(replace(item, path=request.path), request)
        )
        recorded = next(elsewhere, None)
        if recorded is None or not {recorded.path, request.path} <= self._asset_ids.keys():
            return False
        names = _exchanged(
            (recorded.path, self._asset_ids[recorded.path]),
            (request.path, self._asset_ids[request.path]),
        )
        self.exchanges[:] = [
            item if item.creates_asset else _renamed(item, names) for item in self.exchanges
        ]
        return True


def _exchanges(path: Path, lines: Iterator[str]) -> Iterator[Exchange]:
    try:
        head = json.loads(next(lines, ""))
        if head.get("format") != FORMAT or head.get("version") != VERSION:
            raise ValueError(f"its first line is not that of a recording of version {VERSION}")
        for line in lines:
            yield Exchange.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be replayed: {error}") from error


def _created_asset(exchange: Exchange) -> tuple[str, str] | None:
    """Return the path where an asset's bytes go, and its id, if an exchange created one."""
    if not exchange.creates_asset:
        return None
    described = parsed_body(b"".join(data for _, data in exchange.chunks))
    if not isinstance(described, dict) or not {"assetId", "uploadUrl"} <= described.keys():
        return None
    return path_at_recorder(str(described["uploadUrl"])), str(described["assetId"])


def _exchanged(one: Sequence[str], other: Sequence[str]) -> dict[str, str]:
    return dict(zip([*one, *other], [*other, *one], strict=True))


def _renamed(exchange: Exchange, names: Mapping[str, str]) -> Exchange:
    """Return an exchange with other names wherever they stand."""
    pattern = "|".join(rf"{re.escape(name)}(?!\d)" for name in names)
    text = json.dumps(exchange.as_json())
    return Exchange.from_json(json.loads(re.sub(pattern, lambda found: names[found[0]], text)))


def _without_secrets(exchange: Exchange, redaction: Redaction) -> Exchange:
    """Return an exchange whose chunks hold no secret, be it that one is cut across them."""
    whole = b"".join(data for _, data in exchange.chunks)
    cleaned = redaction.data(whole)
    if cleaned == whole:
        return exchange
    pause = sum(pause for pause, _ in exchange.chunks)
    length = str(len(cleaned))
    headers = [
        (name, length if name.lower() == "content-length" else value)
        for name, value in exchange.headers
    ]
    return replace(exchange, headers=headers, chunks=[(pause, cleaned)])


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
    for name in _COMPARED_HEADERS:
        one, other = recorded.request_headers.get(name), got.request_headers.get(name)
        if one != other and not _was_redacted(one, other):
            found.append(f"header {name}: recorded {one!r}, got {other!r}")
    return [*found, *_different("body", recorded.request_body, got.request_body)]


def _different(name: str, recorded: Any, got: Any) -> Iterator[str]:
    recorded, got = _comparable(recorded), _comparable(got)
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


def _comparable(value: Any) -> Any:
    """Return bytes in base64 as a text, in which what was redacted shows; any other value as it is."""
    if not isinstance(value, dict) or value.keys() != {BASE64}:
        return value
    try:
        return bytes_of(value).decode(errors="surrogateescape")
    except (TypeError, ValueError):
        return value  # Not base64 after all.


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
