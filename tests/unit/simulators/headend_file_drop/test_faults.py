"""The faults of a head end that leaves files: each of them can be met, and none that can is left out as never asked."""

from __future__ import annotations

from simulators.fleet.faults import CONCENTRATOR, FIRST_PROVISION, READS, SHARED
from simulators.headend_file_drop import faults
from simulators.headend_file_drop.faults import FAULTS, FILE, FURTHER_RECORDS, SEVERAL_RECORDS

#: Where faults fire that a head end meets which is asked for reads only, by files.
MET = {*READS, FIRST_PROVISION, CONCENTRATOR, "snapshots", "intervals", "events", "collection"} | {
    FILE,
    FURTHER_RECORDS,
    SEVERAL_RECORDS,
}


def test_can_all_be_met() -> None:
    assert [name for name, fault in FAULTS.items() if not MET & set(fault.kinds)] == []


def test_that_are_left_out_as_never_asked_cannot_be_met() -> None:
    assert [name for name in faults._NEVER_ASKED if MET & set(SHARED[name].kinds)] == []
