"""One answer being read, sync and async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from .errors import APIConnectionError, NVCFError, StreamInterruptedError
from .exchange import Flow, Response
from .messages import Chunk
from .protocol.chat_request import ChatRequest
from .response.choice import DecodeOptions
from .response.decoder import Decoder, decoder_for
from .transport.bodies import Outcome, pause_too_long
from .transport.driver import AsyncDriver, Driver
from .transport.redaction import redact

_KEEPALIVE_LIMIT = 300.0
"""Seconds that a stream may consist of comments alone, which say only that the service is alive."""


def decode_options(call: ChatRequest) -> DecodeOptions:
    """How the answer to a request is to be read."""
    return DecodeOptions(
        model=call.spec.id, stops=call.stops, names=call.names, single_call=call.single_call
    )


class _AnswerReader:
    """What reading an answer has in common, sync and async."""

    def __init__(self, call: ChatRequest, outcome: Outcome[Response]) -> None:
        self.call, self.outcome = call, outcome
        self.decoder: Decoder = decoder_for(outcome.result, decode_options(call))
        self._heard = time.monotonic()

    def feed(self, data: bytes) -> list[Chunk]:
        """Decode, and see to it that comments alone do not keep a call waiting for ever."""
        chunks = self.decoder.feed(data)
        if chunks or not self.call.stream:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _KEEPALIVE_LIMIT:
            raise self.interrupted(pause_too_long(_KEEPALIVE_LIMIT, "signs of life alone"))
        return chunks

    def body_ends_by_itself(self) -> bool:
        """Whether a body is framed, so that reading on after the answer frees the connection for the next."""
        headers = self.outcome.result.headers
        return (
            "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        )

    def done(self) -> bool:
        """Whether the rest of the body is of no interest."""
        decoder = self.decoder
        return (
            decoder.stopped
            or decoder.has_failure
            or (decoder.done and not self.body_ends_by_itself())
        )

    def broken(self, error: APIConnectionError) -> NVCFError | None:
        """What a broken connection means: nothing, if the answer is whole already."""
        return None if self.decoder.can_end or self.decoder.done else self.interrupted(error)

    def interrupted(self, error: APIConnectionError) -> NVCFError:
        """The answer ended halfway."""
        interrupted = StreamInterruptedError(
            f"the answer broke off: {error}",
            partial=self.decoder.snapshot(),
            request_id=self.outcome.result.headers.get("nvcf-reqid"),
        )
        interrupted.__cause__ = error
        return interrupted

    def mask(self, error: NVCFError) -> None:
        """Take the key out of an error, should the service have echoed it."""
        if self.outcome.key is not None:
            redact(error, self.outcome.key.get_secret_value())


class AnswerStream:
    """One answer being read. Leaving it closes the response."""

    def __init__(self, driver: Driver, flow: Flow[Response], call: ChatRequest) -> None:
        self._driver, self._flow, self._call = driver, flow, call

    def __enter__(self) -> AnswerStream:
        call = self._call
        call.deliveries.hash_uploads()
        self._outcome = self._driver.run(self._flow, call.options)
        self._watch = _AnswerReader(call, self._outcome)
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.leave(self._outcome)

    def answer(self) -> Chunk:
        """All of it."""
        return self._watch.decoder.snapshot()

    def chunks(self) -> Iterator[Chunk]:
        """Its pieces, as they arrive."""
        watch = self._watch
        try:
            try:
                if self._outcome.response is None:
                    yield from watch.feed(self._outcome.result.body)
                else:
                    for data in self._driver.read(self._outcome):
                        yield from watch.feed(data)
                        if watch.done():
                            break
            except APIConnectionError as error:
                if broken := watch.broken(error):
                    raise broken from error
            yield from watch.decoder.flush()
        except NVCFError as error:
            watch.mask(error)
            raise


class AsyncAnswerStream:
    """One answer being read, asynchronously."""

    def __init__(self, driver: AsyncDriver, flow: Flow[Response], call: ChatRequest) -> None:
        self._driver, self._flow, self._call = driver, flow, call

    async def __aenter__(self) -> AsyncAnswerStream:
        call = self._call
        if call.deliveries.uploads():
            await asyncio.to_thread(call.deliveries.hash_uploads)
        self._outcome = await self._driver.run(self._flow, call.options)
        self._watch = _AnswerReader(call, self._outcome)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._driver.leave(self._outcome)

    def answer(self) -> Chunk:
        """All of it."""
        return self._watch.decoder.snapshot()

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Its pieces, as they arrive."""
        watch = self._watch
        try:
            try:
                if self._outcome.response is None:
                    for chunk in watch.feed(self._outcome.result.body):
                        yield chunk
                else:
                    async with aclosing(self._driver.read(self._outcome)) as body:
                        async for data in body:
                            for chunk in watch.feed(data):
                                yield chunk
                            if watch.done():
                                break
            except APIConnectionError as error:
                if broken := watch.broken(error):
                    raise broken from error
            for chunk in watch.decoder.flush():
                yield chunk
        except NVCFError as error:
            watch.mask(error)
            raise
