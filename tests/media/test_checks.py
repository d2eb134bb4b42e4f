"""What is checked before anything is sent, and what is moved or switched on the way."""

from __future__ import annotations

import io
import socket

import pytest
from llama_index.core.llms import ImageBlock

from nvcf_core.errors import BadRequestError, InvalidRequestError, NVCFWarning

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


# Formats by their bytes


@pytest.mark.parametrize("length", [None, 135_001])
def test_a_webp_named_jpg_is_a_webp(length, server, talking, sample, tmp_path):
    file, talk = tmp_path / "picture.jpg", talking("llamaindex")
    file.write_bytes(sample("webp", length).data)
    talk.ask(talk.model(OMNI), "What is it?", ImageBlock(path=file, image_mimetype="image/jpeg"))
    assert "data:image/webp;" in str(server.chats[0].body["messages"][0]["content"])
    assert [asset.content_type for asset in server.assets.values()] == ["image/webp"] * bool(length)


@pytest.mark.parametrize("mime", ["image/jpeg", "image/webp", "text/plain", "", None])
def test_the_declared_type_does_not_matter_where_the_bytes_tell(mime, server, talking, sample):
    medium, talk = sample("jpg"), talking("langchain")
    block = {"type": "image", "base64": medium.base64, "mime_type": mime}
    talk.ask(talk.model(GEMMA), "What is it?", block)
    assert server.chats[0].body["messages"][0]["content"][1]["image_url"]["url"] == medium.url


def test_the_type_of_an_upload_is_that_of_its_bytes(server, talking, sample):
    medium, talk = sample("png"), talking("langchain")
    block = {"type": "image", "base64": medium.base64, "mime_type": "image/jpeg"}
    talk.ask(talk.model(GEMMA), "What is it?", block)
    assert next(iter(server.assets.values())).content_type == "image/png"


def test_a_sound_given_as_a_picture_is_refused(server, talking, sample):
    talk, url = talking("langchain"), f"data:image/png;base64,{sample('mp3').base64}"
    with pytest.raises(InvalidRequestError, match="mp3, by its bytes"):
        talk.ask(talk.model(GEMMA), {"type": "image", "url": url})
    assert server.requests == []


def test_bytes_of_no_known_format(server, talk, words):
    unknown = words.Medium("image/png", b"this is no picture, whatever it says of itself")
    with pytest.raises(InvalidRequestError, match="of no known format"):
        talk.ask(talk.model(GEMMA), unknown)
    assert server.requests == []


def test_the_format_is_not_checked_where_validation_is_off(server, talking, sample):
    talk, medium = talking("langchain"), sample("webp")
    with pytest.raises(BadRequestError, match="webp"):  # The service's own words.
        talk.ask(talk.model(GEMMA, validation="off"), medium)
    assert server.chats[0].body["messages"][0]["content"][0]["image_url"]["url"] == medium.url


def test_an_open_file_goes_from_its_start(server, talking, sample, tmp_path):
    file, medium, talk = tmp_path / "lake.jpg", sample("jpg"), talking("llamaindex")
    file.write_bytes(medium.data)
    with file.open("rb") as opened:
        talk.ask(talk.model(GEMMA), ImageBlock(image=opened))
        assert not opened.closed
    assert server.chats[0].body["messages"][0]["content"][0]["image_url"]["url"] == medium.url


# Base64


def test_base64_with_line_breaks(server, talking, sample):
    medium, talk = sample("jpg"), talking("langchain")
    lines = "\r\n".join(medium.base64[at : at + 76] for at in range(0, len(medium.base64), 76))
    talk.ask(
        talk.model(GEMMA), {"type": "image_url", "image_url": f"data:image/jpeg;base64,{lines}"}
    )
    assert server.chats[0].body["messages"][0]["content"][0]["image_url"]["url"] == medium.url


BROKEN = {
    "empty": ("", "is empty"),
    "only blanks": (" \n", "is empty"),
    "cut off": ("iVBORw0KGgoAAAANSUhEUgA", "cut off"),
    "a letter of no alphabet": ("iVBORw0KGgo*AAANSUhEUgAA", "not base64"),
    "padding in the middle": ("iVBORw0=GgoAAAANSUhEUgAA", "not base64"),
    "letters beyond ASCII": ("iVBORw0KGgoÄÖÜßASUhEUgAA", "not base64"),
}


FORMS = ("base64", "data url", "image_url", "input_audio", "tag")
BROKEN_FORMS = [
    (broken, form)
    for broken in BROKEN
    for form in FORMS
    if (broken, form) != ("empty", "input_audio")  # langchain-core itself refuses that one.
]


