"""The table of models: every number and fact of its rows, as the models' own pages have them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from nvcf_core import ModelSpec, register, spec_for
from nvcf_core.models.catalog import known_models, unregister
from nvcf_core.models.spec import Range

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ALL = (GEMMA, NANO, PALI, KIMI, SUPER)

INT64 = (-9223372036854775808, 9223372036854775807)
CHAT = "https://integrate.api.nvidia.com/v1/chat/completions"

PAGES: dict[str, dict[str, Any]] = {
    GEMMA: {
        "url": CHAT,
        "model_in_body": True,
        "media": {"image": {"png", "jpeg"}, "audio": {"wav", "mp3"}},
        "tags": {"image", "audio"},
        "roles": {"system", "user", "assistant"},
        "message_keys": set(),
        "bounds": {
            "max_tokens": (1, 8192),
            "temperature": (0, 2),
            "top_p": (0, 1),
            "seed": INT64,
            "frequency_penalty": (-2, 2),
            "presence_penalty": (-2, 2),
        },
        "also": {"stop"},
        "context_window": 32_768,
        "reasons": False,
        "assets": True,
        "remote_urls": True,
    },
    NANO: {
        "url": CHAT,
        "model_in_body": True,
        "media": {
            "image": {"png", "jpeg", "webp"},
            "audio": {"wav", "mp3"},
            "video": {"mp4", "mov", "webm"},
        },
        "tags": {"image", "audio", "video"},
        "roles": {"system", "user", "assistant"},
        "message_keys": set(),
        "bounds": {
            "max_tokens": (1, 65536),
            "temperature": (0, 2),
            "top_p": (0, 1),
            "seed": INT64,
            "reasoning_budget": (-1, 32768),
        },
        "also": {"chat_template_kwargs"},
        "context_window": 262_144,
        "reasons": True,
        "assets": True,
        "remote_urls": True,
    },
    PALI: {
        "url": "https://ai.api.nvidia.com/v1/vlm/google/paligemma",
        "model_in_body": False,
        "media": {"image": {"png", "jpeg"}},
        "tags": {"image"},
        "roles": {"user"},
        "message_keys": set(),
        "bounds": {"max_tokens": (1, 1024), "temperature": (0, 1), "top_p": (0, 1)},
        "also": set(),
        "context_window": 2_048,
        "reasons": False,
        "assets": True,
        "remote_urls": False,
    },
    KIMI: {
        "url": CHAT,
        "model_in_body": True,
        "media": {"image": None, "video": None},
        "tags": {"image", "video"},
        "roles": {"system", "user", "assistant", "tool"},
        "message_keys": {"name", "reasoning_content"},
        "bounds": {
            "max_tokens": (1, 65536),
            "temperature": (0, 1),
            "top_p": (0, 1),
            "seed": (-9007199254740991, 9007199254740991),
        },
        "also": {"chat_template_kwargs", "tools", "tool_choice", "stream_options"},
        "context_window": 262_144,
        "reasons": True,
        "assets": True,
        "remote_urls": True,
    },
    SUPER: {
        "url": CHAT,
        "model_in_body": True,
        "media": {},
        "tags": set(),
        "roles": {"system", "user", "assistant", "tool", "context"},
        "message_keys": {"name"},
        "bounds": {
            "max_tokens": (1, 32768),
            "temperature": (0, 1),
            "top_p": (0, 1),
            "seed": (0, 18446744073709551615),
            "reasoning_budget": (-1, 32768),
        },
        # Those after the first two come of "Compatible with OpenAI".
        "also": {"stop", "reasoning_effort"}
        | {"chat_template_kwargs", "tools", "tool_choice", "parallel_tool_calls"}
        | {
            "response_format",
            "stream_options",
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "n",
            "user",
        },
        "context_window": 262_144,
        "reasons": True,
        "assets": False,
        "remote_urls": True,
    },
}


@pytest.mark.parametrize("model", ALL)
def test_a_row_says_what_the_page_says(model: str) -> None:
    spec, page = spec_for(model), PAGES[model]
    assert spec.id == model
    assert f"{spec.base_url}/{spec.path}" == page["url"]
    assert spec.model_in_body is page["model_in_body"]
    assert spec.media == page["media"]
    assert spec.html_tags == page["tags"]
    assert spec.roles == page["roles"]
    assert spec.message_keys == page["message_keys"]
    assert {name: (b.low, b.high) for name, b in spec.bounds.items()} == page["bounds"]
    assert spec.parameters == set(page["bounds"]) | page["also"]
    assert spec.context_window == page["context_window"]
    assert spec.supports_reasoning is page["reasons"]
    assert spec.assets is page["assets"]
    assert spec.remote_urls is page["remote_urls"]
    assert spec.max_output_tokens == page["bounds"]["max_tokens"][1]
    assert spec.supports_tools is ("tools" in page["also"])
    assert spec.documented


@pytest.mark.parametrize("model", ALL)
def test_bounds_are_exact(model: str) -> None:
    for name, bound in spec_for(model).bounds.items():
        whole = name in ("max_tokens", "seed", "reasoning_budget")
        if whole:
            assert type(bound.low) is type(bound.high) is int


def test_what_only_one_page_wants() -> None:
    rows = {row.id: row for row in known_models()}
    assert {model for model, row in rows.items() if row.single_message} == {PALI}
    assert {model for model, row in rows.items() if row.alternating} == {SUPER, GEMMA}
    assert {model for model, row in rows.items() if row.system_first} == {GEMMA}
    assert {model: row.first_roles for model, row in rows.items() if row.first_roles} == {
        GEMMA: {"user"}
    }
    assert {model for model, row in rows.items() if row.past_call_reasoning} == {KIMI}
    assert {model: row.max_media for model, row in rows.items() if row.max_media} == {PALI: 1}
    assert {model: row.last_roles for model, row in rows.items() if row.last_roles} == {
        SUPER: {"user", "tool"}
    }
    nano = rows.pop(NANO)
    assert (nano.no_think_media, nano.no_think_token, nano.think_token) == (
        {"audio", "video"},
        "/no_think",
        "/think",
    )
    assert not any(
        row.no_think_media or row.no_think_token or row.think_token for row in rows.values()
    )
    assert {model for model, row in rows.items() if row.audio_part == "audio_url"} == {GEMMA}
    assert nano.audio_part == "audio_url"


@pytest.mark.parametrize(
    ("model", "none", "low", "high"),
    [
        (KIMI, {"thinking": False}, {"thinking": True}, {"thinking": True}),
        (NANO, {"enable_thinking": False}, {"enable_thinking": True}, {"enable_thinking": True}),
        (
            SUPER,
            {"enable_thinking": False},
            {"enable_thinking": True, "low_effort": True},
            {"enable_thinking": True},
        ),
    ],
)
def test_how_thinking_is_switched(model: str, none: Any, low: Any, high: Any) -> None:
    efforts = spec_for(model).reasoning_efforts
    assert efforts is not None
    wanted = {"none": none, "low": low, "high": high}
    assert {name: dict(adds) for name, adds in efforts.items()} == {
        name: {"chat_template_kwargs": template} for name, template in wanted.items()
    }


def test_a_model_nobody_told_us_about_may_do_anything() -> None:
    spec = spec_for("someone/new-model")
    assert spec.id == "someone/new-model"
    assert not spec.documented
    assert spec.supports_tools
    assert spec.supports_reasoning
    assert spec.documents("anything")
    assert set(spec.media) == {"image", "audio", "video"}
    assert set(spec.media.values()) == {None}
    assert (spec.roles, spec.bounds, spec.max_output_tokens, spec.parameters) == (
        None,
        {},
        None,
        None,
    )
    assert spec.reasoning_efforts == {}
    assert f"{spec.base_url}/{spec.path}" == CHAT


@pytest.mark.usefixtures("restored_catalog")
def test_register_adds_and_replaces() -> None:
    mine = ModelSpec(id="me/mine", parameters=frozenset({"seed"}))
    register(mine)
    assert spec_for("me/mine") is mine
    assert mine in known_models()
    other = dataclasses.replace(spec_for(KIMI), context_window=1)
    register(other)
    assert spec_for(KIMI).context_window == 1
    assert len(known_models()) == len(ALL) + 1


def test_unregister_undoes_it() -> None:
    documented, mine = spec_for(KIMI), ModelSpec(id="me/mine", context_window=7)
    register(mine)
    register(dataclasses.replace(documented, context_window=1))
    for model in (KIMI, "me/mine", "nobody/registered-it"):
        unregister(model)
    assert spec_for(KIMI) is documented
    assert spec_for("me/mine") == ModelSpec(id="me/mine")
    assert {row.id for row in known_models()} == set(ALL)


def test_the_five_are_there() -> None:
    assert {row.id for row in known_models()} == set(ALL)


def test_rows_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec_for(KIMI).context_window = 1  # type: ignore[misc]


def test_a_bound_says_what_it_allows() -> None:
    assert str(Range(-1, 32_768)) == "-1 to 32768"


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("moonshotai/Kimi-K2.6", "moonshotai/kimi-k2.6"),
        ("MOONSHOTAI/KIMI-K2.6", "moonshotai/kimi-k2.6"),
        ("google/gemma-3n-E2B-it", "google/gemma-3n-e2b-it"),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", "nvidia/nemotron-3-super-120b-a12b"),
        ("nvidia/nvidia-nemotron-3-super-120b-a12b-nvfp4", "nvidia/nemotron-3-super-120b-a12b"),
        (
            "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16",
            "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning",
        ),
    ],
)
def test_other_names_of_the_same_weights(name: str, row: str) -> None:
    assert spec_for(name) == dataclasses.replace(spec_for(row), id=name)


@pytest.mark.usefixtures("restored_catalog")
def test_rows_of_a_user_have_other_names_too() -> None:
    register(ModelSpec(id="me/mine", aliases=("me/other",), context_window=5))
    assert spec_for("me/OTHER").context_window == 5
    assert spec_for("me/other").id == "me/other"
    assert [row.id for row in known_models()].count("me/mine") == 1
    assert "me/other" not in [row.id for row in known_models()]


def test_a_row_at_a_server_of_ones_own() -> None:
    hosted = spec_for("google/gemma-3n-e2b-it")
    own = spec_for("google/gemma-3n-e2b-it", own_server=True)
    assert own is spec_for("google/gemma-3n-e2b-it", own_server=True)
    assert not own.documented
    assert (own.bounds, own.max_media, own.remote_urls) == ({}, None, True)
    assert own.media == dict.fromkeys(hosted.media)
    kept = ("roles", "alternating", "single_message", "message_keys", "reasoning_efforts")
    assert [getattr(own, name) for name in kept] == [getattr(hosted, name) for name in kept]
    assert spec_for("someone/new", own_server=True) == spec_for("someone/new")
