"""Runs every example in an environment that holds exactly what its first lines say it needs."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[!_]*.py"))


def needs(example: Path) -> list[str]:
    """What the first lines of an example say is to be installed."""
    said = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    found = re.search(r"^Needs: pip install (.+)$", said, re.MULTILINE)
    if found is None:
        raise ValueError(f"{example.name} does not say what it needs")
    return shlex.split(found[1])


def run(example: Path) -> bool:
    """Run an example without a key; whether it went well."""
    # This checkout stands for the package of the index.
    wanted = [
        need.replace("nvcf-adapters", str(ROOT)) if need.startswith("nvcf-adapters") else need
        for need in needs(example)
    ]
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "run", "-q", "--no-project", "--isolated", "--python", sys.executable]
    for need in wanted:
        command += ["--with", need]
    ours = ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL", "PYTHONPATH", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run([*command, str(example)], env=env, capture_output=True, encoding="utf-8")
    good = done.returncode == 0
    print(
        f"{'well  ' if good else 'FAILED'} {example.name}: {' '.join(needs(example))}", flush=True
    )
    if not good:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", flush=True)
    return good


def main() -> int:
    """Run them all, also after one that failed; the exit status."""
    failed = [example.name for example in EXAMPLES if not run(example)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
