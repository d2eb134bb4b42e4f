"""Keywords as users write them: under other names, misspelt, or fields of the body."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from nvcf_core.errors import InvalidRequestError

__all__ = ["ALIASES", "check_spelling", "resolve_aliases"]

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "nvidia_api_key": "api_key",
    "api_base": "base_url",
    "request_timeout": "timeout",
    "max_completion_tokens": "max_tokens",
}
"""Names that other clients give to keywords, and ours for them."""

_BODY_ALIASES = ("model_kwargs", "additional_kwargs")
"""Names that other clients give to a dict of body fields: they are merged below `extra_body`."""

_ALL_ALIASES = frozenset((*ALIASES, *_BODY_ALIASES))

_OPENAI_FIELDS = """
    audio function_call functions logit_bias logprobs messages metadata modalities n parallel_tool_calls
    prediction prompt_cache_key prompt_cache_retention response_format safety_identifier service_tier store
    stream_options tool_choice tools top_logprobs user verbosity web_search_options
"""

_SERVER_FIELDS = """
    add_generation_prompt add_special_tokens allowed_token_ids bad_words best_of cache_prompt cache_salt
    chat_template continue_final_message custom_logit_processor documents dry_allowed_length dry_base
    dry_multiplier dry_penalty_last_n dry_sequence_breakers dynatemp_exponent dynatemp_range ebnf echo
    grammar  guided_choice guided_decoding_backend guided_grammar guided_json guided_regex
    guided_whitespace_pattern  id_slot ignore_eos include_reasoning include_stop_str_in_output json_schema
    kv_transfer_params  length_penalty logits_processors lora_path min_keep min_new_tokens min_p min_tokens
    mirostat mirostat_eta  mirostat_tau mm_processor_kwargs n_keep n_predict n_probs no_stop_trim nvext
    priority prompt_logprobs  reasoning regex repeat_last_n repeat_penalty repetition_penalty request_id
    return_token_ids  return_tokens_as_token_ids samplers separate_reasoning session_params
    skip_special_tokens  spaces_between_special_tokens stop_regex stop_token_ids stream_reasoning
    structured_outputs tfs_z thinking  thinking_budget thinking_token_budget top_a top_k top_n_sigma
    truncate_prompt_tokens typical_p  use_beam_search vllm_xargs xtc_probability xtc_threshold
"""  # NIM, vLLM, SGLang, llama.cpp and TGI.

_BODY_FIELDS = frozenset((_OPENAI_FIELDS + _SERVER_FIELDS).split())
"""Fields of bodies that servers are known to take: never a misspelling, however near to one of our keywords."""

_ENDINGS: Mapping[str, str] = {
    "apikey": "api_key",
    "apitoken": "api_key",
    "apibase": "base_url",
    "baseurl": "base_url",
    "headers": "default_headers",
}
"""How keywords of other clients end (`openai_api_key`, `extra_headers`) that say what no body has: a key in one would
be sent, and shown by every dump."""

_SHORT = 6
"""Letters below which one changed letter makes another word: `top_k` is not a misspelt `top_p`."""


def resolve_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords under our own names. None is "not set".

    Raises:
        InvalidRequestError: a keyword is given under two names, with two values; or a dict of body fields is not one.
    """
    found = {name: value for name, value in given.items() if value is not None}
    if _ALL_ALIASES.isdisjoint(found):
        return found
    for alias, name in ALIASES.items():
        if alias not in found:
            continue
        value = found.pop(alias)
        if name in found and _plain(found[name]) != _plain(value):
            raise InvalidRequestError(
                f"{alias} is another name for {name}, and both are given, with different values",
                field=alias,
            )
        found.setdefault(name, value)
    below: dict[str, Any] = {}
    for alias in _BODY_ALIASES:
        fields = found.pop(alias, None)
        if fields is not None and not isinstance(fields, Mapping):
            raise InvalidRequestError(f"{alias} must be a dict of body fields", field=alias)
        below |= fields or {}
    if below:
        extra_body = found.get("extra_body", {})
        # A value that is not a dict is rejected by the type check.
        found["extra_body"] = (
            {**below, **extra_body} if isinstance(extra_body, Mapping) else extra_body
        )
    return found


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def check_spelling(name: str, keywords: frozenset[str]) -> None:
    """Reject a misspelt keyword; accept a field of the body.

    Args:
        name: a keyword that is not one of ours.
        keywords: those that are.

    Raises:
        InvalidRequestError: it is nearly one of ours. The message names that one.
    """
    if name not in _BODY_FIELDS and (nearest := _nearest(name, keywords)):
        raise InvalidRequestError(
            f"{name} is not a keyword: did you mean {nearest}? (extra_body sends any field as it is)",
            field=name,
        )


@functools.lru_cache(maxsize=1024)
def _nearest(name: str, keywords: frozenset[str]) -> str | None:
    """The keyword that a name misspells, None where it is a word of its own."""
    known = {_letters(keyword): keyword for keyword in sorted(keywords | _ALL_ALIASES)}
    wanted = _letters(name)
    for match in difflib.get_close_matches(wanted, known, n=3, cutoff=0.77):
        changed = len(wanted) == len(match) and sorted(wanted) != sorted(match)
        if not (changed and len(match) < _SHORT):
            return known[match]
    return next((_ENDINGS[ending] for ending in _ENDINGS if wanted.endswith(ending)), None)


def _letters(name: str) -> str:
    """A name without what people vary: `maxTokens` and `max-tokens` are `max_tokens`."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
