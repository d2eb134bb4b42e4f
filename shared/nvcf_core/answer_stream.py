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
        call: what was asked.
        response: the head of the answer.
        arriving: its body. None: it is in the response.
        whole: whether the answer is handed out when it is whole, and not in pieces.
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
            self._expect_pieces()

    def feed(self, data: bytes) -> list[Chunk]:
        """Decode, within bounds of bytes, and of the time in which nothing comes that is part of the answer.

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
        """Take note of the first bytes. More of a whole answer has to come as soon as a chunk of a stream would."""
        if self._arriving is not None and (self._whole or self.decoder.at_end):
            self._expect_pieces()
            self._arriving.limits.cap_next_chunk()

    def _expect_pieces(self) -> None:
        if self._arriving is not None:
            pause = self.call.options.chunk_timeout
            self._arriving.limits.limit_between_chunks(pause, "stream_chunk_timeout")

    def _without_a_chunk(self, data: bytes) -> None:
        """Take what completes no piece of the answer: part of one, a comment, or white space around a JSON text."""
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
        """Give the rest of the body a moment, which frees the connection for the next request."""
        if self._arriving is not None and not self._finishing:
            self._finishing = True
            self._arriving.limits.finish_within(_AFTER_THE_END)

    def _check_silence(self) -> None:
        """Comments alone do not keep a call waiting for ever."""
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

    def done(self) -> bool:
        """Return whether the rest of the body is of no interest."""
        decoder = self.decoder
        return (
            decoder.stopped
            or decoder.has_failure
            or (decoder.done and not self.body_ends_by_itself())
        )

    def broken(self, error: APIConnectionError) -> NVCFError | None:
        """What a broken connection means: nothing, if the answer is whole already."""
        if self.decoder.can_end or self.decoder.done:
            return None
        if isinstance(error, APITimeoutError) and self._is_polled_too_long():
            return polled_too_long(self.call, self.response.headers.get("nvcf-reqid"))
        return self.interrupted(error)

    def _is_polled_too_long(self) -> bool:
        """Return whether the time of the polls is over before the answer begins, and that of all of the call is not."""
        arriving, now = self._arriving, time.monotonic()
        if arriving is None or arriving.polls_end is None or self._begun:
            return False
        deadline = arriving.limits.deadline
        return now >= arriving.polls_end and (deadline is None or now < deadline)

    def interrupted(self, error: APIConnectionError) -> NVCFError:
        """The answer ended halfway."""
        interrupted = StreamInterruptedError(
            f"the answer broke off: {error}",
            partial=self.decoder.snapshot(),
            request_id=self.response.headers.get("nvcf-reqid"),
        )
        interrupted.__cause__ = error
        return interrupted


class _Attempts:
    """The tries of one answer, until a piece of it has been handed out.

    Args:
        call: what is asked.
        begin: the conversation of a try.
        whole: whether the answer is handed out when it is whole, and not in pieces.
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
        """The conversation of the next try."""
        self._handed_out = False
        return self._begin(self._retries)

    def hand_out(self) -> None:
        """Note that a piece of the answer is about to be handed out."""
        if not self._handed_out:
            self._handed_out = True
            self.observation.first_chunk()

    def reader(self, runner: FlowRunner, response: Response) -> _AnswerReader:
        """What reads the answer of a try."""
        self._reader = _AnswerReader(self.call, response, runner.answer, self._whole)
        self.observation.reading(self._reader.decoder.snapshot)
        return self._reader

    def answer(self) -> Chunk:
        """All of the answer, once it has been read."""
        if self._reader is None:
            raise RuntimeError("the answer was not read yet")
        return self._reader.decoder.snapshot()

    def try_again(self, error: NVCFError, runner: FlowRunner) -> bool:
        """Return whether there is another try after a failure, from whose text the key is taken.

        Raises:
            NVCFError: the call's time is over.
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
        backend: what the conversation is held over.
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
        """Its pieces, as they arrive. Closing the generator closes the response.

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
                    reader = self.reader(runner, response)
                    try:
                        for data in _pieces(runner, response):
                            if chunks := reader.feed(data):
                                self.hand_out()
                                yield from chunks
                            if reader.done():
                                break
                    except APIConnectionError as error:
                        if broken := reader.broken(error):
                            raise broken from error
                    for chunk in reader.decoder.flush():
                        self.hand_out()
                        yield chunk
                    return
                except NVCFError as error:
                    if not self.try_again(error, runner):
                        raise
                finally:
                    run_sync(runner.leave())


class AsyncAnswerStream(_Attempts):
    """One answer being read, asynchronously. See `AnswerStream`."""

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
        """Its pieces, as they arrive. Closing the generator closes the response.

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
                    reader = self.reader(runner, response)
                    try:
                        async with aclosing(_apieces(runner, response)) as pieces:
                            async for data in pieces:
                                if chunks := reader.feed(data):
                                    self.hand_out()
                                for chunk in chunks:
                                    yield chunk
                                if reader.done():
                                    break
                    except APIConnectionError as error:
                        if broken := reader.broken(error):
                            raise broken from error
                    for chunk in reader.decoder.flush():
                        self.hand_out()
                        yield chunk
                    return
                except NVCFError as error:
                    if not self.try_again(error, runner):
                        raise
                finally:
                    await runner.leave()


def _pieces(runner: FlowRunner, response: Response) -> Iterable[bytes]:
    """The body of an answer: as it arrives, or what has been read already."""
    answer = runner.answer
    return (response.body,) if answer is None else answer.response.iter_bytes()


def _apieces(runner: FlowRunner, response: Response) -> AsyncGenerator[bytes]:
    """As `_pieces`."""
    answer = runner.answer
    return _once(response.body) if answer is None else answer.response.aiter_bytes()


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body
