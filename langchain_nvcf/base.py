"""What `ChatNVCF` and `NVCFLLM` share: translated errors, tracing, serialisation, token counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Self

from langchain_core.language_models.base import BaseLanguageModel, LangSmithParams
from langchain_core.messages import BaseMessage
from pydantic import model_validator
from typing_extensions import override

from nvcf_core import BaseNVCF

from .block_translator import PROVIDER
from .errors import translating_errors
from .token_counting import count_messages, count_text
from .tools import Tool, openai_tools

_DISTRIBUTION = "nvcf-adapters"


def _installed_version() -> str:
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:  # Run from a source tree.
        return "0"


_VERSION = _installed_version()
# All that decides what the model answers, and no secret: it is the key of caches, and traces show it.
_IDENTIFYING = (
    "model",
    "base_url",
    "function_id",
    "function_version",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "reasoning_budget",
    "chat_template_kwargs",
    "extra_body",
    "media_tags",
)


class BaseLangChainNVCF(BaseNVCF, BaseLanguageModel[Any]):
    """The base of both models."""

    keeps_raw: ClassVar[bool] = False

    def __init__(self, **data: Any) -> None:
        with translating_errors:
            super().__init__(**data)

    @override
    def model_post_init(self, context: Any, /) -> None:
        # Both bases have something to do here, and neither calls the other.
        super().model_post_init(context)
        BaseLanguageModel.model_post_init(self, context)

    @model_validator(mode="after")
    def _set_nvcf_version(self) -> Self:
        self._add_version(_DISTRIBUTION, _VERSION)
        return self

    @override
    def available_models(self) -> list[str]:
        """The ids of the models that the service lists, sorted. Listed does not mean entitled.

        Raises:
            NVCFError: the request failed.
        """
        with translating_errors:
            return super().available_models()

    @override
    async def aavailable_models(self) -> list[str]:
        """Async version of `available_models`."""
        with translating_errors:
            return await super().aavailable_models()

    @override
    def __getstate__(self) -> dict[Any, Any]:
        with translating_errors:
            return super().__getstate__()

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        """Return whether langchain-core's `dumpd` and `load` work. They leave the key out."""
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        """The keyword that is secret, and the environment variable that it is loaded from."""
        return {"api_key": "NVIDIA_API_KEY"}

    @property
    @override
    def lc_attributes(self) -> dict[str, Any]:
        """Attributes as langchain-core's dumps show them: without a password, and as plain values."""
        return {
            "proxy": self.shown_proxy(self.proxy),
            "timeout": self.shown_timeout(self.timeout),
            "verify": self.shown_verify(self.verify),
        }

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _IDENTIFYING}
        # langchain-core writes the call's own `stop` over that name.
        values["stop_sequences"] = self.stop
        values["tools_as_text"] = self.tools_as_text or None
        values |= self.call_keywords or {}
        return {name: value for name, value in values.items() if value is not None}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        own_stop = [self.stop] if isinstance(self.stop, str) else self.stop
        params = super()._get_ls_params(stop=stop or own_stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _requests_several_answers(self, given: Mapping[str, Any]) -> bool:
        """Return whether a call with these keywords asks for more than one answer (`n`)."""
        count = given.get("n")
        if count is None:
            count = (self.call_keywords or {}).get("n")
        return isinstance(count, int) and count > 1

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """The ids of a text's tokens, by `custom_get_token_ids`.

        Raises:
            NotImplementedError: there is none. The models' tokenizers are not ours to download.
        """
        if self.custom_get_token_ids is None:
            raise NotImplementedError("give custom_get_token_ids: no tokenizer is downloaded")
        return self.custom_get_token_ids(text)

    @override
    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text: with `custom_get_token_ids` if given, else estimated."""
        return (
            count_text(text)
            if self.custom_get_token_ids is None
            else len(self.custom_get_token_ids(text))
        )

    @override
    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Tool] | None = None
    ) -> int:
        """About how many tokens a conversation has. Images, audio and video count as such.

        Raises:
            InvalidRequestError: a message cannot be sent.
        """
        with translating_errors:
            return count_messages(messages, openai_tools(tools or ()), self.get_num_tokens)
