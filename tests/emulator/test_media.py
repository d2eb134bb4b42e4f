"""Images, audio and video: which ways in, which formats and which sizes each model allows."""

from __future__ import annotations

import pytest

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ALL = [GEMMA, NANO, PALI, KIMI, SUPER]

# format: its MIME type, its kind, how to make it, and what the answer says of it
FORMATS = {
    "png": ("image/png", "image", "3x2 pixels"),
    "jpeg": ("image/jpeg", "image", "5x4 pixels"),
    "webp": ("image/webp", "image", "9x8 pixels"),
    "gif": ("image/gif", "image", "7x6 pixels"),
    "wav": ("audio/wav", "audio", "0.50 seconds"),
    "mp3": ("audio/mpeg", "audio", "0.26 seconds"),
    "mp4": ("video/mp4", "video", "2.50 seconds"),
    "mov": ("video/quicktime", "video", "2.50 seconds"),
    "webm": ("video/webm", "video", "1.50 seconds"),
}
ALLOWED = {
    GEMMA: {"png", "jpeg", "wav", "mp3"},
    NANO: {"png", "jpeg", "webp", "wav", "mp3", "mp4", "mov", "webm"},
    PALI: {"png", "jpeg"},
    KIMI: {"png", "jpeg", "webp", "gif", "mp4", "mov", "webm"},
    SUPER: set(),
}
TAGS = {GEMMA: {"img", "audio"}, NANO: {"img", "audio"}, PALI: {"img"}, KIMI: {"img"}}
TAG = {"image": "img", "audio": "audio", "video": "video"}


@pytest.fixture
def make(files):
    def run(name: str) -> bytes:
        return files.mp4(brand=b"qt  ") if name == "mov" else getattr(files, name)()

    return run


def part(kind: str, url: str):
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("name", FORMATS)
def test_parts_in_the_formats_of_the_model(ask, files, make, model, name):
    mime, kind, facts = FORMATS[name]
    data = make(name)
    response = ask(
        model, [{"type": "text", "text": "Look"}, part(kind, files.data_url(mime, data))]
    )
    if name not in ALLOWED[model]:
        assert response.status_code in (400, 422), response.text
        return
    text = response.json()["choices"][0]["message"]["content"]
    wanted = f"1. {kind} {mime}, {facts}, {len(data)} bytes, sha256 {files.short_hash(data)}"
    assert wanted in text
    assert 'The last text of the user is: "Look"' in text


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
@pytest.mark.parametrize("name", FORMATS)
def test_tags_in_the_formats_of_the_model(ask, files, make, model, name):
    mime, kind, facts = FORMATS[name]
    source = files.data_url(mime, make(name))
    response = ask(model, f'Before <{TAG[kind]} src="{source}" /> after')
    good = name in ALLOWED[model] and TAG[kind] in TAGS[model]
    assert (response.status_code == 200) == good, response.text
    if good:
        text = response.json()["choices"][0]["message"]["content"]
        assert '"Before  after"' in text
        assert facts in text


@pytest.mark.parametrize("model", [GEMMA, NANO])
@pytest.mark.parametrize(("declared", "name"), [("wav", "wav"), ("mp3", "mp3")])
def test_input_audio(said, files, make, model, declared, name):
    audio = {"data": files.b64(make(name)), "format": declared}
    assert FORMATS[name][2] in said(model, [{"type": "input_audio", "input_audio": audio}])


@pytest.mark.parametrize("audio", [{"format": "wav"}, {"data": "", "format": "wav"}, {}, "x"])
@pytest.mark.parametrize("model", [GEMMA, NANO])
def test_malformed_input_audio(ask, model, audio):
    assert ask(model, [{"type": "input_audio", "input_audio": audio}]).status_code in (400, 422)


@pytest.mark.parametrize("declared", ["mp3", "flac", "", None])
def test_input_audio_is_what_it_says(ask, files, declared):
    audio = {"data": files.b64(files.wav()), "format": declared}
    assert ask(NANO, [{"type": "input_audio", "input_audio": audio}]).status_code == 400


BAD_SOURCES = [
    ("", "at least 1 character"),
    ("image.png", "data url"),
    ("/etc/hostname", "data url"),
    ("file:///etc/hostname", "data url"),
    ("ftp://example.com/a.png", "data url"),
    ("data:image/png,raw", "data url"),
    ("data:image/png;base64,", "empty"),
    ("data:image/png;base64,!!!!", "base64"),
    ("data:image/png;base64,iVBORw0KGgo", "base64"),
    ("data:image/png;base64,iVBORw0K Ggo=", "base64"),
    ("data:image/png;base64,aGVsbG8=", "cannot identify"),
    ("data:image/png;base64,iVBORw0KGgo=", "cannot decode"),
    ("data:image/bmp;base64,Qk0=", "supported"),
    ("data:audio/wav;base64,aGVsbG8=", "supported"),
    ("data:;base64,aGVsbG8=", "supported"),
]


