"""Answers that are not ready at once: 202, polls, redirects, and what may go wrong there."""

from __future__ import annotations

import io
import json
import time
import zipfile

import pytest

KIMI = "moonshotai/kimi-k2.6"


@pytest.fixture
def poll(server, client):
    def run(request_id, base=None, **headers):
        root = base or f"{server.nvcf_url}/pexec"
        return client.get(f"{root}/status/{request_id}", headers=headers)

    return run


def test_polls_until_it_is_done(server, ask, poll):
    server.accept(polls=3, percent=(25, 75))
    server.reply("Done")
    first = ask(KIMI)
    request_id = first.headers["nvcf-reqid"]
    assert (first.status_code, first.content) == (202, b"")
    assert first.headers["nvcf-status"] == "in-progress"
    assert first.headers["nvcf-percent-complete"] == "25"
    second, third, last = (poll(request_id) for _ in range(3))
    assert second.headers["nvcf-percent-complete"] == "75"
    assert third.status_code == 202
    assert "nvcf-percent-complete" not in third.headers
    assert {response.headers["nvcf-reqid"] for response in (second, third, last)} == {request_id}
    assert last.headers["nvcf-status"] == "fulfilled"
    assert last.json()["choices"][0]["message"]["content"] == "Done"
    assert poll(request_id).status_code == 404
    assert [request.place for request in server.requests] == ["ask", *["poll"] * 4]


def test_both_hosts_answer_polls(server, ask, poll):
    server.accept(polls=1)
    assert poll(ask(KIMI).headers["nvcf-reqid"], base=server.base_url).status_code == 200


def test_a_202_may_have_a_body(server, ask):
    server.accept(body_empty=False, percent=())
    response = ask(KIMI)
    assert response.json() == {"requestId": response.headers["nvcf-reqid"], "status": "in-progress"}
    assert "nvcf-percent-complete" not in response.headers


def test_streams_may_be_accepted_too(server, ask, poll, sse):
    server.accept(polls=1)
    server.reply("one two")
    response = ask(KIMI, stream=True)
    assert response.status_code == 202
    done = poll(response.headers["nvcf-reqid"])
    assert done.headers["content-type"] == "text/event-stream"
    assert sse.gathered(sse.events(done.text)).text == "one two"


@pytest.mark.parametrize("streams", [False, True])
def test_results_may_lie_elsewhere(server, client, bare, ask, poll, streams):
    server.accept(polls=1, redirect=True)
    server.reply("Very long")
    request_id = ask(KIMI, stream=streams).headers["nvcf-reqid"]
    moved = poll(request_id)
    assert moved.status_code == 302
    url = moved.headers["location"]
    with_key = client.get(url, headers={"authorization": f"Bearer {server.api_key}"})
    assert with_key.status_code == 400
    assert "Only one auth mechanism" in with_key.text
    fetched = bare.get(url)
    assert fetched.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as archive:
        assert archive.namelist() == [f"{request_id}.response"]
        answer = json.loads(archive.read(f"{request_id}.response"))
    assert answer["choices"][0]["message"]["content"] == "Very long"
    assert bare.get(url.partition("?")[0]).status_code == 403


def test_the_zip_may_fail(server, bare, ask, poll):
    server.accept(polls=1, redirect=True)
    url = poll(ask(KIMI).headers["nvcf-reqid"]).headers["location"]
    server.fail(503, on="get")
    server.fault("bad-json", on="get")
    assert bare.get(url).status_code == 503
    cut = io.BytesIO(bare.get(url).content)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(cut)
    assert bare.get(url).status_code == 200


def test_unknown_requests(server, client, ask, poll):
    assert poll("00000000-0000-4000-8000-000000000000").status_code == 404
    server.accept()
    request_id = ask(KIMI).headers["nvcf-reqid"]
    server.add_key("nvapi-another")
    response = poll(request_id, authorization="Bearer nvapi-another")
    assert response.status_code == 404
    assert poll(request_id, authorization="Bearer wrong").status_code == 403
    assert poll(request_id).status_code == 202


def test_assets_are_not_named_on_polls(server, ask, poll):
    server.accept()
    request_id = ask(KIMI).headers["nvcf-reqid"]
    response = poll(request_id, **{"NVCF-INPUT-ASSET-REFERENCES": request_id})
    assert response.status_code == 400


@pytest.mark.parametrize("seconds", ["0", "1", "300"])
def test_a_poll_is_held_until_it_is_done(server, ask, poll, seconds):
    server.accept(seconds=0.2)
    started = time.monotonic()
    request_id = ask(KIMI).headers["nvcf-reqid"]
    response = poll(request_id, **{"NVCF-POLL-SECONDS": seconds})
    took = time.monotonic() - started
    assert response.status_code == (202 if seconds == "0" else 200)
    assert (took < 0.2) == (seconds == "0")


@pytest.mark.parametrize("seconds", ["301", "-1", "x", "1.5"])
def test_poll_seconds_have_a_limit(server, ask, poll, seconds):
    server.accept()
    request_id = ask(KIMI).headers["nvcf-reqid"]
    assert poll(request_id, **{"NVCF-POLL-SECONDS": seconds}).status_code == 400


def test_a_failed_poll_loses_nothing(server, ask, poll):
    server.accept(polls=1)
    server.fail(500, on="poll")
    request_id = ask(KIMI).headers["nvcf-reqid"]
    assert poll(request_id).status_code == 500
    assert poll(request_id).status_code == 200


def test_a_fault_inside_waits_for_the_answer(server, ask, poll):
    server.accept(polls=2)
    server.fault("bad-json", on="poll")
    request_id = ask(KIMI).headers["nvcf-reqid"]
    assert poll(request_id).status_code == 202
    with pytest.raises(ValueError):
        poll(request_id).json()


def test_what_goes_wrong_in_the_answer_goes_wrong_in_the_last_poll(server, ask, poll):
    server.accept(polls=1)
    server.error_in_stream("error-string", after=1, message="It broke")
    server.reply("one two")
    request_id = ask(KIMI, stream=True).headers["nvcf-reqid"]
    text = poll(request_id).text
    assert "one" in text
    assert "It broke" in text
    assert "two" not in text
