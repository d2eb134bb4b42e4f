"""Clients that nobody here wrote get their answers from the emulator."""

from __future__ import annotations

import gc
import json
import warnings

import pytest

from nvcf_emulator import Emulator

openai = pytest.importorskip("openai")
langchain_openai = pytest.importorskip("langchain_openai")
nvidia = pytest.importorskip("langchain_nvidia_ai_endpoints")
langchain_core_documents = pytest.importorskip("langchain_core.documents")
llama_nvidia = pytest.importorskip("llama_index.llms.nvidia")

pytestmark = pytest.mark.peers

GEMMA = "google/gemma-3n-e2b-it"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
MODELS = [KIMI, SUPER]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
QUESTION = "What is the weather in 'Paris'?"


@pytest.fixture
def sdk(server):
    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as made:
        yield made


@pytest.fixture(params=["openai", "nvidia"])
def chat(request, server):
    """A LangChain chat model of somebody else's."""

    def run(model, **settings):
        if request.param == "openai":
            return langchain_openai.ChatOpenAI(
                model=model,
                base_url=server.base_url,
                api_key=server.api_key,
                max_retries=0,
                **settings,
            )
        return nvidia.ChatNVIDIA(
            model=model, base_url=server.base_url, api_key=server.api_key, **settings
        )

    return run


