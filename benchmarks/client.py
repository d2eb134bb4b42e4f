"""A live client process: it runs a block of a case when it is told to, and says what that cost.

python client.py ROOT CONTENDER reads names of cases, one a line, and answers each with a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import CASES
from contenders import CONTENDERS

__all__ = ["Client", "import_cost"]

_FRAMEWORKS = {
    "LangChain": "langchain_core.language_models.chat_models",
    "LlamaIndex": "llama_index.core.llms.function_calling",
}
"""What of a framework every chat model needs."""


class Client:
    """Such a process.

    Args:
        root: the server's.
        contender: the name of one of `CONTENDERS`.
        tree: a source tree of this project whose packages are used, None: the one that is installed.
    """

    def __init__(self, root: str, contender: str, tree: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, root, contender],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(tree),
        )

    def run(self, case: str) -> float | None:
        """What an item of a block cost. None: this client cannot do that.

        Raises:
            RuntimeError: it failed. The process has said why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} failed at {case}")
        answer: float | None = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def import_cost(framework: str, module: str, tree: Path | None = None) -> float:
    """Microseconds of the processor to import a module where its framework is imported already."""
    code = (
        f"import time, {_FRAMEWORKS[framework]}; begun = time.process_time(); import {module}; "
        "print(1e6 * (time.process_time() - begun))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=_environment(tree)
    )
    return float(done.stdout)


def _environment(tree: Path | None) -> dict[str, str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith("LANGSMITH_")
        and name != "PYTHONDONTWRITEBYTECODE"  # Users' imports find compiled files.
    }
    if tree is not None:
        environment["PYTHONPATH"] = os.pathsep.join((str(tree), str(tree / "shared")))
    return environment


def _main(root: str, name: str) -> None:
    said, sys.stdout = (
        sys.stdout,
        sys.stderr,
    )  # What a client library prints must not mix with the answers.
    contender = next(contender for contender in CONTENDERS if contender.name == name)
    client = contender.make(root)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            answer: Any
            try:
                answer = CASES[line.strip()].measure(client, runner)
            except NotImplementedError:
                answer = None  # This client has no such call: its cell in the table stays empty.
            print(json.dumps(answer), file=said, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
