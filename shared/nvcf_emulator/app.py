"""The routes of the emulator, as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from nvcf_emulator.answers.http_response import HTTPResponse
from nvcf_emulator.endpoints.assets import AssetApi, Storage
from nvcf_emulator.endpoints.chat import ChatEndpoint, list_models
from nvcf_emulator.endpoints.control import control_routes
from nvcf_emulator.endpoints.jobs import Jobs
from nvcf_emulator.endpoints.retrieval import Retrieval
from nvcf_emulator.http.incoming import endpoint, not_found
from nvcf_emulator.http.plain_asgi import until_the_client_leaves
from nvcf_emulator.specs.models import MODELS
from nvcf_emulator.state import State

__all__ = ["BASE", "NVCF", "build"]

BASE = "/v1"
NVCF = "/v2/nvcf"


def build(state: State, hash_uploads: bool) -> ASGIApp:
    """Return the application.

    Args:
        state: What it remembers, and what it was told to do.
        hash_uploads: Whether what is put at signed urls is hashed.
    """
    jobs = Jobs(state)
    chat = ChatEndpoint(state, jobs)
    api = AssetApi(state)
    retrieval = Retrieval(state)
    storage = Storage(state, hash_uploads)

    async def listed(_: object) -> HTTPResponse:
        return list_models(state)

    poll = endpoint(state, "poll", jobs.poll)
    ranking = endpoint(state, "ranking", retrieval.ranking)
    function = f"{NVCF}/pexec/functions/{{id}}"
    own_paths = [
        Route(f"{BASE}/{spec.path}", chat.by_path(spec), methods=["POST"])
        for spec in MODELS.values()
        if not spec.names_model
    ]
    routes = [
        Route(f"{BASE}/chat/completions", chat.chat, methods=["POST"]),
        *own_paths,
        Route(f"{BASE}/models", endpoint(state, "models", listed)),
        Route(
            f"{BASE}/embeddings",
            endpoint(state, "embeddings", retrieval.embeddings),
            methods=["POST"],
        ),
        Route(f"{BASE}/ranking", ranking, methods=["POST"]),
        Route(f"{BASE}/retrieval/{{model:path}}/reranking", ranking, methods=["POST"]),
        Route(f"{BASE}/status/{{id}}", poll),
        Route(f"{NVCF}/pexec/status/{{id}}", poll),
        Route(function, chat.function, methods=["POST"]),
        Route(f"{function}/versions/{{version}}", chat.function, methods=["POST"]),
        Route(f"{NVCF}/assets", endpoint(state, "create", api.create), methods=["POST"]),
        Route(f"{NVCF}/assets", endpoint(state, "get", api.list)),
        Route(f"{NVCF}/assets/{{id}}", endpoint(state, "get", api.show)),
        Route(f"{NVCF}/assets/{{id}}", endpoint(state, "delete", api.delete), methods=["DELETE"]),
        Route("/upload/{id}", storage.put, methods=["PUT"]),
        Route("/results/{id}.zip", jobs.fetch),
        *control_routes(state),
    ]
    nothing = not_found(state)
    app = Starlette(routes=routes, exception_handlers={404: nothing, 405: nothing})
    # What cannot be sent as it was scripted fails the test, too.
    return until_the_client_leaves(app, state.script.queue.fail_test)
