"""Large results: the redirect, and the zip at its end."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import replace

from nvcf_core.config.endpoints import is_safe_redirect
from nvcf_core.errors import InvalidResponseError
from nvcf_core.exchange import Flow, Request, Response
from nvcf_core.response.json_body import LONGEST_ANSWER

from .chat_request import ChatRequest
from .retry import send_with_retries

__all__ = ["download_result", "extract_answer"]

_MOST_ENTRIES = 100
"""Files that the zip of a result may hold."""

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

_DAMAGED_ZIP = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, RuntimeError, EOFError, OSError,
)  # fmt: skip
"""What the zip reader raises for bytes that are none, or damaged."""


def download_result(call: ChatRequest, response: Response) -> Flow[Response]:
    """Follow the redirect of a large result, without the key, and take the answer out of the zip."""
    url = response.headers["location"]
    if not is_safe_redirect(url, call.url):
        raise InvalidResponseError(
            "the service redirected to an url that may not be followed", body=url.encode()[:100]
        )
    fetched: Response = yield from send_with_retries(
        Request("fetch", "GET", url, authorized=False), call.retry
    )
    request_id = response.headers.get("nvcf-reqid")
    body = extract_answer(fetched.body, request_id)
    starts_as_events = body.lstrip()[:6].startswith((b"data:", b"event:", b":", b"id:"))
    kind = "text/event-stream" if starts_as_events else "application/json"
    headers = {"content-type": kind} | ({"nvcf-reqid": request_id} if request_id else {})
    return replace(fetched, status=200, headers=headers, body=body)


def extract_answer(
    data: bytes, request_id: str | None, longest_answer: int = LONGEST_ANSWER
) -> bytes:
    """The one `.response` of a result's zip, within bounds of entries, size and ratio.

    Args:
        data: the zip.
        request_id: named in errors.
        longest_answer: bytes that the answer may have, unpacked.

    Raises:
        InvalidResponseError: it is not a zip with one answer within these bounds.
    """
    if data.count(b"PK\x01\x02") > _MOST_ENTRIES:
        # Counted before the reader makes an object of each.
        raise InvalidResponseError(
            "the result's zip has too many entries", body=b"", request_id=request_id
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [
                entry for entry in archive.infolist() if entry.filename.endswith(".response")
            ]
            # The other methods take as much memory as a few bytes ask them to.
            usual = {entry.compress_type for entry in entries} <= _METHODS
            if len(entries) != 1 or not usual:
                raise InvalidResponseError(
                    "the result's zip does not hold one answer", body=b"", request_id=request_id
                )
            size = entries[0].file_size
            if size > longest_answer or size > 1_000 * max(entries[0].compress_size, 1_024):
                raise InvalidResponseError(
                    "the result's zip is too large", body=b"", request_id=request_id
                )
            with archive.open(entries[0]) as file:
                return file.read(size + 1)
    except _DAMAGED_ZIP as error:
        raise InvalidResponseError(
            f"the result is no zip: {error}", body=data, request_id=request_id
        ) from None
