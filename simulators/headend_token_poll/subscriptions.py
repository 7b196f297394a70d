"""Who hears of what: the subscriptions, kept in a file beside the journal so that they survive a kill."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from simulators.headend_token_poll import soap


@dataclass(kw_only=True)
class Subscription:
    """One subscription: what it is of, where it is told, and of which groups and categories."""

    number: str
    kind: str  # Data or Exceptions
    system: str
    address: str
    groups: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)


class Subscriptions:
    """This will hold subscriptions, in a file where there is one."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._made = 0
        self._all: list[Subscription] = []
        if file is not None and file.exists():
            kept = json.loads(file.read_text())
            self._made = kept["made"]
            self._all = [Subscription(**each) for each in kept["subscriptions"]]

    def of(self, kind: str) -> list[Subscription]:
        """This will list those of a kind."""
        return [each for each in self._all if each.kind == kind]

    def of_system(self, system: str) -> list[Subscription]:
        """This will list those of a system."""
        return [each for each in self._all if each.system == system]

    def subscribe(self, kind: str, root: soap.Element) -> Subscription:
        """This will make one, as a request says."""
        self._made += 1
        made = Subscription(
            number=f"sub-{self._made}",
            kind=kind,
            system=soap.text(root, "SystemName"),
            address=soap.text(root, "Address"),
            groups=soap.texts(root, "Group"),
            categories=soap.texts(root, "ExceptionCategory"),
        )
        self._all.append(made)
        self._keep()
        return made

    def cancel(self, number: str) -> None:
        """This will end one; Fault where there is none."""
        left = [each for each in self._all if each.number != number]
        if len(left) == len(self._all):
            raise soap.Fault("SubscriptionUnknown", f"no subscription {number}", of_sender=True)
        self._all = left
        self._keep()

    def lose(self, kind: str) -> None:
        """This will forget all of a kind, as if they had never been made."""
        self._all = [each for each in self._all if each.kind != kind]
        self._keep()

    def _keep(self) -> None:
        if self._file is None:
            return
        draft = self._file.with_suffix(f"{self._file.suffix}.new")
        draft.write_text(json.dumps({"made": self._made, "subscriptions": [asdict(each) for each in self._all]}))
        draft.replace(self._file)
