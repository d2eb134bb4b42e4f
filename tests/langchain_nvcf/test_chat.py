"""`ChatNVCF` in general: what a call sends, what an answer says, streams, callbacks, caches, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
)
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import (
    BadRequestError,
    InvalidRequestError,
    NotFoundError,
    NVCFWarning,
    RateLimitError,
)
from nvcf_core.models.catalog import known_models, register, spec_for
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"
PALI = "google/paligemma"


def test_only_what_was_set_is_sent(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    colour.invoke(chat(), "Hello")
    hello = [{"role": "user", "content": "Hello"}]
    assert nvcf_emulator.chats[0].body == {"model": KIMI, "messages": hello, "stream": False}
    colour.stream(chat(), "Hello")
    assert nvcf_emulator.chats[1].body == {
        "model": KIMI, "messages": hello, "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_settings_of_the_object_the_call_and_the_binding(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    model = chat(SUPER, temperature=0.1, top_p=0.5, seed=1)
    bound = model.bind(top_p=0.6, stop=["x"])
    ask(bound, "Hello", temperature=0.2, seed=None, reasoning_effort="none", logit_bias={"1": 2})
    body = nvcf_emulator.chats[0].body
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.2, 0.6, 1)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["stop"] == ["x"]
    assert body["logit_bias"] == {"1": 2}


def test_an_unknown_keyword_goes_into_the_body_with_one_warning(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    model = chat()
    with pytest.warns(NVCFWarning, match="min_p"), pytest.raises(BadRequestError, match="min_p"):
        model.invoke("Hello", min_p=0.1)
    with pytest.raises(BadRequestError):
        model.invoke("Hello", min_p=0.1)
    with pytest.raises(NotFoundError):  # Of a model without a page nothing is known: no warning.
        chat("some/model").invoke("Hello", min_p=0.1)
    assert [request.body["min_p"] for request in nvcf_emulator.chats] == [0.1] * 3


def test_the_model_of_one_call(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    answer = ask(chat(), "Hello", model=GEMMA)
    assert nvcf_emulator.chats[0].body["model"] == GEMMA
    assert answer.response_metadata["model_name"] == GEMMA
    with pytest.raises(InvalidRequestError, match="8192"):
        ask(chat(), "Hello", model=GEMMA, max_tokens=9000)


def test_a_model_that_does_not_name_itself(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    nvcf_emulator.reply(text="a cat", shape="bare")
    answer = ask(chat(PALI), "What?")
    assert nvcf_emulator.chats[0].path.endswith("/vlm/google/paligemma")
    assert (answer.text, answer.response_metadata["model_name"]) == ("a cat", PALI)


def test_roles_names_and_the_history(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    chat().invoke(
        [
            ("system", "Be brief."),
            HumanMessage("Hi", name="Ann"),
            ("ai", "Hello"),
            {"role": "user", "content": "Bye"},
        ]
    )
    assert nvcf_emulator.chats[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi", "name": "Ann"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]


def test_stop_is_enforced_where_the_page_lacks_it(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    nvcf_emulator.reply(text=["one t", "wo thr", "ee"])
    answer = ask(chat(), "count", stop=["two"])
    assert (answer.text, answer.response_metadata["finish_reason"]) == ("one ", "stop")
    assert "stop" not in nvcf_emulator.chats[0].body


def test_choices_become_generations(chat: Callable[..., ChatNVCF]) -> None:
    result = chat(SUPER).generate([[HumanMessage("Hello")]], n=3)
    [generations] = result.generations
    texts = [generation.text for generation in generations]
    assert len(set(texts)) == 3
    with pytest.raises(InvalidRequestError, match="n=3"):
        list(chat(SUPER).stream("Hello", n=3))


def test_streaming_as_a_setting(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    answer = colour.invoke(chat(streaming=True), "Hello")
    assert type(answer) is AIMessage
    assert answer.usage_metadata is not None
    colour.invoke(chat(), "Hello", streaming=True)
    colour.invoke(chat(), "Hello", stream=True)
    colour.invoke(chat(streaming=True), "Hello", stream=False, streaming=False)
    assert [request.body["stream"] for request in nvcf_emulator.chats] == [True, True, True, False]


def test_an_explicit_off_does_not_ban_streams(
    chat: Callable[..., ChatNVCF], colour: SimpleNamespace
) -> None:
    assert len(colour.stream(chat(streaming=False), "Hello")) > 2


def test_streams_can_be_disabled(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    assert len(colour.stream(chat(disable_streaming=True), "Hello")) == 1
    assert nvcf_emulator.chats[0].body["stream"] is False


def test_usage_can_be_left_out_of_streams(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    chunks = colour.stream(chat(stream_usage=False), "Hello")
    assert "stream_options" not in nvcf_emulator.chats[0].body
    assert all(chunk.usage_metadata is None for chunk in chunks)


def test_usage_is_told_once_and_the_last_piece_is_the_last(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    for shape in (
        "default",
        "usage-cumulative",
        "usage-empty-choices",
        "usage-in-finish",
        "usage-extra-with-choices",
    ):
        nvcf_emulator.shape = shape
        *others, last = colour.stream(chat(), "Hello")
        assert last.chunk_position == "last"
        assert all(
            chunk.usage_metadata is None and chunk.chunk_position is None for chunk in others
        )
        total = last.usage_metadata["total_tokens"]
        assert total == last.usage_metadata["input_tokens"] + last.usage_metadata["output_tokens"]
        whole = others[0] + [*others[1:], last]
        assert whole.usage_metadata == last.usage_metadata


@pytest.mark.parametrize(
    "shape", ["reasoning-content", "reasoning-field", "reasoning-both", "think-tags"]
)
def test_reasoning_is_apart_in_every_shape(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any], shape: str
) -> None:
    nvcf_emulator.reply(text="Four.", reasoning="Two and two.", shape=shape)
    answer = ask(chat(), "2+2?")
    assert answer.text == "Four."
    assert answer.additional_kwargs["reasoning_content"] == "Two and two."
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text"]


def test_v1_output(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    calls = [{"id": "c1", "name": "f", "arguments": {"a": 1}}]
    model = chat(output_version="v1")
    nvcf_emulator.reply(text="So.", reasoning="Hm.", tool_calls=calls, unchecked=True)
    answer = ask(model, "Hello")
    assert answer.response_metadata["output_version"] == "v1"
    blocks = [
        {key: value for key, value in block.items() if key != "index"} for block in answer.content
    ]
    assert blocks == [
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "text", "text": "So."},
        {"type": "tool_call", "id": "c1", "name": "f", "args": {"a": 1}},
    ]
    assert answer.content == answer.content_blocks
    ask(model, [HumanMessage("Hello"), answer, HumanMessage("Go on")])
    assert nvcf_emulator.chats[1].body["messages"][1] == {
        "role": "assistant",
        "content": "So.",
        "reasoning_content": "Hm.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
        ],
    }


class Recorder(BaseCallbackHandler):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.tokens: list[Any] = []
        self.ended: Any = None

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.seen.append("start")

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        self.seen.append("token")
        self.tokens.append(chunk.message)

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.seen.append("end")
        self.ended = response

    def on_llm_error(self, error: BaseException, **keywords: Any) -> None:
        self.seen.append(f"error {type(error).__name__}")
        self.ended = keywords.get("response")


class AsyncRecorder(AsyncCallbackHandler):
    """The same for async callbacks."""

    def __init__(self) -> None:
        self.inner = Recorder()

    async def on_chat_model_start(self, *rest: Any, **more: Any) -> None:
        self.inner.on_chat_model_start(*rest, **more)

    async def on_llm_new_token(self, *rest: Any, **more: Any) -> None:
        self.inner.on_llm_new_token(*rest, **more)

    async def on_llm_end(self, *rest: Any, **more: Any) -> None:
        self.inner.on_llm_end(*rest, **more)

    async def on_llm_error(self, *rest: Any, **more: Any) -> None:
        self.inner.on_llm_error(*rest, **more)


@pytest.mark.parametrize("streaming", [False, True])
def test_callbacks_hear_everything_once(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any], streaming: bool
) -> None:
    """Also where `invoke` streams, and in both kinds of handlers at once."""
    nvcf_emulator.reply(
        reasoning=["Hm", ", so"],
        text=["a", "b"],
        tool_calls=[{"name": "f", "arguments": {"a": 1}}],
        times=2,
        unchecked=True,
    )
    sync, both = Recorder(), AsyncRecorder()
    model = chat(streaming=True) if streaming else chat()
    answer = ask(model, "Hello", config={"callbacks": [sync]})
    asyncio.run(model.ainvoke("Hello", config={"callbacks": [both]}))
    for seen in (sync.seen, both.inner.seen):
        assert seen[0] == "start"
        assert seen[-1] == "end"
        assert set(seen[1:-1]) <= {"token"}
        assert seen.count("start") == seen.count("end") == 1
    if not sync.tokens:
        return
    first, *others = sync.tokens
    total = first + others
    assert total.additional_kwargs["reasoning_content"] == "Hm, so"
    assert (total.content, total.tool_calls) == (answer.content, answer.tool_calls)
    assert total.tool_calls[0]["args"] == {"a": 1}
    assert sum(bool(token.usage_metadata) for token in sync.tokens) == 1


def test_callbacks_hear_of_errors_once(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    recorder = Recorder()
    nvcf_emulator.fail(429, headers={"x-note": "slow down"})
    with pytest.raises(RateLimitError):
        ask(chat(), "Hello", config={"callbacks": [recorder]})
    assert recorder.seen == ["start", "error RateLimitError"]
    metadata = recorder.ended.generations[0][0].message.response_metadata
    assert metadata["status_code"] == 429
    assert metadata["request_id"]
    assert metadata["headers"]["x-note"] == "slow down"


def test_a_stream_that_is_left_early(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    recorder = Recorder()
    nvcf_emulator.reply(text=["piece "] * 1000, chunk_delay=0.01)
    stream = chat().stream("Hello", config={"callbacks": [recorder]})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.streaming == 0)
    assert recorder.seen == ["start", "token", "error GeneratorExit"]


async def test_an_async_stream_that_is_left_early(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    recorder = AsyncRecorder()
    model = chat()
    nvcf_emulator.reply(text=["piece "] * 1000, chunk_delay=0.01)
    async for _ in model.astream("Hello", config={"callbacks": [recorder]}):
        break
    gone = await asyncio.to_thread(nvcf_emulator.wait_until, lambda: nvcf_emulator.streaming == 0)
    assert gone
    assert recorder.inner.seen.count("start") == 1
    assert "end" not in recorder.inner.seen
    await model.aclose()


async def test_a_task_that_is_cancelled(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    model = chat()
    nvcf_emulator.reply(text="late", delay=30)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await model.ainvoke("Hello")
    assert await asyncio.to_thread(nvcf_emulator.wait_until, lambda: nvcf_emulator.streaming == 0)
    await model.aclose()


def test_usage_callbacks(chat: Callable[..., ChatNVCF], ask: Callable[..., Any]) -> None:
    handler = UsageMetadataCallbackHandler()
    answer = ask(chat(), "Hello", config={"callbacks": [handler]})
    assert handler.usage_metadata == {KIMI: answer.usage_metadata}


def test_caches(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    cache = InMemoryCache()
    one, two = chat(cache=cache), chat(cache=cache, temperature=0.5)
    first = colour.invoke(one, "Hello")
    assert colour.invoke(one, "Hello").content == first.content
    assert len(nvcf_emulator.chats) == 1
    settings: list[dict[str, Any]] = [
        {}, {"top_p": 0.5}, {"seed": 1}, {"max_tokens": 50}, {"reasoning_effort": "none"}, {"stop": ["x"]},
        {"chat_template_kwargs": {"thinking": True}}, {"extra_body": {"temperature": 0.3}}, {"model": GEMMA},
    ]  # fmt: skip
    for number, keywords in enumerate(settings):
        other = chat(**{"cache": cache, "temperature": 0.5, **keywords})
        colour.invoke(other, "Hello")
        colour.invoke(other, "Hello")
        assert len(nvcf_emulator.chats) == number + 2, keywords
    colour.invoke(two, "Hello", temperature=0.6)
    assert len(nvcf_emulator.chats) == len(settings) + 2
    assert nvcf_emulator.api_key not in str(cache._cache)


class Limiter(BaseRateLimiter):
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True


def test_langchains_own_rate_limiter(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any]
) -> None:
    limiter = Limiter()
    ask(chat(rate_limiter=limiter), "Hello")
    assert limiter.asked == 1


def test_batches(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    asked = [f"question {number}" for number in range(20)]
    answers = colour.batch(chat(), asked, config={"max_concurrency": 4})
    assert [question in answer.text for question, answer in zip(asked, answers, strict=True)] == [
        True
    ] * 20
    nvcf_emulator.fail(400, times=2)
    failed = colour.batch(chat(), asked[:2], return_exceptions=True)
    assert [type(error).__name__ for error in failed] == ["BadRequestError"] * 2


def test_configurable_fields(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    model = chat().configurable_fields(
        temperature=ConfigurableField(id="heat"), model=ConfigurableField(id="who")
    )
    chunks = colour.stream(model, "Hello", config={"configurable": {"heat": 0.3}})
    assert len(chunks) > 2
    colour.invoke(model, "Hello", config={"configurable": {"heat": 0.4, "who": GEMMA}})
    colour.invoke(model, "Hello")
    found = [
        (request.body["model"], request.body.get("temperature")) for request in nvcf_emulator.chats
    ]
    assert found == [(KIMI, 0.3), (GEMMA, 0.4), (KIMI, None)]


@pytest.mark.filterwarnings(
    "ignore:The class `InMemoryChatMessageHistory` was deprecated",
    "ignore:RunnableWithMessageHistory is deprecated",
)
def test_chains_and_histories(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Be {mood}."), MessagesPlaceholder("past"), ("user", "{text}")]
    )
    history = InMemoryChatMessageHistory()
    remembering = RunnableWithMessageHistory(
        prompt | chat(), lambda: history, input_messages_key="text", history_messages_key="past",
        history_factory_config=[],
    )  # fmt: skip
    nvcf_emulator.reply(text="Hi Ann.", reasoning="A name.")
    colour.invoke(remembering, {"mood": "kind", "text": "I am Ann."})
    answer = colour.invoke(remembering | StrOutputParser(), {"mood": "kind", "text": "Who am I?"})
    assert "Who am I?" in answer
    assert nvcf_emulator.chats[1].body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "I am Ann."},
        {"role": "assistant", "content": "Hi Ann.", "reasoning_content": "A name."},
        {"role": "user", "content": "Who am I?"},
    ]


def test_available_models(chat: Callable[..., ChatNVCF], colour: SimpleNamespace) -> None:
    found = colour.models(chat())
    assert found == sorted(set(found))
    assert KIMI in found


def test_tracing_parameters(chat: Callable[..., ChatNVCF]) -> None:
    params = chat(temperature=0.3, max_tokens=10, stop="x")._get_ls_params()
    assert params == {
        "ls_provider": "nvcf", "ls_model_type": "chat", "ls_model_name": KIMI, "ls_temperature": 0.3,
        "ls_max_tokens": 10, "ls_stop": ["x"],
    }  # fmt: skip
    assert chat()._get_ls_params(model=GEMMA)["ls_model_name"] == GEMMA
    assert chat()._llm_type == "chat-nvcf"
    assert chat().metadata["lc_versions"].keys() >= {"langchain-core", "nvcf-adapters"}  # type: ignore[index]


@pytest.mark.parametrize("spec", known_models(), ids=lambda spec: spec.id)
def test_profiles(spec: Any) -> None:
    profile = ChatNVCF(model=spec.id).profile
    assert profile is not None
    assert profile["max_input_tokens"] == spec.context_window
    assert profile["max_output_tokens"] == spec.max_output_tokens
    assert profile["tool_calling"] == spec.supports_tools
    assert profile["reasoning_output"] == spec.supports_reasoning
    assert profile["structured_output"] == (
        spec.documents("response_format") or not spec.supports_tools
    )
    kinds = [kind for kind in ("image", "audio", "video") if profile[f"{kind}_inputs"]]  # type: ignore[literal-required]
    assert set(kinds) == set(spec.media)


@pytest.mark.usefixtures("restored_catalog")
def test_profiles_of_other_models() -> None:
    assert ChatNVCF(model="some/model").profile is None
    assert ChatNVCF(model=KIMI, profile={"max_input_tokens": 5}).profile == {"max_input_tokens": 5}
    kimi = spec_for(KIMI)
    register(
        type(kimi)(id="my/kimi", parameters=kimi.parameters, bounds=kimi.bounds, context_window=7)
    )
    profile = ChatNVCF(model="my/kimi").profile
    assert profile is not None
    assert profile["max_input_tokens"] == 7


def test_constructing_does_no_io(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket", lambda *_, **__: pytest.fail("a socket was opened"))
    ChatNVCF(model=KIMI, api_key="x")
    ChatNVCF(model="some/model")


def test_the_key_is_asked_at_each_request(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    keys = iter([nvcf_emulator.api_key, "nvapi-other"])
    nvcf_emulator.add_key("nvapi-other")
    model = chat(api_key=lambda: next(keys))
    colour.invoke(model, "Hello")
    colour.invoke(model, "Hello")
    sent = [request.headers["authorization"] for request in nvcf_emulator.chats]
    assert sent == [f"Bearer {nvcf_emulator.api_key}", "Bearer nvapi-other"]


def test_identifying_parameters_are_plain_and_without_the_key() -> None:
    model = ChatNVCF(
        model=KIMI, api_key="nvapi-secret", temperature=0.5, default_headers={"x": "secret"}
    )
    assert json.loads(json.dumps(model._identifying_params)) == {
        "model": KIMI, "temperature": 0.5, "media_tags": "literal",
    }  # fmt: skip


class Ends(BaseCallbackHandler):
    """Keeps the `llm_output` that every call ended with."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.outputs.append(response.llm_output)


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("streaming", [True, False])
def test_llm_output_has_the_tokens_of_each_call_and_of_the_whole_batch(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, sync: bool, streaming: bool
) -> None:
    ends, batch = Ends(), [[HumanMessage("one")], [HumanMessage("two")]]
    model = chat(callbacks=[ends], streaming=streaming)
    nvcf_emulator.reply(
        text="a", usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}, times=2
    )
    result = model.generate(batch) if sync else asyncio.run(model.agenerate(batch))
    used = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    assert ends.outputs == [{"token_usage": used, "model_name": KIMI}] * 2
    total = {name: 2 * count for name, count in used.items()}
    assert result.llm_output == {"token_usage": total, "model_name": KIMI}


