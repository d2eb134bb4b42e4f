"""Media: kind and format by the bytes, urls and tags, and the way each takes to the model."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import Media, Message
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.delivery import INLINE_LIMIT, INLINE_TOTAL, MOST_ASSETS, plan_delivery
from nvcf_core.media.formats import detect_media_type, kind_of_mime_type, sniff_format
from nvcf_core.media.references import asset_reference, media_from_url
from nvcf_core.media.sources import Base64Source, BytesSource
from nvcf_core.media.tags import contains_tag, escape_media_tags, parse_media_tags, parse_tags

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
WEBP = b"RIFF\x20\0\0\0WEBPVP8 "
WAV = b"RIFF\x20\0\0\0WAVEfmt "
MP3 = b"\xff\xfb\x90\x64" + bytes(20)
MP4 = b"\0\0\0\x18ftypisom" + bytes(12)
MOV = b"\0\0\0\x14ftypqt  " + bytes(12)
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(12)
OGG = b"OggS" + bytes(20)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (PNG, "png"),
        (JPEG, "jpeg"),
        (b"GIF89a....", "gif"),
        (b"BM......", "bmp"),
        (b"II*\0....", "tiff"),
        (b"MM\0*....", "tiff"),
        (WEBP, "webp"),
        (WAV, "wav"),
        (b"RIFF\x20\0\0\0AVI LIST", "avi"),
        (OGG, "ogg"),
        (b"fLaC....", "flac"),
        (b"ID3\x04....", "mp3"),
        (MP3, "mp3"),
        (b"\xff\xf3\x40\xc0", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (MP4, "mp4"),
        (MOV, "mov"),
        (b"\0\0\0\x08wide\0\0\0\0", "mov"),
        (b"\0\0\0\x18ftypM4A ", "m4a"),
        (b"\0\0\0\x18ftypavif", "avif"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\x01\xba....", "mpeg"),
        (WEBM, "webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", "mkv"),
        (b"", None),
        (b"\xff", None),
        (b"hello, world", None),
        (b"%PDF-1.7", None),
    ],
)
def test_formats_by_their_bytes(data: bytes, name: str | None) -> None:
    assert sniff_format(data) == name


@given(st.binary(max_size=80))
def test_any_bytes_have_a_format_or_none(data: bytes) -> None:
    assert sniff_format(data) is None or isinstance(sniff_format(data), str)


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/png", "image"),
        ("AUDIO/wav", "audio"),
        ("video/mp4; codecs=x", "video"),
        ("text/plain", None),
        (None, None),
        ("", None),
    ],
)
def test_the_kind_of_a_media_type(mime: str | None, kind: str | None) -> None:
    assert kind_of_mime_type(mime) == kind


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        (PNG, None, ("image", "image/png")),
        (PNG, "image/jpeg", ("image", "image/png")),
        (PNG, "audio/wav", ("image", "image/png")),
        (MP3, None, ("audio", "audio/mpeg")),
        (MP4, None, ("video", "video/mp4")),
        (MP4, "audio/mp4", ("audio", "audio/mp4")),
        (OGG, "video/ogg", ("video", "video/ogg")),
        (OGG, None, ("audio", "audio/ogg")),
        (WEBM, "audio/webm", ("audio", "audio/webm")),
        (b"what?", "video/x-new", ("video", "video/x-new")),
    ],
)
def test_the_kind_of_a_file(data: bytes, declared: str | None, expected: Any) -> None:
    assert detect_media_type(BytesSource(data), declared, field="f") == expected


@pytest.mark.parametrize("declared", [None, "text/plain", ""])
def test_a_file_of_no_known_kind(declared: str | None) -> None:
    with pytest.raises(InvalidRequestError, match="give mime_type"):
        detect_media_type(BytesSource(b"what?"), declared, field="f")


def from_url(url: str, kind: Any = "image") -> Media:
    return media_from_url(url, kind=kind, field="messages[0]")


@pytest.mark.parametrize("url", ["https://x.org/a.png", "http://x.org/a?b=c#d", "HTTPS://x.org/ä"])
def test_links_are_handed_on(url: str) -> None:
    assert from_url(url) == Media(kind="image", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "C:\\x.png",
        "a.png",
        "",
        "ftp://x/y",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "http://[bad/",
        "https://x.org/a\nb",
        "https://x.org/a b",
        "https://x.org/\x7f",
        "https://x.org/\0",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]") as caught:
        from_url(url)
    assert caught.value.field == "messages[0]"


def test_data_urls() -> None:
    text = base64.b64encode(PNG).decode()
    url = f"data:image/PNG;charset=x;base64,{text}"
    source = Base64Source(url, start=len(url) - len(text))
    assert from_url(url) == Media(kind="image", source=source, mime_type="image/png")
    assert b"".join(source.chunks()) == PNG
    media = from_url("data:image/svg+xml,%3Csvg%2F%3E")
    assert media == Media(kind="image", source=BytesSource(b"<svg/>"), mime_type="image/svg+xml")
    assert from_url("data:;base64,AAAA").mime_type is None
    assert from_url("data:image/png;asset_id, 123-abc ") == Media(
        kind="image", asset_id="123-abc", mime_type="image/png"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64,abc", "cut off"),
        ("data:image/png;base64,ab!=", "no base64"),
        ("data:image/png,", "empty"),
        ("data:image/png;asset_id,../secret", "no asset id"),
        ("data:image/png;asset_id,", "no asset id"),
        ("data:image/png;asset_id,a,b", "no asset id"),
        ("data:;asset_id,abc", "needs its mime_type"),
        ("data:text/plain;asset_id,abc", "needs its mime_type"),
        ("data:image/png,\ud800", "surrogate"),
    ],
)
def test_data_urls_that_hold_nothing_usable(url: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        from_url(url)


@pytest.mark.parametrize(
    "asset_id", ["a/b", "../x", "a b", "a\nb", "-a", "x" * 65, "", None, 5, "ä", "a%2fb"]
)
def test_asset_ids_that_climb_or_break_out(asset_id: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no asset id"):
        asset_reference(asset_id, kind="image", mime="image/png", field="f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", ["plain"]),
        ("", []),
        ('<img src="https://x.org/a.png" />', [Media(kind="image", url="https://x.org/a.png")]),
        (
            "see <IMG SRC='https://x.org/a.png'> and <audio src = \"https://x.org/b.wav\"/>!",
            [
                "see ",
                Media(kind="image", url="https://x.org/a.png"),
                " and ",
                Media(kind="audio", url="https://x.org/b.wav"),
                "!",
            ],
        ),
        (
            '<video src="data:video/mp4;asset_id,abc" />',
            [Media(kind="video", asset_id="abc", mime_type="video/mp4")],
        ),
        ('<img alt="x" src="y">', ['<img alt="x" src="y">']),
        ('<img src="unclosed', ['<img src="unclosed']),
        ("<image src='x'>", ["<image src='x'>"]),
    ],
)
def test_tags_are_parsed(text: str, expected: Any) -> None:
    assert list(parse_tags(text, field="f")) == expected


def test_a_tag_that_points_to_a_file_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="neither an http nor a data url"):
        list(parse_tags('<img src="/etc/passwd">', field="f"))


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("<img", True),
        ("< IMG src", True),
        ("</audio>", True),
        ("< / video>", True),
        ("<\n\timg>", True),
        ("<image>", False),
        ("<imgs>", False),
        ("img", False),
        ("< b img", False),
        ("&lt;img", False),
    ],
)
def test_whether_a_text_may_be_read_as_a_tag(text: str, has: bool) -> None:
    assert contains_tag(text) is has
    assert not contains_tag(escape_media_tags(text))
    assert escape_media_tags(text) == (text.replace("<", "&lt;") if has else text)


@given(st.text("<>imgaudov /\"'src=\n", max_size=40))
def test_escaped_texts_have_no_tags(text: str) -> None:
    escaped = escape_media_tags(text)
    assert not contains_tag(escaped)
    assert list(parse_tags(escaped, field="f")) == ([escaped] if escaped else [])
    assert escaped.replace("&lt;", "<") == text


@pytest.mark.parametrize(
    "text",
    [
        "<" + " " * 200_000,
        "< /" + " " * 200_000,
        "<" * 200_000,
        "<img src=" + " " * 200_000,
        "<img" + " " * 200_000,
        '<img src="' + "x" * 200_000,
        '<img src="' * 20_000,
        "</ " * 60_000,
    ],
    ids=lambda text: text[:10].strip(),
)
def test_long_texts_are_searched_in_linear_time(text: str) -> None:
    # Quadratic, each would take minutes: the limit of time of the tests is the bound.
    assert contains_tag(text) is ("<img" in text)
    assert list(parse_tags(text, field="f")) == [text]
    escape_media_tags(text)


def test_only_the_users_texts_are_parsed() -> None:
    text = 'a <img src="https://x.org/a.png"> b'
    link = Media(kind="image", url="https://x.org/a.png")
    other = Media(kind="audio", url="https://x.org/b.wav")
    messages = tuple(
        Message(role=role, parts=(text, other) if role == "user" else (text,))
        for role in ("system", "user", "assistant")
    )
    system, user, assistant = parse_media_tags(messages)
    assert system.parts == assistant.parts == (text,)
    assert user.parts == ("a ", link, " b", other)
    plain = (Message(role="user", parts=("no tag",)),)
    assert parse_media_tags(plain) == plain


def of_bytes(data: bytes, kind: Any = "image", mime: str | None = None) -> Media:
    return Media(kind=kind, source=BytesSource(data), mime_type=mime)


@pytest.fixture
def placed(judge_of: Any) -> Any:
    """How media are placed: pairs of way and media type, and the warnings."""

    def run(model: str, *media: Media, validation: str = "error", can_upload: bool = True) -> Any:
        judge, said = judge_of(model, validation)
        messages = [Message(role="user", parts=("look", *media))]
        placements = plan_delivery(messages, judge, can_upload=can_upload)
        return [(placements.of(one).method, placements.of(one).mime_type) for one in media], said

    return run


@pytest.mark.parametrize(
    ("model", "media", "expected"),
    [
        (GEMMA, of_bytes(PNG), ("inline", "image/png")),
        (GEMMA, of_bytes(PNG, mime="image/jpeg"), ("inline", "image/png")),
        (GEMMA, of_bytes(MP3, "audio"), ("inline", "audio/mpeg")),
        (NANO, of_bytes(WEBM, "video"), ("inline", "video/webm")),
        (NANO, of_bytes(MOV, "video"), ("inline", "video/quicktime")),
        (KIMI, of_bytes(b"anything", "image", "image/x-new"), ("inline", "image/x-new")),
        (KIMI, Media(kind="image", url="https://x.org/a"), ("link", "")),
        (KIMI, Media(kind="image", asset_id="a", mime_type="image/png"), ("asset", "image/png")),
        (UNKNOWN, of_bytes(OGG, "audio"), ("inline", "audio/ogg")),
    ],
)
def test_the_way_a_medium_takes(model: str, media: Media, expected: Any, placed: Any) -> None:
    assert placed(model, media) == ([expected], [])


@pytest.mark.parametrize(
    ("model", "media", "why"),
    [
        (SUPER, of_bytes(PNG), "has image; the model takes no media"),
        (KIMI, of_bytes(WAV, "audio"), "has audio; the model takes image, video"),
        (
            GEMMA,
            of_bytes(WEBP),
            "the image is webp, by its bytes; the model's documentation takes jpeg, png",
        ),
        (GEMMA, of_bytes(PNG, "audio"), "the audio is png, by its bytes"),
        (KIMI, of_bytes(MP3, "video"), "the video is mp3, by its bytes"),
        (GEMMA, of_bytes(b"what?", mime="image/png"), "is of no known format, by its bytes"),
        (PALI, Media(kind="image", url="https://x.org/a.png"), "as data or asset only"),
    ],
)
def test_media_that_the_page_does_not_take(model: str, media: Media, why: str, placed: Any) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        placed(model, media)
    assert caught.value.field == "messages[0]"
    ways, said = placed(model, media, validation="warn")
    assert len(ways) == 1
    assert any(why in text for text in said)
    assert placed(model, media, validation="off") == (ways, [])


def test_media_that_cannot_be_sent_whatever_validation_says(placed: Any) -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        placed(KIMI, of_bytes(b""), validation="off")
    with pytest.raises(InvalidRequestError, match="give its mime_type"):
        placed(KIMI, of_bytes(b"what?"), validation="off")
    with pytest.raises(InvalidRequestError, match="give its mime_type"):
        placed(UNKNOWN, of_bytes(b"what?", mime="text/plain"), validation="off")


def test_one_image_for_paligemma(placed: Any) -> None:
    with pytest.raises(InvalidRequestError, match="2 media; the model's documentation allows 1"):
        placed(PALI, of_bytes(PNG), of_bytes(JPEG))
    assert len(placed(PALI, of_bytes(PNG), of_bytes(JPEG), validation="off")[0]) == 2


def test_detail_is_warned_of_where_no_page_has_it(placed: Any) -> None:
    media = Media(kind="image", url="https://x.org/a.png", detail="low")
    assert "`detail`" in placed(KIMI, media)[1][0]
    assert placed(UNKNOWN, media)[1] == []


def sized(characters: int, seed: int = 0) -> Media:
    """A PNG whose base64 has so many characters."""
    data = PNG[:8] + bytes([seed]) + bytes(characters // 4 * 3 - 9)
    assert len(base64.b64encode(data)) == characters
    return of_bytes(data)


def test_the_inline_limit_is_exact(placed: Any) -> None:
    assert placed(KIMI, sized(INLINE_LIMIT))[0] == [("inline", "image/png")]
    assert placed(KIMI, sized(INLINE_LIMIT + 4))[0] == [("upload", "image/png")]


def test_the_largest_go_first_until_the_rest_fits(placed: Any) -> None:
    media = [sized(80_000, 1), sized(60_000, 2), sized(100_000, 3), sized(40_000, 4)]
    ways = [way for way, _ in placed(KIMI, *media)[0]]
    assert ways == ["inline", "inline", "upload", "inline"]
    exact = [sized(INLINE_TOTAL // 2, 1), sized(INLINE_TOTAL // 2, 2)]
    assert [way for way, _ in placed(KIMI, *exact)[0]] == ["inline", "inline"]


@pytest.mark.parametrize(("model", "can_upload"), [(KIMI, False), (UNKNOWN, False)])
def test_without_an_asset_api_everything_goes_inline(
    model: str, can_upload: bool, placed: Any
) -> None:
    media = sized(400_000)
    assert placed(model, media, can_upload=can_upload)[0] == [("inline", "image/png")]


def test_uploads_are_counted_once_for_each_content(judge_of: Any) -> None:
    judge, _ = judge_of(KIMI)
    same = [sized(200_000, 1) for _ in range(20)]
    messages = [Message(role="user", parts=(*same, sized(200_000, 2)))]
    placements = plan_delivery(messages, judge, can_upload=True)
    placements.hash_uploads(judge)
    assert len(placements.uploads()) == 2


def test_an_eleventh_asset_is_refused(judge_of: Any) -> None:
    judge, _ = judge_of(KIMI, "off")
    given = [Media(kind="image", asset_id=f"a{n}", mime_type="image/png") for n in range(5)]
    given += [Media(kind="image", asset_id="a0", mime_type="image/png")]
    for uploads, fits in ((5, True), (6, False)):
        mine = [sized(200_000, n) for n in range(uploads)]
        placements = plan_delivery(
            [Message(role="user", parts=(*given, *mine))], judge, can_upload=True
        )
        if fits:
            placements.hash_uploads(judge)
            continue
        with pytest.raises(
            InvalidRequestError, match=f"reference 11 assets; the service takes {MOST_ASSETS}"
        ):
            placements.hash_uploads(judge)


def test_digests_tell_media_types_apart(judge_of: Any) -> None:
    judge, _ = judge_of(UNKNOWN)
    data = MP4 + bytes(200_000)
    film, sound = of_bytes(data, "video"), of_bytes(data, "audio")
    placements = plan_delivery([Message(role="user", parts=(film, sound))], judge, can_upload=True)
    placements.hash_uploads(judge)
    assert [placed.mime_type for placed in placements.uploads()] == ["video/mp4", "audio/mp4"]
