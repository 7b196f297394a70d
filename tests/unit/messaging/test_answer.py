"""The Log of a confirmation of SAP's."""

from __future__ import annotations

import pytest

from mdus.domain.exception_case import CONFIRMATION_UNMATCHED
from mdus.messaging.answer import Answer, Remark
from tests.unit.services.device_initialization import NOW, SENDER, origin


def answer(*type_ids: str | None) -> Answer:
    """An answer with a remark under each of these."""
    remarks = tuple(Remark(type_id=type_id, note=f"because of {type_id}") for type_id in type_ids)
    return Answer(origin=origin(item_id=8), remarks=remarks)


@pytest.mark.parametrize(
    ("said", "accepted", "only"),
    [
        pytest.param(["100(X)"], ("100",), True, id="what is accepted"),
        pytest.param(["100(X)", "200(X)"], ("100", "200"), True, id="several of it"),
        pytest.param(["100(X)", "200(X)"], ("100",), False, id="something else too"),
        pytest.param([None], ("100",), False, id="no TypeID"),
        pytest.param([], ("100",), False, id="nothing"),
        pytest.param(["100(X)"], (), False, id="where nothing is accepted"),
    ],
)
def test_says_only(said: list[str | None], accepted: tuple[str, ...], only: bool) -> None:
    assert answer(*said).says_only(accepted) is only


def test_gives_its_reasons_to_a_human() -> None:
    assert answer("1", "2").reason == "because of 1; because of 2"
    assert answer().reason == "SAP gave no reason"


def test_to_nothing_we_sent_is_a_case_of_its_own() -> None:
    case = answer().unmatched("values that were never sent: 7", now=NOW)
    assert (case.kind, case.case_key, case.opened_at) == (CONFIRMATION_UNMATCHED, "8", NOW)
    assert case.note == f"{SENDER} confirms values that were never sent: 7"
