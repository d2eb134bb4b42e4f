"""The command and the recorder before a server of others: llama.cpp, with a tiny model of random weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

pytestmark = [pytest.mark.peers, pytest.mark.slow]

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

KIMI = "moonshotai/kimi-k2.6"
WIDTH, HEADS, FEED = 32, 2, 64
LETTERS = b"abcdefgh"
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 1, 1
params.warmup, params.use_jinja = False, True
server = xllamacpp.Server(params)
print("listening at", server.listening_address, flush=True)
sys.stdin.read()
"""


def write_model(path: Path) -> None:
    """A model of one layer that writes a few letters and blanks, whatever it is asked."""
    random = np.random.default_rng(0)
    kind = gguf.TokenType
    words = [b"\xe2\x96\x81" + bytes([letter]) for letter in LETTERS]
    words += [bytes([letter]) for letter in LETTERS]
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256))]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens + words)
    writer.add_token_scores([0.0] * len(tokens) + [-1.0] * len(words))
    types = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL, *[kind.BYTE] * 256]
    writer.add_token_types(types + [kind.NORMAL] * len(words))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)

    def weights(*shape: int, scale: float = 0.2) -> Any:
        return random.normal(0, scale, shape).astype(np.float32)

    output = np.zeros((len(tokens) + len(words), WIDTH), dtype=np.float32)
    output[len(tokens) :] = weights(len(words), WIDTH, scale=3)
    ones = np.ones(WIDTH, dtype=np.float32)
    tensors = {
        "token_embd": weights(len(tokens) + len(words), WIDTH),
        "output": output,
        "output_norm": ones,
        "blk.0.attn_norm": ones,
        "blk.0.ffn_norm": ones,
        **{f"blk.0.attn_{name}": weights(WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate": weights(FEED, WIDTH),
        "blk.0.ffn_up": weights(FEED, WIDTH),
        "blk.0.ffn_down": weights(WIDTH, FEED),
    }
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of a running server of llama.cpp, which ends in `/v1`."""
    path = tmp_path_factory.mktemp("llama") / "letters.gguf"
    write_model(path)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert process.stdout is not None
        found = next(
            filter(None, (re.match("listening at (.*)\n", s) for s in process.stdout)), None
        )
        assert found, "llama.cpp did not start"
        yield f"{found[1]}/v1"
        process.kill()


def test_what_llama_cpp_does_otherwise_is_found(nvcf: Any, llama: str, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    ended = nvcf("verify", KIMI, "--base-url", llama, "--record", str(path), "--json")
    assert ended.status == 1
    probes = {probe["probe"]: probe for probe in ended.document["probes"]}
    assert "asset" not in probes, "it has no asset API"
    found = {name for name, probe in probes.items() if probe["deviates"]}
    assert {"thinking on", "tool call", "max_tokens 65537", "unknown field"} <= found
    assert {"wrong model id", "temperature 1.01", "inline image", "inline video"} <= found
    assert found.isdisjoint({"text", "stream", "usage", "usage in a stream", "thinking off"})
    assert "mmproj" in probes["inline image"]["detail"], "its own words are told"
    with Emulator.replay(path) as replayed:
        again = nvcf("verify", KIMI, "--base-url", replayed.base_url, "--json")
        assert replayed.unused == []
    assert again.document["probes"] == ended.document["probes"]


def test_both_adapters_are_recorded_and_replayed(llama: str, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    def session(base_url: str) -> list[str]:
        given: dict[str, Any] = {"model": "letters", "base_url": base_url, "max_tokens": 20}
        with ChatNVCF(**given) as chat, NVCF(**given) as llm:
            return [
                chat.invoke("Hi").text,
                "".join(chunk.text for chunk in chat.stream("Hello")),
                llm.complete("Hi").text,
                "".join(part.delta or "" for part in llm.stream_complete("Hello")),
            ]

    with Emulator.record(path, upstream=llama) as recorder:
        first = session(recorder.base_url)
    assert all(set(text) <= set(f"{LETTERS.decode()} ") and text.strip() for text in first)
    with Emulator.replay(path) as replayed:
        assert session(replayed.base_url) == first
        assert replayed.unused == []


@pytest.mark.parametrize("stream", [False, True])
def test_its_bytes_are_replayed(llama: str, tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "session.jsonl"
    body = {
        "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50, "stream": stream
    }  # fmt: skip
    with Emulator.record(path, upstream=llama) as recorder:
        first = httpx.post(f"{recorder.base_url}/chat/completions", json=body)
    with Emulator.replay(path) as replayed:
        again = httpx.post(f"{replayed.base_url}/chat/completions", json=body)
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
