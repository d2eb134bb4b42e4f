"""A FastAPI endpoint for each framework that streams an answer; when its reader leaves, the model is not asked on.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]" fastapi uvicorn
"""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from _service import connection
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from llama_index.core.llms import ChatMessage

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

MODEL = "nvidia/nemotron-3-super-120b-a12b"


def make_app(service: dict[str, Any]) -> FastAPI:
    """An app with one model for all of its requests: their connections are used again."""
    model, llm = ChatNVCF(model=MODEL, **service), NVCF(model=MODEL, **service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with model, llm:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/langchain")
    async def langchain(question: str) -> StreamingResponse:
        async def texts() -> AsyncIterator[str]:
            async for chunk in model.astream(question):
                yield chunk.text

        return StreamingResponse(texts(), media_type="text/plain; charset=utf-8")

    @app.get("/llamaindex")
    async def llamaindex(question: str) -> StreamingResponse:
        async def texts() -> AsyncIterator[str]:
            async for chunk in await llm.astream_chat([ChatMessage(content=question)]):
                yield chunk.delta or ""

        return StreamingResponse(texts(), media_type="text/plain; charset=utf-8")

    return app


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of an app that is served from a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    with connection() as service, serving(make_app(service)) as url:
        for path in ("langchain", "llamaindex"):
            question = {"question": "Why is the sky blue?"}
            with httpx.stream("GET", f"{url}/{path}", params=question, timeout=120) as response:
                print(f"/{path}: ", end="")
                pieces = 0
                for piece in response.iter_text():
                    print(piece, end="", flush=True)
                    pieces += 1
            print(f"\n({'in pieces' if pieces > 1 else 'in one piece'})\n")
