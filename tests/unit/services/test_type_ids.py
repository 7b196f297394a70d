"""The TypeIDs of all services: whoever reads SAP's logs may rely on one meaning of each."""

from __future__ import annotations

import re
from collections import defaultdict

from mdus.bootstrap.discovery import discover
from mdus.domain.register_policy import RegisterFault
from mdus.messaging.outcome import BusinessError


def errors() -> list[type[BusinessError | RegisterFault]]:
    """Every business error that a service defines, and those that several have in common."""
    assert discover().problems == ()
    found: list[type[BusinessError | RegisterFault]] = [*RegisterFault.__subclasses__()]
    waiting = [BusinessError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        waiting += kinds
        found += [kind for kind in kinds if kind.__module__.startswith(("mdus.messaging.", "mdus.services."))]
    return found


class TestTypeIds:
    def test_name_the_same_error_in_every_service(self) -> None:
        names = defaultdict(set)
        for error in errors():
            names[error.type_id].add(error.__name__)
        assert {type_id: sorted(kinds) for type_id, kinds in names.items() if len(kinds) > 1} == {}
        assert len(names) >= 40

    def test_have_the_form_that_sap_expects(self) -> None:
        assert [error for error in errors() if not re.fullmatch(r"\d{3}\(MDUS\)", error.type_id)] == []

    def test_come_with_a_note_that_fits_saps_log(self) -> None:
        assert [error for error in errors() if not 0 < len(str(error())) <= 200] == []
