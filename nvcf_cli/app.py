"""The command line: which commands there are, and what ends with which exit status."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import typer

from nvcf_core.errors import NVCFWarning

from .commands.batch import batch, missing_batch
from .commands.chat import chat
from .commands.doctor import doctor
from .commands.emulator import emulator
from .commands.models import models
from .commands.record import record
from .commands.verify import verify
from .output import Output

__all__ = ["app", "run"]

_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""For commands that hand all their arguments on as they are."""

_COMPLETION = "_NVCF_COMPLETE"
"""The variable in which a shell asks what could come next."""

app = typer.Typer(
    name="nvcf",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Look at an installation, its key and the service, and ask models. "
    "The key is read from NVIDIA_API_KEY. "
    "Exit status: 0 all is well, 1 something failed, 2 a wrong call.",
)
app.command()(doctor)
app.command()(models)
app.command()(chat)
app.command()(verify)
app.command(context_settings={"allow_interspersed_args": False})(record)
app.command(context_settings=_PASSED_ON)(emulator)
if find_spec("nvcf_batch") is None:
    app.command("batch", context_settings=_PASSED_ON)(missing_batch)
else:
    app.command()(batch)


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: without the program's name; None for the process's own.
    """
    given = sys.argv[1:] if arguments is None else arguments
    output = Output(as_json=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default", NVCFWarning)
        warnings.showwarning = _shown_by(output, warnings.showwarning)
        status = _status_of(given or ["--help"])
    # A shell that asks for completions gives no arguments either.
    return status if given or _COMPLETION in os.environ else 2


def _status_of(arguments: list[str]) -> int:
    try:
        app(arguments, prog_name="nvcf")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _shown_by(output: Output, otherwise: Callable[..., None]) -> Callable[..., None]:
    """Our own warnings as one line on the standard error; others as Python shows them."""

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if issubclass(category, NVCFWarning):
            output.note(f"note: {message}")
        else:
            otherwise(message, category, *where)

    return show
