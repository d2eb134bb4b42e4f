"""`nvcf emulator`: the same as `nvcf-emulator`."""

from __future__ import annotations

import typer

from nvcf_cli.output import CommandError, Output

__all__ = ["emulator"]


def emulator(context: typer.Context) -> None:
    """Run a local stand-in for the service; it is not a model. The same as nvcf-emulator."""
    output = Output(as_json=False)
    with output.failures():
        try:
            from nvcf_emulator.__main__ import main  # It comes with an extra of its own.
        except ImportError as error:
            raise CommandError(
                f'the emulator needs {error.name}: pip install "nvcf-adapters[emulator]"'
            ) from None
    raise typer.Exit(main(context.args))
