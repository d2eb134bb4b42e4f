"""What the emulator remembers: what arrived, keys, functions, assets, and how it was set up."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nvcf_emulator.media.assets import Assets
from nvcf_emulator.script.script import Script
from nvcf_emulator.script.steps import Place
from nvcf_emulator.specs.models import Dialect

__all__ = ["API_KEY", "Function", "Received", "State"]

API_KEY = "nvapi-emulator-0123456789abcdefghijklmnopqrstuvwxyz"
"""The key that the emulator accepts where none is chosen."""

_MINUTE = 60.0


@dataclass(frozen=True)
class Received:
    """One request that arrived.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        query: The query, as it came.
        headers: The headers, names in lower case; the last of a repeated one.
        body: The parsed JSON body; None where there is none.
        raw: The bytes of the body; empty for the bytes of an asset.
        length: Size of the body in bytes.
        sha256: Hash in hex of the bytes of an asset; empty otherwise.
        place: What it asked for: `ask`, `create`, `put`, `poll`, `delete`, `get`, `models`,
            `embeddings`, `ranking`, or `any` for what there is no route for.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any = None
    raw: bytes = b""
    length: int = 0
    sha256: str = ""
    place: Place = "any"


@dataclass(frozen=True)
class Function:
    """A function that is called by its id.

    Attributes:
        model: The model behind it; None for the one that the body names.
        version: The only version there is; None for any.
    """

    model: str | None = None
    version: str | None = None


@dataclass
class _Remembered:
    requests: list[Received] = field(default_factory=list)
    unexpected: list[Received] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    asked_at: dict[str, deque[float]] = field(default_factory=dict)


class State:
    """What the endpoints share.

    Args:
        script: What a test scripted.
        api_key: The key that it accepts.
        models: Further ids of models, served without the rules of any documentation.
        strict: Whether a request for an answer that nothing was scripted for is an error.

    Attributes:
        dialect: Rules besides the models' documentation.
        requests_per_minute: Beyond this many requests for an answer in a minute, an account is
            answered 429; None for no limit.
        assets: The assets of all accounts.
        on_request: Is called with each request that arrives; None for nothing.
    """

    def __init__(
        self, script: Script, api_key: str, models: tuple[str, ...] = (), strict: bool = False
    ) -> None:
        self.script = script
        self.api_key = api_key
        self.models = frozenset(models)
        self.strict = strict
        self.assets = Assets()
        self.dialect = Dialect()
        self.requests_per_minute: int | None = None
        self.on_request: Callable[[Received], None] | None = None
        self._remembered = _Remembered()
        self._accounts: dict[str, str] = {}
        self._producing = 0
        self.add_key(api_key)

    def reset(self) -> None:
        """Forget everything: script, arrivals, assets, functions, further keys and switches."""
        self.script.reset()
        self.dialect = Dialect()
        self.requests_per_minute = None
        self._remembered = _Remembered()
        self._accounts = {}
        self.add_key(self.api_key)
        self.assets.forget()

    @property
    def requests(self) -> list[Received]:
        """What arrived, in order; a new list."""
        with self.script.queue.changed:
            return list(self._remembered.requests)

    @property
    def chats(self) -> list[Received]:
        """The requests for an answer among what arrived."""
        return [request for request in self.requests if request.place == "ask"]

    @property
    def unexpected(self) -> list[Received]:
        """The requests that nothing was scripted for, where it is strict; a new list."""
        with self.script.queue.changed:
            return list(self._remembered.unexpected)

    @property
    def streaming(self) -> int:
        """How many responses are being produced."""
        return self._producing

    def clear(self) -> None:
        """Forget what arrived, and the steps that were scripted."""
        self.script.forget_replies()
        with self.script.queue.changed:
            self._remembered.requests.clear()
            self._remembered.unexpected.clear()
            self._remembered.asked_at.clear()

    def add_key(self, key: str) -> None:
        """Accept another key, which belongs to an account of its own."""
        self._accounts[key] = uuid.uuid5(uuid.NAMESPACE_OID, key).hex

    def account(self, key: str) -> str | None:
        """Return the account of a key, None for a wrong one."""
        return self._accounts.get(key)

    def add_function(
        self, function_id: str, model: str | None = None, version: str | None = None
    ) -> None:
        """Deploy a function.

        Args:
            function_id: Its UUID.
            model: The model whose rules it has; None for those of the model that the body
                names.
            version: Its only version; None to take any.
        """
        self._remembered.functions[function_id] = Function(model, version)

    def function(self, function_id: str, version: str | None) -> Function | None:
        """Return a deployed function, None if there is none of that id and version."""
        found = self._remembered.functions.get(function_id)
        if found is None or (version and found.version and version != found.version):
            return None
        return found

    def expire_assets(self, asset_id: str | None = None) -> None:
        """Let assets expire, as they do after a day: one, or all."""
        self.assets.expire(asset_id)
        self.notify()

    def note(self, request: Received) -> None:
        """Remember a request that arrived."""
        with self.script.queue.changed:
            self._remembered.requests.append(request)
            self.script.queue.changed.notify_all()
        if self.on_request:
            self.on_request(request)

    def note_unexpected(self, request: Received) -> None:
        """Remember a request that nothing was scripted for."""
        with self.script.queue.changed:
            self._remembered.unexpected.append(request)
            self.script.queue.changed.notify_all()

    def forget_unexpected(self) -> None:
        """Forget the requests that nothing was scripted for; they stay among what arrived."""
        with self.script.queue.changed:
            self._remembered.unexpected.clear()

    def within_rate(self, account: str) -> bool:
        """Count a request for an answer; tell whether it is still within the minute's limit."""
        limit = self.requests_per_minute
        if limit is None:
            return True
        now = time.monotonic()
        times = self._remembered.asked_at.setdefault(account, deque())
        while times and times[0] <= now - _MINUTE:
            times.popleft()
        if len(times) >= limit:
            return False
        times.append(now)
        return True

    @contextmanager
    def producing(self) -> Iterator[None]:
        """Count a response among those being produced."""
        self._producing += 1
        self.notify()
        try:
            yield
        finally:
            self._producing -= 1
            self.notify()

    def notify(self) -> None:
        """Wake those who wait in `wait_until`."""
        with self.script.queue.changed:
            self.script.queue.changed.notify_all()

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> bool:
        """Wait until `predicate` is true; it is asked again whenever something happens here.

        Args:
            predicate: What to wait for.
            timeout: Seconds to wait at most.

        Returns:
            Whether it came true.
        """
        deadline = time.monotonic() + timeout
        while not predicate():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self.script.queue.changed:
                # Short, since the predicate may look at things that happen elsewhere.
                self.script.queue.changed.wait(min(left, 0.02))
        return True
