"""Runs every example in an environment with exactly what its first lines say it needs, and reads what it prints."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[!_]*.py"))


SAYS: dict[str, tuple[str, ...]] = {
    "agent_langgraph.py": ("monthly_payment answered: 1159.92", "exchange answered: 950.0"),
    "agent_llamaindex.py": ("count_words({'text': 'the quick brown fox'}) = 4", "= desserts"),
    "approve_langgraph.py": (
        "transfer({'recipient': 'Ben', 'amount': 250})? [y/n] y",
        "Ben has got 250 EUR",
    ),
    "batch_ray.py": (
        "Anna wants: lamp\n  Yes, Anna, there are four.",
        "Ben wants: desk\n  Sorry, Ben, there is no desk left.",
    ),
    "extract.py": ('"shop": ', '"items": ['),
    "fallback_langchain.py": (
        "Homer, or so it has been said for 2,700 years. (gpt-5-mini)",
        "Virgil, between 29 and 19 BC. (nvidia/nemotron-3-super-120b-a12b)",
    ),
    "fastapi_stream.py": (
        "/langchain: Air scatters",
        "/llamaindex: Air scatters",
        "straight through.\n(in pieces)",
    ),
    "hear.py": ("audio audio/wav", "audio audio/mpeg"),
    "mcp_tools.py": (
        "LangChain:  The next high water at Brest is at 05:42.",
        "LlamaIndex: The next high water at Brest is at 05:42.",
    ),
    "observe_opentelemetry.py": (
        "span chat nvidia/nemotron-3-super-120b-a12b: ",
        "metric gen_ai.client.operation.duration : 2 times",
    ),
    "quickstart.py": (
        "Reasoning: Sunlight",
        "= 1159.92",
        "City(name='Lisbon'",
        "InvalidRequestError",
    ),
    "rag.py": ("found in:\n",),
    "rag_langchain.py": (
        " sections embedded\n\n4 messages, 1 of them found sections\nA StreamInterruptedError.",
        "asked for again?\n6 messages, 1 of them found sections\nOnly until",
    ),
    "rag_llamaindex.py": (
        " sections embedded\nA StreamInterruptedError.",
        "(2 messages; found in ",
        "asked for again?\nOnly until",
        "(4 messages; found in ",
    ),
    "see.py": ("image image/png, 360x240 pixels",),
    "thinking.py": ("thinking", "stand-in"),
    "upload.py": ("100.0/100.0 MB", "100018696 bytes"),
    "watch.py": ("video video/mp4",),
    "workflow_llamaindex.py": ("read_notes({'subject': 'tides'}): The moon pulls", "Editor: "),
}
"""What is in the output of each."""


def needs(example: Path) -> list[str]:
    """What the first lines of an example say is to be installed."""
    said = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    found = re.search(r"^Needs: pip install (.+)$", said, re.MULTILINE)
    if found is None:
        raise ValueError(f"{example.name} does not say what it needs")
    return shlex.split(found[1])


def run(example: Path) -> bool:
    """Run an example without a key; whether it went well, and said what it should."""
    # This checkout stands for the package of the index.
    wanted = [
        need.replace("nvcf-adapters", str(ROOT)) if need.startswith("nvcf-adapters") else need
        for need in needs(example)
    ]
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "run", "-q", "--no-project", "--isolated", "--python", sys.executable]
    for need in wanted:
        command += ["--with", need]
    ours = (
        "NVIDIA_API_KEY",
        "NVIDIA_BASE_URL",
        "NVCF_URL",
        "OPENAI_API_KEY",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    )
    env = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [*command, str(example)],
        env={**env, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    missing = [text for text in SAYS[example.name] if text not in done.stdout]
    good = done.returncode == 0 and not missing
    print(
        f"{'well  ' if good else 'FAILED'} {example.name}: {' '.join(needs(example))}", flush=True
    )
    if not good:
        print(*(f"missing: {text!r}" for text in missing), sep="\n")
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", flush=True)
    return good


def main(names: Sequence[str]) -> int:
    """Run those that are named, or all, also after one that failed; the exit status."""
    wanted = [example for example in EXAMPLES if not names or example.name in names]
    failed = [example.name for example in wanted if not run(example)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
