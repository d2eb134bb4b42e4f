"""Keys and chosen texts, taken out of what a recording holds: in any spelling."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any

__all__ = ["BASE64", "REDACTED", "SECRET_HEADERS", "Redaction"]

REDACTED = "[redacted]"

BASE64 = "base64"
"""The only key of an object that stands for bytes."""

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie", "set-cookie"}
)
"""Headers that a recording leaves out, names in lower case."""

_SHORTEST_IN_BASE64 = 8
"""Characters of a secret from which on its base64 is one, too: of less it may be that of anything."""

_ANY_KEY = r"nvapi-[A-Za-z0-9_-]{16,}"
"""What looks like a key of NVIDIA's, whoever sent it."""

_ZIP = b"PK\x03\x04"


class Redaction:
    """Takes secrets out of texts, bytes and JSON values.

    Args:
        secrets: Keys, and other texts that are not to be written.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        found = ["".join(map(_character_pattern, text)) for text in secrets if text]
        for text in secrets:
            if len(text) >= _SHORTEST_IN_BASE64:
                found += _base64_patterns(text.encode())
        self._pattern = re.compile("|".join([*sorted(found, key=len, reverse=True), _ANY_KEY]))

    def text(self, value: str) -> str:
        """Return a text without secrets."""
        return self._pattern.sub(REDACTED, value)

    def data(self, value: bytes) -> bytes:
        """Return bytes without secrets, those of a zip's members included; the same if it holds none."""
        if value.startswith(_ZIP):
            return self._zip(value)
        # What is not UTF-8 stays as it is.
        return self.text(value.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def json(self, value: Any) -> Any:
        """Return a JSON value without secrets, in names as well, and without secret headers."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict) and value.keys() == {BASE64}:
            return {BASE64: self._base64(value[BASE64])}
        if isinstance(value, dict):
            return {
                self.text(str(name)): (
                    REDACTED if str(name).lower() in SECRET_HEADERS else self.json(item)
                )
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.json(item) for item in value]
        return value

    def _base64(self, value: Any) -> Any:
        """Return bytes in base64 without secrets: a short one may stand in the base64 by chance."""
        try:
            data = base64.b64decode(value, validate=True)
        except (TypeError, ValueError):
            return self.json(value)
        return base64.b64encode(self.data(data)).decode()

    def _zip(self, value: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(value)) as archive:
                members = [(info, archive.read(info)) for info in archive.infolist()]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            return value  # Not one that anybody can read.
        cleaned = [(info, self.data(data)) for info, data in members]
        if cleaned == members:
            return value
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for info, data in cleaned:
                archive.writestr(info.filename, data)
        return packed.getvalue()


def _character_pattern(character: str) -> str:
    """Return what finds a character: as it is, after a backslash, as `%2F` and as `\\u002f`."""
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    utf16 = character.encode("utf-16-be").hex()
    escaped = "".join(rf"\\u{utf16[place : place + 4]}" for place in range(0, len(utf16), 4))
    forms = [rf"\\?{re.escape(character)}", f"(?i:{percent})", f"(?i:{escaped})"]
    if character == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"


def _base64_patterns(data: bytes) -> list[str]:
    """Return what finds bytes in base64, of either alphabet, at each place where they can begin."""
    patterns = []
    for skipped in range(3):
        encoded = base64.b64encode(bytes(skipped) + data).decode()
        # Without the characters in which bits of what stands before or behind take part.
        ends_evenly = (skipped + len(data)) % 3 == 0
        core = encoded.rstrip("=")[(0, 2, 3)[skipped] :]
        core = core if ends_evenly else core[:-1]
        either = re.escape(core).replace(r"\+", "[+-]").replace("/", "[/_]")
        # At the very end of a text, the last character and the padding are the secret's, too.
        patterns.append(either if ends_evenly else rf"{either}[\w+/-]?=*")
    return patterns
