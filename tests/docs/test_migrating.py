"""The pages for those who come from other packages: the keywords of their tables exist, and both programs run."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.config.keywords import ALIASES, check_spelling
from nvcf_emulator import Emulator

from .pages import ROOT, blocks

pytestmark = pytest.mark.peers

FOLDER = ROOT / "docs" / "migrate"


@dataclass(frozen=True)
class Peer:
    """A class that a page leads away from, and the one that it leads to."""

    module: str
    name: str
    framework: type[BaseModel]
    ours: type[BaseModel]

    @property
    def theirs(self) -> Any:
        return getattr(importlib.import_module(self.module), self.name)


PEERS = {
    "langchain-nvidia-ai-endpoints": Peer(
        "langchain_nvidia_ai_endpoints", "ChatNVIDIA", BaseChatModel, ChatNVCF
    ),
    "langchain-openai": Peer("langchain_openai", "ChatOpenAI", BaseChatModel, ChatNVCF),
    "llama-index-llms-nvidia": Peer("llama_index.llms.nvidia", "NVIDIA", FunctionCallingLLM, NVCF),
    "llama-index-llms-openai-like": Peer(
        "llama_index.llms.openai_like", "OpenAILike", FunctionCallingLLM, NVCF
    ),
}
CLIENTS = {"client", "async_client", "root_client", "root_async_client"}
"""Objects of their own that they keep in fields."""

_REST = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_ROW = re.compile(r"^\| (`.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


def keywords(peer: Peer) -> dict[tuple[str, ...], str]:
    """The names of each keyword that the framework does not have itself, and its default as a page writes it."""
    given = inspect.signature(peer.theirs.__init__).parameters
    found = {}
    for name, field in peer.theirs.model_fields.items():
        if name in peer.framework.model_fields or name in CLIENTS:
            continue
        names = (name, *([field.alias] if field.alias and field.alias != name else []))
        default = next((given[n].default for n in names if n in given), None)
        found[names] = _default(field.default if default is None else default)
    known = {"self", *peer.framework.model_fields, *(name for names in found for name in names)}
    for name, parameter in given.items():
        if name not in known and parameter.kind not in _REST:
            found[name,] = _default(parameter.default)
    for name in re.findall(r'kwargs\.pop\("(\w+)"', inspect.getsource(peer.theirs.__init__)):
        if name not in known:
            found[name,] = ""
    return found


def _default(value: Any) -> str:
    return "" if value is None or value is PydanticUndefined else f"`{value!r}`"


def rows(page: Path) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The names there, the default there, and what is here, of each row of a page's table."""
    for theirs, default, here in _ROW.findall(page.read_text(encoding="utf-8")):
        yield tuple(re.findall(r"`(\w+)`", theirs)), default, here


def test_every_page_has_its_class() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == set(PEERS)


@pytest.mark.parametrize("name", PEERS)
def test_the_table_names_every_keyword_there(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    [version] = re.findall(rf" in {name} (\S+?);", text)
    if version != (installed := importlib.metadata.version(name)):
        pytest.skip(f"the page speaks of {name} {version}; {installed} may have other keywords")
    told = {theirs: default for theirs, default, _ in rows(FOLDER / f"{name}.md")}
    expected = keywords(PEERS[name])
    said_otherwise = {"verify_ssl": "`True`"}  # Its default stands in the code alone.
    assert {
        names: said_otherwise.get(names[0], default) for names, default in expected.items()
    } == told


@pytest.mark.parametrize("name", PEERS)
def test_what_the_table_names_here_are_keywords(name: str) -> None:
    ours = PEERS[name].ours
    for theirs, _, here in rows(FOLDER / f"{name}.md"):
        assert here.startswith(("`", "the same", "–")), here
        if here.startswith("`"):
            [keyword] = re.findall(r"^`(\w+)`", here)
            assert keyword in ours.model_fields, keyword
        elif here.startswith("the same"):
            for keyword in theirs:
                accepted = keyword in ours.model_fields or keyword in ALIASES
                in_the_body = keyword in ("model_kwargs", "additional_kwargs")
                if not accepted and not in_the_body:  # A field of the body, and no misspelling.
                    check_spelling(keyword, frozenset(ours.model_fields))


@pytest.mark.slow
@pytest.mark.parametrize("side", "-+")
@pytest.mark.parametrize("name", PEERS)
def test_the_programs_run(name: str, side: str, nvcf_env: Emulator) -> None:
    """Before and after, they print the same."""
    [block] = blocks(FOLDER / f"{name}.md", "diff")
    lines = [line[1:] for line in block.code.splitlines(True) if line[:1] in (side, " ")]
    program = "".join(lines).replace("https://integrate.api.nvidia.com/v1", nvcf_env.base_url)
    nvcf_env.reply("Hello.")
    # In a process of its own: not all of them close what they open.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False
    )
    assert done.stdout == "Hello.\n", done.stderr
    nvcf_env.assert_all_used()
