"""A run on Ray: Ray Data reads the source and hands blocks of rows to a pool of actors, each a worker."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray import cloudpickle
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nvcf_core.errors import InvalidRequestError, NVCFError

from .background_loop import BackgroundLoop
from .ledger import Ledger
from .report import Counts
from .worker import Job, Worker

__all__ = ["RayLedger", "dataset_schema", "ray_running", "run_on_ray", "suited_context"]

_BLOCK_ROWS = 64
"""Rows that go to an actor at once. Few, so that all actors have some, and images do not fill the memory."""

_QUEUED = 4
"""Batches that wait at an actor besides those that it asks, so that it does not wait for the driver."""

_ACTOR_CPUS = 0
"""A worker mostly waits for the network. Reading the source needs a processor, of which a node may have only one."""

_OPTIONS = {
    "enable_progress_bars": False,
    # A low limit, or a service that is down, may take longer than the half hour that Ray gives a block.
    "execution_no_progress_timeout_s": -1,
    # A worker that dies while it starts is replaced, as later.
    "max_consecutive_actor_init_deaths": 10,
    # A thread for each block, which measures what nothing here asks for.
    "memory_usage_poll_interval_s": None,
}
"""Options of Ray Data while a batch runs."""


class RayLedger:
    """A ledger in an actor, as the driver and the workers ask it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    @classmethod
    def start(cls, *args: Any, **options: Any) -> RayLedger:
        """Start the actor; the arguments are those of `Ledger`.

        Raises:
            InvalidRequestError: the output has files of others.
        """
        # On the driver's node: the run ends with that one anyway, and with no other.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(Ledger).options(num_cpus=0, scheduling_strategy=here)
        return cls(actor.remote(*args, **options))

    async def claim(self, token: str, digests: list[bytes]) -> list[bytes | None]:
        """As `Ledger.claim`."""
        ids: list[bytes | None] = await self._actor.claim.remote(token, digests)
        return ids

    def note(self, counts: Counts) -> None:
        """As `Ledger.note`, without waiting."""
        self._actor.note.remote(counts)

    def progress(self) -> Counts:
        """As `Ledger.progress`."""
        counts: Counts = ray.get(self._actor.progress.remote())
        return counts

    def fail(self, error: Exception) -> None:
        """As `Ledger.fail`."""
        ray.get(self._actor.fail.remote(error))

    def failure(self) -> Exception | None:
        """As `Ledger.failure`."""
        error: Exception | None = ray.get(self._actor.failure.remote())
        return error

    def close(self) -> None:
        """End the actor."""
        ray.kill(self._actor)


@contextmanager
def ray_running(address: str | None) -> Iterator[None]:
    """Ray, started on this machine or connected to, and left as it was found.

    Args:
        address: of a cluster; None: the one that runs already, or else one for this run alone.
    """
    if ray.is_initialized():
        yield
        return
    dashboard = None if address else False  # None: that of the cluster.
    try:
        with _interrupts_held():
            ray.init(
                address=address or "local",
                include_dashboard=dashboard,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        yield
    finally:
        with _interrupts_held():
            ray.shutdown()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait while Ray starts or ends, which would leave processes behind. A second one does not wait."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield  # Nothing of Python's would be interrupted here.
        return
    held = False

    def hold(*_: object) -> None:
        nonlocal held
        held = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


def dataset_schema(dataset: Any) -> pa.Schema:
    """The columns of a Ray Dataset."""
    found = dataset.schema()
    types = found.types if found is not None else []
    if found is not None and all(isinstance(kind, pa.DataType) for kind in types):
        return pa.schema(list(zip(found.names, types, strict=True)))
    for table in dataset.limit(_BLOCK_ROWS).iter_batches(batch_format="pyarrow"):
        return table.schema.remove_metadata()
    return pa.schema([])


def run_on_ray(dataset: Any, job: Job, ledger: RayLedger, actors: int) -> None:
    """Ask every row of a dataset that is not done.

    Args:
        dataset: a Ray Dataset.
        job: what the workers need to know.
        ledger: says which rows are to be asked.
        actors: workers.

    Raises:
        InvalidRequestError: a keyword cannot be sent to workers.
        NVCFError, OSError: what ended a worker.
    """
    _check_that_it_travels(job)
    calls = -(-job.concurrency // _BLOCK_ROWS) + 2
    with _plain_errors(ledger):
        done = dataset.repartition(target_num_rows_per_block=_BLOCK_ROWS).map_batches(
            _Actor,
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                size=actors,
                max_tasks_in_flight_per_actor=calls + _QUEUED,
                max_concurrent_calls_per_actor=calls,
                enable_true_multi_threading=True,
            ),
            fn_constructor_args=(job, ledger),
            num_cpus=_ACTOR_CPUS,
        )
        for _ in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            pass  # The workers have written the rows; what comes back is their number.


def _check_that_it_travels(job: Job) -> None:
    for field, value in (("schema", job.parser), ("settings", job.asker)):
        try:
            cloudpickle.dumps(value)
        except Exception as error:  # Whatever pickling the user's own objects raises.
            raise InvalidRequestError(
                f"{field}: it cannot be sent to workers: {error}; define classes and functions at the top level of a "
                "module, and without what only one process can have, such as locks and connections",
                field=field,
            ) from error


class _Actor:
    """A worker as Ray Data calls it, from several threads at once.

    It is opened by its first batch: what fails while an actor is made is no error of a run to Ray, but a reason to make
    another.
    """

    def __init__(self, job: Job, ledger: RayLedger) -> None:
        self._job, self._ledger = job, ledger
        self._loop = BackgroundLoop()
        self._worker: asyncio.Task[Worker] | None = None
        self._batches: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, batch: pa.Table) -> pa.Table:
        with self._failures():
            self._loop.run(self._process(self._token(), batch))
        return pa.table({"rows": [batch.num_rows]})

    async def _process(self, token: str, batch: pa.Table) -> None:
        if self._worker is None:
            self._worker = asyncio.ensure_future(_opened(self._job, self._ledger))
        worker = await asyncio.shield(self._worker)
        await worker.process(token, batch)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Report an error to the driver: Ray would pass on its text only."""
        try:
            yield
        except (NVCFError, OSError) as error:
            self._ledger.fail(error)
            raise

    def _token(self) -> str:
        """What a batch is known by: its task, which has the same id when another actor tries it again."""
        task = ray.get_runtime_context().get_task_id() or ""
        with self._lock:
            self._batches[task] += 1
            return f"{task}:{self._batches[task]}"


async def _opened(job: Job, ledger: RayLedger) -> Worker:
    return await Worker(job, ledger).__aenter__()


@contextmanager
def suited_context(dataset: Any) -> Iterator[None]:
    """The options of a dataset as a batch needs them while the block runs.

    Args:
        dataset: a Ray Dataset.
    """
    context, log = dataset.context, logging.getLogger("ray.data")
    before = {name: getattr(context, name) for name in _OPTIONS}
    order, level = context.execution_options.preserve_order, log.level
    for name, value in _OPTIONS.items():
        setattr(context, name, value)
    context.execution_options.preserve_order = False  # Fast rows wait for no others.
    log.setLevel(logging.CRITICAL)  # What ends the run is raised.
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        context.execution_options.preserve_order = order
        log.setLevel(level)


@contextmanager
def _plain_errors(ledger: RayLedger) -> Iterator[None]:
    """Errors of a worker as they were raised there, and not as Ray wraps them."""
    try:
        yield
    except RayError as error:
        found = ledger.failure()
        if found is None:
            raise
        raise found from error
