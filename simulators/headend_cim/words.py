"""What this head end calls things: namespaces, reading types, reply codes, types of controls."""

from dataclasses import dataclass

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

_SPACES = {"2010": "http://www.iec.ch/TC57/2010", "2011": "http://iec.ch/TC57/2011"}

#: Where the position of a breaker is told as a reading.
RELAY = "0.0.0.12.0.1.118.0.0.0.0.0.0.0.0.0.109.0"

#: A meter communicates for the first time, or again.
HEARD = "3.1.0.42"

#: How each register is told; what is asked for is compared part by part, but for the multiplier.
MRIDS = {
    "1-0:1.8.0*255": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:1.8.1*255": "0.0.0.1.1.1.12.0.0.0.0.1.0.0.0.3.72.0",
    "1-0:1.8.2*255": "0.0.0.1.1.1.12.0.0.0.0.2.0.0.0.3.72.0",
    "1-0:2.8.0*255": "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "7-0:3.0.0*255": "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0",
    "8-0:1.0.0*255": "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0",
    "1-0:1.29.0*255": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:2.29.0*255": "0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "7-0:3.29.0*255": "0.0.7.4.1.7.58.0.0.0.0.0.0.0.0.0.42.0",
    "8-0:1.29.0*255": "0.0.7.4.1.9.58.0.0.0.0.0.0.0.0.0.42.0",
}

#: The reply code of everything that can go wrong with one meter.
REPLY_CODES = {
    "UNKNOWN_METER": "2.4",
    "NOT_PROVISIONED": "2.4",
    "NO_BREAKER": "2.4",
    "NOT_SUPPORTED": "2.4",
    "REGISTER_MISMATCH": "2.10",
    "BUSY": "5.2",
    "NO_RESPONSE": "4.1",
    "RELAY_STUCK": "5.3",
    "LOW_CREDIT": "5.3",
    "ARMED": "5.3",
    "LOAD_SIDE_VOLTAGE": "5.3",
    "DISCONNECT_REFUSED": "5.3",
    "NO_DATA": "5.7",
    "EXPIRED": "5.2",
}

MORE_FOLLOWS, LAST_PART, ACKNOWLEDGED = "0.1", "0.2", "0.3"
TOO_MANY_ITEMS, TOO_MANY_PENDING, BUSY, ATTEMPTED = "3.1", "3.2", "5.1", "5.3"
ELEMENT_MISSING, BAD_NOUN, BAD_VERB, NO_SUCH_REQUEST = "1.7", "2.5", "2.9", "2.15"
NO_DATA, NOT_LOGGED_IN = "5.7", "7.1"


@dataclass(frozen=True, slots=True)
class Spaces:
    """The namespaces of one vintage."""

    vintage: str

    @property
    def base(self) -> str:
        """What they all begin with."""
        return _SPACES[self.vintage]

    @property
    def message(self) -> str:
        """That of headers and replies."""
        return f"{self.base}/schema/message"

    def profile(self, noun: str) -> str:
        """That of a payload."""
        return f"{self.base}/{noun}#"

    def wrapper(self, noun: str) -> str:
        """That of a typed root."""
        return f"{self.base}/{noun}Message"


def obis_of(mrid: str) -> str | None:
    """This will find the register that a ReadingType means, whatever its multiplier, bulk quantity or summation."""
    return _CODES.get(_comparable(mrid))


def is_of_intervals(mrid: str) -> bool:
    """This will say whether a ReadingType is of what passed in intervals."""
    return mrid.split(".")[3:4] == ["4"]


def _comparable(mrid: str) -> str:
    parts = mrid.split(".")
    if len(parts) == 18:
        parts[15] = "*"
        parts[3] = {"9": "1"}.get(parts[3], parts[3])
    return ".".join(parts)


_CODES = {_comparable(mrid): obis for obis, mrid in MRIDS.items()}
