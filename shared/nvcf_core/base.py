"""What ChatNVCF, NVCFLLM and NVCF inherit: the settings, a client of their own, and how a call is made of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, BinaryIO, Self

from pydantic import PrivateAttr

from .client import Client
from .config.auth import Access
from .config.endpoints import _FUNCTION_PART, NVCF_URL, checked_root, is_nvidia
from .config.options import Terms, _checked_headers
from .config.settings import Settings, key_from_env
from .errors import InvalidRequestError
from .exchange import Flow
from .locks import Lock
from .media.delivery import Placements, place
from .media.formats import media_kind
from .media.sources import opened
from .media.tags import warn_of_tags, with_parsed_tags
from .messages import Media, Message
from .models.catalog import spec_for
from .models.spec import ModelSpec
from .models.validator import Judge
from .protocol.call import Call
from .protocol.model_list import models
from .protocol.retry import Retry
from .protocol.upload_cache import Asset
from .request.normalize import arrange
from .request.parameters import check_counts, check_settings, parameters
from .request.reasoning import quieted
from .request.tools import _tool_names, _with_safe_names
from .response.choice import Reading
from .transport.httpx_client import Wiring

_opening = Lock()


class Adapter(Settings):
    """The base of `ChatNVCF`, `NVCFLLM` and `NVCF`, beside that of their framework."""

    _client: Client | None = PrivateAttr(default=None)

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        # Here and not in a validator: pydantic would wrap the error.
        check_settings(dict(self), self._judge(self._spec(), self.validation))
        for name in ("base_url", "nvcf_url"):
            if getattr(self, name) is not None:
                checked_root(getattr(self, name), name)
        _checked_headers(self.default_headers)
        check_counts(dict(self))

    def available_models(self) -> list[str]:
        """The ids of the models that the service lists, sorted. Listed does not mean entitled.

        Raises:
            NVCFError: the service could not be asked.
        """
        return self._core.run(*self._listing())

    async def aavailable_models(self) -> list[str]:
        """As `available_models`."""
        return await self._core.arun(*self._listing())

    def close(self) -> None:
        """Delete the assets that this object uploaded, and close its connections. It can be used again."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """As `close`."""
        if self._client is not None:
            await self._client.aclose()

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
    def _core(self) -> Client:
        if self._client is None:
            with _opening:  # Two threads that ask at once must not get a client each.
                if self._client is None:
                    self._client = self._new_client()
        return self._client

    def _new_client(self) -> Client:
        wiring = Wiring(
            verify=self.verify,
            max_connections=self.max_connections,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
        )
        return Client(wiring, self._own_terms())

    def _spec(self, given: Mapping[str, Any] | None = None) -> ModelSpec:
        """The row of the model that a call asks."""
        model = (given or {}).get("model") or self.model
        if not isinstance(model, str) or not model.strip() or not model.isprintable():
            raise InvalidRequestError(f"model is no model id: {model!r}", field="model")
        return spec_for(model)

    def _prepare(
        self, messages: Sequence[Message], given: Mapping[str, Any], *, stream: bool
    ) -> Call:
        """Everything about one call, checked, before anything is sent.

        Args:
            messages: the conversation.
            given: the call's own keywords; see `Settings.effective`.
            stream: whether the answer is to be streamed.

        Raises:
            InvalidRequestError: something in it cannot be sent.
        """
        values, extra = self.effective(given)
        check_counts(values)
        spec = self._spec(given)
        judge = self._judge(spec, values["validation"])
        streaming = stream or (values["streaming"] and extra.get("n", 1) == 1)
        asked = parameters(values, extra, judge, stream=streaming)
        arranged = arrange(messages, judge)
        if values["media_tags"] == "parse":
            arranged = with_parsed_tags(arranged)
        else:
            warn_of_tags(arranged, judge)
        base_url, nvcf_url = self._roots(spec)
        placements = place(arranged, judge, can_upload=nvcf_url is not None)
        arranged = quieted(arranged, asked.body, values["reasoning_effort"], judge)
        names = _tool_names(arranged, asked.body)
        about = _with_safe_names(asked.body, names)
        return Call(
            spec=spec,
            messages=arranged,
            about={
                **({"model": spec.id} if spec.model_in_body else {}),
                **about,
                "stream": streaming,
            },
            stream=streaming,
            url=self._url(spec, values, base_url, nvcf_url),
            base_url=base_url,
            nvcf_url=nvcf_url,
            terms=self._terms(values, base_url, nvcf_url, stream=streaming),
            placements=placements,
            digest_uploads=_digesting(placements, judge),
            names=names,
            reading=Reading(
                model=spec.id, stops=asked.stops, names=names, single_call=asked.single_call
            ),
            retry=Retry(max_retries=values["max_retries"]),
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
        return replace(media, source=None, asset_id=self._core.run(uploading, self._own_terms()).id)

    async def _aupload_media(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        mime_type: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> Media:
        """As `_upload_media`."""
        media, uploading = self._uploading(source, mime_type, progress)
        asset = await self._core.arun(uploading, self._own_terms())
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
        source = opened(file, field="path_or_file")
        kind, mime = media_kind(source, mime_type, field="path_or_file")
        media = Media(kind=kind, source=source, mime=mime)
        return media, self._core.uploading(
            source, mime, root, Retry(max_retries=self.max_retries), progress
        )

    def _judge(self, spec: ModelSpec, validation: Any) -> Judge:
        return Judge(spec, validation, self.warn)

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
            if part is not None and not _FUNCTION_PART.fullmatch(part):
                raise InvalidRequestError(f"{name}={part!r} is no id", field=name)
        return f"{nvcf_url}/pexec/functions/{function}" + (
            f"/versions/{version}" if version else ""
        )

    def _terms(self, values: Mapping[str, Any], *roots: str | None, stream: bool = False) -> Terms:
        """The terms of a conversation with these roots of the service."""
        access = Access(self.api_key, tuple(root for root in roots if root))
        if self.api_key is not None and (plain := access.unprotected()):
            self.warn(
                "http",
                f"the API key goes to {plain} without TLS, where anyone on the way can read it",
            )
        return Terms(
            access=access,
            headers=_checked_headers(values["default_headers"]),
            timeout=values["timeout"],
            chunk_timeout=values["stream_chunk_timeout"] if stream else None,
            requests_per_minute=self.requests_per_minute,
        )

    def _own_terms(self) -> Terms:
        """The terms of what is the object's own business, such as its assets."""
        return self._terms(dict(self), *self._roots(self._spec()))

    def _listing(self) -> tuple[Flow[list[str]], Terms]:
        # Every hosted model is listed at one host, also those that are asked at another.
        base_url = self._roots(ModelSpec(id=self.model))[0]
        return models(base_url, Retry(max_retries=self.max_retries)), self._terms(
            dict(self), base_url
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the key, and with pools of its own. What the user injected is shared."""
        memo = {} if memo is None else memo
        for shared in (self.http_client, self.http_async_client, self.verify):
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
        state["__pydantic_private__"] = {**private, "_client": None}
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """On the other side the key is that of its environment."""
        super().__setstate__(
            {**state, "__dict__": {**state["__dict__"], "api_key": key_from_env()}}
        )


def _digesting(placements: Placements, judge: Judge) -> Callable[[], None]:
    return lambda: placements.digest_uploads(judge)
