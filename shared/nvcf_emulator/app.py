"""The routes of the stand-in, as an ASGI application."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nvcf_emulator.answers.http_response import Outgoing
from nvcf_emulator.endpoints.assets import AssetApi, Storage
from nvcf_emulator.endpoints.chat import Asking, models
from nvcf_emulator.endpoints.jobs import Jobs
from nvcf_emulator.http.connection import Connection
from nvcf_emulator.http.incoming import endpoint, nothing_there
from nvcf_emulator.specs.models import PAGES
from nvcf_emulator.state import State

BASE = "/v1"
NVCF = "/v2/nvcf"


def build(state: State, hash_uploads: bool) -> ASGIApp:
    """Return the application.

    Args:
        state: What it remembers, and what it was told to do.
        hash_uploads: Whether what is put at signed urls is hashed.
    """
    jobs = Jobs(state)
    asking = Asking(state, jobs)
    api = AssetApi(state)
    storage = Storage(state, hash_uploads)

    async def listed(_: object) -> Outgoing:
        return models(state)

    poll = endpoint(state, "poll", jobs.poll)
    function = f"{NVCF}/pexec/functions/{{id}}"
    own_paths = [
        Route(f"{BASE}/{page.path}", asking.by_path(page), methods=["POST"])
        for page in PAGES.values()
        if not page.names_model
    ]
    routes = [
        Route(f"{BASE}/chat/completions", asking.chat, methods=["POST"]),
        *own_paths,
        Route(f"{BASE}/models", endpoint(state, "models", listed)),
        Route(f"{BASE}/status/{{id}}", poll),
        Route(f"{NVCF}/pexec/status/{{id}}", poll),
        Route(function, asking.function, methods=["POST"]),
        Route(f"{function}/versions/{{version}}", asking.function, methods=["POST"]),
        Route(f"{NVCF}/assets", endpoint(state, "create", api.create), methods=["POST"]),
        Route(f"{NVCF}/assets", endpoint(state, "get", api.list)),
        Route(f"{NVCF}/assets/{{id}}", endpoint(state, "get", api.show)),
        Route(f"{NVCF}/assets/{{id}}", endpoint(state, "delete", api.delete), methods=["DELETE"]),
        Route("/upload/{id}", storage.put, methods=["PUT"]),
        Route("/results/{id}.zip", jobs.fetch),
    ]
    nothing = nothing_there(state)
    app = Starlette(routes=routes, exception_handlers={404: nothing, 405: nothing})
    return _until_the_client_leaves(app)


def _until_the_client_leaves(app: ASGIApp) -> ASGIApp:
    """Return `app`, which does nothing more for a request once its connection is gone."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]
        if connection.lost:
            return
        connection.task = asyncio.current_task()
        try:
            await app(scope, receive, send)
        except (asyncio.CancelledError, ClientDisconnect):
            if not connection.lost:
                raise
        finally:
            connection.task = None

    return run
