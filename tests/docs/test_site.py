"""The site made of the pages: links out of docs/ lead to its own, notes to the tests are gone, nothing is fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from .pages import PAGES, ROOT, name_of


@pytest.fixture
def hooks(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(ROOT / "docs" / "site_hooks.py")


def page(uri: str) -> SimpleNamespace:
    return SimpleNamespace(file=SimpleNamespace(src_uri=uri))


@pytest.mark.parametrize(
    ("link", "turned"),
    [
        ("../../examples/see.py", "../examples/see.md"),
        ("../../SECURITY.md#versions", "../security.md#versions"),
        ("../../README.md", "../index.md"),
        ("../errors.md#broken-off", "../errors.md#broken-off"),
        ("tools.md", "tools.md"),
        ("https://example.com/a.md", "https://example.com/a.md"),
        ("../../no/such/file.py", "../../no/such/file.py"),
    ],
)
def test_links_lead_to_pages_of_the_site(hooks: ModuleType, link: str, turned: str) -> None:
    made = hooks.on_page_markdown(f"See [it]({link}).", page=page("guides/keys.md"))
    assert made == f"See [it]({turned})."


def test_a_page_of_a_file_shows_it(hooks: ModuleType) -> None:
    source = ROOT / "examples" / "see.py"
    shown = hooks._page_of(source)
    assert shown.startswith("# see.py\n")
    assert source.read_text(encoding="utf-8").strip() in shown


def test_a_notebook_is_shown_with_what_it_printed_and_drew(
    hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(
        '{"cells": [{"cell_type": "markdown", "source": ["# A"]}, {"cell_type": "code", "source": ["1 + 1"],'
        ' "outputs": [{"data": {"text/plain": ["2"]}}, {"text": ["three"]}, {"data": {"image/png": "iVBO\\n"}}]}]}'
    )
    shown = hooks._page_of(notebook)
    assert "# A\n\n`````python\n1 + 1\n`````\n\n`````text\n2\n`````" in shown
    assert "`````text\nthree\n`````" in shown
    assert 'data:image/png;base64,iVBO"' in shown


@pytest.mark.parametrize("source", PAGES, ids=name_of)
def test_no_note_to_the_tests_is_left(hooks: ModuleType, source: Path) -> None:
    if not source.is_relative_to(ROOT / "docs"):
        return
    uri = source.relative_to(ROOT / "docs").as_posix()
    made = hooks.on_page_markdown(source.read_text(encoding="utf-8"), page=page(uri))
    assert not [note for note in ("replies:", "needs:", "emulator:") if f"<!-- {note}" in made]


@pytest.mark.parametrize(
    "fetching",
    [
        '<script src="https://cdn.example/a.js">',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<img alt="" src="http://example.com/a.png">',
        "<style>a { background: url(https://example.com/a.png) }</style>",
    ],
)
def test_what_a_page_would_fetch_from_elsewhere_is_a_warning(
    hooks: ModuleType, fetching: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mkdocs.hooks.site"):
        hooks.on_post_page('<a href="https://example.com"><img src="a.png">', page=page("a.md"))
        assert not caplog.records
        hooks.on_post_page(fetching, page=page("a.md"))
    assert len(caplog.records) == 1
