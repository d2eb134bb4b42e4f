"""The command `nvcf`: look at an installation, its key and the service, and ask models from a terminal."""

__all__ = ["main"]


def main() -> None:
    """Run the command with the process's arguments, and exit with its status.

    Raises:
        SystemExit: always; the status is 0 where all is well, 1 where something failed, 2 for a wrong call.
    """
    try:
        from .app import run  # Here: what it needs comes with an extra.
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        raise SystemExit(f'nvcf needs {error.name}: pip install "nvcf-adapters[cli]"') from None
    raise SystemExit(run())
