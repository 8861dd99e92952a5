"""Looks at a fleet again and again, from one thread: coordinator, metrics pages, the run's files.

    every LOOK seconds (IDLE while nobody watches)   the coordinator's fleet state
    every PAGES seconds                              metrics pages, the rollout

Nothing is asked twice at a time, each question is bounded in time, and only the newest look is kept. The coordinator
answers a look as it answers `muster fleet`; robots are asked nothing.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from coordination.client import COORDINATOR, FleetClient, NoAnswerError
from coordination.database import StoreError
from coordination.requests import FleetState, TaskState
from coordination.schema import Latch
from coordination.tasks import Store
from coordination.zmq_transport import ZmqClient
from fleet.ops import cars
from fleet.ops.cars import Moved
from fleet.ops.places import Places
from fleet.ops.rollouts import read_rollout
from fleet.ops.scrape import scrape
from fleet.ops.seen import UNKNOWN, Process, Robot, Rollout, Seen, Stop, robots_of
from fleet.rundir import RunDirectory
from sim.errors import MusterError
from sim.trace import read_trace

LOOK = 0.25
"""s between two looks while somebody watches: a robot moves 0.4 m in it."""
IDLE = 1.0
"""s while nobody does: alarms still begin and end."""
PAGES = 2.0
"""s between two looks at metrics pages and at the rollout."""
ANSWER = 1.0
"""s that the coordinator may take: a round has 0.1."""
PAGES_MAX = 64
"""Metrics pages that are read; a fleet has one for each process."""


class Watcher:
    """Owns the thread, the end to the coordinator and the newest look."""

    def __init__(self, places: Places, told: Callable[[Seen], None], *, ended: Callable[[], str] | None = None) -> None:
        """`told` gets every look, in the watcher's thread. `ended` says how the run ended; empty while it goes on."""
        self.places = places
        self.watched = False
        """Whether somebody looks at the page."""
        self.moved: Moved = lambda pose: pose
        """From a road's coordinates onto the page's map"""
        self._told, self._ended = told, ended or (lambda: ended_as(places.run))
        self._end = threading.Event()
        self._client = self._connect() if places.keys is not None and places.coordinated else None
        self._last = Seen(answered=False, error="nothing was asked yet")
        self._pages: tuple[Process, ...] = tuple(Process(*page, False, -1.0) for page in places.metrics[:PAGES_MAX])
        self._rollout: Rollout | None = None
        self._looked = -PAGES
        self._readers = ThreadPoolExecutor(16, thread_name_prefix="metrics")
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and let go of the wire; safe to call twice."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(ANSWER + 4.0)
        self._readers.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.transport.close()

    def look(self) -> Seen:
        """One look, from this thread."""
        now = time.monotonic()
        if now - self._looked >= PAGES:
            since, self._looked = now - self._looked, now
            self._pages = tuple(self._readers.map(lambda page: scrape(page.name, page.url, page, since), self._pages))
            self._rollout = read_rollout(self.places.run, self.places.keys)
        if how := self._ended():
            if not self._last.ended:
                left = look_back(self.places.run, how)
                self._last = msgspec.structs.replace(left, coordinated=self.places.coordinated)
            processes = tuple(page for page in self._pages if page.answered)
            return _with(self._last, processes, self._rollout)
        self._last = _with(self._ask(), self._pages, self._rollout)
        return self._last

    def _ask(self) -> Seen:
        if not self.places.coordinated:
            run = self.places.run
            robots = () if run is None else cars.robots_of(run.root, self.moved)
            return Seen(answered=True, robots=robots, coordinated=False)
        if self._client is None:
            why = "no key to ask it with; give --read-key"
            return _unanswered(self._last, why)
        try:
            state = self._client.query(ANSWER)
        except NoAnswerError:
            return _unanswered(self._last, f"silent at {self.places.coordinator}")
        except MusterError as error:
            return _unanswered(self._last, str(error))
        if state.error:
            return _unanswered(self._last, state.error)
        return seen_of(state, self._latch(state))

    def _latch(self, state: FleetState) -> Stop:
        """The stop, with who raised it where the store is within reach."""
        known = self._last.stop
        if (known.latched, known.epoch) == (state.stopped, state.stop_epoch) and (known.by or not state.stopped):
            return known
        latch = Latch()
        if state.stopped and self.places.run is not None:
            latch = _stored_latch(self.places.run)
        if latch.stop_epoch != state.stop_epoch:
            latch = Latch()
        return Stop(state.stopped, state.stop_epoch, latch.by, latch.reason)

    def _connect(self) -> FleetClient:
        return FleetClient(ZmqClient(self.places.name, COORDINATOR, self.places.keys, self.places.coordinator))

    def _run(self) -> None:
        while not self._end.is_set():
            begun = time.monotonic()
            self._told(self.look())
            period = LOOK if self.watched else IDLE
            self._end.wait(max(0.02, period - (time.monotonic() - begun)))


def seen_of(state: FleetState, stop: Stop) -> Seen:
    """A coordinator's answer as a look."""
    return Seen(
        answered=True,
        stamp=state.stamp,
        tasks={name.lower(): count for name, count in state.counts.items()},
        robots=robots_of(state),
        stop=stop,
        waiting=tuple((line.task, line.robot, line.reason) for line in state.waiting),
        asking=state.asking,
    )


def look_back(run: RunDirectory | None, how: str) -> Seen:
    """What a run that has ended left: its tasks, its latch, where its robots stood last. What lacks is left out."""
    tasks: Mapping[str, int] = {}
    stop, stamp, robots = Stop(), 0, ()
    if run is not None:
        with contextlib.suppress(StoreError, OSError), contextlib.closing(Store(run.tasks, read_only=True)) as store:
            tasks = {name.lower(): count for name, count in store.counts().items()}
            latch, stamp = store.latch(), store.newest_stamp()
            stop = Stop(latch.stopped, latch.stop_epoch, latch.by, latch.reason)
        with contextlib.suppress(MusterError, OSError):
            trace = read_trace(run.root)
            stamp = int(trace.stamps[-1])
            poses = [(float(x), float(y), float(yaw)) for x, y, yaw in trace.poses[-1]]
            robots = tuple(
                Robot(name, pose, "ended", -1.0, "", 0.0, UNKNOWN, "none", "the run has ended")
                for name, pose in zip(trace.names, poses, strict=True)
            )
    return Seen(answered=False, ended=how, stamp=stamp, tasks=tasks or _NO_TASKS, robots=robots, stop=stop)


def ended_as(run: RunDirectory | None) -> str:
    """How a run ended, by its run.json, where a launch writes it last; empty while it goes on, and without a run."""
    if run is None:
        return ""
    try:
        record = json.loads(run.record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(record, dict) or "exit_code" not in record:
        return ""
    return "the run has ended" + (f" with exit code {record['exit_code']}" if record["exit_code"] else "")


def _unanswered(last: Seen, why: str) -> Seen:
    """The look before, marked as old."""
    return msgspec.structs.replace(last, answered=False, ended="", error=why)


def _with(seen: Seen, processes: tuple[Process, ...], rollout: Rollout | None) -> Seen:
    return msgspec.structs.replace(seen, processes=processes, rollout=rollout)


def _stored_latch(run: RunDirectory) -> Latch:
    try:
        with contextlib.closing(Store(run.tasks, read_only=True)) as store:
            return store.latch()
    except (StoreError, OSError):
        return Latch()


_NO_TASKS = {state.name.lower(): 0 for state in TaskState}
