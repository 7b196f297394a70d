"""Who is asked what a meter truly shows: the head end of its metering system."""

import pytest

from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.truth import Truth, truth_urls
from tests.unit.simulators.sap_cis.conftest import METERS


@pytest.mark.parametrize(
    ("said", "urls"),
    [
        pytest.param(["http://one:1/"], {"": "http://one:1"}, id="one for all"),
        pytest.param(
            ["http://one:1", "AM02=http://two:2"], {"": "http://one:1", "AM02": "http://two:2"}, id="one more for some"
        ),
        pytest.param(["http://one:1/?a=b"], {"": "http://one:1/?a=b"}, id="an equals sign of its own"),
    ],
)
def test_urls_are_said_by_metering_system(said: list[str], urls: dict[str, str]) -> None:
    assert truth_urls(said) == urls


def test_each_order_is_compared_at_the_head_end_of_its_device(cis: Cis, business: Business) -> None:
    business.initialize_devices(METERS[:1], start_on="2026-03-27")
    business.initialize_devices(METERS[1:2], start_on="2026-03-27", system="AM02")
    orders = business.order_readings("all", reason="01", scheduled_on="2026-03-27")
    of = {order.id: cis.view.devices[order.device].system for order in orders}
    parts = Truth(cis, {"": "http://one", "AM02": "http://two"})._by_url(list(of))
    assert {url: {of[order] for order in some} for url, some in parts.items()} == {
        "http://one": {"AM01"},
        "http://two": {"AM02"},
    }
