"""The table of the README that compares this with other clients says what is found when all of them are tried."""

from __future__ import annotations

import base64
import importlib.metadata
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import AudioBlock, ChatMessage, ImageBlock, TextBlock, VideoBlock

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.models import known_models
from nvcf_emulator import Emulator

langchain_openai = pytest.importorskip("langchain_openai")
nvidia = pytest.importorskip("langchain_nvidia_ai_endpoints")
llama_nvidia = pytest.importorskip("llama_index.llms.nvidia")
openai_like = pytest.importorskip("llama_index.llms.openai_like")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("default")]

ROOT = Path(__file__).parents[2]
MEDIA = ROOT / "examples" / "media"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
OURS = "nvcf-adapters"
NO, YES = "–", "yes"

BLOCKS = {"image": ImageBlock, "audio": AudioBlock, "video": VideoBlock}


@dataclass
class Client:
    """A client for either framework, and what a test does with it."""

    make: Callable[..., Any]
    server: Emulator

    def model(self, name: str = SUPER, **settings: Any) -> Any:
        return self.make(name, self.server, **settings)

    def ask(self, *content: Any, model: str = SUPER, **settings: Any) -> str:
        """The text of a whole answer."""
        made = self.model(model, **settings)
        with made if isinstance(made, (ChatNVCF, NVCF)) else nullcontext():
            if hasattr(made, "invoke"):
                return made.invoke([HumanMessage(list(content))]).text
            return made.chat([ChatMessage(blocks=list(content))]).message.content

    def stream(self) -> list[Any]:
        """The chunks of a streamed answer."""
        made = self.model()
        if hasattr(made, "invoke"):
            return list(made.stream("Hello"))
        return list(made.stream_chat([ChatMessage("Hello")]))

    def text(self, text: str) -> Any:
        langchain = hasattr(self.model(), "invoke")
        return {"type": "text", "text": text} if langchain else TextBlock(text=text)

    def forms(self, kind: str, path: Path, mime: str) -> Iterator[Any]:
        """The ways in which a user of the framework may give a file."""
        if not hasattr(self.model(), "invoke"):
            yield BLOCKS[kind](path=path)
            return
        data = base64.b64encode(path.read_bytes()).decode()
        yield {"type": kind, "base64": data, "mime_type": mime}
        yield {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{mime};base64,{data}"}}
        if kind == "audio":
            form = mime.removeprefix("audio/")
            yield {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def _ours(langchain: bool) -> Callable[..., Any]:
    made: Any = ChatNVCF if langchain else NVCF

    def make(model: str, server: Emulator, **settings: Any) -> Any:
        where = {"base_url": server.base_url, "nvcf_url": server.nvcf_url}
        return made(model=model, api_key=server.api_key, **where, **settings)

    return make


def _openai(model: str, server: Emulator, **settings: Any) -> Any:
    where = {"base_url": server.base_url, "api_key": server.api_key}
    return langchain_openai.ChatOpenAI(model=model, **where, **settings)


def _nvidia(model: str, server: Emulator, **settings: Any) -> Any:
    where = {"base_url": server.base_url, "api_key": server.api_key}
    made = nvidia.ChatNVIDIA(model=model, **where, **settings)
    made._client.polling_url_tmpl = f"{server.nvcf_url}/pexec/status/{{request_id}}"
    made._client.interval = 0.01
    return made


def _llama_nvidia(model: str, server: Emulator, **settings: Any) -> Any:
    where = {"base_url": server.base_url, "api_key": server.api_key}
    return llama_nvidia.NVIDIA(model=model, is_chat_model=True, **where, **settings)


def _openai_like(model: str, server: Emulator, **settings: Any) -> Any:
    where = {"api_base": server.base_url, "api_key": server.api_key}
    return openai_like.OpenAILike(model=model, is_chat_model=True, **where, **settings)


MAKERS: dict[str, list[Callable[..., Any]]] = {
    OURS: [_ours(langchain=True), _ours(langchain=False)],
    "langchain-nvidia-ai-endpoints": [_nvidia],
    "langchain-openai": [_openai],
    "llama-index-llms-nvidia": [_llama_nvidia],
    "llama-index-llms-openai-like": [_openai_like],
}


def reasoning_of_a_stream(client: Client) -> bool:
    client.server.reply(reasoning="Because.", text="Yes.")
    last = client.stream()
    if hasattr(last[-1], "content_blocks"):
        return any(b["type"] == "reasoning" for chunk in last for b in chunk.content_blocks)
    return any(block.block_type == "thinking" for block in last[-1].message.blocks)


def tokens_of_a_stream(client: Client) -> bool:
    chunks = client.stream()
    if hasattr(chunks[-1], "content_blocks"):
        return any(chunk.usage_metadata for chunk in chunks)
    return "total_tokens" in chunks[-1].additional_kwargs


def audio(client: Client) -> bool:
    return _sees(client, "audio", "lake.mp3", "audio/mp3")


def video(client: Client) -> bool:
    return _sees(client, "video", "lake.mp4", "video/mp4")


def large_files(client: Client) -> bool:
    return _sees(client, "image", "lake.png", "image/png")


def _sees(client: Client, kind: str, file: str, mime: str) -> bool:
    """Whether a file arrives in any of the forms, and is decoded as what it is."""
    for form in client.forms(kind, MEDIA / file, mime):
        try:
            said = client.ask(client.text("What?"), form, model=OMNI)
        except Exception:  # Which one is up to the client.
            continue
        if f"1. {kind} " in said:
            return True
    return False


def accepted(client: Client) -> bool:
    client.server.accept(polls=2)
    client.server.reply("Done.")
    return _answers(client, "Done.")


def tried_again(client: Client) -> bool:
    client.server.fail(429, retry_after=0)
    client.server.fail(503)
    client.server.reply("Done.")
    return _answers(client, "Done.")


def _answers(client: Client, text: str) -> bool:
    try:
        return client.ask(client.text("Hello")) == text
    except Exception:
        return False


def failing_streams(client: Client) -> bool:
    client.server.error_in_stream("error-object", after=2)
    client.server.reply("One two three four five six.")
    try:
        client.stream()
    except Exception:
        return True
    return False


def partial_answers(client: Client) -> bool:
    client.server.fault("truncate", after=2)
    client.server.reply("One two three four five six.")
    with pytest.raises(Exception) as raised:  # Which one is up to the client.
        client.stream()
    return "One two" in getattr(getattr(raised.value, "partial", None), "text", "")


def limits(client: Client) -> bool:
    with pytest.raises(Exception):  # noqa: B017
        client.ask(client.text("Hello"), temperature=1.5)
    return not client.server.chats


ROWS: dict[str, Callable[[Client], bool]] = {
    "Reasoning in streams, apart": reasoning_of_a_stream,
    "Token counts in streams, unasked": tokens_of_a_stream,
    "Audio": audio,
    "Video": video,
    "Files past the inline limit, uploaded": large_files,
    "202 polled": accepted,
    "429 and 503 tried again": tried_again,
    "Errors inside a stream raised": failing_streams,
    "The error holds what had arrived": partial_answers,
    "Documented limits checked first": limits,
}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, str]]:
    """The cells of the README's table, by row and client."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    start = next(number for number, line in enumerate(lines) if OURS in line)
    heads = [name for name, _ in _heads(lines[start])]
    rows = {}
    for line in lines[start + 1 :]:
        first, *cells = _cells(line)
        if set(first) <= {"-", " "}:
            continue
        if len(cells) != len(heads):
            break
        rows[re.sub(r"\[(.*?)\]\(.*?\)", r"\1", first)] = dict(zip(heads, cells, strict=True))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _heads(line: str) -> list[tuple[str, str]]:
    """The clients of the table, and their versions."""
    found = (re.fullmatch(r"([\w-]+)(?: ([\d.]+))?.*", cell) for cell in _cells(line)[1:])
    return [(match[1], match[2] or "") for match in found if match]


def versions() -> dict[str, str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return dict(_heads(next(line for line in text.splitlines() if line.startswith(f"| | {OURS}"))))


def test_the_table_has_these_rows_and_columns(table: dict[str, dict[str, str]]) -> None:
    assert set(ROWS) <= set(table)
    assert set(table) - set(ROWS) == {"Embeddings, reranking", "Models it has facts of"}
    assert list(versions()) == list(MAKERS)


def skip_another_version(client: str) -> None:
    named = versions()[client]
    installed = importlib.metadata.version(client)
    if client != OURS and installed != named:
        pytest.skip(f"the table is about {client} {named}, and {installed} is installed")


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("client", MAKERS)
def test_a_cell(client: str, row: str, table: dict[str, dict[str, str]]) -> None:
    skip_another_version(client)
    for make in MAKERS[client]:
        with Emulator() as server, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ROWS[row](Client(make, server))
        assert table[row][client] == (YES if found else NO)


def test_the_models_that_each_knows(table: dict[str, dict[str, str]]) -> None:
    cells = table["Models it has facts of"]
    assert cells[OURS] == str(len(known_models()))
    skip_another_version("langchain-nvidia-ai-endpoints")
    skip_another_version("llama-index-llms-nvidia")
    from langchain_nvidia_ai_endpoints._statics import MODEL_TABLE

    chat = [
        model for model in MODEL_TABLE.values() if model.model_type in ("chat", "vlm", "nv-vlm")
    ]
    assert cells["langchain-nvidia-ai-endpoints"] == str(len(chat))
    from llama_index.llms.nvidia.utils import CHAT_MODEL_TABLE

    assert cells["llama-index-llms-nvidia"] == str(len(CHAT_MODEL_TABLE))


def test_embeddings(table: dict[str, dict[str, str]]) -> None:
    cells = table["Embeddings, reranking"]
    assert cells["langchain-nvidia-ai-endpoints"] == YES
    assert nvidia.NVIDIAEmbeddings
    assert nvidia.NVIDIARerank
    assert cells["langchain-openai"] == "embeddings"
    assert langchain_openai.OpenAIEmbeddings
    for client in (OURS, "llama-index-llms-nvidia", "llama-index-llms-openai-like"):
        assert cells[client].startswith(NO)
