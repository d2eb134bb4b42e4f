"""Pictures, sounds and films: every way in that LlamaIndex has, and the bytes that arrive."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
)

from llamaindex_nvcf import AssetUploadError, InvalidRequestError
from nvcf_emulator import Emulator

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"

BLOCKS: dict[str, Any] = {"image": ImageBlock, "audio": AudioBlock, "video": VideoBlock}
MIMES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}
KINDS = {
    GEMMA: ("image", "audio"),
    OMNI: ("image", "audio", "video"),
    PALI: ("image",),
    KIMI: ("image", "video"),
}
PAIRS = [(model, kind) for model, kinds in KINDS.items() for kind in kinds]
WAYS = ["bytes", "base64", "stream", "file", "path", "data url"]
INLINE_LIMIT = 180_000
"""Characters of base64 that go inline."""


def of_size(media: Any, kind: str, size: str) -> bytes:
    """A medium whose base64 is small, exactly at the limit, or one byte over."""
    make = {"image": media.png, "video": media.mp4}.get(kind)
    length = INLINE_LIMIT // 4 * 3 + (1 if size == "over" else 0)
    if size == "small":
        return make() if make else media.wav()
    if kind == "image":
        return media.png(padding=length - len(media.png(padding=1)) + 1)
    small = make() if make else media.wav()
    return small + bytes(length - len(small))


def block_of(kind: str, data: bytes, way: str, folder: Path) -> Any:
    """A block that holds `data` by one of the ways in."""
    make = BLOCKS[kind]
    path = folder / f"medium.{MIMES[kind].partition('/')[2]}"
    path.write_bytes(data)
    encoded = base64.b64encode(data)
    if way == "path":
        return make(path=path)
    if way == "data url":
        return make(url=f"data:{MIMES[kind]};base64,{encoded.decode()}")
    held: dict[str, Any] = {
        "bytes": data,
        "base64": encoded,
        "stream": io.BytesIO(data),
        "file": path.open("rb") if way == "file" else None,
    }
    return make(**{kind: held[way]})


def arrived(server: Emulator, data: bytes) -> str:
    """How the bytes reached the service: `inline` or `asset`. Fails if they did not."""
    request = server.chats[-1]
    puts = [each for each in server.requests if each.place == "put"]
    if puts:
        assert puts[-1].sha256 == hashlib.sha256(data).hexdigest()
        assert puts[-1].length == len(data)
        assert "authorization" not in puts[-1].headers
        asset_id = request.headers["nvcf-input-asset-references"]
        assert f"asset_id,{asset_id}" in json.dumps(request.body)
        return "asset"
    assert base64.b64encode(data) in request.raw
    assert "nvcf-input-asset-references" not in request.headers
    return "inline"


@pytest.mark.parametrize("size", ["small", "limit", "over"])
@pytest.mark.parametrize("way_in", WAYS)
@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_every_medium_by_every_way_in_and_size(
    make, server: Emulator, colour, media, tmp_path: Path, model, kind, way_in, size
):
    data = of_size(media, kind, size)
    block = block_of(kind, data, way_in, tmp_path)
    message = ChatMessage(blocks=[TextBlock(text="before"), block, TextBlock(text="after")])
    answer = colour.call(make(model), "chat", [message]).message.content
    assert arrived(server, data) == ("asset" if size == "over" else "inline")
    content = server.chats[0].body["messages"][-1]["content"]
    if isinstance(content, str):
        assert content.index("before") < content.index("src=") < content.index("after")
    else:
        kinds = [part["type"] for part in content]
        assert kinds == ["text", kinds[1], "text"]
        assert kinds[1] in (f"{kind}_url", f"input_{kind}")
    assert "Media: 1." in answer
    if way_in == "file":
        getattr(block, kind).close()


@pytest.mark.parametrize("way_in", ["stream", "file"])
def test_a_stream_is_still_there_at_the_next_turn(
    make, server: Emulator, colour, media, tmp_path: Path, way_in
):
    data = media.png()
    block = block_of("image", data, way_in, tmp_path)
    history = [ChatMessage(blocks=[block])]
    llm = make(KIMI)
    for _ in range(3):
        history.append(colour.call(llm, "chat", history).message)
        history.append(ChatMessage(content="and now?"))
        assert arrived(server, data) == "inline"
    first, *_, last = (request.body["messages"] for request in server.chats)
    assert last[0] == first[0]
    if way_in == "file":
        block.image.close()


def test_a_film_of_many_turns_is_uploaded_once(make, server: Emulator, media):
    llm = make(KIMI)
    history = [ChatMessage(blocks=[VideoBlock(video=media.mp4(padding=1_000_000))])]
    for _ in range(5):
        history.append(llm.chat(history).message)
        history.append(ChatMessage(content="go on"))
    assert [each.place for each in server.requests].count("put") == 1
    llm.close()
    assert [each.place for each in server.requests].count("delete") == 1


@pytest.mark.parametrize(("model", "kind"), [pair for pair in PAIRS if pair[0] != PALI])
def test_a_url_is_passed_on_and_never_fetched(make, server: Emulator, colour, model, kind):
    url = f"{server.root}/no/such.{MIMES[kind].partition('/')[2]}"
    message = ChatMessage(blocks=[TextBlock(text="see"), BLOCKS[kind](url=url)])
    colour.call(make(model), "chat", [message])
    assert url in json.dumps(server.chats[0].body)
    assert len(server.requests) == 1


def test_urls_that_the_client_must_not_read(make, server: Emulator, colour, tmp_path: Path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    for url in (f"file://{secret}", "ftp://example.com/a.png"):
        with pytest.raises(InvalidRequestError, match="neither an http nor a data url"):
            colour.call(make(KIMI), "chat", [ChatMessage(blocks=[ImageBlock(url=url)])])
    block = ImageBlock(url="https://example.com/a.png")
    with pytest.raises(InvalidRequestError, match="data or asset only"):
        colour.call(make(PALI), "chat", [ChatMessage(blocks=[block])])
    assert server.requests == []


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_an_upload_is_used_in_many_messages_and_deleted_at_the_end(
    make, server: Emulator, colour, media, tmp_path: Path, model, kind
):
    llm = make(model)
    path = tmp_path / "medium"
    path.write_bytes(of_size(media, kind, "small"))
    told: list[tuple[int, int]] = []
    block = colour.call(llm, "upload", path, progress=lambda *done: told.append(done))
    assert isinstance(block, BLOCKS[kind])
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    (asset_id,) = server.assets
    kept = ChatMessage.model_validate_json(ChatMessage(blocks=[block]).model_dump_json())
    for message in (ChatMessage(blocks=[block]), kept):
        answer = colour.call(llm, "chat", [message]).message.content
        assert "Media: 1." in answer
        assert server.chats[-1].headers["nvcf-input-asset-references"] == asset_id
    assert len([each for each in server.requests if each.place == "create"]) == 1
    llm.close()
    assert [each.place for each in server.requests][-1] == "delete"


def test_an_upload_of_an_open_file_and_one_that_fails(make, server: Emulator, colour, media):
    llm = make(KIMI, max_retries=0)
    block = colour.call(llm, "upload", io.BytesIO(media.png()), "image/png")
    assert str(block.url).startswith("data:image/png;asset_id,")
    assert block.image_mimetype == "image/png"
    server.fail(403, on="put")
    with pytest.raises(AssetUploadError) as caught:
        colour.call(llm, "upload", io.BytesIO(media.png()))
    assert caught.value.stage == "put"
    with pytest.raises(InvalidRequestError, match="give mime_type"):
        colour.call(llm, "upload", io.BytesIO(b"something"))


def test_a_medium_is_what_its_bytes_say(make, server: Emulator, media, tmp_path: Path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(media.png())
    make(GEMMA).chat([ChatMessage(blocks=[ImageBlock(path=path)])])
    assert b"data:image/png;base64," in server.chats[0].raw
    path.write_bytes(b"GIF89a" + bytes(20))
    with pytest.raises(InvalidRequestError, match="gif, by its bytes"):
        make(GEMMA).chat([ChatMessage(blocks=[ImageBlock(path=path)])])


def test_media_that_a_model_does_not_take_or_not_there(make, server: Emulator, media):
    picture, sound = ImageBlock(image=media.png()), AudioBlock(audio=media.wav())
    refused: list[tuple[str, list[ChatMessage], str]] = [
        (SUPER, [ChatMessage(blocks=[picture])], "takes no media"),
        (KIMI, [ChatMessage(blocks=[sound])], "has audio"),
        (PALI, [ChatMessage(blocks=[picture, picture])], "2 media"),
        (KIMI, [ChatMessage(role="system", blocks=[picture])], "only user messages"),
        (KIMI, [ChatMessage(blocks=[DocumentBlock(data=b"%PDF-1.4")])], "no documents"),
    ]
    for model, messages, said in refused:
        with pytest.raises(InvalidRequestError, match=said):
            make(model).chat(messages)
    assert server.requests == []


def test_thinking_is_off_while_nano_omni_listens(make, server: Emulator, colour, media):
    colour.call(make(OMNI), "chat", [ChatMessage(blocks=[AudioBlock(audio=media.wav())])])
    body = server.chats[0].body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"][0] == {"role": "system", "content": "/no_think"}


def test_without_an_asset_api_everything_goes_inline(make, server: Emulator, media):
    llm = make("someone/self-hosted", nvcf_url=None)
    data = media.png(padding=200_000)
    with pytest.raises(Exception, match="HTTP 404"):
        llm.chat([ChatMessage(blocks=[ImageBlock(image=data)])])
    assert base64.b64encode(data) in server.chats[0].raw
