"""LlamaIndex's callbacks around the public methods, and streams that close what they read from."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeAlias, TypeVar, cast

from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.llms.callbacks import dispatcher

Method = TypeVar("Method", bound=Callable[..., Any])
Callback: TypeAlias = Callable[[], Callable[[Callable[..., Any]], Callable[..., Any]]]
"""`llm_chat_callback` or `llm_completion_callback`."""

# The framework's wrapper of a stream leaves the generator it reads from to the garbage collector,
# which cannot reach it while a handler keeps the exception that ended the stream, and with it the
# wrapper's frame. The connection would stay open as long. So each stream gets a second wrapper
# here, which closes its source.
#
# The framework's wrapper also makes an event of every response, for which all the messages of the
# conversation are validated again: with a thousand messages 0.1 ms for each. While nobody listens,
# the second wrapper hands out the responses itself, and gives the framework's one only the last of
# them, or what ended the stream: its start, end and error events are sent as usual.


def with_callbacks(callback: Callback) -> Callable[[Method], Method]:
    """Decorate a method that returns a whole answer, sync or async."""

    def decorate(method: Method) -> Method:
        return cast(Method, callback()(method))

    return decorate


def with_stream_callbacks(callback: Callback) -> Callable[[Method], Method]:
    """Decorate a method that returns a generator. Closing it closes the method's own."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
            sources: list[Generator[Any]] = []
            outcome = None if _has_listener() else _Outcome()

            def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
                sources.append(method(self, *args, **kwargs))
                return sources[0] if outcome is None else outcome.stream()

            responses = callback()(opened)(self, *args, **kwargs)
            if outcome is None:
                return _close_source_after(responses, sources[0])
            return _unobserved(sources[0], responses, outcome)

        return cast(Method, stream)

    return decorate


def with_astream_callbacks(callback: Callback) -> Callable[[Method], Method]:
    """Decorate a coroutine method that returns an async generator, closed in the same way."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        async def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
            sources: list[AsyncGenerator[Any]] = []
            outcome = None if _has_listener() else _Outcome()

            async def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
                sources.append(await method(self, *args, **kwargs))
                return sources[0] if outcome is None else outcome.astream()

            responses = await callback()(opened)(self, *args, **kwargs)
            if outcome is None:
                return _aclosing(responses, sources[0])
            return _aunobserved(sources[0], responses, outcome)

        return cast(Method, stream)

    return decorate


def _has_listener() -> bool:
    """Return whether an event handler hears of a stream's responses, here or at a parent of the framework's
    dispatcher."""
    current: Any = dispatcher
    while current:
        if any(type(handler) is not NullEventHandler for handler in current.event_handlers):
            return True
        if not current.propagate:
            return False
        current = current.parent
    return False


class _Outcome:
    """How a stream went, for the framework's wrapper to read once the stream is over."""

    __slots__ = ("error", "last")

    def __init__(self) -> None:
        self.last: Any = None
        self.error: BaseException | None = None

    def stream(self) -> Generator[Any]:
        """The last response, or the error."""
        if self.error is not None:
            raise self.error
        if self.last is not None:
            yield self.last

    async def astream(self) -> AsyncGenerator[Any]:
        """The same, async."""
        if self.error is not None:
            raise self.error
        if self.last is not None:
            yield self.last


def _unobserved(
    source: Generator[Any], responses: Generator[Any], outcome: _Outcome
) -> Generator[Any]:
    try:
        for response in source:
            outcome.last = response
            yield response
    except BaseException as error:
        outcome.error = error
        raise
    finally:
        try:
            _report(responses, outcome)
        finally:
            source.close()


async def _aunobserved(
    source: AsyncGenerator[Any], responses: AsyncGenerator[Any], outcome: _Outcome
) -> AsyncGenerator[Any]:
    try:
        async for response in source:
            outcome.last = response
            yield response
    except BaseException as error:
        outcome.error = error
        raise
    finally:
        try:
            await _areport(responses, outcome)
        finally:
            await source.aclose()


def _report(responses: Generator[Any], outcome: _Outcome) -> None:
    """Let the framework's wrapper report how the stream ended. The stream's own error is raised by the caller."""
    try:
        for _ in responses:
            pass
    except BaseException as error:
        if error is not outcome.error:
            raise
    finally:
        # Its traceback leads back here: without this only the collector frees it.
        outcome.error = None


async def _areport(responses: AsyncGenerator[Any], outcome: _Outcome) -> None:
    """The same, async."""
    try:
        async for _ in responses:
            pass
    except BaseException as error:
        if error is not outcome.error:
            raise
    finally:
        outcome.error = None  # As above.


def _close_source_after(responses: Generator[Any], source: Generator[Any]) -> Generator[Any]:
    try:
        yield from responses
    finally:
        source.close()


async def _aclosing(
    responses: AsyncGenerator[Any], source: AsyncGenerator[Any]
) -> AsyncGenerator[Any]:
    try:
        async for response in responses:
            yield response
    finally:
        await responses.aclose()
        await source.aclose()
