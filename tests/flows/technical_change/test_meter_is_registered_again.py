"""An operator has SAP told once more that a meter is registered: the same content in another message."""

from __future__ import annotations

from mdus.bootstrap.operating import order_registered_again
from tests.flows.both_sides import SENDER, BothSides, texts
from tests.flows.technical_change.messages import ALL_REGISTERED, REGISTERED, installed

METER = "000000000000000042"
NUMBER = "000000000000000107"
ITEM = f"{REGISTERED}Message"


def test_a_registered_meter_is_told_again_under_a_new_uuid(sides: BothSides) -> None:
    which = {"device_id": METER, "sender_system": SENDER}
    for root, body in installed(METER, NUMBER):
        sides.tell(root, body)
    sides.rest()
    assert order_registered_again(sides.database, which, reason="SAP was restored", ordered_by="jo") == 0
    sides.push("heard", {"delivery_id": "h", "meters": [{"serial": f"S{METER}", "at": "2026-03-28T10:00:00Z"}]})
    sides.rest()
    assert len(sides.sap.messages(ALL_REGISTERED)) == 1

    assert order_registered_again(sides.database, which, reason="SAP was restored", ordered_by="jo") == 1
    sides.rest()
    first, again = sides.sap.messages(ALL_REGISTERED)
    for path in (f"{ITEM}/UtilitiesDevice/ID", f"{ITEM}/UtilitiesDevice/SmartMeter/StartDate"):
        assert texts(first, path) == texts(again, path) != []
    for path in ("MessageHeader/UUID", f"{ITEM}/MessageHeader/UUID"):
        assert texts(first, path) != texts(again, path)
