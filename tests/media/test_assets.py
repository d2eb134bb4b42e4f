"""Assets, their whole life: made once, used again, and gone when the model is closed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from nvcf_core.errors import (
    APIConnectionError,
    AssetUploadError,
    InvalidRequestError,
    NotFoundError,
    NVCFError,
    NVCFWarning,
)

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
LARGE = 150_000
FUNCTION = "f3b8a1e2-0000-4000-8000-000000000000"


def places(server) -> list[str]:
    return [request.place for request in server.requests]


def states(server) -> list[str]:
    return [asset.state for asset in server.assets.values()]


# Created, put, referenced, deleted


@pytest.mark.parametrize("ending", ["jpg", "wav", "mp4", "webm", "mp3", "mov"])
def test_a_whole_life(ending, server, talk, sample):
    medium = sample(ending, LARGE)
    model = talk.model(OMNI)
    talk.ask(model, "What is it?", medium)
    create, put, ask = server.requests
    assert create.headers["authorization"] == f"Bearer {server.api_key}"
    assert create.body == {"contentType": medium.mime, "description": create.body["description"]}
    assert create.body["description"]
    assert (put.method, put.length, put.sha256) == ("PUT", LARGE, medium.sha256)
    assert put.headers["content-length"] == str(LARGE)
    assert put.headers["x-amz-meta-nvcf-asset-description"] == create.body["description"]
    assert {"authorization", "transfer-encoding", "cookie"}.isdisjoint(put.headers)
    asset = put.path.rpartition("/")[2]
    assert ask.headers["nvcf-input-asset-references"] == asset
    assert states(server) == ["stored"]

    talk.close(model)
    delete = server.requests[-1]
    assert (delete.method, delete.path) == ("DELETE", f"/v2/nvcf/assets/{asset}")
    assert delete.headers["authorization"] == f"Bearer {server.api_key}"
    assert states(server) == ["deleted"]


def test_headers_of_the_users_go_to_the_service_alone(server, talk, sample):
    model = talk.model(GEMMA, default_headers={"X-Team": "lake", "Cookie": "a=b"})
    talk.ask(model, sample("jpg", LARGE))
    create, put, ask = server.requests
    assert create.headers["x-team"] == ask.headers["x-team"] == "lake"
    assert {"x-team", "cookie"}.isdisjoint(put.headers)


def test_within_with_everything_is_deleted(server, talk, sample):
    talk.leave(talk.model(GEMMA), [sample("jpg", LARGE), sample("wav", LARGE)])
    assert states(server) == ["deleted", "deleted"]


def test_a_closed_model_uploads_anew(server, talk, sample):
    model, medium = talk.model(GEMMA), sample("jpg", LARGE)
    talk.ask(model, medium)
    talk.close(model)
    talk.ask(model, medium)
    assert places(server) == ["create", "put", "ask", "delete", "create", "put", "ask"]
    talk.close(model)
    assert states(server) == ["deleted", "deleted"]


def test_what_the_user_uploaded_is_never_deleted(server, talk, sample, stored):
    own = stored(sample("jpg"))
    model = talk.model(GEMMA)
    talk.ask(model, own, sample("wav", LARGE))
    talk.close(model)
    assert server.assets[own.id].state == "stored"
    assert sorted(states(server)) == ["deleted", "stored"]


def test_one_that_is_gone_already_is_no_failure(server, talk, sample):
    model = talk.model(GEMMA)
    talk.ask(model, sample("jpg", LARGE))
    server.expire_assets()
    talk.close(model)
    assert places(server)[-1] == "delete"


def test_one_that_cannot_be_deleted_is_named_in_a_warning(server, talk, sample):
    model = talk.model(GEMMA)
    talk.ask(model, sample("jpg", LARGE))
    server.fail(403, on="delete")
    (asset,) = server.assets
    with pytest.warns(NVCFWarning, match=f"could not delete uploaded assets.*{asset}"):
        talk.close(model)
    talk.close(model)  # And it is not forgotten.
    assert states(server) == ["deleted"]


def test_a_function_by_its_id_takes_assets(server, talk, sample):
    server.add_function(FUNCTION, model=OMNI, version="v1")
    model = talk.model(OMNI, function_id=FUNCTION, function_version="v1")
    talk.ask(model, sample("mp4", LARGE))
    ask = server.chats[0]
    assert ask.path == f"/v2/nvcf/pexec/functions/{FUNCTION}/versions/v1"
    assert ask.headers["nvcf-input-asset-references"] in server.assets
    assert ask.body["model"] == OMNI


def test_a_function_without_a_version(server, talk, sample):
    server.add_function(FUNCTION, model=OMNI)
    talk.ask(talk.model(OMNI, function_id=FUNCTION), sample("mp4"))
    assert server.chats[0].path == f"/v2/nvcf/pexec/functions/{FUNCTION}"


def test_a_function_needs_the_function_api(server, talk):
    with pytest.raises(InvalidRequestError, match="function_id needs nvcf_url"):
        talk.ask(talk.model(OMNI, function_id=FUNCTION, nvcf_url=None), "Hello")
    assert server.requests == []


# Used again


@pytest.mark.slow
def test_twenty_turns_about_one_film_upload_it_once(server, talk, sample):
    film, model = sample("mp4", 5_000_000), talk.model(OMNI)
    turns = [("user", ["What happens?", film])]
    for number in range(20):
        answer = talk.chat(model, turns)  # The messages are made anew for each turn.
        turns += [("assistant", [answer]), ("user", [f"Question {number}"])]
    assert places(server) == ["create", "put", *["ask"] * 20]
    assert {chat.headers["nvcf-input-asset-references"] for chat in server.chats} == set(
        server.assets
    )
    talk.close(model)
    assert states(server) == ["deleted"]


def test_the_same_bytes_in_two_places_are_one_asset(server, talk, sample):
    medium = sample("jpg", LARGE)
    talk.chat(
        talk.model(GEMMA), [("user", [medium, medium]), ("assistant", ["A"]), ("user", [medium])]
    )
    assert places(server) == ["create", "put", "ask"]
    asset = server.chats[0].headers["nvcf-input-asset-references"]
    assert str(server.chats[0].body["messages"]).count(asset) == 3


def test_the_same_bytes_as_sound_and_as_film_are_two(server, talking, sample):
    film, talk = sample("mp4", LARGE), talking("langchain")
    sound = {"type": "audio", "base64": film.base64, "mime_type": "audio/mp4"}
    talk.ask(talk.model("acme/any"), film, sound)
    assert sorted(asset.content_type for asset in server.assets.values()) == [
        "audio/mp4",
        "video/mp4",
    ]


def test_two_models_share_nothing(server, talk, sample):
    medium, first, second = sample("jpg", LARGE), talk.model(GEMMA), talk.model(GEMMA)
    talk.ask(first, medium)
    talk.ask(second, medium)
    talk.close(first)
    assert sorted(states(server)) == ["deleted", "stored"]


def test_a_lost_one_is_uploaded_again_once(server, talk, sample):
    model, medium = talk.model(GEMMA), sample("jpg", LARGE)
    talk.ask(model, medium)
    server.expire_assets()
    talk.ask(model, medium)
    assert places(server)[3:] == ["ask", "create", "put", "ask"]
    talk.close(model)
    assert states(server) == ["expired", "deleted"]


def test_one_that_is_lost_again_at_once_is_an_error(server, talk, sample):
    model, medium = talk.model(GEMMA), sample("jpg", LARGE)
    talk.ask(model, medium)
    (asset,) = server.assets
    server.fail(404, on="ask", times=2, body=f"failed to find asset {asset}")
    with pytest.raises(NotFoundError):
        talk.ask(model, medium)
    assert places(server)[3:] == ["ask", "create", "put", "ask"]


def test_of_several_only_the_lost_one_is_uploaded_again(server, talk, sample):
    model, picture, sound = talk.model(GEMMA), sample("jpg", LARGE), sample("wav", LARGE)
    talk.ask(model, picture, sound)
    lost = next(key for key, asset in server.assets.items() if asset.sha256 == sound.sha256)
    server.expire_assets(lost)
    talk.ask(model, picture, sound)
    assert places(server)[-4:] == ["ask", "create", "put", "ask"]
    assert server.requests[-2].sha256 == sound.sha256


# Side by side


async def stored_while_one_stands_still(server, asking, wanted):
    """Wait until `wanted` assets are stored while one more upload is under way; then leave."""
    task = asyncio.create_task(asking)
    arrived = await asyncio.to_thread(
        server.wait_until, lambda: states(server).count("stored") == wanted
    )
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return arrived


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_async_uploads_go_side_by_side(framework, server, talking, sample):
    talk = talking(framework, "async")
    model = talk.model(GEMMA)
    media = [sample("jpg", LARGE + number) for number in range(4)]
    server.fault("stall", on="put")
    asking = talk.achat(model, [("user", media)])
    assert asyncio.run(stored_while_one_stands_still(server, asking, wanted=3))
    assert states(server).count("created") == 1
    assert "ask" not in places(server)
    talk.close(model)
    assert states(server) == ["deleted"] * 4


def test_threads_with_the_same_bytes_upload_once(server, sync_talk, sample):
    model, medium = sync_talk.model(GEMMA), sample("jpg", LARGE)
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait()
        return sync_talk.ask(model, medium)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    assert len(set(answers)) == 1
    assert sorted(places(server)) == ["ask"] * 8 + ["create", "put"]


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_tasks_with_the_same_bytes_upload_once(framework, server, talking, sample):
    talk = talking(framework, "async")
    model, turns = talk.model(GEMMA), [("user", [sample("jpg", LARGE)])]

    async def ask_all() -> list[str]:
        return await asyncio.gather(*(talk.achat(model, turns) for _ in range(8)))

    assert len(set(asyncio.run(ask_all()))) == 1
    assert sorted(places(server)) == ["ask"] * 8 + ["create", "put"]


def test_loops_in_threads_with_the_same_bytes_upload_once(server, talking, sample):
    """Two of them in opposite order, which must not make them wait for each other for ever."""
    talk = talking("langchain", "async")
    model = talk.model(GEMMA)
    media = [sample("jpg", LARGE), sample("wav", LARGE)]
    together = threading.Barrier(4)

    def ask(number: int) -> None:
        together.wait()
        talk.ask(model, *(media if number % 2 else reversed(media)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))
    assert sorted(places(server)) == ["ask"] * 4 + ["create"] * 2 + ["put"] * 2


def test_who_waited_for_a_failed_upload_tries_itself(server, sync_talk, sample):
    model, medium = sync_talk.model(GEMMA), sample("jpg", LARGE)
    together = threading.Barrier(4)
    server.fail(403, on="put")

    def ask(_: int) -> type | None:
        together.wait()
        try:
            sync_talk.ask(model, medium)
        except AssetUploadError as error:
            return error.stage
        return None

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(ask, range(4)))
    assert sorted(outcomes, key=str) == [None, None, None, "put"]
    assert sorted(states(server)) == ["deleted", "stored"]


def test_who_waited_for_a_cancelled_upload_tries_itself(server, talking, sample):
    talk = talking("langchain", "async")
    model, turns = talk.model(GEMMA), [("user", [sample("jpg", LARGE)])]

    async def scene() -> str:
        server.fault("stall", on="create")
        first = asyncio.create_task(talk.achat(model, turns))
        await asyncio.to_thread(server.wait_until, lambda: places(server) == ["create"])
        second = asyncio.create_task(talk.achat(model, turns))
        done, _ = await asyncio.wait({second}, timeout=0.2)
        assert not done
        first.cancel()
        return await second

    assert "150000 bytes" in asyncio.run(scene())
    assert places(server) == ["create", "create", "put", "ask"]
    talk.close(model)
    assert states(server) == ["deleted"]


# Failures


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
@pytest.mark.parametrize("stage", ["create", "put"])
def test_a_failed_stage_is_named_and_leaves_nothing(stage, status, server, talk, sample):
    model = talk.model(GEMMA)
    server.fail(status, on=stage)
    with pytest.raises(AssetUploadError, match=f"could not {stage}") as caught:
        talk.ask(model, sample("jpg", LARGE))
    assert caught.value.stage == stage
    assert caught.value.retryable == (status in (429, 500, 503))
    assert caught.value.__cause__.status == status
    assert "ask" not in places(server)
    assert states(server) == (["deleted"] if stage == "put" else [])


def test_a_failed_stage_is_tried_again(server, talk, sample):
    model = talk.model(GEMMA, max_retries=1)
    server.fail(503, on="create", retry_after=0)
    server.fail(503, on="put", retry_after=0)
    talk.ask(model, sample("jpg", LARGE))
    assert places(server) == ["create", "create", "put", "put", "ask"]
    assert server.requests[3].sha256 == sample("jpg", LARGE).sha256


def test_one_failure_of_several_deletes_the_others(server, talk, sample):
    model = talk.model(GEMMA)
    server.fail(403, on="put")
    with pytest.raises(AssetUploadError):
        talk.ask(model, *(sample("jpg", LARGE + number) for number in range(3)))
    assert states(server) == ["deleted"] * 3
    assert "ask" not in places(server)


def test_a_failed_delete_after_a_failed_put_is_not_forgotten(server, talk, sample):
    model = talk.model(GEMMA)
    server.fail(403, on="put")
    server.fail(500, on="delete")
    with pytest.raises(AssetUploadError) as caught:
        talk.ask(model, sample("jpg", LARGE))
    assert caught.value.stage == "put"
    (asset,) = server.assets
    assert asset in caught.value.__notes__[0]
    talk.close(model)
    assert states(server) == ["deleted"]


def test_an_asset_outlives_a_failed_ask(server, talk, sample):
    model, medium = talk.model(GEMMA), sample("jpg", LARGE)
    server.fail(400)
    with pytest.raises(NVCFError):
        talk.ask(model, medium)
    talk.ask(model, medium)
    assert places(server) == ["create", "put", "ask", "ask"]


@pytest.mark.parametrize(
    "body",
    [
        {"assetId": "../x", "uploadUrl": "http://127.0.0.1/x"},
        {"uploadUrl": "http://127.0.0.1/x"},
        {"assetId": 7, "uploadUrl": "http://127.0.0.1/x"},
        [],
        "not JSON",
    ],
)
def test_a_creation_without_a_usable_id(body, server, talk, sample):
    server.fail(200, on="create", body=body)
    with pytest.raises(AssetUploadError) as caught:
        talk.ask(talk.model(GEMMA), sample("jpg", LARGE))
    assert caught.value.stage == "create"
    assert places(server) == ["create"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//x", "", None, "http://[x"]
)
def test_a_creation_without_a_usable_url_is_deleted_again(url, server, talk, sample):
    server.fail(200, on="create", body={"assetId": FUNCTION, "uploadUrl": url})
    with pytest.raises(AssetUploadError, match="usable upload url") as caught:
        talk.ask(talk.model(GEMMA), sample("jpg", LARGE))
    assert (caught.value.stage, caught.value.asset_id) == ("create", FUNCTION)
    assert server.requests[-1].path.endswith(f"/assets/{FUNCTION}")


# Killed connections


@pytest.mark.parametrize("kind", ["reset", "close", "truncate", "garbage"])
@pytest.mark.parametrize("stage", ["create", "put", "ask", "delete"])
def test_a_killed_connection_leaves_nothing_that_was_known(kind, stage, server, talk, sample):
    model, medium = talk.model(GEMMA), sample("jpg", LARGE)
    server.fault(kind, on=stage)
    expected = AssetUploadError if stage in ("create", "put") else NVCFError
    if stage == "delete":
        talk.ask(model, medium)
    elif (kind, stage) == ("truncate", "put"):
        # The bytes had arrived, and the reply to a put has no body that could be cut.
        with pytest.raises(AssetUploadError):
            talk.ask(model, medium)
    else:
        with pytest.raises(expected):
            talk.ask(model, medium)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NVCFWarning)
        talk.close(model)
        talk.close(model)
    known = [asset.state for asset in server.assets.values()]
    if (kind, stage) == ("truncate", "create"):
        assert known == ["created"]  # Its id was in the half that never came.
    else:
        assert set(known) <= {"deleted"}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_connection_killed_halfway_through_the_bytes(share, server, talk, sample):
    model, medium = talk.model(OMNI), sample("mp4", 8_000_000)
    server.fault("reset", on="put", after=share)
    with pytest.raises(AssetUploadError) as caught:
        talk.ask(model, medium)
    assert caught.value.stage == "put"
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert states(server) == ["deleted"]


def test_a_killed_upload_goes_through_at_the_second_try(server, talk, sample):
    model, medium = talk.model(OMNI, max_retries=1), sample("mp4", 8_000_000)
    server.fault("reset", on="put", after=0.5)
    talk.ask(model, medium)
    assert places(server) == ["create", "put", "put", "ask"]
    assert server.requests[2].sha256 == medium.sha256


# The end of a process


_SCRIPT = """
    import os, sys
    from langchain_core.messages import HumanMessage
    from langchain_nvcf import ChatNVCF

    base_url, nvcf_url, api_key, large = sys.argv[1:]
    model = ChatNVCF(model="acme/any", base_url=base_url, nvcf_url=nvcf_url, api_key=api_key)

    def ask():
        picture = "data:image/jpeg;base64,/9j/" + "A" * int(large)
        model.invoke([HumanMessage([{"type": "image", "url": picture}])])

