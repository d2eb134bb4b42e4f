"""One answer being read, sync and async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import aclosing
from dataclasses import replace

from .errors import (
    APIConnectionError,
    APITimeoutError,
    InvalidResponseError,
    NVCFError,
    StreamInterruptedError,
)
from .exchange import Flow, Response
from .messages import Chunk
from .observability.observers import observe
from .protocol.chat_request import ChatRequest
from .protocol.polling import polled_too_long
from .protocol.retry import Retries
from .response.decoder import Decoder, decoder_for
from .response.json_body import LONGEST_ANSWER
from .response.options import DecodeOptions, options_for
from .transport.backends import AsyncBackend, SyncBackend, run_sync
from .transport.bodies import pause_too_long
from .transport.driver import FlowRunner, OpenResponse
from .transport.redaction import clear_locals

__all__ = ["AnswerStream", "AsyncAnswerStream", "decode_options"]

_MOST_PARSED = 16
"""How often a body may be parsed to see whether it is whole: a server can make it look so again and again."""

_AFTER_THE_END = 0.5
"""Seconds that the rest of a body may take, once the answer in it is whole."""


def decode_options(call: ChatRequest) -> DecodeOptions:
    """How the answer to a request is to be read."""
    options = options_for(call.spec, call.fields)
    return replace(
        options,
        stops=call.stops,
        names=call.names,
        single_call=options.single_call or call.single_call,
        keeps_raw=call.keeps_raw,
        warn=call.warn,
    )


class _AnswerReader:
    """What reading an answer has in common, sync and async.

    Args:
        call: the request.
        response: the head of the answer.
        arriving: its open body. None: the body is in the response.
        whole: whether the caller gets the complete answer, not chunks.
    """

    def __init__(
        self, call: ChatRequest, response: Response, arriving: OpenResponse | None, whole: bool
    ) -> None:
        self.call, self.response = call, response
        self._arriving, self._whole = arriving, whole
        self._length = self._parsed = 0
        self._begun = self._finishing = self._looked = False
        self.decoder: Decoder = decoder_for(response, decode_options(call))
        self._heard = time.monotonic()
        if not whole:
            self._limit_between_chunks()

    def feed(self, data: bytes) -> list[Chunk]:
        """Decode the next bytes, within limits of size and of the time in which no part of the answer arrives.

        Raises:
            InvalidResponseError: the answer is longer than any may be.
            StreamInterruptedError: for too long there were only comments.
        """
        if not self._length:
            self._begin()
        self._length += len(data)
        if self._length > LONGEST_ANSWER:
            raise InvalidResponseError(
                f"the answer is longer than {LONGEST_ANSWER} bytes",
                body=b"",
                request_id=self.response.headers.get("nvcf-reqid"),
            )
        decoder = self.decoder
        chunks = decoder.feed(data)
        if chunks:
            self._begun = True
            self._heard = time.monotonic()
        else:
            self._without_a_chunk(data)
        if decoder.done:
            self._finish()
        return chunks

    def _begin(self) -> None:
        """Handle the first bytes. The rest of a complete answer has the same time limit as the next chunk of a
        stream."""
        if self._arriving is not None and (self._whole or self.decoder.at_end):
            self._limit_between_chunks()
            self._arriving.limits.cap_next_chunk()

    def _limit_between_chunks(self) -> None:
        if self._arriving is not None:
            pause = self.call.options.chunk_timeout
            self._arriving.limits.limit_between_chunks(pause, "stream_chunk_timeout")

    def _without_a_chunk(self, data: bytes) -> None:
        """Handle bytes that complete no chunk: a part of one, a comment, or white space around a JSON text."""
        if self._arriving is not None and not self._resets_read_timeout(data):
            self._arriving.limits.keep_running_timer()
        if self.decoder.at_end and not data.isspace():
            self._looked = False
            self._heard = time.monotonic()
        if self._is_whole(data):
            self._finish()
        else:
            self._check_silence()

    def _resets_read_timeout(self, data: bytes) -> bool:
        """Return whether these bytes, which complete no chunk, reset the read timeout.

        Before the answer begins, and in a JSON body, none do. For a non-streaming caller only events do, not comments.
        """
        if not self._begun or self.decoder.at_end:
            return False
        lines = data.splitlines(keepends=True)
        if self._whole:
            return any(line[:5] == b"data:" and line[5:].strip() for line in lines)
        return any(line[-1:] in (b"\n", b"\r") for line in lines)

    def _is_whole(self, data: bytes) -> bool:
        """Return whether the answer is complete although its body has not ended.

        A JSON text is parsed for that where it may be over, as long as all of that costs no more than a few readings of
        the body.
        """
        if not self.decoder.at_end or self._looked or self._parsed > _MOST_PARSED * self._length:
            return self.decoder.done
        if not (data.isspace() or data.rstrip().endswith(b"}")):
            return False
        self._looked = True
        self._parsed += self._length
        return self.decoder.can_end

    def _finish(self) -> None:
        """Limit the time for the rest of the body. Reading it frees the connection for the next request."""
        if self._arriving is not None and not self._finishing:
            self._finishing = True
            self._arriving.limits.finish_within(_AFTER_THE_END)

    def _check_silence(self) -> None:
        """Raise if only comments arrived for too long."""
        limit, name = self.call.options.keepalive_limit, "comments alone"
        if self.decoder.at_end and self._arriving is not None:
            given, name = self._arriving.limits.body_limit
            limit = limit if given is None else given
        if time.monotonic() - self._heard > limit:
            raise pause_too_long(limit, name)

    def body_ends_by_itself(self) -> bool:
        """Return whether a body is framed, so that reading on after the answer frees the connection for the next."""
        headers = self.response.headers
        return (
            "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        )

    def may_stop(self) -> bool:
        """Return whether the rest of the body is of no interest."""
        decoder = self.decoder
        return (
            decoder.stopped
            or decoder.has_failure
            or (decoder.done and not self.body_ends_by_itself())
        )

    def error_for_broken_body(self, error: APIConnectionError) -> NVCFError | None:
        """Return the error for a broken connection, None if the answer is complete already."""
        if self.decoder.can_end or self.decoder.done:
            return None
        if isinstance(error, APITimeoutError) and self._only_polling_deadline_passed():
            return polled_too_long(self.call, self.response.headers.get("nvcf-reqid"))
        return self.interruption(error)

    def _only_polling_deadline_passed(self) -> bool:
        """Return whether the time of the polls is over before the answer begins, and that of all of the call is not."""
        arriving, now = self._arriving, time.monotonic()
        if arriving is None or arriving.polls_end is None or self._begun:
            return False
        deadline = arriving.limits.deadline
        return now >= arriving.polls_end and (deadline is None or now < deadline)

    def interruption(self, error: APIConnectionError) -> NVCFError:
        """Return the error for an answer that ended halfway."""
        interrupted = StreamInterruptedError(
            f"the answer broke off: {error}",
            partial=self.decoder.snapshot(),
            request_id=self.response.headers.get("nvcf-reqid"),
        )
        interrupted.__cause__ = error
        return interrupted


class _Attempts:
    """The attempts to get one answer, until its first chunk has been handed out.

    Args:
        call: the request.
        begin: makes the flow of an attempt.
        whole: whether the caller gets the complete answer, not chunks.
    """

    def __init__(
        self, call: ChatRequest, begin: Callable[[Retries], Flow[Response]], whole: bool
    ) -> None:
        self.call, self._begin, self._whole = call, begin, whole
        self._retries = Retries(call.retry)
        self._reader: _AnswerReader | None = None
        self._handed_out = False
        self.observation = observe(call)

    def begin(self) -> Flow[Response]:
        """Return the flow of the next attempt."""
        self._handed_out = False
        return self._begin(self._retries)

    def hand_out(self) -> None:
        """Record that a chunk is about to be handed out."""
        if not self._handed_out:
            self._handed_out = True
            self.observation.first_chunk()

    def new_reader(self, runner: FlowRunner, response: Response) -> _AnswerReader:
        """Return the reader for the answer of an attempt."""
        self._reader = _AnswerReader(self.call, response, runner.answer, self._whole)
        self.observation.reading(self._reader.decoder.snapshot)
        return self._reader

    def answer(self) -> Chunk:
        """Return the complete answer, once it has been read."""
        if self._reader is None:
            raise RuntimeError("the answer was not read yet")
        return self._reader.decoder.snapshot()

    def can_retry(self, error: NVCFError, runner: FlowRunner) -> bool:
        """Return whether to try again after an error, from whose text the key is removed.

        Raises:
            NVCFError: the time limit of the call has passed.
        """
        runner.redact(error)
        clear_locals(error)
        if self._handed_out and not self._whole:
            return False
        if runner.is_over():
            return False
        return self._retries.after(error)


class AnswerStream(_Attempts):
    """One answer being read.

    Args:
        backend: sends and waits.
    """

    def __init__(
        self,
        backend: SyncBackend,
        call: ChatRequest,
        begin: Callable[[Retries], Flow[Response]],
        *,
        whole: bool,
    ) -> None:
        super().__init__(call, begin, whole)
        self._backend = backend

    def chunks(self) -> Generator[Chunk]:
        """Yield the chunks as they arrive. Closing the generator closes the response.

        Raises:
            NVCFError: whatever goes wrong.
        """
        call, observation = self.call, self.observation
        with observation:
            call.deliveries.hash_uploads()
            runner = FlowRunner(self._backend, call.options, observation)
            while True:
                with observation.sending():
                    response = run_sync(runner.run(self.begin()))
                try:
                    reader = self.new_reader(runner, response)
                    try:
                        for data in _body_chunks(runner, response):
                            # The caller may take its time over a chunk, while more has arrived already.
                            runner.check_deadline()
                            if chunks := reader.feed(data):
                                self.hand_out()
                                yield from chunks
                            if reader.may_stop():
                                break
                    except APIConnectionError as error:
                        if broken := reader.error_for_broken_body(error):
                            raise broken from error
                    for chunk in reader.decoder.flush():
                        self.hand_out()
                        yield chunk
                    return
                except NVCFError as error:
                    if not self.can_retry(error, runner):
                        raise
                finally:
                    run_sync(runner.close_answer())


class AsyncAnswerStream(_Attempts):
    """Async version of `AnswerStream`."""

    def __init__(
        self,
        backend: AsyncBackend,
        call: ChatRequest,
        begin: Callable[[Retries], Flow[Response]],
        *,
        whole: bool,
    ) -> None:
        super().__init__(call, begin, whole)
        self._backend = backend

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Yield the chunks as they arrive. Closing the generator closes the response.

        Raises:
            NVCFError: whatever goes wrong.
        """
        call, observation = self.call, self.observation
        with observation:
            if call.deliveries.uploads():
                await asyncio.to_thread(call.deliveries.hash_uploads)
            runner = FlowRunner(self._backend, call.options, observation)
            while True:
                with observation.sending():
                    response = await runner.run(self.begin())
                try:
                    reader = self.new_reader(runner, response)
                    try:
                        async with aclosing(_abody_chunks(runner, response)) as pieces:
                            async for data in pieces:
                                runner.check_deadline()
                                if chunks := reader.feed(data):
                                    self.hand_out()
                                for chunk in chunks:
                                    yield chunk
                                if reader.may_stop():
                                    break
                    except APIConnectionError as error:
                        if broken := reader.error_for_broken_body(error):
                            raise broken from error
                    for chunk in reader.decoder.flush():
                        self.hand_out()
                        yield chunk
                    return
                except NVCFError as error:
                    if not self.can_retry(error, runner):
                        raise
                finally:
                    await runner.close_answer()


def _body_chunks(runner: FlowRunner, response: Response) -> Iterable[bytes]:
    """Return the body of an answer: as it arrives, or as it has been read already."""
    answer = runner.answer
    return (response.body,) if answer is None else answer.response.iter_bytes()


def _abody_chunks(runner: FlowRunner, response: Response) -> AsyncGenerator[bytes]:
    """Async version of `_body_chunks`."""
    answer = runner.answer
    return _once(response.body) if answer is None else answer.response.aiter_bytes()


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body
