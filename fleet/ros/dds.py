"""The bus over DDS without any ROS: Cyclone DDS's Python binding speaking what ROS 2's own layers put on the wire.

One participant for each bus carries all its nodes. Names, types, encoding, type hashes, quality of service and
`ros_discovery_info` are as rmw_cyclonedds and rmw_fastrtps have them since Iron, so that `ros2 node list`, `topic info`
and `topic echo` show us as nodes like any other.

No Python runs on Cyclone's threads. They keep what comes in DDS's own caches; the caller's thread waits for them in
`spin`, takes the bytes and puts them into the inboxes. A round trip takes two thirds of the time that it takes with a
listener that hands over to the caller's thread (docs/decisions.md), and a listener that waits for Python's lock while
a writer holds it can hang the process.

What lay in the caches when the caller came arrived before: its `received` is told by the sender's stamp, but never
before the last look and never later than now. A sender with a wrong clock can make its messages older, not younger.

Not here: services. Fast DDS correlates requests in a way that the binding does not show.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from cyclonedds.core import DDSException, Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from fleet.ros.arguments import RosArguments
from fleet.ros.bus import BusError, Diagnostic, Level
from fleet.ros.cdr import serialise
from fleet.ros.ddscalls import Waiter, take, write
from fleet.ros.ddsdomain import Discovery, here
from fleet.ros.ddsends import DdsReader, DdsWriter, Told
from fleet.ros.ddsgraph import Announcement, Graph
from fleet.ros.ddsprocess import join
from fleet.ros.ddstypes import idl_class, to_dds
from fleet.ros.graph import Endpoint
from fleet.ros.inbox import Arrivals, Inbox
from fleet.ros.messages.rmw_dds_common import Gid, NodeEntitiesInfo, ParticipantEntitiesInfo
from fleet.ros.node import BaseBus, BaseNode
from fleet.ros.qos import LATCHED, QoS
from fleet.ros.typehash import hash_of

SLICE = 0.1
"""s that one wait takes at most: a signal (Ctrl-C) is heard between two."""
RECENT = 10.0
"""s for which a warning of Cyclone's is told: it repeats, once a second or so, what goes on"""
PARTICIPANTS = QoS(latched=True, depth=256)
"""Asked of ros_discovery_info: it has no keys, so that its queue holds the words of all participants."""


class DdsArrivals(Arrivals):
    """Waits on DDS: what comes is put into the inboxes by the waiting thread itself."""

    def __init__(self, bus: DdsBus) -> None:
        """Of that bus."""
        super().__init__()
        self._bus = bus

    def wake(self) -> None:
        """Nobody waits while something is put."""

    def wait(self, timeout_s: float) -> None:
        """See `Arrivals.wait`."""
        self._bus.receive(timeout_s)

    def poll(self) -> None:
        """See `Arrivals.poll`."""
        self._bus.receive(0.0)


class DdsNode(BaseNode):
    """A node of our participant."""

    def __init__(self, bus: DdsBus, name: str, namespace: str, ros: RosArguments) -> None:
        """Made by `DdsBus.node`."""
        super().__init__(bus, name, namespace, ros)
        self._dds = bus
        self._info = bus.announcement.join(namespace, name)
        bus.announce()

    def _advertise(self, kind: type, topic: str, qos: QoS) -> DdsWriter:
        bus, told = self._dds, Told(kind, topic, qos, self.fully_qualified)
        writer = DdsWriter(bus.participant, bus.graph, told, bus.drop)
        bus.add(writer, self._info)
        return writer

    def _listen(self, kind: type, topic: str, qos: QoS, inbox: Inbox) -> DdsReader:
        bus, told = self._dds, Told(kind, topic, qos, self.fully_qualified)
        reader = DdsReader(bus.participant, bus.graph, told, inbox, bus.drop)
        bus.add(reader, self._info)
        return reader

    def _leave(self) -> None:
        self._dds.announcement.leave(self._info)
        self._dds.announce()


