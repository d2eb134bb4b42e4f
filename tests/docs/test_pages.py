"""The README and the pages of docs/: their code runs and prints what they say, and their links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import CO_COROUTINE
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nvcf_core.config.settings import Settings
from nvcf_core.models import known_models
from nvcf_emulator import Emulator

Load = Callable[[Path], ModuleType]

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CELLS = re.compile(r"</?(?:table|tr|td)[^>]*>")
_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass
class Example:
    """A block of Python on a page, and what it prints, where a block of text right after it says so."""

    code: str
    line: int
    prints: str | None


def examples(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    blocks = list(_FENCED.finditer(text))
    return [
        Example(block[2], text.count("\n", 0, block.start()) + 1, _said(text, block, blocks[n:]))
        for n, block in enumerate(blocks, start=1)
        if block[1] == "python"
    ]


def _said(text: str, block: re.Match[str], later: list[re.Match[str]]) -> str | None:
    """The text right after a block; what stands below blocks side by side is said by each of them."""
    end = block.end()
    for following in later:
        between = text[end : following.start()]
        if _CELLS.sub("", between).strip():
            return None
        if following[1] == "text":
            return following[2]
        if not _CELLS.search(between):
            return None
        end = following.end()
    return None


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def at_home(
    nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, restored_catalog: None
) -> None:
    """The environment that the pages speak of: the checkout's folder, the emulator's addresses and key."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NVIDIA_API_KEY", nvcf_emulator.api_key)
    monkeypatch.setenv("NVIDIA_BASE_URL", nvcf_emulator.base_url)
    monkeypatch.setenv("NVCF_URL", nvcf_emulator.nvcf_url)


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=_name)
def test_code(page: Path, at_home: None, nvcf_emulator: Emulator) -> None:
    """The blocks of a page run one after another, as in one session; `await` works as in a notebook."""
    if page == ROOT / "README.md":
        nvcf_emulator.load_script(ROOT / "examples" / "stand_in.yaml")
    names: dict[str, Any] = {"__name__": "__page__"}
    with asyncio.Runner() as runner:
        for example in examples(page):
            printed = _run(example, page, names, runner)
            if example.prints is not None:
                flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
                same = doctest.OutputChecker().check_output(example.prints, printed, flags)
                assert same, f"{_name(page)}:{example.line} prints:\n{printed}"


def _run(example: Example, page: Path, names: dict[str, Any], runner: asyncio.Runner) -> str:
    # Moved down to where it stands on the page, for tracebacks.
    source = "\n" * example.line + example.code
    code = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        if code.co_flags & CO_COROUTINE:
            runner.run(_awaited(code, names))
        else:
            exec(code, names)
    return printed.getvalue()


async def _awaited(code: Any, names: dict[str, Any]) -> None:
    await eval(code, names)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links(page: Path) -> None:
    """What a page links to within the project is there, and so are the tests that it names."""
    text = page.read_text(encoding="utf-8")
    for target, anchor in _LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        path = page.parent / target if target else page
        assert path.exists(), f"{_name(page)} links to {target}"
        assert not anchor or anchor[1:] in _anchors(path), f"{_name(page)}: {target}{anchor}"
    for file, test in _TEST.findall(text):
        assert (ROOT / file).is_file(), f"{_name(page)} names {file}"
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
    assert sum(len(examples(page)) for page in PAGES) > 20
