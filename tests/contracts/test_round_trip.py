"""Every message of the contract, filled to the brim, bound to a shape and written back unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from mdus.contracts.binding import bind, check, from_json, to_json, write
from mdus.contracts.catalog import Root, catalog
from tests.contracts.filled_messages import filled, leaf_texts, shape_of

ROOTS = [pytest.param(root, id=name) for name, root in sorted(catalog().roots.items())]


def canonical(element: etree._Element) -> str:
    return etree.canonicalize(etree.tostring(element, encoding="unicode"), rewrite_prefixes=True)


class TestEveryMessage:
    def test_is_there(self) -> None:
        assert len(ROOTS) == 50

    @pytest.mark.parametrize("root", ROOTS)
    def test_filled_to_the_brim_is_valid(self, root: Root) -> None:
        catalog().schema(root).assertValid(filled(root))

    @pytest.mark.parametrize("root", ROOTS)
    def test_is_filled_by_distinct_values(self, root: Root) -> None:
        texts = [text for text in leaf_texts(filled(root)) if text not in ("true", "false")]
        repeated = {text for text in texts if texts.count(text) > 1 and len(text) > 3}
        assert len(texts) >= 2
        assert not repeated

    @pytest.mark.parametrize("root", ROOTS)
    def test_comes_back_unchanged(self, root: Root) -> None:
        sent = filled(root)
        value = bind(shape_of(root.type), sent)
        assert canonical(write(value, name=root.tag, of=root.type)) == canonical(sent)

    @pytest.mark.parametrize("root", ROOTS)
    def test_comes_back_unchanged_from_json(self, root: Root) -> None:
        shape: Any = shape_of(root.type)
        value = bind(shape, filled(root))
        assert from_json(shape, to_json(value)) == value

    @pytest.mark.parametrize("root", ROOTS)
    def test_fits_a_shape_made_from_its_types(self, root: Root) -> None:
        assert check(shape_of(root.message_type), root) == ()

    @pytest.mark.parametrize("root", ROOTS)
    def test_loses_a_value_that_no_field_names(self, root: Root) -> None:
        """The comparison above can fail: without one leaf the message is another."""
        sent = filled(root)
        changed = filled(root)
        leaf = next(one for one in changed.iter() if len(one) == 0)
        leaf.text = "changed"
        assert canonical(changed) != canonical(sent)
