"""The API key, taken out of errors that the service made it part of: in any spelling, and nowhere else."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Response

__all__ = ["clear_locals", "guard_logs", "redact", "redact_response", "redact_text"]

_SHORTEST_SECRET = 8
"""A key with fewer characters is a placeholder of a local server, and may be an ordinary word."""

_SHORTEST_BEGINNING, _STEP = 12, 8
"""Characters of a key from which on its beginning is masked, too, and by how many that goes on."""

_MASK = "***"

_CLEARED = ("nvcf_core", "httpcore", "h11", "httpx")


def redact(error: BaseException, key: SecretStr) -> None:
    """Take a key that the service echoed out of an error: its text, its attributes, and all that led to it."""
    if not _is_secret(key):
        return
    for current in _chain(error):
        current.args = _redacted(current.args, key)
        if isinstance(current, NVCFError) or hasattr(current, "__notes__"):
            for name, value in list(vars(current).items()):
                setattr(current, name, _redacted(value, key))


def clear_locals(error: BaseException) -> None:
    """Clear the locals of the frames that an error and its causes came through: of this package, and of the HTTP
    libraries under it. What the service sent is in them, and tracers send locals on.

    To be called when those frames are done with: clearing the frame of a generator that is to go on would end it.
    """
    for current in _chain(error):
        for frame, _ in traceback.walk_tb(current.__traceback__):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in _CLEARED:
                with contextlib.suppress(RuntimeError):  # It is running still.
                    frame.clear()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that led to it."""
    waiting, seen = [error], {id(error)}
    while waiting:
        current = waiting.pop()
        yield current
        for cause in (current.__cause__, current.__context__):
            if cause is not None and id(cause) not in seen:
                seen.add(id(cause))
                waiting.append(cause)


def redact_response(response: Response, key: SecretStr) -> Response:
    """A response that is an error, without a key that the service echoed in it."""
    if not _is_secret(key):
        return response
    redacted: Response = _redacted(response, key)
    return redacted


def redact_text(text: str, key: SecretStr) -> str:
    """A text without the key."""
    return _pattern(key).sub(_MASK, text) if _is_secret(key) else text


def guard_logs(key: SecretStr) -> None:
    """Keep a key out of what the HTTP libraries log: heads of responses, in which a service may have echoed it."""
    if key not in _guarded and _is_secret(key):
        _guarded[key] = None
        while len(_guarded) > _MOST_GUARDED:
            _guarded.pop(next(iter(_guarded)), None)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_mask_keys)  # Once: a logger knows its filters.


def _mask_keys(record: logging.LogRecord) -> bool:
    """A filter that lets every record through, without the keys that this process has sent."""
    said = record.getMessage()
    masked = said
    for key in list(_guarded):
        masked = _pattern(key).sub(_MASK, masked)
    if masked != said:
        record.msg, record.args = masked, ()
    return True


_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")
"""Filters hold for the records of a logger itself, and not for those of the loggers below it."""

_MOST_GUARDED = 16

_guarded: dict[SecretStr, None] = {}
"""The keys that were sent, the oldest first."""


def _is_secret(key: SecretStr) -> bool:
    return len(key) >= _SHORTEST_SECRET


def _redacted(value: Any, key: SecretStr) -> Any:
    """A copy of a value without the key, however deep that lies in it."""
    if isinstance(value, str):
        return _pattern(key).sub(_MASK, value)
    if isinstance(value, bytes):
        return _bytes_pattern(key).sub(_MASK.encode(), value)
    if isinstance(value, dict):
        return {_redacted(name, key): _redacted(each, key) for name, each in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_redacted(each, key) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(
            value, **{name: _redacted(getattr(value, name), key) for name in fields}
        )
    return value


@functools.lru_cache(maxsize=16)
def _pattern(key: SecretStr) -> re.Pattern[str]:
    return re.compile("|".join(_spellings(key.get_secret_value())))


@functools.lru_cache(maxsize=16)
def _bytes_pattern(key: SecretStr) -> re.Pattern[bytes]:
    return re.compile("|".join(_spellings(key.get_secret_value())).encode("ascii"))


def _spellings(key: str) -> Iterator[str]:
    r"""Regular expressions for the ways in which a text can hold a key.

    Letter by letter: as it is, in capitals or small letters (as hosts are), escaped as in JSON (\u006e, also in JSON
    within JSON), percent-encoded (%6E, also twice); all of it, or its beginning, where a text was cut in it. And as
    base64, at each of the three places at which it can begin in what was encoded.
    """
    letters = [_letter(key[0], first=True), *map(_letter, key[1:])]
    step = max(_STEP, len(letters) // 16)  # Expressions must not be nested too deeply.
    rest = ""
    for start in reversed(range(_SHORTEST_BEGINNING, len(letters), step)):
        rest = f"(?:{''.join(letters[start : start + step])}{rest})?"
    beginning = "".join(letters[:_SHORTEST_BEGINNING])
    yield f"(?i:{''.join(letters)}|{beginning}{rest})" if rest else f"(?i:{beginning})"
    data = key.encode()
    for skipped in range(3):
        encoded = base64.b64encode(bytes(skipped) + data).decode().rstrip("=")
        # The first letters also stand for what comes before the key, and the last for what comes after it.
        first = (0, 2, 3)[skipped]
        last = len(encoded) - (1 if (skipped + len(data)) % 3 else 0)
        core = encoded[first:last]
        yield re.escape(core).replace(r"\+", "[+-]").replace("/", "[/_]")


def _letter(letter: str, first: bool = False) -> str:
    code = f"{ord(letter):02x}"
    either = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in code)
    plain = rf"\\*{re.escape(letter)}" if letter in '/"\\' and not first else re.escape(letter)
    # A run of backslashes is tried from its beginning alone: from each on, it would take the square of the time.
    run = r"(?<!\\)\\++" if first else r"\\++"
    return rf"(?:{plain}|{run}u00{either}|%(?:25)*{either})"
