"""The meters in the field: what they are, and what their registers truly hold at any instant.

Nothing here is stored: a population follows from (seed, size), and the energy or volume that has passed a register by
an instant is a closed function of (seed, serial, register, instant). So a test, another process or a restarted
simulator computes the same true value. Only the time a breaker stood open, when electricity stops counting, is history.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

CONNECTED = "connected"
DISCONNECTED = "disconnected"

MEMORY = timedelta(days=40)  # how long a meter keeps its daily snapshots and its interval values

_ORIGIN = datetime(2020, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICRO = 1_000_000
_HOUR = 3600.0
_DAY = 24 * _HOUR
_YEAR = 365.25 * _DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """The flow through one register: a mean and three waves around it.

    The waves together stay below the mean, so the flow is positive at every instant and the register, its integral,
    only ever grows.
    """

    base: int  # what stood on the register at the origin, in millionths
    per_day: float  # mean, in units per day
    waves: tuple[
        tuple[float, float, float], ...
    ]  # (share of the mean, period in seconds, instant of the peak in seconds)

    def passed(self, instant: datetime) -> int:
        """This will return what has passed by `instant`, in millionths of the unit."""
        seconds = (instant - _ORIGIN) / _MICROSECOND / _MICRO
        integral = seconds
        for share, period, peak in self.waves:
            omega = math.tau / period
            integral += share / omega * (math.sin(omega * (seconds - peak)) + math.sin(omega * peak))
        return self.base + math.floor(integral * self.per_day / _DAY * _MICRO)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sun:
    """The flow out of a photovoltaic roof: half a sine from morning to evening, nothing at night, more in summer."""

    base: int  # what stood on the register at the origin, in millionths
    per_day: float  # mean of the year, in units per day
    noon: float  # when the sun is highest, in seconds of the UTC day

    def passed(self, instant: datetime) -> int:
        """This will return what has passed by `instant`, in millionths of the unit."""
        seconds = (instant - _ORIGIN) / _MICROSECOND / _MICRO
        day, second = divmod(seconds - self.noon + _DAY / 2, _DAY)  # days from midnight to midnight by the sun
        lit = min(max((second - 6 * _HOUR) / (12 * _HOUR), 0.0), 1.0)
        before, after = self._by_day(int(day)), self._by_day(int(day) + 1)
        return self.base + before + math.floor((after - before) * (1 - math.cos(math.pi * lit)) / 2)

    def _by_day(self, days: int) -> int:
        # The sum of 1 - 0.7 cos(turn * (day - solstice)) over all days before, in closed form.
        turn, solstice = math.tau / 365.25, -10
        cosines = math.sin(turn * days / 2) / math.sin(turn / 2) * math.cos(turn * ((days - 1) / 2 - solstice))
        return math.floor((days - 0.7 * cosines) * self.per_day * _MICRO)


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """One register of a meter: its OBIS code, unit, digits shown before and after the point, and what flows into it."""

    obis: str
    unit: str
    digits: int
    decimals: int
    loads: tuple[Load | Sun, ...]
    factor: str = "1"

    def passed(self, instant: datetime) -> int:
        """This will return what has passed by `instant`, in millionths; a total is the exact sum of its tariffs."""
        return sum(load.passed(instant) for load in self.loads)

    def shown(self, true: int) -> str:
        """This will print a true value (in millionths) as the register shows it: cut, not rounded, and rolled over."""
        steps = true // 10 ** (6 - self.decimals) % 10 ** (self.digits + self.decimals)
        whole, fraction = divmod(steps, 10**self.decimals)
        return f"{whole}.{fraction:0{self.decimals}d}" if self.decimals else str(whole)


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One interval register: it splits the advance of a register by intervals, to the last millionth."""

    obis: str
    minutes: int
    register: Register

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.register.unit

    @property
    def length(self) -> timedelta:
        """How long an interval is."""
        return timedelta(minutes=self.minutes)


class Kind(StrEnum):
    """What may be wrong with interval values on their way to the client."""

    LATE = "late"  # told with the next collection only
    GAP = "gap"  # not collected; the meter has them
    LOST = "lost"  # the meter itself has measured nothing
    REVISED = "revised"  # estimated at first, told as measured with the next collection
    MULTIPLIED = "multiplied"  # told as if the multiplier were ten; the meter has them right


@dataclass(frozen=True, kw_only=True, slots=True)
class Irregularity:
    """Something wrong with the values of the intervals of a meter that start in [begin, end)."""

    begin: datetime
    end: datetime
    kind: Kind


