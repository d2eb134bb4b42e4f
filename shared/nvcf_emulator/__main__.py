"""The emulator from a shell: `nvcf-emulator --port 8000`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from nvcf_emulator.endpoints.control import received_as_json
from nvcf_emulator.endpoints.recorder import Recorder
from nvcf_emulator.endpoints.replayer import Replayer
from nvcf_emulator.server import Emulator
from nvcf_emulator.state import API_KEY, Received

__all__ = ["main"]

DESCRIPTION = """\
Run a local stand-in for NVIDIA's hosted models. It is not a model: it checks each
request against what the model's documentation allows, and answers what a script
says, or by saying what it understood.
"""
UPSTREAM = "https://integrate.api.nvidia.com/v1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until it is interrupted; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            server = _server(options, stack)
            stack.enter_context(server)
            _say_where(server)
            _wait_for_signal()
    except (OSError, ValueError, AssertionError) as error:
        print(f"nvcf-emulator: {error}", file=sys.stderr)
        return 1
    return 0


def _server(options: argparse.Namespace, stack: ExitStack) -> Emulator | Recorder | Replayer:
    if options.record:
        where = {"port": options.port, "host": options.host}
        return Emulator.record(options.record, options.upstream, **where)
    if options.replay:
        return Emulator.replay(options.replay, port=options.port, host=options.host)
    server = Emulator(
        port=options.port,
        host=options.host,
        api_key=options.api_key,
        models=options.model,
        strict=options.strict,
    )
    server.shape = options.shape
    server.requests_per_minute = options.requests_per_minute
    if options.script:
        server.load_script(options.script)
    if options.log:
        log = sys.stdout if str(options.log) == "-" else stack.enter_context(options.log.open("a"))
        server.state.on_request = _logging_to(log)
    return server


def _logging_to(log: TextIO) -> Callable[[Received], None]:
    def write(request: Received) -> None:
        print(json.dumps(received_as_json(request), ensure_ascii=False), file=log, flush=True)

    return write


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
        help="serve one more model id, without the rules of any documentation; may be repeated",
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
    _add_script_options(parser)
    return parser


def _add_script_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strict",
        action="store_true",
        help="answer 500 where nothing was scripted; exit with 1 if that happened, or if "
        "something that was scripted is left over",
    )
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FILE",
        help="a YAML list of replies, each a dict of reply's keywords; with `status` a failure",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="write each request as a line of JSON; - for here"
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="pass every request on to --upstream, and write what comes back to this file",
    )
    parser.add_argument(
        "--upstream", default=UPSTREAM, metavar="URL", help="what to record (%(default)s)"
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="answer from what --record wrote"
    )


def _say_where(server: Emulator | Recorder | Replayer) -> None:
    print("The emulator is running; it is not a model. Point your program at it with:")
    print(f"export NVIDIA_BASE_URL={server.base_url}")
    print(f"export NVCF_URL={server.nvcf_url}")
    if not isinstance(server, Recorder):
        print(f"export NVIDIA_API_KEY={server.api_key}")
    sys.stdout.flush()


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
