"""Messages of months: pairs of what is asked and what is answered, their items, and the bulks that order readings."""

from __future__ import annotations

from typing import Final

from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
from tests.benchmarks.filled_rows import BULK, Filling, Size, case, device_of_document, system_of_row

READING_ORDER: Final = "SmartMeterMeterReadingDocumentERPCreateRequest"
RARE_SERVICE: Final = "SmartMeterMeterReadingDocumentERPCancellationRequest"

_SERVICES: Final = (
    (10, READING_ORDER),
    (14, "MeterReadingDocumentERPResultCreateRequest"),
    (16, "UtilitiesDeviceERPSmartMeterCreateRequest"),
    (17, "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"),
    (18, "UtilitiesDeviceERPSmartMeterLocationNotification"),
    (19, "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"),
    (20, "UtilitiesDeviceERPSmartMeterChangeRequest"),
)


def fill_messages(rows: Filling, size: Size) -> None:
    """This will fill messages in pairs: one that asks, then the one that answers.

    Of results of readings we ask, of all else SAP.
    """
    pair = "((n + 1) / 2)"
    device = f"({pair} * 7919 % {size.devices} + 1)"
    service = case(
        f"{pair} % 20",
        *((f"< {below}", f"'{name}'") for below, name in _SERVICES[:-1]),
        otherwise=f"'{_SERVICES[-1][1]}'",
    )
    service = f"CASE WHEN {pair} % 20000 = 2 THEN '{RARE_SERVICE}' WHEN n % 5000 = 1 THEN '' ELSE {service} END"
    is_ours = f"({pair} % 20 BETWEEN 10 AND 13)"
    is_out = f"((n % 2 = 0 AND NOT {is_ours}) OR (n % 2 = 1 AND {is_ours}))"
    status = f"""CASE WHEN {is_out} THEN {
        case(
            "n % 100000",
            ("= 20020", "'ready'"),
            ("= 20022", "'sending'"),
            ("= 40024", "'abandoned'"),
            ("IN (10, 8410, 50012, 60014)", "'dead'"),
            otherwise=f"CASE WHEN {is_ours} THEN 'confirmed' ELSE 'delivered' END",
        )
    } ELSE {
        case(
            "n % 5000",
            ("= 1", "'refused'"),
            ("IN (3, 2003)", "'duplicate'"),
            ("= 7", "'received'"),
            otherwise="'completed'",
        )
    } END"""
    uuid = rows.uuid("n")
    rows.insert(
        MESSAGE,
        size.messages,
        {
            "direction": f"CASE WHEN {is_out} THEN 'out' ELSE 'in' END",
            "sender_system": system_of_row(device),
            "service": service,
            "root": "CASE WHEN n % 2 = 1 THEN 'Request' ELSE 'Confirmation' END",
            "bulk": f"{pair} % {BULK} = 0",
            "status": status,
            "key": f"CASE WHEN n % 5000 IN (1, 3, 2003) THEN NULL ELSE {uuid} END",
            "uuid": uuid,
            "test_data": "false",
            "imported": "false",
            "item_count": f"CASE WHEN n % 2 = 0 THEN 0 WHEN {pair} % {BULK} = 0 THEN {BULK} ELSE 1 END",
            "set_aside": "0",
            "created_at": rows.at("n * 20"),
            "stored_at": rows.at("n * 20"),
            "ended_at": rows.at("n * 20 + 5"),
            "original_id": "CASE WHEN n % 2 = 0 THEN n - 1 END",
            "part": "0",
            "attempts": "0",
        },
    )
    rows.insert(MESSAGE_EVENT, size.messages, {"message_id": "n", "status": "'completed'", "at": rows.at("n * 20 + 5")})


def fill_items(rows: Filling, size: Size) -> None:
    """This will fill items: one for each pair of messages, then those of the bulks, each of which orders a reading."""
    pairs = size.messages // 2
    device = f"(n * 7919 % {size.devices} + 1)"
    is_ours = "(n % 20 BETWEEN 10 AND 13)"
    service = case(
        "n % 20", *((f"< {below}", f"'{name}'") for below, name in _SERVICES[:-1]), otherwise=f"'{_SERVICES[-1][1]}'"
    )
    rows.insert(
        ITEM,
        pairs,
        {
            "message_id": "n * 2 - 1",
            "position": "1",
            "direction": f"CASE WHEN {is_ours} THEN 'out' ELSE 'in' END",
            "sender_system": system_of_row(device),
            "service": service,
            "status": f"CASE WHEN {is_ours} THEN 'answered' WHEN n % 5000 = 11 THEN 'dead' ELSE 'closed' END",
            "key": f"{rows.uuid('n * 2 - 1')} || '/1'",
            "ordering_key": f"{system_of_row(device)} || '/' || {rows.padded(device, 18)}",
            "content": rows.content("device_id", rows.padded(device, 18)),
            "shape_version": "'1'",
            "confirmation_id": f"CASE WHEN {is_ours} THEN NULL ELSE n * 2 END",
            "stored_at": rows.at("n * 40"),
        },
    )
    device = device_of_document(size)
    bulk = f"((n - 1) / {BULK - 1} + 1)"
    rows.insert(
        ITEM,
        size.bulks * (BULK - 1),
        {
            "message_id": f"{bulk} * {2 * BULK} - 1",
            "position": f"(n - 1) % {BULK - 1} + 2",
            "direction": "'in'",
            "sender_system": system_of_row(device),
            "service": f"'{READING_ORDER}'",
            "status": case("n % 5000", ("= 17", "'parked'"), ("= 18", "'ready'"), otherwise="'closed'"),
            "key": rows.uuid(f"n + {size.messages}"),
            "ordering_key": f"{system_of_row(device)} || '/' || {rows.padded(device, 18)}",
            "content": rows.content("document_id", rows.padded("n", 20)),
            "shape_version": "'1'",
            "confirmation_id": f"{bulk} * {2 * BULK}",
            "waits_for": "CASE WHEN n % 5000 = 17 THEN 'device/' END",
            "stored_at": rows.at(f"{bulk} * {40 * BULK}"),
        },
    )
    rows.insert(
        MESSAGE_EVENT,
        pairs + size.bulks * (BULK - 1),
        {
            "message_id": f"CASE WHEN n <= {pairs} THEN n * 2 - 1 ELSE 0 END",
            "item_id": "n",
            "status": "'closed'",
            "at": rows.at("n * 20"),
        },
    )
