"""From settings, keywords and messages to a `ChatRequest`: every decision and every check, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .config.endpoints import Endpoints
from .config.options import RequestOptions, request_options
from .config.settings import CallSettings, Settings
from .errors import InvalidRequestError
from .media.delivery import plan_delivery
from .media.tags import parse_media_tags, warn_unparsed_tags
from .messages import Message
from .models.catalog import spec_for
from .models.spec import ModelSpec
from .models.validator import Validator
from .protocol.chat_request import ChatRequest
from .protocol.polling import POLL_SECONDS_HEADER
from .protocol.retry import RetryPolicy
from .request.normalize import normalize, number_messages
from .request.parameters import body_fields, check_client_limits
from .request.past_calls import with_call_reasoning
from .request.reasoning import without_thinking, without_thinking_for_forced_tool
from .request.structured import move_schema_into_prompt
from .request.tools import normalize_tools, tool_names_of, with_wire_names
from .values import value_class

__all__ = ["CallContext", "build_chat_request", "call_context", "endpoints_of"]

_HOLD_SECONDS = 60
"""Seconds that the service may hold a request at most. Its own limit is 300."""


@value_class(kw_only=True)
class CallContext:
    """What one call depends on, besides its messages."""

    validator: Validator
    endpoints: Endpoints
    options: RequestOptions
    settings: CallSettings
    extra: Mapping[str, Any]
    """The keywords that are not settings: body fields, and a schema that goes into the prompt."""
    stream: bool
    """Whether the answer is to be streamed."""


def _validate_model_id(model: object) -> str:
    """The id of a model.

    Raises:
        InvalidRequestError: it is not one.
    """
    if not isinstance(model, str) or not model.strip() or not model.isprintable():
        raise InvalidRequestError(f"model is not a model id: {model!r}", field="model")
    return model


def endpoints_of(settings: Settings, model: object) -> tuple[ModelSpec, Endpoints]:
    """Return the spec of the requested model, as it applies at its server, and the URLs of that server.

    Raises:
        InvalidRequestError: it is not a model id, or a url is not a usable root.
    """
    name = _validate_model_id(model)
    spec = spec_for(name)
    endpoints = Endpoints.resolve(settings.base_url, settings.nvcf_url, spec.base_url)
    return (spec_for(name, own_server=True) if endpoints.own_server else spec), endpoints


def call_context(settings: Settings, given: Mapping[str, Any], *, stream: bool) -> CallContext:
    """Return the context of a call.

    Args:
        settings: the object's own.
        given: the call's own keywords; see `Settings.for_call`.
        stream: whether the caller reads the answer as it arrives.

    Raises:
        InvalidRequestError: a keyword is not what it should be.
    """
    call, extra = settings.for_call(given)
    if call is not settings:  # Those of the constructor have been checked.
        check_client_limits(call)
    spec, endpoints = endpoints_of(settings, call.model)
    # Stop sequences that the client enforces: in a stream it can leave at the first one.
    as_stream = call.streaming or (bool(call.stop) and not spec.documents("stop"))
    streaming = stream or (as_stream and extra.get("n", 1) == 1)
    return CallContext(
        validator=Validator(spec, call.validation, settings.warn_once),
        endpoints=endpoints,
        options=request_options(settings, call, endpoints.roots),
        settings=call,
        extra=extra,
        stream=streaming,
    )


def build_chat_request(messages: Sequence[Message], context: CallContext) -> ChatRequest:
    """Build and check the request of one call.

    Raises:
        InvalidRequestError: something in it cannot be sent.
    """
    validator, settings, endpoints = context.validator, context.settings, context.endpoints
    spec = validator.spec
    extra = normalize_tools(context.extra, settings.extra_body)
    messages, extra = move_schema_into_prompt(messages, extra)
    parameters = body_fields(settings, extra, validator, stream=context.stream)
    normalized = normalize(
        _with_tags(messages, context), validator, tools_as_text=settings.tools_as_text
    )
    planned, deliveries = plan_delivery(
        normalized, validator, can_upload=endpoints.nvcf_url is not None
    )
    body = without_thinking_for_forced_tool(parameters.body, validator)
    planned, body = without_thinking(planned, body, settings.reasoning_effort, validator)
    planned = with_call_reasoning(planned, body, validator)
    names = tool_names_of(planned, body)
    model = {"model": spec.id} if spec.model_in_body else {}
    hold_seconds = _hold_seconds(settings.timeout)
    return ChatRequest(
        spec=spec,
        messages=planned,
        fields={**model, **with_wire_names(body, names), "stream": context.stream},
        stream=context.stream,
        url=_url(context),
        poll_url=endpoints.poll_url,
        nvcf_url=endpoints.nvcf_url,
        headers=_headers(context, hold_seconds),
        hold_seconds=hold_seconds,
        options=context.options,
        deliveries=deliveries,
        names=names,
        stops=parameters.stops,
        single_call=parameters.single_call,
        keeps_raw=settings.keeps_raw,
        retry=RetryPolicy(max_retries=settings.max_retries),
        poll_timeout=settings.poll_timeout,
        warn=validator.warn,
        include_headers=settings.include_response_headers,
        on_progress=settings.on_progress,
    )


def _with_tags(messages: Sequence[Message], context: CallContext) -> Sequence[Message]:
    """The messages with media tags parsed, where the user wants that."""
    if context.settings.media_tags == "parse":
        return parse_media_tags(number_messages(messages))
    warn_unparsed_tags(messages, context.validator)
    return messages


def _url(context: CallContext) -> str:
    settings, endpoints = context.settings, context.endpoints
    if settings.function_id is None:
        if settings.function_version is not None:
            raise InvalidRequestError(
                "function_version is a version of a function, and no function_id is given",
                field="function_version",
            )
        return endpoints.chat_url(context.validator.spec.path)
    return endpoints.function_url(settings.function_id, settings.function_version)


def _headers(context: CallContext, hold_seconds: int) -> dict[str, str]:
    headers = {
        "accept": "text/event-stream" if context.stream else "application/json",
        "content-type": "application/json",
    }
    if (
        context.endpoints.nvcf_url is not None
        and POLL_SECONDS_HEADER not in context.options.headers
    ):
        headers[POLL_SECONDS_HEADER] = str(hold_seconds)
    return headers


def _hold_seconds(timeout: Any) -> int:
    """Whole seconds that the service may hold a request: less than the client waits for the first byte."""
    read = timeout if isinstance(timeout, (int, float)) else getattr(timeout, "read", None)
    return _HOLD_SECONDS if read is None else max(1, int(min(_HOLD_SECONDS, read - 1)))
