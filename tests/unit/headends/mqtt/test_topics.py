"""Topics made from a template, and read back."""

from __future__ import annotations

import pytest

from mdus.headends.mqtt.topics import MESSAGES, Kind, Place, Topics, can_stand_in, checked

TOPICS = Topics("city")
OTHERS = Topics(
    "city", messages="{kind}/utility/{headend}/{device}/at/{concentrator}", states="s/{concentrator}/{headend}"
)


class TestTopics:
    def test_address_a_meter_behind_its_concentrator(self) -> None:
        assert TOPICS.command(concentrator="DC-1", device="0000001234") == "ami/v1/city/DC-1/0000001234/cmd"
        assert TOPICS.response(concentrator="DC-1", device="0000001234") == "ami/v1/city/DC-1/0000001234/rsp"

    def test_filter_all_that_concentrators_tell_and_no_commands(self) -> None:
        assert TOPICS.filters == (
            "ami/v1/city/+/+/rsp",
            "ami/v1/city/+/+/evt",
            "ami/v1/city/+/+/rdg",
            "ami/v1/city/+/state",
        )

    def test_follow_a_template(self) -> None:
        assert OTHERS.command(concentrator="DC-1", device="7") == "cmd/utility/city/7/at/DC-1"
        assert OTHERS.filters == (
            "rsp/utility/city/+/at/+",
            "evt/utility/city/+/at/+",
            "rdg/utility/city/+/at/+",
            "s/+/city",
        )
        assert OTHERS.place("evt/utility/city/7/at/DC-1") == Place(kind=Kind.EVENT, concentrator="DC-1", device="7")

    @pytest.mark.parametrize(
        ("topic", "place"),
        [
            ("ami/v1/city/DC-1/7/rsp", Place(kind=Kind.RESPONSE, concentrator="DC-1", device="7")),
            ("ami/v1/city/DC-1/7/rdg", Place(kind=Kind.READING, concentrator="DC-1", device="7")),
            ("ami/v1/city/DC-1/state", Place(kind=Kind.STATE, concentrator="DC-1", device=None)),
            ("ami/v1/city/DC-1/7/cmd", None),
            ("ami/v1/city/DC-1/7/xyz", None),
            ("ami/v1/town/DC-1/7/rsp", None),
            ("ami/v1/city/DC-1/7/8/rsp", None),
            ("ami/v1/city//7/rsp", None),
        ],
    )
    def test_say_whom_a_message_is_of(self, topic: str, place: Place | None) -> None:
        assert TOPICS.place(topic) == place

    def test_take_the_name_literally(self) -> None:
        assert Topics("c.ty").place("ami/v1/city/DC-1/state") is None


class TestLevels:
    @pytest.mark.parametrize("level", ["DC-1", "0000001234", "Zähler 7", "1.2"])
    def test_may_be_any_text(self, level: str) -> None:
        assert can_stand_in(level)

    @pytest.mark.parametrize("level", ["", "a/b", "+", "#", "a+", "a\x00", "a\n"])
    def test_must_not_divide_or_match(self, level: str) -> None:
        assert not can_stand_in(level)


class TestTemplates:
    def test_may_be_any_with_all_places(self) -> None:
        assert checked(MESSAGES, "headend", "concentrator", "device", "kind") == MESSAGES

    @pytest.mark.parametrize(
        ("template", "reason"),
        [
            ("ami/{headend}/{concentrator}/{device}", r"\{kind\} has to stand once"),
            ("ami/{headend}/{concentrator}/{device}/{kind}/{kind}", r"\{kind\} has to stand once"),
            ("ami/{headend}/{concentrator}/{device}-{kind}", r"\{device\} has to stand once"),
            ("ami/#/{headend}/{concentrator}/{device}/{kind}", "is no topic"),
            ("/{headend}/{concentrator}/{device}/{kind}", "is no topic"),
            ("ami/{meter}/{headend}/{concentrator}/{device}/{kind}", "is no topic"),
        ],
    )
    def test_must_have_each_place_as_a_level(self, template: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            checked(template, "headend", "concentrator", "device", "kind")