@dataclass(kw_only=True, slots=True)
class Breaker:
    """The breaker of a meter with the periods it stood open; it acts, it does not forget."""

    state: str = CONNECTED
    switched_at: datetime | None = None
    open_periods: list[tuple[datetime, datetime | None]] = field(default_factory=list)

    def operate(self, state: str, at: datetime) -> None:
        """This will move the breaker; moving it to where it stands is an operation, too, but changes no period."""
        self.switched_at = at
        if state == self.state:
            return
        self.state = state
        if state == DISCONNECTED:
            self.open_periods.append((at, None))
        else:
            opened, _ = self.open_periods[-1]
            self.open_periods[-1] = (opened, at)


@dataclass(kw_only=True, slots=True)
class Meter:
    """One meter: what it is (fixed by the seed), and what happened to it since (restored from the journal)."""

    serial: str
    material: str
    commodity: str
    registers: tuple[Register, ...]
    channels: tuple[Channel, ...]
    delivers: timedelta | None  # how often it tells its interval values; None: daily, with its registers
    breaker: Breaker | None
    device_id: str | None = None
    provisioned_at: datetime | None = None
    provisioned_registers: list[dict[str, object]] | None = None
    first_heard_at: datetime | None = None
    last_heard_at: datetime | None = None
    collected_since: dict[str, datetime] = field(default_factory=dict)  # by OBIS code of a channel: when provisioned
    irregularities: list[Irregularity] = field(default_factory=list)  # those made, beside those drawn from the seed
    read_again: list[tuple[datetime, datetime]] = field(default_factory=list)  # periods of read_intervals
    clock_offset: str = "0"  # seconds that its clock is ahead, as the head end last found
    clock_set_at: datetime | None = None
    concentrator: str | None = None  # the one it is behind
    limit_kw: str | None = None  # demand it is limited to
    load_events: dict[str, dict[str, Any]] = field(default_factory=dict)  # load control scheduled, by the event's id
    shown_text: str | None = None
    exchanged_at: list[datetime] = field(default_factory=list)  # when another one began to work under its number
    rolls_over_at: datetime | None = None  # when its first register passes its last digit, where that was made so
    late_days: dict[date, date] = field(default_factory=dict)  # day -> day on which it is collected, days late

    def register(self, obis: str) -> Register | None:
        """This will return the register with this OBIS code, or None."""
        return next((register for register in self.registers if register.obis == obis), None)

    def true(self, register: Register, at: datetime) -> int:
        """This will return what the register truly holds at `at`, in millionths, since the meter was exchanged."""
        exchanged_at = max((each for each in self.exchanged_at if each <= at), default=None)
        counted = self.counted(register, at)
        return counted if exchanged_at is None else counted - self.counted(register, exchanged_at)

    def counted(self, register: Register, at: datetime) -> int:
        """This will return what has passed by `at`, in millionths: nothing counts while disconnected."""
        total = register.passed(at)
        if self.breaker is None:
            return total
        for opened, closed in self.breaker.open_periods:
            if opened < at:
                end = at if closed is None or closed > at else closed
                total -= register.passed(end) - register.passed(opened)
        return total

    def roll_over(self, at: datetime) -> None:
        """This will let the first register pass its last digit at `at`: all it ever held is as much higher."""
        total = self.registers[0]
        capacity = 10 ** (total.digits + 6)
        first = total.loads[0]
        higher = replace(first, base=first.base + capacity - total.passed(at) % capacity)
        registers = tuple(
            replace(each, loads=tuple(higher if load is first else load for load in each.loads))
            for each in self.registers
        )
        own = dict(zip((each.obis for each in self.registers), registers, strict=True))
        self.channels = tuple(replace(each, register=own[each.register.obis]) for each in self.channels)
        self.registers = registers
        self.rolls_over_at = at

    def readings(self, at: datetime, stamp: str) -> Iterator[dict[str, str]]:
        """This will give one reading per collected register as the API prints it; `stamp` is `at`, already printed."""
        collected = None if self.provisioned_registers is None else {row["obis"] for row in self.provisioned_registers}
        for register in self.registers:
            if collected is None or register.obis in collected:
                shown = register.shown(self.true(register, at))
                yield {"obis": register.obis, "at": stamp, "value": shown, "unit": register.unit}


def exact(millionths: int) -> Decimal:
    """This will turn millionths into the exact decimal number."""
    return Decimal(millionths).scaleb(-6)


