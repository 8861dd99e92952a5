"""The robots of one process as ROS 2 nodes: their bus, their links to the coordinator, and the wait for both.

One bus and one participant for the process, a managed node `robot` for each robot in the namespace of its name, and on
that node the signed link to the coordinator (fleet/ros/transport.py). A namespace that the launch file gives
(`-r __ns:=/cell4/r1`) is one robot's. A coordinator at an address of ZeroMQ is reached over that instead, by the same
signed messages: nothing but they crosses the network then, and whoever listens there finds no cmd_vel.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence

import msgspec

from coordination.client import COORDINATOR
from coordination.keys import Keys
from coordination.messages import Picture
from coordination.transport import Transport, TransportError
from coordination.wire import Received
from coordination.zmq_transport import ZmqClient
from fleet.ros.arguments import parse
from fleet.ros.bus import Bus, BusError, Diagnostic, Level, check_here, open_bus
from fleet.ros.busrobot import NODE, BusRobot
from fleet.ros.console import Spoken, complaints_of, misspelt
from fleet.ros.transport import SCHEME, BusClient, space_of
from sim.errors import printable, shown
from sim.robot import RobotSpec

SOCKET = re.compile(r"tcp://([^\s:/\[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}|ipc://\S+")
"""A coordinator's address that is none on the bus."""
SLICE = 0.005
"""s of one wait on the bus while the coordinator is at a socket: in lockstep a picture is waited for, else it comes
before the next scan does."""
BURST = 0.005
"""Longest time for which one arrival is taken off the bus, s: an eighth of the shortest control period in use."""


FOREIGN = ("forged", "unsigned", "malformed", "oversized", "foreign_major", "unknown")
"""Messages that the wire drops and that nobody of the fleet sends; its repetitions (`replayed`) are normal."""
TOLD = 5
"""Looks, one a second, for which such messages are told."""


