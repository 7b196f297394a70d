"""Load profiles: who gets one, what is wrong with values MDUS sends, and what SAP answers."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from simulators.sap_cis.building import Builder
from simulators.sap_cis.business import Business, CannotOrder
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import GLOBAL, QUERY, RESPONSE
from simulators.sap_cis.defects import DEFECTS
from simulators.sap_cis.profile import Profile
from simulators.sap_cis.profiles import Profiling
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import CHANNEL, METERS, NOW, make_cis
from tests.unit.simulators.sap_cis.mdus_messages import PROFILE_STATUS, value

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
KEY = "2026-03-28T08:00:00Z"
#: Midnight in Berlin, where the assignment begins.
BEGIN = datetime(2026, 3, 27, 23, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


class Asker:
    """A sender that keeps the question and gives one answer."""

    def __init__(self, answer: str) -> None:
        self.answer = etree.fromstring(f'<n0:{RESPONSE} xmlns:n0="{GLOBAL}">{answer}</n0:{RESPONSE}>')
        self.asked: list[tuple[str, dict[str, object]]] = []

    def ask(self, interface: str, arguments: dict[str, object]) -> etree._Element:
        """Answer at once."""
        self.asked.append((interface, arguments))
        return self.answer


def assigned(cis: Cis, business: Business) -> Profile:
    """This will return the profile of the one interval register of the first device; the second device has none."""
    devices = [
        device.id
        for device in business.initialize_devices(
            [{**METERS[0], "channels": [CHANNEL]}, METERS[1]], start_on="2026-03-28", profiles=True
        )
    ]
    created = next(sent for sent in cis.view.sent.values() if sent.process == "device_create")
    say(cis, mdus.confirmation(created, cis.view))
    say(cis, mdus.registered(tuple(devices)))
    asker: Asker = Asker("")
    (number,), _ = Profiling(cis, asker).assign(devices, start_on="2026-03-28")  # type: ignore[arg-type]
    return cis.view.profiles[number]


@pytest.fixture
def profile(cis: Cis, business: Business) -> Profile:
    """A profile nothing has been sent of."""
    return assigned(cis, business)


def say(cis: Cis, message: etree._Element) -> None:
    cis.receive(message, interface=f"{etree.QName(message).localname}_In")


def send(cis: Cis, profile_id: str, values: Sequence[str], *, how: str = "Create") -> None:
    """This will let MDUS send values of a profile."""
    say(cis, mdus.values(profile_id, *values, how=how))


def defects(cis: Cis) -> set[str]:
    return {defect["name"] for defect in cis.view.defects}


def answers(cis: Cis) -> list[str]:
    """This will return the codes SAP answers, profile by profile, in the order of the messages."""
    return [
        item["code"]
        for sent in cis.view.sent.values()
        if sent.process in ("values_confirmation", "values_change_confirmation")
        for item in sent.items.values()
    ]


def status(code: str) -> str:
    return PROFILE_STATUS.replace("ACTL", code)


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
        assert answers(cis) == ["3"]

    def test_a_change_replaces_what_was_created(self, cis: Cis, profile: Profile) -> None:
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(quantity="1.75")], how="Change")
        assert defects(cis) == set()
        assert profile.values == {"2026-03-28T08:00:00Z": "1.75"}
        assert profile.changed == {"2026-03-28T08:00:00Z": ["1.5"]}

    def test_of_a_profile_nobody_assigned_are_refused(self, cis: Cis) -> None:
        send(cis, "9", [value()])
        assert defects(cis) == {"profile_unknown"}
        assert answers(cis) == ["5"]

    @pytest.mark.parametrize(
        ("wrong", "how", "defect"),
        [
            pytest.param(value(), "Change", "profile_change_of_nothing", id="a_change_of_nothing"),
            pytest.param(value(unit="WH"), "Create", "profile_unit_differs", id="another_unit"),
            pytest.param(value(minutes=60), "Create", "profile_interval_differs", id="an_hour"),
            pytest.param(value(START + timedelta(minutes=5)), "Create", "profile_interval_differs", id="off_the_grid"),
            pytest.param(value(NOW), "Create", "profile_value_in_future", id="not_over"),
            pytest.param(value(BEGIN - QUARTER), "Create", "profile_value_too_early", id="too_early"),
            pytest.param(value(status=PROFILE_STATUS * 2), "Create", "profile_status_count", id="two_statuses"),
            pytest.param(value(status=status("GOOD")), "Create", "profile_status_unknown", id="no_such_status"),
            pytest.param(value(quantity="0.1234567"), "Create", "profile_decimals", id="seven_decimals"),
            pytest.param(value() * 2, "Create", "profile_value_twice", id="twice_in_one_message"),
            pytest.param("", "Create", "profile_without_values", id="no_value"),
            pytest.param(value().replace("00Z<", "00<"), "Create", "timestamp_not_utc", id="no_z"),
        ],
    )
    def test_each_defect_is_found_by_its_name(
        self, cis: Cis, profile: Profile, wrong: str, how: str, defect: str
    ) -> None:
        send(cis, profile.id, [wrong], how=how)
        assert defects(cis) - {"schema_invalid"} == {defect}
        assert defect in DEFECTS

    @pytest.mark.parametrize(
        "right",
        [
            pytest.param(value(BEGIN), id="the_first_interval"),
            pytest.param(value(NOW - QUARTER), id="the_last_one_that_is_over"),
            pytest.param(value(quantity="0.123456"), id="six_decimals"),
            pytest.param(value(quantity="0", status=status("INVL")), id="a_gap"),
            pytest.param(value() + value(START + QUARTER), id="two_intervals"),
        ],
    )
    def test_a_right_value_is_not_found_wrong(self, cis: Cis, profile: Profile, right: str) -> None:
        send(cis, profile.id, [right])
        assert defects(cis) == set()
        assert answers(cis) == ["3"]

    def test_a_second_create_is_refused_and_nothing_of_it_is_kept(self, cis: Cis, profile: Profile) -> None:
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(quantity="2"), value(START + QUARTER)])
        assert defects(cis) == {"profile_value_created_twice"}
        assert answers(cis) == ["3", "5"]
        assert profile.values == {"2026-03-28T08:00:00Z": "1.5"}

    @pytest.mark.parametrize(
        ("quantity", "code", "found"),
        [
            pytest.param("1.5", "ACTL", {"profile_changed_to_the_same"}, id="nothing_changed"),
            pytest.param("1.5", "ESTM", set(), id="another_status"),
            pytest.param("1.6", "ACTL", set(), id="another_quantity"),
        ],
    )
    def test_a_change_changes(self, cis: Cis, profile: Profile, quantity: str, code: str, found: set[str]) -> None:
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(quantity=quantity, status=status(code))], how="Change")
        assert defects(cis) == found
        assert (profile.values, profile.statuses) == ({KEY: quantity}, {KEY: code})

    def test_of_a_device_never_registered_are_found(self, cis: Cis, profile: Profile) -> None:
        device = cis.view.devices[profile.device]
        cis.record({"event": "forgotten", "devices": [device.id]})
        device.seconds = 0.5  # registered before this system forgot
        send(cis, profile.id, [value()])
        assert defects(cis) == set()
        device.seconds = None
        send(cis, profile.id, [value(START + QUARTER)])
        assert defects(cis) == {"profile_before_registration"}

    def test_are_refused_as_often_as_a_script_says(self, cis: Cis, profile: Profile) -> None:
        cis.record({"event": "value_rejections", "left": 1})
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(START + QUARTER)])
        assert answers(cis) == ["5", "3"]
        assert list(profile.values) == ["2026-03-28T08:15:00Z"]
        assert defects(cis) == set()
        for sent in list(cis.view.waiting.values()):
            cis.record({"event": "delivered", "uuid": sent.uuid, "posted": 0.0, "real": 1.0})
        counts = cis.view.counts()["values"]
        assert {name: counts[name] for name in ("sent", "confirmed", "failed", "open")} == {
            "sent": 2,
            "confirmed": 1,
            "failed": 1,
            "open": 0,
        }

    def test_are_kept_through_a_kill(self, tmp_path: Path) -> None:
        cis = make_cis(state=tmp_path / "sap")
        profile = assigned(cis, Business(cis))
        cis.record({"event": "value_rejections", "left": 3})
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(START - QUARTER)])
        cis.record({"event": "value_rejections", "left": 0})
        send(cis, profile.id, [value()])
        send(cis, profile.id, [value(quantity="2", status=status("ESTM"))], how="Change")
        cis.record({"event": "value_rejections", "left": 2})
        send(cis, profile.id, [value(START + QUARTER)])
        again = make_cis(state=tmp_path / "sap").view
        assert asdict(again.profiles[profile.id]) == asdict(profile)
        assert profile.values == {KEY: "2"}
        assert again.value_rejections_left == 1


class TestGrid:
    @pytest.mark.parametrize(
        ("start", "hours", "fits"),
        [
            pytest.param("2026-03-27T23:00:00+00:00", 24, True, id="a_day"),
            pytest.param("2026-03-28T23:00:00+00:00", 23, True, id="clocks_go_forward"),
            pytest.param("2026-03-28T23:00:00+00:00", 24, False, id="an_hour_too_long"),
            pytest.param("2026-10-24T22:00:00+00:00", 25, True, id="clocks_go_back"),
            pytest.param("2026-03-27T22:00:00+00:00", 24, False, id="an_hour_too_early"),
        ],
    )
    def test_of_days_is_local(self, profile: Profile, start: str, hours: int, fits: bool) -> None:
        profile.minutes = 1440
        begin = datetime.fromisoformat(start)
        assert profile.is_on_grid(begin, begin + timedelta(hours=hours), BERLIN) is fits


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

    ANSWER = (
        '<UtilitiesTimeSeries MeasureUnitCode="KWH"><ID>{profile}</ID><Item><Quantity unitCode="KWH">1.5</Quantity>'
        "<UTCValidityStartDateTime>{start}</UTCValidityStartDateTime>"
        "<UTCValidityEndDateTime>2026-03-28T23:15:00</UTCValidityEndDateTime>"
        "<UTCStartDateTimeTimeZoneDifferenceValue>{lead}</UTCStartDateTimeTimeZoneDifferenceValue>"
        "<UTCEndDateTimeTimeZoneDifferenceValue>1.00</UTCEndDateTimeTimeZoneDifferenceValue>"
        "<Status><Code>ACTL</Code></Status></Item></UtilitiesTimeSeries>"
        "<Log><BusinessDocumentProcessingResultCode>3</BusinessDocumentProcessingResultCode></Log>"
    )

    @pytest.mark.parametrize(
        ("spoilt", "found"),
        [
            pytest.param({}, set(), id="right"),
            pytest.param({"profile": "000000000000000002"}, {"query_other_profile"}, id="another_profile"),
            pytest.param({"lead": "2.00"}, {"query_offset_wrong"}, id="the_lead_of_summer"),
            pytest.param({"start": "2026-03-28T22:45:00"}, {"query_outside_period"}, id="before_the_period"),
            pytest.param(
                {"start": "2026-03-29T22:00:00", "lead": "2.00"}, {"query_outside_period"}, id="after_the_period"
            ),
        ],
    )
    def test_is_answered_about_what_was_asked(self, spoilt: dict[str, str], found: set[str]) -> None:
        cis = make_cis(time_zone_code="CET")
        profile = assigned(cis, Business(cis))
        content = {"profile": profile.id, "start": "2026-03-28T23:00:00", "lead": "1.00", **spoilt}
        Profiling(cis, Asker(self.ANSWER.format(**content))).query(  # type: ignore[arg-type]
            profile.id, start="2026-03-29T00:00:00", end="2026-03-30T00:00:00"
        )
        assert defects(cis) == found
        assert found <= DEFECTS.keys()
