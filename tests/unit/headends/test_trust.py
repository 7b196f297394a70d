"""Whose certificates a head end may have, and what is said of one that cannot be called."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from mdus.headends._trust import trust, unreachable
from tests.head_ends.field import row


def caused_by(cause: BaseException) -> httpx.ConnectError:
    """Return the error of httpx, which has the cause two below it."""
    try:
        try:
            raise OSError("the transport's own") from cause
        except OSError as error:
            raise httpx.ConnectError("it failed") from error
    except httpx.ConnectError as error:
        return error


class TestTrust:
    def test_is_in_the_authorities_of_the_row_and_in_no_other(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        context = trust(row("https://127.0.0.1", ca_file=tmp_path / "ca.pem"))
        [trusted] = context.get_ca_certs()
        assert trusted["subject"] == trusted["issuer"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    def test_is_in_those_of_the_system_where_the_row_names_none(self) -> None:
        context = trust(row("https://127.0.0.1"))
        assert context is trust(row("https://localhost"))
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


class TestUnreachable:
    @pytest.mark.parametrize(
        ("code", "message", "said"),
        [
            pytest.param(10, "certificate has expired", "certificate has expired", id="expired"),
            pytest.param(
                19,
                "self-signed certificate in certificate chain",
                "self-signed certificate in certificate chain (see head_ends.north.ca_file)",
                id="of an unknown authority",
            ),
        ],
    )
    def test_says_what_is_wrong_with_the_certificate(self, code: int, message: str, said: str) -> None:
        refused = ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED")
        refused.verify_code, refused.verify_message = code, message
        assert unreachable("north", caused_by(refused)) == f"the certificate of north is not trusted: {said}"

    @pytest.mark.parametrize("cause", [ConnectionRefusedError(111, "refused"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")])
    def test_says_the_error_of_anything_else(self, cause: OSError) -> None:
        assert unreachable("north", caused_by(cause)) == "north cannot be reached: ConnectError('it failed')"
