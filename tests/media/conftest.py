"""What the media tests share: a server, samples of any size, and both frameworks in both colours behind one face."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.llms import AudioBlock, ChatMessage, ImageBlock, TextBlock, VideoBlock

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core import MediaKind
from nvcf_emulator import Emulator
from nvcf_emulator.media.detect import decode

SAMPLES = Path(__file__).parents[2] / "examples" / "media"

# The smallest pictures that a program saves: 4 by 3 pixels.
_WEBP = "UklGRjoAAABXRUJQVlA4IC4AAADQAQCdASoEAAMAAUAmJaACdLoB+AADsAD+6Di/+YJX5Bu1D/7B384D84D+igAA"
_GIF = "R0lGODdhBAADAIEAAMhQKAAAAAAAAAAAACwAAAAABAADAAAICAABCBxIUGBAADs="
_MADE = {"webp": base64.b64decode(_WEBP), "gif": base64.b64decode(_GIF)}
_MIMES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
}


@dataclass(frozen=True)
class Medium:
    """A picture, a sound or a film in memory."""

    mime: str
    data: bytes

    @property
    def kind(self) -> MediaKind:
        return cast(MediaKind, self.mime.partition("/")[0])

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        return f"data:{self.mime};base64,{self.base64}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Asset:
    """One that lies at the service already."""

    mime: str
    id: str

    @property
    def kind(self) -> MediaKind:
        return cast(MediaKind, self.mime.partition("/")[0])

    @property
    def url(self) -> str:
        return f"data:{self.mime};asset_id,{self.id}"


@dataclass(frozen=True)
class Link:
    """One that lies somewhere on the web."""

    kind: str
    url: str


Part = str | Medium | Asset | Link | dict[str, Any] | ImageBlock | AudioBlock | VideoBlock
"""Text, a medium in our words, or a framework's own block."""
Turn = tuple[str, Sequence[Part]]
"""Role and content of a message."""


@pytest.fixture(scope="session")
def _server() -> Iterator[Emulator]:
    with Emulator(models=["acme/any"]) as server:
        yield server


@pytest.fixture
def server(_server: Emulator) -> Iterator[Emulator]:
    """An emulator as good as new, which also serves a model without a page, `acme/any`."""
    _server.reset()
    yield _server
    _server.reset()


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """One for all: making one loads the system's certificates, which takes longer than a test."""
    return ssl.create_default_context()


@pytest.fixture(scope="session")
def sample() -> Callable[..., Medium]:
    """A sample by the ending of its name, padded to a number of bytes if wanted."""
    read = {path.suffix[1:]: path.read_bytes() for path in SAMPLES.glob("lake.*")} | _MADE

    def padded(ending: str, length: int | None = None) -> Medium:
        data = read[ending]
        return Medium(_MIMES[ending], data.ljust(length, b"\0") if length else data)

    return padded


class LangChain:
    """ChatNVCF, its messages and blocks."""

    name = "langchain"
    model = ChatNVCF

    def message(self, role: str, parts: Sequence[Part]) -> Any:
        content = [self.block(part) for part in parts]
        if role == "tool":
            return ToolMessage(content, tool_call_id="call_1")
        if role == "caller":
            call = {"name": "look", "args": {}, "id": "call_1"}
            return AIMessage(content, tool_calls=[call])
        return {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}[role](
            content
        )

    def block(self, part: Part) -> Any:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if isinstance(part, Medium):
            return {"type": part.kind, "base64": part.base64, "mime_type": part.mime}
        if isinstance(part, Asset):
            return {"type": part.kind, "file_id": part.id, "mime_type": part.mime}
        return {"type": part.kind, "url": part.url} if isinstance(part, Link) else part

    def ask(self, model: ChatNVCF, messages: list[Any], **settings: Any) -> str:
        return model.invoke(messages, **settings).text

    async def aask(self, model: ChatNVCF, messages: list[Any], **settings: Any) -> str:
        return (await model.ainvoke(messages, **settings)).text

    def asset_of(self, block: dict[str, Any]) -> str:
        return str(block["file_id"])


class LlamaIndex:
    """NVCF, its messages and blocks."""

    name = "llamaindex"
    model = NVCF

    def message(self, role: str, parts: Sequence[Part]) -> Any:
        blocks = [self.block(part) for part in parts]
        if role == "tool":
            answers = {"tool_call_id": "call_1"}
            return ChatMessage(role="tool", blocks=blocks, additional_kwargs=answers)
        if role == "caller":
            function = {"name": "look", "arguments": "{}"}
            call = {"id": "call_1", "type": "function", "function": function}
            extra = {"tool_calls": [call]}
            return ChatMessage(role="assistant", blocks=blocks, additional_kwargs=extra)
        return ChatMessage(role=role, blocks=blocks)

    def block(self, part: Part) -> Any:
        if isinstance(part, str):
            return TextBlock(text=part)
        if not isinstance(part, Medium | Asset | Link):
            return part
        given: dict[str, Any] = (
            {"url": part.url} if not isinstance(part, Medium) else {part.kind: part.data}
        )
        return {"image": ImageBlock, "audio": AudioBlock, "video": VideoBlock}[part.kind](**given)

    def ask(self, model: NVCF, messages: list[Any], **settings: Any) -> str:
        return model.chat(messages, **settings).message.content or ""

    async def aask(self, model: NVCF, messages: list[Any], **settings: Any) -> str:
        return (await model.achat(messages, **settings)).message.content or ""

    def asset_of(self, block: ImageBlock | AudioBlock | VideoBlock) -> str:
        return str(block.url).partition(";asset_id,")[2]


