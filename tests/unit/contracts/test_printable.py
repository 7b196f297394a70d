"""Texts that others wrote, as XML and databases can hold them."""

from __future__ import annotations

import pytest
from lxml import etree

from mdus.contracts.printable import printable


@pytest.mark.parametrize(
    ("text", "held"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("line\tone\r\nline two", "line\tone\r\nline two", id="white space stays"),
        pytest.param("caf\u00e9 \U0001f50c", "caf\u00e9 \U0001f50c", id="every plane stays"),
        pytest.param("a\u0000b", "a?b", id="NUL"),
        pytest.param("a\u001bb", "a?b", id="control character"),
        pytest.param("a\ud83db", "a?b", id="half a surrogate pair"),
        pytest.param("a\ufffe\uffffb", "a??b", id="no characters"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_replaces_what_cannot_be_held(text: str, held: str) -> None:
    assert printable(text) == held
    element = etree.Element("Note")
    element.text = printable(text)
    assert etree.tostring(element, encoding="UTF-8")
