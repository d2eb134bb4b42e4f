"""Errors: crossed with langchain-core's family on every road, sync and async, whole and streamed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware
from langchain_core import exceptions as lc

from langchain_nvcf import ChatNVCF, errors
from nvcf_core import errors as core
from nvcf_emulator import Emulator

STATUSES = [
    (400, errors.BadRequestError, lc.ModelInvalidRequestError, False),
    (401, errors.AuthenticationError, lc.ModelAuthenticationError, False),
    (402, errors.PermissionDeniedError, lc.ModelPermissionDeniedError, False),
    (403, errors.PermissionDeniedError, lc.ModelPermissionDeniedError, False),
    (404, errors.NotFoundError, lc.ModelNotFoundError, False),
    (408, errors.ServerError, lc.ModelAPIError, True),
    (409, errors.BadRequestError, lc.ModelInvalidRequestError, True),
    (410, errors.ModelGoneError, lc.ModelNotFoundError, False),
    (422, errors.BadRequestError, lc.ModelInvalidRequestError, False),
    (429, errors.RateLimitError, lc.ModelRateLimitError, True),
    (500, errors.ServerError, lc.ModelAPIError, True),
    (503, errors.ServerError, lc.ModelAPIError, True),
]
CHAT = ChatNVCF


def core_twin(kind: type[core.NVCFError]) -> type[core.NVCFError]:
    found: type[core.NVCFError] = getattr(core, kind.__name__)
    return found


@pytest.mark.parametrize(("status", "kind", "family", "retryable"), STATUSES)
def test_statuses(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    ask: Callable[..., Any],
    status: int,
    kind: type[errors.APIStatusError],
    family: type[lc.ModelError],
    retryable: bool,
) -> None:
    nvcf_emulator.fail(status)
    with pytest.raises(kind) as raised:
        ask(chat(), "Hello")
    error = raised.value
    assert isinstance(error, family)
    assert isinstance(error, core_twin(kind))
    assert (error.is_retryable, error.retryable) == (retryable, retryable)
    assert error.response.status_code == error.status == status
    assert error.request_id
    assert len(nvcf_emulator.chats) == 1


def test_an_overflow_of_the_context(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    message = (
        "This model's maximum context length is 16384 tokens. However, you requested 16448 tokens"
    )
    nvcf_emulator.fail(
        400, body={"error": {"message": message, "type": "BadRequestError", "code": 400}}
    )
    with pytest.raises(lc.ContextOverflowError) as raised:
        ask(chat(), "Hello")
    assert isinstance(raised.value, core.ContextLengthError)


def test_a_broken_connection(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    nvcf_emulator.fault("reset")
    with pytest.raises(lc.ModelConnectionError) as raised:
        ask(chat(), "Hello")
    assert isinstance(raised.value, core.APIConnectionError)
    assert raised.value.is_retryable


def test_no_reply_in_time(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    nvcf_emulator.fault("stall")
    with pytest.raises(lc.ModelTimeoutError) as raised:
        ask(chat(timeout=0.2), "Hello")
    assert isinstance(raised.value, core.APITimeoutError)
    assert isinstance(raised.value, errors.APIConnectionError)


def test_a_stream_that_breaks_off(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.error_in_stream("error-object")
    nvcf_emulator.reply(text=["one ", "two ", "three"])
    with pytest.raises(errors.StreamInterruptedError) as raised:
        colour.stream(chat(), "Hello")
    assert isinstance(raised.value, lc.ModelAPIError)
    assert raised.value.partial.text == "one two "
    assert not raised.value.is_retryable


def test_a_body_that_is_no_answer(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.raw(headers={"content-type": "application/json"}, chunks=[b"[]"])
    with pytest.raises(errors.InvalidResponseError) as raised:
        colour.invoke(chat(), "Hello")
    assert isinstance(raised.value, lc.ModelError)


def test_refusals_of_our_own(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    for call in (
        lambda: chat(temperature=3),
        lambda: chat(base_url="nonsense"),
        lambda: chat().bind_tools([1]),
        lambda: chat().bind_tools([], tool_choice="any"),
        lambda: chat().with_structured_output(None),
        lambda: ask(chat(), "Hello", temperature=3),
        lambda: ask(chat(), "Hello", max_connections=3),
        lambda: ask(chat(), []),
    ):
        with pytest.raises(errors.InvalidRequestError) as raised:
            call()
        assert isinstance(raised.value, lc.ModelInvalidRequestError)
        assert isinstance(raised.value, core.InvalidRequestError)
        assert isinstance(raised.value, ValueError)
    assert nvcf_emulator.requests == []


def test_errors_of_the_other_entries(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.fail(403, on="models")
    with pytest.raises(errors.PermissionDeniedError):
        colour.models(chat())
    with pytest.raises(errors.InvalidRequestError):
        colour.upload(chat(), "/no/such/file")
    with pytest.raises(errors.InvalidRequestError):
        pickle.dumps(chat(http_client=object()))


def test_errors_through_bound_and_structured_models(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    class Answer(SimpleNamespace):
        """An answer."""

    def add(a: int) -> int:
        """Add."""
        return a

    for runnable in (
        chat().bind_tools([add]),
        chat().with_structured_output({"title": "Answer", "type": "object", "properties": {}}),
        chat().with_config(tags=["x"]),
    ):
        nvcf_emulator.fail(429, retry_after=7)
        with pytest.raises(lc.ModelRateLimitError) as raised:
            colour.invoke(runnable, "Hello")
        assert isinstance(raised.value, core.RateLimitError)
        assert raised.value.retry_after == 7


def test_errors_pickle(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fail(429)
    with pytest.raises(errors.RateLimitError) as raised:
        chat().invoke("Hello")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert type(copy) is errors.RateLimitError
    assert str(copy) == str(raised.value)
    assert (copy.status, copy.request_id, copy.is_retryable) == (429, raised.value.request_id, True)


def test_the_traceback_and_the_cause_stay(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.fault("reset")
    with pytest.raises(errors.APIConnectionError) as raised:
        chat().invoke("Hello")
    assert raised.value.__cause__ is not None
    assert raised.value.__suppress_context__
    frames = [entry.name for entry in raised.traceback]
    assert "_generate" in frames
    assert "complete" in frames


def test_every_error_of_the_core_has_a_twin() -> None:
    def family(kind: type[core.NVCFError]) -> list[type[core.NVCFError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in family(child))]

    own = [kind for kind in family(core.NVCFError) if kind.__module__ == core.__name__]
    assert len(own) > 10
    for kind in own:
        twin = getattr(errors, kind.__name__)
        assert issubclass(twin, kind)
        assert issubclass(twin, lc.ModelError)
        parents = [base for base in kind.__mro__[1:] if base in own]
        assert all(issubclass(twin, getattr(errors, base.__name__)) for base in parents)


def test_retries_and_fallbacks_of_runnables(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.fail(503)
    nvcf_emulator.reply(text="at last")
    patient = chat().with_retry(
        retry_if_exception_type=(lc.ModelAPIError,),
        stop_after_attempt=2,
        wait_exponential_jitter=False,
    )
    assert colour.invoke(patient, "Hello").content == "at last"
    nvcf_emulator.fail(429)
    nvcf_emulator.reply(text="from the other")
    other = chat("google/gemma-3n-e2b-it")
    falling = chat().with_fallbacks([other], exceptions_to_handle=(lc.ModelRateLimitError,))
    assert colour.invoke(falling, "Hello").content == "from the other"
    assert nvcf_emulator.chats[-1].body["model"] == other.model


def test_the_agents_middleware_reads_them(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.fail(503)
    nvcf_emulator.reply(text="at last")
    retrying = create_agent(
        chat(), middleware=[ModelRetryMiddleware(max_retries=1, initial_delay=0)]
    )
    state = colour.invoke(retrying, {"messages": [("user", "Hello")]})
    assert state["messages"][-1].content == "at last"
    nvcf_emulator.fail(400)
    with pytest.raises(errors.BadRequestError):
        colour.invoke(
            create_agent(
                chat(),
                middleware=[
                    ModelRetryMiddleware(max_retries=3, initial_delay=0, on_failure="error")
                ],
            ),
            {"messages": [("user", "Hello")]},
        )
    assert len(nvcf_emulator.chats) == 3
    nvcf_emulator.fail(410)
    nvcf_emulator.reply(text="from the other")
    falling = create_agent(
        chat(), middleware=[ModelFallbackMiddleware(chat("google/gemma-3n-e2b-it"))]
    )
    state = colour.invoke(falling, {"messages": [("user", "Hello")]})
    assert state["messages"][-1].content == "from the other"
