"""One answer being read, sync and async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing

from .errors import APIConnectionError, NVCFError, StreamInterruptedError
from .exchange import Flow, Response
from .messages import Chunk
from .protocol.chat_request import ChatRequest
from .response.choice import DecodeOptions
from .response.decoder import Decoder, decoder_for
from .transport.backends import AsyncBackend, SyncBackend, run_sync
from .transport.bodies import pause_too_long
from .transport.driver import Conversation

__all__ = ["AnswerStream", "AsyncAnswerStream", "decode_options"]

_KEEPALIVE_LIMIT = 300.0
"""Seconds that a stream may consist of comments alone, which say only that the service is alive."""


def decode_options(call: ChatRequest) -> DecodeOptions:
    """How the answer to a request is to be read."""
    return DecodeOptions(
        model=call.spec.id, stops=call.stops, names=call.names, single_call=call.single_call
    )


class _AnswerReader:
    """What reading an answer has in common, sync and async."""

    def __init__(self, call: ChatRequest, response: Response) -> None:
        self.call, self.response = call, response
        self.decoder: Decoder = decoder_for(response, decode_options(call))
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
        headers = self.response.headers
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
            request_id=self.response.headers.get("nvcf-reqid"),
        )
        interrupted.__cause__ = error
        return interrupted


class AnswerStream:
    """One answer being read.

    Args:
        backend: what the conversation is held over.
        flow: the conversation that leads to the answer.
        call: what is asked.
    """

    def __init__(self, backend: SyncBackend, flow: Flow[Response], call: ChatRequest) -> None:
        self._backend, self._flow, self._call = backend, flow, call
        self._reader: _AnswerReader | None = None

    def answer(self) -> Chunk:
        """All of it, once `chunks` has ended."""
        return _snapshot(self._reader)

    def chunks(self) -> Generator[Chunk]:
        """Its pieces, as they arrive. Closing the generator closes the response.

        Raises:
            NVCFError: whatever goes wrong.
        """
        call = self._call
        call.deliveries.hash_uploads()
        conversation = Conversation(self._backend, call.options)
        response = run_sync(conversation.run(self._flow))
        try:
            reader = self._reader = _AnswerReader(call, response)
            try:
                if conversation.answer is None:
                    yield from reader.feed(response.body)
                else:
                    for data in self._backend.read(conversation.answer):
                        yield from reader.feed(data)
                        if reader.done():
                            break
            except APIConnectionError as error:
                if broken := reader.broken(error):
                    raise broken from error
            yield from reader.decoder.flush()
        except NVCFError as error:
            conversation.redact(error)
            raise
        finally:
            run_sync(conversation.leave())


class AsyncAnswerStream:
    """One answer being read, asynchronously. See `AnswerStream`."""

    def __init__(self, backend: AsyncBackend, flow: Flow[Response], call: ChatRequest) -> None:
        self._backend, self._flow, self._call = backend, flow, call
        self._reader: _AnswerReader | None = None

    def answer(self) -> Chunk:
        """All of it, once `chunks` has ended."""
        return _snapshot(self._reader)

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Its pieces, as they arrive. Closing the generator closes the response.

        Raises:
            NVCFError: whatever goes wrong.
        """
        call = self._call
        if call.deliveries.uploads():
            await asyncio.to_thread(call.deliveries.hash_uploads)
        conversation = Conversation(self._backend, call.options)
        response = await conversation.run(self._flow)
        try:
            reader = self._reader = _AnswerReader(call, response)
            try:
                if conversation.answer is None:
                    for chunk in reader.feed(response.body):
                        yield chunk
                else:
                    async with aclosing(self._backend.read(conversation.answer)) as body:
                        async for data in body:
                            for chunk in reader.feed(data):
                                yield chunk
                            if reader.done():
                                break
            except APIConnectionError as error:
                if broken := reader.broken(error):
                    raise broken from error
            for chunk in reader.decoder.flush():
                yield chunk
        except NVCFError as error:
            conversation.redact(error)
            raise
        finally:
            await conversation.leave()


def _snapshot(reader: _AnswerReader | None) -> Chunk:
    if reader is None:
        raise RuntimeError("the answer was not read yet")
    return reader.decoder.snapshot()
