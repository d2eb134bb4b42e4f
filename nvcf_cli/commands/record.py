"""`nvcf record -- COMMAND`: run a program while everything between it and the service is written down."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from nvcf_cli.chat_model import ChatModel
from nvcf_cli.options import NVCFURL, BaseURL, service_settings
from nvcf_cli.output import CommandError, Output
from nvcf_cli.recording import recorder

__all__ = ["record"]


def record(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="The program and its arguments.")
    ],
    output_path: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where to write the exchanges, as JSON lines. Default: below ./recordings.",
        ),
    ] = None,
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
) -> None:
    """Run COMMAND against a proxy that records each exchange, without the key.

    COMMAND finds the proxy in NVIDIA_BASE_URL and NVCF_URL. The exit status is 0 where COMMAND's is.
    """
    output = Output(as_json=False)
    path = output_path or Path("recordings", f"nvcf-{datetime.now():%Y%m%d-%H%M%S}.jsonl")
    with output.failures():
        status = _run_recorded(command, path, base_url, nvcf_url)
        output.note(f"recorded in {path}")
        if status:
            raise CommandError(f"{command[0]} ended with status {status}")


def _run_recorded(
    command: list[str], path: Path, base_url: str | None, nvcf_url: str | None
) -> int:
    service = ChatModel(model="any", **service_settings(base_url, nvcf_url)).endpoints
    with recorder(path, service) as server:
        environment = {
            **os.environ,
            "NVIDIA_BASE_URL": server.base_url,
            "NVCF_URL": server.nvcf_url,
        }
        try:
            return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
        except OSError as error:
            raise CommandError(f"{command[0]} cannot be run: {error}") from None
