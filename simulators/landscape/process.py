"""What SAP created in a business process of the run."""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Process:
    """One business process of the run: the objects SAP created for it, and which of them are meant to be refused.

    `refusals` maps an object's id to why MDUS must refuse it; everything else must succeed or be explained.
    """

    name: str
    devices: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)  # UUIDs: each of their items is an object
    refusals: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
