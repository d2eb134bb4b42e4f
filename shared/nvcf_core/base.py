"""What ChatNVCF, NVCFLLM and NVCF inherit: the settings, a client of their own, and how a call is made of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, BinaryIO, Self

from pydantic import PrivateAttr

from .client import Client
from .config.auth import Auth
from .config.endpoints import FUNCTION_PART, NVCF_URL, checked_root, is_nvidia
from .config.options import RequestOptions, checked_headers
from .config.request_limiter import RequestLimiter
from .config.settings import Settings, key_from_env
from .errors import InvalidRequestError
from .exchange import Flow
from .locks import Lock
from .media.delivery import Deliveries, plan_delivery
from .media.formats import detect_media_type
from .media.sources import open_source
from .media.tags import parse_media_tags, warn_unparsed_tags
from .messages import Media, Message
from .models.catalog import spec_for
from .models.spec import ModelSpec
from .models.validator import Validator
from .protocol.call import ChatRequest
from .protocol.model_list import list_models
from .protocol.retry import RetryPolicy
from .protocol.upload_cache import Asset
from .request.normalize import normalize
from .request.parameters import body_fields, check_client_limits, check_settings
from .request.reasoning import without_thinking
from .request.structured import take_schema_in_prompt
from .request.tools import tool_names_of, with_wire_names
from .response.choice import DecodeOptions
from .transport.httpx_client import ClientConfig

_opening = Lock()


class BaseNVCF(Settings):
    """The base of `ChatNVCF`, `NVCFLLM` and `NVCF`, beside that of their framework."""

    _opened_client: Client | None = PrivateAttr(default=None)

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        # Here and not in a validator: pydantic would wrap the error.
        check_settings(dict(self), self._validator(self._spec(), self.validation))
        for name in ("base_url", "nvcf_url"):
            if getattr(self, name) is not None:
                checked_root(getattr(self, name), name)
        checked_headers(self.default_headers)
        _check_limiter(self.request_limiter)
        check_client_limits(dict(self))

    def available_models(self) -> list[str]:
        """The ids of the models that the service lists, sorted. Listed does not mean entitled.

        Raises:
            NVCFError: the service could not be asked.
        """
        return self._client.run(*self._listing())

    async def aavailable_models(self) -> list[str]:
        """As `available_models`."""
        return await self._client.arun(*self._listing())

    def close(self) -> None:
        """Delete the assets that this object uploaded, and close its connections. It can be used again."""
        if self._opened_client is not None:
            self._opened_client.close()

    async def aclose(self) -> None:
        """As `close`."""
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

    @property
    def _client(self) -> Client:
        if self._opened_client is None:
            with _opening:  # Two threads that ask at once must not get a client each.
                if self._opened_client is None:
                    self._opened_client = self._new_client()
        return self._opened_client

    def _new_client(self) -> Client:
        config = ClientConfig(
            verify=self.verify,
            max_connections=self.max_connections,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
        )
        return Client(config, self._own_options())

    def _spec(self, given: Mapping[str, Any] | None = None) -> ModelSpec:
        """The row of the model that a call asks."""
        model = (given or {}).get("model") or self.model
        if not isinstance(model, str) or not model.strip() or not model.isprintable():
            raise InvalidRequestError(f"model is no model id: {model!r}", field="model")
        return spec_for(model)

    def _build_request(
        self, messages: Sequence[Message], given: Mapping[str, Any], *, stream: bool
    ) -> ChatRequest:
        """Everything about one call, checked, before anything is sent.

        Args:
            messages: the conversation.
            given: the call's own keywords; see `Settings.effective`.
            stream: whether the answer is to be streamed.

        Raises:
            InvalidRequestError: something in it cannot be sent.
        """
        messages, given = take_schema_in_prompt(messages, given)
        values, extra = self.for_call(given)
        check_client_limits(values)
        spec = self._spec(given)
        validator = self._validator(spec, values["validation"])
        streaming = stream or (values["streaming"] and extra.get("n", 1) == 1)
        asked = body_fields(values, extra, validator, stream=streaming)
        arranged = normalize(messages, validator)
        if values["media_tags"] == "parse":
            arranged = parse_media_tags(arranged)
        else:
            warn_unparsed_tags(arranged, validator)
        base_url, nvcf_url = self._roots(spec)
        deliveries = plan_delivery(arranged, validator, can_upload=nvcf_url is not None)
        arranged = without_thinking(arranged, asked.body, values["reasoning_effort"], validator)
        names = tool_names_of(arranged, asked.body)
        about = with_wire_names(asked.body, names)
        return ChatRequest(
            spec=spec,
            messages=arranged,
            fields={
                **({"model": spec.id} if spec.model_in_body else {}),
                **about,
                "stream": streaming,
            },
            stream=streaming,
            url=self._url(spec, values, base_url, nvcf_url),
            base_url=base_url,
            nvcf_url=nvcf_url,
            options=self._options(values, base_url, nvcf_url, stream=streaming),
            deliveries=deliveries,
            hash_uploads=_digesting(deliveries, validator),
            names=names,
            reading=DecodeOptions(
                model=spec.id, stops=asked.stops, names=names, single_call=asked.single_call
            ),
            retry=RetryPolicy(max_retries=values["max_retries"]),
            poll_timeout=values["poll_timeout"],
            on_progress=values["on_progress"],
        )

    def _upload_media(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> Media:
        """Upload a file as an asset, and return the medium that refers to it."""
        media, uploading = self._uploading(source, mime_type, progress)
        return replace(
            media, source=None, asset_id=self._client.run(uploading, self._own_options()).id
        )

    async def _aupload_media(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> Media:
        """As `_upload_media`."""
        media, uploading = self._uploading(source, mime_type, progress)
        asset = await self._client.arun(uploading, self._own_options())
        return replace(media, source=None, asset_id=asset.id)

    def _uploading(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Media, Flow[Asset]]:
        _, root = self._roots(self._spec())
        if root is None:
            raise InvalidRequestError(
                "there is no asset API to upload to: nvcf_url is not set, and base_url is not NVIDIA's",
                field="nvcf_url",
            )
        source = open_source(file, field="path_or_file")
        kind, mime = detect_media_type(source, mime_type, field="path_or_file")
        media = Media(kind=kind, source=source, mime_type=mime)
        return media, self._client.uploading(
            source, mime, root, RetryPolicy(max_retries=self.max_retries), progress
        )

    def _validator(self, spec: ModelSpec, validation: Any) -> Validator:
        return Validator(spec, validation, self.warn)

    def _roots(self, spec: ModelSpec) -> tuple[str, str | None]:
        """Where this model is asked, and where its assets lie."""
        base_url = checked_root(self.base_url, "base_url") if self.base_url else spec.base_url
        if self.nvcf_url:
            return base_url, checked_root(self.nvcf_url, "nvcf_url")
        return base_url, NVCF_URL if is_nvidia(base_url) else None

    def _url(
        self, spec: ModelSpec, values: Mapping[str, Any], base_url: str, nvcf_url: str | None
    ) -> str:
        function, version = values["function_id"], values["function_version"]
        if function is None:
            return f"{base_url}/{spec.path}"
        if nvcf_url is None:
            raise InvalidRequestError(
                "function_id needs nvcf_url, the root of the function API", field="nvcf_url"
            )
        for name, part in (("function_id", function), ("function_version", version)):
            if part is not None and not FUNCTION_PART.fullmatch(part):
                raise InvalidRequestError(f"{name}={part!r} is no id", field=name)
        return f"{nvcf_url}/pexec/functions/{function}" + (
            f"/versions/{version}" if version else ""
        )

    def _options(
        self, values: Mapping[str, Any], *roots: str | None, stream: bool = False
    ) -> RequestOptions:
        """The options of a conversation with these roots of the service."""
        access = Auth(self.api_key, tuple(root for root in roots if root))
        if self.api_key is not None and (plain := access.insecure_root()):
            self.warn(
                "http",
                f"the API key goes to {plain} without TLS, where anyone on the way can read it",
            )
        return RequestOptions(
            auth=access,
            headers=checked_headers(values["default_headers"]),
            timeout=values["timeout"],
            chunk_timeout=values["stream_chunk_timeout"] if stream else None,
            requests_per_minute=self.requests_per_minute,
            request_limiter=self.request_limiter,
        )

    def _own_options(self) -> RequestOptions:
        """The options of what is the object's own business, such as its assets."""
        return self._options(dict(self), *self._roots(self._spec()))

    def _listing(self) -> tuple[Flow[list[str]], RequestOptions]:
        # Every hosted model is listed at one host, also those that are asked at another.
        base_url = self._roots(ModelSpec(id=self.model))[0]
        return list_models(base_url, RetryPolicy(max_retries=self.max_retries)), self._options(
            dict(self), base_url
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the key, and with pools of its own. What the user injected is shared."""
        memo = {} if memo is None else memo
        for shared in (self.http_client, self.http_async_client, self.verify, self.request_limiter):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """What pickling keeps: neither the key, nor pools.

        Raises:
            InvalidRequestError: a client or an SSLContext was injected, which cannot travel.
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
        state["__dict__"] = {
            key: value for key, value in state["__dict__"].items() if key != "api_key"
        }
        private = state.get("__pydantic_private__") or {}
        state["__pydantic_private__"] = {**private, "_opened_client": None}
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """On the other side the key is that of its environment."""
        super().__setstate__(
            {**state, "__dict__": {**state["__dict__"], "api_key": key_from_env()}}
        )


def _check_limiter(limiter: object) -> None:
    if limiter is not None and not isinstance(limiter, RequestLimiter):
        raise InvalidRequestError(
            "request_limiter needs acquire(), acquire_async() and feedback(status, retry_after); "
            f"{type(limiter).__name__} lacks one of them",
            field="request_limiter",
        )


def _digesting(deliveries: Deliveries, validator: Validator) -> Callable[[], None]:
    return lambda: deliveries.hash_uploads(validator)