@pytest.mark.parametrize(("source", "message"), BAD_SOURCES)
@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_sources_that_are_not_an_image(ask, model, source, message):
    response = ask(model, [part("image", source)])
    assert response.status_code in (400, 422)
    assert message in response.text
    if source:
        response = ask(model, f'<img src="{source}"/>')
        assert response.status_code in (400, 422)
        assert message in response.text


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_the_declared_type_is_that_of_the_bytes(ask, files, model):
    response = ask(model, [part("image", files.data_url("image/jpeg", files.png()))])
    assert response.status_code in (400, 422)
    assert "declared as jpeg, but the bytes are png" in response.text
    good = files.data_url("image/jpg", files.jpeg())
    assert ask(model, [part("image", good)]).status_code == 200


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_remote_urls(ask, model):
    url = "https://example.com/a.png?x=1&y=2"
    for content in ([part("image", url)], f'<img src="{url}" />'):
        response = ask(model, content)
        assert (response.status_code == 200) == (model != PALI), response.text
        if model != PALI:
            assert f"image at {url}" in response.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "image_url", "image_url": {}},
        {"type": "image_url", "image_url": {"url": 1}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a"}, "x": 1},
        {"type": "image", "image": "https://example.com/a"},
        {"type": "file", "file": {}},
        {"type": None},
    ],
)
@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_malformed_parts(ask, model, bad):
    assert ask(model, [bad]).status_code in (400, 422)


def test_one_image_for_paligemma(ask, files):
    url = files.data_url("image/png", files.png())
    assert ask(PALI, [part("image", url)]).status_code == 200
    assert ask(PALI, [part("image", url)] * 2).status_code == 400
    assert ask(PALI, f'<img src="{url}"/>' * 2).status_code == 400
    assert ask(KIMI, [part("image", url)] * 2).status_code == 200


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_media_are_the_user_s(post, files, role):
    url = files.data_url("image/png", files.png())
    call = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    before = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    message = {"role": role, "content": [part("image", url)]}
    if role == "tool":
        message["tool_call_id"] = "c1"
    assert post(KIMI, {"messages": [*before, message]}).status_code == 400


@pytest.mark.parametrize("model", [GEMMA, NANO, KIMI])
@pytest.mark.parametrize("role", ["system", "assistant"])
def test_tags_of_others_are_text(post, model, role):
    tagged = {"role": role, "content": '<img src="nowhere" />'}
    messages = [tagged, {"role": "user", "content": "Hi"}]
    assert post(model, {"messages": messages}).status_code == 200


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_tags_inside_text_parts_are_text(said, model):
    text = '<img src="nowhere" />'
    assert f'"{text}"' in said(model, [{"type": "text", "text": text}])


def test_tags_are_text_where_a_model_has_none(said):
    assert '<img src="nowhere" />' in said(SUPER, '<img src="nowhere" />')


@pytest.mark.parametrize(
    "text",
    [
        "an <img> tag",
        '<img alt="nothing">',
        '<img src="never closed',
        "<image src='x'>",
        "1 < 2 and 3 > 2",
        '&lt;img src="x"/>',
        "<img" * 2000,
    ],
)
@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_what_is_no_tag_is_text(said, model, text):
    assert f'"{text}"' in said(model, text)


@pytest.mark.parametrize(
    "tag",
    [
        '<img src="{}">',
        "<img src='{}'/>",
        "<IMG SRC = '{}' />",
        '<img alt="a > b" src="{}" width=3>',
        '<img src="{}"></img>',
    ],
)
def test_tags_are_html(said, files, tag):
    url = files.data_url("image/png", files.png())
    answer = said(KIMI, f"a{tag.format(url)}b &lt;img&gt;")
    assert '"ab <img>"' in answer
    assert "3x2 pixels" in answer


def test_order_of_media_is_kept(said, files):
    first = files.data_url("image/png", files.png(1, 1))
    second = files.data_url("image/jpeg", files.jpeg())
    answer = said(KIMI, f'<img src="{first}"/><img src="{second}"/>')
    assert answer.index("1. image image/png") < answer.index("2. image image/jpeg")


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_inline_media_have_a_limit(ask, files, model):
    base = len(files.png())
    fits = files.data_url("image/png", files.png(padding=149_990 - base))
    over = files.data_url("image/png", files.png(padding=150_010 - base))
    assert ask(model, [part("image", fits)]).status_code == 200
    response = ask(model, [part("image", over)])
    assert response.status_code == 413
    assert "200000" in response.text


def test_the_limit_is_that_of_the_request(ask, files):
    url = files.data_url("image/png", files.png(padding=80_000))
    assert ask(KIMI, [part("image", url)]).status_code == 200
    assert ask(KIMI, [part("image", url)] * 2).status_code == 413


MISSING = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_assets_are_read_from_tags(ask, upload, files, model):
    data = files.png(padding=300_000)
    asset = upload(data, "image/png")
    content = f'See <img src="data:image/png;asset_id,{asset}" />'
    response = ask(model, content, {"NVCF-INPUT-ASSET-REFERENCES": asset})
    text = response.json()["choices"][0]["message"]["content"]
    facts = f"3x2 pixels, {len(data)} bytes, sha256 {files.short_hash(data)}, asset {asset}"
    assert facts in text


