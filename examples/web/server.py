"""A page to chat on: images, audio and video in; thoughts, tool calls, their results and text out, as they come.

Needs: pip install "nvcf-adapters[langchain,emulator]" fastapi uvicorn
"""

import asyncio
import json
import socket
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.tools import tool
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from langchain_nvcf import ChatNVCF
from nvcf_core import spec_for
from nvcf_core.errors import NVCFError
from nvcf_core.models import known_models

HERE = Path(__file__).parent
PORT = 8080  # Or any other, where something listens there already.
DEFAULT = "nvidia/nemotron-3-super-120b-a12b"
MOST_ROUNDS = 6

Event = dict[str, Any]


@tool
def days_between(first: date, last: date) -> int:
    """How many days lie between two dates, such as 2026-05-01."""
    return abs((last - first).days)


TOOLS = {days_between.name: days_between}


class Attachment(BaseModel):
    """A file that the service has: a content block of LangChain's."""

    type: Literal["image", "audio", "video"]
    file_id: str
    mime_type: str


class Question(BaseModel):
    """What the user sends."""

    conversation: str
    """Each tab of a browser makes an id for itself."""
    model: str
    text: str = ""
    attachments: list[Attachment] = []

    def message(self) -> HumanMessage:
        """The question as LangChain has it."""
        text = [{"type": "text", "text": self.text}] if self.text.strip() else []
        return HumanMessage([*text, *(one.model_dump() for one in self.attachments)])


async def answer(
    model: ChatNVCF, said: list[BaseMessage], question: Question
) -> AsyncGenerator[Event]:
    """Answer a question, calling tools as often as the model wants. What does not fail is added to what was said."""
    turn: list[BaseMessage] = [question.message()]
    tools = list(TOOLS.values()) if spec_for(question.model).supports_tools else None
    ending = {"type": "error", "text": f"The model called tools {MOST_ROUNDS} times over."}
    try:
        for _ in range(MOST_ROUNDS):
            pieces: list[AIMessageChunk] = []
            try:
                stream = model.astream([*said, *turn], model=question.model, tools=tools)
                async with aclosing(cast(AsyncGenerator[AIMessageChunk], stream)) as chunks:
                    async for piece in chunks:
                        pieces.append(piece)
                        for event in events(piece):
                            yield event
            finally:
                turn += [add_ai_message_chunks(*pieces)] if pieces else []
            calls = calls_of(turn[-1])
            if not calls:
                said += turn
                ending = {"type": "end"}
                break
            for call in calls:
                shown = json.dumps(call["args"], ensure_ascii=False)
                yield {"type": "call", "id": call["id"], "name": call["name"], "arguments": shown}
                turn.append(await result_of(call))
                yield {"type": "result", "id": call["id"], "text": turn[-1].text}
    except NVCFError as error:
        ending = {"type": "error", "text": str(error)}
    except (asyncio.CancelledError, GeneratorExit):  # The user pressed "Stop".
        if isinstance(turn[-1], AIMessage) and turn[-1].text and not calls_of(turn[-1]):
            said += turn
        raise
    yield ending


def calls_of(message: BaseMessage) -> list[Any]:
    """The tool calls of a message, those with broken arguments as well."""
    if not isinstance(message, AIMessage):
        return []
    return [*message.tool_calls, *message.invalid_tool_calls]


def events(piece: AIMessageChunk) -> list[Event]:
    """What the page is told of a piece of an answer."""
    told = {"reasoning": piece.additional_kwargs.get("reasoning_content"), "text": piece.text}
    return [{"type": kind, "text": text} for kind, text in told.items() if text]


async def result_of(call: Any) -> ToolMessage:
    """Call a tool. A model that asks for something impossible is told so, and may try again."""
    try:
        if call["type"] == "invalid_tool_call":
            raise ValueError(call["error"])
        return cast(ToolMessage, await TOOLS[call["name"]].ainvoke(call))
    except (
        KeyError,
        ValueError,
    ) as error:  # The tool does not exist, or the arguments do not fit it.
        said = f"{type(error).__name__}: {error}"
        return ToolMessage(said, tool_call_id=call["id"], status="error")


async def hand_on(model: ChatNVCF, file: BinaryIO, mime: str | None) -> AsyncGenerator[Event]:
    """Upload a file to the service; tell how far it is, and at last the block that refers to it."""
    shares: asyncio.Queue[float | None] = asyncio.Queue()
    with file:
        task = asyncio.create_task(
            model.aupload(file, mime, lambda sent, total: shares.put_nowait(sent / total))
        )
        task.add_done_callback(lambda _: shares.put_nowait(None))
        try:
            while (share := await shares.get()) is not None:
                yield {"type": "progress", "share": share}
            yield {"type": "uploaded", "attachment": await task}
        except NVCFError as error:
            yield {"type": "error", "text": str(error)}
        finally:
            task.cancel()


def as_lines(told: AsyncGenerator[Event]) -> Response:
    """One JSON text a line, each as soon as it is there. Where the browser leaves, what makes them is cancelled."""

    async def lines() -> AsyncIterator[str]:
        async with aclosing(told):
            async for event in told:
                yield json.dumps(event, ensure_ascii=False) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def only_this_page(request: Request) -> None:
    """Refuse what other sites have a browser ask for: the key is this machine's user's."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403)


def create_app(service: dict[str, Any]) -> FastAPI:
    """The application.

    Args:
        service: keywords with which `ChatNVCF` reaches the service.
    """
    model = ChatNVCF(model=DEFAULT, **service)
    said: defaultdict[str, list[BaseMessage]] = defaultdict(list)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with model:  # In the end, what was uploaded is deleted.
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None, dependencies=[Depends(only_this_page)])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @app.get("/models")
    def models() -> list[dict[str, Any]]:
        # The default first, then those that take the most.
        found = sorted(known_models(), key=lambda one: (one.id != DEFAULT, -len(one.media)))
        return [{"id": one.id, "media": sorted(one.media)} for one in found]

    @app.post("/chat")
    def chat(question: Question) -> Response:
        return as_lines(answer(model, said[question.conversation], question))

    @app.post("/upload")
    async def upload(request: Request) -> Response:
        with ExitStack() as unless_handed_on:
            file = unless_handed_on.enter_context(tempfile.TemporaryFile())
            async for piece in request.stream():
                await asyncio.to_thread(file.write, piece)
            file.seek(0)
            unless_handed_on.pop_all()
        return as_lines(hand_on(model, file, request.headers.get("content-type")))

    app.mount("/", StaticFiles(directory=HERE / "page", html=True))
    return app


def main() -> None:
    """Serve the page on this machine, until interrupted."""
    sys.path.append(str(HERE.parent))
    from _service import connection

    try:
        listening = socket.create_server(("127.0.0.1", PORT))
    except OSError:
        listening = socket.create_server(("127.0.0.1", 0))
    with listening, connection() as service:
        print(f"Open http://127.0.0.1:{listening.getsockname()[1]} (Ctrl+C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            config = uvicorn.Config(create_app(service), log_level="warning")
            uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
