"""Tags in texts: text, unless the user asks for them to be read."""

from __future__ import annotations

import warnings

import pytest

from nvcf_core.errors import BadRequestError, InvalidRequestError, NotFoundError, NVCFWarning

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ANY = "acme/any"
ALL = (GEMMA, OMNI, PALI, KIMI, ANY, SUPER)
WITH_TAGS = ALL[:-1]

PAGE = (
    'A page of the web: <img src="https://example.com/logo.png"> and <video src="x.mp4"></video>.'
)
UNTIED = (
    "<IMG SRC='https://example.com/logo.png'/>",
    '<img class="logo" src="https://example.com/logo.png">',
    '< img src="https://example.com/logo.png">',
    '</img><img\nsrc = "data:image/png;asset_id,f3b8a1e2-0000-4000-8000-000000000000">',
)
"""Further ways to write a tag, which a service might or might not read."""


def content(server) -> object:
    return server.chats[-1].body["messages"][-1]["content"]


@pytest.fixture
def silent():
    """For what is not about the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NVCFWarning)
        yield


# "literal"


@pytest.mark.parametrize("text", [PAGE, *UNTIED])
@pytest.mark.parametrize("model", ALL)
def test_a_tag_alone_stays_text(model, text, server, talk, silent):
    answer = talk.ask(talk.model(model), text)
    # Where the page reads tags out of strings the text goes as a part, in which none is read.
    as_part = [{"type": "text", "text": text}]
    assert content(server) == (text if model == SUPER else as_part)
    assert "Media" not in answer
    assert text in answer.replace('\\"', '"')


@pytest.mark.parametrize("model", WITH_TAGS)
def test_a_tag_beside_a_medium_inline_stays_text(model, server, talk, sample, silent):
    medium = sample("jpg")
    answer = talk.ask(talk.model(model), PAGE, medium)
    image = {"type": "image_url", "image_url": {"url": medium.url}}
    assert content(server) == [{"type": "text", "text": PAGE}, image]
    assert "2. image" not in answer


@pytest.mark.parametrize("text", [PAGE, *UNTIED])
@pytest.mark.parametrize("model", WITH_TAGS)
def test_a_tag_beside_an_asset_stays_text(model, text, server, talk, sample, silent):
    answer = talk.ask(talk.model(model), text, sample("jpg", 135_001))
    asset = server.chats[0].headers["nvcf-input-asset-references"]
    words, _, tag = content(server).rpartition(" <img ")
    assert tag == f'src="data:image/jpeg;asset_id,{asset}" />'
    assert words == text.replace("<", "&lt;")
    assert "2. image" not in answer
    assert "video" not in answer.partition("Media: ")[2]


def test_other_angle_brackets_are_left_alone_beside_an_asset(server, talk, sample):
    text = "if a < b: <b>bold</b> <image> imgs <audiophile>"
    talk.ask(talk.model(GEMMA), text, sample("jpg", 135_001))
    assert content(server).startswith(f"{text} <img ")


def test_two_texts_do_not_make_a_tag_together(server, talk, sample):
    answer = talk.ask(
        talk.model(GEMMA), "<", ' img src="https://example.com/x.png">', sample("jpg", 135_001)
    )
    assert content(server).count("<") == 1
    assert "2. image" not in answer


@pytest.mark.parametrize("model", [GEMMA, OMNI, KIMI, ANY])
def test_a_tag_in_an_earlier_message_stays_text(model, server, talk, sample, silent):
    turns = [("user", [PAGE]), ("assistant", ["I see."]), ("user", [sample("jpg", 135_001)])]
    answer = talk.chat(talk.model(model), turns)
    assert server.chats[0].body["messages"][0]["content"] == [{"type": "text", "text": PAGE}]
    assert "2. " not in answer.partition("Media: ")[2]


def test_a_tag_in_system_text_that_is_folded_stays_text(server, talk, silent):
    talk.chat(talk.model(PALI), [("system", [PAGE]), ("user", ["Hello"])])
    assert content(server) == [{"type": "text", "text": f"{PAGE}\n\nHello"}]


def test_one_warning_tells_of_parse(server, talk):
    model = talk.model(GEMMA)
    with pytest.warns(NVCFWarning, match='media_tags="parse"'):
        talk.ask(model, PAGE)
    talk.ask(model, PAGE)  # A second warning would be an error.


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (SUPER, PAGE),  # Its page has no tags.
        (GEMMA, "What does <img> do, and <video>?"),  # No tag that "parse" would read.
        (GEMMA, "a < b"),
    ],
)
def test_no_warning_where_parse_would_change_nothing(model, text, server, talk):
    talk.ask(talk.model(model), text)
    assert len(server.chats) == 1


def test_no_warning_for_what_the_model_said(server, talk):
    talk.chat(talk.model(GEMMA), [("user", ["Hi"]), ("assistant", [PAGE]), ("user", ["Go on"])])
    assert server.chats[0].body["messages"][1]["content"] == PAGE


# "parse"


def test_urls_are_parsed(server, talk):
    text = 'Compare <img src="https://a.example/1.png" /> with <img src="https://a.example/2.png">!'
    talk.ask(talk.model(GEMMA, media_tags="parse"), text)
    images = [
        {"type": "image_url", "image_url": {"url": f"https://a.example/{number}.png"}}
        for number in (1, 2)
    ]
    texts = [{"type": "text", "text": text} for text in ("Compare ", " with ", "!")]
    assert content(server) == [texts[0], images[0], texts[1], images[1], texts[2]]


@pytest.mark.parametrize("length", [20_000, 135_000, 135_001])
def test_base64_in_a_tag_is_subject_to_the_size_rules(length, server, talk, sample):
    medium = sample("jpg", length)
    talk.ask(talk.model(GEMMA), f'<img src="{medium.url}" />What is it?', media_tags="parse")
    if length <= 135_000:
        image = {"type": "image_url", "image_url": {"url": medium.url}}
        assert content(server) == [image, {"type": "text", "text": "What is it?"}]
    else:
        asset = server.chats[0].headers["nvcf-input-asset-references"]
        tag = f'<img src="data:image/jpeg;asset_id,{asset}" />'
        assert content(server) == f"{tag} What is it?"
        assert server.assets[asset].sha256 == medium.sha256


def test_an_asset_in_a_tag_is_named_in_the_header(server, talk, sample, stored):
    asset = stored(sample("jpg"))
    text = f'What is it? <img src="{asset.url}" />'
    answer = talk.ask(talk.model(GEMMA, media_tags="parse"), text)
    assert server.chats[0].headers["nvcf-input-asset-references"] == asset.id
    assert content(server) == text
    assert asset.id in answer


def test_tags_and_blocks_together_keep_their_order(server, talk, sample, stored):
    asset, medium = stored(sample("wav")), sample("jpg")
    parts = [f'Hear <audio src="{asset.url}" />, look:', medium, "Done."]
    talk.ask(talk.model(GEMMA, media_tags="parse"), *parts)
    audio, image = f'<audio src="{asset.url}" />', f'<img src="{medium.url}" />'
    assert content(server) == f"Hear {audio} , look: {image} Done."


@pytest.mark.parametrize("model", [GEMMA, OMNI, KIMI, PALI, ANY])
@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("end", ["/>", " />", ">"])
def test_ways_to_write_a_tag(model, quote, end, server, talking, sample):
    medium, talk = sample("jpg"), talking("langchain")
    answer = talk.ask(
        talk.model(model, media_tags="parse"), f"<IMG src={quote}{medium.url}{quote}{end}"
    )
    assert medium.sha256[:12] in answer


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "neither an http nor a data url"),
        ("lake.png", "neither an http nor a data url"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png;asset_id,../x", "not an asset id"),
        ("data:text/html;asset_id,f3b8a1e2-0000-4000-8000-000000000000", "mime_type"),
    ],
)
def test_a_tag_whose_source_cannot_be_sent(url, said, server, talk):
    with pytest.raises(InvalidRequestError, match=said):
        talk.ask(talk.model(GEMMA, media_tags="parse"), f'<img src="{url}">')
    assert server.requests == []


def test_only_the_users_texts_are_parsed(server, talk, silent):
    turns = [("system", [PAGE]), ("user", ["Hi"]), ("assistant", [PAGE]), ("user", ["Go on"])]
    talk.chat(talk.model(GEMMA, media_tags="parse"), turns)
    texts = [message["content"] for message in server.chats[0].body["messages"]]
    assert texts == [PAGE, "Hi", PAGE, "Go on"]


def test_parse_may_be_given_per_call(server, talk):
    text = '<img src="https://a.example/1.png" />'
    talk.ask(talk.model(GEMMA), text, media_tags="parse")
    assert content(server)[0]["type"] == "image_url"


# Several media in one message


def test_with_one_asset_the_whole_message_is_tags(server, talk, sample, stored, words):
    sound, small, large = sample("wav"), sample("jpg"), sample("jpg", 150_000)
    link = words.Link("image", "https://a.example/1.png?a=1&b=%22")
    parts = ["One", sound, "two", small, link, "three", "four", large]
    talk.ask(talk.model(GEMMA), *parts)
    asset = server.chats[0].headers["nvcf-input-asset-references"]
    assert content(server) == (
        f'One <audio src="{sound.url}" /> two <img src="{small.url}" /> '
        f'<img src="{link.url}" /> three\nfour <img src="data:image/jpeg;asset_id,{asset}" />'
    )


def test_other_messages_keep_their_parts(server, talk, sample):
    small, large = sample("jpg"), sample("jpg", 150_000)
    turns = [("user", ["A", small]), ("assistant", ["B"]), ("user", ["C", large])]
    talk.chat(talk.model(GEMMA), turns)
    first, _, last = (message["content"] for message in server.chats[0].body["messages"])
    assert first[1] == {"type": "image_url", "image_url": {"url": small.url}}
    assert last.startswith("C <img ")


@pytest.mark.parametrize(
    ("lengths", "uploaded"),
    [
        ([75_000, 75_000], []),  # 200,000 characters in all.
        ([75_003, 75_000], [75_003]),  # 200,004: the largest goes first.
        ([60_000, 90_000, 30_000], [90_000]),
        ([60_000, 90_000, 80_000], [90_000]),
        ([75_000, 90_000, 80_000], [90_000, 80_000]),
        ([135_000, 15_000], []),
        ([135_000, 15_001], [135_000]),
        ([135_001, 75_000, 75_000], [135_001]),
    ],
)
def test_all_inline_media_together_stay_below_the_limit(lengths, uploaded, server, talk, sample):
    talk.ask(talk.model(OMNI), *(sample("webp", length) for length in lengths))
    assert sorted(asset.length for asset in server.assets.values()) == sorted(uploaded)


def test_the_limit_is_that_of_all_messages_together(server, talk, sample):
    turns = [("user", [sample("mp3", 80_000)]), ("assistant", ["A"])]
    turns.append(("user", [sample("mp3", 90_000)]))
    talk.chat(talk.model(GEMMA), turns)
    assert [asset.length for asset in server.assets.values()] == [90_000]


@pytest.mark.parametrize("length", [20_000, 135_001, 500_000])
def test_without_an_asset_api_everything_goes_inline(length, server, talk, sample):
    medium = sample("jpg", length)
    model = talk.model(ANY, nvcf_url=None)
    if length <= 150_000:
        talk.ask(model, medium)
    else:
        with pytest.raises(BadRequestError, match="413"):
            talk.ask(model, medium)
    assert content(server) == [{"type": "image_url", "image_url": {"url": medium.url}}]
    assert [request.place for request in server.requests] == ["ask"]


def test_a_lost_asset_of_the_users_is_reported(server, talk, words):
    asset = words.Asset("image/png", "f3b8a1e2-0000-4000-8000-000000000000")
    with pytest.raises(NotFoundError, match=asset.id):
        talk.ask(talk.model(GEMMA), asset)
    assert len(server.requests) == 1
