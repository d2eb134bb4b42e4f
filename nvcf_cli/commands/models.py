"""`nvcf models`: what each documented model takes and does, and whether the service lists it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from nvcf_cli.chat_model import ChatModel
from nvcf_cli.options import NVCFURL, AsJSON, BaseURL, service_settings
from nvcf_cli.output import Output, error_document
from nvcf_core import ModelSpec
from nvcf_core.errors import NVCFError
from nvcf_core.models.catalog import known_models

__all__ = ["models"]

_MARKS = {True: "yes", False: "–", None: "?"}


def models(
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the service which models it lists.")
    ] = False,
    show_all: Annotated[
        bool,
        typer.Option("--all", help="Also name the listed models that have no model spec here."),
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Show what each documented model takes and does, and whether the service lists it for this key."""
    output = Output(as_json=as_json)
    listed, error = (None, None) if offline else _listing(service_settings(base_url, nvcf_url))
    specs = known_models()
    others = sorted(set(listed or ()) - {spec.id for spec in specs})
    output.render(_table(specs, listed))
    if show_all:
        for name in others:
            output.line(name)
    document: dict[str, Any] = {"models": [_row(spec, listed) for spec in specs]}
    document["other_listed_models"] = others
    if error is not None:
        document["error"] = error_document(error)
    output.document(document)
    if error is not None:
        output.complain(f"the service could not be asked which models it lists: {error}")
        raise typer.Exit(1)


def _listing(settings: dict[str, Any]) -> tuple[list[str] | None, NVCFError | None]:
    try:
        with ChatModel(model="any", max_retries=1, timeout=20.0, **settings) as model:
            return model.available_models(), None
    except NVCFError as error:
        return None, error


def _row(spec: ModelSpec, listed: list[str] | None) -> dict[str, Any]:
    return {
        "id": spec.id,
        "media": sorted(spec.media),
        "tools": spec.supports_tools,
        "reasoning": spec.supports_reasoning,
        "context_window": spec.context_window,
        "max_output_tokens": spec.max_output_tokens,
        "listed": None if listed is None else spec.id in listed,
    }


def _table(specs: tuple[ModelSpec, ...], listed: list[str] | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold")
    for name in ("media", "tools", "reasoning"):
        table.add_column(name)
    table.add_column("window", justify="right")
    table.add_column("listed")
    for spec in specs:
        row = _row(spec, listed)
        table.add_row(
            spec.id,
            ", ".join(row["media"]) or "–",
            _MARKS[row["tools"]],
            _MARKS[row["reasoning"]],
            f"{spec.context_window:,}",
            _MARKS[row["listed"]],
        )
    return table
