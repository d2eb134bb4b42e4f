"""The constructor keywords that every model of this package takes, and what they are when one call is made."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    SkipValidation,
    TypeAdapter,
    ValidationError,
    field_serializer,
    field_validator,
)

from nvcf_core.errors import InvalidRequestError, NVCFWarning

from .endpoints import NVCF_URL
from .keywords import check_spelling, resolve_aliases

__all__ = [
    "PHASES",
    "CallSettings",
    "PhaseTimeouts",
    "Settings",
    "key_from_env",
]

_NUMBERS = frozenset(
    (
        "temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty",
        "reasoning_budget",
    )
)  # fmt: skip
"""The keywords that are held against the model's documentation, which says more of them than their type."""

PHASES = ("connect", "read", "write", "pool")
"""What an httpx.Timeout has a limit for."""


@dataclass(frozen=True, slots=True)
class PhaseTimeouts:
    """Seconds for each phase, None for no limit: what a dump of an httpx.Timeout is read as."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


def _from_env(name: str) -> Callable[[], str | None]:
    """A default that is read from the environment when the object is made."""
    return lambda: os.environ.get(name, "").strip() or None


def key_from_env() -> SecretStr | None:
    """The key that the environment has now, in NVIDIA_API_KEY."""
    key = _from_env("NVIDIA_API_KEY")()
    return SecretStr(key) if key else None


class CallSettings(BaseModel):
    """The keywords that a call may repeat, where None leaves the constructor's value standing."""

    # A validation error shows the value it refuses, which might be a key.
    # The validators, of sixty fields for each class, are built with the first object, and so for one class of six.
    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        defer_build=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    keeps_raw: ClassVar[bool] = True
    """Whether stream chunks keep their raw event. Off saves four objects per chunk that the garbage collector would
    track."""

    model: str = Field(description='The model id, e.g. "moonshotai/kimi-k2.6". Any id is accepted.')
    function_id: str | None = Field(
        default=None,
        description="The id of a function deployed on NVCF, called instead of the catalogue model.",
    )
    function_version: str | None = Field(default=None, description="A version of that function.")
    temperature: float | None = Field(default=None, description="Sampling temperature.")
    top_p: float | None = Field(default=None, description="Nucleus sampling mass.")
    max_tokens: int | None = Field(default=None, description="The most tokens an answer may have.")
    seed: int | None = Field(
        default=None, description="Makes sampling repeatable, as far as the service can."
    )
    stop: str | list[str] | None = Field(
        default=None,
        description="Texts that end the answer. Where the model's documentation lacks `stop`, the client cuts there.",
    )
    frequency_penalty: float | None = Field(
        default=None, description="Against repeating tokens by their count."
    )
    presence_penalty: float | None = Field(
        default=None, description="Against repeating tokens at all."
    )
    # What is none is told with those that the model has, whatever its type.
    reasoning_effort: Annotated[str | None, SkipValidation] = Field(
        default=None,
        description='"none", "minimal", "low", "medium" or "high": one switch for every model that reasons. '
        "An unknown model gets any value as it is.",
    )
    reasoning_budget: int | None = Field(
        default=None, description="The most tokens to think with; -1 lifts the budget."
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        default=None,
        description="Merged last over what reasoning_effort and reasoning_budget produce.",
    )
    streaming: bool = Field(default=False, description="Answer whole calls through a stream.")
    stream_usage: bool = Field(
        default=True,
        description="Ask for usage in streams where the model documents `stream_options`.",
    )
    timeout: Any = Field(
        default=None,
        description="Seconds for each phase, or an httpx.Timeout, whose `read` is the wait for the first byte. "
        "Default: connect 10, read 300.",
    )
    stream_chunk_timeout: float = Field(
        default=120.0,
        description="Seconds between two chunks of a stream, and for all of a whole answer from its first byte on. "
        'float("inf"): no limit.',
    )
    call_timeout: float | None = Field(
        default=None,
        description="Seconds for all of a call: uploads, attempts, waits, polls and the answer. None: no limit.",
    )
    poll_timeout: float = Field(default=900.0, description="Seconds a call may stay at 202 in all.")
    max_retries: int = Field(
        default=2,
        description="Attempts after the first, until the first chunk of the answer is handed out.",
    )
    default_headers: dict[str, str] | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Sent with every request to the service's own hosts.",
    )
    extra_body: dict[str, Any] | None = Field(
        default=None, description="Merged into every request's body, unchecked."
    )
    media_tags: Literal["literal", "parse"] = Field(
        default="literal",
        description='"literal": a tag such as <img src=…> inside a text stays text. "parse": it is read as media.',
    )
    validation: Literal["error", "warn", "off"] = Field(
        default="error",
        description="What happens when a documented bound of a known model is broken.",
    )
    tools_as_text: bool = Field(
        default=False,
        description="For a model without tools: whether tool calls and results of the history become text.",
    )
    include_response_headers: bool = Field(
        default=False, description="Whether an answer's metadata has the headers of its response."
    )
    on_progress: Callable[[float], None] | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Called with the percentage done while the service works on a request (202), if it reports that.",
    )

    @field_validator("timeout", mode="before")
    @classmethod
    def _timeout_of_a_dump(cls, value: object) -> object:
        if isinstance(value, Mapping) and set(value) == set(PHASES):
            return PhaseTimeouts(**value)
        return value

    @field_serializer("timeout")
    def shown_timeout(self, timeout: Any) -> Any:
        """Return `timeout` for serialized output: for an httpx.Timeout the seconds of its phases."""
        if not all(hasattr(timeout, phase) for phase in PHASES):
            return timeout
        return {phase: getattr(timeout, phase) for phase in PHASES}


