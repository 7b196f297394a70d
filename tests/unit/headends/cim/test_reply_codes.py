"""The table of reply codes."""

from __future__ import annotations

import pytest
from lxml import etree

from mdus.headends.cim.reply_codes import ReplyClass, ReplyError

LATER, REFUSED = ReplyClass.LATER, ReplyClass.REFUSED


class TestReplyError:
    @pytest.mark.parametrize(
        ("code", "means", "name"),
        [
            ("0.0", ReplyClass.NOTHING, ""),
            ("0.1", ReplyClass.MORE_FOLLOWS, ""),
            ("0.2", ReplyClass.LAST_PART, ""),
            ("0.3", ReplyClass.ACKNOWLEDGED, ""),
            ("1.5", REFUSED, "BATCH_REFUSED"),
            ("2.4", REFUSED, "UNKNOWN_METER"),
            ("2.12", REFUSED, "BATCH_REFUSED"),
            ("3.1", ReplyClass.TOO_MANY, "BATCH_REFUSED"),
            ("3.2", LATER, "BUSY"),
            ("4.1", LATER, "NO_RESPONSE"),
            ("5.1", LATER, "BUSY"),
            ("5.2", LATER, "BUSY"),
            ("5.3", ReplyClass.ATTEMPTED, "ATTEMPT_FAILED"),
            ("5.4", ReplyClass.ATTEMPTED, "ATTEMPT_FAILED"),
            ("5.7", ReplyClass.NO_DATA, "NO_DATA"),
            ("6.2", ReplyClass.NEWS, ""),
            ("7.1", LATER, "BUSY"),
            ("7.2", REFUSED, "BATCH_REFUSED"),
            ("8.1", ReplyClass.ATTEMPTED, "ATTEMPT_FAILED"),
        ],
    )
    def test_means_what_the_table_says(self, code: str, means: ReplyClass, name: str) -> None:
        found = ReplyError(code=code)

        assert (found.means, found.name) == (means, name)

    @pytest.mark.parametrize(
        ("written", "code"),
        [
            ("2.4", "2.4"),
            (" 02.04 ", "2.4"),
            ("2.10", "2.10"),
            ("5.3 attempted and failed", "5.3"),
            ("E7", "E7"),
            ("", ""),
        ],
    )
    def test_reads_codes_as_peers_write_them(self, written: str, code: str) -> None:
        assert ReplyError.of(etree.fromstring(f"<Error><code>{written}</code></Error>")).code == code

    def test_reads_the_object_it_is_about(self) -> None:
        found = ReplyError.of(
            etree.fromstring(
                "<Error><code>5.3</code><level>FATAL</level><reason>failed</reason><details>twice</details><ID>c-1</ID>"
                "<object><mRID>m-1</mRID><serialNumber>77</serialNumber><Name><name>E77</name></Name></object></Error>"
            )
        )

        assert (found.serial_id, found.names, found.words) == ("77", ("c-1", "m-1", "E77"), "5.3 failed: twice")
        assert found.is_of_one

    @pytest.mark.parametrize(
        ("level", "is_failure"), [("FATAL", True), ("", True), ("INFORM", False), ("WARNING", False)]
    )
    def test_is_no_failure_where_it_only_remarks(self, level: str, is_failure: bool) -> None:
        assert ReplyError(code="5.7", level=level).is_failure is is_failure
