"""The layers of the house: who may import whom, and what importing a package loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nvcf_core

ROOT = Path(__file__).parents[1]
CORE = ROOT / "shared" / "nvcf_core"
EMULATOR = ROOT / "shared" / "nvcf_emulator"

ORDER = (
    "values",
    "exchange",
    "messages",
    "errors",
    "locks",
    "wire",
    "tools.names",
    "tools.arguments",
    "tools",
    "models.spec",
    "models.catalog",
    "models.validator",
    "models",
    "config.endpoints",
    "config.keywords",
    "config.settings",
    "config.auth",
    "config.options",
    "config",
    "media.sources",
    "media.formats",
    "media.references",
    "media.tags",
    "media.delivery",
    "media",
    "request.reasoning",
    "request.parameters",
    "request.past_calls",
    "request.past_media",
    "request.normalize",
    "request.tools",
    "request.structured",
    "request.body",
    "request",
    "response.sse",
    "response.error_body",
    "response.finish_reason",
    "response.filters",
    "response.options",
    "response.tool_calls",
    "response.accumulator",
    "response.prototype",
    "response.json_text",
    "response.text_tool_calls",
    "response.tool_arguments",
    "response.choice",
    "response.event_stream",
    "response.json_body",
    "response.decoder",
    "response",
    "protocol.retry",
    "protocol.chat_request",
    "protocol.upload_cache",
    "protocol.assets",
    "protocol.polling",
    "protocol.results",
    "protocol.chat",
    "protocol.model_list",
    "protocol",
    "observability.observation",
    "observability.observers",
    "observability.otel",
    "observability",
    "transport.limits.registry",
    "transport.limits.rate_limiter",
    "transport.limits.sliding_window",
    "transport.limits.file_limiter",
    "transport.limits.retry_budget",
    "transport.limits",
    "transport.redaction",
    "transport.time_limits",
    "transport.bodies",
    "transport.encodings",
    "transport.failures",
    "transport.interface",
    "transport.tls",
    "transport.no_proxy",
    "transport.direct.urls",
    "transport.direct.addresses",
    "transport.direct.receiver",
    "transport.direct.connecting",
    "transport.direct.network",
    "transport.direct.heads",
    "transport.direct.chunk_reader",
    "transport.direct.http1",
    "transport.direct.idle_connections",
    "transport.direct.prepared_request",
    "transport.direct.slots",
    "transport.direct.client",
    "transport.direct",
    "transport.httpx_client",
    "transport.clients",
    "transport.pools",
    "transport.backends",
    "transport.driver",
    "transport",
    "request_builder",
    "answer_stream",
    "client",
    "base",
    "",
)
"""The modules of the core, by their path below `nvcf_core`: each imports only what stands before it."""

STRANGERS: dict[str, set[str]] = {
    "tools": {
        "models",
        "config",
        "media",
        "request",
        "response",
        "protocol",
        "observability",
        "transport",
    },
    "models": {"config", "media", "request", "response", "protocol", "observability", "transport"},
    "request": {"response", "protocol", "observability", "transport"},
    "response": {"config", "media", "request", "protocol", "observability", "transport"},
    "protocol": {"observability", "transport"},
    "observability": {"models", "config", "media", "request", "response", "transport"},
    "transport": {"media", "request", "response", "protocol"},
}
"""The folders of the core that each folder never imports, whatever the order allows."""

FRAMEWORKS = {"langchain", "langchain_core", "langgraph", "llama_index", "pydantic_ai", "openai"}
HTTP = {"h11", "httpx", "httpx2", "httpcore", "requests", "aiohttp", "urllib3"}
OURS = {"nvcf_batch", "nvcf_core", "nvcf_emulator", "langchain_nvcf", "llamaindex_nvcf", "nvcf_cli"}
ADAPTERS = {
    "langchain_nvcf": {"langchain_core", "pydantic", "pydantic_core", "typing_extensions"},
    "llamaindex_nvcf": {"llama_index", "pydantic", "pydantic_core", "typing_extensions"},
}


CORE_FOR_ADAPTERS = {
    "",
    "errors",
    "exchange",
    "media.formats",
    "media.references",
    "media.sources",
    "messages",
    "models.spec",
    "request.past_calls",
    "request.structured",
    "request.tools",
    "response.accumulator",
    "response.finish_reason",
    "response.json_text",
    "response.prototype",
    "response.tool_arguments",
    "tools.names",
    "wire",
}
"""The modules of the core that adapters import from. The core's other modules may change without them."""

MOST_PARAMETERS = 4

