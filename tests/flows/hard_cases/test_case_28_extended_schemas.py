"""Case 28. A customer's SAP adds elements, and writes the same message in other ways that XML allows.

Reading is tolerant, writing is strict: what the contract does not know is set aside and never sent on.
"""

from __future__ import annotations

from typing import Any

import pytest

from mdus.domain.end_device import EndDevice
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import CREATE, CREATED, METER, READ_BULK, device, reading
from tests.flows.hard_cases.steps import answers, message, take
from tests.flows.intake.installation import fault_of
from tests.flows.intake.messages import ROOT_NAMESPACE, SOAP, header, new_uuid

BODY = device()
EXTRA = "<ZZ_CUSTOMER><ID>not the device</ID><Nested>x</Nested></ZZ_CUSTOMER>"


def created(sides: BothSides) -> None:
    """The one device is stored as SAP told it, and SAP has its answer."""
    sides.rest()
    assert [(one.device_id, one.serial_id) for one in sides.all(EndDevice)] == [(METER, f"S{METER}")]
    assert answers(sides, CREATED) == [("3", [])]


def written(root: str, *, declaration: str = "", envelope: str = "soap") -> str:
    return (
        f'{declaration}<{envelope}:Envelope xmlns:{envelope}="{SOAP}"><{envelope}:Body>{root}</{envelope}:Body>'
        f"</{envelope}:Envelope>"
    )


class TestAnExtendedMessage:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(BODY.replace("<SerialID>", f"{EXTRA}<SerialID>"), id="inside, before what is known"),
            pytest.param(BODY.replace("<ID>", f"{EXTRA}<ID>"), id="first of all"),
            pytest.param(BODY + EXTRA, id="last of all"),
            pytest.param(EXTRA + BODY, id="beside the device"),
            pytest.param(BODY.replace("<SmartMeter>", f"<SmartMeter>{EXTRA}"), id="deep inside"),
            pytest.param(
                BODY.replace(
                    "<SmartMeter>", "<SmartMeter><ActivationGroupAMIFunctions>1</ActivationGroupAMIFunctions>"
                ),
                id="an extension that is known, in a place of its own",
            ),
        ],
    )
    def test_is_read_and_the_addition_set_aside(self, empty_sides_on_sqlite: BothSides, body: str) -> None:
        sides = empty_sides_on_sqlite
        take(sides, message(CREATE, body))
        created(sides)

        [received] = [row for row in sides.mdus.rows(MESSAGE) if row.direction == "in"]
        assert received.set_aside <= 1
        [confirmation] = sides.sap.messages(CREATED)
        assert not confirmation.xpath("//*[starts-with(local-name(), 'ZZ')]")

    def test_in_the_header_is_too(self, empty_sides_on_sqlite: BothSides) -> None:
        head = header(uuid=new_uuid()).replace("</MessageHeader>", f"{EXTRA}</MessageHeader>")
        take(empty_sides_on_sqlite, message(CREATE, BODY, header_xml=head))
        created(empty_sides_on_sqlite)

    def test_counts_what_was_set_aside(self, sides: BothSides) -> None:
        bodies = [reading("1"), reading("2").replace("<ScheduledMeter", f"{EXTRA}<ScheduledMeter"), reading("3")]
        take(sides, message(READ_BULK, *bodies))

        assert [row.set_aside for row in sides.mdus.rows(MESSAGE)] == [1]

    @pytest.mark.parametrize(
        ("body", "place"),
        [
            pytest.param(BODY.replace("MaterialID", "MaterialId"), "MaterialID", id="a name of the contract misspelt"),
            pytest.param(BODY.replace("<SerialID>", "<SerialID>" + "9" * 40), "SerialID", id="a value too long"),
            pytest.param(
                BODY.replace(f"<SerialID>S{METER}</SerialID>", ""), "SerialID", id="what is mandatory left out"
            ),
        ],
    )
    def test_is_refused_for_what_is_wrong_in_what_is_known(
        self, empty_sides_on_sqlite: BothSides, body: str, place: str
    ) -> None:
        answer = empty_sides_on_sqlite.mdus.post(message(CREATE, body))

        assert answer.status_code == 500
        assert f"UtilitiesDevice/{place}" in fault_of(answer)[2][0]


