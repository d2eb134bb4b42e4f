"""The key is in nothing that anybody might print, log, store, send on or look at in a traceback."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import langchain_core.load
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from pydantic import SecretStr

import nvcf_core
from nvcf_core import errors
from nvcf_emulator import Emulator

HEADER = "a-token-of-the-users-own"
"""Another secret: what a user puts into `default_headers`."""
OURS = tuple(
    str(Path(nvcf_core.__file__).parent.parent / name)
    for name in ("nvcf_core", "../langchain_nvcf", "../llamaindex_nvcf")
)

TRANSPORT = ("httpx", "httpcore", "h11", "anyio", "ssl")


def secrets_in(thing: Any, secret: str) -> list[str]:
    """Where a secret lies bare in a thing, or in what the thing holds."""
    return list(_search(thing, secret, type(thing).__name__, set(), 0))


def _search(thing: Any, secret: str, place: str, seen: set[int], depth: int) -> Iterator[str]:
    if isinstance(thing, (str, bytes, bytearray)):
        text = thing if isinstance(thing, str) else bytes(thing).decode(errors="replace")
        if secret in text:
            yield place
        return
    if id(thing) in seen or depth > 12 or isinstance(thing, (SecretStr, types.ModuleType, type)):
        return
    if type(thing).__module__.partition(".")[0] in TRANSPORT:
        # What is under way on a connection has to have the key. It must not show it.
        yield from _search(repr(thing), secret, f"repr of {place}", seen, depth)
        return
    seen.add(id(thing))
    for name, value in _held(thing):
        yield from _search(value, secret, f"{place}.{name}", seen, depth + 1)


def _held(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        for key, value in list(thing.items()):
            yield "key", key
            yield str(key)[:30], value
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from ((str(number), value) for number, value in enumerate(list(thing)))
    else:
        yield from vars(thing).items() if hasattr(thing, "__dict__") else ()
        for kind in type(thing).__mro__:
            slots = getattr(kind, "__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(thing, name):
                    yield name, getattr(thing, name)
        for name in ("__pydantic_private__", "__pydantic_extra__"):
            yield name, getattr(thing, name, None)


def test_the_search_finds_what_is_there() -> None:
    class Slotted:
        __slots__ = ("x",)

    deep = Slotted()
    deep.x = {"a": [types.SimpleNamespace(b=b"..s3cret..")]}
    assert secrets_in(deep, "s3cret")
    assert not secrets_in(SecretStr("s3cret"), "s3cret")


@pytest.fixture(params=["text", "SecretStr", "callable", "environment"])
def with_key(
    request: pytest.FixtureRequest, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The key, given in each way."""
    key = settings["api_key"]
    if request.param == "environment":
        monkeypatch.setenv("NVIDIA_API_KEY", key)
        return {}
    return {
        "api_key": {"text": key, "SecretStr": SecretStr(key), "callable": lambda: key}[
            request.param
        ]
    }


def test_what_a_model_shows(
    face: Any, with_key: dict[str, Any], settings: dict[str, Any], nvcf_emulator: Emulator
) -> None:
    given = {**settings, **with_key}
    if not with_key:
        del given["api_key"]
    given["verify"] = True
    asked = type(face())(**given, default_headers={"x-token": HEADER})
    asked.complete(asked.messages("hi", None))
    stream = asked.stream(asked.messages("hi", None))
    next(stream)
    model = asked.model
    shown = {
        "repr": repr(model),
        "str": str(model),
        "dump": model.model_dump(),
        "json": model.model_dump_json(),
        "pickle": _pickled(model),
        "repr of parts": repr(vars(model)) + repr(model._client.__dict__),
        **_shown_by_framework(model),
    }
    for name, value in shown.items():
        assert not secrets_in(value, nvcf_emulator.api_key), name
        assert not secrets_in(repr(value), nvcf_emulator.api_key), name
        if name not in ("pickle", "repr of parts"):
            assert not secrets_in(value, HEADER), name
    assert not secrets_in(model, nvcf_emulator.api_key), "nothing that it holds has it bare"
    assert nvcf_emulator.chats[0].headers["authorization"] == f"Bearer {nvcf_emulator.api_key}"
    stream.close()
    model.close()


