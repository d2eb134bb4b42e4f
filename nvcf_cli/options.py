"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nvcf_core.models.catalog import known_models

__all__ = [
    "NVCFURL",
    "AsJSON",
    "BaseURL",
    "Models",
    "MoreModels",
    "chosen_models",
    "complete_model",
    "service_settings",
]


def complete_model(incomplete: str) -> list[str]:
    """The ids of documented models that begin like this, for the shell's completion."""
    return [spec.id for spec in known_models() if spec.id.startswith(incomplete)]


AsJSON = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
BaseURL = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Root that ends in /v1. Default: NVIDIA_BASE_URL, else NVIDIA's.",
    ),
]
NVCFURL = Annotated[
    str | None,
    typer.Option(
        "--nvcf-url",
        metavar="URL",
        help="Root of the asset and polling API. Default: NVCF_URL, else NVIDIA's beside NVIDIA's models.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]…", autocompletion=complete_model),
]
MoreModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="The same as the argument; may be repeated.",
        autocompletion=complete_model,
    ),
]


def service_settings(base_url: str | None, nvcf_url: str | None) -> dict[str, Any]:
    """The constructor's keywords that say where the service is; what is None comes from the environment."""
    given = {"base_url": base_url, "nvcf_url": nvcf_url}
    return {name: url for name, url in given.items() if url is not None}


def chosen_models(arguments: list[str] | None, options: list[str] | None) -> list[str]:
    """The models that were named as arguments and as options, each once, in order."""
    return list(dict.fromkeys([*(arguments or ()), *(options or ())]))
