"""How each image, audio or video reaches the model: link, inline, upload or existing asset."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from nvcf_core import Media, Message
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.delivery import INLINE_LIMIT, INLINE_TOTAL, MOST_ASSETS, plan_delivery
from nvcf_core.media.sources import BytesSource

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


def of_bytes(data: bytes, kind: Any = "image", mime: str | None = None) -> Media:
    return Media(kind=kind, source=BytesSource(data), mime_type=mime)


@pytest.fixture
def placed(judge_of: Any) -> Any:
    """How media are placed: pairs of way and media type, and the warnings."""

    def run(model: str, *media: Media, validation: str = "error", can_upload: bool = True) -> Any:
        judge, said = judge_of(model, validation)
        media = tuple(replace(one, index=0) for one in media)
        messages = [Message(role="user", parts=("look", *media))]
        planned, deliveries = plan_delivery(messages, judge, can_upload=can_upload)
        assert planned[0].parts == ("look", *deliveries.items)
        return [(one.method, one.mime_type) for one in deliveries.items], said

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
        (KIMI, Media(kind="image", url="https://x.org/a"), ("link", None)),
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
            "the image is webp, by its bytes; the model's documentation allows jpeg, png",
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


@pytest.mark.parametrize("role", ["system", "assistant", "developer"])
def test_media_of_other_roles_go_inline_as_only_the_user_can_refer_to_an_asset(
    role: str, judge_of: Any
) -> None:
    large = sized(INLINE_LIMIT + 4)
    messages = [
        Message(role=role, parts=("look", large)),
        Message(role="user", parts=(sized(20_004, 1),)),
    ]
    _, deliveries = plan_delivery(messages, judge_of(UNKNOWN)[0], can_upload=True)
    # Together they are too large, and the user's own is what can be moved.
    assert [item.method for item in deliveries.items] == ["inline", "upload"]


def test_uploads_are_counted_once_for_each_content(judge_of: Any) -> None:
    judge, _ = judge_of(KIMI)
    same = [sized(200_000, 1) for _ in range(20)]
    messages = [Message(role="user", parts=(*same, sized(200_000, 2)))]
    _, deliveries = plan_delivery(messages, judge, can_upload=True)
    deliveries.hash_uploads()
    assert len(deliveries.uploads()) == 2


def test_an_eleventh_asset_is_refused(judge_of: Any) -> None:
    judge, _ = judge_of(KIMI, "off")
    given = [Media(kind="image", asset_id=f"a{n}", mime_type="image/png") for n in range(5)]
    given += [Media(kind="image", asset_id="a0", mime_type="image/png")]
    for uploads, fits in ((5, True), (6, False)):
        mine = [sized(200_000, n) for n in range(uploads)]
        _, deliveries = plan_delivery(
            [Message(role="user", parts=(*given, *mine))], judge, can_upload=True
        )
        if fits:
            deliveries.hash_uploads()
            continue
        with pytest.raises(
            InvalidRequestError, match=f"reference 11 assets; the service takes {MOST_ASSETS}"
        ):
            deliveries.hash_uploads()


def returned(media: Media, index: int) -> Message:
    """What a tool returned in an earlier turn, as it is sent."""
    return Message(role="user", parts=(replace(media, returned=True, index=index),), index=index)


@pytest.mark.parametrize("validation", ["error", "off"])
def test_the_oldest_of_too_many_that_tools_returned_are_described(
    judge_of: Any, validation: str
) -> None:
    judge, said = judge_of(KIMI, validation)
    own = Media(kind="image", asset_id="mine", mime_type="image/png")
    again = sized(200_000, 1)
    shots = [returned(sized(200_000, number), number) for number in range(1, 12)]
    messages = [Message(role="user", parts=(own, again)), *shots, returned(again, 12)]
    messages += [returned(replace(own, asset_id="theirs"), 13)]
    planned, deliveries = plan_delivery(messages, judge, can_upload=True)
    deliveries.hash_uploads()  # What the user gave twice over counts once, and stays.
    assert len(deliveries.uploads()) == 8
    left_out = [message.index for message in planned if isinstance(message.parts[0], str)]
    assert left_out == [2, 3, 4]
    assert planned[2].parts == (
        "[image, png, 150000 bytes; not shown: a request has 10 assets at most, and newer ones are in it]",
    )
    assert said[0].startswith("messages[2]: [image")
    assert [item.asset_id for item in deliveries.items if item.asset_id] == ["mine", "theirs"]


def test_too_many_of_the_users_own_are_refused_whatever_tools_returned(judge_of: Any) -> None:
    judge, _ = judge_of(KIMI)
    mine = [sized(200_000, number) for number in range(11)]
    messages = [Message(role="user", parts=tuple(mine)), returned(sized(200_000, 99), 1)]
    _, deliveries = plan_delivery(messages, judge, can_upload=True)
    with pytest.raises(InvalidRequestError, match="reference 11 assets"):
        deliveries.hash_uploads()


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_a_container_of_films_is_no_image(placed: Any, kind: Any) -> None:
    film = of_bytes(MP4, kind, f"{kind}/mp4")
    if kind == "image":
        with pytest.raises(InvalidRequestError, match="the image is mp4, by its bytes"):
            placed(UNKNOWN, film)
    else:
        placed(UNKNOWN, film)


def test_digests_tell_media_types_apart(judge_of: Any) -> None:
    judge, _ = judge_of(UNKNOWN)
    data = MP4 + bytes(200_000)
    film, sound = of_bytes(data, "video"), of_bytes(data, "audio")
    _, deliveries = plan_delivery(
        [Message(role="user", parts=(film, sound))], judge, can_upload=True
    )
    deliveries.hash_uploads()
    assert [upload.mime_type for upload in deliveries.uploads()] == ["video/mp4", "audio/mp4"]


def test_what_is_delivered_keeps_its_medium_and_its_place(judge_of: Any) -> None:
    judge, _ = judge_of(UNKNOWN)
    link = Media(kind="image", url="https://x.org/a.png", detail="low")
    asset = Media(kind="video", asset_id="a-1", mime_type="video/mp4")
    large = sized(200_000)
    messages = [
        Message(role="user", parts=("a", link, asset)),
        Message(role="assistant", parts=("b",)),
        Message(role="user", parts=(large, "c"), name="n"),
    ]
    planned, deliveries = plan_delivery(messages, judge, can_upload=True)
    deliveries.hash_uploads()
    assert [message.role for message in planned] == ["user", "assistant", "user"]
    assert planned[0].parts == ("a", deliveries.items[0], deliveries.items[1])
    assert planned[1] is not None
    assert planned[2].parts == (deliveries.items[2], "c")
    assert planned[2].name == "n"
    first, second, third = deliveries.items
    assert (first.url, first.detail, first.source, first.asset_id) == (link.url, "low", None, None)
    assert (second.asset_id, second.mime_type, second.upload) == ("a-1", "video/mp4", None)
    assert third.upload is not None
    assert third.upload.source is large.source
    uploaded = {third.upload.key: "a-2"}
    assert deliveries.asset_ids(uploaded) == ["a-1", "a-2"]


def test_one_medium_in_two_places_is_counted_and_sent_twice(judge_of: Any) -> None:
    judge, _ = judge_of(KIMI)
    media = sized(INLINE_TOTAL // 2 + 4)
    _, deliveries = plan_delivery(
        [Message(role="user", parts=(media, media))], judge, can_upload=True
    )
    assert sorted(item.method for item in deliveries.items) == ["inline", "upload"]
