"""What a run is to do, by its keywords: checked before anything is asked, and put into the job of its workers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pyarrow as pa
from pydantic import BaseModel

from nvcf_core import FileLimiter, MediaKind, RequestLimiter
from nvcf_core.config.settings import CallSettings, Settings
from nvcf_core.errors import InvalidRequestError

from .answer_schema import ParsedAnswers
from .asker import AskerConfig
from .output_folder import OutputFolder
from .question import Question, check_column
from .report import Counts
from .results import output_schema
from .run_lock import claimed
from .worker import Job

__all__ = ["Columns", "Plan"]

Columns: TypeAlias = str | Sequence[str] | None

_LIMIT_FILE = "_requests_per_minute.sqlite"

_WITHOUT_EFFECT_ON_ANSWERS = (frozenset(Settings.model_fields) - frozenset(CallSettings.model_fields)) | {
    "timeout", "stream_chunk_timeout", "poll_timeout", "call_timeout", "max_retries", "default_headers",
    "streaming", "stream_usage", "on_progress", "validation",
}  # fmt: skip
"""Settings that may change between two runs without making their requests others."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The keywords of a run; see `nvcf_batch.run`.

    Raises:
        InvalidRequestError: a number is not positive.
    """

    model: str
    output: str | os.PathLike[str]
    prompt: str | None
    messages: str | None
    media: Mapping[MediaKind, Columns]
    schema: type[BaseModel] | Mapping[str, Any] | None
    key: str | None
    concurrency: int
    requests_per_minute: int | None
    retry_errors: bool
    settings: Mapping[str, Any]
    workers: int

    def __post_init__(self) -> None:
        for name in ("concurrency", "workers", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidRequestError(f"{name}={value!r} must be 1 or more", field=name)

    @cached_property
    def run(self) -> str:
        """The id of the run."""
        return uuid4().hex[:12]

    @cached_property
    def folder(self) -> OutputFolder:
        """The output."""
        return OutputFolder(self.output)

    @cached_property
    def question(self) -> Question:
        """The template that makes messages of a row."""
        media = tuple(
            (kind, name)
            for kind, columns in self.media.items()
            for name in ([columns] if isinstance(columns, str) else columns or [])
        )
        return Question(prompt=self.prompt, messages=self.messages, media=media)

    @cached_property
    def parser(self) -> ParsedAnswers | None:
        """Reads objects of the schema.

        Raises:
            InvalidRequestError: it is not a schema.
        """
        return None if self.schema is None else ParsedAnswers(self.schema)

    @cached_property
    def asker(self) -> AskerConfig:
        """The model. Urls of this process's environment go with it.

        Raises:
            InvalidRequestError: a setting is out of bounds.
        """
        config = AskerConfig.of(self.model, self.settings)
        made = config.make()
        urls = {"base_url": made.base_url, "nvcf_url": made.nvcf_url}
        return replace(config, settings={**config.settings, **urls})

    @contextmanager
    def prepared(self, columns: pa.Schema) -> Iterator[pa.Schema]:
        """Check everything, make the output, and take the failed rows out where they are to be asked again.

        The output is this run's while the block runs.

        Args:
            columns: of the source.

        Yields:
            The columns of the output.

        Raises:
            InvalidRequestError: a column does not exist, or a keyword is not usable, or the output has other columns,
                or another run is writing to it.
            OSError: the output cannot be written.
        """
        schema = self.check(columns)
        with claimed(self.folder, self.run):
            self._tidy_up(schema)
            yield schema

    def _tidy_up(self, schema: pa.Schema) -> None:
        self.folder.remove_half_written()
        for name, _, found in self.folder.footers():
            if found != schema:
                raise InvalidRequestError(
                    f"output: {name} in {self.folder.url} has other columns than this run would write; "
                    "choose another folder",
                    field="output",
                )
        if self.retry_errors:
            self.folder.remove_failed()

    def check(self, columns: pa.Schema) -> pa.Schema:
        """Check all that can be checked without the output. Returns the output's columns.

        Raises:
            InvalidRequestError: a column does not exist, or a keyword is not usable.
        """
        self.question.columns(columns.names)
        if self.key is not None:
            check_column(self.key, "key", columns.names)
        _ = self.asker
        return output_schema(columns, pa.string() if self.parser is None else self.parser.type)

    def job(self, schema: pa.Schema, limiter: RequestLimiter | None) -> Job:
        """The job of each worker.

        Args:
            schema: the columns of the output.
            limiter: the limit of `requests_per_minute`; None: there is none.
        """
        asker = self.asker
        if limiter is not None:
            asker = replace(asker, limiter=limiter)
        return Job(
            question=self.question,
            asker=asker,
            parser=self.parser,
            folder=self.folder,
            schema=schema,
            run=self.run,
            key=self.key,
            request=self._request,
            concurrency=max(1, self.concurrency // self.workers),
        )

    def file_limiter(self) -> FileLimiter | None:
        """The limit of a run in one process, which counts what ran within the last minute, too."""
        if self.requests_per_minute is None:
            return None
        folder = self.folder.local_path
        if folder is None:
            name = f"nvcf_batch-{sha256(self.folder.url.encode()).hexdigest()[:16]}.sqlite"
            return FileLimiter(Path(tempfile.gettempdir()) / name, self.requests_per_minute)
        return FileLimiter(Path(folder) / _LIMIT_FILE, self.requests_per_minute)

    def written(self) -> Counts:
        """Rows and tokens of this run, as its files have them."""
        total = Counts()
        for _, footer, _ in self.folder.footers(self.run):
            total.add(footer.counts)
        return total

    @property
    def _request(self) -> str:
        """How rows are asked, as text: what makes the same row another request."""
        settings = {
            name: value
            for name, value in self.settings.items()
            if name not in _WITHOUT_EFFECT_ON_ANSWERS
        }
        schema = None if self.parser is None else self.parser.json_schema
        asked = [self.model, self.prompt, self.messages, self.question.media, schema, settings]
        return json.dumps(asked, sort_keys=True, default=repr)
