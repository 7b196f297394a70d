"""The command line."""

import json

import pytest

from simulators.sap_cis.__main__ import main
from simulators.sap_cis.faults import FAULTS


class TestMain:
    def test_lists_every_fault_with_a_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--list-faults"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["name"] for row in rows] == list(FAULTS)
        assert all(row["description"].endswith(".") for row in rows)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            pytest.param([], "--password", id="no_passwords"),
            pytest.param(["--password", "a", "--own-password", "b", "--faults", "x"], "unknown fault", id="fault"),
            pytest.param(["--password", "a", "--own-password", "b", "--time-zone", "Mars/Base"], "Mars", id="zone"),
            pytest.param(["--password", "a", "--own-password", "b", "--window", "x"], "invalid", id="window"),
            pytest.param(
                ["--password", "a", "--own-password", "b", "--confirm-events", "0100,7"],
                "unknown event types 7",
                id="event type",
            ),
        ],
    )
    def test_says_what_is_wrong_and_ends_with_2(
        self, options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SAP_CIS_PASSWORD", raising=False)
        monkeypatch.delenv("SAP_CIS_OWN_PASSWORD", raising=False)
        assert main(options) == 2
        assert said in capsys.readouterr().err
