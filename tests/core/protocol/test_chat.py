"""One chat call, driven by hand: retries, polls, redirects, uploads and lost assets."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import Future
from typing import Any

import pytest

from nvcf_core import BaseNVCF, Media
from nvcf_core.errors import (
    APIConnectionError,
    APITimeoutError,
    AssetUploadError,
    BadRequestError,
    InvalidResponseError,
    NotFoundError,
    NVCFError,
    PollingTimeoutError,
    RateLimitError,
)
from nvcf_core.exchange import Request, Response
from nvcf_core.media.sources import BytesSource
from nvcf_core.protocol.chat import chat
from nvcf_core.protocol.results import extract_answer
from nvcf_core.protocol.upload_cache import UploadCache

KIMI = "moonshotai/kimi-k2.6"
BASE, NVCF = "https://integrate.api.nvidia.com/v1", "https://api.nvcf.nvidia.com/v2/nvcf"
GOOD = Response(200, {"content-type": "application/json"})
ACCEPTED = Response(202, {"nvcf-reqid": "req-1"}, received_at=100.0)


@pytest.fixture
def calling(say: Any) -> Any:
    """A call, from messages and settings."""

    def make(*parts: Any, stream: bool = False, model: str = KIMI, **settings: Any) -> Any:
        call = BaseNVCF(model=model, **settings)._build_request(
            [say(*(parts or ("hi",)))], {}, stream=stream
        )
        call.deliveries.hash_uploads()
        return call

    return make


@pytest.fixture
def chatting(hand: Any, calling: Any) -> Any:
    """The conversation of a call, to be driven by hand."""

    def start(
        *parts: Any, ledger: UploadCache | None = None, now: float = 0.0, **settings: Any
    ) -> Any:
        return hand(chat(calling(*parts, **settings), ledger or UploadCache(), now))

    return start


def test_one_request_and_its_reply(chatting: Any) -> None:
    driven = chatting(temperature=0.5)
    assert driven.run([GOOD]) is GOOD
    (ask,) = driven.requests
    assert (ask.stage, ask.method, ask.url) == ("ask", "POST", f"{BASE}/chat/completions")
    assert (ask.stream, ask.authorized, ask.delay, ask.read_timeout) == (True, True, 0.0, None)
    assert json.loads(ask.body) == {
        "model": KIMI,
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "stream": False,
    }
    assert ask.headers == {
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": str(len(ask.body)),
        "nvcf-poll-seconds": "60",
    }


def test_a_stream_says_so_twice(chatting: Any) -> None:
    driven = chatting(stream=True)
    driven.run([GOOD])
    (ask,) = driven.requests
    assert ask.headers["accept"] == "text/event-stream"
    assert json.loads(ask.body)["stream"] is True


def test_elsewhere_nothing_is_said_of_polls(chatting: Any) -> None:
    driven = chatting(base_url="http://127.0.0.1:1/v1")
    driven.run([GOOD])
    assert "nvcf-poll-seconds" not in driven.requests[0].headers
    driven = chatting(default_headers={"NVCF-Poll-Seconds": "5"})
    driven.run([GOOD])
    assert "nvcf-poll-seconds" not in driven.requests[0].headers


def test_asking_is_tried_again(chatting: Any) -> None:
    driven = chatting()
    assert driven.run([Response(503, {}), APIConnectionError("x"), GOOD]) is GOOD
    assert len({request.body for request in driven.requests}) == 1


def polls(driven: Any) -> list[Request]:
    return [request for request in driven.requests if request.stage == "poll"]


def test_202_is_polled_until_it_is_done(chatting: Any) -> None:
    told: list[float] = []
    driven = chatting(on_progress=told.append, stream=True)
    driven.run(
        [
            Response(
                202, {"nvcf-reqid": "req-1", "nvcf-percent-complete": "10"}, received_at=100.0
            ),
            Response(202, {"nvcf-percent-complete": "55.5"}, received_at=160.0),
            Response(202, {"nvcf-percent-complete": "nonsense"}, received_at=160.1),
            Response(202, {}, received_at=160.3),
            GOOD,
        ]
    )
    assert told == [10.0, 55.5]
    found = polls(driven)
    assert {(poll.method, poll.url) for poll in found} == {("GET", f"{NVCF}/pexec/status/req-1")}
    assert all(poll.stream and poll.authorized and poll.body is None for poll in found)
    assert [poll.headers for poll in found] == [
        {"accept": "text/event-stream", "nvcf-poll-seconds": "60"}
    ] * 4
    # The service held the first poll for a minute; the others came back at once, so that a pause begins.
    assert [poll.delay for poll in found] == [0.0, 0.0, 0.1, 0.2]


def test_the_pause_between_polls_grows_to_a_bound_and_ends_when_the_service_holds(
    chatting: Any,
) -> None:
    driven = chatting()
    driven.start()
    at, pause = 0.0, 0.0
    poll = driven.give(Response(202, {"nvcf-reqid": "r"}, received_at=0.0))
    pauses = []
    for _ in range(9):
        pauses.append(poll.delay)
        at += poll.delay
        poll = driven.give(Response(202, {}, received_at=at))
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    pause = poll.delay
    assert driven.give(Response(202, {}, received_at=at + pause + 30)).delay == 0.0


def test_elsewhere_the_called_host_is_polled(chatting: Any) -> None:
    driven = chatting(base_url="http://127.0.0.1:1/v1")
    driven.run([ACCEPTED, GOOD])
    assert polls(driven)[0].url == "http://127.0.0.1:1/v1/status/req-1"


@pytest.mark.parametrize(
    "request_id", ["", "../x", "a/b", "a b", "a\r\nb", "x" * 129, "a?b", "a%2fb"]
)
def test_a_request_id_that_does_not_belong_into_a_url(request_id: str, chatting: Any) -> None:
    driven = chatting()
    driven.start()
    with pytest.raises(InvalidResponseError, match="without a usable request id"):
        driven.give(Response(202, {"nvcf-reqid": request_id}))


def test_no_poll_waits_longer_than_what_is_left(chatting: Any) -> None:
    driven = chatting(poll_timeout=90)
    driven.start()
    poll = driven.give(ACCEPTED)
    assert (poll.read_timeout, poll.headers["nvcf-poll-seconds"]) == (90.0, "60")
    poll = driven.give(Response(202, {}, received_at=160.0))
    assert (poll.read_timeout, poll.headers["nvcf-poll-seconds"]) == (30.0, "30")
    poll = driven.give(Response(202, {}, received_at=189.5))
    assert (poll.read_timeout, poll.headers["nvcf-poll-seconds"]) == (0.5, "1")
    with pytest.raises(
        PollingTimeoutError, match=r"still working after 90 s \(poll_timeout\)"
    ) as caught:
        driven.give(Response(202, {}, received_at=190.0))
    assert caught.value.request_id == "req-1"


def test_a_poll_that_is_held_past_the_end(chatting: Any) -> None:
    driven = chatting(poll_timeout=30)
    driven.start()
    driven.give(ACCEPTED)
    late = APITimeoutError("no reply", failed_at=130.0)
    with pytest.raises(PollingTimeoutError) as caught:
        driven.give(late)
    assert caught.value.__cause__ is late


def test_without_time_to_poll_there_is_no_poll(chatting: Any) -> None:
    driven = chatting(poll_timeout=0)
    driven.start()
    with pytest.raises(PollingTimeoutError):
        driven.give(ACCEPTED)


def test_a_poll_that_fails_is_tried_again_with_its_own_count(chatting: Any) -> None:
    driven = chatting(max_retries=1)
    driven.start()
    driven.give(ACCEPTED)
    assert driven.give(Response(503, {}, received_at=101.0)).delay > 0
    driven.give(Response(202, {}, received_at=150.0))
    assert driven.give(APIConnectionError("x", failed_at=151.0)).delay > 0
    assert driven.give(GOOD) is None
    assert driven.result is GOOD


@pytest.mark.parametrize(
    "failures", [[Response(404, {})], [Response(503, {}), Response(503, {}), Response(503, {})]]
)
def test_a_poll_that_fails_for_good(failures: list[Response], chatting: Any) -> None:
    driven = chatting()
    driven.start()
    driven.give(ACCEPTED)
    for failure in failures[:-1]:
        driven.give(failure)
    with pytest.raises(NVCFError, match=str(failures[-1].status)):
        driven.give(failures[-1])


def test_failures_do_not_make_polling_last_longer(chatting: Any) -> None:
    driven = chatting(poll_timeout=10, max_retries=50)
    driven.start()
    driven.give(ACCEPTED)
    driven.give(Response(429, {"retry-after": "6"}, received_at=101.0))
    last = driven.give(Response(429, {"retry-after": "6"}, received_at=108.0))
    assert last.delay == 2.0, "the last poll is made when the time is over"
    with pytest.raises(PollingTimeoutError):
        driven.give(Response(429, {"retry-after": "6"}, received_at=110.0))


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


ANSWER = b'{"choices":[]}'


def redirect(url: str = "https://s3.example.org/result.zip?x=y", **headers: str) -> Response:
    return Response(302, {"location": url, "nvcf-reqid": "req-1", **headers})


@pytest.mark.parametrize("first", [[], [ACCEPTED]], ids=["at once", "after a poll"])
def test_a_large_result_is_fetched_without_the_key(first: list[Response], chatting: Any) -> None:
    driven = chatting()
    data = zipped(("req-1.response", ANSWER), ("notes.txt", b"x"))
    result = driven.run([*first, redirect(), Response(200, {"content-type": "binary"}, data, 9.0)])
    fetch = driven.requests[-1]
    assert (fetch.stage, fetch.method, fetch.url) == (
        "fetch",
        "GET",
        "https://s3.example.org/result.zip?x=y",
    )
    assert not fetch.authorized
    assert fetch.headers == {}
    assert result == Response(
        200, {"content-type": "application/json", "nvcf-reqid": "req-1"}, ANSWER, 9.0
    )


def test_a_large_stream_is_read_as_one(chatting: Any) -> None:
    data = zipped(("r.response", b"\ndata: {}\n\ndata: [DONE]\n\n"))
    assert (
        chatting().run([redirect(), Response(200, {}, data)]).headers["content-type"]
        == "text/event-stream"
    )


def test_fetching_is_tried_again(chatting: Any) -> None:
    data = zipped(("r.response", ANSWER))
    assert chatting().run([redirect(), Response(503, {}), Response(200, {}, data)]).body == ANSWER


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example.org/x",
        "file:///etc/passwd",
        "ftp://x",
        "/relative",
        "",
        "https://[x/",
        "https://x:port/",
    ],
)
def test_a_redirect_that_is_not_followed(url: str, chatting: Any) -> None:
    driven = chatting()
    driven.start()
    with pytest.raises(InvalidResponseError, match="may not be followed"):
        driven.give(redirect(url))


def test_a_service_on_this_machine_may_redirect_without_tls(chatting: Any) -> None:
    driven = chatting(base_url="http://127.0.0.1:1/v1")
    data = zipped(("r.response", ANSWER))
    assert driven.run([redirect("http://127.0.0.1:1/zip"), Response(200, {}, data)]).body == ANSWER


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not a zip"),
        (b"<Error/>", "is not a zip"),
        (zipped(("r.response", ANSWER))[:-5], "is not a zip"),
        (zipped(("notes.txt", b"x")), "not hold one answer"),
        (zipped(("a.response", b"x"), ("b.response", b"x")), "not hold one answer"),
        (
            zipped(*[(f"{n}.txt", b"") for n in range(100)], ("r.response", ANSWER)),
            "too many entries",
        ),
        (zipped(("r.response", bytes(5_000_000))), "too large"),
        (zipped(("r.response", ANSWER), method=zipfile.ZIP_LZMA), "not hold one answer"),
    ],
)
def test_a_zip_that_is_none_or_too_much(data: bytes, why: str, chatting: Any) -> None:
    driven = chatting()
    driven.start()
    driven.give(redirect())
    with pytest.raises(InvalidResponseError, match=why) as caught:
        driven.give(Response(200, {}, data))
    assert caught.value.request_id == "req-1"


def test_a_zip_that_is_larger_than_any_answer() -> None:
    most = zipped(("r.response", bytes(1000)), method=zipfile.ZIP_STORED)
    assert extract_answer(most, None, longest_answer=1000) == bytes(1000)
    with pytest.raises(InvalidResponseError, match="too large"):
        extract_answer(most, None, longest_answer=999)


def test_a_zip_that_lies_about_its_size_gives_no_more_than_it_says(chatting: Any) -> None:
    data = zipped(("r.response", b"x" * 1000))
    data = data.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    driven = chatting()
    driven.start()
    driven.give(redirect())
    with pytest.raises(InvalidResponseError, match="is not a zip"):
        driven.give(Response(200, {}, data))


PNG = b"\x89PNG\r\n\x1a\n"


def large(seed: int = 0) -> Media:
    return Media(kind="image", source=BytesSource(PNG + bytes([seed]) + bytes(200_000)))


def created(number: int, at: float = 0.0) -> Response:
    body = {"assetId": f"asset-{number}", "uploadUrl": f"https://s3.example.org/{number}"}
    return Response(200, {}, json.dumps(body).encode(), at)


def references(request: Request) -> str | None:
    return request.headers.get("nvcf-input-asset-references")


def test_what_is_too_large_is_uploaded_first(chatting: Any) -> None:
    ledger = UploadCache()
    driven = chatting("see", large(), ledger=ledger)
    assert driven.run([(created(1),), (Response(200, {}),), GOOD]) is GOOD
    assert [request.stage for request in driven.requests] == ["create", "put", "ask"]
    ask = driven.requests[-1]
    assert references(ask) == "asset-1"
    content = json.loads(ask.body)["messages"][0]["content"]
    assert content == 'see <img src="data:image/png;asset_id,asset-1" />'
    assert [asset.id for asset in ledger.pop_all()] == ["asset-1"]


def test_several_are_uploaded_side_by_side_and_the_same_one_once(chatting: Any) -> None:
    driven = chatting(large(1), large(2), large(1))
    steps = [(created(1), created(2)), (Response(200, {}), Response(200, {})), GOOD]
    driven.run(steps)
    assert references(driven.requests[-1]) == "asset-1,asset-2"
    content = json.loads(driven.requests[-1].body)["messages"][0]["content"]
    assert [part[:7] for part in content.split("asset_id,")[1:]] == [
        "asset-1",
        "asset-2",
        "asset-1",
    ]


def test_the_next_turn_uses_it_again(chatting: Any) -> None:
    ledger = UploadCache()
    chatting(large(), ledger=ledger).run([(created(1, at=5.0),), (Response(200, {}),), GOOD])
    driven = chatting(large(), ledger=ledger, now=3600.0)
    driven.run([GOOD])
    assert references(driven.requests[0]) == "asset-1"
    late = chatting(large(), ledger=ledger, now=24 * 3600.0)
    late.run([(created(2),), (Response(200, {}),), GOOD])
    assert references(late.requests[-1]) == "asset-2"


def test_the_users_own_assets_are_referenced_and_never_deleted(chatting: Any) -> None:
    ledger = UploadCache()
    mine = Media(kind="image", asset_id="mine-1", mime_type="image/png")
    driven = chatting(mine, ledger=ledger)
    driven.run([GOOD])
    assert references(driven.requests[0]) == "mine-1"
    assert ledger.empty


def test_the_references_go_to_the_first_post_only(chatting: Any) -> None:
    driven = chatting(large())
    driven.run([(created(1),), (Response(200, {}),), ACCEPTED, GOOD])
    assert references(polls(driven)[0]) is None


LOST = Response(404, {}, b'{"title":"Not Found","detail":"failed to find asset asset-1"}')


def test_a_lost_asset_is_uploaded_again_once(chatting: Any) -> None:
    ledger = UploadCache()
    driven = chatting(large(1), large(2), ledger=ledger, max_retries=0)
    driven.run(
        [
            (created(1), created(2)),
            (Response(200, {}), Response(200, {})),
            LOST,
            (created(3),),
            (Response(200, {}),),
            GOOD,
        ]
    )
    assert references(driven.requests[-1]) == "asset-3,asset-2"
    # The lost one is deleted, too, in the end: what is not found may still be there.
    assert sorted(asset.id for asset in ledger.pop_all()) == ["asset-1", "asset-2", "asset-3"]


def test_and_not_a_second_time(chatting: Any) -> None:
    driven = chatting(large())
    again = Response(404, {}, b"failed to find asset asset-2")
    with pytest.raises(NotFoundError, match="asset-2"):
        driven.run(
            [(created(1),), (Response(200, {}),), LOST, (created(2),), (Response(200, {}),), again]
        )


def test_an_asset_that_is_not_ours_is_not_uploaded_again(chatting: Any) -> None:
    driven = chatting(Media(kind="image", asset_id="asset-1", mime_type="image/png"))
    driven.start()
    with pytest.raises(NotFoundError):
        driven.give(LOST)
    assert len(driven.asked) == 1


def test_a_404_for_another_reason_is_raised(chatting: Any) -> None:
    driven = chatting(large())
    with pytest.raises(NotFoundError, match="Not found for account"):
        driven.run(
            [
                (created(1),),
                (Response(200, {}),),
                Response(404, {}, b"Function 'f': Not found for account 'a'"),
            ]
        )


def test_one_upload_that_fails_deletes_the_others(chatting: Any) -> None:
    ledger = UploadCache()
    driven = chatting(large(1), large(2), ledger=ledger, max_retries=0)
    driven.start()
    driven.give((created(1), created(2)))
    (removal,) = driven.give((Response(200, {}), Response(403, {})))
    assert removal.url.endswith("/assets/asset-2")
    (other,) = driven.give((Response(204, {}),))
    assert other.url.endswith("/assets/asset-1")
    with pytest.raises(AssetUploadError, match="could not put asset asset-2"):
        driven.give((Response(204, {}),))
    assert ledger.empty


def test_two_calls_at_once_upload_the_same_bytes_once(hand: Any, calling: Any) -> None:
    ledger = UploadCache()
    first, second = (hand(chat(calling(large()), ledger, 0.0)) for _ in range(2))
    (create,) = first.start()
    assert create.stage == "create"
    waiting = second.start()
    while not isinstance(waiting, Future):  # It has nothing of its own to upload.
        waiting = second.give(())
    assert not waiting.done()
    first.give((created(1),))
    ask = first.give((Response(200, {}),))
    assert waiting.done()
    assert references(ask) == "asset-1"
    assert references(second.give(None)) == "asset-1"
    assert second.give(GOOD) is None


def test_when_the_first_fails_the_second_uploads(hand: Any, calling: Any) -> None:
    ledger = UploadCache()
    first, second = (hand(chat(calling(large(), max_retries=0), ledger, 0.0)) for _ in range(2))
    first.start()
    waiting = second.start()
    with pytest.raises(AssetUploadError):
        first.give((Response(403, {}),))
    assert waiting.done()
    (create,) = second.give(None)
    assert create.stage == "create"
    assert references(second.give((created(2),)) and second.give((Response(200, {}),))) == "asset-2"


@pytest.mark.parametrize("left_at", ["create", "put"])
def test_a_call_that_is_left_holds_up_nobody(left_at: str, hand: Any, calling: Any) -> None:
    ledger = UploadCache()
    first, second = (hand(chat(calling(large()), ledger, 0.0)) for _ in range(2))
    first.start()
    waiting = second.start()
    if left_at == "put":
        first.give((created(1),))
    first.flow.close()
    assert waiting.done()
    (create,) = second.give(None)
    assert create.stage == "create"
    assert [asset.id for asset in ledger.pop_all()] == (["asset-1"] if left_at == "put" else [])


def test_assets_that_were_asked_for_in_vain_stay_for_the_next_turn(chatting: Any) -> None:
    ledger = UploadCache()
    driven = chatting(large(), ledger=ledger, max_retries=0)
    with pytest.raises(RateLimitError):
        driven.run([(created(1),), (Response(200, {}),), Response(429, {})])
    again = chatting(large(), ledger=ledger)
    again.run([GOOD])
    assert references(again.requests[0]) == "asset-1"


def test_inline_media_need_nothing_before_they_are_asked_about(chatting: Any) -> None:
    driven = chatting(Media(kind="image", source=BytesSource(PNG)))
    assert driven.run([GOOD]) is GOOD
    assert references(driven.requests[0]) is None


def test_400s_are_raised_as_they_are(chatting: Any) -> None:
    driven = chatting()
    with pytest.raises(BadRequestError, match="unsupported"):
        driven.run([Response(400, {}, b'{"detail":"unsupported"}')])


@pytest.mark.parametrize(("timeout", "hold"), [(None, "60"), (5, "4"), (0.5, "1"), (600, "60")])
def test_the_service_holds_no_request_longer_than_the_client_waits(
    calling: Any, timeout: Any, hold: str
) -> None:
    driven = chat(calling(timeout=timeout), UploadCache(), 0.0)
    assert next(driven).headers["nvcf-poll-seconds"] == hold
    assert driven.send(ACCEPTED).headers["nvcf-poll-seconds"] == hold


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("http://127.0.0.1:1", r"base_url should end in /v1"),
        ("http://127.0.0.1:1/v1", r"available_models\(\) lists the models"),
    ],
)
def test_a_404_says_what_may_be_missing(chatting: Any, base_url: str, said: str) -> None:
    driven = chatting(base_url=base_url, max_retries=0)
    driven.start()
    with pytest.raises(NotFoundError, match=said):
        driven.give(Response(404, {}, b"404 page not found"))


@pytest.mark.parametrize("more", [0, 1])
def test_a_result_is_unpacked_up_to_a_thousand_times_its_size(more: int) -> None:
    """A kibibyte and less counts as one: up to a thousand of them may come of it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("r.response", bytes(1_024_000 + more))
    if more:
        with pytest.raises(InvalidResponseError, match="too large"):
            extract_answer(archive.getvalue(), "r")
    else:
        assert len(extract_answer(archive.getvalue(), "r")) == 1_024_000
