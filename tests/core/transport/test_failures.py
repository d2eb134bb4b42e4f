"""What is said of a connection that failed: what to do about it, and whether another try may help."""

from __future__ import annotations

import socket
import ssl

import pytest

from nvcf_core.errors import APIConnectionError
from nvcf_core.transport.failures import connection_failure


def failure(cause: Exception) -> APIConnectionError:
    error = RuntimeError("what the HTTP library says")
    error.__cause__ = cause
    return connection_failure("ask (service.example)", error)


def tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason  # type: ignore[assignment] # It is None where OpenSSL gives none.
    return error


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("WRONG_VERSION_NUMBER", "is it http?"),
        ("HTTP_REQUEST", "is it http?"),
        ("UNSUPPORTED_PROTOCOL", "no version of TLS"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no version of TLS"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "no version of TLS, cipher"),
        ("TLSV1_ALERT_INSUFFICIENT_SECURITY", "verify="),
        ("TLSV1_UNRECOGNIZED_NAME", "verify="),
        ("DH_KEY_TOO_SMALL", "verify="),
        ("EE_KEY_TOO_SMALL", "verify="),
        ("CA_MD_TOO_WEAK", "verify="),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate of the client"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "certificate of the client"),
        ("TLSV1_ALERT_UNKNOWN_CA", "certificate of the client"),
        ("TLSV1_ALERT_ACCESS_DENIED", "certificate of the client"),
    ],
)
def test_tls_that_another_try_cannot_change(reason: str, said: str) -> None:
    failed = failure(tls(reason))
    assert not failed.retryable
    assert str(failed).startswith(f"ask (service.example): TLS failed: {reason}. ")
    assert said in str(failed)


@pytest.mark.parametrize(
    "reason", ["UNEXPECTED_EOF_WHILE_READING", "TLSV1_ALERT_INTERNAL_ERROR", "BAD_RECORD_MAC", None]
)
def test_tls_that_may_have_been_chance(reason: str | None) -> None:
    failed = failure(tls(reason))
    assert failed.retryable
    assert str(failed) == "ask (service.example): RuntimeError: what the HTTP library says"


@pytest.mark.parametrize(
    ("code", "message", "todo"),
    [
        (18, "self-signed certificate", "the path of that CA's certificate"),
        (10, "certificate has expired", "verify="),
        (62, "Hostname mismatch, certificate is not valid for 'x'.", "a name that its certificate has"),
        (64, "IP address mismatch, certificate is not valid for '1.2.3.4'.", "a name that its certificate has"),
    ],
)  # fmt: skip
def test_certificates_that_are_not_trusted(code: int, message: str, todo: str) -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.reason, error.verify_code, error.verify_message = (
        "CERTIFICATE_VERIFY_FAILED",
        code,
        message,
    )
    failed = failure(error)
    assert not failed.retryable
    assert f"certificate is not trusted: {message.rstrip('.')}. " in str(failed)
    assert todo in str(failed)
    assert "verify=" in str(failed)


def test_a_name_that_is_not_known() -> None:
    failed = failure(socket.gaierror(-2, "Name or service not known"))
    assert failed.retryable
    assert str(failed).endswith("The name of the host could not be looked up")
