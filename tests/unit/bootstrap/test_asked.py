"""Which head ends jobs ask for what they have."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mdus.bootstrap import compose, jobs_of
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
