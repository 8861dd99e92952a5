"""The plant as ROS 2 robots: a transport under which its members are robots that know standard topics alone.

The rounds (fleet/rounds.py) and the members (fleet/membership.py) are those of the plant's own wire. What they say to a
robot becomes sensor messages in its namespace; a command on its cmd_vel comes back as the `done/1` that ends its round,
and that it is there as the `join/1`. The coordinator and the fleet's client are members by signed messages as ever
(fleet/ros/transport.py).

    lockstep   sensors, then /clock; a robot is there while somebody commands it and hears its lidar, and its round ends
               with a command that is stamped with the cycle (or not stamped); what may have been missed is said again
    wall       /clock, then sensors, every period; a robot is there from its first command on until it falls silent

The module knows nothing of MuJoCo: a `Floor` is what the plant's world is to it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from coordination.messages import Done, Join, Joined, Leave
from coordination.transport import Transport
from coordination.wire import Received
from fleet.ros import diagnose
from fleet.ros.bodymessages import static_frames
from fleet.ros.bus import Bus, Node
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.planar import time_of
from fleet.ros.plantbase import Base, CommandKind, Told
from fleet.ros.rivals import intruders
from fleet.ros.topics import CLOCK, DIAGNOSTICS, TF, TF_STATIC
from sim.robot import SECOND, Readings, RobotSpec

AGAIN = 0.2
"""s after which a cycle that nobody answered is published again, in lockstep; as signed messages are (outbox.py)."""
LOOK = 0.05
"""s between two looks at who is there."""
LONG = 1.0
"""s of silence after which a command also says that its sender is there: half of what makes it count as gone."""
SLICE = 0.02
"""s of one wait at most: members may be owed an acknowledgement."""


class Floor(Protocol):
    """What is simulated (fleet.world.World)."""

    spec: RobotSpec
    stamp: int
    """Site clock, ns"""

    def readings(self, robot: int) -> Readings:
        """What one robot's sensors say now."""
        ...


class BusPlant:
    """See `coordination.transport.Transport`. Owns the robots' ends on the plant's node."""

    def __init__(
        self,
        bus: Bus,
        node: Node,
        server: Transport,
        floor: Floor,
        names: Sequence[str],
        *,
        lockstep: bool,
        command: CommandKind = "stamped",
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        """On an open node of `bus`; members with keys come to `server`.

        `wall` is the clock by which the bus tells when a message arrived.
        """
        self.server, self.lockstep = server, lockstep
        self._bus, self._floor, self._wall = bus, floor, wall
        self._clock, self._tf = CLOCK.publisher(node), TF.publisher(node)
        self._diagnostics = DIAGNOSTICS.publisher(node)
        self.bases = {name: Base(node, name, floor.spec, command, self._tf) for name in names}
        statics = TF_STATIC.publisher(node)
        frames = [static_frames(base.frames).transforms for base in self.bases.values()]
        statics.publish(TFMessage([transform for each in frames for transform in each]))
        self._ends = [self._clock, self._tf, self._diagnostics, statics]
        self._stamp, self._since = -1, wall()
        """The cycle that was published last, and when."""
        self._said = self._looked = self._told = -1.0e9
        self._sequence = 0

    @property
    def counts(self) -> Counter[str]:
        """Messages of members and commands of robots, by what became of them."""
        counts = Counter(self.server.counts)
        for base in self.bases.values():
            counts.update({f"command_{kind}": count for kind, count in base.counts.items()})
        return counts

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`. Robots hear no words: what is for them stands in their sensors' messages."""
        if peer not in self.bases:
            return self.server.send(peer, body, stamp)
        if isinstance(body, Joined) and body.error:
            print(f"{peer} is not heard: {body.error}", flush=True)
        return True

    def receive(self, timeout: float) -> list[Received]:
        """See `Transport.receive`; publishes the cycle that is due before it waits."""
        deadline = self._wall() + timeout
        while True:
            self._publish()
            came = [*self.server.receive(0.0), *self._arrivals()]
            left = deadline - self._wall()
            if came or left <= 0.0:
                return came
            self._bus.spin(min(left, SLICE))

    def close(self) -> None:
        """See `Transport.close`. Bus and node are the caller's."""
        for end in self._ends:
            end.close()
        for base in self.bases.values():
            base.close()
        self.server.close()

    def _publish(self) -> None:
        """What is new, and in lockstep again what nobody answered."""
        stamp, wall = self._floor.stamp, self._wall()
        new = stamp != self._stamp
        if new:
            self._stamp, self._since, self._said = stamp, wall, wall
        again = self.lockstep and not new and wall - self._said > AGAIN
        late = [base for base in self.bases.values() if base.there and base.answered < stamp]
        if new:
            self._say(list(self.bases.values()))
        elif again and late:
            self._said = wall
            self._say(late, again=True)
        if wall - self._told > diagnose.PERIOD:
            self._told = wall
            self._diagnostics.publish(diagnose.array(stamp, self._statuses(wall)))

    def _say(self, bases: Sequence[Base], *, again: bool = False) -> None:
        """Publish the open cycle of some robots, and what time it is: before in real time, behind in lockstep."""
        clock, order = Clock(time_of(self._stamp)), list(self.bases)
        if not self.lockstep:
            self._clock.publish(clock)
        for base in bases:
            index = order.index(base.name)
            readings = self._floor.readings(index)
            if not again:
                base.reckon(readings)
            base.publish(readings, again=again)
        if self.lockstep:
            self._clock.publish(clock)

    def _arrivals(self) -> list[Received]:
        """Who has come or gone, and what robots were told."""
        wall, came = self._wall(), []
        if self.lockstep and wall - self._looked > LOOK:
            self._looked = wall
            for base in self.bases.values():
                if not base.there and base.listens:
                    came.append(self._came(base, wall))
                elif base.there and not base.commanded:
                    base.there = False
                    came.append(self._message(base, Leave("nobody commands it any more")))
        now = self._now(wall)
        for base in self.bases.values():
            told = base.take(self._stamp, now, wall, lockstep=self.lockstep)
            if told is None:
                continue
            if not base.there or wall - base.heard > LONG:
                came.append(self._came(base, wall))
            base.heard = wall
            if told.current:
                base.answered = self._stamp
                came.append(self._message(base, self._done(base, told)))
        return came

    def _came(self, base: Base, wall: float) -> Received:
        base.there, base.heard = True, wall
        return self._message(base, Join("robot", (base.name,), base.spec.embodiment_hash()))

    def _done(self, base: Base, told: Told) -> Done:
        return Done(base.name, self._stamp // base.spec.period, told.command, lift=told.lift)

    def _message(self, base: Base, body: msgspec.Struct) -> Received:
        self._sequence += 1
        return Received(base.name, "", body, self._stamp, self._sequence, False, base.name)

    def _now(self, wall: float) -> int:
        """The site's time: in lockstep it stands while a cycle is open."""
        return self._stamp if self.lockstep else self._stamp + int((wall - self._since) * SECOND)

    def _statuses(self, wall: float) -> list:  # of DiagnosticStatus
        """The bus, and every robot whose commands were refused."""
        found = [base for base in self.bases.values() if base.found(wall)]
        said = {self._clock.topic}.union(*(base.topics for base in self.bases.values()))
        others = intruders(self._bus.census().ends, said, "plant")
        return [
            diagnose.status("plant: bus", "muster", [*self._bus.diagnostics(), *others]),
            *(
                diagnose.status(f"{base.name}: commands", "muster", base.found(wall), base.counts.items())
                for base in found
            ),
        ]
