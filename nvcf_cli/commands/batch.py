"""`nvcf batch`: ask a model for each row of a table."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Annotated, Any

import typer

from nvcf_cli.options import NVCFURL, AsJSON, BaseURL, complete_model, service_settings
from nvcf_cli.output import CommandError, Output

__all__ = ["batch", "missing_batch"]

_INSTALL = 'pip install "nvcf-adapters[batch]"'


def _column(says: str) -> Any:
    return typer.Option(metavar="COLUMN", help=says)


def _count(says: str) -> Any:
    return typer.Option(metavar="N", min=1, help=says)


def missing_batch() -> None:
    """Ask a model for each row of a table. Needs the extra `batch`, which is not installed."""
    with Output(as_json=False).failures():
        raise CommandError(f"nvcf batch needs nvcf_batch: {_INSTALL}")


def batch(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Path, glob or url of Parquet or JSONL files.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Folder of Parquet files to write, or its url.")
    ],
    model: Annotated[str, typer.Option(help="Id of the model.", autocompletion=complete_model)],
    prompt: Annotated[
        str | None, typer.Option(help="A column, or a template with columns in braces.")
    ] = None,
    messages: Annotated[str | None, _column("Conversations: lists of messages.")] = None,
    image: Annotated[
        list[str] | None, _column("Images: bytes, paths or urls; may be repeated.")
    ] = None,
    audio: Annotated[
        list[str] | None, _column("Audio: bytes, paths or urls; may be repeated.")
    ] = None,
    video: Annotated[
        list[str] | None, _column("Videos: bytes, paths or urls; may be repeated.")
    ] = None,
    schema: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON schema that answers must fit.")
    ] = None,
    key: Annotated[str | None, _column("What rows are known by.")] = None,
    concurrency: Annotated[int | None, _count("Requests under way at once.")] = None,
    requests_per_minute: Annotated[
        int | None, _count("Never more than this many in any 60 seconds.")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask rows again that failed before.")
    ] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A further setting of the model; VALUE may be JSON."
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Do all of it in this process, without Ray.")
    ] = False,
    actors: Annotated[int | None, _count("Workers, each a process of Ray's.")] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Ray cluster.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would need, and ask nothing.")
    ] = False,
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
    as_json: AsJSON = False,
) -> None:
    """Ask a model for each row of a table. Rows that OUTPUT has already are not asked again."""
    chosen: dict[str, Any] = {
        "prompt": prompt,
        "messages": messages,
        "image": image or None,
        "audio": audio or None,
        "video": video or None,
        "schema": schema,
        "key": key,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "retry_errors": retry_errors or None,
        "settings": {**_settings(setting), **service_settings(base_url, nvcf_url)} or None,
        "local": local or None,
        "actors": actors,
        "address": address,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    with Output(as_json=as_json).failures():
        try:
            # Here: what it needs comes with an extra of its own, and takes seconds to load.
            run = import_module("nvcf_batch.command").batch
        except ImportError as error:
            raise CommandError(str(error)) from None
    status = run(source, target, model=model, dry_run=dry_run, as_json=as_json, **given)
    raise typer.Exit(status)


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