TOO_MANY_PARAMETERS: set[str] = set()
"""The functions of the core that take more. None is added."""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of a file, but for what only type checkers see."""
    for child in ast.iter_child_nodes(tree):
        if not is_type_checking(child):
            yield child
            yield from nodes(child)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """What a file imports when it runs: how many dots, and the module."""
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is None:
            yield from ((node.level, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def outside(folder: Path) -> dict[str, set[str]]:
    """The top-level packages that each file of a package imports."""
    return {
        str(path.relative_to(folder)): {
            name.partition(".")[0] for level, name in imports(path) if not level
        }
        for path in folder.rglob("*.py")
    }


def module_of(path: Path, package: Path) -> str:
    """The name of a file's module below its package: "media.tags"; of a folder itself: "media"."""
    return (
        ".".join(path.relative_to(package).with_suffix("").parts)
        .removesuffix("__init__")
        .rstrip(".")
    )


def core_imports(path: Path) -> set[str]:
    """The modules of the core that a file imports, by their path below `nvcf_core`."""
    folder = path.parent.relative_to(CORE).parts
    found = set()
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) - node.level + 1]
            found.add(".".join((*base, *filter(None, [node.module]))))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nvcf_core"):
            found.add((node.module or "").removeprefix("nvcf_core").lstrip("."))
    return found


def nvcf_core_imports(path: Path) -> set[str]:
    """The modules of the core that a file of another package imports from, by their path below `nvcf_core`."""
    found = {name for level, name in imports(path) if not level and name.startswith("nvcf_core")}
    below = {name.removeprefix("nvcf_core").lstrip(".") for name in found}
    if "" in below:  # `from nvcf_core import errors` imports a module, too.
        tree = ast.parse(path.read_text())
        names = {
            alias.name
            for node in nodes(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "nvcf_core"
            for alias in node.names
        }
        below |= names & {module.partition(".")[0] for module in ORDER}
    return below


def test_the_order_names_every_module_of_the_core() -> None:
    assert sorted(ORDER) == sorted(module_of(path, CORE) for path in CORE.rglob("*.py"))


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: module_of(path, CORE))
def test_a_core_module_imports_only_what_stands_before_it(path: Path) -> None:
    name = module_of(path, CORE)
    assert core_imports(path) <= set(ORDER[: ORDER.index(name)])
    folder = name.partition(".")[0]
    imported = {module.partition(".")[0] for module in core_imports(path)}
    assert not imported & STRANGERS.get(folder, set())


def hidden_imports(path: Path, package: str) -> list[str]:
    """The modules of its own package that a file imports for type checkers alone, and nowhere else."""
    tree = ast.parse(path.read_text())
    made = {ast.unparse(node).partition(" import ")[0] for node in nodes(tree)}
    return [
        ast.unparse(node)
        for block in ast.walk(tree)
        if is_type_checking(block)
        for node in ast.walk(block)
        if (
            isinstance(node, ast.ImportFrom)
            and (node.level or f"{node.module}.".startswith(f"{package}."))
            and ast.unparse(node).partition(" import ")[0] not in made
        )
        or (
            isinstance(node, ast.Import)
            and any(f"{alias.name}.".startswith(f"{package}.") for alias in node.names)
        )
    ]


@pytest.mark.parametrize(
    "package", [CORE, ROOT / "langchain_nvcf", ROOT / "llamaindex_nvcf", ROOT / "nvcf_batch"]
)
def test_no_import_hides_from_the_running_program(package: Path) -> None:
    """An import within one package that only type checkers see hides a cycle, unless a function makes it, too.

    Then the order of the modules is held against it as against any other.
    """
    for path in package.rglob("*.py"):
        assert not hidden_imports(path, package.name), path


def test_a_hidden_import_is_found(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "if TYPE_CHECKING:\n"
        "    from .base import NVCF\n"
        "    import langchain_nvcf.tools\n"
        "    from langchain_nvcf import tools\n"
        "    from langchain_core.exceptions import ModelError\n"
        "    from .llms import NVCFLLM\n"
        "def __getattr__(name):\n"
        "    from .llms import NVCFLLM\n"
        "    return NVCFLLM\n"
    )
    assert len(hidden_imports(file, "langchain_nvcf")) == 3


@pytest.mark.parametrize(
    "package", [CORE, ROOT / "langchain_nvcf", ROOT / "llamaindex_nvcf", ROOT / "nvcf_batch"]
)
def test_no_private_name_is_imported(package: Path) -> None:
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{path} imports {private} from {node.module}"