class TestTheSameMessageWrittenOtherwise:
    HEAD = header(uuid="4C7D1A5E-0000-4000-8000-000000000000")

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(written(f'<n0:{CREATE} xmlns:n0="{ROOT_NAMESPACE}">{{}}</n0:{CREATE}>'), id="prefix n0"),
            pytest.param(written(f'<glob:{CREATE} xmlns:glob="{ROOT_NAMESPACE}">{{}}</glob:{CREATE}>'), id="glob"),
            pytest.param(
                written(f'<{CREATE} xmlns="{ROOT_NAMESPACE}">{{}}</{CREATE}>')
                .replace("<MessageHeader>", '<MessageHeader xmlns="">')
                .replace("<UtilitiesDevice>", '<UtilitiesDevice xmlns="">'),
                id='xmlns="" on the children',
            ),
            pytest.param(
                written(
                    f'<n0:{CREATE} xmlns:n0="{ROOT_NAMESPACE}" xmlns:prx="urn:sap.com:proxy:P11:/1SAI/TAS1:750"'
                    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:a a.xsd">{}'
                    f"</n0:{CREATE}>"
                ),
                id="with the proxy's name space and a schema location",
            ),
            pytest.param(
                written(f'<n0:{CREATE} xmlns:n0="{ROOT_NAMESPACE}">{{}}</n0:{CREATE}>', envelope="SOAP-ENV"),
                id="another prefix of SOAP",
            ),
            pytest.param(
                written(f'<n0:{CREATE} xmlns:n0="{ROOT_NAMESPACE}">{{}}</n0:{CREATE}>').replace(
                    "><", ">\n  <!-- by hand --><"
                ),
                id="with white space and comments",
            ),
        ],
    )
    def test_is_the_same_message(self, empty_sides_on_sqlite: BothSides, content: str) -> None:
        parts = self.HEAD + BODY
        if 'xmlns="' in content:
            parts = parts.replace("<MessageHeader>", '<MessageHeader xmlns="">')
            parts = parts.replace("<UtilitiesDevice>", '<UtilitiesDevice xmlns="">')
        take(empty_sides_on_sqlite, content.format(parts).encode())
        created(empty_sides_on_sqlite)

    @pytest.mark.parametrize(
        ("encoding", "mark"),
        [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("iso-8859-1", b""), ("utf-16", b"")],
        ids=["UTF-8", "UTF-8 with a mark", "Latin-1", "UTF-16"],
    )
    def test_in_any_encoding_it_declares(self, empty_sides_on_sqlite: BothSides, encoding: str, mark: bytes) -> None:
        root = f'<n0:{CREATE} xmlns:n0="{ROOT_NAMESPACE}">{self.HEAD}{BODY.replace("LX100", "Zähler")}</n0:{CREATE}>'
        declaration = f'<?xml version="1.0" encoding="{encoding}"?>'
        take(empty_sides_on_sqlite, mark + written(root, declaration=declaration).encode(encoding))
        created(empty_sides_on_sqlite)

        assert empty_sides_on_sqlite.all(EndDevice)[0].material_id == "Zähler"

    def test_with_qualified_children_is_refused_and_told_why(self, empty_sides_on_sqlite: BothSides) -> None:
        content = written(f'<{CREATE} xmlns="{ROOT_NAMESPACE}">{self.HEAD}{BODY}</{CREATE}>')
        answer = empty_sides_on_sqlite.mdus.post(content.encode())

        assert answer.status_code == 500
        assert "only the root of a message is qualified" in fault_of(answer)[2][0]


class TestWhatWeSend:
    def test_never_holds_what_a_customer_added(self, empty_sides: BothSides) -> None:
        """Every message the other tests see SAP take was held against the exact schema; this one by its elements."""
        sides = empty_sides
        body = BODY.replace("<SerialID>", f"{EXTRA}<SerialID>").replace("LX100", "L" * 60)
        take(sides, message(CREATE, body))
        sides.rest()

        [confirmation] = sides.sap.messages(CREATED)
        tags: list[Any] = [element.tag for element in confirmation.iter()]
        assert [tag for tag in tags if "ZZ" in tag or "Material" in tag] == []
        assert texts(confirmation, "UtilitiesDevice/ID") == [METER]
