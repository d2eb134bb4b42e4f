"""The emulator's layers: which of its modules may import which."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "shared" / "nvcf_emulator"

ORDER = (
    "tokens",
    "script.chat_request",
    "script.conditions",
    "script.shapes",
    "script.steps",
    "script.keywords",
    "script.step_queue",
    "script.script",
    "script.script_file",
    "specs.rejections",
    "specs.schemas",
    "specs.fields",
    "specs.models",
    "media.images",
    "media.audio_video",
    "media.tags",
    "media.detect",
    "media.assets",
    "validation.content",
    "validation.messages",
    "validation.request",
    "answers.completion",
    "answers.tool_selection",
    "answers.embedding",
    "answers.schema_sample",
    "answers.prompt_schema",
    "answers.scripted",
    "answers.made_up",
    "answers.generate",
    "answers.tool_calls",
    "answers.http_response",
    "answers.stream",
    "state",
    "http.connection",
    "http.background_server",
    "http.plain_asgi",
    "http.redaction",
    "http.signed_urls",
    "http.recorded_bodies",
    "http.recording",
    "http.error_bodies",
    "http.fault_injection",
    "http.incoming",
    "endpoints.jobs",
    "endpoints.assets",
    "endpoints.chat",
    "endpoints.retrieval",
    "endpoints.control",
    "endpoints.proxy",
    "endpoints.recorder",
    "endpoints.replayer",
    "app",
    "server",
    "pytest_plugin",
    "__main__",
)
"""The modules by path: each imports only what stands before it."""

THIRD_PARTY = {
    "h11": {"http.plain_asgi"},
    "starlette": {
        "app",
        "endpoints.assets",
        "endpoints.chat",
        "endpoints.control",
        "endpoints.jobs",
        "endpoints.proxy",
        "endpoints.recorder",
        "endpoints.replayer",
        "http.background_server",
        "http.fault_injection",
        "http.incoming",
        "http.plain_asgi",
        "http.recorded_bodies",
    },
    "uvicorn": {"http.background_server", "http.connection"},
    "jsonschema": {"answers.scripted"},
    "referencing": {"answers.scripted"},
    "httpx": {"endpoints.proxy"},
    "yaml": {"script.script_file"},
    "pytest": {"pytest_plugin"},
}
"""Who may import what is not Python's own; nobody imports the rest of this project."""


def path_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def tree_of(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text())


def imported(module: str) -> Iterator[tuple[str, str]]:
    """Each module that is imported anywhere in a module, and the name that is taken from it."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by dots"
            yield from ((node.module or "", alias.name) for alias in node.names)


def own_imports(module: str) -> set[str]:
    """The emulator's own modules that a module imports."""
    found = set()
    for name, taken in imported(module):
        if name.partition(".")[0] == "nvcf_emulator":
            path = name.removeprefix("nvcf_emulator").removeprefix(".")
            inner = f"{path}.{taken}".removeprefix(".")
            found.add(inner if inner in ORDER else path)
    return found


def test_the_order_names_every_module() -> None:
    paths = {path.relative_to(ROOT).with_suffix("") for path in ROOT.rglob("*.py")}
    found = {".".join(path.parts) for path in paths if path.name != "__init__"}
    assert found == set(ORDER)
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_what_stands_before_it(module: str) -> None:
    assert own_imports(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", ORDER)
def test_nothing_private_is_imported(module: str) -> None:
    taken = [name for _, name in imported(module)]
    assert not [name for name in taken if name.startswith("_")]


@pytest.mark.parametrize("module", ORDER)
def test_no_import_is_for_type_checkers_alone(module: str) -> None:
    assert "TYPE_CHECKING" not in path_of(module).read_text()


@pytest.mark.parametrize("module", sorted(set(ORDER) - {"__main__", "pytest_plugin"}))
def test_a_module_says_what_is_public(module: str) -> None:
    public = [
        ast.literal_eval(node.value)
        for node in tree_of(module).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert len(public) == 1
    assert public[0]


@pytest.mark.parametrize("module", ORDER)
def test_other_packages_are_imported_in_few_places(module: str) -> None:
    packages = {name.partition(".")[0] for name, _ in imported(module)}
    foreign = packages - set(sys.stdlib_module_names) - {"nvcf_emulator"}
    assert foreign == {name for name, users in THIRD_PARTY.items() if module in users}


def test_folders_are_doors_to_nothing() -> None:
    for path in ROOT.rglob("*/__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, f"{path} holds more than its docstring"
        assert ast.get_docstring(ast.parse(path.read_text()))


def test_few_things_at_first_sight() -> None:
    folders = [path for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    assert len(folders) + len(list(ROOT.glob("*.py"))) <= 14
