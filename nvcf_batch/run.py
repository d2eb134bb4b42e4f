"""`run`: a model asked for each row of a table; `estimate`: what that would need."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

from pydantic import BaseModel

from nvcf_core import Message
from nvcf_core.errors import InvalidRequestError

from .cluster_limiter import ClusterLimiter
from .ledger import Ledger
from .local_run import run_locally
from .plan import Columns, Plan
from .progress import shown_progress
from .report import Estimate, Report
from .sources import FileSource
from .worker import Job

__all__ = ["estimate", "run"]

_CHARACTERS_OF_A_TOKEN = 4
_TOKENS_OF_A_MESSAGE = 4
_READ_ROWS = 256


def run(
    source: Any,
    *,
    model: str,
    output: str | os.PathLike[str],
    prompt: str | None = None,
    messages: str | None = None,
    image: Columns = None,
    audio: Columns = None,
    video: Columns = None,
    schema: type[BaseModel] | Mapping[str, Any] | None = None,
    key: str | None = None,
    concurrency: int = 64,
    requests_per_minute: int | None = None,
    retry_errors: bool = False,
    settings: Mapping[str, Any] | None = None,
    address: str | None = None,
    progress: bool = True,
    local: bool = False,
    actors: int = 2,
) -> Report:
    """Ask a model for each row of a table, and write its answers beside the rows.

    Rows that `output` has already are not asked again, so that a run that was interrupted goes on where it was.

    Args:
        source: a path, glob or url of Parquet or JSONL files, or a Ray Dataset.
        model: the model id.
        output: the folder of Parquet files to write, a path or any url that fsspec knows. They have the source's
            columns, and `answer`, `reasoning`, `tool_calls`, `parsed`, `finish_reason`, `prompt_tokens`,
            `completion_tokens`, `request_id`, `error_type`, `error`, `tries` and `seconds`.
        prompt: a column, or a template with columns in braces.
        messages: a column of conversations: lists of objects with `role` and `content`, or JSON text of them. `prompt`
            and media come after them, as the user's last message.
        image, audio, video: columns of bytes, paths or urls, or of lists of these.
        schema: a pydantic class or a JSON schema that answers must fit; they are in the column `parsed`.
        key: the column that rows are known by. Rows with the same key are asked once. Default: rows are known by all
            that they hold and by how they are asked; rows that are the same in all are each asked.
        concurrency: requests that are under way at once, in all.
        requests_per_minute: never more than this many in any 60 seconds, over all workers, and over a restart.
        retry_errors: ask rows again that failed in earlier runs.
        settings: further keywords of `ChatNVCF`'s constructor, such as `temperature` or `base_url`, and fields of the
            request's body. `max_retries` is 5 where it is not set.
        address: of a Ray cluster. Default: Ray that runs already, or else is started on this machine for this run.
        progress: whether to show progress on the standard error.
        local: do all of it in this process, without Ray. For files alone.
        actors: workers, each a process. Where `local`: without effect.

    Returns:
        What became of the rows.

    Raises:
        InvalidRequestError: a column does not exist, or a keyword is not usable, or there is no API key where one is
            needed, or another run is writing to `output`. Nothing was asked. Or a row's key is null, which shows when
            its turn comes: what was answered before is written.
        FileNotFoundError: there is no source.
        OSError: the output cannot be written. What was written before stays.
    """
    started = time.monotonic()
    plan = Plan(
        model=model,
        output=output,
        prompt=prompt,
        messages=messages,
        media={"image": image, "audio": audio, "video": video},
        schema=schema,
        key=key,
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        retry_errors=retry_errors,
        settings=settings or {},
        workers=1 if local else min(actors, max(1, concurrency)),
    )
    skipped = (
        _run_locally(plan, _files(source), progress)
        if local
        else _run_on_ray(plan, source, address, progress)
    )
    written = plan.written()
    return Report(
        rows=written.rows + skipped,
        answered=written.answered,
        failed=written.failed,
        skipped=skipped,
        prompt_tokens=written.prompt_tokens,
        completion_tokens=written.completion_tokens,
        seconds=time.monotonic() - started,
    )


def _run_locally(plan: Plan, source: FileSource, progress: bool) -> int:
    """Run without Ray. Returns how many rows were skipped."""
    with plan.prepared(source.schema) as schema:
        job = plan.job(schema, plan.file_limiter())
        ledger = _ledger(plan)
        with shown_progress(ledger.progress, source.rows, enabled=progress):
            run_locally(source, job, ledger)
    return ledger.progress().skipped


def _run_on_ray(plan: Plan, source: Any, address: str | None, progress: bool) -> int:
    """Run on Ray. Returns how many rows were skipped."""
    from . import ray_run  # Importing Ray takes seconds, which runs without it need not wait for.

    files = None if hasattr(source, "map_batches") else _files(source)
    if files is not None:
        plan.check(files.schema)  # Before Ray is started, which takes seconds.
    with ExitStack() as stack:
        stack.enter_context(ray_run.ray_running(address))
        dataset = source if files is None else files.ray_dataset()
        stack.enter_context(ray_run.suited_context(dataset))
        columns = ray_run.dataset_schema(source) if files is None else files.schema
        schema = stack.enter_context(plan.prepared(columns))
        ledger = stack.enter_context(
            closing(ray_run.RayLedger.start(plan.folder, plan.run, unique=plan.key is not None))
        )
        job = plan.job(schema, _cluster_limiter(plan, stack))
        with shown_progress(
            ledger.progress, None if files is None else files.rows, enabled=progress
        ):
            ray_run.run_on_ray(dataset, job, ledger, plan.workers)
        return ledger.progress().skipped


def _files(source: Any) -> FileSource:
    if not isinstance(source, str | os.PathLike):
        raise InvalidRequestError(
            f"source must be a path, a glob, a url, or on Ray a Dataset, not {type(source).__name__}",
            field="source",
        )
    return FileSource.open(os.fspath(source))


def _ledger(plan: Plan) -> Ledger:
    return Ledger(plan.folder, plan.run, unique=plan.key is not None)


def _cluster_limiter(plan: Plan, stack: ExitStack) -> ClusterLimiter | None:
    if plan.requests_per_minute is None:
        return None
    limiter = ClusterLimiter(plan.requests_per_minute, state=plan.folder.url)
    return stack.enter_context(closing(limiter))


def estimate(
    source: str | os.PathLike[str],
    *,
    model: str,
    output: str | os.PathLike[str],
    prompt: str | None = None,
    messages: str | None = None,
    image: Columns = None,
    audio: Columns = None,
    video: Columns = None,
    schema: type[BaseModel] | Mapping[str, Any] | None = None,
    key: str | None = None,
    requests_per_minute: int | None = None,
    retry_errors: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Estimate:
    """Say what a run would need, without asking or writing anything. The keywords are those of `run`.

    Args:
        source: a path, glob or url of Parquet or JSONL files.

    Raises:
        InvalidRequestError: a column does not exist, or a keyword is not usable.
        FileNotFoundError: there is no source.
    """
    plan = Plan(
        model=model,
        output=output,
        prompt=prompt,
        messages=messages,
        media={"image": image, "audio": audio, "video": video},
        schema=schema,
        key=key,
        concurrency=1,
        requests_per_minute=requests_per_minute,
        retry_errors=retry_errors,
        settings=settings or {},
        workers=1,
    )
    files = _files(source)
    job = plan.job(plan.check(files.schema), None)
    requests, tokens = _reckon(files, job, plan)
    most = plan.settings.get("max_tokens")
    return Estimate(
        rows=files.rows,
        skipped=files.rows - requests,
        requests=requests,
        prompt_tokens=tokens,
        completion_tokens=None if most is None else most * requests,
        minutes=None if requests_per_minute is None else requests / requests_per_minute,
    )


def _reckon(files: FileSource, job: Job, plan: Plan) -> tuple[int, int]:
    """Rows that would be asked, and the tokens of their prompts."""
    ledger = Ledger(plan.folder, plan.run, unique=plan.key is not None, again=plan.retry_errors)
    requests = tokens = 0
    for number, table in enumerate(files.batches(_READ_ROWS)):
        ids = ledger.claim(str(number), job.digests(table))
        for row, id in zip(table.to_pylist(), ids, strict=True):
            if id is not None:
                requests += 1
                tokens += _tokens(job, row)
    return requests, tokens


def _tokens(job: Job, row: Mapping[str, Any]) -> int:
    try:
        messages: list[Message] = job.question.conversation(row)
    except InvalidRequestError:
        return 0  # The run will refuse this row, and say why.
    return sum(
        _TOKENS_OF_A_MESSAGE + len(message.text) // _CHARACTERS_OF_A_TOKEN for message in messages
    )
