"""Commands as the payloads and requests of IEC 61968-9: what stands between a message's header and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from lxml import etree

from mdus.contracts.printable import printable
from mdus.domain.channel_map import ChannelKind, ChannelMap
from mdus.domain.channel_name import Mrid
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.register import Register
from mdus.headends.cim.names import Names, Noun
from mdus.headends.cim.options import CimOptions

#: Types of controls that limit what a customer may draw: begin and end, by the option `limit_by`.
_LIMITS: Final = {
    "supply_capacity": ("3.31.139.26", "3.31.139.22"),
    "load_limiting": ("0.15.0.54", "0.15.0.55"),
}

#: What registers show, and what passed in intervals: channels of these kinds are asked for together.
OF_REGISTERS: Final = frozenset({ChannelKind.REGISTER, ChannelKind.DEMAND})
OF_INTERVALS: Final = frozenset({ChannelKind.INTERVAL})

#: What a meter is served with: nothing else is ever asked for.
SERVED: Final = OF_REGISTERS | OF_INTERVALS

#: Digits before the point of a register whose number of digits SAP did not say.
_USUAL_DIGITS: Final = 8

Add = Callable[..., etree._Element]


class PayloadWriter:
    """Writes payloads in the namespaces and with the names of meters that a head end wants."""

    def __init__(self, names: Names, options: CimOptions, channels: ChannelMap) -> None:
        self._names = names
        self._options = options
        self._channels = channels

    # ---- controls ----------------------------------------------------------------------------------------------------

    def controls(self, commands: Sequence[Command]) -> etree._Element:
        """Return an EndDeviceControls with a control per command; its mRID is the command's key."""
        root = self._root(Noun.END_DEVICE_CONTROLS)
        for command in commands:
            self._control(_adder(root), command)
        return root

    def _control(self, add: Add, command: Command) -> None:
        control = _adder(add("EndDeviceControl"))
        control("mRID", command.command_key)
        match command.kind:
            case CommandKind.SWITCH:
                self._end(control, command, self._switch_type(command))
                self._expiry(control, command)
            case CommandKind.SET_TIME:
                self._end(control, command, self._options.set_time_type)
            case CommandKind.SHOW_TEXT:
                display = _adder(control("PanDisplay"))
                display("textMessage", printable(command.parameter("text") or ""))
                self._end(control, command, self._options.show_text_type)
            case CommandKind.LIMIT_DEMAND:
                begin, end = _LIMITS[self._options.limit_by]
                limit = command.parameter("limit_kw")
                attributes = {} if limit is None else {self._options.limit_attribute: limit}
                self._end(control, command, end if limit is None else begin, attributes=attributes)
                self._expiry(control, command)
            case CommandKind.CONTROL_LOAD:
                self._load_control(control, command)
            case _:
                raise ValueError(f"no control is for {command.kind.value}")

    def _switch_type(self, command: Command) -> str:
        if command.wanted_state is SwitchState.CONNECTED:
            return self._options.connect_type
        if command.wanted_state is SwitchState.DISCONNECTED:
            return self._options.disconnect_type
        raise ValueError(f"the command {command.command_key} switches to no state")

    def _load_control(self, control: Add, command: Command) -> None:
        event = command.parameter("event")
        if event is not None:
            control("issuerTrackingID", event)
        response = _adder(control("PanDemandResponse"))
        if command.parameter("action") == "cancel":
            response("cancelNow", "true")
            self._end(control, command, self._options.cancel_load_type)
            return
        percent, minutes = command.parameter("percent"), command.parameter("minutes")
        begin = command.parameter("start")
        if percent is None or minutes is None or begin is None:
            raise ValueError(f"the command {command.command_key} says not how much load is left when")
        # An adjustment of -40 leaves 60 percent of the usual load.
        response("avgLoadAdjustment", str(int(percent) - 100))
        self._end(control, command, self._options.schedule_load_type)
        timing = _adder(control("primaryDeviceTiming"))
        timing("duration", minutes)
        timing("durationIndefinite", "false")
        start = datetime.fromisoformat(begin)
        self._interval(timing, start, start + timedelta(minutes=int(minutes)))

    def _end(self, control: Add, command: Command, code: str, *, attributes: dict[str, str] | None = None) -> None:
        """Write what every control ends with: its type, attributes, and the meter."""
        control("EndDeviceControlType").set("ref", code)
        for name, value in (attributes or {}).items():
            attribute = _adder(control("EndDeviceControlAttribute"))
            attribute("name", name)
            attribute("value", value)
        self._identify(_adder(control("EndDevices")), command.serial_id)

    def _expiry(self, control: Add, command: Command) -> None:
        """Write until when a control may be begun, where the head end is told."""
        if self._options.expiry:
            interval = _adder(_adder(control("primaryDeviceTiming"))("interval"))
            interval("end", stamp(command.expires_at))

    @staticmethod
    def _interval(add: Add, begin: datetime, end: datetime) -> None:
        interval = _adder(add("interval"))
        interval("start", stamp(begin))
        interval("end", stamp(end))

    # ---- questions ---------------------------------------------------------------------------------------------------

    def readings_wanted(self, serials: Iterable[str], *, mrids: Sequence[str]) -> etree._Element:
        """Return a GetMeterReadings for meters (none: for all) and types of readings (none: for all)."""
        root = self._root(f"Get{Noun.METER_READINGS}")
        add = _adder(root)
        for serial in serials:
            self._identify(_adder(add("EndDevice")), serial)
        for mrid in mrids if self._options.names_reading_types else ():
            _adder(add("ReadingType"))("mRID", mrid)
        return root

    def of_meters_wanted(self, noun: Noun, serials: Iterable[str]) -> etree._Element:
        """Return a GetEndDeviceConfig, GetMeterConfig or GetEndDeviceEvents for meters; none: for all."""
        root = self._root(f"Get{noun}")
        for serial in serials:
            self._identify(_adder(_adder(root)("Meter" if noun is Noun.METER_CONFIG else "EndDevice")), serial)
        return root

    # ---- provisioning ------------------------------------------------------------------------------------------------

    def meter_config(
        self, commands: Sequence[Command], devices: Sequence[tuple[EndDevice, Sequence[Register]]], *, at: datetime
    ) -> etree._Element:
        """Return a MeterConfig: each meter with SAP's number for the device, its registers and their channels.

        Channels have the names they have at an instant.
        """
        root = self._root(Noun.METER_CONFIG)
        for command, (device, registers) in zip(commands, devices, strict=True):
            meter = _adder(_adder(root)("Meter"))
            meter("serialNumber", command.serial_id)
            self._named(meter, command.serial_id, self._options.meter_name_type)
            self._named(meter, device.device_id, self._options.device_name_type)
            factor = common_factor(registers)
            if factor != 1:
                multiplier = _adder(meter("MeterMultipliers"))
                multiplier("kind", "transformerRatio")
                multiplier("value", format(factor, "f"))
            function = _adder(meter("SimpleEndDeviceFunction"))
            for register in registers:
                self._register(_adder(function("Registers")), register, at=at)
        return root

    def cannot_provision(self, registers: Sequence[Register], *, at: datetime) -> str | None:
        """Return why a meter with these registers cannot be provisioned, or None when it can."""
        if not registers:
            return "no register of the meter is known yet"
        types = [each.reading_type for each in registers]
        unknown = [each for each in types if self._mrid_of(each, at=at) is None]
        return f"no ReadingType is known for {', '.join(unknown)}" if unknown else None

    def _register(self, add: Add, register: Register, *, at: datetime) -> None:
        add("leftDigitCount", str(_digits(register)))
        add("rightDigitCount", str(register.fraction_digits))
        mrid = self._mrid_of(register.reading_type, at=at)
        if mrid is None:
            raise ValueError(f"no ReadingType is known for {register.reading_type}")
        _adder(add("Channels"))("ReadingType").set("ref", mrid)

    def _mrid_of(self, reading_type: str, *, at: datetime) -> str | None:
        """Return the ReadingType of a channel that meters are served with, None where there is none."""
        mrid = self._channels.to_mrid(reading_type, at=at)
        channel = None if mrid is None else self._channels.find(Mrid(mrid), at=at)
        return mrid if channel is not None and channel.kind in SERVED else None

    # ---- names -------------------------------------------------------------------------------------------------------

    def _root(self, noun: str) -> etree._Element:
        space = self._names.payload(noun)
        return etree.Element(f"{{{space}}}{noun}", nsmap={"p": space})

    def _identify(self, add: Add, serial_id: str) -> None:
        match self._options.identify_by:
            case "mrid":
                add("mRID", serial_id)
            case "serial_number":
                add("serialNumber", serial_id)
            case "name":
                self._named(add, serial_id, self._options.meter_name_type)

    @staticmethod
    def _named(add: Add, name: str, name_type: str) -> None:
        names = _adder(add("Names"))
        names("name", name)
        _adder(names("NameType"))("name", name_type)


def common_factor(registers: Sequence[Register]) -> Decimal:
    """Return the multiplier of a meter, 1 where its registers have several: no message says which of them has which."""
    factors = {register.factor if register.factor is not None else Decimal(1) for register in registers}
    return factors.pop() if len(factors) == 1 else Decimal(1)


def stamp(at: datetime) -> str:
    """Return an instant as it is written: UTC, with Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _digits(register: Register) -> int:
    if register.total_digits is None:
        return _USUAL_DIGITS
    return max(register.total_digits - register.fraction_digits, 1)


def _adder(parent: etree._Element) -> Add:
    """Return what adds a child of the parent's namespace, with a text."""
    space = etree.QName(parent).namespace

    def add(name: str, text: str | None = None) -> etree._Element:
        element = etree.SubElement(parent, name if space is None else f"{{{space}}}{name}")
        element.text = text
        return element

    return add
