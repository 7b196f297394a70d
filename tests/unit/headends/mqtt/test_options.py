"""What a row of kind mqtt may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.headends.mqtt.options import Options


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

    def test_a_key_needs_its_certificate(self, tmp_path: Path) -> None:
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        key.touch()
        cert.touch()

        assert Options(key=key, cert=cert).cert == cert
        with pytest.raises(ValidationError, match="cert is missing"):
            Options(key=key)
