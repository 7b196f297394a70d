"""What the tester sends is right where it should be, and wrong where it should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lxml import etree

from simulators.conformance import bodies
from simulators.conformance.contract import SERVICES, Form
from simulators.conformance.recipes import RECIPES, Recipe
from simulators.conformance.writing import SPOILS, UNREADABLE, Content, Item, Message, Writer, changed, spoil
from simulators.sap_cis.envelope import envelope_message
from tests.unit.simulators.conformance.parts import CONTRACT, WORLD, subject

WRITER = Writer(contract=CONTRACT, sender="SAP")
UUID = "00000000-0000-4000-8000-000000000001"


def message(root: str, *contents: Content, plain: bool = False, overall: bool = False) -> Message:
    items = tuple(Item(key="1", uuid=UUID, content=content) for content in contents)
    log = {"BusinessDocumentProcessingResultCode": "3"} if overall else None
    return Message(root=root, uuid=UUID, items=items, plain=plain, reference=UUID, log=log)


def right_messages() -> Iterator[Message]:
    """Every message the tester can send, right."""
    one = subject()
    for recipe in RECIPES.values():
        said = recipe.right(one, WORLD)
        for form, root in recipe.service.requests.items():
            contents = [said] if form is Form.SINGLE else [said, said, said]
            yield message(root, *contents, plain=form is Form.BULK)
    day = WORLD.local(bodies.now()).replace(hour=0, minute=0, second=0)
    query = bodies.time_series_query(one.profile, WORLD, start=day, end=day)
    yield message("UtilitiesTimeSeriesItemByIDQuery_sync", query)
    for name in ("reading_result", "event", "time_series_create", "time_series_change"):
        said = bodies.confirmation(
            name,
            {"key": one.document if name == "reading_result" else one.device, "device": one.device, "event": "E1"},
            "5",
        )
        for form, root in SERVICES[name].confirmations.items():
            yield message(root, said, overall=form is Form.BULK)


RIGHT = list(right_messages())


@pytest.mark.parametrize("right", RIGHT, ids=[one.root for one in RIGHT])
class TestMessages:
    def test_hold_to_the_contract(self, right: Message) -> None:
        written = envelope_message(WRITER.write(right))
        assert CONTRACT.violations(written) == []
        assert etree.QName(written).localname == right.root

    @pytest.mark.parametrize("how", SPOILS)
    def test_spoiled_do_not(self, right: Message, how: str) -> None:
        body = spoil(how, WRITER.element(right))
        if how not in UNREADABLE:
            assert CONTRACT.violations(envelope_message(body)) != []
        elif b"<!DOCTYPE" in body:
            assert etree.fromstring(body).getroottree().docinfo.internalDTD is not None
        else:
            with pytest.raises(ValueError, match=r"\w"):
                envelope_message(body)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
class TestRecipes:
    def test_wrong_in_business_terms_is_right_for_the_schema(self, recipe: Recipe) -> None:
        assert recipe.wrongs
        for wrong in recipe.wrongs:
            root = recipe.service.requests[Form.SINGLE]
            written = WRITER.element(message(root, wrong.said(subject(), WORLD)))
            assert CONTRACT.violations(written) == [], wrong.why

    def test_changed_content_is_right_and_another(self, recipe: Recipe) -> None:
        right = recipe.right(subject(), WORLD)
        other = changed(right, *recipe.change)
        root = recipe.service.requests[Form.SINGLE]
        assert CONTRACT.violations(WRITER.element(message(root, other))) == []
        assert WRITER.write(message(root, other)) != WRITER.write(message(root, right))


class TestWriter:
    def test_qualifies_the_root_and_nothing_else_in_both_ways_of_writing(self) -> None:
        said = {"UtilitiesDevice": {"ID": "0001", "@x": "y", "Register": [{"A": 1}, {"A": 2}], "Gone": None}}
        prefixed, plain = (
            WRITER.write(message("UtilitiesDeviceERPSmartMeterCreateRequest", said, plain=plain))
            for plain in (False, True)
        )
        assert b"<n0:UtilitiesDevice" in prefixed
        assert b'<UtilitiesDevice x="y" xmlns=""><ID>0001</ID>' in plain
        ours, theirs = ([child.tag for child in envelope_message(body).iterdescendants()] for body in (prefixed, plain))
        assert ours == theirs
        assert ours[-5:] == ["ID", "Register", "A", "Register", "A"]

    def test_states_uuid_reference_creation_and_sender(self) -> None:
        written = WRITER.element(message("UtilitiesDeviceERPSmartMeterCreateRequest", {}))
        assert [child.tag for child in written[0]] == [
            "UUID",
            "ReferenceUUID",
            "CreationDateTime",
            "SenderBusinessSystemID",
        ]
