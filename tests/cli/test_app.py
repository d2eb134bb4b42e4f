"""The command as a whole: its list, its exit statuses, what it loads, what is missing."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from nvcf_cli import app as app_module
from nvcf_cli.commands.batch import batch
from nvcf_emulator import API_KEY, Emulator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}"}


def test_help_lists_the_commands(program: Any) -> None:
    ended = program("--help")
    assert ended.status == 0
    listed = re.findall(r"^  (\w+)  +\w", ended.out, re.MULTILINE)
    assert listed == ["doctor", "models", "chat", "verify", "record", "emulator", "batch"]


@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("models", "extra")])
def test_a_wrong_call(program: Any, arguments: tuple[str, ...]) -> None:
    assert program(*arguments).status == 2


BATCH = ("batch", "rows.jsonl", "answers", "--model", "m")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("sys.modules['nvcf_batch'] = None", "nvcf batch needs nvcf_batch"),
        (
            "sys.path.insert(0, '.')",
            "nvcf_batch needs ray",
        ),
    ],
    ids=["not there", "without what it needs"],
)
def test_batch_without_its_extra(tmp_path: Path, found: str, said: str) -> None:
    package = tmp_path / "nvcf_batch" / "__init__.py"
    package.parent.mkdir()
    package.write_text(
        """raise ImportError('nvcf_batch needs ray: pip install "nvcf-adapters[batch]"')"""
    )
    code = f"import sys; {found}; from nvcf_cli.app import run; sys.exit(run({list(BATCH)}))"
    done = _python("-c", code, check=False, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f'nvcf: {said}: pip install "nvcf-adapters[batch]"\n'


@pytest.mark.parametrize("status", [0, 1])
def test_batch_passes_everything_on(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def run(*arguments: str, **keywords: Any) -> int:
        calls.append((arguments, keywords))
        return status

    command = ModuleType("nvcf_batch.command")
    command.__dict__["batch"] = run
    monkeypatch.setitem(sys.modules, "nvcf_batch", ModuleType("nvcf_batch"))
    monkeypatch.setitem(sys.modules, "nvcf_batch.command", command)
    batch_app = typer.Typer()
    batch_app.command()(batch)
    with pytest.raises(SystemExit) as ended:
        batch_app(
            [
                "rows.jsonl", "answers", "--model", "m", "--prompt", "{q}", "--image", "a",
                "--image", "b", "--concurrency", "3", "--set", "temperature=0.5", "--set",
                "reasoning_effort=none", "--base-url", "http://127.0.0.1:1/v1", "--dry-run", "--json",
            ]
        )  # fmt: skip
    assert ended.value.code == status
    assert calls == [
        (
            ("rows.jsonl", "answers"),
            {
                "model": "m",
                "prompt": "{q}",
                "image": ["a", "b"],
                "concurrency": 3,
                "settings": {
                    "temperature": 0.5,
                    "reasoning_effort": "none",
                    "base_url": "http://127.0.0.1:1/v1",
                },
                "dry_run": True,
                "as_json": True,
            },
        )
    ]


def test_the_command_loads_no_framework() -> None:
    code = "import sys, nvcf_cli.app; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = _python("-c", code).stdout.split()
    assert "typer" in loaded
    unwanted = {"langchain_core", "llama_index", "langchain_nvcf", "llamaindex_nvcf", "starlette"}
    assert not unwanted & set(loaded)


@pytest.mark.parametrize("package", ["nvcf_core", "langchain_nvcf", "llamaindex_nvcf"])
def test_an_adapter_loads_nothing_of_the_command(package: str) -> None:
    code = f"import sys, {package}; print('nvcf_cli' in sys.modules, 'typer' in sys.modules)"
    assert _python("-c", code).stdout.split() == ["False", "False"]


ALLOWED = {"typer", "rich", "httpx", "pydantic", "packaging", "nvcf_core", "nvcf_cli"}


def test_what_the_command_imports() -> None:
    for path in (ROOT / "nvcf_cli").rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {
            (node.module or "").partition(".")[0]
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and not node.level
        }
        modules |= {
            alias.name.partition(".")[0]
            for node in tree.body
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert modules - set(sys.stdlib_module_names) <= ALLOWED, path
        names = [
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module != "__future__"
            for alias in node.names
        ]
        assert not [name for name in names if name.startswith("_")], path
        assert "__all__" in path.read_text(), path


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; import nvcf_cli; nvcf_cli.main()"
    done = _python("-c", code, check=False)
    assert done.returncode == 1
    assert done.stderr == 'nvcf needs typer: pip install "nvcf-adapters[cli]"\n'


def test_the_shell_completes_commands_and_models() -> None:
    def completed(words: str) -> list[str]:
        environment = {
            "_NVCF_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        return _python("-m", "nvcf_cli", environment=environment).stdout.split()

    assert completed("nvcf ver") == ["verify"]
    assert completed("nvcf chat google/") == ["google/gemma-3n-e2b-it", "google/paligemma"]
    assert completed("nvcf verify moon") == ["moonshotai/kimi-k2.6"]


def test_a_reader_that_leaves_is_no_failure_to_explain(service: Emulator) -> None:
    done = subprocess.run(
        f"{sys.executable} -m nvcf_cli models --offline | head -1",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    assert done.stdout.startswith("model ")
    assert "Traceback" not in done.stderr


def test_the_emulator_is_that_of_its_own_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "nvcf_cli", "emulator", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    ) as running:
        assert running.stdout
        lines = [running.stdout.readline() for _ in range(4)]
        urls = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        ended = _python("-m", "nvcf_cli", "models", "--json", environment=urls)
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    assert urls["NVIDIA_API_KEY"] == API_KEY
    assert '"listed": true' in ended.stdout


def test_options_of_the_emulator_are_passed_on(program: Any) -> None:
    ended = program("emulator", "--help")
    assert ended.status == 0
    assert "--shape" in ended.out
    assert program("emulator", "--port", "none").status == 2


def test_run_returns_the_status() -> None:
    assert app_module.run(["models", "--offline", "--json"]) == 0
    assert app_module.run(["models", "--no-such-option"]) == 2


def _python(
    *arguments: str,
    environment: dict[str, str] | None = None,
    check: bool = True,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=check,
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **(environment or {})},
    )
