"""Leases over the wire: the rollout's server, and what ties a robot's versions to its lease.

The server is a ZeroMQ end of its own, named `rollout`; every message is signed (coordination/wire.py), so that nobody
else tells a robot by what to drive. A revocation goes to every robot that was heard, at once.

A host's loop calls `Tether.keep` between two steps: it asks when that is due, hears what came, and moves the references
of `fleet.serving.Serving`; loading a release is the loader thread's. The old release is what the host was started with,
and stays warm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from coordination.keys import Keys
from coordination.messages import Lease, LeaseAsk
from coordination.transport import Transport
from coordination.zmq_transport import ZmqServer
from fleet.rollout.lease import Lessee, Lessor, Place
from fleet.rollout.plan import Course
from fleet.serving import Change, Named, Outcome, Serving

ROLLOUT = "rollout"
"""The rollout's name on the wire."""
RELEASES = "releases"
"""Folder of a run with each release's files by its id, as `muster registry checkout` writes them."""
WAIT = 0.05
"""s that the server waits for questions before it looks whether it shall end."""

V = TypeVar("V", bound=Named)


class LeaseServer:
    """Owns a socket, and a thread that answers there. Another one's are the lessor, `deploy` and `revoke`."""

    def __init__(
        self,
        lessor: Lessor,
        keys: Keys,
        address: str,
        fallen: Callable[[str, str], None] | None = None,
        differs: Callable[[str, LeaseAsk], None] | None = None,
    ) -> None:
        """`fallen` is told the robots whose own guards tripped, with the reason, once each and epoch.

        `differs` is told robots that are not what the candidate was shown on, or new, each time that they ask.
        """
        self.lessor = lessor
        self.heard: dict[str, int] = {}
        """Robots, and when they last asked, ns of CLOCK_MONOTONIC"""
        self._server = ZmqServer(ROLLOUT, keys, address)
        self.address = self._server.address
        self._fallen, self._differs = fallen, differs
        self._told: dict[str, int] = {}
        self._lock = threading.Lock()
        self._news: list[Lease] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="leases", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def deploy(self, arms: dict[str, str], release: str, epoch: int, course: Course | None = None) -> None:
        """See `Lessor.deploy`."""
        self.lessor.deploy(arms, release, epoch, course)

    def revoke(self, epoch: int = 0) -> None:
        """Take every lease back and tell every robot that was heard."""
        with self._lock:
            self._news.append(self.lessor.close(epoch))

    def close(self) -> None:
        """End; robots fall back when their leases do."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        self._server.close()

    def _serve(self) -> None:
        while not self._end.is_set():
            messages = self._server.receive(0.0 if self._news else WAIT)
            with self._lock:
                for lease in self._news:
                    for robot in self.heard:
                        self._server.send(robot, lease, 0)
                self._news.clear()
            for message in messages:
                if isinstance(message.body, LeaseAsk) and message.signed:
                    self._answer(message.sender, message.body)

    def _answer(self, robot: str, ask: LeaseAsk) -> None:
        self.heard[robot] = time.monotonic_ns()
        self._server.send(robot, self.lessor.answer(robot, ask), 0)
        if self._differs is not None and (self.lessor.differs(robot, ask) or self.lessor.unknown(robot, ask)):
            self._differs(robot, ask)
        if ask.fallen and self._told.get(robot) != ask.epoch and self._fallen is not None:
            self._told[robot] = ask.epoch
            self._fallen(robot, ask.fallen)


class Tether(Generic[V]):
    """Owns a host's lease and decides by it which of its versions answers. The control loop calls it."""

    def __init__(
        self,
        serving: Serving[V],
        link: Transport,
        folder: Path,
        clock: Callable[[], int] = time.monotonic_ns,
        pinned: tuple[str, str] = ("", ""),
    ) -> None:
        """`folder` has the releases (RELEASES of the run); what `serving` has now is the old one.

        `pinned` are the hashes of the robots' embodiment and shield (`fleet.registry.pins`).
        """
        self.lessee = Lessee(pinned=pinned)
        self._serving, self._link, self._folder, self._clock = serving, link, folder, clock
        self._old = serving.current.name
        self._names: dict[str, str] = {}
        """Version by release, of what was loaded"""
        self._asked = ""
        """Release that is being loaded"""
        self._drives = ""
        self._left = self._old
        """Version that was left in force: another one now is a guard's doing"""

    @property
    def release(self) -> str:
        """The release that answers now, by its id; empty for the old one."""
        name = self._serving.current.name
        return next((each for each, known in self._names.items() if known == name != self._old), "")

    @property
    def speed(self) -> float:
        """m/s that the lease leaves what answers now; 0 for no bound: the old release needs no lease."""
        return self.lessee.speed if self._serving.current.name != self._old else 0.0

    def trip(self, reason: str) -> Change | None:
        """The host's own guard speaks: the old release answers from this step on."""
        self.lessee.trip(reason)
        change = self._home(reason)
        self._left = self._serving.current.name
        return change

    def keep(self, places: Sequence[Place | None] = ()) -> Change | None:
        """Ask, hear, and let the right version answer; what changed, if anything did.

        `places` are where the host's robots are, for a lease with a fence; None for one that does not know.
        """
        now = self._clock()
        for message in self._link.receive(0.0):
            if isinstance(message.body, Lease):
                self.lessee.take(message.body, now)
        ask = self.lessee.ask(now, self._drives)
        if ask is not None:
            self._link.send(ROLLOUT, ask, 0)
        if self._left != self._old and self._serving.current.name == self._old:
            self.lessee.trip("guard")
        if self._serving.current.name != self._old and self.lessee.strayed(now, places):
            self.lessee.trip("outside of the closed course's fence")
        change = self.settle(self._serving.take(), now, places)
        self._left = self._serving.current.name
        return change

    def settle(self, change: Change | None, now: int, places: Sequence[Place | None] = ()) -> Change | None:
        """Make what answers fit the lease, after what came of a load."""
        if change is not None and self._asked and change.outcome in (Outcome.SWAPPED, Outcome.SAME):
            self._names[self._asked], self._asked = self._serving.current.name, ""
        elif change is not None and change.outcome is Outcome.REFUSED and self._asked:
            self.lessee.trip(change.line)  # what cannot be loaded here is no fault of the lease: it is not asked again
            self._asked = ""
        release = self.lessee.release(now, places)
        self._drives = release
        if not release:
            return self._home("no lease") or change
        name = self._names.get(release)
        if name is None:
            if not self._asked and change is None:
                self._asked = release
                self._serving.request(self._folder / release)
            return change
        if self._serving.current.name != name:
            if self._serving.previous is None or self._serving.previous.name != name:
                del self._names[release]  # another version was warm in its place: load it again
                return change
            return self._serving.back(name=name)
        return change

    def _home(self, reason: str) -> Change | None:
        """The old release answers, if it does not yet."""
        if self._serving.current.name == self._old:
            return None
        change = self._serving.back(name=self._old)
        return Change(change.outcome, change.number, f"{change.line} ({reason})")
