"""What mkdocs cannot do by itself: pages of files that lie outside docs/, and no trace of the notes to the tests.

On the pages a link to a file outside of docs/ leads to that file, as a reader of the checkout expects. In the site it
leads to a page that is made of the file.
"""

from __future__ import annotations

import json
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown", "on_post_page"]

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)#\s]+)((?:#[^)\s]*)?(?=\)))")
_NOTE = re.compile(
    r"^ *<!-- (?:replies|needs|emulator):\s(?:(?!-->).)*-->\n\s*?(?=^)", re.MULTILINE | re.DOTALL
)
_FETCHED = re.compile(r'(?:\bsrc=|<link\b[^>]*\bhref=|url\()["\']?((?:https?:)?//[^"\'\s>)]+)')
_log = logging.getLogger("mkdocs.hooks.site")
_LANGUAGES = {
    ".py": "python",
    ".yaml": "yaml",
    ".toml": "toml",
    ".html": "html",
    ".css": "css",
    ".js": "js",
}
"""Of the files that are shown as they are, the suffix and the language."""
_IN_NAVIGATION = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")
_OWN_NAMES = {"README.md": "index.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to or the navigation names."""
    from mkdocs.structure.files import File

    todo = [ROOT / "docs" / file.src_uri for file in files.documentation_pages()]
    todo += [ROOT / name for name in _IN_NAVIGATION]
    seen = set(todo)
    while todo:
        path = todo.pop()
        uri = _uri(path)
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, content=_page_of(path)))
        if path.suffix == ".md":
            linked = [path for path in _linked(path) if path not in seen and _is_page(path)]
            seen.update(linked)
            todo.extend(linked)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Take out the notes to the tests, and turn links out of docs/ to the pages that stand for them."""
    source = _source(page.file.src_uri)
    folder = posixpath.dirname(page.file.src_uri)

    def turned(link: re.Match[str]) -> str:
        path = _target(source, link[1])
        if path is None:
            return link[0]
        return posixpath.relpath(_uri(path), folder or ".") + link[2]

    return _LINK.sub(turned, _NOTE.sub("", markdown))


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Warn, which fails a strict build, of whatever a page would fetch from elsewhere when it is looked at."""
    for found in _FETCHED.findall(output):
        _log.warning("%s would fetch %s", page.file.src_uri, found)
    return output


def _linked(page: Path) -> Iterator[Path]:
    for target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        path = _target(page, target)
        if path is not None:
            yield path


def _target(page: Path, link: str) -> Path | None:
    """The file that a link of a page leads to, where a page can stand for it."""
    path = (page.parent / link).resolve()
    if path.is_dir():
        path /= "README.md"
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _is_page(path: Path) -> bool:
    return path.suffix in (".md", ".ipynb", *_LANGUAGES)


def _uri(path: Path) -> str:
    """Where the page of a file stands in the site."""
    below = path.relative_to(ROOT)
    if below.parts[0] == "docs":
        return Path(*below.parts[1:]).as_posix()
    if below.name in _OWN_NAMES:
        return (below.parent / _OWN_NAMES[below.name]).as_posix()
    if len(below.parts) == 1:
        return below.name.lower()
    return below.with_suffix(".md").as_posix()


def _source(uri: str) -> Path:
    """The file that a page of the site is made of."""
    found: Path | None = _SOURCES.get(uri)
    return found or ROOT / "docs" / uri


_SOURCES: dict[str, Path] = {}


def _page_of(path: Path) -> str:
    """A page, in Markdown, that shows a file."""
    _SOURCES[_uri(path)] = path
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    if path.suffix == ".ipynb":
        return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _parts_of(cell))
    return f"# {path.name}\n\n{_fenced(text, _LANGUAGES[path.suffix])}"


def _parts_of(cell: dict[str, Any]) -> Iterator[str]:
    """A cell of a notebook and what it printed or drew."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield _fenced(source, "python")
    for output in cell["outputs"]:
        data = output.get("data", {})
        kind = next((kind for kind in ("image/png", "image/jpeg") if kind in data), None)
        if kind is not None:
            drawn = "".join(data[kind]).replace("\n", "")
            yield f'<img alt="What the cell above shows." src="data:{kind};base64,{drawn}">'
        elif printed := output.get("text") or data.get("text/plain"):
            yield _fenced("".join(printed), "text")


def _fenced(text: str, language: str) -> str:
    return f"`````{language}\n{text.rstrip()}\n`````"
