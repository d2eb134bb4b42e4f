"""The client: runs the protocol's flows and tracks uploaded assets."""

from __future__ import annotations

import atexit
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from .answer_stream import AnswerStream, AsyncAnswerStream
from .config.options import RequestOptions
from .errors import NVCFError, NVCFWarning
from .exchange import Flow, Response
from .media.delivery import Upload
from .messages import Chunk
from .protocol.assets import AssetApi, gather
from .protocol.chat import chat
from .protocol.chat_request import ChatRequest
from .protocol.retry import Retries, RetryPolicy
from .protocol.upload_cache import Asset, UploadCache
from .transport.backends import AsyncBackend, SyncBackend, run_sync
from .transport.clients import ClientConfig
from .transport.driver import FlowRunner

__all__ = ["Client", "PendingCleanup"]

T = TypeVar("T")

_AT_EXIT = 5.0
"""Seconds that deleting assets may take when the process ends."""


class PendingCleanup:
    """Upload caches whose assets are deleted when the process ends, also after their client is gone."""

    def __init__(self) -> None:
        self._caches: dict[UploadCache, tuple[ClientConfig, RequestOptions]] = {}

    def add(self, cache: UploadCache, config: ClientConfig, options: RequestOptions) -> None:
        """Track a cache, and how its assets are deleted."""
        self._caches[cache] = (config, options)

    def remove(self, cache: UploadCache) -> None:
        """Stop tracking a cache that holds no assets."""
        self._caches.pop(cache, None)

    def delete_all(self, seconds: float = _AT_EXIT) -> None:
        """Delete the assets of all caches, and warn about those that could not be deleted in `seconds`."""
        deadline = time.monotonic() + seconds
        for cache, (config, options) in list(self._caches.items()):
            assets = cache.pop_all()
            if time.monotonic() > deadline:
                _warn_not_deleted([f"no time to delete asset {asset.id}" for asset in assets])
            elif assets:
                backend = SyncBackend(config)
                flow = _delete_all(assets, cache)
                try:
                    _warn_not_deleted(
                        run_sync(FlowRunner(backend, replace(options, timeout=seconds)).run(flow))
                    )
                finally:
                    backend.pool.close()


_at_exit = PendingCleanup()
atexit.register(_at_exit.delete_all)


class Client:
    """Sends chat requests, sync and async. Safe to share between threads and event loops.

    Args:
        config: how connections are made.
        options: for the requests that delete uploaded assets.
        cleanup: deletes them when the process ends, if this client did not.
    """

    def __init__(
        self, config: ClientConfig, options: RequestOptions, cleanup: PendingCleanup | None = None
    ) -> None:
        self._config, self._options = config, options
        self._cleanup = cleanup or _at_exit
        self._backend, self._async_backend = SyncBackend(config), AsyncBackend(config)
        self._uploads = UploadCache()

    def __deepcopy__(self, memo: dict[int, Any]) -> Client:
        """A client with the same settings. Pools and uploaded assets stay behind."""
        return Client(self._config, self._options, self._cleanup)

    def complete(self, call: ChatRequest) -> Chunk:
        """Return one complete answer.

        Raises:
            NVCFError: the call failed.
        """
        reading = AnswerStream(self._backend, call, self._flow_factory(call), whole=True)
        for _ in reading.chunks():
            pass  # The decoder keeps what it reads.
        return reading.answer()

    def stream(self, call: ChatRequest) -> Generator[Chunk]:
        """Yield the chunks of one answer as they arrive. Closing the generator closes the connection.

        Raises:
            NVCFError: the call failed; `StreamInterruptedError` once the answer has begun.
        """
        return AnswerStream(self._backend, call, self._flow_factory(call), whole=False).chunks()

    async def acomplete(self, call: ChatRequest) -> Chunk:
        """Async version of `complete`."""
        reading = AsyncAnswerStream(self._async_backend, call, self._flow_factory(call), whole=True)
        async for _ in reading.chunks():
            pass  # The decoder keeps what it reads.
        return reading.answer()

    def astream(self, call: ChatRequest) -> AsyncGenerator[Chunk]:
        """Async version of `stream`."""
        begin = self._flow_factory(call)
        return AsyncAnswerStream(self._async_backend, call, begin, whole=False).chunks()

    def run_flow(self, flow: Flow[T], options: RequestOptions) -> T:
        """Run any other flow (model list, upload).

        Raises:
            NVCFError: the flow failed.
        """
        return run_sync(FlowRunner(self._backend, options).run(flow))

    async def arun_flow(self, flow: Flow[T], options: RequestOptions) -> T:
        """Async version of `run_flow`."""
        return await FlowRunner(self._async_backend, options).run(flow)

    def upload_flow(
        self,
        upload: Upload,
        root: str,
        retry: RetryPolicy,
        progress: Callable[[int, int], None] | None,
    ) -> Flow[Asset]:
        """Return the flow that uploads a file of any size. The asset is deleted when the client is closed."""
        api = AssetApi(root, retry, self._uploads)
        return self._track_uploads(api.upload(upload.source, upload.mime_type, progress))

    def close(self) -> None:
        """Delete the assets that this client uploaded, and close its pools. It can be used again."""
        assets = self._uploads.pop_all()
        try:
            if assets:
                _warn_not_deleted(self.run_flow(_delete_all(assets, self._uploads), self._options))
        finally:
            self._update_cleanup()
            self._backend.pool.close()
            self._async_backend.pools.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        assets = self._uploads.pop_all()
        try:
            if assets:
                _warn_not_deleted(
                    await self.arun_flow(_delete_all(assets, self._uploads), self._options)
                )
        finally:
            self._update_cleanup()
            await self._async_backend.pools.aclose()
            self._backend.pool.close()

    def _track_uploads(self, flow: Flow[T]) -> Flow[T]:
        """Run a flow that may upload. Assets that it leaves are tracked until they are deleted or the process ends."""
        self._cleanup.add(self._uploads, self._config, self._options)
        try:
            return (yield from flow)
        finally:
            # Once more: another thread's close() may have found nothing to delete yet.
            self._update_cleanup()

    def _update_cleanup(self) -> None:
        if self._uploads.empty:
            self._cleanup.remove(self._uploads)
        else:
            self._cleanup.add(self._uploads, self._config, self._options)

    def _flow_factory(self, call: ChatRequest) -> Callable[[Retries], Flow[Response]]:
        """Return a function that makes the flow of each attempt."""

        def begin(retries: Retries) -> Flow[Response]:
            flow = chat(call, self._uploads, time.monotonic(), retries)
            return self._track_uploads(flow) if call.deliveries.uploads() else flow

        return begin


def _delete_all(assets: list[Asset], cache: UploadCache) -> Flow[list[NVCFError]]:
    """Delete assets, and return what went wrong."""
    retry = RetryPolicy(max_retries=1)
    results = yield from gather(
        [AssetApi(asset.root, retry, cache).delete(asset) for asset in assets]
    )
    return [result for result in results if isinstance(result, NVCFError)]


def _warn_not_deleted(reasons: Sequence[object]) -> None:
    if reasons:
        said = "; ".join(str(reason) for reason in reasons)
        warnings.warn(
            f"could not delete uploaded assets; the service deletes them after 24 hours: {said}",
            NVCFWarning,
            stacklevel=3,
        )
