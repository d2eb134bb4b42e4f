"""The body that is sent: messages in the page's form, media in their places, JSON or a clear refusal."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import Media, Message, ToolCall, spec_for
from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Body
from nvcf_core.media.delivery import Delivery, plan_delivery
from nvcf_core.media.sources import Base64Source, BytesSource
from nvcf_core.models.validator import Validator
from nvcf_core.request.body import JOINED_UP_TO, MessageEncoder, StreamedBody
from nvcf_core.tools.names import ToolNames
from nvcf_core.wire import dump_json, dump_plain_json

GEMMA = "google/gemma-3n-e2b-it"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WAV = b"RIFF\x20\0\0\0WAVEfmt "
MP3 = b"ID3\x04" + bytes(20)
IMAGE = Media(kind="image", source=BytesSource(PNG))
LINK = Media(kind="image", url='https://x.org/"a<b>.png')
ASSET = Media(kind="image", asset_id="asset-1", mime_type="image/png")
DATA_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


def encoded(
    model: str, messages: Any, fields: Any, names: Any = (), assets: Any = None
) -> bytes | Body:
    judge = Validator(spec_for(model), "off", lambda *_: None)
    planned, deliveries = plan_delivery(messages, judge, can_upload=assets is not None)
    deliveries.hash_uploads()
    uploaded = dict(zip((upload.key for upload in deliveries.uploads()), assets or (), strict=True))
    return MessageEncoder(spec_for(model), ToolNames(names), uploaded).body(planned, fields)


def sent(model: str, *messages: Message, **fields: Any) -> Any:
    body = encoded(model, messages, fields)
    data = body if isinstance(body, bytes) else b"".join(body.chunks())
    return json.loads(data)


def content(model: str, *parts: Any, role: str = "user") -> Any:
    return sent(model, Message(role=role, parts=parts))["messages"][0]["content"]


@pytest.mark.parametrize("model", [GEMMA, KIMI, SUPER, UNKNOWN])
def test_one_text_is_a_string(model: str) -> None:
    assert content(model, "hello") == "hello"
    assert content(model) == ""


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_only_users_have_lists(role: str) -> None:
    joined = "ab" if role == "assistant" else "a\nb"
    assert content(KIMI, "a", "b", role=role) == joined


def test_texts_and_media_keep_their_order() -> None:
    assert content(KIMI, "a", IMAGE, "b", LINK) == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
        {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": 'https://x.org/"a<b>.png'}},
    ]


def test_a_model_without_media_has_texts_only() -> None:
    assert content(SUPER, "a", '<img src="x">') == 'a\n<img src="x">'


@pytest.mark.parametrize(
    ("model", "data", "part"),
    [
        (GEMMA, WAV, {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,%s"}}),
        (UNKNOWN, WAV, {"type": "input_audio", "input_audio": {"data": "%s", "format": "wav"}}),
        (UNKNOWN, MP3, {"type": "input_audio", "input_audio": {"data": "%s", "format": "mp3"}}),
    ],
)
def test_sound_goes_in_the_part_that_the_page_has(model: str, data: bytes, part: Any) -> None:
    wanted = json.loads(json.dumps(part).replace("%s", base64.b64encode(data).decode()))
    assert content(model, Media(kind="audio", source=BytesSource(data))) == [wanted]


def test_sound_by_url_is_a_link_everywhere() -> None:
    link = Media(kind="audio", url="https://x.org/a.wav")
    assert content(UNKNOWN, link) == [{"type": "audio_url", "audio_url": {"url": link.url}}]


def test_detail_goes_to_models_without_a_page() -> None:
    media = Media(kind="image", url="https://x.org/a.png", detail="low")
    target = content(UNKNOWN, media)[0]["image_url"]
    assert target == {"url": media.url, "detail": "low"}
    assert "detail" not in content(KIMI, media)[0]["image_url"]


def test_an_asset_turns_the_message_into_a_string_with_tags() -> None:
    found = content(KIMI, "see", ASSET, "and", IMAGE, LINK, "done")
    assert found == (
        'see <img src="data:image/png;asset_id,asset-1" /> and '
        f'<img src="{DATA_URL}" /> <img src="https://x.org/%22a%3Cb%3E.png" /> done'
    )


def test_a_literal_tag_beside_an_asset_is_escaped() -> None:
    found = content(KIMI, 'no <img src="x"> here', ASSET)
    assert found == 'no &lt;img src="x"> here <img src="data:image/png;asset_id,asset-1" />'


def test_a_literal_tag_without_an_asset_goes_in_the_list_form() -> None:
    assert content(KIMI, '<img src="x">') == [{"type": "text", "text": '<img src="x">'}]


def test_a_message_without_the_asset_keeps_its_list() -> None:
    first, second = (
        message["content"]
        for message in sent(
            KIMI, Message(role="user", parts=(ASSET,)), Message(role="user", parts=(IMAGE,))
        )["messages"]
    )
    assert isinstance(first, str)
    assert isinstance(second, list)


def test_what_a_message_has_besides_its_content() -> None:
    call = ToolCall(0, "c1", "get weather", '{"a":1}')
    assistant = Message(
        role="assistant", parts=("x",), tool_calls=(call,), reasoning="hm", name="m"
    )
    tool = Message(role="tool", parts=("7",), tool_call_id="c1", name="get weather")
    messages = (Message(role="user", parts=("q",), name="ann", reasoning="no"), assistant, tool)
    body = encoded(KIMI, messages, {}, names=["get weather"])
    assert isinstance(body, bytes)
    assert json.loads(body)["messages"] == [
        {"role": "user", "content": "q", "name": "ann"},
        {
            "role": "assistant",
            "content": "x",
            "name": "m",
            "reasoning_content": "hm",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"a":1}'},
                }
            ],
        },
        {"role": "tool", "content": "7", "name": "get weather", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize("model", [GEMMA, PALI, SUPER, UNKNOWN])
def test_reasoning_goes_back_to_no_other_model(model: str) -> None:
    message = Message(role="assistant", parts=("x",), reasoning="hm")
    assert "reasoning_content" not in sent(model, message)["messages"][0]


def test_names_go_only_where_the_page_has_them() -> None:
    named = Message(role="user", parts=("x",), name="ann")
    assert "name" not in sent(GEMMA, named)["messages"][0]
    assert sent(SUPER, named)["messages"][0]["name"] == "ann"


def test_the_order_of_the_body() -> None:
    messages = (Message(role="user", parts=("x",)),)
    body = encoded(KIMI, messages, {"seed": 1, "model": "m", "stream": False})
    assert body == (
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"seed":1,"stream":false}'
    )


def test_a_large_body_is_encoded_while_it_is_sent() -> None:
    data = PNG + bytes(300_000)
    messages = (
        Message(role="user", parts=("a", Media(kind="image", source=BytesSource(data)), "é")),
    )
    body = encoded(KIMI, messages, {"model": "m"})
    assert isinstance(body, StreamedBody)
    whole = b"".join(body.chunks())
    assert whole == b"".join(body.chunks())
    assert len(whole) == body.length
    url = json.loads(whole)["messages"][0]["content"][1]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == data


@pytest.mark.parametrize("more", [0, 1])
def test_a_small_body_is_sent_in_one_piece(more: int) -> None:
    def body(text: str) -> Any:
        media = Media(kind="image", source=BytesSource(PNG + bytes(100_000)))
        messages = (Message(role="user", parts=(text, media)),)
        return encoded(KIMI, messages, {"model": "m"})

    fits = body("x" * (JOINED_UP_TO - len(body("")) + more))
    assert isinstance(fits, StreamedBody if more else bytes)
    assert (fits.length if more else len(fits)) == JOINED_UP_TO + more


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=4),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10), min_size=5, max_size=5
    ),
)
def test_media_of_any_bytes_and_length_arrive(pictures: list[bytes], texts: list[str]) -> None:
    parts: list[Any] = [texts[0]]
    for data, text in zip(pictures, texts[1:], strict=False):
        parts += [Media(kind="image", source=BytesSource(PNG[:8] + data)), text]
    found = content(KIMI, *parts)
    if not pictures and isinstance(found, str):
        assert found == texts[0]
        return
    for part, original in zip(found, parts, strict=True):
        if isinstance(original, str):
            assert part["text"] == original
        else:
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            assert data == original.source.data


def test_base64_text_is_sent_as_it_came() -> None:
    text = base64.b64encode(PNG).decode()
    found = content(KIMI, Media(kind="image", source=Base64Source(text)))
    assert found[0]["image_url"]["url"] == f"data:image/png;base64,{text}"


def test_what_was_uploaded_is_referenced_by_its_own_id() -> None:
    first, second = (
        Media(kind="image", source=BytesSource(PNG + bytes([n]) + bytes(200_000))) for n in (1, 2)
    )
    messages = [Message(role="user", parts=(first, "or", second, ASSET))]
    body = encoded(KIMI, messages, {}, assets=["up-1", "up-2"])
    assert isinstance(body, bytes)
    text = json.loads(body)["messages"][0]["content"]
    assert re.findall(r"asset_id,([a-z0-9-]+)", text) == ["up-1", "up-2", "asset-1"]


def test_media_whose_delivery_was_not_planned_are_a_mistake_of_the_caller() -> None:
    encoder = MessageEncoder(spec_for(KIMI), ToolNames(()), {})
    with pytest.raises(AssertionError, match="planned before"):
        encoder.message(Message(role="user", parts=(IMAGE,)))
    empty = Delivery(kind="image", mime_type="image/png", method="inline")
    with pytest.raises(AssertionError, match="have bytes"):
        encoder.message(Message(role="user", parts=(empty,)))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "place", "why"),
    [
        ({"temperature": math.nan}, "temperature", "nan is not a JSON number"),
        ({"a": [1, {"b": -math.inf}]}, r"a\[1\]\.b", "-inf is not a JSON number"),
        ({"messages": [{"content": "ab\ud800"}]}, r"messages\[0\]\.content", "character 2 is half"),
        ({"a": {"\udfff": 1}}, "a key of a", "character 0 is half"),
        ({"\udfff": 1}, "a key of the request", "character 0 is half"),
        ({"a": b"x"}, "a", "bytes is not JSON"),
        ({"a": {1, 2}}, "a", "set is not JSON"),
        ({"a": object()}, "a", "object is not JSON"),
        ({"a": nested(100_000)}, r"a\[0\]\[0\]", "nested too deeply"),
        ({"a": CIRCLE}, r"a\[0\]", "nested too deeply"),
        ({"a": {(1, 2): 3}}, "the request", "keys must be"),
        ({"a": 10**5000}, "the request", "limit"),
        (math.nan, "the request", "nan"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_sent_is_named(value: Any, place: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"^{place}.*{why}") as caught:
        dump_json(value)
    assert caught.value.field
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_is_sent_whole_or_refused(value: Any) -> None:
    try:
        data = dump_json(value)
    except InvalidRequestError:
        text = json.dumps(value)
        assert "NaN" in text or "Infinity" in text or "\\ud" in text
    else:
        assert json.loads(data) == value


TEXT = st.text(st.characters() | st.sampled_from("\0\x1f\x7f\u2028\ud83d\udfff"))
"""Any text, halves of characters included."""

PLAIN_JSON = st.recursive(
    st.none() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN_JSON)
def test_plain_json_is_the_same_to_the_byte(value: Any) -> None:
    def outcome(dump: Any) -> Any:
        try:
            return dump(value)
        except InvalidRequestError as error:
            return str(error), error.field

    assert outcome(dump_plain_json) == outcome(dump_json)


def test_an_extra_body_may_have_messages_of_its_own() -> None:
    messages = (Message(role="user", parts=("x",)),)
    about = {"model": "m", "messages": [{"role": "user", "content": "y", "z": 1.5}]}
    body = encoded(KIMI, messages, about)
    assert body == b'{"model":"m","messages":[{"role":"user","content":"y","z":1.5}]}'


def test_a_message_that_cannot_be_sent_is_named_among_all_fields() -> None:
    messages = [Message(role="user", parts=(text,)) for text in ("a", "half \ud800")]
    with pytest.raises(InvalidRequestError, match=r"^messages\[1\]\.content .* character 5"):
        encoded(KIMI, messages, {"model": "m", "temperature": math.nan})


def test_text_goes_as_utf8_and_not_as_escapes() -> None:
    assert dump_json({"a": "é日👋\u2028\0"}) == '{"a":"é日👋\u2028\\u0000"}'.encode()
