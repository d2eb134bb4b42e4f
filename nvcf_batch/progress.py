"""What is shown while a run goes on: rows, tokens, errors, rate, time left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from .report import Counts

__all__ = ["shown_progress"]

_REFRESH_SECONDS = 0.5


@contextmanager
def shown_progress(
    counts: Callable[[], Counts], total: int | None, *, enabled: bool
) -> Iterator[None]:
    """Show progress on the standard error while the block runs.

    Args:
        counts: asked for rows and tokens so far, from a thread.
        total: rows of the source; None: not known.
        enabled: whether anything is shown.
    """
    if not enabled:
        yield
        return
    bar = Progress(
        TextColumn("rows"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f}/s"),
        TextColumn("{task.fields[tokens]:,} tokens"),
        TextColumn("{task.fields[errors]:,} errors"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    ended = threading.Event()
    with bar:
        task = bar.add_task("rows", total=total, rate=0.0, tokens=0, errors=0)
        refresher = threading.Thread(target=_refresh, args=(bar, task, counts, ended), daemon=True)
        refresher.start()
        try:
            yield
        finally:
            ended.set()
            refresher.join()


def _refresh(
    bar: Progress, task: TaskID, counts: Callable[[], Counts], ended: threading.Event
) -> None:
    last = False
    while not last:
        last = ended.wait(_REFRESH_SECONDS)
        found = counts()
        elapsed = bar.tasks[0].elapsed or 0.0
        bar.update(
            task,
            completed=found.rows,
            rate=(found.answered + found.failed) / elapsed if elapsed else 0.0,
            tokens=found.prompt_tokens + found.completion_tokens,
            errors=found.failed,
        )
