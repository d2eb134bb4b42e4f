"""`upload` and `aupload`: a file of any size, from disk, in constant memory, as a block for any message."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc

import pytest

from nvcf_core.errors import AssetUploadError, InvalidRequestError

OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
MEGABYTE = 1_000_000


@pytest.fixture
def film(sample, tmp_path):
    """A file of 8 MB."""
    file = tmp_path / "film"
    file.write_bytes(sample("mp4", 8 * MEGABYTE).data)
    return file


@pytest.mark.parametrize("ending", ["jpg", "wav", "mp3", "mp4", "mov", "webm"])
def test_a_block_for_any_message(ending, server, talk, sample, tmp_path):
    medium, file, model = sample(ending), tmp_path / "a file", talk.model(OMNI)
    file.write_bytes(medium.data)
    block, asset = talk.upload(model, file)
    assert server.assets[asset].sha256 == medium.sha256
    assert server.assets[asset].content_type == medium.mime
    for _ in range(2):
        assert medium.sha256[:12] in talk.ask(model, "What is it?", block)
        assert server.chats[-1].headers["nvcf-input-asset-references"] == asset
    assert [request.place for request in server.requests] == ["create", "put", "ask", "ask"]
    talk.close(model)
    assert server.assets[asset].state == "deleted"


def test_what_the_put_carries(server, talk, film):
    talk.upload(talk.model(OMNI), film)
    put = server.requests[1]
    assert put.headers["content-length"] == str(8 * MEGABYTE)
    assert {"authorization", "transfer-encoding"}.isdisjoint(put.headers)


@pytest.mark.parametrize("form", ["path", "text", "file", "bytes"])
def test_forms_of_a_file(form, server, talk, sample, film):
    medium = sample("mp4", 8 * MEGABYTE)
    with film.open("rb") as opened:
        given = {"path": film, "text": str(film), "file": opened, "bytes": io.BytesIO(medium.data)}
        _, asset = talk.upload(talk.model(OMNI), given[form])
        assert not opened.closed
    assert server.assets[asset].sha256 == medium.sha256


def test_an_open_file_is_read_from_where_it_stands(server, talk, sample):
    medium = sample("mp4", MEGABYTE)
    file = io.BytesIO(b"a header of the user's own" + medium.data)
    file.seek(26)
    _, asset = talk.upload(talk.model(OMNI), file)
    assert (server.assets[asset].length, server.assets[asset].sha256) == (MEGABYTE, medium.sha256)


def test_a_second_try_sends_an_open_file_from_the_same_place(server, talk, sample):
    medium = sample("mp4", MEGABYTE)
    file = io.BytesIO(b"skipped" + medium.data)
    file.seek(7)
    server.fail(503, on="put", retry_after=0)
    _, asset = talk.upload(talk.model(OMNI, max_retries=1), file)
    assert server.assets[asset].sha256 == medium.sha256


def test_progress(talk, film):
    told: list[tuple[int, int]] = []
    talk.upload(talk.model(OMNI), film, progress=lambda sent, total: told.append((sent, total)))
    sent = [step[0] for step in told]
    assert {total for _, total in told} == {8 * MEGABYTE}
    assert len(told) > 5
    assert sent == sorted(set(sent))
    assert sent[-1] == 8 * MEGABYTE


def test_progress_is_told_where_the_upload_was_begun(talk, film):
    threads: set[int] = set()
    talk.upload(talk.model(OMNI), film, progress=lambda *told: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_an_error_in_progress_ends_the_upload_and_leaves_nothing(server, talk, film):
    def stop(sent: int, total: int) -> None:
        raise KeyboardInterrupt(f"{sent} of {total}")

    model = talk.model(OMNI)
    with pytest.raises(KeyboardInterrupt):
        talk.upload(model, film, progress=stop)
    talk.close(model)
    assert [asset.state for asset in server.assets.values()] == ["deleted"]


def test_the_type_may_be_given_where_the_bytes_do_not_tell(server, talk, tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b"raw samples" * 1000)
    with pytest.raises(InvalidRequestError, match="give mime_type"):
        talk.upload(talk.model("acme/any"), file)
    assert server.requests == []
    _, asset = talk.upload(talk.model("acme/any"), file, "audio/L16")
    assert server.assets[asset].content_type == "audio/L16"


@pytest.mark.parametrize("mime", ["audio/L16\r\nX-More: 1", "text/plain", "audio", "audio/a b"])
def test_a_type_that_is_none(mime, server, talk, tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b"raw samples" * 1000)
    with pytest.raises(InvalidRequestError, match="give mime_type"):
        talk.upload(talk.model("acme/any"), file, mime)
    assert server.requests == []


def test_a_sound_in_a_container_of_film(server, talk, sample, tmp_path):
    file = tmp_path / "speech"
    file.write_bytes(sample("webm").data)
    _, asset = talk.upload(talk.model("acme/any"), file, "audio/webm;codecs=opus")
    assert server.assets[asset].content_type == "audio/webm"


def test_files_that_cannot_be_sent(server, talk, tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    model = talk.model(OMNI)
    bad = {
        "the file .* is empty": empty,
        "cannot read the file": tmp_path / "missing",
        "a folder": tmp_path,
        "null": "a\0b",
        "nothing left to read": io.BytesIO(b""),
        "open as text": io.StringIO("text"),
        "cannot be rewound": os.fdopen(os.pipe()[0], "rb"),
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        bad["a pipe"] = tmp_path / "pipe"
    for said, file in bad.items():
        with pytest.raises(InvalidRequestError, match=said):
            talk.upload(model, file)
    bad["cannot be rewound"].close()
    assert server.requests == []


def test_without_an_asset_api_nothing_is_uploaded(server, talk, film):
    with pytest.raises(InvalidRequestError, match="no asset API") as caught:
        talk.upload(talk.model("acme/any", nvcf_url=None), film)
    assert caught.value.field == "nvcf_url"
    assert server.requests == []


@pytest.mark.parametrize("stage", ["create", "put"])
def test_a_failure_names_its_stage(stage, server, talk, film):
    server.fail(403, on=stage)
    with pytest.raises(AssetUploadError) as caught:
        talk.upload(talk.model(OMNI), film)
    assert caught.value.stage == stage
    assert caught.value.__cause__.status == 403
    assert [asset.state for asset in server.assets.values()] == ["deleted"] * (stage == "put")


@pytest.mark.parametrize("length", [MEGABYTE, 8 * MEGABYTE - 1, 8 * MEGABYTE + 1, 20 * MEGABYTE])
def test_a_file_that_changes_its_length_while_it_is_sent(length, server, talk, film):
    def change(sent: int, total: int) -> None:
        os.truncate(film, length)

    model = talk.model(OMNI, max_retries=1)
    with pytest.raises(AssetUploadError, match="the file changed while it was sent") as caught:
        talk.upload(model, film, progress=change)
    assert (caught.value.stage, caught.value.retryable) == ("put", False)
    assert [asset.state for asset in server.assets.values()] == ["deleted"]


def test_a_file_that_is_taken_away_meanwhile(server, talk, film):
    opened, model = film.open("rb"), talk.model(OMNI)
    with pytest.raises(AssetUploadError, match="cannot read the file any more"):
        talk.upload(model, opened, progress=lambda sent, total: opened.close())
    assert [asset.state for asset in server.assets.values()] == ["deleted"]


def test_memory_does_not_grow_with_the_file(talk, sample, tmp_path):
    """By what Python allocates; the benchmark looks at the whole process, with a gigabyte."""
    peaks = []
    for megabytes in (4, 64):
        file = tmp_path / f"{megabytes}.mp4"
        file.write_bytes(sample("mp4").data)
        os.truncate(file, megabytes * MEGABYTE)
        model = talk.model(OMNI)
        tracemalloc.start()
        talk.upload(model, file)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The emulator, which is in the same process, keeps a few pieces more or less.
    assert peaks[1] - peaks[0] < 16 * MEGABYTE
