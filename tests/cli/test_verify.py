"""`nvcf verify`: agrees with the emulator, finds each deviation, and says what it costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from nvcf_cli.verification import outcomes
from nvcf_cli.verification.exchange import Connection, ProbeObservation
from nvcf_cli.verification.probes import probes_for
from nvcf_core.models.catalog import known_models, spec_for
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
GEMMA = "google/gemma-3n-e2b-it"
PALIGEMMA = "google/paligemma"
MODELS = [spec.id for spec in known_models()]


Body = dict[str, Any]


@pytest.mark.parametrize("model", MODELS)
def test_documentation_and_emulator_agree(nvcf: Any, service: Emulator, model: str) -> None:
    ended = nvcf("verify", model, "--json")
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["ok"] is True
    probes = ended.document["probes"]
    assert len(probes) > 14
    for probe in probes:
        assert probe["documented"] in (None, probe["emulator"]), probe
        assert probe["observed"] == probe["emulator"], probe
    assert all(asset.state == "deleted" for asset in service.assets.values())


def test_the_probes_of_a_model_with_everything(nvcf: Any, service: Emulator) -> None:
    names = {probe["probe"] for probe in nvcf("verify", KIMI, "--json").document["probes"]}
    assert names == {
        "text", "stream", "usage", "usage in a stream", "202 and polling", "thinking on",
        "thinking off", "tool call", "tool call, streamed", "forced tool while thinking",
        "content null beside a call", 'content "" beside a call', "reasoning in the history",
        "inline image", "inline audio", "inline video", "asset", "max_tokens 0",
        "max_tokens 65537", "seed 9007199254740992", "seed -9007199254740992", "temperature 1.01", "top_p 1.01",
        "unknown field", "wrong model id",
    }  # fmt: skip
    omni = {probe.name for probe in probes_for(spec_for(NANO), assets=True)}
    assert {"/think in the system message", "/no_think in the system message"} <= omni
    own = {probe.name for probe in probes_for(spec_for(SUPER), assets=True)}
    assert {"reasoning_effort none", "reasoning_effort high", "reasoning_budget"} <= own


def test_the_cost_comes_first(nvcf: Any, service: Emulator) -> None:
    lines = nvcf("verify", KIMI, GEMMA).out.splitlines()
    for line, model in zip(lines, (KIMI, GEMMA), strict=False):
        found = re.fullmatch(rf"{model}: (\d+) requests, at most about ([\d,]+) tokens", line)
        assert found, line
        assert int(found[1]) == len(probes_for(spec_for(model), assets=True))
        assert int(found[2].replace(",", "")) < 10_000
    assert lines[3].split() == ["documented", "emulator", "observed"]
    assert lines[-1].endswith("probes, 0 deviate")


def test_no_request_asks_for_more_than_its_part_of_the_cost(nvcf: Any, service: Emulator) -> None:
    document = nvcf("verify", *MODELS, "--json").document
    asked = dict.fromkeys(MODELS, 0)
    for chat in service.chats:
        model = chat.body.get("model", PALIGEMMA)
        if model in asked and isinstance(chat.body["max_tokens"], int):
            asked[model] += min(chat.body["max_tokens"], 512)
    for model, cost in document["cost"].items():
        assert 0 < asked[model] <= cost["tokens_at_most"], model


def otherwise(**changes: Any) -> dict[str, Any]:
    """What a server does otherwise: keywords of `deviating_url`."""
    return changes


def _clamped(name: str, most: float) -> Callable[[Body], Body]:
    """Takes any value of a field, as if it had no bound."""

    def change(body: Body) -> Body:
        return {**body, name: most} if body.get(name, 0) > most else body

    return change


def _without(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _refusing(wrong: Callable[[Body], bool]) -> Callable[[Body], Body | str]:
    return lambda body: "not supported here" if wrong(body) else body


def _any_message(holds: Callable[[Body], bool]) -> Callable[[Body], bool]:
    return lambda body: any(holds(message) for message in body["messages"])


def _has_part(kind: str) -> Callable[[Body], bool]:
    def holds(message: Body) -> bool:
        content = message["content"]
        return isinstance(content, list) and any(part["type"] == kind for part in content)

    return _any_message(holds)


def _served(model: str) -> Callable[[Body], Body]:
    return lambda body: {**body, "model": model}


def _whole(change: Callable[[Body], None]) -> Callable[[str], str]:
    """Changes the message of a whole answer."""

    def tell(text: str) -> str:
        if not text.startswith("{"):
            return text
        body = json.loads(text)
        change(body["choices"][0]["message"])
        return json.dumps(body)

    return tell


def _broken_arguments(message: Body) -> None:
    for call in message.get("tool_calls") or ():
        call["function"]["arguments"] = call["function"]["arguments"][:-1]


def _no_reasoning(message: Body) -> None:
    message.pop("reasoning_content", None)


def _always_thinking(body: Body) -> Body:
    return {**body, "chat_template_kwargs": {"thinking": True}}


DEVIATIONS: list[tuple[str, str, dict[str, Any], set[str], str]] = [
    (
        "an end without [DONE]",
        KIMI,
        otherwise(tell=lambda text: text.replace("data: [DONE]\n\n", "")),
        {"stream"},
        "text, no [DONE]",
    ),
    (
        "streams that are not",
        GEMMA,
        otherwise(ask=lambda body: {**body, "stream": False}),
        {"stream"},
        "not a stream",
    ),
    (
        "no usage",
        GEMMA,
        otherwise(tell=lambda text: text.replace('"usage"', '"used"')),
        {"usage"},
        "no usage",
    ),
    (
        "usage in streams refused",
        KIMI,
        otherwise(ask=_refusing(lambda body: "stream_options" in body)),
        {"usage in a stream"},
        "refused",
    ),
    (
        "thinking that cannot be switched off",
        KIMI,
        otherwise(ask=_always_thinking),
        {"thinking off"},
        "reasoning",
    ),
    (
        "no reasoning",
        KIMI,
        otherwise(tell=_whole(_no_reasoning)),
        {"thinking on"},
        "no reasoning",
    ),
    (
        "no switch in the system message",
        NANO,
        otherwise(ask=_refusing(_any_message(lambda message: message["content"] == "/no_think"))),
        {"/no_think in the system message"},
        "refused",
    ),
    (
        "a reasoning_effort that is ignored",
        SUPER,
        otherwise(ask=_without("reasoning_effort")),
        {"reasoning_effort none"},
        "reasoning",
    ),
    (
        "a budget that is not kept",
        SUPER,
        otherwise(
            tell=lambda text: text.replace(
                '"reasoning_content":"', '"reasoning_content":"' + "hm " * 40
            ).replace('"reasoning_content": "', '"reasoning_content": "' + "hm " * 40)
        ),
        {"reasoning_budget"},
        "beyond the budget",
    ),
    (
        "arguments that are not JSON",
        KIMI,
        otherwise(tell=_whole(_broken_arguments)),
        {"tool call", "forced tool while thinking"},
        "a call with arguments that are not JSON",
    ),
    (
        "no calls in streams",
        KIMI,
        otherwise(ask=lambda body: _without("tools")(body) if body["stream"] else body),
        {"tool call, streamed"},
        "no call",
    ),
    (
        "no forced tool while thinking",
        KIMI,
        otherwise(ask=_refusing(lambda body: "tool_choice" in body)),
        {"forced tool while thinking"},
        "refused",
    ),
    (
        "content null refused",
        KIMI,
        otherwise(ask=_refusing(_any_message(lambda message: message["content"] is None))),
        {"content null beside a call"},
        "refused",
    ),
    (
        'content "" refused',
        SUPER,
        otherwise(ask=_refusing(_any_message(lambda message: message["content"] == ""))),
        {'content "" beside a call'},
        "refused",
    ),
    (
        "reasoning in the history refused",
        KIMI,
        otherwise(ask=_refusing(_any_message(lambda message: "reasoning_content" in message))),
        {"reasoning in the history"},
        "refused",
    ),
    (
        "images refused",
        NANO,
        otherwise(ask=_refusing(_has_part("image_url"))),
        {"inline image"},
        "refused",
    ),
    (
        "audio refused",
        GEMMA,
        otherwise(ask=_refusing(_has_part("audio_url"))),
        {"inline audio"},
        "refused",
    ),
    (
        "video refused",
        KIMI,
        otherwise(ask=_refusing(_has_part("video_url"))),
        {"inline video"},
        "refused",
    ),
    (
        "max_tokens without a bound",
        GEMMA,
        otherwise(ask=_clamped("max_tokens", 8192)),
        {"max_tokens 8193"},
        "accepted",
    ),
    (
        "temperature without a bound",
        PALIGEMMA,
        otherwise(ask=_clamped("temperature", 1)),
        {"temperature 1.01"},
        "accepted",
    ),
    (
        "unknown fields ignored",
        SUPER,
        otherwise(ask=_without("field_that_does_not_exist")),
        {"unknown field"},
        "accepted",
    ),
    (
        "any id served",
        KIMI,
        otherwise(ask=_served(KIMI)),
        {"wrong model id"},
        "accepted",
    ),
    (
        "any path served",
        PALIGEMMA,
        otherwise(path=lambda _: "/v1/vlm/google/paligemma"),
        {"wrong model id"},
        "accepted",
    ),
]


@pytest.mark.parametrize(
    ("model", "deviation", "probes", "observed"),
    [case[1:] for case in DEVIATIONS],
    ids=[case[0] for case in DEVIATIONS],
)
def test_a_deviation_is_found(
    nvcf: Any,
    service: Emulator,
    model: str,
    deviating_url: Callable[..., str],
    deviation: dict[str, Any],
    probes: set[str],
    observed: str,
) -> None:
    ended = nvcf("verify", model, "--base-url", deviating_url(**deviation), "--json")
    assert ended.status == 1
    found = {probe["probe"]: probe for probe in ended.document["probes"] if probe["deviates"]}
    assert set(found) == probes
    assert {probe["observed"] for probe in found.values()} == {observed}
    assert ended.document["ok"] is False
    for name in probes:
        assert f"{model}: {name}: {observed}, not " in ended.err


def test_an_asset_api_that_fails(nvcf: Any, service: Emulator) -> None:
    service.fail(500, on="create", times=None)
    ended = nvcf("verify", PALIGEMMA, "--json")
    (found,) = (probe for probe in ended.document["probes"] if probe["deviates"])
    assert (found["probe"], found["observed"]) == ("asset", "the asset API failed")
    assert "500" in found["detail"]


def test_a_202_that_leads_nowhere(nvcf: Any, service: Emulator) -> None:
    is_polled = "nvcf-poll-seconds"
    service.fail(404, on="poll", times=None)
    spec = spec_for(GEMMA)
    (probe,) = (probe for probe in probes_for(spec, assets=True) if probe.polled)
    service.accept(polls=2)
    with Connection(service.base_url, service.nvcf_url, service.api_key) as connection:
        assert probe.outcome(probe.send(connection)) == outcomes.REFUSED
    assert is_polled in service.chats[0].headers


def test_a_202_that_is_polled(service: Emulator) -> None:
    (probe,) = (probe for probe in probes_for(spec_for(GEMMA), assets=True) if probe.polled)
    for redirect in (False, True):
        service.accept(polls=2, redirect=redirect)
        with Connection(service.base_url, service.nvcf_url, service.api_key) as connection:
            observed = probe.send(connection)
        assert probe.outcome(observed) == outcomes.ANSWERED
        assert outcomes.describe_details(observed) == "after 202 and 2 poll(s)"


def test_a_busy_service_is_asked_again(service: Emulator) -> None:
    service.fail(429, times=2, retry_after=3)
    service.fail(503)
    waited: list[float] = []
    with Connection(service.base_url, None, service.api_key, sleep=waited.append) as connection:
        body = {
            "model": GEMMA,
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": False,
        }
        assert connection.ask("chat/completions", body).status == 200
    assert waited == [3.0, 3.0, 8.0]


@pytest.mark.parametrize(
    ("failure", "said"), [("gone", "HTTP 410"), ("unauthorized", "HTTP 401"), (404, "HTTP 404")]
)
def test_a_model_that_is_not_served_is_asked_once(
    nvcf: Any, service: Emulator, failure: Any, said: str
) -> None:
    service.fail(failure, when={"model": KIMI}, times=None)
    ended = nvcf("verify", KIMI, GEMMA, "--json")
    assert ended.status == 1
    (kimi,) = (probe for probe in ended.document["probes"] if probe["model"] == KIMI)
    assert said in kimi["detail"]
    assert sum(chat.body.get("model") == KIMI for chat in service.chats) == 1
    assert sum(probe["model"] == GEMMA for probe in ended.document["probes"]) > 10


def test_a_server_that_is_not_there(nvcf: Any, closed_port: int) -> None:
    ended = nvcf("verify", GEMMA, "--base-url", f"http://127.0.0.1:{closed_port}/v1", "--json")
    assert ended.status == 1
    (probe,) = ended.document["probes"]
    assert probe["observed"] == "no response"
    assert "ConnectError" in probe["detail"]


@pytest.mark.skipif(
    httpx.__version__.startswith("0.27"), reason="it ignores a file that is not there"
)
def test_certificates_that_cannot_be_used(nvcf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    ended = nvcf("verify", GEMMA, "--base-url", "https://127.0.0.1:1/v1", "--json")
    assert ended.status == 1
    assert "connections cannot be made" in ended.document["error"]["message"]
    assert "`nvcf doctor`" in ended.err


def test_no_key_for_nvidia(nvcf: Any) -> None:
    ended = nvcf("verify", GEMMA, "--base-url", "https://integrate.api.nvidia.com/v1")
    assert ended.status == 1
    assert "there is no API key: set NVIDIA_API_KEY" in ended.err


@pytest.mark.nvcf_emulator(strict=False, models=["acme/own-model"])
def test_a_model_without_documentation_is_held_against_the_emulator(
    nvcf: Any, service: Emulator
) -> None:
    ended = nvcf("verify", "acme/own-model", "--json")
    assert ended.status == 0, ended.err
    assert {probe["documented"] for probe in ended.document["probes"]} == {None}


def test_a_server_of_ones_own_is_held_against_the_documentation(
    nvcf: Any,
    service: Emulator,
    deviating_url: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NVCF_URL")
    url = deviating_url(ask=_clamped("temperature", 1))
    probes = nvcf("verify", KIMI, "--base-url", url, "--json").document["probes"]
    assert "asset" not in {probe["probe"] for probe in probes}
    (found,) = (probe for probe in probes if probe["deviates"])
    assert found["probe"] == "temperature 1.01"
    assert found["documented"] == found["emulator"] == "refused"


def test_another_name_of_the_same_weights_is_sent(nvcf: Any, service: Emulator) -> None:
    nvcf("verify", "moonshotai/Kimi-K2.6")
    assert service.chats[0].body["model"] == "moonshotai/Kimi-K2.6"


def test_a_key_that_the_server_repeats_is_not_shown(nvcf: Any, service: Emulator) -> None:
    service.fail(403, body=f"the key {service.api_key} may not do this", times=None)
    ended = nvcf("verify", GEMMA, "--json")  # The fixture looks for the key.
    assert "the key [key] may not do this" in ended.document["probes"][0]["detail"]


def test_a_recording_can_be_replayed(
    nvcf: Any, service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recordings" / "kimi.jsonl"
    recorded = nvcf("verify", KIMI, "--record", str(path), "--json")
    assert recorded.status == 0, recorded.err
    text = path.read_text()
    assert service.api_key not in text
    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
    with Emulator.replay(path) as replayed:
        body = next(chat.body for chat in service.chats if chat.body["stream"])
        again = httpx.post(f"{replayed.base_url}/chat/completions", json=body)
    assert again.status_code == 200
    assert ProbeObservation(text=again.text).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("model", MODELS)
def test_a_recorded_verification_is_replayed_whole(
    nvcf: Any, service: Emulator, tmp_path: Path, model: str
) -> None:
    """What one person with a key recorded tells the next one, without a key, what was observed."""
    path = tmp_path / "session.jsonl"
    recorded = nvcf("verify", model, "--record", str(path), "--json")
    assert recorded.status == 0, recorded.err
    assert "/__signed__/" in path.read_text() or not spec_for(model).assets
    with Emulator.replay(path) as replayed:
        where = ("--base-url", replayed.base_url, "--nvcf-url", replayed.nvcf_url)
        again = nvcf("verify", model, *where, "--json")
        assert replayed.unused == []
    assert again.document["probes"] == recorded.document["probes"]


def test_models_of_two_hosts_are_recorded_apart(nvcf: Any, tmp_path: Path) -> None:
    ended = nvcf("verify", GEMMA, PALIGEMMA, "--record", str(tmp_path / "both.jsonl"))
    assert ended.status == 1
    hosts = "https://ai.api.nvidia.com/v1, https://integrate.api.nvidia.com/v1"
    assert f"these models are asked at different hosts ({hosts})" in ended.err
    assert not list(tmp_path.iterdir())


def test_every_outcome_of_a_response() -> None:
    assert (
        outcomes.answer_outcome(ProbeObservation(problem="ConnectError: refused")) == "no response"
    )
    assert outcomes.answer_outcome(ProbeObservation(status=500)) == "HTTP 500"
    assert outcomes.answer_outcome(ProbeObservation(status=403)) == "HTTP 403"
    assert outcomes.answer_outcome(ProbeObservation(status=422)) == "refused"
    assert outcomes.answer_outcome(ProbeObservation(status=200)) == "an empty answer"
    message = {"content": None, "reasoning_content": "Hm."}
    thought = ProbeObservation(status=200, body={"choices": [{"message": message}]})
    assert outcomes.answer_outcome(thought) == "reasoning, no text"
