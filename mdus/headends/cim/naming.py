"""How meters are named: by a name of a type, a serial number or an mRID; whichever a head end uses, one is enough."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from mdus.headends.cim import elements
from mdus.headends.cim.names import local
from mdus.headends.cim.options import CimOptions


def serial_of(element: etree._Element, options: CimOptions) -> str | None:
    """Return the serial number of the meter an element (Meter, EndDevices, Assets ...) names, None where it names none.

    As the options say how we name meters; where that is not told, as it is named.
    """
    by_type = dict(names_of(element))
    ways = {
        "name": by_type.get(options.meter_name_type),
        "serial_number": elements.text(element, "serialNumber"),
        "mrid": elements.text(element, "mRID"),
    }
    first = ways.pop(options.identify_by)
    any_name = next((name for of_type, name in by_type.items() if of_type != options.device_name_type), None)
    return first or next((way for way in ways.values() if way), None) or any_name


def device_of(element: etree._Element, options: CimOptions) -> str | None:
    """Return SAP's number of the device, where an element carries it."""
    return dict(names_of(element)).get(options.device_name_type)


def names_of(element: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the names of an element with their types, empty where one has none."""
    for each in element:
        if local(each) in ("Names", "Name"):
            name = elements.text(each, "name")
            if name is not None:
                yield elements.text(each, "NameType", "name") or "", name
