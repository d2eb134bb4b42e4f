"""`nvcf doctor`: what is wrong with this installation, its key or the way to the service, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import typer

from nvcf_cli.chat_model import ChatModel
from nvcf_cli.diagnosis.check import CheckResult
from nvcf_cli.diagnosis.environment import check_address, check_key, check_packages, check_python
from nvcf_cli.diagnosis.network import check_certificates, check_host
from nvcf_cli.diagnosis.service import check_assets, check_listing, check_model
from nvcf_cli.options import (
    NVCFURL,
    AsJSON,
    BaseURL,
    Models,
    MoreModels,
    chosen_models,
    service_settings,
)
from nvcf_cli.output import Output
from nvcf_core.config.endpoints import is_nvidia_https_url
from nvcf_core.errors import InvalidRequestError

__all__ = ["Diagnosis", "doctor"]

_TIMEOUT = 20.0
"""Seconds for each phase of a request."""

_ANY = "any"
"""The id of a model without a spec. No request is sent to it."""

_BASE_URL = ("NVIDIA_BASE_URL", "--base-url")

_STYLES = {"ok": "green", "note": "yellow", "failed": "bold red", "skipped": "dim"}


@dataclass
class Diagnosis:
    """All checks, one after another; what needs something that failed is skipped.

    Args:
        models: the ids of the models that are asked for one token.
        settings: `base_url` and `nvcf_url`, where they do not come from the environment.
        python: the first three numbers of Python's version.
    """

    models: Sequence[str]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    python: tuple[int, int, int] = sys.version_info[:3]
    _broken: dict[str, str] = field(default_factory=dict[str, str], init=False)
    """What failed on the way to a service, by the origin of its urls."""

    def checks(self) -> Iterator[CheckResult]:
        """Yield every check, as soon as it is made."""
        yield check_python(self.python)
        yield from check_packages()
        urls = self._given_urls()
        for name, url in urls.items():
            yield check_address(name, url, suffix="/v1" if name in _BASE_URL else "")
        usable = self._urls_are_usable()
        key = check_key(needed=usable and self._needs_key())
        yield key
        if not usable:
            yield CheckResult("service", "skipped", "nothing was sent: a url failed")
            return
        yield from self._network()
        if key.status == "failed":
            yield CheckResult("service", "skipped", "not asked: the key failed")
            return
        yield from self._service()

    def _urls_are_usable(self) -> bool:
        """Return whether requests can be made at all; one without its /v1 can, and shows what comes of it."""
        try:
            self._model(_ANY)
        except InvalidRequestError:
            return False
        return True

    def _needs_key(self) -> bool:
        return any(is_nvidia_https_url(url) for url in self._roots())

    def _given_urls(self) -> dict[str, str]:
        """The urls that were given, by the name of the option or variable that they come from."""
        found = {}
        for option, name in (("base_url", "NVIDIA_BASE_URL"), ("nvcf_url", "NVCF_URL")):
            if option in self.settings:
                found[f"--{option.replace('_', '-')}"] = self.settings[option]
            elif os.environ.get(name, "").strip():
                found[name] = os.environ[name].strip()
        return found

    def _network(self) -> Iterator[CheckResult]:
        """The way to every host that will be asked."""
        urls = self._roots()
        trusted = True
        if any(url.startswith("https://") for url in urls):
            certificates = check_certificates()
            trusted = certificates.status != "failed"
            yield certificates
        for url in urls:
            if url.startswith("https://") and not trusted:
                self._broken[_origin(url)] = "certificates"
                continue
            for check in check_host(url):
                if check.status == "failed":
                    self._broken[_origin(url)] = check.name
                yield check

    def _service(self) -> Iterator[CheckResult]:
        """Check the service: listing, models, assets."""
        listed: list[str] = []
        with self._model(_ANY) as model:
            service = model.endpoints
            if (skipped := self._skipped("models", service.base_url)) is None:
                listing, listed = check_listing(model)
            yield skipped or listing
        for name in self.models:
            with self._model(name) as model:
                skipped = self._skipped(f"model {name}", model.endpoints.base_url)
                yield skipped or check_model(model, listed)
        yield self._skipped("assets", service.nvcf_url) or check_assets(self._model(_ANY))

    def _skipped(self, name: str, url: str | None) -> CheckResult | None:
        """The line of a check that cannot be made, None where it can be."""
        broken = self._broken.get(_origin(url or ""))
        return CheckResult(name, "skipped", f"not asked: {broken} failed") if broken else None

    def _roots(self) -> list[str]:
        """A root at each host that will be asked: for the listing, the models, and assets."""
        found: dict[str, str] = {}
        for name in (_ANY, *self.models):
            for url in self._model(name).endpoints.roots:
                found.setdefault(_origin(url), url)
        return list(found.values())

    def _model(self, name: str) -> ChatModel:
        return ChatModel(
            model=name, max_retries=0, timeout=_TIMEOUT, poll_timeout=60.0, **self.settings
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def doctor(
    models: Models = None,
    model: MoreModels = None,
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
    as_json: AsJSON = False,
) -> None:
    """Check Python, packages, key, hosts, proxy, TLS, the listing, models and assets; say what to do.

    It costs a few tokens of each model that is named, none otherwise. The key is never shown.
    """
    output = Output(as_json=as_json)
    settings = service_settings(base_url, nvcf_url)
    checks = []
    with output.failures():
        for check in Diagnosis(chosen_models(models, model), settings).checks():
            checks.append(check)
            _show(check, output)
    failed = [check for check in checks if check.status == "failed"]
    output.document({"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        _complain(failed, output)
        raise typer.Exit(1)


def _complain(failed: Sequence[CheckResult], output: Output) -> None:
    if output.is_terminal:  # The lines above say the rest.
        output.complain("failed: " + ", ".join(check.name for check in failed))
        return
    for check in failed:
        output.complain(f"{check.name}: {check.detail}")


def _show(check: CheckResult, output: Output) -> None:
    output.piece(f"{check.status:<8}", _STYLES[check.status])
    output.line(f"{check.name}: {check.detail}")
    if check.advice:
        output.line(f"        → {check.advice}", "cyan")
