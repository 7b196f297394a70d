"""Kills the processes of a landscape at random moments and sees that each is started again.

A moment is reached when the simulators' journals have grown by a random number of bytes, so that kills fall into the
middle of work, or when the head end has just written down a switch command, which nobody knows of yet; where nothing
happens, a random number of seconds later. Restarts do not wait for each other: a process may be killed while another,
or it itself, is still starting.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from simulators.landscape.processes import CannotStart, Process

#: What is killed: of MDUS the HTTP process alone, its workers alone, or both; a simulator; everything (a power cut).
VICTIMS = ("http", "workers", "mdus", "sap", "head end", "all")

_MOST_FAILED_STARTS = 3
_LOOK_SECONDS = 0.002
_LONGEST_LULL = 6.0
_MOST_BYTES = 120_000
#: What the head end's journal says when it has taken a switch command.
_SWITCH_TAKEN = b'"kind":"switch"'


class Keeper:
    """Starts one process, and again whenever it ended; that it ended by itself is a failure."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.failure: str | None = None
        self._pids: list[psutil.Process] = []
        self._killed = False
        self._closing = False
        self._up = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {process.name}", daemon=True)

    def start(self) -> None:
        """Start the process and return when it answers; raises CannotStart when it does not."""
        self._thread.start()
        self._up.wait()
        self.check()

    @property
    def is_up(self) -> bool:
        """Tell whether the process answers, as far as is known."""
        return self._up.is_set()

    def check(self) -> None:
        """Raise CannotStart when the process ended by itself or did not come up again."""
        if self.failure is not None:
            raise CannotStart(self.failure)

    def kill(self, *, alone: bool = False) -> None:
        """End the process at once, with its children or alone; it is started again."""
        with self._lock:
            self._killed = True
            self._up.clear()
            if alone:
                self.process.kill_alone()
            else:
                self.process.kill()

    def kill_children(self) -> bool:
        """End the children alone, at once; False when there is none at the moment."""
        with self._lock:
            running = [child for child in self._pids if _runs(child)] or self.note_children()
            for child in running:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            return bool(running)

    def close(self) -> None:
        """End the process and what it started."""
        self._closing = True
        deadline = time.monotonic() + 60.0
        while self._thread.is_alive() and time.monotonic() < deadline:
            self.process.stop()
            self._thread.join(timeout=0.5)
        for child in self.survivors():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def survivors(self) -> list[psutil.Process]:
        """Return the children of earlier lives of the process that still run."""
        with contextlib.suppress(psutil.NoSuchProcess):
            now = set(self._children())
            return [child for child in self._pids if child not in now and _runs(child)]
        return [child for child in self._pids if _runs(child)]

    def _keep(self) -> None:
        failed = 0
        while not self._closing:
            self._up.clear()
            self._killed = False
            try:
                self.process.start()
            except CannotStart as error:
                # A simulator needs MDUS's clock to start: that may have been killed at the same time.
                failed += not self._killed
                if failed == _MOST_FAILED_STARTS and not self._closing:
                    self.failure = str(error)
                    self._up.set()
                    return
                continue
            failed = 0
            self._up.set()
            assert self.process.running is not None
            code = self.process.running.wait()
            if not self._killed and not self._closing:
                self.failure = f"{self.process.name} ended with code {code}:\n{self.process.log_end()}"
                return

    def note_children(self) -> list[psutil.Process]:
        """Remember the present children, so that they are found when their parent is gone; return them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = self._children()
            self._pids += [child for child in children if child not in self._pids]
            return children
        return []

    def _children(self) -> list[psutil.Process]:
        running = self.process.running
        if running is None or running.poll() is not None:
            return []
        return psutil.Process(running.pid).children(recursive=True)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _size(journal: Path) -> int:
    return journal.stat().st_size if journal.exists() else 0


def _between(journal: Path, start: int, end: int) -> bytes:
    with journal.open("rb") as opened:
        opened.seek(start)
        return opened.read(end - start)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """One kill: what was hit, at which moment, seconds after the beginning, and whether all was up until then."""

    victim: str
    moment: str
    seconds: float
    all_up: bool


class Havoc:
    """Kills at random moments, decided by a seed, in a thread of its own: as many as were allowed, at most `kills`."""

    def __init__(
        self,
        *,
        mdus: Process,
        sap: Process,
        head_end: Process,
        sap_journal: Path,
        head_end_journal: Path,
        seed: int,
        kills: int,
    ) -> None:
        self.mdus, self.sap, self.head_end = Keeper(mdus), Keeper(sap), Keeper(head_end)
        self.kills: list[Kill] = []
        self._sap_journal, self._head_end_journal = sap_journal, head_end_journal
        self._random = random.Random(f"{seed}/havoc")
        # Each kind of victim comes equally often, in random order.
        self._victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
        self._random.shuffle(self._victims)
        self._allowed = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="havoc", daemon=True)

    @property
    def keepers(self) -> tuple[Keeper, Keeper, Keeper]:
        """The keepers of all processes; MDUS, whose clock the others follow, first."""
        return self.mdus, self.sap, self.head_end

    def watch(self) -> None:
        """Raise CannotStart when a process ended by itself."""
        for keeper in self.keepers:
            keeper.check()

    def begin(self) -> None:
        """Begin to kill, as far as is allowed."""
        self._thread.start()

    def allow(self, kills: int) -> None:
        """Let the number of kills reach `kills`, so that they are spread over what goes on."""
        with self._changed:
            self._allowed = kills
            self._changed.notify_all()

    def wait(self, *, patience: float) -> None:
        """Return when the kills allowed are done; AssertionError after `patience` seconds."""
        deadline = time.monotonic() + patience
        with self._changed:
            while len(self.kills) < self._allowed:
                self.watch()
                assert time.monotonic() < deadline, f"only {len(self.kills)} kills in {patience} s"
                self._changed.wait(0.2)

    def end(self, *, patience: float = 90.0) -> None:
        """Stop killing and return when everything is up again and no process of an earlier life is left."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=patience)
        deadline = time.monotonic() + patience
        while not all(keeper.is_up for keeper in self.keepers) or self.mdus.survivors():
            self.watch()
            assert time.monotonic() < deadline, f"not up again: {self._down()}"
            self._changed_for(0.05)

    def close(self) -> None:
        """End all processes."""
        self._stop.set()
        for keeper in reversed(self.keepers):
            keeper.close()

    def counts(self) -> Counter[str]:
        """Return how often each kind of victim was killed."""
        return Counter(kill.victim for kill in self.kills)

    def _run(self) -> None:
        began = time.monotonic()
        for number, victim in enumerate(self._victims):
            with self._changed:
                self._changed.wait_for(lambda number=number: number < self._allowed or self._stop.is_set())
            # Looked for beforehand: the kill must come at the very moment.
            self.mdus.note_children()
            moment = self._await_moment()
            if self._stop.is_set():
                return
            all_up = all(keeper.is_up for keeper in self.keepers)
            if self._strike(victim):
                with self._changed:
                    self.kills.append(
                        Kill(victim=victim, moment=moment, seconds=round(time.monotonic() - began, 1), all_up=all_up)
                    )
                    self._changed.notify_all()

    def _await_moment(self) -> str:
        """Return at the next moment, with what made it one."""
        at_switch = self._random.random() < 0.5
        sap, head_end = _size(self._sap_journal), _size(self._head_end_journal)
        wanted = sap + head_end + self._random.randint(0, _MOST_BYTES)
        latest = time.monotonic() + self._random.uniform(0.1, _LONGEST_LULL)
        while time.monotonic() < latest and not self._stop.is_set():
            grown = _size(self._head_end_journal)
            if at_switch and grown > head_end:
                if _SWITCH_TAKEN in _between(self._head_end_journal, head_end, grown):
                    return "switch taken"
                head_end = grown
            elif not at_switch and _size(self._sap_journal) + grown >= wanted:
                return "in the middle of work"
            self._changed_for(_LOOK_SECONDS)
        return "nothing happened"

    def _strike(self, victim: str) -> bool:
        if victim == "workers":
            # They come a moment after their parent.
            deadline = time.monotonic() + 10.0
            while not self.mdus.kill_children():
                if time.monotonic() > deadline or self._stop.is_set():
                    return False
                self._changed_for(_LOOK_SECONDS)
        elif victim == "http":
            self.mdus.kill(alone=True)
        else:
            named = {"mdus": [self.mdus], "sap": [self.sap], "head end": [self.head_end], "all": self.keepers}
            for keeper in named[victim]:
                keeper.kill()
        return True

    def _changed_for(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait(seconds)

    def _down(self) -> str:
        down = [keeper.process.name for keeper in self.keepers if not keeper.is_up]
        return f"{down}, left over: {self.mdus.survivors()}"
