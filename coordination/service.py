"""The coordinator's loop: from the wire to the core, one commit, and back. It decides nothing.

    lockstep   the plant ends round t -> the reports of the robots it names are here -> handle them in the order of
               (stamp, sender, sequence) -> tick -> commit -> a picture for every robot -> tell the plant
    wall       the same every 100 ms with whatever reports have come; nobody waits

Nothing leaves before the commit that it depends on. A client's request is handled when it comes, in a commit of its
own with the others that came with it. An emergency stop is committed at once and, in wall mode, ticked at once.
Every wait is bounded: a named robot whose report does not come is left out after `REPORTS`.

What one message raises ends that message: it is dropped, counted as `failed`, and said once in the log; a request is
answered with the reason. What the store raises is no such thing, for it may be the disk.

Where the disk fails the requests at hand are answered "not stored" and the error goes to the caller: the process ends,
and the robots stop when their leases end.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from coordination.database import StoreError, StoreFull
from coordination.estop import raise_stop, reset_stop
from coordination.messages import Join, Joined, Leave, Picture, Report, Round
from coordination.meters import Meters
from coordination.requests import JOGS, REQUESTS, StopRaise, StopReset, Waiting, refusal
from coordination.tasks import Store
from coordination.timely import Timely
from coordination.transport import Transport, TransportError
from coordination.wire import Received, WireError
from coordination.zmq_transport import ZmqClient, ZmqServer, wait_any
from sim.robot import MILLISECOND, SECOND

PLANT = "plant"
"""The plant's name on the wire."""

TICK = 100 * MILLISECOND
"""Period in wall mode: a robot's control period."""

REPORTS = 1.0
"""s of wall time that a round waits for a report; shorter than the 2 s for which the plant waits for us."""

STRANGERS = 0.1
"""s that a round after a restart waits if it lacks only robots never heard since: their reports went to nobody."""

REJOIN = 0.5
"""s of silence after which the plant is asked again to count us in: it may have given us up, or started anew."""

ANEW = 2 * SECOND
"""In wall mode, a plant's time that went back by more is another plant's; less is what messages take on their way."""

TOLD = 100
"""Different faults that are said in the log; the rest is counted alone."""

WAIT = 0.1
"""s; longest wait in one turn, so that the end is heard of soon."""

Out = Sequence[tuple[str, msgspec.Struct]]
"""Messages to send, each with its receiver."""


class Core(Protocol):
    """What decides: `coordinator.Coordinator`, or a test's."""

    waiting: dict[str, Waiting]
    """By robot: attempts that wait for an operator"""
    counts: Counter[str]
    """Operators' messages that it dropped, by kind"""

    def begin(self, *, anew: bool = False) -> None:
        """Forget what was heard and go on from what the store knows; `tick` may then be given an earlier time.

        `anew`: with another plant.
        """
        ...

    def handle(self, sender: str, message: msgspec.Struct, now: int) -> Out:
        """Take one message in; the replies leave after the commit."""
        ...

    def tick(self, now: int) -> Out:
        """Assign, plan and grant; a picture for every robot."""
        ...


def nothing(point: str) -> None:
    """The default for `Service.at`: go on."""