@pytest.mark.parametrize(("broken", "form"), BROKEN_FORMS)
def test_broken_base64(broken, form, server, talking):
    data, said = BROKEN[broken]
    url = f"data:image/png;base64,{data}"
    blocks = {
        "base64": {"type": "image", "base64": data, "mime_type": "image/png"},
        "data url": {"type": "image", "url": url},
        "image_url": {"type": "image_url", "image_url": {"url": url}},
        "input_audio": {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        "tag": text(f'<img src="{url}" />'),
    }
    talk = talking("langchain")
    with pytest.raises(InvalidRequestError, match=said) as caught:
        talk.ask(talk.model(OMNI, media_tags="parse"), blocks[form])
    assert caught.value.field.startswith("messages[0]")
    assert server.requests == []


def test_empty_data(server, talking):
    talk = talking("llamaindex")
    for image in (io.BytesIO(b""), b""):
        with pytest.raises(InvalidRequestError, match=r"empty|neither"):
            talk.ask(talk.model(GEMMA), ImageBlock(image=image, image_mimetype="image/png"))
    assert server.requests == []


# Where media may be


def test_paligemma_takes_one_picture(server, talk, sample):
    with pytest.raises(InvalidRequestError, match="2 media; the model's documentation allows 1"):
        talk.ask(talk.model(PALI), sample("jpg"), sample("jpg"))
    assert server.requests == []


def test_a_remote_picture_for_paligemma_is_refused(server, talk, words):
    with pytest.raises(InvalidRequestError, match="as data or asset only"):
        talk.ask(talk.model(PALI), words.Link("image", "https://example.com/lake.png"))
    assert server.requests == []


@pytest.mark.parametrize("model", [GEMMA, OMNI, KIMI, PALI])
def test_media_of_a_system_message_are_refused(model, server, talk, sample):
    turns = [("user", ["Hello"]), ("system", [sample("jpg")]), ("user", ["And?"])]
    if model == PALI:
        turns = [("system", [sample("jpg")]), ("user", ["Hello"])]
    with pytest.raises(InvalidRequestError, match=r"only user messages may|one user message"):
        talk.chat(talk.model(model), turns)
    assert server.requests == []


@pytest.mark.parametrize("model", [GEMMA, OMNI, KIMI])
def test_media_of_an_answer_become_a_line_of_text(model, server, talk, sample):
    turns = [("user", ["Hello"]), ("assistant", ["See: ", sample("jpg")]), ("user", ["And?"])]
    with pytest.warns(NVCFWarning, match="not shown|not sent|line of text"):
        talk.chat(talk.model(model), turns)
    content = server.chats[0].body["messages"][1]["content"]
    assert content.startswith("See: ")
    assert "image" in content
    assert "not shown" in content


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_the_service_judges_media_where_there_is_no_row(role, server, talk, sample):
    medium = sample("jpg")
    talk.chat(talk.model("acme/any"), [("user", ["Hello"]), (role, [medium]), ("user", ["And?"])])
    content = server.chats[0].body["messages"][1]["content"]
    assert content == [{"type": "image_url", "image_url": {"url": medium.url}}]


@pytest.mark.filterwarnings("ignore:.*has no reasoning:nvcf_core.errors.NVCFWarning")
@pytest.mark.parametrize("length", [None, 135_001])
def test_media_of_a_tool_follow_its_result(length, server, talk, sample):
    medium = sample("jpg", length)
    turns = [
        ("user", ["Look at the lake."]),
        ("caller", []),
        ("tool", ["Here it is: ", medium]),
        ("user", ["What do you see?"]),
    ]
    talk.chat(talk.model(KIMI), turns)
    messages = server.chats[0].body["messages"]
    assert [message["role"] for message in messages] == [
        "user",
        "assistant",
        "tool",
        "user",
        "user",
    ]
    assert messages[2]["content"] == "Here it is: "
    if length is None:
        image = {"type": "image_url", "image_url": {"url": medium.url}}
        assert messages[3] == {"role": "user", "content": [image]}
    else:
        asset = server.chats[0].headers["nvcf-input-asset-references"]
        tag = f'<img src="data:image/jpeg;asset_id,{asset}" />'
        assert messages[3] == {"role": "user", "content": tag}


# Urls and paths


PATHS = ("file:///etc/passwd", "/etc/passwd", "lake.png", "ftp://example.com/lake.png", "https://")


@pytest.mark.parametrize("url", PATHS)
@pytest.mark.parametrize("form", ["image", "image_url", "tag"])
def test_no_path_is_read_out_of_a_url(url, form, server, talking):
    blocks = {
        "image": {"type": "image", "url": url},
        "image_url": {"type": "image_url", "image_url": {"url": url}},
        "tag": text(f'<img src="{url}" />'),
    }
    talk = talking("langchain")
    with pytest.raises(
        InvalidRequestError, match=r"neither an http nor a data url|not a usable url"
    ):
        talk.ask(talk.model(GEMMA, media_tags="parse"), blocks[form])
    assert server.requests == []


def test_no_path_is_read_out_of_a_url_in_llamaindex(server, talking):
    talk = talking("llamaindex")
    with pytest.raises(InvalidRequestError, match="neither an http nor a data url"):
        talk.ask(talk.model(GEMMA), ImageBlock(url="file:///etc/passwd"))
    assert server.requests == []


def test_no_url_is_fetched(server, talk, words):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/lake.png"
        talk.ask(talk.model(GEMMA), "What is it?", words.Link("image", url))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert server.chats[0].body["messages"][0]["content"][1]["image_url"]["url"] == url


@pytest.mark.parametrize("mime", ["image/png,<b>", 'image/png" />', "text/html", ""])
def test_an_asset_needs_its_type(mime, server, talking):
    block = {"type": "image", "file_id": "f3b8a1e2-0000-4000-8000-000000000000", "mime_type": mime}
    talk = talking("langchain")
    with pytest.raises(InvalidRequestError, match="mime_type"):
        talk.ask(talk.model(GEMMA), block)
    assert server.requests == []


@pytest.mark.parametrize("asset_id", ["../../models", "a,b", "", 'x" />', "a b", "x" * 65])
def test_an_asset_id_is_an_id(asset_id, server, talking):
    block = {"type": "image", "file_id": asset_id, "mime_type": "image/png"}
    talk = talking("langchain")
    with pytest.raises(InvalidRequestError, match="not an asset id"):
        talk.ask(talk.model(GEMMA), block)
    assert server.requests == []


# How many


def test_eleven_assets_are_refused_before_any_upload(server, talk, sample, stored):
    own = [stored(sample("jpg", 20_000 + number)) for number in range(6)]
    large = [sample("jpg", 136_000 + number) for number in range(5)]
    server.clear()
    with pytest.raises(InvalidRequestError, match="11 assets; the service takes 10"):
        talk.ask(talk.model(GEMMA), *own, *large)
    assert server.requests == []


def test_ten_assets_go(server, talk, sample, stored):
    own = [stored(sample("jpg", 20_000 + number)) for number in range(6)]
    large = [sample("jpg", 136_000 + number) for number in range(4)]
    talk.ask(talk.model(GEMMA), *own, *large, large[0], own[0])
    header = server.chats[0].headers["nvcf-input-asset-references"]
    assert len(header) <= 370
    assert len(set(header.split(","))) == len(header.split(",")) == 10


# nano-omni should not think about sound and film


@pytest.mark.parametrize("ending", ["wav", "mp4"])
@pytest.mark.parametrize(
    ("system", "sent"),
    [([], "/no_think"), (["Be brief."], "Be brief. /no_think"), (["/no_think"], "/no_think")],
)
def test_thinking_is_switched_off_for_sound_and_film(ending, system, sent, server, talk, sample):
    turns = [("system", system)] if system else []
    talk.chat(talk.model(OMNI), [*turns, ("user", ["What is it?", sample(ending)])])
    body = server.chats[0].body
    assert body["messages"][0] == {"role": "system", "content": sent}
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("settings", "system"),
    [
        ({"reasoning_effort": "high"}, None),
        ({"chat_template_kwargs": {"enable_thinking": True}}, None),
        ({}, "/think"),
    ],
)
def test_who_asks_for_thinking_keeps_it_and_is_warned_once(settings, system, server, talk, sample):
    model = talk.model(OMNI, **settings)
    turns = [("system", [system])] if system else []
    turns.append(("user", ["What is it?", sample("wav")]))
    with pytest.warns(NVCFWarning, match="should not think about audio"):
        talk.chat(model, turns)
    talk.chat(model, turns)  # A second warning would be an error.
    for chat in server.chats:
        assert "/no_think" not in str(chat.body)
        assert chat.body.get("chat_template_kwargs", {}).get("enable_thinking", True)


def test_pictures_may_be_thought_about(server, talk, sample):
    talk.ask(talk.model(OMNI), "What is it?", sample("jpg"))
    assert "chat_template_kwargs" not in server.chats[0].body
    assert [message["role"] for message in server.chats[0].body["messages"]] == ["user"]
