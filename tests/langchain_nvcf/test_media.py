"""Pictures, sound and film through `ChatNVCF`: what arrives at the service for each way in."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import AssetUploadError, InvalidRequestError, NVCFWarning
from nvcf_core.models.catalog import spec_for
from nvcf_emulator import Emulator

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
PAIRS = [(model, kind) for model in (GEMMA, OMNI, PALI, KIMI) for kind in spec_for(model).media]


@pytest.fixture
def media(image: Any, audio: Any, video: Any) -> dict[str, SimpleNamespace]:
    return {"image": image, "audio": audio, "video": video}


def ways(medium: SimpleNamespace) -> dict[str, dict[str, Any]]:
    """Every block in which LangChain users give the bytes of a medium."""
    kind, text, mime, url = medium.kind, medium.base64, medium.mime, medium.url
    found: dict[str, dict[str, Any]] = {
        "v1 base64": {"type": kind, "base64": text, "mime_type": mime},
        "v1 data url": {"type": kind, "url": url},
        "v0": {"type": kind, "source_type": "base64", "data": text, "mime_type": mime},
        "part": {"type": f"{kind}_url", f"{kind}_url": {"url": url}},
        "part with a plain url": {"type": f"{kind}_url", f"{kind}_url": url},
        "anthropic": {"type": kind, "source": {"type": "base64", "media_type": mime, "data": text}},
    }
    if kind == "audio":
        found["input_audio"] = {
            "type": "input_audio",
            "input_audio": {"data": text, "format": "wav"},
        }
    return found


def inline(part: dict[str, Any]) -> bytes:
    """The bytes of a content part."""
    if part["type"] == "input_audio":
        return base64.b64decode(part["input_audio"]["data"])
    return base64.b64decode(part[part["type"]]["url"].partition(",")[2])


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_every_way_in_arrives_as_the_same_bytes(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    media: dict[str, SimpleNamespace],
    model: str,
    kind: str,
) -> None:
    medium = media[kind]
    blocks = ways(medium)
    model_object = chat(model)
    for block in blocks.values():
        answer = model_object.invoke([HumanMessage(["What is", block, "this?"])])
        assert hashlib.sha256(medium.data).hexdigest()[:12] in answer.text
    bodies = [request.body for request in nvcf_emulator.chats]
    assert bodies == [bodies[0]] * len(blocks)
    before, part, after = bodies[0]["messages"][-1]["content"]
    assert (before["text"], after["text"]) == ("What is", "this?")
    assert inline(part) == medium.data
    assert "nvcf-input-asset-references" not in nvcf_emulator.chats[0].headers


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_links_go_on_as_they_are(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, model: str, kind: str
) -> None:
    url = "https://example.com/a%20b.bin?x=1"
    blocks: list[dict[str, Any]] = [
        {"type": kind, "url": url},
        {"type": f"{kind}_url", f"{kind}_url": {"url": url}},
    ]
    for block in blocks:
        if model == PALI:
            with pytest.raises(InvalidRequestError, match="data or asset only"):
                chat(model).invoke([HumanMessage([block])])
            continue
        chat(model).invoke([HumanMessage([block])])
        [part] = nvcf_emulator.chats[-1].body["messages"][-1]["content"]
        assert part == {"type": f"{kind}_url", f"{kind}_url": {"url": url}}


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_uploads_are_referenced(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    media: dict[str, SimpleNamespace],
    tmp_path: Path,
    model: str,
    kind: str,
) -> None:
    medium = media[kind]
    path = tmp_path / "file"
    path.write_bytes(medium.data)
    asker = chat(model)
    told: list[tuple[int, int]] = []
    block = colour.upload(asker, path, progress=lambda done, total: told.append((done, total)))
    assert (block["type"], block["mime_type"]) == (kind, medium.mime)
    assert told[-1] == (len(medium.data), len(medium.data))
    colour.invoke(asker, [HumanMessage(["What is", block, "this?"])])
    [request] = nvcf_emulator.chats
    tag = {"image": "img"}.get(kind, kind)
    reference = f'<{tag} src="data:{medium.mime};asset_id,{block["file_id"]}" />'
    assert request.body["messages"][-1]["content"] == f"What is {reference} this?"
    assert request.headers["nvcf-input-asset-references"] == block["file_id"]
    asker.close()
    assert nvcf_emulator.requests[-1].method == "DELETE"


def test_uploads_from_an_open_file(
    chat: Callable[..., ChatNVCF],
    colour: SimpleNamespace,
    nvcf_emulator: Emulator,
    image: SimpleNamespace,
) -> None:
    model = chat()
    block = colour.upload(model, io.BytesIO(image.data), "image/png")
    assert block["type"] == "image"
    with pytest.raises(InvalidRequestError, match="path_or_file"):
        colour.upload(model, io.BytesIO(b""))
    nvcf_emulator.fail(500, on="create")
    with pytest.raises(AssetUploadError) as raised:
        colour.upload(model, io.BytesIO(image.data))
    assert raised.value.stage == "create"


def test_large_ones_are_uploaded_once_over_a_conversation(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    ask: Callable[..., Any],
    large_image: SimpleNamespace,
) -> None:
    model = chat()
    history: list[Any] = [HumanMessage(["What is this?", _block(large_image)])]
    for turn in range(3):
        answer = ask(model, history)
        history += [answer, HumanMessage(f"And {turn}?")]
    puts = [request for request in nvcf_emulator.requests if request.place == "put"]
    assert [request.sha256 for request in puts] == [hashlib.sha256(large_image.data).hexdigest()]
    references = {request.headers["nvcf-input-asset-references"] for request in nvcf_emulator.chats}
    assert len(references) == 1


def _block(medium: SimpleNamespace) -> dict[str, Any]:
    return {"type": medium.kind, "base64": medium.base64, "mime_type": medium.mime}


def test_order_of_several_media(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    image: SimpleNamespace,
    video: SimpleNamespace,
) -> None:
    link = {"type": "image", "url": "https://example.com/a.png"}
    blocks = [_block(video), "then", _block(image), link]
    chat().invoke([HumanMessage(blocks)])
    kinds = [part["type"] for part in nvcf_emulator.chats[0].body["messages"][0]["content"]]
    assert kinds == ["video_url", "text", "image_url", "image_url"]


def test_media_of_the_system_are_refused(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace
) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\].*only user messages"):
        chat().invoke([("system", [_block(image)]), ("user", "Hello")])
    assert nvcf_emulator.requests == []


def test_media_of_an_earlier_answer_are_described(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace
) -> None:
    with pytest.warns(NVCFWarning, match=r"messages\[1\]: \[image, png"):
        chat().invoke([("user", "Draw."), ("ai", [_block(image)]), ("user", "Hello")])
    content = nvcf_emulator.chats[0].body["messages"][1]["content"]
    assert content.endswith("not shown: it is part of an earlier answer]")


def test_a_model_without_media_refuses_them(
    chat: Callable[..., ChatNVCF], image: SimpleNamespace
) -> None:
    with pytest.raises(InvalidRequestError, match="image"):
        chat(SUPER).invoke([HumanMessage([_block(image)])])


def test_tags_in_a_text_stay_text_unless_they_are_to_be_read(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace
) -> None:
    text = f'Look: <img src="{image.url}" />'
    chat(media_tags="parse").invoke(text)
    parts = nvcf_emulator.chats[0].body["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    with pytest.warns(UserWarning, match="parse"):
        chat().invoke(text)
    assert nvcf_emulator.chats[1].body["messages"][0]["content"] == [{"type": "text", "text": text}]


def test_documents_of_text_are_text(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator) -> None:
    blocks = ["Sum up:", {"type": "text-plain", "text": "a story", "mime_type": "text/plain"}]
    chat().invoke([HumanMessage(blocks)])
    sent = nvcf_emulator.chats[0].body["messages"][0]["content"]
    assert "a story" in str(sent)
    pdf = {"type": "file", "base64": "aGk=", "mime_type": "application/pdf"}
    with pytest.raises(InvalidRequestError, match="application/pdf"):
        chat().invoke([HumanMessage([pdf])])
