"""What the three sides say of one meter, and where they contradict each other: SAP's orders, MDUS, the head end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.head_end import FieldMeter

#: The head end reports another breaker position than the one we know.
SWITCH_STATE_DIFFERS: Final = "switch_state_differs"

#: A device has no row for what the field tells of it.
STATUS_MISSING: Final = "status_missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contradiction:
    """One thing on which two sides differ: the kind of the case, its key, and a sentence for people."""

    kind: str
    key: str
    note: str


def compare_meters(
    devices: Iterable[EndDevice],
    statuses: Mapping[tuple[str, str], EndDeviceStatus],
    meters: Mapping[str, FieldMeter],
    *,
    switching: frozenset[tuple[str, str]] = frozenset(),
) -> Iterator[Contradiction]:
    """Yield where a head end's record of its meters contradicts what we know of the devices.

    `statuses` are by (sender system, device id), `meters` by serial number. Devices in `switching` have a switch under
    way: their breaker's position may be known to one side only. Missing, unknown and differing registrations are
    `registry_sync`'s.
    """
    for device in devices:
        key = (device.sender_system, device.device_id)
        case_key = f"{device.sender_system}/{device.device_id}"
        status, meter = statuses.get(key), meters.get(device.serial_id)
        if status is None:
            yield Contradiction(
                kind=STATUS_MISSING,
                key=case_key,
                note=f"device {device.device_id} has no row for its state in the field",
            )
            continue
        if meter is None or meter.switch_state is None or key in switching:
            continue
        known = status.switch_state
        if SwitchState.UNKNOWN in (known, meter.switch_state) or known is meter.switch_state:
            continue
        yield Contradiction(
            kind=SWITCH_STATE_DIFFERS,
            key=case_key,
            note=f"device {device.device_id}: we know it as {known}, {device.head_end} as {meter.switch_state}",
        )
