"""`muster rollout serve RUN`: the rollout of a run as a service, until a signal ends it.

    robots    <--- leases (fleet/rollout/leasing.py) ---  this  <--- RUN/rollout.sqlite: operators' orders, gates
                                                               <--- RUN/missions.jsonl: whoever runs missions

It looks for new events each BEAT, so that an order of `muster rollout` beside it reaches the robots at once, and asks
the judge every `every` seconds, and when a mission has brought its evidence to a rollback. All that it knows is in the
run: one that is killed and started again goes on where events and missions end. Meanwhile robots go back to the old
release by themselves.

Orders come through the store alone, signed; a message that is not signed with a robot's key is not answered.
"""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from coordination.database import StoreError
from coordination.keys import Keys
from coordination.messages import LeaseAsk
from fleet.judge.settings import Settings
from fleet.rollout.conduct import Conductor
from fleet.rollout.events import FILE, Store
from fleet.rollout.lease import Lessor
from fleet.rollout.leasing import LeaseServer
from fleet.rollout.meters import RolloutMetrics
from fleet.rollout.plan import DRIVEN, RolloutError
from fleet.rollout.record import Changed, Joined, State, Target, Tripped
from sim.errors import MusterError, printable

ADDRESS = "tcp://127.0.0.1:7420"
"""Of the leases: beside the coordinator's 7410 and the plant's 7411; the same after a restart: robots find it again."""
BEAT = 0.1
"""s between two looks at what is new: with a robot's own 0.1 s a revocation is everywhere within half a second."""
LOCK = "rollout.lock"
"""Of a run's directory: one service."""


class Service:
    """Owns the conductor of a run and the server of its leases. `turn` does what is due."""

    def __init__(
        self,
        run: Path,
        keys: Keys,
        settings: Settings,
        address: str = ADDRESS,
        name: Callable[[str, str], None] = lambda release, reason: None,
        every: float = 60.0,
    ) -> None:
        """Raises RolloutError where the run has no rollout or another service, TransportError for an address."""
        store = Store(run / FILE, keys)
        if not store.state().rollout:
            raise RolloutError(f"expected a rollout in {run}, there is none; begin with `muster rollout start`")
        self._others: queue.SimpleQueue[tuple[str, LeaseAsk]] = queue.SimpleQueue()
        self._out: set[str] = set()
        """Robots that stay out, being others"""
        self._lock = _locked(run)
        self._fallen: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        try:
            self.server = LeaseServer(Lessor(), keys, address, self._take_fallen, self._take_other)
        except MusterError:
            os.close(self._lock)
            raise
        try:
            self.conductor = Conductor(run, store, settings, self.server.lessor, name, self.server.revoke)
        except MusterError:
            self.close()
            raise
        self._every, self._looked, self._told = every, -every, ("", "")
        self.server.start()

    def turn(self, now: float) -> State:
        """Hear operators, robots and missions; ask the judge where that is due at `now`, s of a clock that only grows.

        Raises MissionError where the file of missions cannot be gone by.
        """
        conductor = self.conductor
        self._hear()
        while not self._fallen.empty():
            robot, why = self._fallen.get()
            tripped = Tripped(stamp=0, robot=robot, reason=why)
            self._unless_over(partial(conductor.take, tripped))
        while not self._others.empty():
            self._meet(*self._others.get())
        conductor.catch_up()
        found = conductor.judge.rolled_back and not conductor.state.final and not conductor.trouble
        if found or now - self._looked >= self._every:
            self._looked = now
            self._unless_over(conductor.look)
        return conductor.state

    def news(self) -> str:
        """What has changed since this was asked last, in one line; empty for nothing."""
        state, trouble = self.conductor.state, self.conductor.trouble
        told = (
            f"{state.rollout}: {state.stage.name.lower()}, {state.status.replace('_', ' ')} ({state.reason})",
            trouble,
        )
        if told == self._told:
            return ""
        self._told = told
        return told[0] + (f"; nobody drives the candidate: {trouble}" if trouble else "")

    def close(self) -> None:
        """End; robots fall back when their leases do."""
        self.server.close()
        os.close(self._lock)

    def _take_fallen(self, robot: str, why: str) -> None:
        self._fallen.put((robot, why))

    def _take_other(self, robot: str, ask: LeaseAsk) -> None:
        """A robot is new, or has another specification or shield than the closed course had."""
        self._others.put((robot, ask))

    def _meet(self, robot: str, ask: LeaseAsk) -> None:
        """Take a new robot in, on the old release; or go back to the closed course with one that has changed."""
        conductor, state = self.conductor, self.conductor.state
        if robot not in state.robots:
            if robot not in self._out and not state.final:
                try:
                    conductor.take(Joined(stamp=0, robot=robot, zone="", embodiment=ask.embodiment))
                except RolloutError as error:
                    self._out.add(robot)
                    print(printable(str(error)), flush=True)
            return
        told = Target(state.candidate.release, ask.embodiment, ask.shield)
        if state.stage in DRIVEN and told != state.candidate:
            changed = Changed(stamp=0, embodiment=ask.embodiment, shield=ask.shield)
            self._unless_over(partial(conductor.take, changed))

    def _unless_over(self, act: Callable[[], object]) -> None:
        """Do it; an operator who ended the rollout in this moment was first."""
        try:
            act()
        except RolloutError:
            if not self.conductor.refresh().final:
                raise

    def _hear(self) -> None:
        try:
            newer = self.conductor.store.newest() > self.conductor.state.number
        except StoreError:
            newer = True  # what is wrong with it is the conductor's to say
        if newer or self.conductor.trouble:
            self.conductor.refresh()


def _locked(run: Path) -> int:
    """The descriptor that keeps a run to one service; it ends with its process, however that ends."""
    lock = os.open(run / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise RolloutError(f"expected nobody to serve the rollout of {run}, a process does; end it first") from error
    return lock


def serve(service: Service, metrics_port: int = 0) -> int:
    """Serve until SIGTERM or SIGINT, with /metrics on 127.0.0.1 where a port is given."""
    end, metrics = threading.Event(), RolloutMetrics()

    def stop(number: int, frame: FrameType | None) -> None:
        end.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        if metrics_port:
            metrics.serve(metrics_port)
        print(f"leases at {service.server.address}", flush=True)
        while not end.wait(BEAT):
            service.turn(time.monotonic())
            metrics.tell(service.conductor, service.server)
            if line := service.news():
                print(printable(line), flush=True)
    finally:
        service.close()
    return 0
