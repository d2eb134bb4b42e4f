"""`nvcf verify`: hold a server against the models' documentation and the emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nvcf_cli.chat_model import ChatModel
from nvcf_cli.options import (
    NVCFURL,
    AsJSON,
    BaseURL,
    Models,
    MoreModels,
    chosen_models,
    service_settings,
)
from nvcf_cli.output import CommandError, Output
from nvcf_cli.recording import recorder
from nvcf_cli.verification.comparison import Result, compare, estimated_cost
from nvcf_cli.verification.exchange import Connection
from nvcf_cli.verification.probes import Probe, probes_for
from nvcf_core.config.endpoints import is_nvidia_https_url
from nvcf_core.models.catalog import known_models, spec_for

__all__ = ["verify"]

_WIDTHS = (33, 13, 13)
"""Columns of a line: probe, documented, emulator. What was observed has the rest."""


def verify(
    models: Models = None,
    model: MoreModels = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Also write every exchange with the server there, as JSON lines, without the key.",
        ),
    ] = None,
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
    as_json: AsJSON = False,
) -> None:
    """Probe models at a server, and compare: documented, emulator, observed. It costs tokens.

    The exit status is 1 where something deviates: from the documentation, or where that says
    nothing, from the emulator.
    """
    output = Output(as_json=as_json)
    names = chosen_models(models, model) or [spec.id for spec in known_models()]
    results: list[Result] = []
    settings = service_settings(base_url, nvcf_url)
    with (
        output.failures(),
        _recorded(record, [ChatModel(model=name, **settings) for name in names]) as asked,
    ):
        probes = {chat.model: _probes(chat) for chat in asked}
        cost = {name: _cost(found) for name, found in probes.items()}
        _announce(cost, output)
        for result in _results(asked, probes):
            results.append(result)
            _show(result, output)
    _conclude(results, cost, output)


def _probes(model: ChatModel) -> list[Probe]:
    # The row of the documentation, also where the server is the user's own.
    return probes_for(spec_for(model.model), assets=model.endpoints.nvcf_url is not None)


def _cost(probes: Sequence[Probe]) -> dict[str, int]:
    return {"requests": len(probes), "tokens_at_most": estimated_cost(probes)}


def _announce(cost: dict[str, dict[str, int]], output: Output) -> None:
    for name, part in cost.items():
        output.line(
            f"{name}: {part['requests']} requests, at most about {part['tokens_at_most']:,} tokens"
        )
    output.line()
    output.line(_columns("", "documented", "emulator", "observed"), "bold")


def _results(models: Sequence[ChatModel], probes: dict[str, list[Probe]]) -> Iterator[Result]:
    try:
        from nvcf_emulator import Emulator  # It comes with an extra of its own.
    except ImportError as error:
        raise CommandError(str(error)) from None
    documented = {spec.id for spec in known_models()}
    others = [model.model for model in models if model.model not in documented]
    with Emulator(models=others) as reference:
        for model in models:
            service = model.endpoints
            key = _key(service.base_url)
            with Connection(service.base_url, service.nvcf_url, key) as server:
                yield from compare(spec_for(model.model), probes[model.model], server, reference)


def _key(base_url: str) -> str:
    key = os.environ.get("NVIDIA_API_KEY", "").strip()
    if not key and is_nvidia_https_url(base_url):
        raise CommandError(
            "there is no API key: set NVIDIA_API_KEY (keys are made at https://build.nvidia.com)"
        )
    return key


@contextmanager
def _recorded(path: Path | None, models: list[ChatModel]) -> Iterator[list[ChatModel]]:
    """The models, asked at the server, or at the recording proxy before it."""
    if path is None:
        yield models
        return
    services = {model.endpoints for model in models}
    if len(services) > 1:
        hosts = ", ".join(sorted(service.base_url for service in services))
        raise CommandError(
            f"these models are asked at different hosts ({hosts}): record those of each host apart"
        )
    service = services.pop()
    with recorder(path, service) as proxy:
        # What has no asset API has none behind the proxy.
        settings = service_settings(proxy.base_url, service.nvcf_url and proxy.nvcf_url)
        yield [ChatModel(model=model.model, **settings) for model in models]


def _columns(*cells: str) -> str:
    *fixed, last = cells
    padded = [f"{cell:<{width}}" for cell, width in zip(fixed, _WIDTHS, strict=True)]
    return "  ".join([*padded, last])


def _show(result: Result, output: Output) -> None:
    if result.probe == "text":
        output.line(result.model, "bold")
    line = _columns(f"  {result.probe}", result.documented or "–", result.emulator, result.observed)
    output.line(f"{line}  ← deviates" if result.deviates else line, _style(result))
    if result.deviates and result.detail:
        output.line(f"    {result.detail}", "dim")


def _style(result: Result) -> str:
    return "bold red" if result.deviates else ""


def _conclude(results: Sequence[Result], cost: dict[str, dict[str, int]], output: Output) -> None:
    deviating = [result for result in results if result.deviates]
    output.document(
        {
            "ok": not deviating,
            "cost": cost,
            "probes": [asdict(result) for result in results],
        }
    )
    output.line()
    output.line(f"{len(results)} probes, {len(deviating)} deviate")
    if deviating:
        _complain(deviating, output)
        raise typer.Exit(1)


def _complain(deviating: Sequence[Result], output: Output) -> None:
    if output.is_terminal:  # The lines above say the rest.
        output.complain("deviating: " + ", ".join(result.probe for result in deviating))
        return
    for result in deviating:
        wanted = result.documented or f"{result.emulator}, as the emulator"
        output.complain(f"{result.model}: {result.probe}: {result.observed}, not {wanted}")