class Talk:
    """Talks to the server through one framework, sync or async."""

    def __init__(
        self, framework: LangChain | LlamaIndex, colour: str, server: Emulator, tls: Any
    ) -> None:
        self.framework, self.colour = framework, colour
        self._server, self._tls = server, tls
        self._made: list[Any] = []

    def model(self, model: str, **settings: Any) -> Any:
        """A model that leads to the server, and does not retry. It is closed after the test."""
        places = {
            "base_url": self._server.base_url,
            "nvcf_url": self._server.nvcf_url,
            "api_key": self._server.api_key,
            "verify": self._tls,
            "max_retries": 0,
        }
        self._made.append(self.framework.model(model=model, **{**places, **settings}))
        return self._made[-1]

    def ask(self, model: Any, *parts: Part, **settings: Any) -> str:
        """The answer to one message of the user."""
        return self.chat(model, [("user", parts)], **settings)

    def chat(self, model: Any, turns: Sequence[Turn], **settings: Any) -> str:
        """The answer to a conversation."""
        return str(self._run("ask", model, self.messages(turns), **settings))

    async def achat(self, model: Any, turns: Sequence[Turn], **settings: Any) -> str:
        """The same, within a loop."""
        return await self.framework.aask(model, self.messages(turns), **settings)

    def messages(self, turns: Sequence[Turn]) -> list[Any]:
        return [self.framework.message(role, parts) for role, parts in turns]

    def upload(self, model: Any, file: Any, *rest: Any, **more: Any) -> tuple[Any, str]:
        """An upload's block, and the id of its asset."""
        if self.colour == "sync":
            block = model.upload(file, *rest, **more)
        else:
            block = asyncio.run(model.aupload(file, *rest, **more))
        return block, self.framework.asset_of(block)

    def close(self, model: Any) -> None:
        if self.colour == "sync":
            model.close()
        else:
            asyncio.run(model.aclose())

    def leave(self, model: Any, parts: Sequence[Part]) -> None:
        """Ask within `with`, or `async with`."""
        messages = self.messages([("user", parts)])

        async def within() -> None:
            async with model:
                await self.framework.aask(model, messages)

        if self.colour == "async":
            asyncio.run(within())
            return
        with model:
            self.framework.ask(model, messages)

    def _run(self, method: str, *given: Any, **settings: Any) -> Any:
        if self.colour == "sync":
            return getattr(self.framework, method)(*given, **settings)
        return asyncio.run(getattr(self.framework, f"a{method}")(*given, **settings))

    def close_all(self) -> None:
        for model in self._made:
            model.close()


@pytest.fixture
def talking(server: Emulator, tls: ssl.SSLContext) -> Iterator[Callable[[str, str], Talk]]:
    """Talks by the name of a framework and a colour."""
    made: list[Talk] = []

    def make(framework: str, colour: str = "sync") -> Talk:
        named: dict[str, type[LangChain | LlamaIndex]] = {
            "langchain": LangChain,
            "llamaindex": LlamaIndex,
        }
        made.append(Talk(named[framework](), colour, server, tls))
        return made[-1]

    yield make
    for talk in made:
        talk.close_all()


@pytest.fixture(params=["langchain-sync", "langchain-async", "llamaindex-sync", "llamaindex-async"])
def talk(request: pytest.FixtureRequest, talking: Callable[[str, str], Talk]) -> Talk:
    """Both frameworks, both colours."""
    return talking(*request.param.split("-"))


@pytest.fixture(params=["langchain", "llamaindex"])
def sync_talk(request: pytest.FixtureRequest, talking: Callable[..., Talk]) -> Talk:
    """Both frameworks, for what has no colour."""
    return talking(request.param)


@pytest.fixture
def stored(server: Emulator) -> Callable[[Medium], Asset]:
    """An asset that the user uploaded by other means."""

    def store(medium: Medium) -> Asset:
        account = server.state.account(server.api_key)
        assert account is not None
        made = server.state.assets.create(account, medium.mime, "a test")
        server.state.assets.store(made.id, decode(medium.kind, medium.data, asset=made.id))
        return Asset(medium.mime, made.id)

    return store


@pytest.fixture
def words() -> type:
    """The words for media in messages: `Medium`, `Asset`, `Link`."""
    return type("words", (), {"Medium": Medium, "Asset": Asset, "Link": Link})
