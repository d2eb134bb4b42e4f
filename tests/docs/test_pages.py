"""The README and the pages of docs/: their code runs and prints what they say, and their links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
from collections.abc import Callable
from inspect import CO_COROUTINE
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nvcf_core.config.settings import Settings
from nvcf_core.models import known_models
from nvcf_emulator import Emulator

from .pages import PAGES, ROOT, Block, blocks, emulator_of, name_of, prints_the_same, tabs

Load = Callable[[Path], ModuleType]

_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
SESSIONS = [
    pytest.param(
        page,
        tab,
        id=f"{name_of(page)}-{tab}".rstrip("-"),
        marks=pytest.mark.nvcf_emulator(**emulator_of(page)),
    )
    for page in PAGES
    for tab in tabs(page)
]
LOCAL = "http://localhost:8000/v1"
"""What pages call a server of one's own: while they run, the emulator."""


@pytest.fixture
def at_home(
    nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, restored_catalog: None
) -> None:
    """The environment that the pages speak of: the checkout's folder, the emulator's addresses and key."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NVIDIA_API_KEY", nvcf_emulator.api_key)
    monkeypatch.setenv("NVIDIA_BASE_URL", nvcf_emulator.base_url)
    monkeypatch.setenv("NVCF_URL", nvcf_emulator.nvcf_url)


@pytest.mark.filterwarnings(
    # LlamaIndex's workflows look through all attributes of an agent.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",
    "ignore::pydantic.warnings.PydanticDeprecatedSince211",
)
@pytest.mark.parametrize(("page", "tab"), SESSIONS)
def test_code(page: Path, tab: str, at_home: None, nvcf_emulator: Emulator) -> None:
    """A page read with one of its tabs open: its blocks run one after another, as in one session.

    `await` works as in a notebook. A block without tab is read with each. Tests that it defines are run.
    """
    read = [block for block in blocks(page, "python") if block.tab in ("", tab)]
    for package in sorted({package for block in read for package in block.needs}):
        pytest.importorskip(package, reason=f"a block of this page needs {package}")
    if page == ROOT / "README.md":
        nvcf_emulator.load_script(ROOT / "examples" / "stand_in.yaml")
    names: dict[str, Any] = {"__name__": "__page__"}
    with asyncio.Runner() as runner:
        for block in read:
            for reply in block.replies:
                (nvcf_emulator.fail if "status" in reply else nvcf_emulator.reply)(**reply)
            known = set(names)
            printed = _run(block, page, names, runner, nvcf_emulator)
            for test in [n for n in names if n.startswith("test_") and n not in known]:
                _run_test(names[test], nvcf_emulator, runner)
            where = f"{name_of(page)}:{block.line}"
            left = [step for step in nvcf_emulator.pending if step.times is not None]
            assert not (block.replies and left), f"{where} did not ask for {left}"
            if block.prints is not None:
                same = prints_the_same(block.prints, printed)
                assert same, f"{where} prints:\n{printed}"


def _run(
    block: Block, page: Path, names: dict[str, Any], runner: asyncio.Runner, server: Emulator
) -> str:
    # Moved down to where it stands on the page, for tracebacks.
    source = "\n" * block.line + block.code.replace(LOCAL, server.base_url)
    code = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        if code.co_flags & CO_COROUTINE:
            runner.run(_awaited(code, names))
        else:
            exec(code, names)
    return printed.getvalue()


def _run_test(test: Callable[..., Any], server: Emulator, runner: asyncio.Runner) -> None:
    """Run a test that a page shows, with the emulator for the fixture that it takes."""
    assert set(inspect.signature(test).parameters) <= {"nvcf_emulator", "nvcf_env"}
    server.clear()
    done = test(server)
    if inspect.iscoroutine(done):
        runner.run(done)
    server.assert_all_used()
    server.clear()


async def _awaited(code: Any, names: dict[str, Any]) -> None:
    await eval(code, names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links(page: Path) -> None:
    """What a page links to within the project is there, and so are the tests that it names."""
    text = page.read_text(encoding="utf-8")
    for target, anchor in _LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        path = page.parent / target if target else page
        assert path.exists(), f"{name_of(page)} links to {target}"
        assert not anchor or anchor[1:] in _anchors(path), f"{name_of(page)}: {target}{anchor}"
    for file, test in _TEST.findall(text):
        assert (ROOT / file).is_file(), f"{name_of(page)} names {file}"
        assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_keyword_is_in_the_table_of_the_configuration() -> None:
    lines = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8").splitlines()
    keywords = [line.split("|")[1] for line in lines if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(keywords))) == set(Settings.model_fields)


def test_the_tree_of_the_architecture_is_that_of_the_source(load: Load) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    generator = load(ROOT / "docs" / "generate_architecture.py")
    assert generator.page(text) == text, "run: python docs/generate_architecture.py"


def test_the_models_of_the_readme_are_those_of_the_rows() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|.* \| ([\d,]+) \|$", page, re.MULTILINE)
    assert rows == [(spec.id, f"{spec.context_window:,}") for spec in known_models()]


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120, "more than two screens"


def test_the_pages_have_code() -> None:
    assert sum(len(blocks(page, "python")) for page in PAGES) > 20


def test_a_page_is_read_with_one_tab_open(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nshared\n```\n\n"
        '=== "One"\n\n    <!-- replies: [{text: Yes.}] -->\n\n    ```python\n    one\n    ```\n\n'
        "    ```text\n    Yes.\n    ```\n\n"
        '=== "Two"\n\n    <!-- needs: [fastapi] -->\n    ```python\n    if two:\n        two\n    ```\n'
    )
    shared, one, two = blocks(page, "python")
    assert (shared.tab, shared.prints, shared.code) == ("", None, "shared\n")
    assert (one.tab, one.prints, one.replies) == ("One", "Yes.\n", [{"text": "Yes."}])
    assert (two.tab, two.needs, two.code) == ("Two", ["fastapi"], "if two:\n    two\n")
    assert [block.line for block in (shared, one, two)] == [1, 9, 20]
    assert tabs(page) == ["One", "Two"]
