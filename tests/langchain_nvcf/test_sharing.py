"""One object for many: threads, event loops, copies, pickles, serialised forms, and no key in any of them."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import AIMessage

from langchain_nvcf import NVCFLLM, ChatNVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
KEY = "nvapi-secret-0123456789"


def test_sixty_four_threads(chat: Callable[..., ChatNVCF]) -> None:
    model = chat()

    def ask(number: int) -> bool:
        chunks = list(model.stream(f"question {number:04}"))
        answer = model.invoke(f"question {number:04}")
        return all(
            f"question {number:04}" in text
            for text in (answer.text, "".join(c.text for c in chunks))
        )

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(ask, range(192)))


def test_three_loops_in_a_row(chat: Callable[..., ChatNVCF]) -> None:
    model = chat()

    async def ask(number: int) -> list[AIMessage]:
        return await asyncio.gather(
            *(model.ainvoke(f"question {number} {part}") for part in range(10))
        )

    for number in range(3):
        answers = asyncio.run(ask(number))
        assert [
            f"question {number} {part}" in answer.text for part, answer in enumerate(answers)
        ] == [True] * 10


def test_threads_and_loops_at_once(chat: Callable[..., ChatNVCF]) -> None:
    model = chat()

    async def many(number: int) -> list[AIMessage]:
        return await asyncio.gather(
            *(model.ainvoke(f"question {number} {part}") for part in range(5))
        )

    def run(number: int) -> bool:
        if number % 2:
            return f"question {number}" in model.invoke(f"question {number}").text
        return all(f"question {number} " in answer.text for answer in asyncio.run(many(number)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(16)))


def test_a_closed_model_opens_anew(chat: Callable[..., ChatNVCF]) -> None:
    with chat() as model:
        model.invoke("Hello")
    assert model.invoke("Hello").text

    async def ask() -> str:
        async with model:
            return (await model.ainvoke("Hello")).text

    assert asyncio.run(ask())


@pytest.mark.parametrize("kind", [ChatNVCF, NVCFLLM])
def test_copies(wiring: dict[str, Any], kind: Any) -> None:
    model = kind(model=KIMI, temperature=0.5, **wiring)
    model.invoke("Hello")
    for twin in (
        copy.deepcopy(model),
        copy.copy(model),
        model.model_copy(),
        model.model_copy(deep=True),
    ):
        assert twin.invoke("Hello")
        assert twin.temperature == 0.5
        twin.close()
    model.close()


@pytest.mark.parametrize("kind", [ChatNVCF, NVCFLLM])
def test_pickles(
    wiring: dict[str, Any], nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    model = kind(model=KIMI, temperature=0.5, **wiring)
    model.invoke("Hello")
    data = pickle.dumps(model)
    assert nvcf_emulator.api_key.encode() not in data
    monkeypatch.setenv("NVIDIA_API_KEY", nvcf_emulator.api_key)
    twin = pickle.loads(data)
    assert twin.invoke("Hello")
    assert twin.temperature == 0.5
    twin.close()
    model.close()


def test_bound_models_pickle(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator) -> None:
    bound = chat().bind_tools([{"name": "f", "description": "It.", "parameters": {}}])
    structured = chat().with_structured_output({"title": "A", "type": "object", "properties": {}})
    for runnable in (bound, structured):
        data = pickle.dumps(runnable)
        assert nvcf_emulator.api_key.encode() not in data
        assert type(pickle.loads(data)) is type(runnable)


@pytest.mark.parametrize("kind", [ChatNVCF, NVCFLLM])
def test_a_round_trip_through_langchains_serialisation(
    wiring: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    made: dict[str, Any] = {
        "temperature": 0.5, "max_tokens": 5, "stop": ["x"], "reasoning_effort": "low", "streaming": True,
        "chat_template_kwargs": {"thinking": True}, "max_retries": 7, "timeout": 3, "validation": "warn",
    }  # fmt: skip
    model = kind(
        model=KIMI, **{**wiring, **made, "api_key": KEY, "default_headers": {"x-secret": "hush"}}
    )
    dumped = dumpd(model)
    assert dumped["id"] == [*kind.__module__.split("."), kind.__name__]
    assert dumped["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["NVIDIA_API_KEY"]}
    text = dumps(model)
    assert KEY not in text
    assert "hush" not in text
    monkeypatch.setenv("NVIDIA_API_KEY", KEY)
    twin = load(
        dumped, allowed_objects=[kind], valid_namespaces=["langchain_nvcf"], secrets_from_env=True
    )
    assert type(twin) is kind
    assert twin.api_key.get_secret_value() == KEY
    assert {name: getattr(twin, name) for name in made} == made
    assert twin._identifying_params == model._identifying_params


def test_the_key_is_in_nothing_that_is_shown(chat: Callable[..., ChatNVCF]) -> None:
    model = chat(api_key=KEY)
    bound = model.bind_tools([{"name": "f", "description": "It.", "parameters": {}}])
    for text in (
        repr(model), str(model), repr(bound), str(model.model_dump()), model.model_dump_json(), dumps(model),
        str(model._identifying_params), str(model._get_ls_params()), str(model.lc_secrets), str(vars(model)),
    ):  # fmt: skip
        assert KEY not in text


def test_the_environment_is_read_when_it_is_made(
    nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", nvcf_emulator.api_key)
    monkeypatch.setenv("NVIDIA_BASE_URL", nvcf_emulator.base_url)
    monkeypatch.setenv("NVCF_URL", nvcf_emulator.nvcf_url)
    with ChatNVCF(model=KIMI) as model:
        monkeypatch.delenv("NVIDIA_API_KEY")
        assert model.invoke("Hello").text


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_importing_brings_nothing_of_the_other_framework() -> None:
    code = (
        "import sys, langchain_nvcf\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(roots & {'llama_index', 'llamaindex_nvcf', 'nvcf_emulator', 'transformers', 'torch'})"
    )
    assert fresh(code).strip() == "set()"


def test_without_its_extra_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['langchain_core'] = None; import langchain_nvcf"
    assert (
        'ImportError: langchain_nvcf needs langchain-core: pip install "nvcf-adapters[langchain]"'
        in fresh(code)
    )
