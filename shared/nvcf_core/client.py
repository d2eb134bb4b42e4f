"""A client: conversations, their drivers, and the assets it uploaded, behind plain calls."""

from __future__ import annotations

import asyncio
import atexit
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from pydantic_core import from_json

from .assets import Asset, Ledger, delete, together, upload
from .bodies import Answered, pause_too_long
from .chat import Call, chat
from .decode import Decoder, decoder_for
from .drivers import AsyncDriver, Driver
from .errors import (
    APIConnectionError,
    InvalidResponseError,
    NVCFError,
    NVCFWarning,
    StreamInterruptedError,
    mask,
)
from .exchange import Flow, Reply, Request
from .http import Wiring
from .messages import Chunk
from .retry import Retry, attempt
from .sources import Source
from .terms import Terms

T = TypeVar("T")

_LIFE_SIGNS = 300.0
"""Seconds that a stream may consist of comments alone, which say only that the service is alive."""
_AT_EXIT = 5.0
"""Seconds that deleting assets may take when the process ends."""


class Client:
    """Asks chat models, sync and async. Safe to share between threads and event loops.

    Args:
        wiring: how connections are made.
        terms: on which what was uploaded is deleted in the end.
    """

    def __init__(self, wiring: Wiring, terms: Terms) -> None:
        self._wiring, self._terms = wiring, terms
        self._driver, self._async_driver = Driver(wiring), AsyncDriver(wiring)
        self._ledger = Ledger()

    def __deepcopy__(self, memo: dict[int, Any]) -> Client:
        """A client with the same settings. Pools and uploaded assets stay behind."""
        return Client(self._wiring, self._terms)

    def complete(self, call: Call) -> Chunk:
        """One whole answer.

        Raises:
            NVCFError: whatever goes wrong.
        """
        with _Reading(self, call) as reading:
            for _ in reading.chunks():
                pass  # The decoder keeps what it reads.
            return reading.answer()

    def stream(self, call: Call) -> Generator[Chunk]:
        """One answer as it arrives. Closing the iterator closes the connection.

        Raises:
            NVCFError: whatever goes wrong; `StreamInterruptedError` once the answer has begun.
        """
        with _Reading(self, call) as reading:
            yield from reading.chunks()

    async def acomplete(self, call: Call) -> Chunk:
        """As `complete`."""
        async with _AsyncReading(self, call) as reading:
            async for _ in reading.chunks():
                pass  # The decoder keeps what it reads.
            return reading.answer()

    async def astream(self, call: Call) -> AsyncGenerator[Chunk]:
        """As `stream`."""
        async with _AsyncReading(self, call) as reading, aclosing(reading.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    def run(self, flow: Flow[T], terms: Terms) -> T:
        """Hold any other conversation.

        Raises:
            NVCFError: what the conversation raises.
        """
        return self._driver.run(flow, terms).result

    async def arun(self, flow: Flow[T], terms: Terms) -> T:
        """As `run`."""
        return (await self._async_driver.run(flow, terms)).result

    def uploading(
        self,
        source: Source,
        mime: str,
        root: str,
        retry: Retry,
        progress: Callable[[int, int], None] | None,
    ) -> Flow[Asset]:
        """The upload of a file of any size, to be run. The asset is deleted when the client is closed."""
        return self._remembering(upload(source, mime, root, retry, self._ledger, progress))

    def close(self) -> None:
        """Delete the assets that this client uploaded, and close its pools. It can be used again."""
        assets = self._ledger.drain()
        try:
            if assets:
                _warn_of_left(self.run(_delete_all(assets, self._ledger), self._terms))
        finally:
            self._remember()
            self._driver.close()
            self._async_driver.close()

    async def aclose(self) -> None:
        """As `close`."""
        assets = self._ledger.drain()
        try:
            if assets:
                _warn_of_left(await self.arun(_delete_all(assets, self._ledger), self._terms))
        finally:
            self._remember()
            await self._async_driver.aclose()
            self._driver.close()

    def _remembering(self, flow: Flow[T]) -> Flow[T]:
        """A conversation that may upload: what it leaves is remembered until it is deleted, or the process ends."""
        _remembered[self._ledger] = (self._wiring, self._terms)
        try:
            return (yield from flow)
        finally:
            # Once more: another thread's close() may have found nothing to delete yet.
            self._remember()

    def _remember(self) -> None:
        if self._ledger.empty:
            _remembered.pop(self._ledger, None)
        else:
            _remembered[self._ledger] = (self._wiring, self._terms)

    def _flow(self, call: Call) -> Flow[Reply]:
        flow = chat(call, self._ledger, time.monotonic())
        return self._remembering(flow) if call.placements else flow


class _Watch:
    """What reading an answer has in common, sync and async."""

    def __init__(self, call: Call, answered: Answered[Reply]) -> None:
        self.call, self.answered = call, answered
        self.decoder: Decoder = decoder_for(answered.result, call.reading)
        self._heard = time.monotonic()

    def feed(self, data: bytes) -> list[Chunk]:
        """Decode, and see to it that comments alone do not keep a call waiting for ever."""
        chunks = self.decoder.feed(data)
        if chunks or not self.call.stream:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _LIFE_SIGNS:
            raise self.interrupted(pause_too_long(_LIFE_SIGNS, "signs of life alone"))
        return chunks

    def body_ends_by_itself(self) -> bool:
        """Whether a body is framed, so that reading on after the answer frees the connection for the next."""
        headers = self.answered.result.headers
        return (
            "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        )

    def done(self) -> bool:
        """Whether the rest of the body is of no interest."""
        decoder = self.decoder
        return (
            decoder.cut or decoder.failed or (decoder.finished and not self.body_ends_by_itself())
        )

    def broken(self, error: APIConnectionError) -> NVCFError | None:
        """What a broken connection means: nothing, if the answer is whole already."""
        return None if self.decoder.complete or self.decoder.finished else self.interrupted(error)

    def interrupted(self, error: APIConnectionError) -> NVCFError:
        """The answer ended halfway."""
        interrupted = StreamInterruptedError(
            f"the answer broke off: {error}",
            partial=self.decoder.answer(),
            request_id=self.answered.result.headers.get("nvcf-reqid"),
        )
        interrupted.__cause__ = error
        return interrupted

    def mask(self, error: NVCFError) -> None:
        """Take the key out of an error, should the service have echoed it."""
        if self.answered.key is not None:
            mask(error, self.answered.key.get_secret_value())


class _Reading:
    """One answer being read. Leaving it closes the response."""

    def __init__(self, client: Client, call: Call) -> None:
        self._client, self._call = client, call

    def __enter__(self) -> _Reading:
        client, call = self._client, self._call
        call.digest_uploads()
        self._answered = client._driver.run(client._flow(call), call.terms)
        self._watch = _Watch(call, self._answered)
        return self

    def __exit__(self, *_: object) -> None:
        self._client._driver.leave(self._answered)

    def answer(self) -> Chunk:
        """All of it."""
        return self._watch.decoder.answer()

    def chunks(self) -> Iterator[Chunk]:
        """Its pieces, as they arrive."""
        watch = self._watch
        try:
            try:
                if self._answered.response is None:
                    yield from watch.feed(self._answered.result.body)
                else:
                    for data in self._client._driver.read(self._answered):
                        yield from watch.feed(data)
                        if watch.done():
                            break
            except APIConnectionError as error:
                if broken := watch.broken(error):
                    raise broken from error
            yield from watch.decoder.end()
        except NVCFError as error:
            watch.mask(error)
            raise


class _AsyncReading:
    """One answer being read, asynchronously."""

    def __init__(self, client: Client, call: Call) -> None:
        self._client, self._call = client, call

    async def __aenter__(self) -> _AsyncReading:
        client, call = self._client, self._call
        if call.placements.uploads():
            await asyncio.to_thread(call.digest_uploads)
        self._answered = await client._async_driver.run(client._flow(call), call.terms)
        self._watch = _Watch(call, self._answered)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client._async_driver.leave(self._answered)

    def answer(self) -> Chunk:
        """All of it."""
        return self._watch.decoder.answer()

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Its pieces, as they arrive."""
        watch = self._watch
        try:
            try:
                if self._answered.response is None:
                    for chunk in watch.feed(self._answered.result.body):
                        yield chunk
                else:
                    async with aclosing(self._client._async_driver.read(self._answered)) as body:
                        async for data in body:
                            for chunk in watch.feed(data):
                                yield chunk
                            if watch.done():
                                break
            except APIConnectionError as error:
                if broken := watch.broken(error):
                    raise broken from error
            for chunk in watch.decoder.end():
                yield chunk
        except NVCFError as error:
            watch.mask(error)
            raise


def models(base_url: str, retry: Retry) -> Flow[list[str]]:
    """The ids that `/models` lists, sorted, each once.

    Raises:
        NVCFError: the service could not be asked, or answered something else.
    """
    request = Request("models", "GET", f"{base_url}/models", {"accept": "application/json"})
    reply: Reply = yield from attempt(request, retry)
    try:
        body = from_json(reply.body)
    except ValueError:
        body = None
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise InvalidResponseError("the service's list of models is none", body=reply.body)
    return sorted(
        {row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
    )


def _delete_all(assets: list[Asset], ledger: Ledger) -> Flow[list[NVCFError]]:
    """Delete assets, and return what went wrong."""
    results = yield from together([delete(asset, Retry(max_retries=1), ledger) for asset in assets])
    return [result for result in results if isinstance(result, NVCFError)]


def _warn_of_left(reasons: Sequence[object]) -> None:
    if reasons:
        said = "; ".join(str(reason) for reason in reasons)
        warnings.warn(
            f"assets were left behind for their 24 hours: {said}", NVCFWarning, stacklevel=3
        )


_remembered: dict[Ledger, tuple[Wiring, Terms]] = {}
"""Every ledger that may hold assets, also where its client is no more."""


@atexit.register
def _delete_at_exit() -> None:
    deadline = time.monotonic() + _AT_EXIT
    for ledger, (wiring, terms) in list(_remembered.items()):
        assets = ledger.drain()
        if time.monotonic() > deadline:  # The process must end.
            _warn_of_left([f"no time to delete asset {asset.id}" for asset in assets])
        elif assets:
            driver = Driver(wiring)
            soon = replace(terms, timeout=_AT_EXIT)
            try:
                _warn_of_left(driver.run(_delete_all(assets, ledger), soon).result)
            finally:
                driver.close()
