"""The Log of a confirmation."""

from __future__ import annotations

import pytest
from lxml import etree

from mdus.contracts.binding import bind, write
from mdus.contracts.catalog import catalog
from mdus.contracts.log import Log, LogItem, ProcessingResultCode, SeverityCode

LOG = catalog().types["Log"]
OK, FAILED, PARTIAL = (
    ProcessingResultCode.SUCCESSFUL,
    ProcessingResultCode.FAILED,
    ProcessingResultCode.PARTIALLY_SUCCESSFUL,
)


def valid(log: Log) -> etree._Element:
    element = write(log, name="Log", of=LOG)
    catalog().part_schema("Log", LOG).assertValid(element)
    return element


class TestLogItem:
    def test_cuts_its_texts_to_the_contract(self) -> None:
        item = LogItem(note="n" * 201, type_id="t" * 41, category="c" * 16)
        assert (len(item.note), len(item.type_id or ""), len(item.category or "")) == (200, 40, 15)

    def test_leaves_texts_that_just_fit(self) -> None:
        item = LogItem(note="n" * 200, type_id="t" * 40)
        assert item == LogItem(note="n" * 200, type_id="t" * 40)
        assert len(item.note) == 200

    def test_counts_characters_and_not_bytes(self) -> None:
        valid(Log.failure([LogItem(note="€" * 300)]))

    @pytest.mark.parametrize("character", ["\x00", "\x1b", "\x0b", "\ufffe", "\ud800"], ids=ascii)
    def test_replaces_what_xml_cannot_hold(self, character: str) -> None:
        log = Log.failure([LogItem(note=f"a{character}b", type_id=f"1{character}")])
        assert log.items[0].note == "a?b"
        assert log.items[0].type_id == "1?"
        valid(log)

    @pytest.mark.parametrize("note", ["tab\tand\nnewline", "Zähler", "\U0001f50c"], ids=ascii)
    def test_leaves_what_xml_can_hold(self, note: str) -> None:
        assert LogItem(note=note).note == note

    def test_has_no_empty_type(self) -> None:
        assert LogItem(note="", type_id="", category="").type_id is None
        valid(Log.failure([LogItem(note="", type_id="", category="")]))


class TestLog:
    def test_of_success_carries_its_note(self) -> None:
        log = Log.success(note="already in place")
        assert (log.result_code, log.max_severity) == (OK, SeverityCode.INFORMATION)
        assert [(item.note, item.severity, item.type_id) for item in log.items] == [
            ("already in place", SeverityCode.INFORMATION, "000(MDUS)")
        ]
        valid(log)

    def test_of_success_needs_no_note(self) -> None:
        assert Log.success().items == ()
        valid(Log.success())

    @pytest.mark.parametrize(
        ("severity", "expected"),
        [
            pytest.param(SeverityCode.ABORT, SeverityCode.ABORT, id="abort-is-higher"),
            pytest.param(SeverityCode.WARNING, SeverityCode.ERROR, id="at-least-an-error"),
            pytest.param(None, SeverityCode.ERROR, id="none-is-an-error"),
        ],
    )
    def test_of_failure_takes_the_highest_severity(self, severity: SeverityCode | None, expected: SeverityCode) -> None:
        log = Log.failure([LogItem(note="a", severity=SeverityCode.INFORMATION), LogItem(note="b", severity=severity)])
        assert (log.result_code, log.max_severity) == (FAILED, expected)
        valid(log)

    @pytest.mark.parametrize(
        ("codes", "expected"),
        [
            pytest.param([OK, OK], OK, id="all"),
            pytest.param([OK, FAILED], PARTIAL, id="some"),
            pytest.param([FAILED, FAILED], FAILED, id="none"),
            pytest.param([PARTIAL, FAILED], PARTIAL, id="a-partial-item-is-some"),
            pytest.param([OK, None], PARTIAL, id="an-item-without-code-is-no-success"),
        ],
    )
    def test_overall_counts_the_items(
        self, codes: list[ProcessingResultCode | None], expected: ProcessingResultCode
    ) -> None:
        assert Log.overall(iter(codes)).result_code is expected

    def test_overall_refuses_an_empty_bulk(self) -> None:
        with pytest.raises(ValueError, match="lists its items"):
            Log.overall([])

    def test_comes_back_from_the_wire(self) -> None:
        log = Log.failure([LogItem(note=" two  blanks ", type_id="101(MDUS)", severity=SeverityCode.ERROR)])
        assert bind(Log, valid(log)) == log

    @pytest.mark.parametrize("code", ["3", "03"])
    def test_reads_codes_with_and_without_zero(self, code: str) -> None:
        element = etree.fromstring(
            f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode></Log>"
        )
        assert bind(Log, element).result_code is OK
