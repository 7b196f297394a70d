"""What every scene is: something played against MDUS, then judged when all is quiet, for one cell or several."""

from abc import ABC, abstractmethod

from simulators.conformance.contract import Form, Service
from simulators.conformance.stage import Stage
from simulators.conformance.verdicts import Variant, Verdict

#: A cell of the matrix: the root of its row, and its column.
Cell = tuple[str, Variant]


class Scene(ABC):
    """One service in one form, put through one variant."""

    def __init__(self, service: Service, form: Form, variant: Variant) -> None:
        self.service = service
        self.form = form
        self.variant = variant

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
