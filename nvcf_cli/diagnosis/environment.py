"""Checks of this machine: Python, the installed packages, the key, the urls. Nothing is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from pydantic import SecretStr

from nvcf_core.config.endpoints import validate_root_url
from nvcf_core.errors import InvalidRequestError

from .check import CheckResult

__all__ = [
    "DISTRIBUTION",
    "check_address",
    "check_key",
    "check_packages",
    "check_python",
    "installed_version",
]

DISTRIBUTION = "nvcf-adapters"

_OLDEST_PYTHON = (3, 11)

_ADAPTERS = {"langchain": "langchain-core", "llamaindex": "llama-index-core"}
"""The framework that each adapter's extra brings."""

_SHAPE = re.compile(r"nvapi-[A-Za-z0-9_-]{20,}")

VersionOf = Callable[[str], str | None]


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check_python(version: tuple[int, int, int]) -> CheckResult:
    """Check whether this Python is new enough.

    Args:
        version: the first three numbers of `sys.version_info`.
    """
    running = ".".join(map(str, version))
    if version[:2] >= _OLDEST_PYTHON:
        return CheckResult("Python", "ok", running)
    oldest = ".".join(map(str, _OLDEST_PYTHON))
    return CheckResult(
        "Python",
        "failed",
        f"{running} is too old: nvcf-adapters needs {oldest} or newer",
        f"make an environment with a newer one: python{oldest} -m venv .venv",
    )


def check_packages(version_of: VersionOf = installed_version) -> Iterator[CheckResult]:
    """Yield which of the packages that this project works with are installed, and whether they fit.

    Args:
        version_of: the version of an installed distribution, None where it is not installed.
    """
    wanted = _requirements()
    own = version_of(DISTRIBUTION)
    yield CheckResult(
        DISTRIBUTION, "ok" if own else "note", own or "runs from a source tree, not installed"
    )
    for name in ("httpx", "pydantic"):
        yield _check_package(name, wanted.get(name), version_of(name), "pip install nvcf-adapters")
    found = {framework: version_of(framework) for framework in _ADAPTERS.values()}
    for extra, framework in _ADAPTERS.items():
        command = f'pip install "nvcf-adapters[{extra}]"'
        if found[framework] is None and any(found.values()):
            yield CheckResult(
                framework, "note", f"not installed: {extra}_nvcf cannot be imported", command
            )
        else:
            yield _check_package(framework, wanted.get(framework), found[framework], command)


def _requirements() -> dict[str, Requirement]:
    """Return the requirements of the installed project by name, extras included."""
    try:
        declared = metadata.requires(DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:
        declared = ()
    return {wanted.name: wanted for wanted in map(Requirement, declared)}


def _check_package(
    name: str, wanted: Requirement | None, found: str | None, command: str
) -> CheckResult:
    if found is None:
        return CheckResult(name, "failed", "not installed", command)
    if wanted is not None and not wanted.specifier.contains(found, prereleases=True):
        return CheckResult(
            name, "failed", f"{found} does not fit: {wanted.specifier} is needed", command
        )
    return CheckResult(name, "ok", found)


def check_key(*, needed: bool) -> CheckResult:
    """Check whether there is a key in the environment and whether it looks like one. It is never shown.

    Args:
        needed: whether the service is NVIDIA's, which takes no request without a key.
    """
    raw = os.environ.get("NVIDIA_API_KEY", "")
    key = SecretStr(raw.strip())
    length = len(key.get_secret_value())
    if not length and needed:
        return CheckResult(
            "key",
            "failed",
            "there is no key: NVIDIA_API_KEY is not set or empty",
            "make one at https://build.nvidia.com and export NVIDIA_API_KEY=nvapi-…",
        )
    if not length:
        return CheckResult("key", "note", "NVIDIA_API_KEY is not set: requests go without a key")
    if re.search(r"\s", key.get_secret_value()) or not key.get_secret_value().isascii():
        return CheckResult(
            "key",
            "failed",
            f"NVIDIA_API_KEY has {length} characters, among them some that no key has: "
            "white space, or letters outside ASCII",
            "copy the key again, in one line and without quotation marks",
        )
    if not _SHAPE.fullmatch(key.get_secret_value()):
        return CheckResult(
            "key",
            "note",
            f"NVIDIA_API_KEY is set, {length} characters; keys of NVIDIA's begin with nvapi- and are longer",
            "copy the whole key from https://build.nvidia.com" if needed else "",
        )
    return CheckResult(
        "key", "ok", f"NVIDIA_API_KEY is set, {length} characters, begins with nvapi-"
    )


def check_address(name: str, url: str, *, suffix: str = "") -> CheckResult:
    """Check whether a root url has the form that it needs.

    Args:
        name: the environment variable, or whatever else it comes from.
        url: the root.
        suffix: how its path has to end, such as `/v1`.
    """
    try:
        root = validate_root_url(url, name)
    except InvalidRequestError as error:
        return CheckResult(
            name, "failed", str(error), f"set {name} to a url such as https://host{suffix}"
        )
    if not root.endswith(suffix):
        return CheckResult(
            name,
            "failed",
            f"{root} does not end in {suffix}: every request would miss its path",
            f"set {name}={root}{suffix}",
        )
    return CheckResult(name, "ok", root)
