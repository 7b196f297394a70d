"""The id of a meter at the head end, made of its serial number and read back: no zero is lost on the way."""

from __future__ import annotations

from dataclasses import dataclass


class NotAddressable(ValueError):
    """A serial number that no id can be made of, or an id that is of no meter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterIds:
    """Ids by a template: `{serial}` is the serial number as it is, `{number}` without its leading zeros.

    An object identifier has no leading zeros. Where the head end holds to that, all serial numbers must have the same
    `digits`, or none could be told from its number.
    """

    template: str
    digits: int | None = None

    def of(self, serial_id: str) -> str:
        """Return the id of a meter. Raises NotAddressable where its serial number could not be read back."""
        if "{serial}" in self.template:
            return self.template.replace("{serial}", serial_id)
        number = serial_id.lstrip("0") or "0"
        if not (serial_id.isascii() and serial_id.isdigit()) or number.zfill(self.digits or 0) != serial_id:
            wanted = "no leading zero" if self.digits is None else f"{self.digits} digits"
            raise NotAddressable(f"the serial number {serial_id} cannot be read back: a number of {wanted} is expected")
        return self.template.replace("{number}", number)

    def serial(self, meter_id: str) -> str:
        """Return the serial number of a meter. Raises NotAddressable where the id is made otherwise."""
        place = "{serial}" if "{serial}" in self.template else "{number}"
        before, _, after = self.template.partition(place)
        told = meter_id.strip()
        inside = told.removeprefix(before).removesuffix(after) if len(told) > len(before) + len(after) else ""
        if not inside or before + inside + after != told:
            raise NotAddressable(f"the id {told!r} is not of the form {self.template}")
        return inside if place == "{serial}" else inside.zfill(self.digits or 0)
