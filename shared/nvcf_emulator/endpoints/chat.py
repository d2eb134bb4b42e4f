"""The endpoints that ask a model: checked by its rules, answered, and delivered as scripted."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from nvcf_emulator.answers.generate import generate
from nvcf_emulator.answers.http_response import HTTPResponse, json_response, rejection_response
from nvcf_emulator.answers.stream import completion_body, completion_events, stream_error_body
from nvcf_emulator.endpoints.jobs import Job, Jobs
from nvcf_emulator.http.error_bodies import failure_response
from nvcf_emulator.http.fault_injection import ResponseSender
from nvcf_emulator.http.incoming import (
    Incoming,
    breaks_within_response,
    raw_response,
    read_request,
    scripted_response,
    with_request_id,
)
from nvcf_emulator.script.chat_request import ChatRequest
from nvcf_emulator.script.shapes import Form, form_of
from nvcf_emulator.script.step_queue import ScriptError
from nvcf_emulator.script.steps import Accept, ErrorInStream, Failure, Fault, Raw, Reply, Step
from nvcf_emulator.specs.models import MODELS, UNDOCUMENTED, ModelSpec, spec_for
from nvcf_emulator.specs.rejections import Rejection, not_found_text
from nvcf_emulator.state import State
from nvcf_emulator.validation.content import ASSET_HEADER
from nvcf_emulator.validation.request import ParsedRequest, validate

__all__ = ["ChatEndpoint", "list_models"]

FindSpec = Callable[[Incoming, ChatRequest], ModelSpec]
ModelOf = Callable[[Incoming], str]

_NO_RETRY = {"x-should-retry": "false"}
"""What some clients obey: trying again would meet the same script."""


@dataclass(frozen=True)
class _Steps:
    """The scripted steps that one answer takes, in the only order in which they go together."""

    accept: Accept | None = None
    fault: Fault | None = None
    error: ErrorInStream | None = None
    reply: Reply | None = None
    raw: Raw | None = None

    @property
    def none(self) -> bool:
        """Whether nothing was scripted."""
        return not any((self.accept, self.fault, self.error, self.reply, self.raw))


class ChatEndpoint:
    """Answers requests for an answer."""

    def __init__(self, state: State, jobs: Jobs) -> None:
        self._state = state
        self._jobs = jobs

    async def chat(self, request: Request) -> Response:
        """Answer at the path that most models share; the body names the model."""
        return await self._handle(request, _named_model, self._spec_by_body)

    async def function(self, request: Request) -> Response:
        """Answer for a function that is called by its id."""
        return await self._handle(request, self._model_of_function, self._spec_by_function)

    def by_path(self, spec: ModelSpec) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a path that belongs to one model."""

        async def handle(request: Request) -> Response:
            return await self._handle(request, lambda _: spec.model, lambda *_: spec)

        return handle

    async def _handle(self, request: Request, model_of: ModelOf, find: FindSpec) -> Response:
        request_id = str(uuid.uuid4())
        spec = UNDOCUMENTED
        try:
            arrived = await read_request(request, "ask", self._state)
            asked = _chat_request(arrived, model_of(arrived))
            response = self._before_the_model(arrived, asked)
            if response is None:
                spec = find(arrived, asked).under(self._state.dialect)
                response = await self._answer(arrived, asked, spec, request_id)
        except Rejection as rejection:
            response = rejection_response(rejection, spec.style)
        except ScriptError as error:
            if error.__cause__ is None:
                # Where in the emulator it was noticed tells the test nothing.
                self._state.script.queue.fail_test(error.with_traceback(None))
            response = rejection_response(_test_error(str(error)), "error-object")
        return ResponseSender(with_request_id(response, request_id), self._state)

    def _before_the_model(self, arrived: Incoming, asked: ChatRequest) -> HTTPResponse | None:
        """Return what happens to a request before any model sees it, None if nothing does."""
        if not self._state.within_rate(arrived.account):
            return failure_response(Failure(429), "ask")
        return scripted_response(self._state, "ask", _happens_to_requests, asked)

    def _spec_by_body(self, _: Incoming, asked: ChatRequest) -> ModelSpec:
        spec = spec_for(asked.model)
        if spec.strict and spec.names_model:
            return spec
        if not self._state.script.queue.has_answer(asked) and asked.model not in self._state.models:
            raise not_found_text()
        return UNDOCUMENTED

    def _model_of_function(self, arrived: Incoming) -> str:
        found = self._state.function(arrived.path["id"], arrived.path.get("version"))
        return (found and found.model) or _named_model(arrived)

    def _spec_by_function(self, arrived: Incoming, _: ChatRequest) -> ModelSpec:
        function_id = arrived.path["id"]
        found = self._state.function(function_id, arrived.path.get("version"))
        if found is None:
            raise Rejection(
                f"Function '{function_id}': Not found for account '{arrived.account}'",
                status=404,
                style="problem",
            )
        named = (arrived.body or {}).get("model")
        if found.model and named is not None and named != found.model:
            raise Rejection(
                f"The model `{named}` does not exist.", status=404, style="object-error"
            )
        spec = spec_for(found.model or named)
        return spec if spec.strict else replace(spec, names_model=named is not None)

    async def _answer(
        self, arrived: Incoming, asked: ChatRequest, spec: ModelSpec, request_id: str
    ) -> HTTPResponse:
        request = validate(
            arrived.body or {},
            spec,
            arrived.header(ASSET_HEADER),
            lambda asset_id: self._state.assets.stored(arrived.account, asset_id),
        )
        steps = self._next_steps(asked)
        if self._state.strict and steps.none:
            self._state.note_unexpected(arrived.noted)
            raise _test_error(self._unexpected(asked))
        if steps.raw:
            result = stored = replace(raw_response(steps.raw), fault=steps.fault)
        else:
            result, stored = await self._completion(request, asked, steps)
        if steps.accept is None:
            return result
        job = Job(arrived.account, steps.accept, result, stored.body)
        return self._jobs.accept(request_id, job)

    def _next_steps(self, asked: ChatRequest) -> _Steps:
        """Take the next steps that belong together: a 202, what goes wrong, and what is said."""
        accept, broken, said = self._state.script.queue.take_in_turn(
            "ask",
            asked,
            lambda step: isinstance(step, Accept),
            lambda step: breaks_within_response(step) or isinstance(step, ErrorInStream),
            lambda step: isinstance(step, Reply | Raw),
        )
        return _Steps(
            accept=accept if isinstance(accept, Accept) else None,
            fault=broken if isinstance(broken, Fault) else None,
            error=broken if isinstance(broken, ErrorInStream) else None,
            reply=said if isinstance(said, Reply) else None,
            raw=said if isinstance(said, Raw) else None,
        )

    def _unexpected(self, asked: ChatRequest) -> str:
        pending = self._state.script.pending
        listed = "; ".join(str(item) for item in pending) or "nothing"
        return (
            f"nothing was scripted for this request: {asked}. Still scripted: {listed}. Script it "
            "with reply(…, when=…), correct the `when`, or use Emulator(strict=False), which "
            "makes an answer up."
        )

    async def _completion(
        self, request: ParsedRequest, asked: ChatRequest, steps: _Steps
    ) -> tuple[HTTPResponse, HTTPResponse]:
        """Return the response that was asked for, and the same answer as a whole response."""
        script = self._state.script
        reply = await script.made(steps.reply, asked) if steps.reply else None
        form = form_of(reply.shape if reply and reply.shape else script.shape)
        completion = generate(request, reply, form.numbered_ids)
        whole = json_response(completion_body(completion, form))
        streams = {"whole": False, "stream": True}.get(form.kind, request.streams)
        if streams:
            events = completion_events(completion, form, steps.error)
            typed = {"content-type": form.content_type} if form.content_type else {}
            sent = HTTPResponse(200, typed, events, stream=True)
        else:
            sent = json_response(stream_error_body(steps.error)) if steps.error else whole
        if reply:
            sent = replace(sent, delay=reply.delay, chunk_delay=reply.chunk_delay)
        return self._delivered(sent, form, steps), whole

    def _delivered(self, sent: HTTPResponse, form: Form, steps: _Steps) -> HTTPResponse:
        if form.kind == "empty":
            sent = replace(sent, events=(), stream=False)
        return replace(
            sent,
            flush=form.cut != "events",
            fault=steps.fault,
            head_first=self._state.dialect.head_first,
        )


def _named_model(arrived: Incoming) -> str:
    model = (arrived.body or {}).get("model")
    return model if isinstance(model, str) else ""


def _chat_request(arrived: Incoming, model: str) -> ChatRequest:
    body = arrived.body or {}
    return ChatRequest(body, model, bool(body.get("stream", spec_for(model).streams)))


def _test_error(message: str) -> Rejection:
    return Rejection(message, status=500, style="error-object", headers=_NO_RETRY)


def _happens_to_requests(step: Step) -> bool:
    """Tell whether a step happens to a request whatever it asks for."""
    return isinstance(step, Failure) or (isinstance(step, Fault) and step.before_response)


def list_models(state: State) -> HTTPResponse:
    """Return the list of models; as the service's own, it repeats an id."""
    ids = [*MODELS, next(iter(MODELS)), *sorted(state.models)]
    data = [
        {
            "id": model,
            "object": "model",
            "created": 735790403,
            "owned_by": model.partition("/")[0],
        }
        for model in ids
    ]
    return json_response({"object": "list", "data": data})
