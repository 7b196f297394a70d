"""The matrix of what devices can do: what the head end offers, less what rows take away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.domain.capability import (
    Capabilities,
    Capability,
    CapabilityRow,
    contradicting,
    enabled_by,
    needed_for,
)
from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.headends.rest import HEAD_END
from mdus.settings import HeadEnd as Row
from mdus.settings import data_folder, load_settings

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
DEVICE = EndDevice(
    sender_system="P11",
    device_id="42",
    serial_id="0000001234",
    material_id="LX100-NB",
    valid_from=date(2026, 1, 1),
    ams_id="AM01",
    head_end="city",
)
HEAD_END_CITY = {"MDUS_HEAD_ENDS__CITY__KIND": "rest", "MDUS_HEAD_ENDS__CITY__URL": "http://127.0.0.1:9"}
CITY = load_settings(HEAD_END_CITY).head_ends[0]


def row(**says: Any) -> CapabilityRow:
    return CapabilityRow(**{"name": "a", **says})


def can(*rows: CapabilityRow, capability: Capability = Capability.DISCONNECT, device: EndDevice = DEVICE) -> bool:
    return Capabilities(rows=rows).lack(device, capability) is None


class TestWithoutRows:
    def test_a_device_can_do_all_that_its_head_end_offers(self) -> None:
        matrix = Capabilities(offered={"city": frozenset({Capability.DISCONNECT, Capability.REMOTE_READING})})
        assert matrix.of_device(DEVICE) == {Capability.DISCONNECT, Capability.REMOTE_READING}

    def test_a_head_end_nothing_is_known_of_is_held_to_offer_everything(self) -> None:
        assert Capabilities().of_device(DEVICE) == set(Capability)
        assert Capabilities().of_device(replace(DEVICE, head_end=None)) == set(Capability)

    def test_says_what_the_head_end_does_not_offer(self) -> None:
        told = Capabilities(offered={"city": frozenset()}).lack(DEVICE, Capability.ON_DEMAND_READING)
        assert told == "The device cannot be read on demand: its head end city does not offer that"


class TestARow:
    @pytest.mark.parametrize(
        ("where", "applies"),
        [
            pytest.param({}, True, id="every device"),
            pytest.param({"ams_id": "AM01"}, True, id="its system"),
            pytest.param({"ams_id": "AM02"}, False, id="another system"),
            pytest.param({"ams_id": "AM*"}, True, id="systems that begin so"),
            pytest.param({"material_id": "LX100-NB"}, True, id="its model"),
            pytest.param({"material_id": "LX100"}, False, id="the beginning of its model"),
            pytest.param({"material_id": "LX100*"}, True, id="models that begin so"),
            pytest.param({"material_id": "*-NB"}, True, id="models that end so"),
            pytest.param({"material_id": "L*-NB*"}, True, id="several wildcards, one for nothing"),
            pytest.param({"material_id": "LX100-N."}, False, id="no other character is special"),
            pytest.param({"material_id": "lx100-nb"}, False, id="capitals count"),
            pytest.param({"ams_id": "AM01", "material_id": "GX*"}, False, id="its system, another model"),
        ],
    )
    def test_takes_away_what_it_denies_the_devices_it_is_for(self, where: dict[str, str], applies: bool) -> None:
        assert can(row(disconnect=False, **where)) is not applies

    def test_says_nothing_of_what_it_leaves_out(self) -> None:
        assert can(row(disconnect=False), capability=Capability.RECONNECT)

    def test_adds_nothing_to_what_the_head_end_offers(self) -> None:
        matrix = Capabilities(rows=(row(disconnect=True),), offered={"city": frozenset()})
        assert matrix.lack(DEVICE, Capability.DISCONNECT) is not None

    def test_for_any_system_is_for_devices_that_name_none(self) -> None:
        nameless = replace(DEVICE, ams_id=None)
        assert not can(row(disconnect=False), device=nameless)
        assert can(row(disconnect=False, ams_id="AM01"), device=nameless)

    def test_is_named_in_the_reason(self) -> None:
        told = Capabilities(rows=(row(name="no_breaker", disconnect=False),)).lack(DEVICE, Capability.DISCONNECT)
        assert told == (
            "The device cannot be disconnected remotely: its model LX100-NB lacks that at AM01 "
            "(capabilities.no_breaker)"
        )

    def test_without_remote_reading_leaves_no_reading_on_demand(self) -> None:
        assert not can(row(remote_reading=False), capability=Capability.ON_DEMAND_READING)
        assert can(row(on_demand_reading=False), capability=Capability.REMOTE_READING)

    @pytest.mark.parametrize(
        ("says", "told"),
        [
            pytest.param({}, "at least one capability", id="nothing"),
            pytest.param(
                {"remote_reading": False, "on_demand_reading": True}, "needs remote_reading", id="what cannot be"
            ),
            pytest.param({"fly": True}, "fly", id="no capability"),
            pytest.param({"disconnect": "perhaps"}, "disconnect", id="neither yes nor no"),
            pytest.param({"disconnect": False, "ams_id": "AM001"}, "ams_id", id="an AMS id too long"),
            pytest.param({"disconnect": False, "material_id": ""}, "material_id", id="no model"),
        ],
    )
    def test_is_refused_when_it_makes_no_sense(self, says: dict[str, Any], told: str) -> None:
        with pytest.raises(ValidationError, match=told):
            row(**says)

    def test_may_say_of_both_that_they_are_there_or_not(self) -> None:
        assert row(remote_reading=True, on_demand_reading=True)
        assert row(remote_reading=False, on_demand_reading=False)


class TestSeveralRows:
    @pytest.mark.parametrize(
        ("wide", "narrow"),
        [
            pytest.param({}, {"ams_id": "AM01"}, id="any system, its system"),
            pytest.param({}, {"material_id": "LX100-NB"}, id="any model, its model"),
            pytest.param({"material_id": "LX*"}, {"material_id": "LX100*"}, id="a longer pattern"),
            pytest.param({"material_id": "LX100*"}, {"material_id": "LX100-NB"}, id="a pattern, the model"),
            pytest.param({"material_id": "LX*"}, {"material_id": "LX*-NB"}, id="a pattern within a pattern"),
            pytest.param(
                {"ams_id": "AM01"}, {"ams_id": "AM01", "material_id": "LX*"}, id="a system, models of the system"
            ),
        ],
    )
    @pytest.mark.parametrize("narrow_says", [True, False])
    def test_the_one_for_fewer_devices_counts(
        self, wide: dict[str, str], narrow: dict[str, str], narrow_says: bool
    ) -> None:
        rows = [row(disconnect=not narrow_says, **wide), row(disconnect=narrow_says, **narrow)]
        assert can(*rows) is narrow_says
        assert can(*reversed(rows)) is narrow_says

    def test_that_merely_overlap_are_decided_by_the_one_that_denies(self) -> None:
        rows = [row(disconnect=True, material_id="LX100-NB"), row(disconnect=False, ams_id="AM01")]
        assert not can(*rows)
        assert not can(*reversed(rows))

    def test_a_narrow_one_that_says_nothing_leaves_it_to_the_wide_one(self) -> None:
        assert not can(row(disconnect=False), row(text=False, ams_id="AM01", material_id="LX100-NB"))

    def test_a_row_for_both_decides_between_two_that_overlap(self) -> None:
        rows = [
            row(disconnect=True, material_id="LX*"),
            row(disconnect=False, ams_id="AM01"),
            row(disconnect=True, ams_id="AM01", material_id="LX*"),
        ]
        assert can(*rows)

    def test_for_the_same_devices_contradict_each_other_when_they_disagree(self) -> None:
        one, other = row(name="one", disconnect=True, text=True), row(name="other", disconnect=False, text=True)
        assert contradicting([one, other]) == [(one, other, Capability.DISCONNECT)]
        assert contradicting([one, row(disconnect=False, ams_id="AM01")]) == []
        assert contradicting([one, row(reconnect=False)]) == []


class TestAHeadEnd:
    def test_offers_what_its_commands_make_up(self) -> None:
        assert enabled_by({CommandKind.READ_ON_DEMAND}) == {Capability.ON_DEMAND_READING}
        assert enabled_by({CommandKind.SWITCH, CommandKind.SWITCH_STATE}) == {
            Capability.DISCONNECT,
            Capability.RECONNECT,
        }

    def test_that_cannot_read_positions_back_switches_nothing(self) -> None:
        assert enabled_by({CommandKind.SWITCH}) == set()

    def test_of_kind_rest_offers_what_its_api_has(self) -> None:
        assert HEAD_END.offers(CITY) == set(Capability)

    @pytest.mark.parametrize(
        ("kind", "capability"),
        [
            (CommandKind.LIMIT_DEMAND, Capability.DEMAND_LIMIT),
            (CommandKind.CONTROL_LOAD, Capability.LOAD_CONTROL),
            (CommandKind.SET_TIME, Capability.TIME_SET),
            (CommandKind.SHOW_TEXT, Capability.TEXT),
        ],
    )
    def test_offers_what_one_command_is_enough_for(self, kind: CommandKind, capability: Capability) -> None:
        assert enabled_by({kind}) == {capability}
        assert capability not in enabled_by(set(CommandKind) - {kind})

    def test_offers_also_what_it_tells_unasked(self) -> None:
        silent = replace(HEAD_END, capabilities=frozenset(), tells=frozenset({Capability.EVENTS}))
        assert silent.offers(CITY) == {Capability.EVENTS}

    def test_offers_nothing_that_its_row_leaves_it_without(self) -> None:
        def lacking(row: Row) -> frozenset[CommandKind]:
            return frozenset() if row.url else frozenset({CommandKind.PING})

        kind = replace(HEAD_END, lacks=lacking)
        assert Capability.OPERATIONAL_STATE in kind.offers(CITY)
        silent = CITY.model_copy(update={"url": None})
        assert kind.takes(silent) == kind.capabilities - {CommandKind.PING}
        assert kind.offers(silent) == set(Capability) - {Capability.OPERATIONAL_STATE}


class TestACommand:
    @pytest.mark.parametrize(
        ("kind", "wanted", "needed"),
        [
            (CommandKind.READ_REGISTERS, None, Capability.REMOTE_READING),
            (CommandKind.READ_INTERVALS, None, Capability.LOAD_PROFILE),
            (CommandKind.READ_ON_DEMAND, None, Capability.ON_DEMAND_READING),
            (CommandKind.SWITCH, SwitchState.DISCONNECTED, Capability.DISCONNECT),
            (CommandKind.SWITCH, SwitchState.CONNECTED, Capability.RECONNECT),
            (CommandKind.LIMIT_DEMAND, None, Capability.DEMAND_LIMIT),
            (CommandKind.CONTROL_LOAD, None, Capability.LOAD_CONTROL),
            (CommandKind.SET_TIME, None, Capability.TIME_SET),
            (CommandKind.SHOW_TEXT, None, Capability.TEXT),
            (CommandKind.SWITCH_STATE, None, None),
            (CommandKind.PROVISION, None, None),
        ],
    )
    def test_makes_use_of_a_capability(
        self, kind: CommandKind, wanted: SwitchState | None, needed: Capability | None
    ) -> None:
        command = Command(
            command_key="k",
            owner_kind=OwnerKind.REGISTRY,
            owner_key="o",
            sender_system="P11",
            device_id="42",
            serial_id="1",
            head_end="city",
            kind=kind,
            purpose="p",
            not_before=NOW,
            expires_at=NOW,
            wanted_state=wanted,
        )
        assert needed_for(command) is needed


class TestTheSettings:
    def test_bring_rows_and_what_the_kinds_offer_together(self) -> None:
        environ = {**HEAD_END_CITY, "MDUS_CAPABILITIES__OLD__DISCONNECT": "false"}
        settings = load_settings(environ, offered={"rest": lambda _: frozenset({"disconnect", "events"})})
        assert Capabilities.of(settings).of_device(DEVICE) == {Capability.EVENTS}

    def test_bring_what_each_head_end_offers_by_its_row(self) -> None:
        environ = {**HEAD_END_CITY, "MDUS_HEAD_ENDS__VILLAGE__KIND": "rest"}
        settings = load_settings(environ, offered={"rest": lambda row: frozenset({"events"} if row.url else ())})
        matrix = Capabilities.of(settings)
        assert matrix.of_device(DEVICE) == {Capability.EVENTS}
        assert matrix.of_device(replace(DEVICE, head_end="village")) == set()

    def test_bring_how_long_a_text_each_head_end_shows(self) -> None:
        matrix = Capabilities.of(load_settings(HEAD_END_CITY, longest_texts={"rest": 40}))
        assert matrix.longest_text(DEVICE) == 40
        assert matrix.longest_text(replace(DEVICE, head_end="elsewhere")) == 160
        assert Capabilities.of(load_settings(HEAD_END_CITY)).longest_text(DEVICE) == 160

    def test_without_kinds_withhold_nothing(self) -> None:
        assert Capabilities.of(load_settings(HEAD_END_CITY)).of_device(DEVICE) == set(Capability)

    def test_explain_every_column_beside_the_default(self) -> None:
        text = (data_folder("config") / "capabilities.toml").read_text(encoding="utf-8")
        assert [name for name in CapabilityRow.model_fields if f"#   {name} = " not in text] == []
        assert {capability.value for capability in Capability} <= set(CapabilityRow.model_fields)
