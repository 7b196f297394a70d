"""What is asked for: the bodies of requests as submissions. Whatever is wrong with one is a fault of the sender."""

from datetime import datetime
from typing import Any
from uuid import UUID

from simulators.clock import instant, stamp
from simulators.fleet.jobs import Order, Submission
from simulators.headend_token_poll import soap
from simulators.headend_token_poll.contract import INTERROGATE, INTERROGATIONS, MARKETS, OPERATIONS, serial_of

_COMMODITIES = {market: commodity for commodity, market in MARKETS.items()}


def read(name: str, root: soap.Element) -> Submission:
    """This will read a request of an operation that gives a token."""
    correlation = reference(root)
    endpoints = list(soap.child(root, "Endpoints"))
    if not endpoints:
        raise soap.Fault("ElementMissing", "Endpoints is empty", of_sender=True)
    serials = [serial_of(soap.text(endpoint, "ElectronicSerialNumber")) for endpoint in endpoints]
    if len(set(serials)) != len(serials):
        raise soap.Fault("EndpointRepeated", "an endpoint stands there twice", of_sender=True)
    kinds, wishes = zip(*(_wish(name, endpoint) for endpoint in endpoints), strict=True)
    if len(set(kinds)) != 1:
        raise soap.Fault("SeveralDataSets", "all endpoints of a request read the same data set", of_sender=True)
    address = soap.texts(root, "StatusAddress")
    return Submission(
        correlation_id=correlation,
        kind=kinds[0],
        orders=[
            Order(serial=serial, reference=f"{correlation}/{serial}", wish=wish)
            for serial, wish in zip(serials, wishes, strict=True)
        ],
        callback_url=address[0].removesuffix("/status") if address else None,
        expires_at=_instant(soap.text(root, "ExpiresWhen"), "ExpiresWhen"),
    )


def reference(root: soap.Element) -> str:
    """This will read the caller's reference of a request."""
    told = soap.text(root, "CallerReference")
    try:
        UUID(told)
    except ValueError as error:
        raise soap.Fault("ReferenceUnreadable", "CallerReference is not a UUID", of_sender=True) from error
    return told


def serials(root: soap.Element) -> list[str]:
    """This will read the endpoints of a request, and nothing else of it."""
    endpoints = soap.child(root, "Endpoints")
    return [serial_of(soap.text(endpoint, "ElectronicSerialNumber")) for endpoint in endpoints]


def _wish(name: str, endpoint: soap.Element) -> tuple[str, dict[str, Any]]:
    if name == INTERROGATE:
        data_set = soap.text(endpoint, "DataSet")
        if data_set not in INTERROGATIONS:
            raise soap.Fault("DataSetUnknown", f"no data set {data_set}", of_sender=True)
        begin, end = (_instant(soap.text(endpoint, each), each) for each in ("StartTime", "EndTime"))
        if begin >= end:
            raise soap.Fault("PeriodEmpty", "StartTime is not before EndTime", of_sender=True)
        return INTERROGATIONS[data_set], {"period": {"from": stamp(begin), "to": stamp(end)}}
    if name == "AddMeterDefinitions":
        return "provision", _definition(endpoint)
    return OPERATIONS[name].kind, dict(OPERATIONS[name].wish)


def _definition(endpoint: soap.Element) -> dict[str, Any]:
    market = soap.text(endpoint, "MarketType")
    if market not in _COMMODITIES:
        raise soap.Fault("MarketUnknown", f"no market {market}", of_sender=True)
    return {
        "device_id": soap.text(endpoint, "DeviceID"),
        "commodity": _COMMODITIES[market],
        "registers": [
            {
                "obis": soap.text(register, "Quantity"),
                "unit": soap.text(register, "Unit"),
                "digits": _count(soap.text(register, "NumberOfDials")),
                "decimals": _count(soap.text(register, "Decimals")),
                "factor": soap.text(register, "Multiplier"),
            }
            for register in soap.child(endpoint, "Registers")
        ],
    }


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise soap.Fault("NumberUnreadable", f"{text} is not a number of digits", of_sender=True)
    return int(text)


def _instant(text: str, name: str) -> datetime:
    try:
        return instant(text)
    except (TypeError, ValueError) as error:
        raise soap.Fault("InstantUnreadable", f"{name} is not an instant with a zone", of_sender=True) from error
