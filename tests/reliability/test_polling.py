"""202: any number of polls, none too soon, none for ever; progress told; large results fetched from elsewhere."""

from __future__ import annotations

import io
import time
import zipfile
from typing import Any

import pytest

from nvcf_core import errors
from nvcf_emulator import Emulator

only_core = pytest.mark.parametrize("face", ["core"], indirect=True)
only_whole = pytest.mark.parametrize("mode", ["whole"])


async def test_one_poll(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.accept(polls=1, percent=())
    nvcf_emulator.reply(text=["here ", "it ", "is"])
    assert await way().ask() == "here it is"
    assert [request.place for request in nvcf_emulator.requests] == ["ask", "poll"]


@only_core
async def test_more_polls(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.accept(polls=3, percent=())
    nvcf_emulator.reply(text=["here ", "it ", "is"])
    assert await way().ask() == "here it is"
    assert [request.place for request in nvcf_emulator.requests] == ["ask", *["poll"] * 3]


async def test_progress_is_told(way: Any, nvcf_emulator: Emulator) -> None:
    told: list[float] = []
    nvcf_emulator.accept(polls=1, percent=(90,))
    await way(on_progress=told.append).ask()
    assert told == [90.0]


@only_whole
async def test_progress_is_told_per_call(way: Any, nvcf_emulator: Emulator) -> None:
    told: list[float] = []
    nvcf_emulator.accept(polls=1, percent=(50,))
    await way().ask(on_progress=told.append)
    assert told == [50.0]


async def test_the_service_is_asked_to_hold_each_poll(core: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.accept(seconds=0.6)
    asked = core()
    begun = time.monotonic()
    assert asked.complete(asked.messages("hi", None))
    assert 0.6 <= time.monotonic() - begun < 60, "as soon as it is there"
    polls = [request for request in nvcf_emulator.requests if request.place == "poll"]
    assert len(polls) == 1, "it was held, not asked again and again"
    assert polls[0].headers["nvcf-poll-seconds"] == "60"


async def test_polls_carry_the_users_headers_but_no_assets(
    way: Any, nvcf_emulator: Emulator, large_picture: bytes
) -> None:
    nvcf_emulator.accept(polls=1)
    asked = way(default_headers={"x-team": "blue"})
    assert await asked.ask(picture=large_picture)
    await asked.close()
    polls = [request for request in nvcf_emulator.requests if request.place == "poll"]
    assert [poll.headers["x-team"] for poll in polls] == ["blue"]
    assert not any("nvcf-input-asset-references" in poll.headers for poll in polls)
    assert "nvcf-input-asset-references" in nvcf_emulator.chats[0].headers


async def test_a_large_result_is_fetched_without_the_key(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.accept(polls=1, redirect=True)
    nvcf_emulator.reply(text="from the zip")
    asked = way(default_headers={"x-team": "blue"})
    assert await asked.ask() == "from the zip"
    fetch = nvcf_emulator.requests[-1]
    assert fetch.place == "get"
    assert "authorization" not in fetch.headers
    assert "x-team" not in fetch.headers
    assert nvcf_emulator.api_key not in str(fetch)


def _zip(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return packed.getvalue()


BAD_ZIPS = {
    "no zip": b"PK\x03\x04 not really",
    "empty": b"",
    "no answer in it": _zip(readme__txt=b"hello"),
    "two answers": _zip(a__response=b"{}", b__response=b"{}"),
    "hundreds of entries": _zip(**{f"f{n}": b"" for n in range(200)}, a__response=b"{}"),
    "a bomb": _zip(a__response=b" " * 50_000_000),
    "not JSON": _zip(a__response=b"hello"),
    "cut off": _zip(a__response=b'{"choices": []}')[:-30],
}


@only_core
@only_whole
@pytest.mark.parametrize("bad", BAD_ZIPS)
async def test_a_zip_is_read_within_bounds(way: Any, nvcf_emulator: Emulator, bad: str) -> None:
    nvcf_emulator.accept(polls=1, redirect=True)
    nvcf_emulator.raw(headers={"content-type": "application/zip"}, chunks=[BAD_ZIPS[bad]], on="get")
    with pytest.raises(errors.InvalidResponseError) as caught:
        await way().ask()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "request_id", ["../../v1/models", "a/b", "a?b", "", "x" * 200, "a b", "%2e%2e"]
)
async def test_an_id_that_climbs_is_not_followed(
    way: Any, nvcf_emulator: Emulator, request_id: str
) -> None:
    nvcf_emulator.raw(202, {"nvcf-reqid": request_id})
    with pytest.raises(errors.InvalidResponseError, match="request id"):
        await way().ask()
    assert len(nvcf_emulator.requests) == 1


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//127.0.0.1/x", "/x"]
)
async def test_a_redirect_to_no_http_url_is_refused(
    core: Any, nvcf_emulator: Emulator, location: str
) -> None:
    nvcf_emulator.raw(302, {"location": location})
    asked = core()
    with pytest.raises(errors.InvalidResponseError, match="redirected"):
        asked.complete(asked.messages("hi", None))
    assert len(nvcf_emulator.requests) == 1


@pytest.mark.parametrize("status", [301, 303, 307, 308])
async def test_other_redirects_are_not_followed(
    way: Any, nvcf_emulator: Emulator, status: int
) -> None:
    nvcf_emulator.raw(status, {"location": nvcf_emulator.base_url + "/models"})
    with pytest.raises(errors.APIStatusError) as caught:
        await way().ask()
    assert caught.value.status == status
    assert len(nvcf_emulator.requests) == 1