def test_the_core_knows_no_framework_and_no_adapter() -> None:
    used = outside(CORE)
    # It is imported by those alone who have that.
    assert used.pop("observability/otel.py") & {"opentelemetry"}
    found = set().union(*used.values())
    assert not found & (FRAMEWORKS | OURS - {"nvcf_core"})
    assert found - set(sys.stdlib_module_names) - {"nvcf_core"} == {
        "certifi",
        "h11",
        "httpx",
        "pydantic",
        "pydantic_core",
    }


def test_few_files_know_an_http_library() -> None:
    def knowing(libraries: set[str]) -> set[str]:
        return {name for name, found in outside(CORE).items() if found & libraries}

    assert knowing(HTTP - {"h11"}) == {"transport/httpx_client.py", "transport/direct/urls.py"}
    assert knowing({"h11"}) == {"transport/direct/http1.py"}


def test_few_files_sleep() -> None:
    """The limiter waits by itself, as its protocol has it. One gives others a turn, with `asyncio.sleep(0)`."""
    sleeping = {
        str(path.relative_to(CORE))
        for path in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"time.sleep", "asyncio.sleep"}
    }
    assert sleeping == {
        "transport/backends.py",
        "transport/limits/file_limiter.py",
        "transport/direct/receiver.py",
    }


@pytest.mark.parametrize("package", ADAPTERS)
def test_an_adapter_imports_a_few_modules_of_the_core(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert nvcf_core_imports(path) <= CORE_FOR_ADAPTERS, path


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a function has, the object itself not counted."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in given)


def test_no_function_of_the_core_takes_many_parameters() -> None:
    """The constructor of a value may: its fields have to come from somewhere."""
    found = {
        f"{module_of(path, CORE)}.{node.name}"
        for path in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name != "__init__"
        and parameters(node) > MOST_PARAMETERS
    }
    assert found == TOO_MANY_PARAMETERS


@pytest.mark.parametrize("package", ADAPTERS)
def test_an_adapter_imports_the_core_and_its_own_framework(package: str) -> None:
    for name, found in outside(ROOT / package).items():
        strange = found - set(sys.stdlib_module_names) - ADAPTERS[package] - {"nvcf_core", package}
        assert not strange, f"{package}/{name} imports {strange}"


def test_batches_ask_by_the_core_alone() -> None:
    found = set().union(*outside(ROOT / "nvcf_batch").values())
    assert not found & (FRAMEWORKS | HTTP | OURS - {"nvcf_core", "nvcf_batch"})


def test_the_emulator_imports_nothing_of_ours() -> None:
    found = set().union(*outside(EMULATOR).values())
    assert not found & (OURS - {"nvcf_emulator"})
    assert not found & FRAMEWORKS


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("nvcf_core", FRAMEWORKS | OURS - {"nvcf_core"} | {"opentelemetry"}),
        ("langchain_nvcf", {"llama_index", "llamaindex_nvcf", "nvcf_emulator", "starlette"}),
        (
            "llamaindex_nvcf",
            {
                "langchain",
                "langchain_core",
                "langgraph",
                "langchain_nvcf",
                "nvcf_emulator",
                "starlette",
            },
        ),
        ("nvcf_emulator", FRAMEWORKS | OURS - {"nvcf_emulator"}),
    ],
)
def test_what_importing_a_package_loads(package: str, unwanted: set[str]) -> None:
    code = f"import sys, {package}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert package in loaded
    assert not loaded & unwanted


@pytest.mark.parametrize("package", ADAPTERS)
def test_what_only_calls_need_is_loaded_with_the_first_object(package: str) -> None:
    """And not with the first call, for which an event loop would have to wait."""
    model = {"langchain_nvcf": "ChatNVCF", "llamaindex_nvcf": "NVCF"}[package]
    code = (
        f"import sys, {package}\n"
        "wanted = {'nvcf_core.client', 'nvcf_core.transport.clients', 'h11'}\n"
        "print(sorted(wanted & set(sys.modules)))\n"
        f"{package}.{model}(model='m', api_key='k')\n"
        "print(sorted(wanted & set(sys.modules)), 'sqlite3' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = run.stdout.splitlines()
    assert before == "[]"
    assert after == "['h11', 'nvcf_core.client', 'nvcf_core.transport.clients'] False"


@pytest.mark.parametrize("name", ["Client", "FileLimiter"])
def test_what_is_loaded_when_it_is_asked_for(name: str) -> None:
    assert name in dir(nvcf_core)
    assert getattr(nvcf_core, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        _ = nvcf_core.Other
