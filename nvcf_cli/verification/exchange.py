"""Requests exactly as a probe words them, and all that came back. The adapters' own checks have no part in it."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import httpx

from nvcf_cli.output import CommandError

__all__ = ["Connection", "ProbeObservation"]

JSONObject = dict[str, Any]

_TRIES = 5
"""Requests for one answer where the service is busy."""

_LONGEST_WAIT = 60.0
"""Seconds between two attempts."""

_MOST_POLLS = 60

_SHORTEST_SECRET = 8
"""Characters from which on a key is kept out of what is shown."""

_BUSY = (429, 502, 503, 504)


@dataclass
class ProbeObservation:
    """What came back for one request.

    Attributes:
        status: of the last response; 0 where there was none.
        body: the parsed JSON body, an empty dict where it is not a JSON object.
        text: the body as text; of a stream, all of its events.
        events: the parsed events of a stream.
        done: whether a stream ended with `[DONE]`.
        polls: requests that were made after a 202.
        problem: why there was no response.
    """

    status: int = 0
    body: JSONObject = field(default_factory=dict[str, Any])
    text: str = ""
    events: list[JSONObject] = field(default_factory=list[JSONObject])
    done: bool = False
    polls: int = 0
    problem: str = ""

    @property
    def message(self) -> JSONObject:
        """The message of a whole answer, or that to which the events of a stream add up."""
        if self.events:
            return _gathered(self.events)
        choices = self.body.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else {}
        message = first.get("message") if isinstance(first, dict) else None
        return message if isinstance(message, dict) else {}

    @property
    def content(self) -> str:
        """The text of the answer."""
        return str(self.message.get("content") or "")

    @property
    def reasoning(self) -> str:
        """The reasoning of the answer, whatever its field is called."""
        return str(self.message.get("reasoning_content") or self.message.get("reasoning") or "")

    @property
    def usage(self) -> JSONObject:
        """The usage of the answer; of a stream, the last one."""
        told = [event.get("usage") for event in (self.events or [self.body])]
        return next((usage for usage in reversed(told) if isinstance(usage, dict)), {})


class Connection:
    """Asks one service.

    Args:
        base_url: root that ends in `/v1`.
        nvcf_url: root of the asset API; None where there is none.
        key: the API key; empty for a service that needs none.
        sleep: waits so many seconds.

    Raises:
        CommandError: the environment names certificates or a proxy that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        nvcf_url: str | None,
        key: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url, self.nvcf_url = base_url, nvcf_url
        self._sleep = sleep
        self._key = key
        self._authorization = {"authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(timeout=httpx.Timeout(120.0, connect=20.0))
        except (OSError, ValueError, ImportError) as error:  # Of certificates, or of a proxy.
            raise CommandError(
                f"connections cannot be made: {error}; `nvcf doctor` finds out why"
            ) from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> ProbeObservation:
        """Ask for an answer, and follow it through 202 and redirects.

        Args:
            path: below the base url.
            body: sent as it is.
            headers: further headers.
        """
        accept = "text/event-stream" if body.get("stream") else "application/json"
        sent = {**self._authorization, "accept": accept, **(headers or {})}
        try:
            response = self._patiently("POST", f"{self.base_url}/{path}", json=body, headers=sent)
            polls = 0
            while response.status_code == 202 and polls < _MOST_POLLS:
                polls += 1
                response = self._poll(response)
            if response.status_code == 302:
                response = self._http.get(response.headers["location"])
        except (httpx.HTTPError, KeyError) as error:
            return ProbeObservation(problem=f"{type(error).__name__}: {error}")
        return _observe(response, polls, self._key)

    def upload(self, data: bytes, media_type: str) -> str:
        """Create and put an asset, and return its id.

        Raises:
            httpx.HTTPError: the service did not take it.
            KeyError: what it said lacks an id or a url.
        """
        description = "nvcf verify"
        created = self._http.post(
            f"{self.nvcf_url}/assets",
            json={"contentType": media_type, "description": description},
            headers=self._authorization,
        )
        asset = created.raise_for_status().json()
        self._http.put(
            asset["uploadUrl"],
            content=data,
            headers={
                "content-type": media_type,
                "x-amz-meta-nvcf-asset-description": description,
            },
        ).raise_for_status()
        return str(asset["assetId"])

    def delete(self, asset_id: str) -> None:
        """Delete an asset.

        Raises:
            httpx.HTTPError: the service did not do it.
        """
        url = f"{self.nvcf_url}/assets/{asset_id}"
        self._http.delete(url, headers=self._authorization).raise_for_status()

    def _patiently(self, method: str, url: str, **request: Any) -> httpx.Response:
        """A request that is made again while the service is busy."""
        for number in range(_TRIES):
            response = self._http.request(method, url, **request)
            if response.status_code not in _BUSY or number == _TRIES - 1:
                break
            self._sleep(_pause(response, number))
        return response

    def _poll(self, accepted: httpx.Response) -> httpx.Response:
        request_id = accepted.headers["nvcf-reqid"]
        root = f"{self.nvcf_url}/pexec" if self.nvcf_url else self.base_url
        return self._http.get(
            f"{root}/status/{request_id}",
            headers={**self._authorization, "nvcf-poll-seconds": "10"},
        )


def _pause(response: httpx.Response, number: int) -> float:
    asked = response.headers.get("retry-after", "")
    wanted = float(asked) if asked.isdecimal() else 2.0 ** (number + 1)
    return min(wanted, _LONGEST_WAIT)


def _observe(response: httpx.Response, polls: int, key: str) -> ProbeObservation:
    text = _text(response)
    if len(key) >= _SHORTEST_SECRET:  # A service may repeat the key in an error.
        text = text.replace(key, "[key]")
    observed = ProbeObservation(status=response.status_code, text=text, polls=polls)
    if "data:" in observed.text and not observed.text.lstrip().startswith("{"):
        _read_events(observed)
    else:
        observed.body = _object(observed.text)
    return observed


def _text(response: httpx.Response) -> str:
    """The body; of a zip, as large results come in, the body inside."""
    if response.content[:2] != b"PK":
        return response.text
    try:
        with zipfile.ZipFile(BytesIO(response.content)) as packed:
            names = [name for name in packed.namelist() if name.endswith(".response")]
            return packed.read(names[0]).decode(errors="replace") if names else ""
    except zipfile.BadZipFile:
        return ""


def _read_events(observed: ProbeObservation) -> None:
    for line in observed.text.splitlines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            observed.done = True
        elif data:
            observed.events.append(_object(data))


def _object(text: str) -> JSONObject:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _gathered(events: list[JSONObject]) -> JSONObject:
    """The message that the deltas of a stream add up to."""
    message: JSONObject = {}
    calls: dict[Any, JSONObject] = {}
    for delta in _deltas(events):
        for name in ("content", "reasoning_content", "reasoning"):
            if isinstance(delta.get(name), str):
                message[name] = message.get(name, "") + delta[name]
        for piece in delta.get("tool_calls") or ():
            _add_call(calls, piece)
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def _deltas(events: list[JSONObject]) -> list[JSONObject]:
    choices = [choice for event in events for choice in event.get("choices") or ()]
    deltas = [choice.get("delta") for choice in choices if isinstance(choice, dict)]
    return [delta for delta in deltas if isinstance(delta, dict)]


def _add_call(calls: dict[Any, JSONObject], piece: object) -> None:
    if not isinstance(piece, dict):
        return
    call = calls.setdefault(piece.get("index"), {"id": "", "function": {"arguments": ""}})
    function = piece.get("function") or {}
    call["id"] = call["id"] or piece.get("id") or ""
    call["function"]["name"] = call["function"].get("name") or function.get("name")
    call["function"]["arguments"] += str(function.get("arguments") or "")
