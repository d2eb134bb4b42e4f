"""The pages of the project and their blocks: on which tab each stands, what it needs, and what it prints."""

from __future__ import annotations

import doctest
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PAGES", "ROOT", "Block", "blocks", "emulator_of", "name_of", "prints_the_same", "tabs"]

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCED = re.compile(
    r"(?P<notes>(?:^ *<!-- (?:replies|needs):\s(?:(?!-->).)*-->\s*^)?)"
    r"(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_NOTE = re.compile(r"<!-- (\w+):(.*?)-->", re.DOTALL)
_EMULATOR = re.compile(r"^<!-- emulator: (.*?)-->", re.MULTILINE)
_CELLS = re.compile(r"</?(?:table|tr|td)[^>]*>")
_TAB = re.compile(r'^=== "(.+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    language: str
    code: str
    line: int
    tab: str
    """The title of the tab that it stands on, or nothing."""
    replies: Sequence[dict[str, Any]]
    """What the emulator is to answer, as in a file for `nvcf-emulator --script`; the page does not show it."""
    needs: Sequence[str]
    """Packages without which it cannot run, beyond those of the extra `test`."""
    prints: str | None
    """What it prints, where a block of text right after it says so."""


def name_of(page: Path) -> str:
    """A page as messages name it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, as they stand there."""
    text = page.read_text(encoding="utf-8")
    return [block for block in _blocks(text) if block.language in languages]


def tabs(page: Path) -> list[str]:
    """The titles of the tabs that have Python on them; the empty one where none has but the page has some."""
    found = blocks(page, "python")
    titles = list(dict.fromkeys(block.tab for block in found if block.tab))
    return titles or ([""] if found else [])


def emulator_of(page: Path) -> dict[str, Any]:
    """The emulator that a page is run against, in the keywords of its marker: a note says it, and is not shown."""
    said = _EMULATOR.search(page.read_text(encoding="utf-8"))
    return {"strict": False, **(yaml.safe_load(said[1]) if said else {})}


def prints_the_same(said: str, printed: str) -> bool:
    """Whether a program printed what a page says, where ... stands for anything and white space does not count."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(said, printed, flags)


def _blocks(text: str) -> Iterator[Block]:
    fenced = list(_FENCED.finditer(text))
    for number, block in enumerate(fenced, start=1):
        notes = {name: yaml.safe_load(note) for name, note in _NOTE.findall(block["notes"])}
        yield Block(
            language=block["language"],
            code=textwrap.dedent(block["code"]),
            line=text.count("\n", 0, block.start("indent")) + 1,
            tab=_tab(text, block),
            replies=notes.get("replies", ()),
            needs=notes.get("needs", ()),
            prints=_said(text, block, fenced[number:]),
        )


def _said(text: str, block: re.Match[str], later: Sequence[re.Match[str]]) -> str | None:
    """The text right after a block; what stands below blocks side by side is said by each of them."""
    end = block.end()
    for following in later:
        between = text[end : following.start()]
        if _CELLS.sub("", between).strip() or following["indent"] != block["indent"]:
            return None
        if following["language"] == "text":
            return textwrap.dedent(following["code"])
        if not _CELLS.search(between):
            return None
        end = following.end()
    return None


def _tab(text: str, block: re.Match[str]) -> str:
    if not block["indent"]:
        return ""
    titles = _TAB.findall(text, 0, block.start())
    if not titles or len(block["indent"]) != 4:
        raise ValueError(f"an indented block that stands on no tab:\n{block[0]}")
    return str(titles[-1])