def _pickled(model: Any) -> bytes:
    return b"" if callable(model.api_key) else pickle.dumps(model)


def _shown_by_framework(model: Any) -> dict[str, Any]:
    if hasattr(model, "lc_secrets"):
        return {
            "dumpd": langchain_core.load.dumpd(model),
            "dumps": langchain_core.load.dumps(model),
            "cache key": model._get_llm_string(),
            "tracing": model._get_ls_params(),
            "identity": model._identifying_params,
        }
    if hasattr(model, "to_dict"):
        return {"to_dict": model.to_dict(), "to_json": model.to_json(), "metadata": model.metadata}
    return {}


def test_a_copy_keeps_the_key_and_a_pickle_does_not(
    face: Any, nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = face(verify=True)
    twin = copy.copy(asked)
    twin.model = copy.deepcopy(asked.model)
    assert twin.complete(twin.messages("hi", None))
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    twin.model = pickle.loads(pickle.dumps(asked.model))
    with pytest.raises(errors.AuthenticationError):
        twin.complete(twin.messages("hi", None))
    assert "authorization" not in nvcf_emulator.chats[-1].headers
    monkeypatch.setenv("NVIDIA_API_KEY", nvcf_emulator.api_key)
    twin.model = pickle.loads(pickle.dumps(asked.model))
    assert twin.complete(twin.messages("hi", None))


FAILURES = {
    "403 that echoes the key": lambda s: s.fail(
        403, body={"detail": f"bad key {s.api_key}"}, headers={"x-echo": s.api_key}
    ),
    "500 text that echoes the key": lambda s: s.fail(500, body=f"headers: Bearer {s.api_key}"),
    "401": lambda s: s.fail(401),
    "reset": lambda s: s.fault("reset"),
    "close": lambda s: s.fault("close"),
    "stall": lambda s: s.fault("stall"),
    "garbage": lambda s: s.fault("garbage"),
    "truncate": lambda s: s.fault("truncate"),
    "stall-body": lambda s: s.fault("stall-body"),
    "bad-json": lambda s: s.fault("bad-json"),
    "an answer that echoes the key": lambda s: s.raw(
        200, {"content-type": "application/json"}, [f'{{"error": "{s.api_key}"}}'.encode()]
    ),
    "an event that echoes the key": lambda s: s.raw(
        200, {"content-type": "text/event-stream"}, [f"data: nonsense {s.api_key}\n\n".encode()]
    ),
    "an error event that echoes the key": lambda s: s.error_in_stream("error-object", message=s.api_key),
    "a poll that fails": lambda s: (s.accept(), s.fail(500, body=s.api_key, on="poll")),
    "an asset that is not created": lambda s: s.fail(403, body=s.api_key, on="create"),
    "an asset that is not put": lambda s: s.fault("reset", on="put"),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_an_error_shows(
    way: Any, nvcf_emulator: Emulator, failure: str, large_picture: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    FAILURES[failure](nvcf_emulator)
    key = nvcf_emulator.api_key
    asked = way(timeout=0.2, stream_chunk_timeout=0.2, max_retries=0)
    with pytest.raises(errors.NVCFError) as caught:
        await asked.ask(picture=large_picture if "asset" in failure else None)
    error = caught.value
    for one in _chain(error):
        shown = (str(one), repr(one), one.args, vars(one))
        assert not secrets_in(shown, key), type(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename.startswith(OURS) and "echoes" not in failure:
                assert not secrets_in(frame.f_locals, key), frame.f_code
    assert not secrets_in(pickle.dumps(error), key)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    for record in caplog.records:
        if record.name.startswith(("nvcf", "http")) or "echoes" not in failure:
            assert not secrets_in((record.getMessage(), record.args), key), record.name


HEADS = {
    "the id of a 202": lambda key: f"HTTP/1.1 202 Accepted\r\nnvcf-reqid: {key}",
    "the place of a large result": lambda key: (
        f"HTTP/1.1 302 Found\r\nlocation: https://{key}.invalid/{key}"
    ),
    "a place that may not be followed": lambda key: f"HTTP/1.1 302 Found\r\nlocation: ftp://{key}",
    "a redirect that is no result": lambda key: f"HTTP/1.1 307 Moved\r\nlocation: /{key}",
    "a header that is none": lambda key: f"HTTP/1.1 200 OK\r\n{key}\0: x",
    "a length that is none": lambda key: f"HTTP/1.1 200 OK\r\ncontent-length: {key}",
    "an encoding": lambda key: f"HTTP/1.1 200 OK\r\ncontent-encoding: {key}",
    "the status line": lambda key: f"HTTP/1.1 2x0 {key}",
    "a wait": lambda key: f"HTTP/1.1 429 Slow\r\nretry-after: {key}",
}


HOLD_THE_ANSWER = ("answer_stream.py", "client.py")
"""The modules whose frames hold an answer as it was read until then: what the service put into that is in it."""


@pytest.mark.parametrize("head", HEADS)
async def test_a_head_that_echoes_the_key(
    way: Any, raw: Any, nvcf_emulator: Emulator, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is nowhere: frames that are done with have no locals, in this package and in the HTTP library."""
    caplog.set_level(logging.DEBUG)
    key = nvcf_emulator.api_key
    raw.answer(f"{HEADS[head](key)}\r\ncontent-length: 0\r\n\r\n".encode())
    asked = way(base_url=raw.url, nvcf_url=raw.url, timeout=5, poll_timeout=0.2, max_retries=0)
    with pytest.raises(errors.NVCFError) as caught:
        await asked.ask()
    for one in _chain(caught.value):
        assert not secrets_in((str(one), repr(one), one.args, vars(one)), key), type(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            path = Path(frame.f_code.co_filename)
            done = {"nvcf_core", "httpcore", "h11"} & set(path.parts)
            if done and path.name not in HOLD_THE_ANSWER:
                assert not secrets_in(frame.f_locals, key), frame.f_code
    for record in caplog.records:
        assert not secrets_in((record.getMessage(), record.args), key), record.name


async def test_what_the_http_libraries_log_of_a_head_that_echoes_the_key(
    way: Any, raw: Any, nvcf_emulator: Emulator, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a client of the user's own, httpx logs the status line, and httpcore the headers."""
    caplog.set_level(logging.DEBUG)
    key = nvcf_emulator.api_key
    head = f"HTTP/1.1 403 {key}\r\nx-echo: {key}\r\ncontent-length: 0\r\n\r\n"
    raw.answer(head.encode())
    clients = {"http_client": httpx.Client(), "http_async_client": httpx.AsyncClient()}
    asked = way(base_url=raw.url, nvcf_url=raw.url, max_retries=0, **clients)
    with pytest.raises(errors.PermissionDeniedError):
        await asked.ask()
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert names >= {"httpx", "httpcore"}
    assert any("***" in record.getMessage() for record in caplog.records)
    for record in caplog.records:
        assert not secrets_in((record.getMessage(), record.args), key), record.name
    clients["http_client"].close()
    await clients["http_async_client"].aclose()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def test_a_list_of_models_that_echoes_the_key(face: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.raw(200, {}, [nvcf_emulator.api_key.encode()], on="models")
    with pytest.raises(errors.InvalidResponseError) as caught:
        face().model.available_models()
    assert not secrets_in(caught.value, nvcf_emulator.api_key)


@pytest.mark.usefixtures("impatient")
async def test_what_is_logged_when_all_goes_well(
    way: Any, nvcf_emulator: Emulator, caplog: pytest.LogCaptureFixture, large_picture: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    nvcf_emulator.fail(503)
    asked = way()
    await asked.ask(picture=large_picture)
    await asked.close()
    assert any(record.name == "nvcf" for record in caplog.records)
    for record in caplog.records:
        assert not secrets_in((record.getMessage(), record.args), nvcf_emulator.api_key), (
            record.name
        )


class Watching(BaseCallbackHandler):
    """Keeps all that LangChain tells a handler."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda *args, **kwargs: self.told.append((name, args, kwargs))


def test_what_langchain_tells_its_handlers(
    settings: dict[str, Any], nvcf_emulator: Emulator
) -> None:
    from langchain_nvcf import ChatNVCF

    cache, watching = InMemoryCache(), Watching()
    model = ChatNVCF(
        **{**settings, "verify": True, "cache": cache, "default_headers": {"x-token": HEADER}}
    )
    model.invoke("hi", config={"callbacks": [watching]})
    list(model.stream("hi", config={"callbacks": [watching]}))
    nvcf_emulator.fail(403, body=nvcf_emulator.api_key)
    with pytest.raises(errors.PermissionDeniedError):
        model.invoke("another", config={"callbacks": [watching]})
    names = {name for name, *_ in watching.told}
    assert names >= {"on_chat_model_start", "on_llm_new_token", "on_llm_end", "on_llm_error"}
    for told in (watching.told, cache._cache):
        assert not secrets_in(told, nvcf_emulator.api_key)
        assert not secrets_in(repr(told), nvcf_emulator.api_key)
        assert not secrets_in(repr(told), HEADER)


class Events(BaseEventHandler):
    """Keeps all of LlamaIndex's events, as a store of traces would."""

    told: ClassVar[list[str]] = []

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **_: Any) -> None:
        self.told.append(event.model_dump_json(fallback=repr) + repr(event))


def test_what_llamaindex_tells_its_handlers(
    settings: dict[str, Any], nvcf_emulator: Emulator
) -> None:
    from llama_index.core.llms import ChatMessage

    from llamaindex_nvcf import NVCF

    events, spans = Events(), SimpleSpanHandler()
    root = get_dispatcher()
    root.add_event_handler(events)
    root.add_span_handler(spans)
    try:
        model = NVCF(**{**settings, "default_headers": {"x-token": HEADER}})
        model.chat([ChatMessage(content="hi")])
        list(model.stream_chat([ChatMessage(content="hi")]))
        nvcf_emulator.fail(403, body=nvcf_emulator.api_key)
        with pytest.raises(errors.PermissionDeniedError):
            model.complete("hi")
    finally:
        root.event_handlers.remove(events)
        root.span_handlers.remove(spans)
    assert len(events.told) >= 6
    told = [*events.told, repr(spans.completed_spans), repr(spans.dropped_spans)]
    assert not secrets_in(told, nvcf_emulator.api_key)
    assert not secrets_in(told, HEADER)


def test_a_wrong_setting_is_refused_without_showing_the_key(
    face: Any, nvcf_emulator: Emulator
) -> None:
    """A validation error names the field, not the values: one of them might be a key in the wrong place."""
    for wrong in ({"api_key": [nvcf_emulator.api_key]}, {"max_tokens": nvcf_emulator.api_key}):
        with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
            face(**wrong)
        assert not secrets_in(str(caught.value), nvcf_emulator.api_key)


def test_warnings_do_not_show_it(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face(seed=3, model="google/paligemma", base_url=nvcf_emulator.base_url)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(errors.BadRequestError):
            asked.complete(asked.messages("caption", None), unheard_of=json.dumps({}))
    assert caught
    for warning in caught:
        assert not secrets_in(str(warning.message), nvcf_emulator.api_key)
