"""`nvcf doctor` names the cause in environments that are broken, one way each."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nvcf_cli.commands.doctor import Diagnosis
from nvcf_cli.diagnosis.environment import check_packages, check_python
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
NVIDIA = "https://integrate.api.nvidia.com/v1"
REFUSAL = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"


def checks(document: Any) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in document["checks"]}


def failed(document: Any) -> set[str]:
    return {name for name, check in checks(document).items() if check["status"] == "failed"}


def test_all_is_well(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("doctor", KIMI, "--model", "google/paligemma")
    assert ended.status == 0
    assert ended.err == ""
    lines = {line.split(": ")[0].split(maxsplit=1)[1]: line for line in ended.out.splitlines()}
    for name in ("Python", "httpx", "key", "models", f"model {KIMI}", "model google/paligemma"):
        assert lines[name].startswith("ok"), lines[name]
    assert lines["assets"] == "ok      assets: created, put and deleted"
    assert [chat.body["max_tokens"] for chat in service.chats] == [1, 1]
    (asset,) = service.assets.values()
    assert asset.state == "deleted"


def test_json_is_one_document(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("doctor", "--json")
    assert ended.status == 0
    assert ended.err == ""
    assert ended.document["ok"] is True
    assert checks(ended.document)["key"]["status"] == "ok"
    assert not service.chats


def test_no_key(nvcf: Any, monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("NVIDIA_BASE_URL", NVIDIA)
    monkeypatch.setenv(
        "HTTPS_PROXY", f"http://127.0.0.1:{closed_port}"
    )  # Nothing leaves the machine.
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    assert "key" in failed(ended.document)
    assert "NVIDIA_API_KEY is not set" in checks(ended.document)["key"]["detail"]
    assert "export NVIDIA_API_KEY" in checks(ended.document)["key"]["advice"]
    assert "key: there is no key" in ended.err


@pytest.mark.parametrize(
    "key", ["nvapi-first part and a second", "nvapi-\nhalf", "nvapi-schlüssel"]
)
def test_a_key_that_is_none(
    nvcf: Any, service: Emulator, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", key)
    ended = nvcf("doctor")
    assert ended.status == 1
    assert "characters, among them some that no key has" in ended.err
    assert key not in ended.out + ended.err
    assert not service.requests


def test_a_key_of_another_shape_is_noted(
    nvcf: Any, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add_key("short-one")
    monkeypatch.setenv("NVIDIA_API_KEY", "short-one")
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 0
    assert checks(ended.document)["key"]["status"] == "note"
    assert "short-one" not in ended.out


def test_a_wrong_key(nvcf: Any, service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-" + "w" * 40)
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    check = checks(ended.document)[f"model {KIMI}"]
    assert check["status"] == "failed"
    assert "does not accept the key in NVIDIA_API_KEY" in check["advice"]
    assert checks(ended.document)["assets"]["status"] == "failed"
    assert "w" * 40 not in ended.out + ended.err


def test_spent_credits(nvcf: Any, service: Emulator) -> None:
    service.fail("credits")
    ended = nvcf("doctor", KIMI, "--json")
    assert checks(ended.document)[f"model {KIMI}"]["advice"] == "the account's credits are spent"


def test_a_base_url_without_v1(
    nvcf: Any, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = service.base_url.removesuffix("/v1")
    monkeypatch.setenv("NVIDIA_BASE_URL", f"{root}/")
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    check = checks(ended.document)["NVIDIA_BASE_URL"]
    assert check["status"] == "failed"
    assert "does not end in /v1" in check["detail"]
    assert check["advice"] == f"set NVIDIA_BASE_URL={root}/v1"
    assert {"models", f"model {KIMI}"} <= failed(ended.document)
    assert "does not end in /v1" in ended.err


def test_a_url_that_is_none(nvcf: Any, service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_BASE_URL", "integrate.api.nvidia.com/v1")
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    assert failed(ended.document) == {"NVIDIA_BASE_URL"}
    assert checks(ended.document)["service"]["status"] == "skipped"
    assert not service.requests


def test_a_host_that_cannot_be_reached(
    nvcf: Any, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("NVIDIA_BASE_URL", f"http://127.0.0.1:{closed_port}/v1")
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    assert failed(ended.document) == {f"TCP 127.0.0.1:{closed_port}"}
    assert (
        "check that the server runs"
        in checks(ended.document)[f"TCP 127.0.0.1:{closed_port}"]["advice"]
    )
    skipped = checks(ended.document)[f"model {KIMI}"]
    assert skipped["status"] == "skipped"
    assert f"TCP 127.0.0.1:{closed_port} failed" in skipped["detail"]


def test_a_host_without_an_address(nvcf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_BASE_URL", "http://models.invalid/v1")
    ended = nvcf("doctor", "--json")
    assert ended.status == 1
    assert failed(ended.document) == {"DNS models.invalid"}


def test_a_proxy_that_refuses(
    nvcf: Any, listen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listen(REFUSAL)
    monkeypatch.setenv("NVIDIA_BASE_URL", NVIDIA)
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-" + "k" * 40)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    name = f"proxy http://127.0.0.1:{proxy.port}"
    assert name in failed(ended.document)
    assert "HTTP/1.1 403 Forbidden" in checks(ended.document)[name]["detail"]
    assert "NO_PROXY" in checks(ended.document)[name]["advice"]
    assert "secret" not in ended.out + ended.err
    assert proxy.heads[0].startswith(b"CONNECT integrate.api.nvidia.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in proxy.heads[0]
    assert all(b"nvapi-" not in head for head in proxy.heads)


def test_a_proxy_that_is_not_there(
    nvcf: Any, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("NVIDIA_BASE_URL", NVIDIA)
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-" + "k" * 40)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port}")
    ended = nvcf("doctor", "--json")
    check = checks(ended.document)[f"proxy http://127.0.0.1:{closed_port}"]
    assert "the proxy does not respond" in check["detail"]


@pytest.mark.parametrize(
    ("url", "said", "advice"),
    [
        ("ftp://127.0.0.1:1", "ftp is not a kind of proxy", "http://, https:// or socks5://"),
        ("socks5://127.0.0.1:1", "a SOCKS proxy needs a package", 'pip install "httpx[socks]"'),
    ],
)
def test_a_proxy_of_another_kind(
    nvcf: Any, monkeypatch: pytest.MonkeyPatch, url: str, said: str, advice: str
) -> None:
    monkeypatch.setattr("nvcf_cli.diagnosis.network.find_spec", lambda _: None)
    monkeypatch.setenv("NVIDIA_BASE_URL", NVIDIA)
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-" + "k" * 40)
    monkeypatch.setenv("ALL_PROXY", url)
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    assert failed(ended.document) == {f"proxy {url}"}
    check = checks(ended.document)[f"proxy {url}"]
    assert said in check["detail"]
    assert advice in check["advice"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"not a certificate", "cannot load"), (b"", "cannot load")],
    ids=["missing", "garbage", "empty"],
)
def test_a_bad_ca_file(
    nvcf: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: bytes | None,
    said: str,
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("NVIDIA_BASE_URL", "https://127.0.0.1:1/v1")
    ended = nvcf("doctor", KIMI, "--json")
    assert ended.status == 1
    assert failed(ended.document) == {"certificates"}
    check = checks(ended.document)["certificates"]
    assert said in check["detail"]
    assert str(path) in check["detail"]
    assert "SSL_CERT_FILE" in check["advice"]
    assert checks(ended.document)[f"model {KIMI}"]["status"] == "skipped"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    path = tmp_path / "server.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(path), "-out", str(tmp_path / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return path


def test_a_certificate_that_is_not_trusted(
    nvcf: Any, listen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = listen(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", context)
    monkeypatch.setenv("NVIDIA_BASE_URL", f"https://127.0.0.1:{server.port}/v1")
    ended = nvcf("doctor", "--json")
    assert failed(ended.document) == {"TLS 127.0.0.1"}
    check = checks(ended.document)["TLS 127.0.0.1"]
    assert "the certificate is not trusted: self" in check["detail"]
    assert "SSL_CERT_FILE" in check["advice"]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("cert.pem")))
    trusted = nvcf("doctor", "--json")
    assert checks(trusted.document)["TLS 127.0.0.1"]["status"] == "ok"
    assert failed(trusted.document) == {"models"}


def test_an_unknown_model(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("doctor", "moonshotai/kimi-k26", "no/such-thing", "--json")
    assert ended.status == 1
    assert checks(ended.document)["model moonshotai/kimi-k26"]["advice"] == (
        "no such model; did you mean moonshotai/kimi-k2.6?"
    )
    assert "`nvcf models`" in checks(ended.document)["model no/such-thing"]["advice"]


def test_a_model_at_its_end_of_life(nvcf: Any, service: Emulator) -> None:
    service.fail("gone")
    ended = nvcf("doctor", KIMI, "--json")
    check = checks(ended.document)[f"model {KIMI}"]
    assert "HTTP 410" in check["detail"]
    assert "the model is retired" in check["advice"]


def test_a_model_that_left_the_catalogue(nvcf: Any, service: Emulator) -> None:
    detail = "Function 'd2a1': Not found for account 'a1'"
    service.fail(404, body={"status": 404, "title": "Not Found", "detail": detail})
    ended = nvcf("doctor", KIMI)
    assert ended.status == 1
    assert detail in ended.err
    assert "the model is retired, or this key may not use it" in ended.out


def test_no_asset_api_is_noted(
    nvcf: Any, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVCF_URL")
    ended = nvcf("doctor", "--json")
    assert ended.status == 0
    check = checks(ended.document)["assets"]
    assert check["status"] == "note"
    assert "there is no asset API: NVCF_URL is not set" in check["detail"]
    assert "NVCF_URL" in check["advice"]


def test_a_wrong_asset_api(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("doctor", "--nvcf-url", f"{service.base_url}/nothing", "--json")
    assert ended.status == 1
    assert failed(ended.document) == {"assets"}
    assert "NVCF_URL" in checks(ended.document)["assets"]["advice"]


def test_an_asset_that_cannot_be_deleted(program: Any, service: Emulator) -> None:
    service.fail(500, times=None, on="delete")
    ended = program("doctor", "--json")
    assert failed(ended.document) == {"assets"}
    assert "could not delete uploaded assets" in checks(ended.document)["assets"]["detail"]


def test_python_is_too_old(service: Emulator) -> None:
    check = check_python((3, 10, 14))
    assert check.status == "failed"
    assert "3.10.14 is too old: nvcf-adapters needs 3.11 or newer" in check.detail
    found = {check.name: check for check in Diagnosis([], python=(3, 9, 1)).checks()}
    assert found["Python"].status == "failed"
    assert check_python((3, 11, 0)).status == "ok"


INSTALLED = {
    "nvcf-adapters": "0.1.0",
    "httpx": "0.28.1",
    "pydantic": "2.10.0",
    "langchain-core": "1.8.0",
    "llama-index-core": "0.14.25",
}


def test_one_framework_is_enough() -> None:
    found = {name: v for name, v in INSTALLED.items() if name != "llama-index-core"}
    checked = {check.name: check for check in check_packages(found.get)}
    assert checked["llama-index-core"].status == "note"
    assert "llamaindex_nvcf cannot be imported" in checked["llama-index-core"].detail
    assert checked["llama-index-core"].advice == 'pip install "nvcf-adapters[llamaindex]"'
    assert checked["langchain-core"].status == "ok"


def test_no_framework_at_all() -> None:
    found = {name: INSTALLED[name] for name in ("nvcf-adapters", "httpx", "pydantic")}
    checked = {check.name: check for check in check_packages(found.get)}
    for name in ("langchain-core", "llama-index-core"):
        assert checked[name].status == "failed"
        assert checked[name].detail == "not installed"
    assert checked["langchain-core"].advice == 'pip install "nvcf-adapters[langchain]"'


def test_a_framework_that_does_not_fit() -> None:
    found = {**INSTALLED, "langchain-core": "0.3.1"}
    checked = {check.name: check for check in check_packages(found.get)}
    assert checked["langchain-core"].status == "failed"
    assert "0.3.1 does not fit" in checked["langchain-core"].detail


def test_a_wrong_call(program: Any) -> None:
    ended = program("doctor", "--no-such-option")
    assert ended.status == 2
    assert ended.out == ""
    assert "--no-such-option" in ended.err
