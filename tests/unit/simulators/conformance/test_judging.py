"""The judge: what is right passes, and each thing that is wrong is found."""

from __future__ import annotations

import pytest

from simulators.conformance.calling import address_of
from simulators.conformance.contract import SERVICES, Form
from simulators.conformance.judging import (
    ANY,
    DONE,
    FAILED,
    Judge,
    answer_findings,
    redelivery_findings,
    refusal_findings,
)
from simulators.conformance.ledger import Answer, Ledger, Posting, Received
from simulators.conformance.verdicts import Finding
from tests.unit.simulators.conformance.parts import (
    CONTRACT,
    ITEM_UUIDS,
    REQUEST_UUID,
    device,
    header,
    log,
    posted,
    received,
)

SINGLE = SERVICES["device_create"].confirmations[Form.SINGLE]
BULK = SERVICES["device_create"].confirmations[Form.BULK]
ITEM = "UtilitiesDeviceERPSmartMeterCreateConfirmationMessage"
KEY, OTHER = "000000000000000001", "000000000000000002"
UUID = "00000000-0000-4000-8000-0000000000f1"
UUID_2 = "00000000-0000-4000-8000-0000000000f2"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(CONTRACT)


@pytest.fixture
def judge() -> Judge:
    return Judge(contract=CONTRACT, own_systems=("SAP",))


def single(ledger: Ledger, *, head: str = header(UUID), key: str = KEY, said: str | None = None) -> Received:
    """A confirmation of one device."""
    return received(ledger, SINGLE, head + device(key) + (log("3") if said is None else said))


def bulk(ledger: Ledger, *codes: str, overall: str, references: tuple[str, ...] = ITEM_UUIDS) -> Received:
    """A confirmation of two devices."""
    items = ""
    for key, code, reference in zip((KEY, OTHER), codes, references, strict=False):
        said = log(code, *(["no"] if code == "5" else []), highest="3" if code == "5" else None)
        items += f"<{ITEM}>{header(UUID, reference)}{device(key)}{said}</{ITEM}>"
    return received(ledger, BULK, header(UUID) + items + log(overall))


def found(judge: Judge, posting: Posting, *said: Received, again: bool = False, **expected: object) -> list[Finding]:
    codes = {KEY: DONE} if not expected else expected["codes"]
    return list(judge.confirmations(posting, said, codes, seconds=5, again=again))  # type: ignore[arg-type]


