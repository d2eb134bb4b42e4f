"""The command `nvcf batch`, as a plain function that returns the exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nvcf_core.errors import InvalidRequestError, NVCFError

from .report import Estimate, Report
from .run import estimate, run

__all__ = ["batch"]


def batch(
    source: str,
    output: str,
    *,
    model: str,
    schema: str | None = None,
    dry_run: bool = False,
    as_json: bool = False,
    **keywords: Any,
) -> int:
    """Run a batch, and print what became of it.

    Args:
        source: a path, glob or url of Parquet or JSONL files.
        output: the folder to write.
        model: the model id.
        schema: a file with the JSON schema that answers must fit.
        dry_run: say what a run would need, and ask nothing.
        as_json: print one JSON document and nothing else.
        keywords: others of `nvcf_batch.run`.

    Returns:
        The exit status: 0 where every row has an answer; 1 where rows failed, or the run was ended; 2 where it was
        called wrongly and nothing was asked. The cause is on the standard error.
    """
    try:
        given = {**keywords, "model": model, "output": output, "schema": _schema(schema)}
        if dry_run:
            _print_estimate(_estimate(source, given), as_json)
            return 0
        report = run(source, **given, progress=not as_json)
    except (InvalidRequestError, FileNotFoundError) as error:
        return _fail(error, as_json, status=2)
    except (NVCFError, OSError) as error:
        return _fail(error, as_json, status=1)
    except KeyboardInterrupt:
        _complain("interrupted: what was answered is written; the same command goes on from there")
        return 1
    _print_report(report, as_json)
    if report.failed:
        _complain(
            f"{report.failed} of {report.rows} rows failed; the column error says why, and "
            "--retry-errors asks them again"
        )
    return 1 if report.failed else 0


def _estimate(source: str, given: Mapping[str, Any]) -> Estimate:
    of_running = {"concurrency", "address", "local", "actors"}
    return estimate(source, **{name: given[name] for name in given if name not in of_running})


def _schema(path: str | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"schema: cannot read {path}: {error}", field="schema") from None


def _fail(error: Exception, as_json: bool, *, status: int) -> int:
    if as_json:
        _print_json({"error": {"type": type(error).__name__, "message": str(error)}})
    _complain(str(error))
    return status


def _complain(text: str) -> None:
    sys.stderr.write(f"nvcf: {text}\n")


def _print_json(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _print_report(report: Report, as_json: bool) -> None:
    if as_json:
        _print_json(asdict(report))
        return
    sys.stdout.write(
        f"{report.rows:,} rows: {report.answered:,} answered, {report.failed:,} failed, "
        f"{report.skipped:,} skipped; {report.prompt_tokens:,} + {report.completion_tokens:,} tokens "
        f"in {report.seconds:,.1f} s\n"
    )


def _print_estimate(found: Estimate, as_json: bool) -> None:
    if as_json:
        _print_json(asdict(found))
        return
    answers = (
        "" if found.completion_tokens is None else f", answers up to {found.completion_tokens:,}"
    )
    minutes = (
        "; set --requests-per-minute to know the minutes"
        if found.minutes is None
        else f"; {found.minutes:,.1f} minutes"
    )
    sys.stdout.write(
        f"{found.rows:,} rows, {found.skipped:,} of them done: {found.requests:,} requests, "
        f"about {found.prompt_tokens:,} prompt tokens{answers}{minutes}\n"
    )
