"""LlamaIndex's callbacks around the public methods, and streams that close what they read from."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeAlias, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])
Callback: TypeAlias = Callable[[], Callable[[Callable[..., Any]], Callable[..., Any]]]
"""`llm_chat_callback` or `llm_completion_callback`."""

# The framework's wrapper of a stream leaves the generator it reads from to the garbage collector,
# which cannot reach it while a handler keeps the exception that ended the stream, and with it the
# wrapper's frame. The connection would stay open as long. So each stream gets a second wrapper
# here, which closes its source.


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

            def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
                sources.append(method(self, *args, **kwargs))
                return sources[0]

            responses = callback()(opened)(self, *args, **kwargs)
            return _closing(responses, sources[0])

        return cast(Method, stream)

    return decorate


def with_astream_callbacks(callback: Callback) -> Callable[[Method], Method]:
    """Decorate a coroutine method that returns an async generator, closed in the same way."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        async def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
            sources: list[AsyncGenerator[Any]] = []

            async def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
                sources.append(await method(self, *args, **kwargs))
                return sources[0]

            responses = await callback()(opened)(self, *args, **kwargs)
            return _aclosing(responses, sources[0])

        return cast(Method, stream)

    return decorate


def _closing(responses: Generator[Any], source: Generator[Any]) -> Generator[Any]:
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
