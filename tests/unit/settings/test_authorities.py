"""Whose certificates are trusted, and what is said of one that is not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from mdus.settings import authorities
from mdus.settings.authorities import trusting, why_not_trusted

SETTING = "head_ends.north.ca_file"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a machine's authorities, which are all it has; there is none yet."""
    authorities._system.cache_clear()
    file = tmp_path / "machine.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    yield file
    authorities._system.cache_clear()


def written(authority: trustme.CA, file: Path) -> Path:
    authority.cert_pem.write_to_path(str(file))
    return file


def held(context: ssl.SSLContext) -> list[bytes]:
    return context.get_ca_certs(binary_form=True)


def der(authority: trustme.CA) -> bytes:
    return ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())


def meet(trusted: ssl.SSLContext, authority: trustme.CA, *, host: str = "localhost") -> None:
    """Let a client meet a server of this machine that shows a certificate of an authority."""
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(shown)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted.wrap_bio(to_client, to_server, server_hostname=host)
    server = shown.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()


class TestTrust:
    def test_is_in_the_authorities_of_a_file_and_in_no_other(self, machine: Path, tmp_path: Path) -> None:
        named, other = trustme.CA(), trustme.CA()
        written(other, machine)
        context = trusting(written(named, tmp_path / "named.pem"))
        assert held(context) == [der(named)]
        meet(context, named)
        with pytest.raises(ssl.SSLCertVerificationError):
            meet(context, other)

    def test_is_in_those_of_the_system_without_a_file(self, machine: Path) -> None:
        authority = trustme.CA()
        written(authority, machine)
        assert held(trusting(None)) == [der(authority)]
        assert trusting(None) is trusting(None)
        meet(trusting(None), authority)

    def test_is_in_none_that_a_package_brings(
        self, machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brought = trustme.CA()
        monkeypatch.setattr("certifi.where", lambda: str(written(brought, tmp_path / "brought.pem")))
        monkeypatch.delenv("SSL_CERT_FILE")
        assert der(brought) not in held(trusting(None))


class TestWhyNotTrusted:
    def test_names_the_setting_where_a_machine_has_no_authorities(self, machine: Path) -> None:
        assert not machine.exists()
        with pytest.raises(ssl.SSLCertVerificationError) as refused:
            meet(trusting(None), trustme.CA())

        reason = why_not_trusted(refused.value, ca_file=SETTING)

        assert reason == f"unable to get local issuer certificate (see {SETTING})"

    def test_names_it_not_where_the_authority_is_trusted(self, machine: Path) -> None:
        authority = trustme.CA()
        written(authority, machine)
        with pytest.raises(ssl.SSLCertVerificationError) as refused:
            meet(trusting(None), authority, host="elsewhere")

        reason = why_not_trusted(refused.value, ca_file=SETTING)

        assert reason == "Hostname mismatch, certificate is not valid for 'elsewhere'."

    @pytest.mark.parametrize(
        "error", [ConnectionRefusedError(111, "refused"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")], ids=["tcp", "tls"]
    )
    def test_is_nothing_of_another_error(self, error: OSError) -> None:
        assert why_not_trusted(error, ca_file=SETTING) is None
