"""The endpoints that ask a model: judged by its page, answered, and delivered as queued."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from nvcf_emulator.answers.generate import answer
from nvcf_emulator.answers.http_response import STREAM_TYPE, Outgoing, json_reply, refused
from nvcf_emulator.answers.stream import error_body, events, whole
from nvcf_emulator.endpoints.jobs import Job, Jobs
from nvcf_emulator.http.error_bodies import failure
from nvcf_emulator.http.fault_injection import Delivery
from nvcf_emulator.http.incoming import Incoming, admit, instead, raw_reply, stamped, within_reply
from nvcf_emulator.script.script import Accept, ErrorInStream, Failure, Fault, Raw, Reply, Step
from nvcf_emulator.script.shapes import Form, form_of
from nvcf_emulator.specs.models import PAGES, UNDOCUMENTED, Page, page_of
from nvcf_emulator.specs.rejections import Refusal, not_found_text
from nvcf_emulator.state import State
from nvcf_emulator.validation.content import ASSET_HEADER
from nvcf_emulator.validation.request import Ask, judge

FindPage = Callable[[Incoming], Page]


@dataclass(frozen=True)
class Course:
    """The queued steps that one answer takes, in the only order in which they go together."""

    accept: Accept | None = None
    fault: Fault | None = None
    error: ErrorInStream | None = None
    reply: Reply | None = None
    raw: Raw | None = None


def next_course(state: State) -> Course:
    """Take the next steps that belong together: a 202, what goes wrong, and what is said."""
    accept, broken, said = state.take_in_turn(
        "ask",
        lambda step: isinstance(step, Accept),
        lambda step: within_reply(step) or isinstance(step, ErrorInStream),
        lambda step: isinstance(step, Reply | Raw),
    )
    return Course(
        accept=accept if isinstance(accept, Accept) else None,
        fault=broken if isinstance(broken, Fault) else None,
        error=broken if isinstance(broken, ErrorInStream) else None,
        reply=said if isinstance(said, Reply) else None,
        raw=said if isinstance(said, Raw) else None,
    )


class Asking:
    """Answers requests for an answer."""

    def __init__(self, state: State, jobs: Jobs) -> None:
        self._state = state
        self._jobs = jobs

    async def chat(self, request: Request) -> Response:
        """Answer at the path that most models share; the body names the model."""
        return await self._handle(request, self._page_by_body)

    async def function(self, request: Request) -> Response:
        """Answer for a function that is called by its id."""
        return await self._handle(request, self._page_by_function)

    def by_path(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a path that belongs to one model."""

        async def handle(request: Request) -> Response:
            return await self._handle(request, lambda _: page)

        return handle

    async def _handle(self, request: Request, find_page: FindPage) -> Response:
        request_id = str(uuid.uuid4())
        page = UNDOCUMENTED
        try:
            arrived = await admit(request, "ask", self._state)
            outgoing = self._before_the_model(arrived)
            if outgoing is None:
                page = find_page(arrived)
                outgoing = self._answer(arrived, page, request_id)
        except Refusal as refusal:
            outgoing = refused(refusal, page.style)
        return Delivery(stamped(outgoing, request_id), self._state)

    def _before_the_model(self, arrived: Incoming) -> Outgoing | None:
        """Return what happens to a request before any model sees it, None if nothing does."""
        if not self._state.within_rate(arrived.account):
            return failure(Failure(429), "ask")
        return instead(self._state, "ask", happens_to_asks)

    def _page_by_body(self, arrived: Incoming) -> Page:
        model = (arrived.body or {}).get("model")
        page = page_of(model)
        if page.strict and page.names_model:
            return page
        if not self._state.answers_next() and model not in self._state.models:
            raise not_found_text()
        return UNDOCUMENTED

    def _page_by_function(self, arrived: Incoming) -> Page:
        function_id = arrived.path["id"]
        found = self._state.function(function_id, arrived.path.get("version"))
        if found is None:
            raise Refusal(
                f"Function '{function_id}': Not found for account '{arrived.account}'",
                status=404,
                style="problem",
            )
        named = (arrived.body or {}).get("model")
        if found.model and named is not None and named != found.model:
            raise Refusal(f"The model `{named}` does not exist.", status=404, style="object-error")
        page = page_of(found.model or named)
        return page if page.strict else replace(page, names_model=named is not None)

    def _answer(self, arrived: Incoming, page: Page, request_id: str) -> Outgoing:
        ask = judge(
            arrived.body or {},
            page,
            arrived.header(ASSET_HEADER),
            lambda asset_id: self._state.store.stored(arrived.account, asset_id),
            self._state.require_reasoning,
        )
        course = next_course(self._state)
        if course.raw:
            result = stored = replace(raw_reply(course.raw), fault=course.fault)
        else:
            result, stored = self._said(ask, course)
        if course.accept is None:
            return result
        job = Job(arrived.account, course.accept, result, stored.body)
        return self._jobs.accept(request_id, job)

    def _said(self, ask: Ask, course: Course) -> tuple[Outgoing, Outgoing]:
        """Return the reply that was asked for, and the same answer as a whole reply."""
        reply = course.reply
        form = form_of(reply.shape if reply and reply.shape else self._state.shape)
        said = answer(ask, reply, form.numbered_ids)
        whole_reply = json_reply(whole(said, form))
        streams = {"whole": False, "stream": True}.get(form.kind, ask.streams)
        if streams:
            chunks = events(said, form, course.error)
            sent = Outgoing(200, {"content-type": STREAM_TYPE}, chunks, stream=True)
        else:
            sent = json_reply(error_body(course.error)) if course.error else whole_reply
        return self._timed(sent, form, course), whole_reply

    @staticmethod
    def _timed(sent: Outgoing, form: Form, course: Course) -> Outgoing:
        if form.kind == "empty":
            sent = replace(sent, events=(), stream=False)
        if course.reply:
            sent = replace(sent, delay=course.reply.delay, chunk_delay=course.reply.chunk_delay)
        return replace(sent, flush=form.cut != "events", fault=course.fault)


def happens_to_asks(step: Step) -> bool:
    """Tell whether a step happens to a request whatever it asks for."""
    return isinstance(step, Failure) or (isinstance(step, Fault) and step.before_reply)


def models(state: State) -> Outgoing:
    """Return the list of models; as the service's own, it repeats an id."""
    ids = [*PAGES, next(iter(PAGES)), *sorted(state.models)]
    data = [
        {
            "id": model,
            "object": "model",
            "created": 735790403,
            "owned_by": model.partition("/")[0],
        }
        for model in ids
    ]
    return json_reply({"object": "list", "data": data})
