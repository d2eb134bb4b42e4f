"""Every way in, by every size, to every model: what arrived, byte for byte."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.llms import AudioBlock, ImageBlock, VideoBlock

from nvcf_core.errors import InvalidRequestError

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
ANY = "acme/any"
"""A model without a page: it is taken to accept every medium."""

KINDS = {
    GEMMA: ("image", "audio"),
    OMNI: ("image", "audio", "video"),
    PALI: ("image",),
    KIMI: ("image", "video"),
    ANY: ("image", "audio", "video"),
}
ENDINGS = {"image": "jpg", "audio": "wav", "video": "mp4"}
TAGS = {"image": "img", "audio": "audio", "video": "video"}
SIZES = {"small": None, "limit": 135_000, "over": 135_001}
"""Bytes. The limit is 180,000 characters of base64, which is 135,000 bytes."""
WEB = "https://example.com/lake"
BLOCKS = {"image": ImageBlock, "audio": AudioBlock, "video": VideoBlock}


@dataclass(frozen=True)
class Way:
    """One way in: how a medium is written in a framework's own form."""

    framework: str
    name: str
    carries: str
    """`bytes`, `url` or `asset`."""
    write: Callable[[Any, Path], Any]
    """The block, of a `Medium`, `Link` or `Asset` and a folder for files. A text is parsed for tags."""
    kinds: tuple[str, ...] = ("image", "audio", "video")


def _tag(medium: Any, _: Path) -> str:
    return f'<{TAGS[medium.kind]} src="{medium.url}" />'


def _in_object(medium: Any, _: Path) -> dict[str, Any]:
    name = f"{medium.kind}_url"
    return {"type": name, name: {"url": medium.url}}


def _bare(medium: Any, _: Path) -> dict[str, Any]:
    name = f"{medium.kind}_url"
    return {"type": name, name: medium.url}


def _v1_base64(medium: Any, _: Path) -> dict[str, Any]:
    return {"type": medium.kind, "base64": medium.base64, "mime_type": medium.mime}


def _v1_url(medium: Any, _: Path) -> dict[str, Any]:
    return {"type": medium.kind, "url": medium.url}


def _v1_file_id(medium: Any, _: Path) -> dict[str, Any]:
    return {"type": medium.kind, "file_id": medium.id, "mime_type": medium.mime}


def _v0_base64(medium: Any, _: Path) -> dict[str, Any]:
    source = {"source_type": "base64", "data": medium.base64, "mime_type": medium.mime}
    return {"type": medium.kind, **source}


def _v0_url(medium: Any, _: Path) -> dict[str, Any]:
    return {"type": medium.kind, "source_type": "url", "url": medium.url}


def _v0_id(medium: Any, _: Path) -> dict[str, Any]:
    source = {"source_type": "id", "id": medium.id, "mime_type": medium.mime}
    return {"type": medium.kind, **source}


def _input_audio(medium: Any, _: Path) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": medium.base64, "format": "wav"}}


def _file(medium: Any, folder: Path) -> Path:
    file = folder / "a file with no telling name"
    file.write_bytes(medium.data)
    return file


def _block(medium: Any, **given: Any) -> Any:
    return BLOCKS[medium.kind](**given)


WAYS = (
    Way("langchain", "v1 base64", "bytes", _v1_base64),
    Way("langchain", "v1 data url", "bytes", _v1_url),
    Way("langchain", "v0 base64", "bytes", _v0_base64),
    Way("langchain", "kind_url object", "bytes", _in_object),
    Way("langchain", "kind_url text", "bytes", _bare),
    Way("langchain", "input_audio", "bytes", _input_audio, kinds=("audio",)),
    Way("langchain", "tag", "bytes", _tag),
    Way("langchain", "v1 url", "url", _v1_url),
    Way("langchain", "v0 url", "url", _v0_url),
    Way("langchain", "kind_url object", "url", _in_object),
    Way("langchain", "kind_url text", "url", _bare),
    Way("langchain", "tag", "url", _tag),
    Way("langchain", "v1 file_id", "asset", _v1_file_id),
    Way("langchain", "v0 id", "asset", _v0_id),
    Way("langchain", "kind_url object", "asset", _in_object),
    Way("langchain", "tag", "asset", _tag),
    Way("llamaindex", "bytes", "bytes", lambda m, _: _block(m, **{m.kind: m.data})),
    Way("llamaindex", "stream", "bytes", lambda m, _: _block(m, **{m.kind: io.BytesIO(m.data)})),
    Way("llamaindex", "path", "bytes", lambda m, folder: _block(m, path=_file(m, folder))),
    Way("llamaindex", "data url", "bytes", lambda m, _: _block(m, url=m.url)),
    Way("llamaindex", "tag", "bytes", _tag),
    Way("llamaindex", "url", "url", lambda m, _: _block(m, url=m.url)),
    Way("llamaindex", "tag", "url", _tag),
    Way("llamaindex", "asset", "asset", lambda m, _: _block(m, url=m.url)),
    Way("llamaindex", "tag", "asset", _tag),
)


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    model: str
    kind: str
    way: Way
    size: str
    colour: str

    def __str__(self) -> str:
        way = f"{self.way.framework} {self.way.carries} by {self.way.name}"
        return ", ".join((self.model.rpartition("/")[2], self.kind, way, self.size, self.colour))


def cells() -> Iterator[Cell]:
    for model, way, size, colour in itertools.product(KINDS, WAYS, SIZES, ("sync", "async")):
        if way.carries != "bytes" and size != "small":
            continue  # What is referred to has no size here.
        for kind in KINDS[model]:
            if kind in way.kinds:
                yield Cell(model, kind, way, size, colour)


