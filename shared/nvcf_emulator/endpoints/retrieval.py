"""Embeddings and ranking, for the models of NVIDIA's families."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.embedding import embed, similarity
from nvcf_emulator.answers.http_response import HTTPResponse, json_response
from nvcf_emulator.http.incoming import Incoming
from nvcf_emulator.specs.fields import (
    Choice,
    Rule,
    integer,
    require_object,
    require_text,
    wrong_type,
)
from nvcf_emulator.specs.rejections import Rejection, not_found_text
from nvcf_emulator.state import State

__all__ = ["Retrieval"]

_EMBEDDING = ("embed", "baai/bge-m3", "nvidia/nvclip")
_RANKING = ("rerank",)
_DIMENSIONS: Mapping[str, int] = {
    "nv-embed-v1": 4096,
    "mistral-7b": 4096,
    "embedcode-7b": 4096,
    "llama": 2048,
    "nemotron": 2048,
}
"""Length of the vectors of a model whose id contains the key; the first that fits counts."""

_USUAL_DIMENSIONS = 1024
_MOST_PASSAGES = 512
_RANKING_DIMENSIONS = 4096
_FIELDS: Mapping[str, Rule] = {
    "input_type": Choice(("query", "passage")),
    "encoding_format": Choice(("float", "base64")),
    "truncate": Choice(("NONE", "START", "END")),
    "dimensions": integer(1, 4096),
}


class Retrieval:
    """Answers requests for vectors and for an order of passages."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def embeddings(self, arrived: Incoming) -> HTTPResponse:
        """Return the vector of each text."""
        body = arrived.body or {}
        model = self._model(body.get("model"), _EMBEDDING)
        for name, rule in _FIELDS.items():
            if body.get(name) is not None:
                rule.check(name, body[name])
        texts = _texts(body.get("input"))
        dimensions = body.get("dimensions") or _dimensions(model)
        encoded = body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": _encoded(embed(text, dimensions), encoded),
            }
            for index, text in enumerate(texts)
        ]
        return json_response(
            {"object": "list", "data": data, "model": model, "usage": _usage(texts)}
        )

    async def ranking(self, arrived: Incoming) -> HTTPResponse:
        """Return the passages in the order in which they answer the query, best first."""
        body = arrived.body or {}
        self._model(arrived.path.get("model") or body.get("model"), _RANKING)
        query = _text_object("query", body.get("query"))
        passages = body.get("passages")
        if not isinstance(passages, list):
            raise wrong_type("passages", "an array", passages)
        if not 1 <= len(passages) <= _MOST_PASSAGES:
            raise Rejection(
                f"Array should have 1 to {_MOST_PASSAGES} items, got {len(passages)}",
                field="passages",
            )
        texts = [_text_object(f"passages[{place}]", item) for place, item in enumerate(passages)]
        wanted = embed(query, _RANKING_DIMENSIONS)
        near = [similarity(wanted, embed(text, _RANKING_DIMENSIONS)) for text in texts]
        order = sorted(range(len(texts)), key=lambda place: -near[place])
        rankings = [{"index": place, "logit": round(20 * near[place] - 10, 6)} for place in order]
        return json_response({"rankings": rankings, "usage": _usage([query, *texts])})

    def _model(self, model: object, family: tuple[str, ...]) -> str:
        if not isinstance(model, str):
            raise Rejection("Field required", field="model")
        known = any(part in model.lower() for part in family) or model in self._state.models
        if not known or ("rerank" in model.lower() and family is not _RANKING):
            raise not_found_text()
        return model


def _dimensions(model: str) -> int:
    fitting = (size for part, size in _DIMENSIONS.items() if part in model.lower())
    return next(fitting, _USUAL_DIMENSIONS)


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise wrong_type("input", "a string or an array of strings", value)
    if not texts:
        raise Rejection("Array should have at least 1 item, got []", field="input")
    return [require_text(f"input[{place}]", text, empty=False) for place, text in enumerate(texts)]


def _text_object(name: str, value: object) -> str:
    return require_text(f"{name}.text", require_object(name, value).get("text"), empty=False)


def _encoded(vector: list[float], base64_wanted: bool) -> Any:
    if not base64_wanted:
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _usage(texts: list[str]) -> dict[str, int]:
    total = sum(tokens.count(text) for text in texts)
    return {"prompt_tokens": total, "total_tokens": total}
