"""Embeddings and ranking."""

from __future__ import annotations

import base64
import math
import struct

import pytest

EMBED = "nvidia/nv-embedqa-e5-v5"
RANK = "nvidia/llama-3.2-nv-rerankqa-1b-v2"
PASSAGES = ["Cats sleep all day.", "The harbour of Oslo freezes.", "A cat and a dog."]


@pytest.fixture
def call(server, client):
    def run(path, **body):
        return client.post(f"{server.base_url}/{path}", json=body)

    return run


def cosine(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_texts_that_share_words_are_near(call):
    texts = ["The cat sleeps", "cats that sleep", "quarterly revenue grew", "The cat sleeps"]
    body = call("embeddings", model=EMBED, input=texts, input_type="passage").json()
    first, near, far, same = [item["embedding"] for item in body["data"]]
    assert [item["index"] for item in body["data"]] == [0, 1, 2, 3]
    assert (body["object"], body["model"]) == ("list", EMBED)
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0
    assert first == same
    assert math.isclose(cosine(first, first), 1, abs_tol=1e-5)
    assert cosine(first, near) > 0.5 > 0.3 > abs(cosine(first, far))


def test_vectors_are_the_same_always(call):
    one, other = (call("embeddings", model=EMBED, input="tides").json() for _ in range(2))
    assert one["data"] == other["data"]
    assert len(one["data"][0]["embedding"]) == 1024


@pytest.mark.parametrize(
    ("model", "length"),
    [
        ("nvidia/nv-embed-v1", 4096),
        ("nvidia/llama-3.2-nv-embedqa-1b-v2", 2048),
        ("baai/bge-m3", 1024),
        ("nvidia/nvclip", 1024),
        ("nvidia/some-new-embed-model", 1024),
    ],
)
def test_how_long_a_vector_is(call, model, length):
    data = call("embeddings", model=model, input=["?", "x"]).json()["data"]
    assert {len(item["embedding"]) for item in data} == {length}
    cut = call("embeddings", model=model, input="x", dimensions=64).json()["data"]
    assert len(cut[0]["embedding"]) == 64


def test_base64(call):
    plain = call("embeddings", model=EMBED, input="tides").json()["data"][0]["embedding"]
    coded = call("embeddings", model=EMBED, input="tides", encoding_format="base64").json()
    found = struct.unpack("<1024f", base64.b64decode(coded["data"][0]["embedding"]))
    assert found == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": []},
        {"input": ""},
        {"input": ["a", 1]},
        {"input": {"a": 1}},
        {"input": "a", "input_type": "other"},
        {"input": "a", "encoding_format": "hex"},
        {"input": "a", "truncate": "MIDDLE"},
        {"input": "a", "dimensions": 0},
    ],
)
def test_malformed_embeddings_are_rejected(call, body):
    assert call("embeddings", model=EMBED, **body).status_code == 400


@pytest.mark.parametrize("model", ["moonshotai/kimi-k2.6", RANK])
def test_other_models_embed_nothing(call, model):
    assert call("embeddings", model=model, input="a").status_code == 404
    assert call("embeddings", input="a").status_code == 400


@pytest.mark.parametrize(
    "path", ["ranking", "retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking"]
)
def test_passages_come_in_order(call, path):
    body = {"query": {"text": "a cat"}, "passages": [{"text": text} for text in PASSAGES]}
    rankings = call(path, model=RANK, **body).json()["rankings"]
    assert [item["index"] for item in rankings] == [2, 0, 1]
    logits = [item["logit"] for item in rankings]
    assert logits == sorted(logits, reverse=True)
    assert logits[1] > logits[2]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": "cat", "passages": [{"text": "a"}]},
        {"query": {"text": "cat"}},
        {"query": {"text": "cat"}, "passages": []},
        {"query": {"text": "cat"}, "passages": ["a"]},
        {"query": {"text": "cat"}, "passages": [{"text": "a"}] * 513},
    ],
)
def test_malformed_rankings_are_rejected(call, body):
    assert call("ranking", model=RANK, **body).status_code == 400
    assert call("ranking", model=EMBED, **body).status_code == 404


def test_they_may_fail_as_anything_may(server, call):
    server.fail(429, on="embeddings")
    server.fail("overloaded", on="ranking")
    assert call("embeddings", model=EMBED, input="a").status_code == 429
    assert call("ranking", model=RANK).status_code == 503
    assert [request.place for request in server.requests] == ["embeddings", "ranking"]