@pytest.mark.parametrize("model", [GEMMA, *MODELS])
def test_sdk_whole(sdk, model):
    messages = [{"role": "user", "content": "Hello there"}]
    answer = sdk.chat.completions.create(model=model, messages=messages, stream=False)
    assert '"Hello there"' in answer.choices[0].message.content
    assert answer.usage.prompt_tokens == 2
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", MODELS)
def test_sdk_streamed(sdk, model):
    chunks = list(
        sdk.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Hello there"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert '"Hello there"' in text
    assert chunks[-1].usage.prompt_tokens == 2
    assert any(
        getattr(chunk.choices[0].delta, "reasoning_content", None)
        for chunk in chunks
        if chunk.choices
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streams", [False, True])
def test_sdk_calls_tools(sdk, model, streams):
    messages = [{"role": "user", "content": QUESTION}]
    fields = {"model": model, "tools": [WEATHER]}
    with sdk.chat.completions.stream(messages=messages, **fields) as stream:
        streamed = stream.get_final_completion()
    whole = sdk.chat.completions.create(messages=messages, stream=False, **fields)
    answer = streamed if streams else whole
    call = answer.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [plain(call)]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    last = sdk.chat.completions.create(messages=messages, stream=False, **fields)
    assert last.choices[0].message.content == "get_weather answered: sunny"


def plain(call):
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def test_sdk_parses_a_schema(sdk):
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    answer = sdk.chat.completions.create(
        model=SUPER,
        messages=[{"role": "user", "content": "Ann is 31"}],
        stream=False,
        response_format={"type": "json_schema", "json_schema": {"name": "it", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content) == {"age": 31}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_sdk_errors(server, sdk, status, error):
    server.fail(status)
    with pytest.raises(error):
        sdk.chat.completions.create(model=KIMI, messages=[{"role": "user", "content": "Hi"}])


def test_sdk_errors_in_streams(server, sdk):
    server.error_in_stream("error-object", message="It broke")
    messages = [{"role": "user", "content": "Hi"}]
    stream = sdk.chat.completions.create(model=KIMI, messages=messages, stream=True)
    with pytest.raises(openai.APIError, match="It broke"):
        list(stream)


def test_sdk_lists_models(sdk):
    assert {KIMI, SUPER} <= {model.id for model in sdk.models.list()}


@pytest.mark.parametrize("model", MODELS)
def test_langchain_whole_and_streamed(chat, model):
    made = chat(model)
    assert '"Hello there"' in made.invoke("Hello there").content
    chunks = list(made.stream("Hello there"))
    assert len(chunks) > 5
    assert '"Hello there"' in "".join(chunk.content for chunk in chunks)


async def test_langchain_async(chat):
    made = chat(KIMI)
    assert '"Hello there"' in (await made.ainvoke("Hello there")).content
    text = "".join([chunk.content async for chunk in made.astream("Hello there")])
    assert '"Hello there"' in text


@pytest.mark.parametrize("model", MODELS)
def test_langchain_calls_tools(chat, model):
    made = chat(model).bind_tools([WEATHER])
    answer = made.invoke(QUESTION)
    assert answer.tool_calls[0]["args"] == {"city": "Paris"}
    whole = None
    for chunk in made.stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    assert whole.tool_calls[0]["args"] == {"city": "Paris"}


def test_llama_index(server):
    llm = llama_nvidia.NVIDIA(
        model=KIMI,
        base_url=server.base_url,
        api_key=server.api_key,
        is_chat_model=True,
        max_tokens=200,
    )
    assert '"Hello there"' in llm.complete("Hello there").text
    pieces = list(llm.stream_complete("Hello there"))
    assert len(pieces) > 5
    assert '"Hello there"' in pieces[-1].text


DOCUMENTS = ["Cats sleep all day.", "The harbour of Oslo freezes in winter.", "Stocks fell."]


def nearest(vectors, query):
    near = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
    return DOCUMENTS[near.index(max(near))]


def test_embeddings_of_the_openai_sdk(sdk):
    model = "nvidia/nv-embedqa-e5-v5"
    made = sdk.embeddings.create(model=model, input=[*DOCUMENTS, "Does the harbour freeze?"])
    *vectors, query = [item.embedding for item in made.data]
    assert nearest(vectors, query) == DOCUMENTS[1]


def test_embeddings_of_nvidia_s_client(server):
    embeddings = nvidia.NVIDIAEmbeddings(
        model="nvidia/llama-3.2-nv-embedqa-1b-v2",
        base_url=server.base_url,
        api_key=server.api_key,
    )
    vectors = embeddings.embed_documents(DOCUMENTS)
    assert nearest(vectors, embeddings.embed_query("Which cats sleep?")) == DOCUMENTS[0]
    kinds = [request.body["input_type"] for request in server.requests if request.body]
    assert kinds == ["passage", "query"]


def test_ranking_of_nvidia_s_client(server):
    rerank = nvidia.NVIDIARerank(
        model="nvidia/llama-3.2-nv-rerankqa-1b-v2",
        base_url=server.base_url,
        api_key=server.api_key,
        top_n=2,
    )
    documents = [langchain_core_documents.Document(page_content=text) for text in DOCUMENTS]
    best, _ = rerank.compress_documents(documents, "Which cats sleep?")
    assert best.page_content == DOCUMENTS[0]


def test_embeddings_of_llama_index(server):
    peer = pytest.importorskip("llama_index.embeddings.nvidia")
    embedding = peer.NVIDIAEmbedding(
        model="nvidia/nv-embedqa-e5-v5", base_url=server.base_url, api_key=server.api_key
    )
    vectors = embedding.get_text_embedding_batch(DOCUMENTS)
    assert nearest(vectors, embedding.get_query_embedding("Which cats sleep?")) == DOCUMENTS[0]
    embedding._client.close()  # It has no way of its own to close it.


def test_ranking_of_llama_index(server):
    peer = pytest.importorskip("llama_index.postprocessor.nvidia_rerank")
    schema = pytest.importorskip("llama_index.core.schema")
    rerank = peer.NVIDIARerank(
        model="nvidia/llama-3.2-nv-rerankqa-1b-v2",
        base_url=server.base_url,
        api_key=server.api_key,
        top_n=2,
    )
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # It drops the client with which it listed the models, and does not close it.
    nodes = [schema.NodeWithScore(node=schema.TextNode(text=text)) for text in DOCUMENTS]
    best, _ = rerank.postprocess_nodes(nodes, query_str="Which cats sleep?")
    assert best.text == DOCUMENTS[0]
    rerank.client.close()  # It has no way of its own to close it.


def test_a_recorded_session_of_the_openai_sdk(server, tmp_path):
    path = tmp_path / "session.jsonl"
    messages = [{"role": "user", "content": QUESTION}]

    def session(where, key):
        with openai.OpenAI(base_url=where.base_url, api_key=key, max_retries=0) as client:
            create = client.chat.completions.create
            whole = create(model=KIMI, messages=messages, tools=[WEATHER])
            stream = create(model=SUPER, messages=messages, stream=True)
            return whole.model_dump(), [chunk.model_dump() for chunk in stream]

    with Emulator.record(path, upstream=server.base_url) as recorder:
        first = session(recorder, server.api_key)
    assert server.api_key not in path.read_text()
    with Emulator.replay(path) as replayed:
        assert session(replayed, replayed.api_key) == first
        assert replayed.unused == []