class TestASingleConfirmation:
    def test_that_is_right_passes(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        assert found(judge, posting, single(ledger)) == []

    def test_with_code_5_and_a_reason_passes_where_failure_is_expected(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        said = single(ledger, said=log("5", "no", highest="3"))
        assert found(judge, posting, said, codes={KEY: FAILED}) == []
        assert found(judge, posting, said, codes={KEY: ANY}) == []
        assert found(judge, posting, said)[0].expected == f"result code 3 for {KEY}"

    @pytest.mark.parametrize(
        ("head", "key", "said", "expected"),
        [
            pytest.param(header(UUID, None), KEY, None, f"ReferenceUUID {REQUEST_UUID}", id="no reference"),
            pytest.param(header(UUID, UUID), KEY, None, f"ReferenceUUID {REQUEST_UUID}", id="another reference"),
            pytest.param(header(UUID), KEY.lstrip("0"), None, f"the business key {KEY}", id="zeros lost"),
            pytest.param(header(UUID), OTHER, None, f"the business key {KEY}", id="another key"),
            pytest.param(header(""), KEY, None, "a UUID in the message header", id="no UUID"),
            pytest.param(
                header(UUID, created="2026-01-01T00:00:00"), KEY, None, "CreationDateTime in UTC", id="no zone"
            ),
            pytest.param(
                header(UUID, created="2099-01-01T00:00:00Z"), KEY, None, "CreationDateTime not in the", id="future"
            ),
            pytest.param(
                header(UUID, more="<SenderBusinessSystemID>SAP</SenderBusinessSystemID>"),
                *(KEY, None, "SenderBusinessSystemID of the MDUS"),
                id="sender is SAP",
            ),
            pytest.param(
                header(UUID, more="<RecipientBusinessSystemID>B</RecipientBusinessSystemID>"),
                *(KEY, None, "RecipientBusinessSystemID SAP"),
                id="another recipient",
            ),
            pytest.param(header(UUID), KEY, log("1"), "result code 3", id="not final"),
            pytest.param(header(UUID), KEY, "", "valid against", id="no log"),
            pytest.param(header(UUID), KEY, log("3", "bad"), "no error among the log items", id="error in success"),
            pytest.param(
                header(UUID), KEY, log("3", "fine", severity="2", highest="1"), "MaximumLogItemSeverity", id="severity"
            ),
        ],
    )
    def test_that_is_wrong_is_found(
        self, judge: Judge, ledger: Ledger, head: str, key: str, said: str | None, expected: str
    ) -> None:
        posting = posted(ledger, KEY)
        one = single(ledger, head=head, key=key, said=said)
        assert any(finding.expected.startswith(expected) for finding in found(judge, posting, one))

    def test_without_a_reason_for_a_failure_is_found(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        (finding,) = found(judge, posting, single(ledger, said=log("5")), codes={KEY: FAILED})
        assert finding.expected == f"a log item that says why {KEY} failed"

    def test_posted_to_another_interface_is_found(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        said = received(ledger, SINGLE, header(UUID) + device(KEY) + log("3"), interface="Elsewhere_In")
        assert [finding.came for finding in found(judge, posting, said)] == ["posted to Elsewhere_In"]

    def test_is_wanted_once(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        assert found(judge, posting)[0].came == "no confirmation of it"
        first, second = single(ledger), single(ledger, head=header(UUID_2))
        assert found(judge, posting, first, second)[0].expected == f"{KEY} confirmed once"

    def test_is_wanted_not_at_all_of_a_message_refused(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        assert found(judge, posting, single(ledger), codes={KEY: ()})[0].expected == f"no confirmation of {KEY}"
        assert found(judge, posting, codes={KEY: ()}) == []

    def test_may_come_again_only_when_asked_again_or_not_taken(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        head = header(UUID)
        first, second = single(ledger, head=head), single(ledger, head=head)
        assert found(judge, posting, first, second)[0].came == "taken 2 times"
        assert found(judge, posting, first, second, again=True) == []
        first.status = 503
        assert found(judge, posting, first, second) == []

    def test_may_not_come_again_with_other_content(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        first, second = single(ledger), single(ledger, said=log("3", "fine", severity="1", highest="1"))
        assert found(judge, posting, first, second, again=True)[0].came == "two contents"

    def test_does_not_answer_a_bulk(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY, form=Form.BULK)
        assert "the other form" in [finding.came for finding in found(judge, posting, single(ledger))]

    def test_with_qualified_children_is_read_all_the_same(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY)
        content = (
            (header(UUID) + device(KEY) + log("3")).replace("</", "</n:").replace("<", "<n:").replace("<n:/", "</")
        )
        said = received(ledger, SINGLE, content)
        assert [item.key for item in said.items] == [KEY]
        assert any(one.expected.startswith("valid against") for one in found(judge, posting, said))


class TestABulkConfirmation:
    @pytest.mark.parametrize(
        ("codes", "overall"),
        [
            pytest.param(("3", "3"), "3", id="all"),
            pytest.param(("3", "5"), "4", id="some"),
            pytest.param(("5", "5"), "5", id="none"),
        ],
    )
    def test_has_an_overall_code_of_its_items(
        self, judge: Judge, ledger: Ledger, codes: tuple[str, str], overall: str
    ) -> None:
        posting = posted(ledger, KEY, OTHER, form=Form.BULK)
        expected = {KEY: ANY, OTHER: ANY}
        assert found(judge, posting, bulk(ledger, *codes, overall=overall), codes=expected) == []
        wrong = "3" if overall != "3" else "4"
        findings = found(judge, posting, bulk(ledger, *codes, overall=wrong), codes=expected)
        assert any(one.expected.startswith(f"overall result code {overall}") for one in findings)

    def test_may_come_in_parts(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY, OTHER, form=Form.BULK)
        first = bulk(ledger, "3", overall="3")
        item = f"<{ITEM}>{header(UUID_2, ITEM_UUIDS[1])}{device(OTHER)}{log('3')}</{ITEM}>"
        second = received(ledger, BULK, header(UUID_2) + item + log("3"))
        assert found(judge, posting, first, second, codes={KEY: DONE, OTHER: DONE}) == []

    def test_lacks_no_item(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY, OTHER, form=Form.BULK)
        (finding,) = found(judge, posting, bulk(ledger, "3", overall="3"), codes={KEY: DONE, OTHER: DONE})
        assert finding.expected == f"{OTHER} confirmed within 5 s"

    def test_has_no_item_that_was_not_asked(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY, form=Form.BULK)
        said = bulk(ledger, "3", "3", overall="3", references=(ITEM_UUIDS[0], UUID))
        assert found(judge, posting, said)[0].came == f"one of {OTHER}"

    def test_refers_to_each_item(self, judge: Judge, ledger: Ledger) -> None:
        posting = posted(ledger, KEY, OTHER, form=Form.BULK)
        said = bulk(ledger, "3", "3", overall="3", references=(ITEM_UUIDS[1], ITEM_UUIDS[1]))
        (finding,) = found(judge, posting, said, codes={KEY: DONE, OTHER: DONE})
        assert finding.expected == f"ReferenceUUID {ITEM_UUIDS[0]} of the item {KEY}"


def answered(*answers: Answer, spoiled: str | None = None) -> Posting:
    posting = posted(Ledger(CONTRACT), KEY)
    posting.spoiled = spoiled
    posting.answers = list(answers)
    return posting


_FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
    b"<faultcode>s:Client</faultcode><faultstring>no</faultstring></s:Fault></s:Body></s:Envelope>"
)
_EMPTY = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>'


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("answer", "taken", "refused"),
        [
            pytest.param(Answer(status=202), True, False, id="202"),
            pytest.param(Answer(status=200), True, False, id="200"),
            pytest.param(Answer(status=200, body=_EMPTY), True, False, id="200 with an empty SOAP body"),
            pytest.param(Answer(status=204), False, False, id="204"),
            pytest.param(Answer(status=200, body=b"<html/>"), False, False, id="200 with a page"),
            pytest.param(Answer(status=200, body=_FAULT), False, False, id="200 with a fault"),
            pytest.param(Answer(status=302), False, False, id="302"),
            pytest.param(Answer(status=500, body=_FAULT), False, True, id="500 with a fault"),
            pytest.param(Answer(status=400, body=b"no"), False, False, id="400 without a fault"),
            pytest.param(Answer(status=503, body=_FAULT), False, False, id="503"),
            pytest.param(Answer(status=0, error="gone"), False, False, id="none"),
        ],
    )
    def test_means_taken_or_refused_or_neither(self, answer: Answer, taken: bool, refused: bool) -> None:
        assert (list(answer_findings([answered(answer)])) == []) is taken
        assert (list(refusal_findings([answered(answer, spoiled="qualified children")])) == []) is refused

    def test_without_a_fault_will_do_for_what_cannot_be_read(self) -> None:
        cut = "XML cut off in the middle"
        assert list(refusal_findings([answered(Answer(status=400), spoiled=cut)])) == []
        assert list(refusal_findings([answered(Answer(status=202), spoiled=cut)])) != []

    def test_counts_when_it_is_the_last(self) -> None:
        assert list(answer_findings([answered(Answer(status=503), Answer(status=202))])) == []
        assert list(answer_findings([answered(Answer(status=202), Answer(status=503))])) != []
        assert list(answer_findings([answered(Answer(status=500), Answer(status=202))])) != []


class TestRedelivery:
    def test_is_wanted_until_a_message_is_taken_and_not_after(self, ledger: Ledger) -> None:
        root = SERVICES["registered"].requests[Form.SINGLE]
        content = header(UUID, None) + device(KEY)
        listed = [received(ledger, root, content, status=status) for status in (503, 202)]
        assert list(redelivery_findings(listed)) == []
        again = received(ledger, root, content)
        assert [finding.came for finding in redelivery_findings([*listed, again])] == ["taken 2 times"]


class TestAnAddress:
    @pytest.mark.parametrize(
        ("url", "address"),
        [
            pytest.param("http://m:1", "http://m:1/sap/{interface}", id="no path"),
            pytest.param("http://m:1/", "http://m:1/sap/{interface}", id="a slash"),
            pytest.param("http://m:1/soap/", "http://m:1/soap/{interface}", id="a path"),
            pytest.param("http://m:1/x?i={interface}", "http://m:1/x?i={interface}", id="a place for it"),
        ],
    )
    def test_names_the_interface(self, url: str, address: str) -> None:
        assert address_of(url) == address
