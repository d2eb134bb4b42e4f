"""The base class of ChatNVCF, NVCFLLM and NVCF: settings, client, and how a request is built."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pydantic import PrivateAttr, SecretStr

from .config.endpoints import Endpoints, validate_root_url
from .config.options import RequestOptions, normalize_headers, request_options
from .config.settings import Settings, key_from_env
from .errors import InvalidRequestError
from .exchange import Flow
from .locks import Lock
from .media.delivery import Upload
from .media.formats import detect_media_type
from .media.sources import open_source
from .messages import Media, Message
from .models.spec import ModelSpec
from .models.validator import Validator
from .protocol.chat_request import ChatRequest
from .protocol.model_list import list_models
from .protocol.retry import RetryPolicy
from .protocol.upload_cache import Asset
from .request.parameters import check_client_limits, check_settings
from .request_builder import build_chat_request, call_context, endpoints_of
from .transport.limits.rate_limiter import RequestLimiter

if TYPE_CHECKING:
    from .client import Client
    from .transport.clients import ClientConfig

__all__ = ["BaseNVCF"]

_opening = Lock()


class BaseNVCF(Settings):
    """The base of `ChatNVCF`, `NVCFLLM` and `NVCF`, beside that of their framework."""

    _opened_client: Client | None = PrivateAttr(default=None)

    def __init__(self, **data: Any) -> None:
        super().__init__(**self.constructor_keywords(data))
        # Here and not in a validator: pydantic would wrap the error.
        check_settings(self, Validator(self._spec(), self.validation, self.warn_once))
        for name in ("base_url", "nvcf_url"):
            if getattr(self, name) is not None:
                validate_root_url(getattr(self, name), name)
        normalize_headers(self.default_headers)
        check_client_limits(self)
        _check_limiter(self.request_limiter)
        _check_client("http_client", self.http_client, asynchronous=False)
        _check_client("http_async_client", self.http_async_client, asynchronous=True)
        _client_classes()

    def available_models(self) -> list[str]:
        """The ids of the models that the service lists, sorted. Listed does not mean entitled.

        Raises:
            NVCFError: the request failed.
        """
        return self._client.run_flow(*self._listing())

    async def aavailable_models(self) -> list[str]:
        """Async version of `available_models`."""
        return await self._client.arun_flow(*self._listing())

    def close(self) -> None:
        """Delete the assets that this object uploaded, and close its connections. It can be used again."""
        if self._opened_client is not None:
            self._opened_client.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        if self._opened_client is not None:
            await self._opened_client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's. A copy that reaches the service in another way has connections of its own."""
        copied = super().model_copy(update=update, deep=deep)
        _, config_class = _client_classes()
        if update and not update.keys().isdisjoint(field.name for field in fields(config_class)):
            copied._opened_client = None
        return copied

    @property
    def _client(self) -> Client:
        if self._opened_client is None:
            with _opening:  # Two threads must not create a client each.
                if self._opened_client is None:
                    self._opened_client = self._new_client()
        return self._opened_client

    def _new_client(self) -> Client:
        client_class, config_class = _client_classes()
        config = config_class(
            verify=self.verify,
            max_connections=self.max_connections,
            proxy=self.proxy,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
        )
        return client_class(config, self._own_options())

    def _spec(self, given: Mapping[str, Any] | None = None) -> ModelSpec:
        """Return the spec of the model that a call requests."""
        return endpoints_of(self, (given or {}).get("model") or self.model)[0]

    def _build_request(
        self, messages: Sequence[Message], given: Mapping[str, Any], *, stream: bool
    ) -> ChatRequest:
        """Build and check the request of one call, before anything is sent.

        Args:
            messages: the conversation.
            given: the call's own keywords; see `Settings.for_call`.
            stream: whether the answer is to be streamed.

        Raises:
            InvalidRequestError: a part of it cannot be sent.
        """
        return build_chat_request(messages, call_context(self, given, stream=stream))

    def _upload_media(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> Media:
        """Upload a file as an asset, and return the media item that refers to it."""
        media, upload = self._upload_flow(source, mime_type, progress)
        return replace(
            media, source=None, asset_id=self._client.run_flow(upload, self._own_options()).id
        )

    async def _aupload_media(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> Media:
        """Async version of `_upload_media`."""
        # In a thread: the file is opened, and its beginning read.
        media, upload = await asyncio.to_thread(self._upload_flow, source, mime_type, progress)
        asset = await self._client.arun_flow(upload, self._own_options())
        return replace(media, source=None, asset_id=asset.id)

    def _upload_flow(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Media, Flow[Asset]]:
        root = self._endpoints().nvcf_url
        if root is None:
            raise InvalidRequestError(
                "there is no asset API to upload to: nvcf_url is not set, and base_url is not NVIDIA's",
                field="nvcf_url",
            )
        source = open_source(file, field="path_or_file")
        kind, mime = detect_media_type(source, mime_type, field="path_or_file")
        media = Media(kind=kind, source=source, mime_type=mime)
        retry = RetryPolicy(max_retries=self.max_retries)
        return media, self._client.upload_flow(Upload(source, mime), root, retry, progress)

    def _endpoints(self) -> Endpoints:
        return endpoints_of(self, self.model)[1]

    def _own_options(self) -> RequestOptions:
        """Return the options for requests that belong to no call, such as uploads."""
        return request_options(self, self, self._endpoints().roots)

    def _listing(self) -> tuple[Flow[list[str]], RequestOptions]:
        # One host lists every hosted model, also those that are served by another.
        hosted = ModelSpec(id=self.model).base_url
        base_url = Endpoints.resolve(self.base_url, self.nvcf_url, hosted).base_url
        options = request_options(self, self, (base_url,))
        return list_models(base_url, RetryPolicy(max_retries=self.max_retries)), options

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the key, and with pools of its own. What the user injected is shared."""
        memo = {} if memo is None else memo
        for shared in (
            self.http_client,
            self.http_async_client,
            self.verify,
            self.request_limiter,
        ):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """Return the state to pickle: without connection pools, and with `api_key` only if it is a picklable callable.

        Raises:
            InvalidRequestError: a client or an SSLContext was injected, which cannot be pickled.
        """
        for name in ("http_client", "http_async_client"):
            if getattr(self, name) is not None:
                raise InvalidRequestError(
                    f"a model with an injected {name} cannot be pickled", field=name
                )
        if not isinstance(self.verify, (bool, str, os.PathLike)):
            raise InvalidRequestError(
                "a model whose verify is an SSLContext cannot be pickled", field="verify"
            )
        state = dict(super().__getstate__())
        key = self._picklable_api_key()
        state["__dict__"] = {**state["__dict__"], "api_key": key}
        private = state.get("__pydantic_private__") or {}
        state["__pydantic_private__"] = {
            **private,
            "_opened_client": None,
            "_key_left_behind": key is None and (self.api_key is not None or self.key_left_behind),
        }
        return state

    def _picklable_api_key(self) -> Callable[[], Any] | None:
        """`api_key` if it is a picklable callable, else None. String keys are never pickled."""
        if self.api_key is None or isinstance(self.api_key, (str, SecretStr)):
            return None
        try:
            pickle.dumps(self.api_key)
        except (pickle.PicklingError, AttributeError, TypeError):  # What a lambda or a lock raises.
            return None
        return self.api_key

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore the state. A key that was not pickled is read from the environment."""
        values = dict(state["__dict__"])
        if values.get("api_key") is None:
            values["api_key"] = key_from_env()
        super().__setstate__({**state, "__dict__": values})
        private = state.get("__pydantic_private__") or {}
        self._key_left_behind = self.api_key is None and private.get("_key_left_behind", False)


def _client_classes() -> tuple[type[Client], type[ClientConfig]]:
    """What a client is made of.

    With it comes all of the transport and of the decoding: a third of what importing an adapter would cost. So it is
    imported with the first object, and not with the first call, for which an event loop would have to wait.
    """
    from .client import Client
    from .transport.clients import ClientConfig

    return Client, ClientConfig


def _check_client(field: str, client: Any, *, asynchronous: bool) -> None:
    """Reject an injected client of the wrong kind when it is given, not when it is first used.

    Raises:
        InvalidRequestError: it is not a client, or of the other kind.
    """
    if client is None:
        return
    send = getattr(client, "send", None)
    if send is None or inspect.iscoroutinefunction(send) is not asynchronous:
        wanted = "an httpx.AsyncClient" if asynchronous else "an httpx.Client"
        raise InvalidRequestError(
            f"{field} takes {wanted}, not {type(client).__name__}", field=field
        )


def _check_limiter(limiter: object) -> None:
    if limiter is not None and not isinstance(limiter, RequestLimiter):
        raise InvalidRequestError(
            "request_limiter needs acquire(), acquire_async() and feedback(status, retry_after); "
            f"{type(limiter).__name__} lacks one of them",
            field="request_limiter",
        )
