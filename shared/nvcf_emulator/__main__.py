"""The emulator from a shell: `nvcf-emulator --port 8000`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from nvcf_emulator.server import API_KEY, Emulator

DESCRIPTION = """\
Run a local stand-in for NVIDIA's hosted models. It is not a model: it checks each
request against what the model's page allows, and answers by saying what it understood.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until it is interrupted; return the exit code."""
    options = _parser().parse_args(arguments)
    server = Emulator(
        port=options.port,
        host=options.host,
        api_key=options.api_key,
        models=options.model,
    )
    try:
        server.shape = options.shape
        server.requests_per_minute = options.requests_per_minute
        server.start()
    except (OSError, ValueError) as error:
        print(f"nvcf-emulator: {error}", file=sys.stderr)
        return 1
    with server:
        _say_where(server)
        _wait_for_signal()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nvcf-emulator",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on, 0 for a free one (%(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--api-key", default=API_KEY, metavar="KEY", help="the key to accept (%(default)s)"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ID",
        help="serve one more model id, without the rules of any page; may be repeated",
    )
    parser.add_argument(
        "--shape",
        default="default",
        metavar="NAME",
        help="form of the answers, as in nvcf_emulator.SHAPES, several joined by + (%(default)s)",
    )
    parser.add_argument(
        "--requests-per-minute",
        type=int,
        metavar="N",
        help="answer 429 beyond this many (no limit)",
    )
    return parser


def _say_where(server: Emulator) -> None:
    print("The emulator is running; it is not a model. Point your program at it with:")
    print(f"export NVIDIA_BASE_URL={server.base_url}")
    print(f"export NVCF_URL={server.nvcf_url}")
    print(f"export NVIDIA_API_KEY={server.api_key}", flush=True)


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
