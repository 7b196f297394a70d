"""XML and JSON to frozen dataclasses and back: the one page that services and workers import.

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Register:
        task_id: str = wire("UtilitiesMeasurementTaskID")
        valid_to: date | None = wire_end("EndDate")

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Request:
        device_id: str = wire("UtilitiesDevice/ID")
        serial_id: str | None = wire("UtilitiesDevice/SerialID")
        complete: bool = wire("UtilitiesDevice/@locationListCompleteTransmissionIndicator")
        registers: tuple[Register, ...] = wire("UtilitiesDevice/Register")

`check` holds a shape against the contract at start; `bind` reads an element that passed its schema; `write` makes one
in the order of the contract; `to_json` and `from_json` are the stored form, told apart by `shape_version`.
"""

from mdus.contracts.checking import check
from mdus.contracts.reading import BindingError, bind
from mdus.contracts.shape import END_OF_DAY, ShapeError, shape_version, wire, wire_end, wire_text
from mdus.contracts.shape_json import from_json, to_json
from mdus.contracts.writing import fill, write

__all__ = [
    "END_OF_DAY",
    "BindingError",
    "ShapeError",
    "bind",
    "check",
    "fill",
    "from_json",
    "shape_version",
    "to_json",
    "wire",
    "wire_end",
    "wire_text",
    "write",
]