"""


def run(server, script: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(_SCRIPT) + textwrap.dedent(script)
    where = (server.base_url, server.nvcf_url, server.api_key, "200000")
    return subprocess.run(
        [sys.executable, "-c", code, *where],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import gc; del model; gc.collect()"])
def test_the_end_of_a_process_deletes_what_it_uploaded(before, server):
    """Also what a model uploaded that is no more."""
    done = run(server, f"ask(); {before}")
    assert (done.returncode, done.stderr) == (0, "")
    assert places(server) == ["create", "put", "ask", "delete"]
    assert states(server) == ["deleted"]


@pytest.mark.slow
def test_an_error_that_ends_a_process_deletes_too(server):
    done = run(server, "ask(); raise KeyError('the end')")
    assert "the end" in done.stderr
    assert states(server) == ["deleted"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_a_forked_child_deletes_nothing_of_its_parents(server):
    done = run(
        server,
        """
        ask()
        child = os.fork()
        if child == 0:
            model.close()
            sys.exit(0)
        os.waitpid(child, 0)
        with ChatNVCF(model="acme/any", base_url=base_url, api_key=api_key) as other:
            other.invoke("The child is gone.")
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert places(server) == ["create", "put", "ask", "ask", "delete"]
    assert states(server) == ["deleted"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_a_forked_child_uploads_and_deletes_its_own(server):
    done = run(
        server,
        """
        ask()
        child = os.fork()
        ask() if child == 0 else os.waitpid(child, 0)
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert places(server) == ["create", "put", "ask"] * 2 + ["delete"] * 2
    assert states(server) == ["deleted", "deleted"]
