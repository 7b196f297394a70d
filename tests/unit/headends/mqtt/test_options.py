"""What a row of kind mqtt may say."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from mdus.headends.mqtt.options import Options


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, our certificate and its key, the key with a password, and another's key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    ours, other = (authority.issue_cert(f"{name}.example.com") for name in ("mdus", "other"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    ours.cert_chain_pems[0].write_to_path(str(folder / "mdus.pem"))
    ours.private_key_pem.write_to_path(str(folder / "mdus.key"))
    other.private_key_pem.write_to_path(str(folder / "other.key"))
    locking = ["-aes128", "-passout", "pass:secret", "-in", folder / "mdus.key", "-out", folder / "locked.key"]
    subprocess.run(["openssl", "pkey", *locking], check=True, capture_output=True)
    (folder / "locked.pem").write_bytes((folder / "locked.key").read_bytes() + ours.cert_chain_pems[0].bytes())
    (folder / "empty").touch()
    return folder


class TestOptions:
    def test_need_nothing_said(self) -> None:
        options = Options()

        assert (options.version, options.topic, options.session_seconds) == (
            "5",
            "ami/v1/{headend}/{concentrator}/{device}/{kind}",
            604800,
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"version": "4"},
            {"topic": "ami/{headend}/{device}/{kind}"},
            {"state_topic": "ami/{headend}/state"},
            {"headend": "a/b"},
            {"session_seconds": 59},
            {"messages_at_once": 0},
            {"ca": "/no/such/file"},
            {"tls": True},
        ],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_are_refused_when_they_make_no_sense(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Options(**wrong)

    def test_a_key_needs_its_certificate(self, files: Path) -> None:
        key, cert = files / "mdus.key", files / "mdus.pem"

        assert Options(key=key, cert=cert).cert == cert
        with pytest.raises(ValidationError, match="cert is missing"):
            Options(key=key)

    def test_a_certificate_may_have_its_key_in_the_same_file(self, files: Path) -> None:
        both = files / "both.pem"
        both.write_bytes((files / "mdus.key").read_bytes() + (files / "mdus.pem").read_bytes())

        assert Options(cert=both).key is None

    @pytest.mark.parametrize(
        ("cert", "key"),
        [
            pytest.param("mdus.pem", "other.key", id="another's key"),
            pytest.param("mdus.pem", "locked.key", id="a key with a password"),
            pytest.param("mdus.pem", "empty", id="an empty key"),
            pytest.param("empty", "mdus.key", id="an empty certificate"),
            pytest.param("mdus.pem", None, id="no key"),
            pytest.param("locked.pem", None, id="a key with a password in the same file"),
        ],
    )
    def test_a_certificate_needs_its_own_key_without_a_password(self, files: Path, cert: str, key: str | None) -> None:
        with pytest.raises(ValidationError, match="no certificate with its key, in PEM and without a password"):
            Options(cert=files / cert, key=None if key is None else files / key)

    def test_authorities_are_certificates(self, files: Path) -> None:
        assert Options(ca=files / "ca.pem").ca == files / "ca.pem"
        with pytest.raises(ValidationError, match="no certificate authorities in PEM"):
            Options(ca=files / "empty")
