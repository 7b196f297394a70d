"""The command line: what it refuses, and what it prints."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from simulators.conformance.__main__ import main
from simulators.conformance.contract import ROOTS

GIVEN = ["--url", "http://127.0.0.1:1", "--system", "SAP"]


class TestMain:
    def test_lists_every_message(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--list"]) == 0
        printed = capsys.readouterr().out
        assert all(root in printed for root in ROOTS)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            pytest.param(["--listen", "9000"], "is not HOST:PORT", id="no host"),
            pytest.param(["--listen", "a:b"], "is not HOST:PORT", id="no port"),
            pytest.param(["--listen", "127.0.0.1:0", "--only", "dance"], "no such service", id="no service"),
            pytest.param(["--listen", "127.0.0.1:0", "--ams", "AM001"], "1 to 4 characters", id="long AMS id"),
            pytest.param(["--listen", "127.0.0.1:0", "--timeout", "0"], "are seconds", id="no time"),
            pytest.param(["--listen", "127.0.0.1:0", "--time-zone", "Mars/Base"], "Mars/Base", id="no zone"),
            pytest.param(["--listen", "127.0.0.1:0", "--time-zone", "Asia/Tokyo"], "--time-zone-code", id="no code"),
        ],
    )
    def test_refuses_what_it_cannot_run(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main([*GIVEN, *arguments])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err

    def test_needs_nothing_beyond_mdus(self) -> None:
        without = "import sys; sys.modules.update(dict.fromkeys(('spyne', 'zeep', 'requests', 'mdus', 'a2wsgi')))"
        done = subprocess.run(
            [sys.executable, "-c", f"{without}; from simulators.conformance.__main__ import main; main(['--list'])"],
            text=True,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_says_that_it_cannot_listen(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            assert main([*GIVEN, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]) == 2
        assert "cannot listen on" in capsys.readouterr().out

    def test_fails_where_nobody_answers(self, capsys: pytest.CaptureFixture[str]) -> None:
        few = ["--only", "UtilitiesDeviceERPSmartMeterCreateRequest_Out", "--timeout", "0.3", "--settle", "0"]
        assert main([*GIVEN, "--listen", "127.0.0.1:0", *few]) == 1
        printed = capsys.readouterr().out
        assert "The tested MDUS must send its messages to http://127.0.0.1:" in printed
        assert "no answer: ConnectError" in printed
        assert "Does not conform." in printed
