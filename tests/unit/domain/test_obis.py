"""OBIS codes: printed in full, read with or without the billing period, refused beyond their groups."""

from __future__ import annotations

import pytest

from mdus.domain.obis import Obis


class TestParse:
    @pytest.mark.parametrize(
        ("text", "printed"),
        [
            pytest.param("1-0:1.8.0*255", "1-0:1.8.0*255", id="in full"),
            pytest.param("1-0:1.8.0", "1-0:1.8.0*255", id="without billing period"),
            pytest.param("1-0:1.8.0*0", "1-0:1.8.0*0", id="of a billing period"),
            pytest.param("1-0:1.8.0&12", "1-0:1.8.0*12", id="of a period reset by hand"),
            pytest.param("01-00:01.08.00", "1-0:1.8.0*255", id="with leading zeros"),
            pytest.param("255-255:255.255.255*255", "255-255:255.255.255*255", id="the last of each group"),
        ],
    )
    def test_reads(self, text: str, printed: str) -> None:
        assert str(Obis.parse(text)) == printed

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "KWH_TOTAL",
            "1.8.0",
            "1-0:1.8",
            "1-0:1.8.256",
            "256-0:1.8.0",
            "1-0:1.8.0*",
            "1-0:1.8.0*255 ",
            "١-0:1.8.0",
        ],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no OBIS code"):
            Obis.parse(text)