class FleetLink:
    """A robot's end to the coordinator that knows of which round its newest picture is, and who else speaks there."""

    def __init__(self, end: Transport) -> None:
        self._end = end
        self._newest = (0, -1)
        """Epoch and round of the newest picture"""
        self._seen: deque[int] = deque([0], maxlen=TOLD)
        """How many were nobody's of the fleet at the last looks"""

    def found(self) -> list[Diagnostic]:
        """What came lately and was nobody's of the fleet; to be asked once a second."""
        counts = {kind: self.counts[kind] for kind in FOREIGN if self.counts[kind]}
        before = self._seen[0]
        self._seen.append(sum(counts.values()))
        if self._seen[-1] == before:
            return []
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        text = f"coordination: messages of nobody in this fleet come and are dropped ({told} so far); compare the keys"
        return [Diagnostic(Level.WARN, "coordination", text)]

    @property
    def round(self) -> int:
        """Of the newest picture; -1 before the first."""
        return self._newest[1]

    def forget(self) -> None:
        """Time has begun anew, and rounds with it."""
        self._newest = (0, -1)

    @property
    def counts(self) -> Counter[str]:
        """See `Transport.counts`."""
        return self._end.counts

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`."""
        return self._end.send(peer, body, stamp)

    def receive(self, timeout: float) -> list[Received]:
        """See `Transport.receive`."""
        came = self._end.receive(timeout)
        for message in came:
            if isinstance(message.body, Picture):
                self._newest = max(self._newest, (message.body.epoch, message.body.round))
        return came

    def close(self) -> None:
        """See `Transport.close`."""
        self._end.close()


class BusWires:
    """See `fleet.wires.Wires`. Owns the bus."""

    def __init__(
        self,
        kind: str,
        arguments: Sequence[str],
        names: Sequence[str],
        keys: Keys,
        coordinator: str,
        site: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of that kind, for these robots; `coordinator` is its address, empty for the bus's. Raises MusterError."""
        self._address = coordinator if SOCKET.fullmatch(coordinator) else ""
        self._space = "" if self._address else space(coordinator)
        check_names(arguments, names)
        self._ros = parse(arguments)
        self._bus: Bus = open_bus(kind, arguments=arguments)
        self._keys, self._site = keys, site
        self._robots: dict[str, BusRobot] = {}
        self._links: dict[str, FleetLink] = {}
        self._sockets: list[ZmqClient] = []
        """Ends to a coordinator that is none of the bus's; each is its robot's to close"""
        self._clock = clock
        self._spoken = {name: Spoken(name) for name in names}
        self._failed: set[str] = set()
        """Robots whose look at the bus has failed, and was told"""

    def robot(self, name: str, spec: RobotSpec, watchdog: str) -> BusRobot:
        """See `Wires.robot`. No watchdog speaks here: a base stands by itself when nothing commands it."""
        robot = BusRobot(
            self._bus,
            name,
            spec,
            self._site,
            pictures=lambda: self._links[name].round,
            anew=lambda: self._links[name].forget(),
            doubts=lambda: self._links[name].found(),
        )
        self._robots[name] = robot
        slips = misspelt(self._ros, robot.node.name, robot.node.namespace) + robot.node.parameters.undeclared()
        for slip in slips:
            print(printable(f"{name}: {slip}; it changes nothing"), flush=True)
        if self._address:
            end = ZmqClient(name, COORDINATOR, self._keys, self._address)
            self._sockets.append(end)
        else:
            end = BusClient(self._bus, robot.node, name, COORDINATOR, self._keys, self._space)
        self._links[name] = FleetLink(end)
        return robot

    def link(self, name: str) -> Transport:
        """See `Wires.link`; the robot was made before."""
        return self._links[name]

    def wait(self, timeout: float) -> Collection[str]:
        """See `Wires.wait`: a burst of messages is one arrival, however long whoever floods a topic makes it."""
        slices = max(1, math.ceil(timeout / SLICE)) if self._sockets else 1
        for _ in range(slices):
            came = self._bus.spin(timeout / slices)
            if came or any(end.socket.poll(0) for end in self._sockets):
                break
        if came:
            until = self._clock() + BURST
            while self._bus.spin(0.0) and self._clock() < until:
                pass
        return self._robots.keys()

    def housekeeping(self) -> None:
        """See `Wires.housekeeping`: look who is there, tell how the robots are, say what keeps one from driving."""
        for name, robot in self._robots.items():
            try:
                robot.diagnose()
                clock, heard = robot.node.clock, self._links[name].round >= 0
                inputs = robot.senses.found(clock.now()) if robot.senses is not None else []
                for line in self._spoken[name].lines(complaints_of(robot.blocked, clock.kept, heard, inputs)):
                    print(line, flush=True)
            except Exception as error:  # a bus's errors are its library's own and share no class
                if name not in self._failed:
                    self._failed.add(name)
                    print(f"{name}: expected to see who else is on the bus, got {error!r}; driving goes on", flush=True)

    def close(self) -> None:
        """See `Wires.close`."""
        self._bus.close()


def space(coordinator: str) -> str:
    """The coordinator's space on the bus; raises TransportError for what names none."""
    return space_of(coordinator or SCHEME, COORDINATOR)


def check_names(arguments: Sequence[str], names: Sequence[str]) -> None:
    """Raise BusError where ROS arguments put several robots into one namespace."""
    ros = parse(arguments)
    for name in names:
        _, namespace = ros.identity(NODE, f"/{name}")
        if len(names) > 1 and namespace != f"/{name}":
            raise BusError(
                f"expected a namespace for each of {', '.join(names)}, ROS arguments put them all into {namespace}; "
                "leave __ns out, or start each robot as a process of its own"
            )


def check(kind: str, arguments: Sequence[str], names: Sequence[str], coordinator: str) -> None:
    """Raise MusterError for what is wrong with a command line, before anything is made for it."""
    if kind == "none":
        if set(arguments) - {"--ros-args", "--"}:  # a launch gives every node the bare word
            raise TransportError(
                f"expected no ROS arguments without a bus, got {' '.join(arguments)}; give --bus auto too"
            )
        return
    check_here(kind)
    if not SOCKET.fullmatch(coordinator):
        if "://" in coordinator:
            raise TransportError(
                "--coordinator: expected tcp://HOST:PORT or ipc://PATH, or ros or ros:/SPACE, "
                f"got {shown(coordinator)}; correct it"
            )
        space(coordinator)
    check_names(arguments, names)
