"""A script that is written in a file: a list of replies and failures, in YAML or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvcf_emulator.script.script import Script

__all__ = ["load_script"]


def load_script(script: Script, path: Path) -> None:
    """Script what a file says.

    Args:
        script: Where to.
        path: A YAML file that holds a list of dicts: one with `status` has the keywords of
            `Script.fail`, any other those of `Script.reply`.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a list; names the line.
    """
    import yaml

    text = path.read_text(encoding="utf-8")
    try:
        entries = yaml.safe_load(text)
        tree: Any = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if tree is None or not isinstance(entries, list):
        raise ValueError(f"{path} must hold a list of replies, got {type(entries).__name__}")
    for entry, node in zip(entries, tree.value, strict=True):
        try:
            _require_each_key_once(node)
            _add(script, entry)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {node.start_mark.line + 1}: {error}") from error


def _add(script: Script, entry: object) -> None:
    if not isinstance(entry, Mapping):
        raise TypeError(f"a dict of the keywords of reply or fail is wanted, got {entry!r}")
    keywords: dict[str, Any] = {str(name): value for name, value in entry.items()}
    if "status" in keywords:
        script.fail(**keywords)
    else:
        script.reply(**keywords)


def _require_each_key_once(node: Any) -> None:
    """Refuse a key that comes twice, of which YAML would take the last."""
    if isinstance(node.value, str):
        return
    seen: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and str(key.value) in seen:
            raise ValueError(f"{key.value!r} stands there twice")
        if key is not None:
            seen.add(str(key.value))
        _require_each_key_once(value)