def fraction(*key: object) -> float:
    """This will draw from [0, 1) by hashing the key: the same key, the same draw, on any machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """This will return the UTC instant at which the local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def population(*, seed: int, size: int, first: int = 0) -> list[Meter]:
    """This will make `size` meters in order of serial numbers: of ten, six of electricity, two of gas, two of water.

    Of the six, four have a breaker and one register, one has a breaker and two tariffs, and one has no breaker. Serial
    numbers have ten digits with leading zeros and differ from seed to seed. `first` is the place of the first of them
    in the row that all head ends of a seed share: who begins where another ends has no meter of it.
    """
    return [_meter(seed, index) for index in range(first, first + size)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    material: str
    commodity: str
    breaker: bool = False
    tariffs: int = 0
    feeds_in: bool = False
    delivers: timedelta | None = None


_LX100_SW = _Model(material="LX100-SW", commodity="electricity", breaker=True, tariffs=1, delivers=timedelta(hours=1))
_LX200_SW = _Model(
    material="LX200-SW",
    commodity="electricity",
    breaker=True,
    tariffs=2,
    feeds_in=True,
    delivers=timedelta(minutes=15),
)
_LX100 = _Model(material="LX100", commodity="electricity", tariffs=1)
_GX4_B = _Model(material="GX4-B", commodity="gas")
_WX20 = _Model(material="WX20", commodity="water")

_MODELS = (_LX100_SW, _LX200_SW, _GX4_B, _LX100_SW, _WX20, _LX100, _LX100_SW, _GX4_B, _LX100_SW, _WX20)


def _meter(seed: int, index: int) -> Meter:
    serial = f"{seed % 1000 * 1_000_000 + 1234 + index:010d}"
    model = _MODELS[index % len(_MODELS)]
    if model.commodity == "electricity":
        registers = _electricity(seed, serial, model.tariffs)
        channels: tuple[Channel, ...] = (Channel(obis="1-0:1.29.0*255", minutes=15, register=registers[0]),)
        if model.feeds_in:
            registers = (*registers, _export(seed, serial))
            channels = (*channels, Channel(obis="1-0:2.29.0*255", minutes=15, register=registers[-1]))
    elif model.commodity == "gas":
        load = _load(seed, serial, "gas", mean=3.4, spread=0.7, peak_hour=7, daily=0.3, yearly=0.6, base=9_000)
        registers = (Register(obis="7-0:3.0.0*255", unit="m3", digits=5, decimals=3, loads=(load,)),)
        channels = (Channel(obis="7-0:3.29.0*255", minutes=60, register=registers[0]),)
    else:
        load = _load(seed, serial, "water", mean=0.35, spread=0.8, peak_hour=8, daily=0.75, yearly=0.1, base=2_000)
        registers = (Register(obis="8-0:1.0.0*255", unit="m3", digits=5, decimals=3, loads=(load,)),)
        channels = (Channel(obis="8-0:1.29.0*255", minutes=60, register=registers[0]),)
    return Meter(
        serial=serial,
        material=model.material,
        commodity=model.commodity,
        registers=registers,
        channels=channels,
        delivers=model.delivers,
        breaker=Breaker() if model.breaker else None,
        clock_offset=f"{40 * fraction(seed, serial, 'clock') - 20:.1f}",
    )


def _electricity(seed: int, serial: str, tariffs: int) -> tuple[Register, ...]:
    def register(obis: str, *loads: Load) -> Register:
        return Register(obis=obis, unit="kWh", digits=6, decimals=2, loads=loads)

    if tariffs == 1:
        load = _load(seed, serial, "total", mean=9.5, spread=0.8, peak_hour=19, daily=0.5, yearly=0.2, base=40_000)
        return (register("1-0:1.8.0*255", load),)
    day = _load(seed, serial, "day", mean=6.0, spread=0.7, peak_hour=14, daily=0.75, yearly=0.15, base=30_000)
    night = _load(seed, serial, "night", mean=4.0, spread=0.7, peak_hour=2, daily=0.75, yearly=0.15, base=20_000)
    return (
        register("1-0:1.8.0*255", day, night),
        register("1-0:1.8.1*255", day),
        register("1-0:1.8.2*255", night),
    )


def _export(seed: int, serial: str) -> Register:
    sun = Sun(
        base=int(fraction(seed, serial, "sun", "base") * 20_000 * _MICRO),
        per_day=6 + 12 * fraction(seed, serial, "sun", "roof"),
        noon=(10.5 + 1.5 * fraction(seed, serial, "sun", "noon")) * _HOUR,
    )
    return Register(obis="1-0:2.8.0*255", unit="kWh", digits=6, decimals=2, loads=(sun,))


def _load(
    seed: int,
    serial: str,
    name: str,
    *,
    mean: float,
    spread: float,
    peak_hour: int,
    daily: float,
    yearly: float,
    base: int,
) -> Load:
    def draw(what: str) -> float:
        return fraction(seed, serial, name, what)

    weekly = 0.05
    return Load(
        base=int(draw("base") * base * _MICRO),
        per_day=mean * (1 + spread * (2 * draw("mean") - 1)),
        waves=(
            (daily, _DAY, (peak_hour + 2 * draw("peak")) * _HOUR),
            (weekly, 7 * _DAY, draw("week") * 7 * _DAY),
            (yearly, _YEAR, (15 + 30 * draw("season")) * _DAY),
        ),
    )
