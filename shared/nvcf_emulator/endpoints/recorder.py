"""A proxy before a real server that records each exchange, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from nvcf_emulator.http.background_server import BackgroundServer
from nvcf_emulator.http.recording import RecordingWriter

__all__ = ["Recorder"]

_NVIDIA_NVCF = "https://api.nvcf.nvidia.com/v2/nvcf"
_BASE = "/v1"
_NVCF = "/v2/nvcf"


class Recorder:
    """A server that passes every request on to another, and writes down what comes back.

    The signed urls of uploads and of large results lead through it, too.

    Args:
        path: The file to write; one that exists is replaced.
        upstream: Root of the server's model endpoints; ends in `/v1`.
        nvcf_upstream: Root of its asset, polling and function API; None for NVIDIA's own where
            `upstream` is NVIDIA's, else for `/v2/nvcf` beside `upstream`.
        redact: Texts that are written as `[redacted]`, besides the keys.
        port: TCP port; 0 for a free one.
        host: Address to listen on.

    Raises:
        ValueError: `upstream` is not an http(s) url that ends in `/v1`.
    """

    def __init__(
        self,
        path: str | Path,
        upstream: str,
        nvcf_upstream: str | None = None,
        redact: Sequence[str] = (),
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        url = urlsplit(upstream.rstrip("/"))
        if url.scheme not in ("http", "https") or not url.path.endswith(_BASE):
            raise ValueError(f"upstream must be an http(s) url that ends in /v1, got {upstream!r}")
        root = upstream.rstrip("/").removesuffix(_BASE)
        is_nvidia = (url.hostname or "").endswith(".nvidia.com")
        beside = _NVIDIA_NVCF if is_nvidia else root + _NVCF
        self._roots = {_NVCF: (nvcf_upstream or beside).rstrip("/"), _BASE: root + _BASE}
        self._writer = RecordingWriter(Path(path), upstream, redact)
        self._server = BackgroundServer(host, port, self._make_app)

    def __enter__(self) -> Recorder:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """The root of the models' endpoints; ends in `/v1`."""
        return self._server.root + _BASE

    @property
    def nvcf_url(self) -> str:
        """The root of the asset, polling and function API."""
        return self._server.root + _NVCF

    def start(self) -> Recorder:
        """Start to listen, in a thread; return itself. A running one goes on."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop to listen; what was recorded is in the file."""
        self._server.stop()

    def _make_app(self) -> ASGIApp:
        # Late, since it loads httpx, which the emulator itself does not need.
        from nvcf_emulator.endpoints.proxy import Proxy

        return Proxy(self._roots, self._writer).app
