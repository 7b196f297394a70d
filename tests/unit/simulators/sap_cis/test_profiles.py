"""Load profiles: who gets one, what is wrong with values MDUS sends, and what SAP answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from simulators.sap_cis.building import Builder
from simulators.sap_cis.business import Business, CannotOrder
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import GLOBAL, QUERY, RESPONSE
from simulators.sap_cis.profiles import Profiling
from simulators.sap_cis.view import Profile
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import CHANNEL, METERS, NOW
from tests.unit.simulators.sap_cis.mdus_messages import PROFILE_STATUS, value

START = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)


class Asker:
    """A sender that keeps the question and gives one answer."""

    def __init__(self, answer: str) -> None:
        self.answer = etree.fromstring(f'<n0:{RESPONSE} xmlns:n0="{GLOBAL}">{answer}</n0:{RESPONSE}>')
        self.asked: list[tuple[str, dict[str, object]]] = []

    def ask(self, interface: str, arguments: dict[str, object]) -> etree._Element:
        """Answer at once."""
        self.asked.append((interface, arguments))
        return self.answer


@pytest.fixture
def profile(cis: Cis, business: Business) -> Profile:
    """The profile of the one interval register of the first device; the second device has none."""
    devices = business.initialize_devices(
        [{**METERS[0], "channels": [CHANNEL]}, METERS[1]], start_on="2026-03-28", profiles=True
    )
    asker: Asker = Asker("")
    (number,), _ = Profiling(cis, asker).assign(  # type: ignore[arg-type]
        [device.id for device in devices], start_on="2026-03-28"
    )
    return cis.view.profiles[number]


def send(cis: Cis, profile_id: str, values: Sequence[str], *, how: str = "Create") -> None:
    """This will let MDUS send values of a profile."""
    cis.receive(mdus.values(profile_id, *values, how=how), interface=f"UtilitiesTimeSeriesERPItemBulk{how}Request_In")


def defects(cis: Cis) -> set[str]:
    return {defect["name"] for defect in cis.view.defects}


class TestAssign:
    def test_each_interval_register_gets_a_profile(self, cis: Cis, profile: Profile) -> None:
        assert list(cis.view.profiles) == ["000000000000000001"]
        assert (profile.obis, profile.minutes, profile.unit) == ("1-0:1.29.0*255", 15, "KWH")
        (sent,) = [sent for sent in cis.view.sent.values() if sent.process == "profile_assignment"]
        arguments = Builder(cis.view, own_system="S4HANA", time_zone_code=None).arguments(sent, now=NOW)
        (role,) = arguments["UtilitiesTimeSeries"]["MeasurementTaskAssignmentRole"]
        assert role["UtilitiesMeasurementTaskID"] == profile.lrn

    def test_an_interval_register_is_created_with_recurrence_and_factor(self, cis: Cis, profile: Profile) -> None:
        sent = next(sent for sent in cis.view.sent.values() if sent.process == "register_create")
        arguments = Builder(cis.view, own_system="S4HANA", time_zone_code=None).arguments(sent, now=NOW)
        registers = arguments["UtilitiesDeviceERPSmartMeterRegisterCreateRequestMessage"][0]["UtilitiesDevice"][
            "Register"
        ]
        found = {
            register["UtilitiesMeasurementTaskID"]: (
                register.get("UtilitiesMeasurementRecurrenceCode"),
                register["Specifications"]["MeterReadingResultAdjustmentFactorValue"],
            )
            for register in registers
        }
        assert found.pop(profile.lrn) == ("15", "20")
        assert set(found.values()) == {(None, "1")}

    def test_an_interval_register_is_not_read(self, business: Business, profile: Profile) -> None:
        orders = business.order_readings([profile.device], reason="01", scheduled_on="2026-03-28")
        assert profile.lrn not in {order.lrn for order in orders}
        assert len(orders) == 2

    def test_a_device_nobody_knows_gets_none(self, cis: Cis) -> None:
        with pytest.raises(CannotOrder, match="no such device"):
            Profiling(cis, Asker("")).assign(["9"], start_on="2026-03-28")  # type: ignore[arg-type]


class TestValues:
    def test_are_kept_and_confirmed(self, cis: Cis, profile: Profile) -> None:
        send(cis, profile.id, [value(), value(START + timedelta(minutes=15), "2")])
        assert defects(cis) == set()
        assert profile.values == {"2026-03-28T08:00:00Z": "1.5", "2026-03-28T08:15:00Z": "2"}
        (answer,) = [sent for sent in cis.view.sent.values() if sent.process == "values_confirmation"]
        assert [item["code"] for item in answer.items.values()] == ["3"]

    def test_a_change_replaces_what_was_created(self, cis: Cis, profile: Profile) -> None:
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(quantity="1.75")], how="Change")
        assert defects(cis) == set()
        assert profile.values == {"2026-03-28T08:00:00Z": "1.75"}
        assert profile.changed == {"2026-03-28T08:00:00Z": ["1.5"]}

    def test_of_a_profile_nobody_assigned_are_refused(self, cis: Cis) -> None:
        send(cis, "9", [value()])
        assert defects(cis) == {"profile_unknown"}
        (answer,) = [sent for sent in cis.view.sent.values() if sent.process == "values_confirmation"]
        assert [item["code"] for item in answer.items.values()] == ["5"]

    @pytest.mark.parametrize(
        ("wrong", "how", "defect"),
        [
            pytest.param(value(), "Change", "profile_change_of_nothing", id="a_change_of_nothing"),
            pytest.param(value(unit="WH"), "Create", "profile_unit_differs", id="another_unit"),
            pytest.param(value(minutes=60), "Create", "profile_interval_differs", id="an_hour"),
            pytest.param(value(START + timedelta(minutes=5)), "Create", "profile_interval_differs", id="off_the_grid"),
            pytest.param(value(NOW), "Create", "profile_value_in_future", id="not_over"),
            pytest.param(value(START - timedelta(days=3)), "Create", "profile_value_too_early", id="too_early"),
            pytest.param(value(status=PROFILE_STATUS * 2), "Create", "profile_status_count", id="two_statuses"),
        ],
    )
    def test_each_defect_is_found_by_its_name(
        self, cis: Cis, profile: Profile, wrong: str, how: str, defect: str
    ) -> None:
        send(cis, profile.id, [wrong], how=how)
        assert defects(cis) == {defect}


class TestQuery:
    @pytest.mark.parametrize(
        ("content", "code", "values"),
        [
            pytest.param("<Log>{}</Log>", "5", {}, id="no_values"),
            pytest.param(
                '<UtilitiesTimeSeries><ID>1</ID><Item><Quantity unitCode="KWH">1.5</Quantity>'
                "<UTCValidityStartDateTime>2026-03-28T08:00:00</UTCValidityStartDateTime></Item></UtilitiesTimeSeries>"
                "<Log>{}</Log>",
                "3",
                {"2026-03-28T08:00:00Z": "1.5"},
                id="a_value_whose_utc_has_no_z",
            ),
        ],
    )
    def test_returns_the_values_by_their_start(
        self, cis: Cis, profile: Profile, content: str, code: str, values: dict[str, str]
    ) -> None:
        tag = "BusinessDocumentProcessingResultCode"
        asker = Asker(content.format(f"<{tag}>{code}</{tag}>"))
        answer = Profiling(cis, asker).query(  # type: ignore[arg-type]
            profile.id, start="2026-03-28T00:00:00", end="2026-03-29T00:00:00"
        )
        assert answer == {"values": values, "code": code}
        ((interface, asked),) = asker.asked
        assert interface == QUERY
        assert list(asked) == ["UtilitiesTimeSeriesItemSelectionByID"]