@pytest.mark.parametrize("model", [GEMMA, NANO, KIMI])
def test_videos_are_read_from_tags_only_as_assets(ask, upload, files, model):
    asset = upload(files.mp4(padding=2_000_000), "video/mp4")
    content = f'<video src="data:video/mp4;asset_id,{asset}" />'
    response = ask(model, content, {"NVCF-INPUT-ASSET-REFERENCES": asset})
    assert (response.status_code == 200) == (model != GEMMA)
    for source in ("https://example.com/a.mp4", files.data_url("video/mp4", files.mp4())):
        assert ask(model, f'<video src="{source}" />').status_code in (400, 422)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "is not named in NVCF-INPUT-ASSET-REFERENCES"),
        ("", "asset ids separated by commas"),
        ("{id}, {other}", "without spaces"),
        ("{id},", "asset ids"),
        ("not-an-id", "asset ids"),
        ("{other}", "is not named in"),
        ("{id},{other}", "is not referenced in messages"),
        (",".join(["{id}"] * 11), "at most 370 characters"),
    ],
)
def test_the_header_and_the_content_agree(ask, upload, files, header, message):
    asset, other = upload(files.png(), "image/png"), upload(files.png(), "image/png")
    headers = {}
    if header is not None:
        headers["NVCF-INPUT-ASSET-REFERENCES"] = header.format(id=asset, other=other)
    response = ask(KIMI, f'<img src="data:image/png;asset_id,{asset}" />', headers)
    assert response.status_code == 400
    assert message in response.text


def test_ten_assets_fit(ask, upload, files):
    ids = [upload(files.png(), "image/png") for _ in range(10)]
    content = "".join(f'<img src="data:image/png;asset_id,{asset}" />' for asset in ids)
    response = ask(KIMI, content, {"NVCF-INPUT-ASSET-REFERENCES": ",".join(ids)})
    assert "10. image" in response.json()["choices"][0]["message"]["content"]


def test_super_takes_no_assets(ask):
    response = ask(SUPER, "Hi", {"NVCF-INPUT-ASSET-REFERENCES": MISSING})
    assert response.status_code == 400


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_asset_ids_are_not_for_parts(ask, upload, files, model):
    asset = upload(files.png(), "image/png")
    content = [part("image", f"data:image/png;asset_id,{asset}")]
    response = ask(model, content, {"NVCF-INPUT-ASSET-REFERENCES": asset})
    assert response.status_code in (400, 422)
    assert "tag" in response.text


@pytest.mark.parametrize(
    ("tag", "mime", "made_as", "name"),
    [
        ("img", "image/jpeg", "image/png", "png"),
        ("img", "image/png", "image/png", "jpeg"),
        ("img", "image/png", "image/png", "wav"),
        ("audio", "image/png", "image/png", "png"),
        ("audio", "audio/wav", "image/png", "png"),
        ("img", "video/mp4", "video/mp4", "mp4"),
    ],
)
def test_assets_are_what_the_tag_says(ask, upload, make, tag, mime, made_as, name):
    asset = upload(make(name), made_as)
    content = f'<{tag} src="data:{mime};asset_id,{asset}" />'
    response = ask(NANO, content, {"NVCF-INPUT-ASSET-REFERENCES": asset})
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("why", ["unknown", "unfilled", "expired", "deleted", "another's"])
def test_assets_that_are_not_there(server, client, ask, upload, files, why):
    asset = MISSING
    if why == "unfilled":
        body = {"contentType": "image/png", "description": "a"}
        asset = client.post(f"{server.nvcf_url}/assets", json=body).json()["assetId"]
    elif why != "unknown":
        asset = upload(files.png(), "image/png")
    if why == "expired":
        server.expire_assets(asset)
    if why == "deleted":
        assert client.delete(f"{server.nvcf_url}/assets/{asset}").status_code == 204
    headers = {"NVCF-INPUT-ASSET-REFERENCES": asset}
    if why == "another's":
        server.add_key("nvapi-another")
        headers["authorization"] = "Bearer nvapi-another"
    response = ask(KIMI, f'<img src="data:image/png;asset_id,{asset}" />', headers)
    assert response.status_code == 404
    assert response.json() == {
        "status": 404,
        "title": "Not Found",
        "detail": f"failed to find asset {asset}",
    }


def test_video_and_audio_that_cannot_be_read(ask, files):
    broken = files.wav()[:20]
    url = files.data_url("audio/wav", broken)
    response = ask(NANO, [part("audio", url)])
    assert response.status_code == 400
    assert "damaged" in response.text
    other = files.data_url("video/webm", files.webm(doctype=b"matroska"))
    assert ask(NANO, [part("video", other)]).status_code == 400


@pytest.mark.parametrize("text", ['<img src="' * 20_000, "<img a " * 20_000, "<img a='" * 20_000])
def test_tags_take_linear_time(ask, text):
    assert ask(KIMI, text).elapsed.total_seconds() < 3
