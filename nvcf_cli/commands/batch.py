"""`nvcf batch`: ask a model for each row of a table."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from nvcf_cli.options import NVCFURL, AsJSON, BaseURL, service_settings
from nvcf_cli.output import CommandError, Output

__all__ = ["batch", "missing_batch"]

_REPORTED = (
    "rows", "answered", "failed", "skipped", "prompt_tokens", "completion_tokens", "seconds",
)  # fmt: skip
"""What a report of a run says."""


def missing_batch() -> None:
    """Ask a model for each row of a table. Needs the extra `batch`, which is not installed."""
    output = Output(as_json=False)
    with output.failures():
        raise CommandError('nvcf batch needs nvcf_batch: pip install "nvcf-adapters[batch]"')


def batch(
    source: Annotated[str, typer.Argument(help="Path or glob of Parquet or JSONL files.")],
    model: Annotated[str, typer.Option("--model", help="Id of the model.")],
    target: Annotated[
        Path, typer.Option("--output", metavar="FOLDER", help="Where the Parquet files go.")
    ],
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", help="A column, or a template with columns in braces."),
    ] = None,
    messages: Annotated[str | None, typer.Option("--messages", metavar="COLUMN")] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="COLUMN")] = None,
    audio: Annotated[str | None, typer.Option("--audio", metavar="COLUMN")] = None,
    video: Annotated[str | None, typer.Option("--video", metavar="COLUMN")] = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", metavar="FILE", help="JSON schema of the answers.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="COLUMN", help="What tells rows apart.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", metavar="N")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", metavar="N")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask rows that failed before once more.")
    ] = False,
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
    as_json: AsJSON = False,
) -> None:
    """Ask a model for each row of a table. Rows that were answered before are not asked again."""
    output = Output(as_json=as_json)
    chosen: dict[str, Any] = {
        "prompt": prompt,
        "messages": messages,
        "image": image,
        "audio": audio,
        "video": video,
        "schema": _schema_of(schema),
        "key": key,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "settings": service_settings(base_url, nvcf_url) or None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    with output.failures():
        try:
            report = import_module("nvcf_batch").run(
                source,
                model=model,
                output=str(target),
                retry_errors=retry_errors,
                progress=not as_json,
                **given,
            )
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        said = {name: getattr(report, name) for name in _REPORTED}
        output.document(said)
        output.line(", ".join(f"{name} {value}" for name, value in said.items()))
        if report.failed:
            output.complain(f"{report.failed} of {report.rows} rows failed; see the column `error`")
            raise typer.Exit(1)


def _schema_of(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}", param_hint="--schema") from None