class Settings(CallSettings):
    """The keywords of `ChatNVCF`, `NVCFLLM` and `NVCF`.

    None means "not set" everywhere. Those of `CallSettings` may also be given per call; the others belong to the
    object: the key, the urls, and all that connections are made of. A keyword that is neither is a field of every
    call's body.

    Raises:
        InvalidRequestError: a value is out of the bounds of the model's documentation, a url is unusable, or a
            keyword is misspelt or given under two names.
        pydantic.ValidationError: a value has the wrong type.
    """

    api_key: SecretStr | str | Callable[[], Any] | None = Field(
        default_factory=key_from_env,
        exclude=True,
        repr=False,
        description="A key, or a callable (sync or async) that is called for each request. "
        "Default: the environment's NVIDIA_API_KEY.",
    )
    base_url: str | None = Field(
        default_factory=_from_env("NVIDIA_BASE_URL"),
        description="The root that ends in /v1. Default: the environment's NVIDIA_BASE_URL, "
        "else the model's documented host.",
    )
    nvcf_url: str | None = Field(
        default_factory=_from_env("NVCF_URL"),
        description="The root of the asset, polling and function API. Default: the environment's NVCF_URL, "
        f"else {NVCF_URL} while base_url is NVIDIA's.",
    )
    max_connections: int | None = Field(default=None, description="Of the pool. None: no limit.")
    requests_per_minute: int | None = Field(
        default=None,
        description="Never more than this many in any 60 seconds, over every object of the process that has "
        "the same key and host.",
    )
    verify: Any = Field(
        default=True,
        repr=False,
        description="As httpx's: True, False, an SSLContext or a CA path.",
    )
    request_limiter: Any = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Anything with `acquire()`, `acquire_async()` and `feedback(status, retry_after)`, called "
        "before and after each request to the model.",
    )
    proxy: str | None = Field(
        default=None,
        repr=False,
        description="Proxy URL for all requests, as in httpx. Default: from the environment. "
        "A URL with a password is left out of serialized output.",
    )
    call_keywords: dict[str, Any] | None = Field(
        default=None,
        description="Keywords of every call that are not settings, such as `top_k`. The constructor puts here what "
        "it is given under other names; it need not be given itself.",
    )
    http_client: Any = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Your own httpx.Client: used as it is, never closed.",
    )
    http_async_client: Any = Field(
        default=None, exclude=True, repr=False, description="Your own httpx.AsyncClient, likewise."
    )

    @classmethod
    def constructor_keywords(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the constructor's keywords under the names of their fields.

        Args:
            given: the keywords, under any of their names. None is "not set"; what is not a field goes to
                `call_keywords`.

        Raises:
            InvalidRequestError: a keyword is misspelt, or given under two names with two values.
        """
        fields: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in resolve_aliases(given).items():
            if name in cls.model_fields:
                fields[name] = value
            else:
                check_spelling(name, _keywords_of(cls))
                others[name] = value
        if others:
            fields["call_keywords"] = {**fields.get("call_keywords", {}), **others}
        return fields

    @field_validator("api_key", mode="before")
    @classmethod
    def _key_is_secret(cls, value: object) -> object:
        """Hold a key that is given as text so that nothing shows it."""
        return SecretStr(value) if isinstance(value, str) else value

    @field_serializer("proxy")
    def shown_proxy(self, proxy: str | None) -> str | None:
        """Return the proxy for serialized output: None if its URL has a password."""
        return None if proxy is not None and "@" in proxy else proxy

    @field_serializer("verify")
    def shown_verify(self, verify: object) -> bool | str | None:
        """Return `verify` for serialized output: nothing for an SSLContext, which is not serialized."""
        if isinstance(verify, os.PathLike):
            return str(os.fspath(verify))
        return verify if isinstance(verify, (bool, str)) else None

    _warned: set[str] = PrivateAttr(default_factory=set)
    _key_left_behind: bool = PrivateAttr(default=False)

    @property
    def key_left_behind(self) -> bool:
        """Whether the object was pickled with a key that did not travel, and has none here."""
        return self._key_left_behind

    def warn_once(self, reason: str, message: str) -> None:
        """Warn once for each object and reason."""
        if reason not in self._warned:
            self._warned.add(reason)
            warnings.warn(message, NVCFWarning, stacklevel=2)

    def for_call(self, given: Mapping[str, Any]) -> tuple[CallSettings, dict[str, Any]]:
        """The settings of one call, and the body fields that are not settings.

        Args:
            given: what the call itself was given. None leaves the constructor's value standing; headers and
                extra body fields are merged, the call's own winning. A keyword of the call wins over a field of the
                constructor's `extra_body`, too.

        Raises:
            InvalidRequestError: one of them belongs to the object and cannot be given per call, has the wrong
                type, is misspelt, or is given under two names.
        """
        changed: dict[str, Any] = {}
        extra = dict(self.call_keywords or {})
        given = resolve_aliases(given)
        own = self.extra_body or {}
        if not own.keys().isdisjoint(given):
            # Else the value that the object was made with would be sent in place of the call's.
            kept = {name: value for name, value in own.items() if name not in given}
            changed["extra_body"] = kept
        for name, value in given.items():
            if name == "extra_body":
                changed[name] = {**changed.get(name, own), **_typed(name, value)}
            elif name in _PER_CALL:
                changed[name] = self._given(name, value)
            elif name in _OF_THE_OBJECT:
                raise InvalidRequestError(
                    f"{name} is given to the constructor, not per call", field=name
                )
            else:
                if name not in _FRAMEWORK_WORDS:
                    check_spelling(name, _keywords_of(type(self)))
                extra[name] = value
        # A copy shares all that the call does not change: validating it anew would cost more than all the rest.
        return (self.model_copy(update=changed) if changed else self), extra

    def _given(self, name: str, value: object) -> Any:
        if name in _NUMBERS:
            return _number(name, value)
        if name == "default_headers":
            return {**(self.default_headers or {}), **_typed(name, value)}
        return _typed(name, value)


_FRAMEWORK_WORDS = frozenset(("stream",))
"""Keywords that frameworks pass on every call; never reported as misspellings of `streaming`."""

_PER_CALL = frozenset(CallSettings.model_fields)

_OF_THE_OBJECT = frozenset(Settings.model_fields) - _PER_CALL


@functools.cache
def _keywords_of(cls: type[Settings]) -> frozenset[str]:
    return frozenset(cls.model_fields)


@functools.cache
def _type_of(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(CallSettings.model_fields[name].rebuild_annotation())


def _number(name: str, value: object) -> object:
    """A number as the constructor would take it, such as numpy's. What is none stays, and is told with its bounds."""
    if isinstance(value, int):  # A bool is no number, which is told too.
        return value
    try:
        return _type_of(name).validate_python(value)
    except ValidationError:
        return value


def _typed(name: str, value: object) -> Any:
    """A value that was given per call, as the constructor would take it.

    Raises:
        InvalidRequestError: it has the wrong type.
    """
    try:
        return _type_of(name).validate_python(value)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequestError(f"{name}: {wrong['msg']}", field=name) from None
