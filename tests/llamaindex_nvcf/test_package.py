"""What importing the package brings, and says when its framework is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import llamaindex_nvcf
from nvcf_core import errors


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)


def test_the_other_framework_and_the_emulator_stay_out():
    code = """
import sys, llamaindex_nvcf
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"langchain_core", "langchain_nvcf", "nvcf_emulator", "starlette"}))
"""
    assert run(code).stdout.strip() == "[]"


def test_a_missing_framework_is_named_with_the_command():
    result = run("import sys; sys.modules['llama_index'] = None; import llamaindex_nvcf")
    assert "ImportError: llamaindex_nvcf needs llama-index-core" in result.stderr
    assert 'pip install "nvcf-adapters[llamaindex]"' in result.stderr


def test_any_other_missing_module_is_not_blamed_on_it():
    result = run("import sys; sys.modules['pydantic_core'] = None; import llamaindex_nvcf")
    assert result.returncode != 0
    assert "llamaindex_nvcf needs" not in result.stderr


def test_every_error_of_the_core_is_exported():
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, (errors.NVCFError, errors.NVCFWarning))
    }
    assert public | {"NVCF"} == set(llamaindex_nvcf.__all__)
    for name in public:
        assert getattr(llamaindex_nvcf, name) is getattr(errors, name)


def test_the_name_that_llamaindex_gives_to_integrations():
    """In a process of its own: `llama_index` is a namespace that several distributions fill."""
    code = (
        "from llama_index.llms.nvcf import NVCF; import llamaindex_nvcf, llama_index.core; "
        "print(NVCF is llamaindex_nvcf.NVCF)"
    )
    assert run(code).stdout.strip() == "True"


def test_the_namespace_is_not_taken_from_llamaindex():
    """An `__init__` in it would hide llama-index-core, and it has to be in the wheel."""
    root = Path(__file__).parents[2]
    found = sorted(str(path.relative_to(root)) for path in (root / "llama_index").rglob("*.py"))
    assert found == ["llama_index/llms/nvcf/__init__.py"]
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert "llama_index" in build["targets"]["wheel"]["packages"]
