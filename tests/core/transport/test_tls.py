"""TLS contexts: one for the process and each `verify`; files that are not there are named."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from nvcf_core.errors import InvalidRequestError
from nvcf_core.transport.clients import ClientConfig
from nvcf_core.transport.tls import aload_context, load_context


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.mark.parametrize("verify", [True, False])
async def test_one_context_for_the_process(verify: bool) -> None:
    context = load_context(verify)
    assert load_context(verify) is context
    assert await aload_context(verify) is context
    assert (context.verify_mode is ssl.CERT_REQUIRED) is verify
    assert context.check_hostname is verify


def test_the_users_own_context_is_used_as_it_is() -> None:
    own = ssl.create_default_context()
    assert load_context(own) is own


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(InvalidRequestError, match=rf"{variable}: cannot use .*nowhere"):
        load_context(True)
    assert not load_context(False).check_hostname


def test_folders_of_certificates_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = load_context(True)
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(("nowhere", str(tmp_path))))
    assert load_context(True) is not trusted


def test_a_folder_of_certificates(tmp_path: Path) -> None:
    assert ClientConfig(verify=str(tmp_path)).client().owned


async def test_a_file_that_holds_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(InvalidRequestError, match="verify: cannot use"):
        ClientConfig(verify=tmp_path / "ca.pem").client()
    with pytest.raises(InvalidRequestError, match="verify: cannot use"):
        await ClientConfig(verify=tmp_path / "ca.pem").async_client()