@pytest.mark.parametrize("streaming", [True, False])
def test_llm_output_of_answers_without_token_counts(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, streaming: bool
) -> None:
    ends = Ends()
    nvcf_emulator.reply(text="a", usage={})
    model = chat(streaming=streaming, stream_usage=False, callbacks=[ends])
    result = model.generate([[HumanMessage("one")]])
    assert result.llm_output == {"token_usage": {}, "model_name": KIMI}
    assert ends.outputs == [result.llm_output]


@pytest.mark.parametrize("streaming", [True, False])
def test_what_the_cache_answers_costs_no_tokens(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, streaming: bool
) -> None:
    batch = [[HumanMessage("one")]]
    nvcf_emulator.reply(text="a")
    model = chat(cache=InMemoryCache(), streaming=streaming)
    assert (model.generate(batch).llm_output or {})["token_usage"]["total_tokens"] > 0
    assert model.generate(batch).llm_output == {"token_usage": {}, "model_name": KIMI}
    assert len(nvcf_emulator.chats) == 1


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("by_call", [True, False])
def test_the_headers_of_the_response_where_they_are_wanted(
    chat: Callable[..., ChatNVCF], colour: SimpleNamespace, include: bool, by_call: bool
) -> None:
    wanted = {"include_response_headers": include}
    model, given = (
        (chat(include_response_headers=not include), wanted) if by_call else (chat(**wanted), {})
    )
    whole = colour.invoke(model, "Hello", **given)
    first, *others = colour.stream(model, "Hello", **given)
    events = colour.events(model, "Hello", **given).message
    for message in (whole, first + others, events):
        headers = message.response_metadata.get("headers")
        assert (headers is not None) == include
        if include:
            assert headers["nvcf-reqid"] == message.response_metadata["request_id"]
