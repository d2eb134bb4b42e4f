"""The wheel: what is in it, and that it installs alone, with either extra, in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "nvcf_batch",
    "nvcf_core",
    "nvcf_emulator",
    "langchain_nvcf",
    "llamaindex_nvcf",
    "nvcf_cli",
}
NAMESPACE = "llama_index"
"""The namespace of LlamaIndex's integrations, in which only our module is ours."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    # Away from this folder, and without its settings, so that only what is installed is found.
    ours = ("PYTHONPATH", "PYTHONHOME", "COVERAGE_PROCESS_START")
    env = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=env,
        cwd=Path(command[0]).anchor,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


class Empty:
    """An environment of its own, with nothing in it but pip."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"

    def install(self, *wanted: str) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "-qq", "--no-input")
        run(*pip, "--disable-pip-version-check", *wanted)

    def says(self, code: str) -> str:
        return run(self.python, "-c", code).stdout.strip()

    def fails(self, code: str) -> str:
        done = run(self.python, "-c", code, check=False)
        assert done.returncode != 0, f"{code} did not fail"
        return done.stderr


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Empty:
    """The wheel alone."""
    empty = Empty(tmp_path_factory.mktemp("bare"))
    empty.install(str(wheel))
    return empty


@pytest.fixture(scope="module", params=["langchain", "llamaindex"])
def extra(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Empty]:
    """The wheel with one extra."""
    empty = Empty(tmp_path_factory.mktemp(request.param))
    empty.install(f"{wheel}[{request.param}]")
    return request.param, empty


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES | {NAMESPACE}
    assert len(tops) == len(PACKAGES) + 2
    shared = [name for name in names if name.startswith(f"{NAMESPACE}/")]
    assert shared == ["llama_index/llms/nvcf/__init__.py"]
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
        assert f"{package}/__init__.py" in names


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in (ROOT, ROOT / "shared"):
        for package in PACKAGES:
            for path in (folder / package).rglob("*.py"):
                assert str(path.relative_to(folder)) in names


def test_the_bare_install_brings_httpx_and_pydantic_alone(bare: Empty) -> None:
    code = (
        "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    )
    found = set(bare.says(code).split())
    assert {"nvcf-adapters", "httpx", "pydantic"} <= found
    allowed = {
        "nvcf-adapters", "httpx", "httpcore", "h11", "anyio", "idna", "sniffio", "certifi", "pydantic",
        "pydantic-core", "pydantic_core", "annotated-types", "typing-extensions", "typing_extensions",
        "typing-inspection",
    }  # fmt: skip
    assert found <= allowed
    assert (
        bare.says(
            "import nvcf_core; print(nvcf_core.spec_for('moonshotai/kimi-k2.6').supports_tools)"
        )
        == "True"
    )


def test_shared_is_not_a_package(bare: Empty) -> None:
    assert "No module named 'shared'" in bare.fails("import shared")
    assert "No module named 'tests'" in bare.fails("import tests")


@pytest.mark.parametrize(
    ("package", "extra_name"),
    [("langchain_nvcf", "langchain"), ("llamaindex_nvcf", "llamaindex"), ("nvcf_batch", "batch")],
)
def test_a_missing_extra_is_named(bare: Empty, package: str, extra_name: str) -> None:
    said = bare.fails(f"import {package}")
    assert "ImportError: " in said
    assert f'pip install "nvcf-adapters[{extra_name}]"' in said


USE = {
    "langchain": "from langchain_nvcf import ChatNVCF as Model, NVCFLLM",
    "llamaindex": "from llamaindex_nvcf import NVCF as Model",
}
OTHER = {"langchain": "llamaindex_nvcf", "llamaindex": "langchain_nvcf"}


def test_the_wheel_works_with_one_extra(extra: tuple[str, Empty]) -> None:
    name, empty = extra
    code = f"{USE[name]}; print(Model(model='moonshotai/kimi-k2.6', api_key='x').model)"
    assert empty.says(code) == "moonshotai/kimi-k2.6"
    assert "pip install" in empty.fails(f"import {OTHER[name]}")


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Empty:
    """The wheel with the command, and with neither framework."""
    empty = Empty(tmp_path_factory.mktemp("cli"))
    empty.install(f"{wheel}[cli]")
    return empty


def test_the_command_works_without_a_framework(command: Empty) -> None:
    nvcf = command.python.with_name("nvcf")
    assert "moonshotai/kimi-k2.6" in run(nvcf, "models", "--offline").stdout
    asked = (
        "import os, subprocess, sys; from nvcf_emulator import Emulator\n"
        "with Emulator() as server:\n"
        "    env = {**os.environ, 'NVIDIA_API_KEY': server.api_key, 'NVCF_URL': server.nvcf_url,\n"
        "           'NVIDIA_BASE_URL': server.base_url}\n"
        "    for words in (['chat', 'google/paligemma', 'Hi'], ['verify', 'google/paligemma']):\n"
        "        subprocess.run([sys.executable, '-m', 'nvcf_cli', *words], env=env, check=True)\n"
    )
    assert command.says(asked).endswith("15 probes, 0 deviate")
    diagnosis = run(nvcf, "doctor", "--base-url", "http://127.0.0.1:1/v1", check=False)
    assert diagnosis.returncode == 1
    assert 'pip install "nvcf-adapters[langchain]"' in diagnosis.stdout


def test_the_command_names_its_extra(bare: Empty) -> None:
    done = run(bare.python.with_name("nvcf"), check=False)
    assert done.returncode == 1
    assert done.stderr == 'nvcf needs typer: pip install "nvcf-adapters[cli]"\n'
