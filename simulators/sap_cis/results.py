"""Judges one meter reading result against its order. The value itself is compared with the meter in `truth`."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.sap_cis import checks
from simulators.sap_cis.checks import Finding, text
from simulators.sap_cis.view import Order, View

_TASK = "UtiltiesMeasurementTask"  # SAP's spelling


def result_findings(
    document: etree._Element | None, view: View, *, now: datetime, zone: ZoneInfo, window: tuple[int, int]
) -> Iterator[Finding]:
    """This will judge `MeterReadingDocument` of a result that came at `now`; `window` as in `Judge`."""
    key = text(document, "ID")
    if document is None or not key:
        yield "result_without_order", "no MeterReadingDocument/ID"
        return
    order = view.orders.get(key)
    if order is None:
        yield "result_for_unknown_order", key
        return
    yield from _state_findings(document, order)
    yield from _echo_findings(document, order)
    yield from _time_findings(document, order, now=now, zone=zone, window=window)
    value = text(document, "Result/MeterReadingResultValue") or ""
    yield from checks.value_findings(value, view.register_of(order))


def _state_findings(document: etree._Element, order: Order) -> Iterator[Finding]:
    if order.status == "ordered":
        yield "result_before_acceptance", "the order is not confirmed yet"
    elif order.status == "rejected":
        yield "result_for_rejected_order", order.note
    elif order.status == "cancelled":
        yield "result_for_cancelled_order", "its cancellation was confirmed"
    if order.result is None or order.result_code == "5":
        return
    if order.result_code is not None:
        yield "result_twice", f"SAP has {order.result['value']} of {order.result['date']}"
        return
    # Not answered yet: MDUS may send it again under a new UUID, but then it must say the same.
    again = {
        "value": text(document, "Result/MeterReadingResultValue"),
        "date": text(document, "Result/ActualMeterReadingDate"),
        "time": text(document, "Result/ActualMeterReadingTime"),
    }
    if again != order.result:
        yield "result_changed", f"{again} instead of {order.result}"


def _echo_findings(document: etree._Element, order: Order) -> Iterator[Finding]:
    lrn = text(document, f"{_TASK}/UtilitiesMeasurementTaskID")
    if lrn != order.lrn:
        name = "lrn_zeros_lost" if checks.same_number(lrn, order.lrn) else "lrn_differs"
        yield name, f"{lrn} instead of {order.lrn}"
    device = text(document, f"{_TASK}/UtiltiesDevice/UtilitiesDeviceID")
    if device != order.device:
        yield "device_differs", f"{device} instead of {order.device}"
    obis = text(document, f"{_TASK}/UtilitiesObjectIdentificationSystemCodeText")
    if obis is not None and obis != order.obis:
        yield "obis_differs", f"{obis} instead of {order.obis}"
    reason = text(document, "MeterReadingReasonCode")
    if not checks.same_number(reason, order.reason):
        yield "reason_differs", f"{reason} instead of {order.reason}"
    scheduled = text(document, "ScheduledMeterReadingDate")
    if scheduled != order.scheduled_on:
        yield "scheduled_date_differs", f"{scheduled} instead of {order.scheduled_on}"


def _time_findings(
    document: etree._Element, order: Order, *, now: datetime, zone: ZoneInfo, window: tuple[int, int]
) -> Iterator[Finding]:
    on = text(document, "Result/ActualMeterReadingDate") or ""
    at = text(document, "Result/ActualMeterReadingTime") or ""
    try:
        instants = checks.reading_instants(on, at, zone)
    except ValueError:
        return  # the schema has said so
    if not instants:
        yield "reading_time_nonexistent", f"{on} {at} in {zone.key}"
    elif min(instants) > now + checks.TOLERANCE:
        yield "reading_in_future", f"{on} {at} in {zone.key}"
    scheduled = date.fromisoformat(order.scheduled_on)
    before, after = (timedelta(days=days) for days in window)
    if not scheduled - before <= date.fromisoformat(on) <= scheduled + after:
        yield "reading_outside_window", f"{on}, scheduled for {order.scheduled_on}"