class DdsBus(BaseBus):
    """A participant of a DDS domain; see the module's text."""

    kind = "dds"

    def __init__(
        self,
        arguments: RosArguments | None = None,
        domain: int | None = None,
        discovery: Discovery | None = None,
    ) -> None:
        """As ROS 2's environment variables say where no `discovery` is given. Raises BusError."""
        super().__init__(arguments or RosArguments(), DdsArrivals(self))
        self.discovery = discovery or here(domain)
        self._shared = join(self.discovery)
        try:
            self.participant = DomainParticipant(self.discovery.domain, Qos(Policy.Userdata(b"enclave=/;")))
        except DDSException as error:
            self._shared.leave()
            raise BusError(f"Cyclone DDS does not join domain {self.discovery.domain}: {error}") from error
        self.graph = Graph(self.participant)
        self.announcement = Announcement(self.participant.guid.bytes)
        """To be followed by `announce` after each change."""
        self._ends: dict[DdsWriter | DdsReader, NodeEntitiesInfo] = {}
        self._counted = Counter(self._shared.refused)
        self._waiter: Waiter[DdsReader | None] = Waiter(self.participant)
        self._looked = time.monotonic_ns()
        kind = idl_class(ParticipantEntitiesInfo)
        topic, kind_hash = Topic(self.participant, "ros_discovery_info", kind), hash_of(ParticipantEntitiesInfo)
        self._informer = DataWriter(self.participant, topic, to_dds(LATCHED, kind_hash, writer=True))
        self._informed = DataReader(self.participant, topic, to_dds(PARTICIPANTS, kind_hash, writer=False))
        self._waiter.watch(self._informed, None)
        self.announce()

    def announce(self) -> None:
        """Tell the others of our nodes and their ends."""
        write(self._informer, serialise(self.announcement.message()))

    def add(self, end: DdsWriter | DdsReader, info: NodeEntitiesInfo) -> None:
        """An end of a node of ours."""
        self._ends[end] = info
        if isinstance(end, DdsReader):
            self._waiter.watch(end.entity, end)
        _gids(end, info).append(Gid(end.end.gid))  # pyright: ignore[reportArgumentType]: bytes do
        self.announce()

    def drop(self, end: DdsWriter | DdsReader) -> None:
        """It is about to end."""
        info = self._ends.pop(end)
        if isinstance(end, DdsReader):
            self._waiter.forget(end.entity)
        gids = _gids(end, info)
        gids[:] = [gid for gid in gids if bytes(gid.data) != end.end.gid]
        self.announce()

    def receive(self, timeout_s: float) -> None:
        """Put what has come into the inboxes, after waiting at most so long for the first."""
        self._count_refused()  # before the wait: what follows it is the way of a message
        ready = self._waiter.wait(0.0)
        came = self._take(ready, waited=False)
        end = time.monotonic() + timeout_s
        while not came and (left := end - time.monotonic()) > 0.0:
            came = self._take(self._waiter.wait(min(left, SLICE)), waited=True)
        self._looked = time.monotonic_ns()

    def _take(self, ready: list[DdsReader | None], *, waited: bool) -> bool:
        """Put what is there into the inboxes, in the order of arrival; whether anything was."""
        if not ready:
            return False
        wall, now = time.time_ns(), time.monotonic_ns()
        came = []
        for reader in ready:
            if reader is None:
                for data, _ in take(self._informed, PARTICIPANTS.depth):
                    self.graph.hear(data)
            else:
                for stamp, data, gid in reader.take():
                    received = now if waited else self._arrival(stamp, wall, now)
                    came.append((received, stamp, reader.inbox, data, gid))
        if len(came) > 1:
            came.sort(key=lambda each: each[:2])
        for received, _, inbox, data, gid in came:
            inbox.put(data, received, gid)
        return bool(came)

    def _arrival(self, stamp: int, wall: int, now: int) -> int:
        """When something that lay in the cache came, by its sender's stamp as far as that can be."""
        age = wall - stamp
        return max(self._looked, now - age) if age >= 0 else self._looked

    def _count_refused(self) -> None:
        """Tell the inboxes how many messages Cyclone refused."""
        self._shared.read_log()
        if self._shared.refused == self._counted:
            return
        new = self._shared.refused - self._counted
        self._counted = Counter(self._shared.refused)
        for end in self._ends:
            if isinstance(end, DdsReader):
                for _ in range(new[end.end.topic]):
                    end.inbox.reject("its bytes cannot be of this type")

    def _make(self, name: str, namespace: str, ros: RosArguments) -> DdsNode:
        return DdsNode(self, name, namespace, ros)

    def _known(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str]]:
        self.receive(0.0)
        self.graph.look()
        return [end.end for end in self._ends], self.graph.ends(), self.graph.nodes()

    def _everybody(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str], int]:
        return (*self._known(), len(self.graph.participants) - 1)

    def _trouble(self) -> list[Diagnostic]:
        found = []
        if self._shared.exposed:
            text = f"DDS listens on all interfaces, though it was to stay on this machine: {self._shared.exposed}"
            found.append(Diagnostic(Level.WARN, "exposed", text))
        when, words = self._shared.said
        if time.monotonic() - when < RECENT:
            found.append(Diagnostic(Level.WARN, "transport", f"Cyclone DDS warns: {words}"))
        return [*found, *self.graph.trouble(end.end.topic for end in self._ends)]

    def _shut(self) -> None:
        self._waiter.close()
        self.graph.close()
        self._informed.__del__()
        self._informer.__del__()
        self.participant.__del__()
        self._shared.leave()


def _gids(end: DdsWriter | DdsReader, info: NodeEntitiesInfo) -> list[Gid]:
    """Where a node tells of such ends."""
    return info.reader_gid_seq if isinstance(end, DdsReader) else info.writer_gid_seq
