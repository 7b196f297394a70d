"""Which further head ends a landscape has, and which meters are theirs."""

from __future__ import annotations

import pytest

from simulators.fleet.meters import population
from simulators.landscape.__main__ import main
from simulators.landscape.head_ends import FURTHER, Further, chosen, has_mover, shares, simulated

ASKED = Further(kind="rest", name="asked", ams_id="AM91")
SILENT = Further(kind="rest", name="silent", ams_id="AM92", takes_orders=False)


class TestChosen:
    def test_are_all_where_nothing_is_said(self) -> None:
        assert chosen("") == FURTHER

    def test_are_those_named(self) -> None:
        assert [each.kind for each in chosen("mqtt, cim")] == ["cim", "mqtt"]

    def test_are_none_where_that_is_said(self) -> None:
        assert chosen("none") == ()

    @pytest.mark.parametrize("names", ["rest", "none,smoke"])
    def test_of_a_kind_there_is_not_are_refused(self, names: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ValueError, match="known are multispeak"):
            chosen(names)
        assert main(["--head-ends", names]) == 2
        assert "unknown head end" in capsys.readouterr().out

    def test_are_named_once_each(self) -> None:
        for what in ("kind", "name", "ams_id"):
            assert len({getattr(each, what) for each in FURTHER}) == len(FURTHER) == 5
        assert not {"rest", "meadow", "AM01"} & {
            part for each in FURTHER for part in (each.kind, each.name, each.ams_id)
        }


def test_a_kind_without_a_simulator_is_left_out() -> None:
    smoke = Further(kind="smoke", name="smoke", ams_id="AM99")
    assert simulated([smoke, ASKED]) == (ASKED,)


class TestShares:
    @pytest.mark.parametrize("meters", [3, 60, 1000])
    def test_have_meters_of_their_own_but_the_one_that_moves(self, meters: int) -> None:
        begin = meters + 10
        most = population(seed=1, size=begin + 1)
        some = shares([SILENT, ASKED, ASKED], meters=meters, begin=begin, ports=[1, 2, 3])
        serials = [
            [meter.serial for meter in population(seed=1, size=share.meters, first=share.first)] for share in some
        ]
        assert has_mover(some)
        assert serials[0][0] == most[-1].serial
        everybody = [*(meter.serial for meter in most), *serials[0][1:], *serials[1], *serials[2]]
        assert len(set(everybody)) == len(everybody)
        assert {len(own) for own in (serials[0][1:], *serials[1:])} == {max(10, round(meters * 0.03))}

    def test_of_who_takes_no_orders_are_no_place_to_move_to(self) -> None:
        some = shares([SILENT], meters=60, begin=70, ports=[1])
        assert not has_mover(some)
        assert (some[0].first, some[0].meters) == (71, 10)

    def test_are_none_of_no_head_ends(self) -> None:
        assert shares([], meters=60, begin=70, ports=[]) == ()
        assert not has_mover(())
