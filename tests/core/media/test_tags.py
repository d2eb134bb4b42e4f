"""Media tags in a text: read, told apart from other text, escaped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import Media, Message
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.tags import contains_tag, escape_media_tags, parse_media_tags, parse_tags


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