def part(model: str, medium: Any) -> dict[str, Any]:
    """The content part that the page of a model has for a medium."""
    if model == ANY and medium.kind == "audio" and medium.url.startswith("data:"):
        return _input_audio(medium, Path())
    return _in_object(medium, Path())


def wanted(model: str, medium: Any) -> str | list[dict[str, Any]]:
    """The content that has to arrive, text on both sides of the medium. Assets can be named in strings only."""
    if ";asset_id," in medium.url:
        return f"Before. {_tag(medium, Path())} After."
    texts = [{"type": "text", "text": text} for text in ("Before.", "After.")]
    return [texts[0], part(model, medium), texts[1]]


@pytest.mark.parametrize("cell", list(cells()), ids=str)
def test_what_arrives(cell, server, talking, sample, stored, words, tmp_path):
    medium = sample(ENDINGS[cell.kind], SIZES[cell.size])
    given = {
        "bytes": lambda: medium,
        "url": lambda: words.Link(cell.kind, WEB),
        "asset": lambda: stored(medium),
    }[cell.way.carries]()
    talk = talking(cell.way.framework, cell.colour)
    written = cell.way.write(given, tmp_path)
    parse = {"media_tags": "parse"} if isinstance(written, str) else {}
    model = talk.model(cell.model, **parse)
    if cell.model == PALI and cell.way.carries == "url":
        with pytest.raises(InvalidRequestError, match="data or asset"):
            talk.ask(model, "Before.", written, "After.")
        assert server.requests == []
        return

    talk.ask(model, "Before.", written, "After.")

    uploads = cell.size == "over"
    places = [request.place for request in server.requests]
    assert places == (["create", "put", "ask"] if uploads else ["ask"])
    asset = given
    if uploads:
        create, put, _ = server.requests
        asset = words.Asset(medium.mime, put.path.rpartition("/")[2])
        assert create.body["contentType"] == put.headers["content-type"] == medium.mime
        assert "authorization" not in put.headers
        assert (put.length, put.sha256) == (len(medium.data), medium.sha256)
    ask = server.chats[0]
    assert ask.body["messages"][-1] == {"role": "user", "content": wanted(cell.model, asset)}
    assert ask.headers.get("nvcf-input-asset-references") == getattr(asset, "id", None)
    assert ask.headers["content-length"] == str(len(ask.raw))
    assert ask.headers["content-type"] == "application/json"

    talk.close(model)
    left = {asset_id for asset_id, known in server.assets.items() if known.state != "deleted"}
    assert left == ({asset.id} if cell.way.carries == "asset" else set())


ROUTES = [
    (model, kind, route)
    for model in KINDS
    for kind in KINDS[model]
    for route in ("small", "limit", "over", "url", "asset")
    if (model, route) != (PALI, "url")  # Refused, as the matrix shows.
]


@pytest.mark.parametrize(("model", "kind", "route"), ROUTES)
def test_both_frameworks_send_the_same_bytes(
    model, kind, route, server, talking, sample, stored, words
):
    given = sample(ENDINGS[kind], SIZES.get(route))
    if route in ("url", "asset"):
        given = words.Link(kind, WEB) if route == "url" else stored(given)
    bodies, headers = [], []
    for framework in ("langchain", "llamaindex"):
        talk = talking(framework)
        talk.ask(talk.model(model), "Before.", given, "After.")
        ask = server.chats[-1]
        reference = ask.headers.get("nvcf-input-asset-references", "no asset")
        bodies.append(ask.raw.replace(reference.encode(), b"the asset"))
        headers.append(set(ask.headers))
    assert bodies[0] == bodies[1]
    assert headers[0] == headers[1]


@pytest.mark.parametrize("route", ["small", "over"])
@pytest.mark.parametrize("model", KINDS)
def test_a_stream_sends_the_same_messages(model, route, server, talk, sample):
    client, medium = talk.model(model), sample("jpg", SIZES[route])
    answers = [talk.ask(client, "Look:", medium, streaming=way) for way in (False, True)]
    whole, stream = (chat.body for chat in server.chats)
    assert (whole["stream"], stream["stream"]) == (False, True)
    assert whole["messages"] == stream["messages"]
    assert answers[0] == answers[1]


FORMATS = {
    GEMMA: {"png", "jpg", "wav", "mp3"},
    OMNI: {"png", "jpg", "webp", "wav", "mp3", "mp4", "mov", "webm"},
    PALI: {"png", "jpg"},
    KIMI: {"png", "jpg", "webp", "gif", "mp4", "mov", "webm"},
    ANY: {"png", "jpg", "webp", "gif", "wav", "mp3", "mp4", "mov", "webm"},
}
"""What each page takes. kimi-k2.6 names no formats, so what is known goes."""


@pytest.mark.parametrize("ending", sorted(FORMATS[ANY]))
@pytest.mark.parametrize("model", FORMATS)
def test_formats_of_each_page(model, ending, server, sync_talk, sample):
    medium = sample(ending)
    if ending in FORMATS[model]:
        answer = sync_talk.ask(sync_talk.model(model), "What is it?", medium)
        assert f"{medium.mime}" in answer
        assert medium.sha256[:12] in answer
    else:
        with pytest.raises(InvalidRequestError, match=r"messages\[0\]"):
            sync_talk.ask(sync_talk.model(model), "What is it?", medium)
        assert server.requests == []


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_a_model_without_media_refuses_them(kind, server, talk, sample):
    with pytest.raises(InvalidRequestError, match="takes no media"):
        talk.ask(talk.model("nvidia/nemotron-3-super-120b-a12b"), sample(ENDINGS[kind]))
    assert server.requests == []
