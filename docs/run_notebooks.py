"""Runs the notebooks of the examples without a key, and writes them with what they print and plot.

python docs/run_notebooks.py
python docs/run_notebooks.py --into FOLDER
"""

import argparse
import hashlib
import json
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
DIGEST = "source_sha256"
"""The key of a notebook's metadata that says from which source its outputs are."""

_SERVICE = ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL")


def digest(notebook: nbformat.NotebookNode) -> str:
    """A hash of all of a notebook's cells, without their outputs."""
    source = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(source).encode()).hexdigest()


def run(path: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run of now, and without what differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    env = {name: value for name, value in os.environ.items() if name not in _SERVICE}
    with tempfile.TemporaryDirectory() as profile:
        where = {"metadata": {"path": str(NOTEBOOKS)}}
        client = NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=where)
        client.execute(env={**env, "IPYTHONDIR": profile})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # When it ran.
    notebook.metadata[DIGEST] = digest(notebook)
    notebook.metadata["language_info"] = {"name": "python"}  # Without the version of this one.
    return notebook


def main() -> None:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=NOTEBOOKS, help="where to write them")
    into = parser.parse_args().into
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        nbformat.write(run(path), into / path.name)


if __name__ == "__main__":
    main()
