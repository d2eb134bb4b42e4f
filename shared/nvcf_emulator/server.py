"""The emulator as a test holds it: a running server, its script, and what it remembers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from nvcf_emulator.app import BASE, NVCF, build
from nvcf_emulator.endpoints.recorder import Recorder
from nvcf_emulator.endpoints.replayer import Replayer
from nvcf_emulator.http.background_server import BackgroundServer
from nvcf_emulator.media.assets import AssetState
from nvcf_emulator.script.chat_request import ChatRequest
from nvcf_emulator.script.script import Script
from nvcf_emulator.script.script_file import load_script
from nvcf_emulator.script.step_queue import Pending
from nvcf_emulator.state import API_KEY, Received, State

__all__ = ["Emulator"]

T = TypeVar("T")


class _Forwarded(Generic[T]):
    """An attribute of one of the emulator's members, under its own name.

    Args:
        member: Path of the member, such as `state.dialect`.
    """

    def __init__(self, member: str) -> None:
        self._member = member.split(".")
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, emulator: None, owner: type) -> _Forwarded[T]: ...

    @overload
    def __get__(self, emulator: Emulator, owner: type) -> T: ...

    def __get__(self, emulator: Emulator | None, owner: type) -> T | _Forwarded[T]:
        if emulator is None:
            return self
        found: T = getattr(self._holder(emulator), self._name)
        return found

    def __set__(self, emulator: Emulator, value: T) -> None:
        setattr(self._holder(emulator), self._name, value)

    def _holder(self, emulator: Emulator) -> Any:
        holder: Any = emulator
        for name in self._member:
            holder = getattr(holder, name)
        return holder


class Emulator:
    """A local stand-in for the service, over real HTTP, strict about what models allow.

    It is not a model: it answers what a test scripted, or by saying what it understood. Usable
    as a context manager; everything on it may be called from any thread. Leaving the `with`
    block raises again what a scripted function raised, and `AssertionError` where a scripted
    call of a tool did not fit its request or, if `strict`, where a request came that nothing was
    scripted for, or something that was scripted is left over.

    Args:
        port: TCP port; 0 for a free one.
        host: Address to listen on.
        api_key: The key that it accepts; `add_key` adds others.
        models: Further ids of models, served without the rules of any documentation.
        hash_uploads: Whether what is put at signed urls is hashed.
        strict: Whether a request for an answer that nothing was scripted for is an error, with
            status 500, instead of being answered by the emulator itself.

    Attributes:
        script: What was scripted.
        state: What it remembers.
        require_reasoning, refuse_empty_content, forced_tools_refuse_thinking, alternating,
            head_first: Rules of some servers besides the models' documentation; see `Dialect`.

    Raises:
        OSError: At `start`, if the port is taken.
    """

    # What is misspelt on the left of `=` is an error, not an attribute of its own.
    __slots__ = (
        "__weakref__",
        "_server",
        "accept",
        "add_function",
        "add_key",
        "assert_all_used",
        "clear",
        "error_in_stream",
        "expire_assets",
        "fail",
        "fault",
        "forget_replies",
        "raw",
        "reply",
        "script",
        "state",
        "wait_until",
    )

    shape = _Forwarded[str]("script")
    pending = _Forwarded[list[Pending]]("script")
    api_key = _Forwarded[str]("state")
    models = _Forwarded[frozenset[str]]("state")
    strict = _Forwarded[bool]("state")
    requests = _Forwarded[list[Received]]("state")
    chats = _Forwarded[list[Received]]("state")
    unexpected = _Forwarded[list[Received]]("state")
    streaming = _Forwarded[int]("state")
    requests_per_minute = _Forwarded[int | None]("state")
    on_request = _Forwarded[Callable[[Received], None] | None]("state")
    require_reasoning = _Forwarded[bool]("state.dialect")
    refuse_empty_content = _Forwarded[bool]("state.dialect")
    forced_tools_refuse_thinking = _Forwarded[bool]("state.dialect")
    alternating = _Forwarded[bool]("state.dialect")
    head_first = _Forwarded[bool]("state.dialect")

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        api_key: str = API_KEY,
        models: Sequence[str] = (),
        hash_uploads: bool = True,
        strict: bool = False,
    ) -> None:
        self.script = Script()
        self.state = State(self.script, api_key, tuple(models), strict)
        self._server = BackgroundServer(
            host, port, lambda: build(self.state, hash_uploads), self.state.notify
        )
        self.reply = self.script.reply
        self.fail = self.script.fail
        self.fault = self.script.fault
        self.error_in_stream = self.script.error_in_stream
        self.accept = self.script.accept
        self.raw = self.script.raw
        self.forget_replies = self.script.forget_replies
        self.assert_all_used = self.script.assert_all_used
        self.clear = self.state.clear
        self.add_key = self.state.add_key
        self.add_function = self.state.add_function
        self.expire_assets = self.state.expire_assets
        self.wait_until = self.state.wait_until

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self.stop()
        if error is None or isinstance(error, Exception):
            self._raise_findings(error)

    @property
    def root(self) -> str:
        """Its url, without a path.

        Raises:
            RuntimeError: It was not started.
        """
        return self._server.root

    @property
    def base_url(self) -> str:
        """The root of the models' endpoints; ends in `/v1`."""
        return self.root + BASE

    @property
    def nvcf_url(self) -> str:
        """The root of the asset, polling and function API."""
        return self.root + NVCF

    @property
    def assets(self) -> dict[str, AssetState]:
        """Every asset that was created, by id, whatever became of it; a new dict."""
        return self.state.assets.snapshot()

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open."""
        return self._server.open_connections

    @staticmethod
    def record(path: str | Path, upstream: str, **options: Any) -> Recorder:
        """Return a recorder: a server that passes requests on to a real one and writes a file.

        Args:
            path: The file to write; one that exists is replaced.
            upstream: Root of the real server; ends in `/v1`. The client's key goes to it, and
                not into the file.
            options: `nvcf_upstream`, `redact`, `port`, `host`; see `Recorder`.
        """
        return Recorder(path, upstream, **options)

    @staticmethod
    def replay(path: str | Path, **options: Any) -> Replayer:
        """Return a server that answers from a recording, and accepts any key.

        Args:
            path: The recording.
            options: `pauses`, `port`, `host`; see `Replayer`.
        """
        return Replayer(path, **options)

    def load_script(self, path: str | Path) -> None:
        """Script what a YAML file says; see `nvcf-emulator --script`.

        Args:
            path: A list of dicts: one with `status` has the keywords of `fail`, any other those
                of `reply`.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not such a list; names the entry.
        """
        load_script(self.script, Path(path))

    def reset(self) -> None:
        """Make it as new: forget everything a test did to it, and drop every connection."""
        self.state.reset()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every connection that is open; return when they are gone."""
        self._server.drop_connections()

    def start(self) -> Emulator:
        """Start to listen, in a thread; return itself. A running one goes on."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Drop every connection, stop to listen, and end the thread. Does nothing if stopped."""
        self._server.stop()

    def check(self, error: BaseException | None = None) -> None:
        """Raise now what leaving the `with` block would raise, and forget it.

        Args:
            error: What failed already: it gets the findings as a note, and nothing is raised but
                what a scripted function raised.

        Raises:
            AssertionError: A scripted call of a tool did not fit its request; or, if `strict`, a
                request came that nothing was scripted for, or something scripted is left over.
            BaseException: What a scripted function or predicate raised.
        """
        __tracebackhide__ = True  # Of pytest's reports: what it found is not the emulator's fault.
        try:
            self._raise_findings(error)
        finally:
            self.script.queue.forget_errors()
            if self.strict:
                self.forget_replies()
                self.state.forget_unexpected()

    def _raise_findings(self, error: BaseException | None) -> None:
        """Raise what the script met; where something failed already, only say what it was."""
        __tracebackhide__ = True
        errors = self.script.queue.errors
        if errors:
            errors[0].add_note("This was raised while the emulator used what the test scripted.")
            raise errors[0]
        problem = self._problem() if self.strict else ""
        if problem and error is None:
            raise AssertionError(problem)
        if problem and error is not None:
            error.add_note(problem)

    def _problem(self) -> str:
        """Return what was not expected and what is left over; empty if all is well."""
        said: list[str] = []
        unexpected = Counter(_described(item) for item in self.unexpected)
        if unexpected:
            listed = "\n".join(f"  {item} ({count}x)" for item, count in unexpected.items())
            said.append(
                f"{unexpected.total()} request(s) that nothing was scripted for:\n{listed}\n"
                "Script them with reply(…, when=…), or use Emulator(strict=False); with the fixture, "
                "@pytest.mark.nvcf_emulator(strict=False)."
            )
        try:
            self.assert_all_used()
        except AssertionError as left:
            said.append(str(left))
        return "\n".join(said)


def _described(item: Received) -> str:
    body = item.body or {}
    return str(ChatRequest(body, str(body.get("model", item.path))))
