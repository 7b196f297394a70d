"""What every scene is: something played against MDUS, then judged when all is quiet, for one cell or several."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from simulators.conformance.contract import Form, Service
from simulators.conformance.ledger import Posting, Received
from simulators.conformance.stage import Stage
from simulators.conformance.subjects import Subject
from simulators.conformance.verdicts import Variant, Verdict

#: A cell of the matrix: the root of its row, and its column.
Cell = tuple[str, Variant]


class Exchange(NamedTuple):
    """What passed on the wire."""

    postings: list[Posting]
    received: list[Received]


class Scene(ABC):
    """One service in one form, put through one variant."""

    def __init__(self, service: Service, form: Form, variant: Variant) -> None:
        self.service = service
        self.form = form
        self.variant = variant
        self.subjects: list[Subject] = []

    @property
    @abstractmethod
    def cells(self) -> tuple[Cell, ...]:
        """The cells it is about, whatever comes."""

    @property
    def meters(self) -> int:
        """How many meters of the field it can use."""
        return 0

    @abstractmethod
    async def play(self, stage: Stage) -> None:
        """This will play it; NotSetUp and NotTriggered say why it could not be played."""

    @abstractmethod
    def judge(self, stage: Stage) -> dict[Cell, Verdict]:
        """This will judge what came of it, when nothing more is expected."""

    def exchange(self, stage: Stage) -> Exchange:
        """This will return everything that was said of its subjects, in both directions."""
        ids = {
            one
            for subject in self.subjects
            for one in (subject.device, subject.task, subject.document, subject.profile)
        } | {subject.request for subject in self.subjects}
        return Exchange(
            [one for one in stage.ledger.postings if any(item.key in ids for item in one.message.items)],
            [one for one in stage.ledger.received if any(item.key in ids for item in one.items)],
        )