class Service:
    """Owns the reports that wait for their tick, and where the site's time stands."""

    def __init__(
        self,
        core: Core,
        store: Store,
        server: Transport,
        plant: Transport | None,
        *,
        clock: str,
        wait: Callable[[float], object] | None = None,
        moment: Callable[[], int] = time.monotonic_ns,
        site: str = "",
        meters: Meters | None = None,
        at: Callable[[str], None] = nothing,
        heads: Callable[[Received], None] = lambda message: None,
    ) -> None:
        """`plant` is needed in lockstep; in wall mode it gives the site's time, else `moment()` does, ns.

        `wait(seconds)` returns early when something has come; needed where the ends are no sockets.
        `at(point)` is called around every commit and send; tests end the process there. `heads` gets every report.
        """
        if plant is None and clock == "lockstep":
            raise TransportError("lockstep needs the plant's address; give --plant, or --clock wall")
        self.core, self.store, self.server, self.plant = core, store, server, plant
        self.clock, self.site, self.at, self._heads = clock, site, at, heads
        self.meters = meters or Meters()
        sockets = [end for end in (server, plant) if isinstance(end, ZmqServer | ZmqClient)]
        self._moment = moment
        self._wait = wait or (lambda timeout: wait_any(sockets, timeout))
        self.now = store.newest_stamp()
        """Site time of the last round, ns"""
        self.round = 0
        """Number of the last round"""
        self.left = False
        """The plant has said goodbye"""
        self._restarted = self.now > 0
        self._reports: dict[str, Received] = {}
        self._handled: dict[str, int] = {}
        """Stamp of the newest report of each robot that a tick has seen"""
        self._pictures: dict[str, Picture] = {}
        """What the last round sent"""
        self._pending: Round | None = None
        self._asked = 0.0
        self._heard = 0.0
        self._offset = 0
        self._next_tick = 0.0
        self._joined = plant is None
        self._ended = False
        """The round at `now` has ended"""
        self._timely = Timely(server.counts)
        self._told: set[str] = set()
        """Faults that the log has"""

    def run(self, ended: Callable[[], bool]) -> None:
        """Turn until `ended()`. Raises MusterError when the plant refuses us or the disk takes no more."""
        while not ended():
            self.turn()

    def turn(self) -> None:
        """Wait, briefly, for something to happen, and do what there is to do."""
        self._wait(self._longest_wait())
        self._hear_plant()
        self._hear_fleet()
        if self.clock == "wall":
            moment = time.monotonic()
            if self._joined and moment >= self._next_tick:
                self._next_tick += TICK / SECOND
                if self._next_tick < moment:  # a late tick is not made up for
                    self._next_tick = moment + TICK / SECOND
                began = self._moment()
                if self.plant is None and began < self.now - ANEW:  # another start of this computer, or of /clock
                    self._begin_anew(plant=False)
                    self.now = began
                self._end_round(self.round + 1, self._site_time())
        elif self._pending is None:
            self._answer_late()
        elif not (missing := self._missing()) or time.monotonic() >= self._patience(missing):
            pending, self._pending = self._pending, None
            self._end_round(pending.round, pending.stamp)
            if self.plant is not None:
                self.plant.send(PLANT, Round(pending.round, pending.stamp), pending.stamp)
                self.at("round:told")

    # hearing ---------------------------------------------------------------------------------------------------

    def _hear_plant(self) -> None:
        if self.plant is None:
            return
        moment = time.monotonic()
        if moment - self._heard > REJOIN and self.plant.send(PLANT, Join("coordinator"), self.now):
            self._heard = moment
        for message in self.plant.receive(0.0):
            self._heard = moment
            match message.body:
                case Joined(error=error) if error:
                    raise TransportError(f"the plant does not take this coordinator: {error}")
                case Joined(site=site) if site and self.site and site != self.site:
                    raise TransportError(
                        f"the plant has site {site[:12]}, this coordinator {self.site[:12]}; give both the same --site"
                    )
                case Joined(stamp=stamp):
                    self._joined = True
                    self._offset = stamp - self._moment()
                    back = self.now - stamp
                    if back > 0:
                        self._handled.clear()
                    if back > (ANEW if self.clock == "wall" else 0):
                        self._begin_anew(plant=True)
                        self.now = stamp
                    self.now = max(self.now, stamp) if self.clock == "wall" else stamp
                    self._ended = False  # the round at this stamp is open, also when we joined again in mid-life
                case Round(stamp=stamp) if self.clock == "wall":
                    # Taken anew each round: a plant that falls behind real time takes the site's time with it.
                    self._offset = stamp - self._moment()
                case Round() as pending:
                    self._pending = pending
                    self._asked = moment
                case Leave():
                    self._joined = False
                    self.left = True

    def _begin_anew(self, *, plant: bool) -> None:
        """Time begins anew: reports of the robots are older than all that was heard before.

        The core begins another life on the store, as after a restart, else it would take none of them for news and
        grant the cells in which the robots were then. With another `plant` the world is another one too.
        """
        self._handled.clear()
        self._reports.clear()
        self._pictures.clear()
        with self.store.transaction():
            self.core.begin(anew=plant)
        self.at("anew:committed")

    def _hear_fleet(self) -> None:
        requests: list[Received] = []
        for message in self.server.receive(0.0):
            if isinstance(message.body, Report):
                self._heads(message)
                handled = self._handled.get(message.sender, -1)
                live = self.clock == "wall" and self._joined
                if self._timely.drops(message, handled, self._site_time() if live else None):
                    continue
                if message.body.stamp <= handled:
                    self._send_again(message.sender)
                    continue
                known = self._reports.get(message.sender)
                if known is None or (message.stamp, message.sequence) > (known.stamp, known.sequence):
                    self._reports[message.sender] = message
            elif isinstance(message.body, REQUESTS):
                requests.append(message)
        if requests:
            self._answer(requests)

    def _send_again(self, robot: str) -> None:
        """A report that was handled comes again: its robot waits for a picture; nothing is decided anew."""
        picture = self._pictures.get(robot)
        if picture is not None:
            self._send([(robot, picture)], self.now)

    def _missing(self) -> list[str]:
        """Robots that the plant named and whose report of the round is not here."""
        assert self._pending is not None
        number, reports = self._pending.round, self._reports
        return [robot for robot in self._pending.robots if robot not in reports or reports[robot].body.round < number]

    def _patience(self, missing: Sequence[str]) -> float:
        """Until when the round waits for them."""
        strangers = self._restarted and self._handled.keys().isdisjoint(missing)
        return self._asked + (STRANGERS if strangers else REPORTS)

    def _answer_late(self) -> None:
        """Lockstep: a report of a round that is over and that no tick has seen gets a picture, in a tick without time.

        It comes from a robot that sends again because it hears nothing: the report went to a coordinator that is no
        more, or came too late. Where no member is lost this never happens.
        """
        late = [m for m in self._reports.values() if m.stamp < self.now or (m.stamp == self.now and self._ended)]
        if late and self._joined:
            self._end_round(max(self.round, *(message.body.round for message in late)), self.now, late)

    def _longest_wait(self) -> float:
        if self.clock == "wall" and self._joined:
            return max(0.0, min(WAIT, self._next_tick - time.monotonic()))
        if self._pending is not None:
            return max(0.0, min(WAIT, self._patience(self._missing()) - time.monotonic()))
        return WAIT

    def _site_time(self) -> int:
        return max(self.now + 1, self._moment() + (0 if self.plant is None else self._offset))

    # acting ----------------------------------------------------------------------------------------------------

    def _answer(self, requests: Sequence[Received]) -> None:
        """Handle clients' requests in one commit, then answer them."""
        now = self._site_time() if self.clock == "wall" else self.now
        stopped = self.store.latch().stopped
        out: list[tuple[str, msgspec.Struct]] = []
        try:
            with self.store.transaction():
                for message in requests:
                    out += self._request(message, now)
                self.at("answer:commit")
        except StoreFull as error:
            for message in requests:
                self._send([(message.peer, refusal(message.body, str(error), ends=True))], now)
            raise
        self.at("answer:committed")
        self._send(out, now)
        self.at("answer:sent")
        if self.clock == "wall" and self.store.latch().stopped and not stopped:
            self._next_tick = 0.0

    def _request(self, message: Received, now: int) -> Out:
        body = message.body
        try:
            with self.store.transaction():
                if isinstance(body, StopRaise):
                    return [(message.peer, raise_stop(self.store, body, message.sender, now))]
                if isinstance(body, StopReset):
                    return [(message.peer, reset_stop(self.store, body, message.sender, message.signed, now))]
                if isinstance(body, JOGS) and not message.signed:
                    self.core.counts["unsigned"] += 1
                    return [(message.peer, refusal(body, "only a signed operator drives a robot by hand"))]
                return self.core.handle(message.sender, body, now)
        except StoreFull:
            raise
        except StoreError as error:
            if isinstance(body, StopRaise | StopReset):
                raise  # the latch refuses nothing: it is the disk
            return [(message.peer, refusal(body, str(error)))]  # this request alone, such as a task id that is taken
        except Exception as error:  # whatever a message makes of us, it is not the end of the others' service
            return [(message.peer, refusal(body, f"this message failed ({self._failed(message, error)})"))]

    def _report(self, message: Received, now: int) -> Out:
        try:
            return self.core.handle(message.sender, message.body, now)
        except StoreError:
            raise
        except Exception as error:  # as above; each change in the store is whole or not there
            self._failed(message, error)
            return []

    def _failed(self, message: Received, error: Exception) -> str:
        """Count a message that raised, and say what it raised unless that was said before; returns a short form."""
        self.server.counts["failed"] += 1
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} in {place.name}, line {place.lineno}"
        line = f"{message.name} of {message.sender}: {fault}"
        if line not in self._told and len(self._told) < TOLD:
            self._told.add(line)
            print(f"dropped {line}: {error}", file=sys.stderr, flush=True)
        return fault

    def _end_round(self, number: int, now: int, only: Sequence[Received] | None = None) -> None:
        """Handle the reports that wait (or only some), tick, commit, and send every robot its picture."""
        begin = time.perf_counter()
        chosen = list(self._reports.values()) if only is None else only
        reports = sorted(chosen, key=lambda message: (message.stamp, message.sender, message.sequence))
        for message in reports:
            del self._reports[message.sender]
            self._handled[message.sender] = message.body.stamp
        out: list[tuple[str, msgspec.Struct]] = []
        with self.store.transaction():
            self.at("round:begin")
            for message in reports:
                out += self._report(message, now)
            out += self.core.tick(now)
            self.at("round:commit")
            decided = time.perf_counter()
        committed = time.perf_counter()
        self.at("round:committed")
        self.now, self.round, self._ended = now, number, True
        if self.clock == "lockstep":  # robots wait for the picture of this round, whoever of them reported in it
            out = [(p, msgspec.structs.replace(b, round=number) if isinstance(b, Picture) else b) for p, b in out]
        self._pictures = {peer: body for peer, body in out if isinstance(body, Picture)}
        half = len(out) // 2
        self._send(out[:half], now)
        self.at("round:sending")
        self._send(out[half:], now)
        self.at("round:sent")
        self.meters.round(
            tick=decided - begin,
            commit=committed - decided,
            tasks=self.store.counts(),
            latch=self.store.latch(),
            messages={"fleet": self.server.counts, "operator": self.core.counts}
            | ({"plant": self.plant.counts} if self.plant is not None else {}),
            robots=len(reports),
            waiting=len(self.core.waiting),
        )

    def _send(self, out: Out, now: int) -> None:
        for peer, body in out:
            try:
                self.server.send(peer, body, now)
            except WireError:
                # One answer that is too long must not end the service; its asker hears nothing and the count tells.
                self.server.counts["unsendable"] += 1
