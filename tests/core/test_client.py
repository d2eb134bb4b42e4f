"""The client over real sockets, without any framework: whole and streamed answers, closing, the end of the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nvcf_core import Media
from nvcf_core.client import Client, PendingCleanup
from nvcf_core.errors import (
    NVCFWarning,
)
from nvcf_core.media.sources import BytesSource
from nvcf_core.transport.clients import ClientConfig

KIMI = "moonshotai/kimi-k2.6"
PALI = "google/paligemma"


async def test_an_answer(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.reply(text="Hello there", reasoning="hm")
    answer = await ask(adapter(), [say("hi")])
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hello there", "hm", "stop")
    assert answer.last
    assert answer.usage.total_tokens > 0
    assert answer.model == KIMI
    assert answer.request_id
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {server.api_key}"


async def test_answers_of_a_model_with_a_path_of_its_own(
    ask: Any, adapter: Any, server: Any, say: Any, png: Any
) -> None:
    picture = Media(kind="image", source=BytesSource(png()))
    server.reply(text="<loc0001> cat")
    answer = await ask(adapter(PALI), [say("detect cat", picture)])
    assert answer.text == "<loc0001> cat"
    assert server.requests[0].path.endswith("/v1/vlm/google/paligemma")


async def test_a_whole_call_may_be_streamed(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.reply(text="one two three")
    assert (await ask(adapter(streaming=True), [say("hi")])).text == "one two three"
    assert server.requests[0].body["stream"] is True


async def test_the_clients_own_stop_ends_the_answer(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.reply(text=["one ", "E", "ND", " two"])
    answer = await ask(adapter(), [say("hi")], stop="END")
    assert (answer.text, answer.finish_reason) == ("one ", "stop")
    assert "stop" not in server.requests[0].body
    assert server.requests[0].body["stream"] is True, "also a whole answer can be left at the cut"


async def test_closing_by_leaving_a_block(adapter: Any, server: Any, say: Any, large: Any) -> None:
    with adapter() as model:
        model._client.complete(model._build_request([say("look", large())], {}, stream=False))
    assert server.requests[-1].method == "DELETE"
    async with adapter() as model:
        await model._client.acomplete(
            model._build_request([say("look", large())], {}, stream=False)
        )
    assert server.requests[-1].method == "DELETE"
    async with adapter(), adapter() as unused:
        assert unused._opened_client is None


@pytest.mark.parametrize("seconds", [5.0, -1.0])
def test_at_the_end_of_the_process(
    seconds: float, adapter: Any, server: Any, say: Any, large: Any
) -> None:
    model = adapter()
    cleanup = PendingCleanup()
    client = Client(ClientConfig(), model._own_options(), cleanup)
    client.complete(model._build_request([say("look", large())], {}, stream=False))
    in_time = nullcontext() if seconds > 0 else pytest.warns(NVCFWarning, match="no time to delete")
    with in_time:
        cleanup.delete_all(seconds)
    assert (server.requests[-1].method == "DELETE") is (seconds > 0)
    cleanup.delete_all(seconds)
    assert [r.method for r in server.requests].count("DELETE") == (1 if seconds > 0 else 0)
    client.close()


@pytest.mark.slow
def test_the_end_of_the_process_deletes_what_was_uploaded(
    server: Any, tmp_path: Path, png: Any
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(200_000))
    script = """
        import sys
        from nvcf_core import BaseNVCF
        base_url, nvcf_url, key, path, status = sys.argv[1:]
        model = BaseNVCF(model="moonshotai/kimi-k2.6", base_url=base_url, nvcf_url=nvcf_url, api_key=key)
        print(model._upload_media(path, None, None).asset_id)
        del model
    """
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(script),
        server.base_url,
        server.nvcf_url,
        server.api_key,
        path,
        "",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert server.requests[-1].method == "DELETE"
    assert done.stdout.strip() in server.requests[-1].path
    server.fail(403, on="delete", times=2)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not delete uploaded assets" in done.stderr
    assert done.stdout.strip() in done.stderr
