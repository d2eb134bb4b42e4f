"""A user's script over both adapters is clean for pyright, as editors run it; `make check` shows it to mypy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("user_script.py")

pytestmark = pytest.mark.slow


def pyright(folder: Path, script: Path) -> list[str]:
    """What pyright says of a script, in the mode that editors begin with."""
    settings = {
        "include": [str(script)],
        "typeCheckingMode": "basic",
        "extraPaths": [str(ROOT), str(ROOT / "shared")],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(folder)]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable], capture_output=True, encoding="utf-8"
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    return [
        f"{said['range']['start']['line'] + 1}: {said['message']}"
        for said in report["generalDiagnostics"]
    ]


def test_pyright_is_content(tmp_path: Path) -> None:
    assert pyright(tmp_path, SCRIPT) == []


def test_pyright_sees_a_mistake(tmp_path: Path) -> None:
    script = tmp_path / "mistaken.py"
    script.write_text("from langchain_nvcf import ChatNVCF\nChatNVCF(model=5)\n", encoding="utf-8")
    (said,) = pyright(tmp_path, script)
    assert said.startswith("2: ")
