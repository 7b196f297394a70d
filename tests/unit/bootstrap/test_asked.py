"""Which head ends jobs ask for what they have."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from mdus.bootstrap import compose, jobs_of
from mdus.domain.end_device import EndDevice
from mdus.domain.unheard_time import UnheardTime
from mdus.workers.clock import Slot

NIGHT = Slot(text="2026-03-28", at=datetime(2026, 3, 28, 1, tzinfo=UTC), on=datetime(2026, 3, 28, tzinfo=UTC).date())


@pytest.mark.parametrize("job", ["registry_sync", "head_end_poll"])
def test_those_that_are_called_and_keep_records(database_url: str, job: str) -> None:
    parts = compose(
        {
            "MDUS_DATABASE__URL": database_url,
            "MDUS_HEAD_ENDS__NORTH__KIND": "mqtt",
            "MDUS_HEAD_ENDS__NORTH__URL": "mqtt://127.0.0.1:1",
            "MDUS_HEAD_ENDS__SOUTH__KIND": "rest",
            "MDUS_HEAD_ENDS__SOUTH__URL": "http://127.0.0.1:1",
            "MDUS_HEAD_ENDS__WEST__KIND": "file_drop",
        }
    )
    outcome = jobs_of(parts)[job](NIGHT)
    parts.close()

    assert outcome is not None
    assert outcome.startswith("south: south cannot be reached")
    assert not {"north", "west"} & set(outcome.replace(":", " ").split())


def test_meters_of_one_that_was_not_heard(database_url: str) -> None:
    parts = compose(
        {
            "MDUS_DATABASE__URL": database_url,
            "MDUS_HEAD_ENDS__NORTH__KIND": "token_poll",
            "MDUS_HEAD_ENDS__NORTH__URL": "http://127.0.0.1:1",
        }
    )
    device = EndDevice(
        sender_system="SAP",
        device_id="1",
        serial_id="1",
        material_id="LX100",
        valid_from=date(2026, 1, 1),
        head_end="north",
    )
    time = UnheardTime(head_end="north", begins_at=NIGHT.at, ends_at=NIGHT.at, look_at=NIGHT.at)
    with parts.runtime.database.begin() as uow:
        uow.save([device, time])

    outcome = jobs_of(parts)["head_end_poll"](NIGHT)
    parts.close()

    assert outcome.endswith("1 meters are asked what they measured")
