"""The bus inside one process: deterministic, and as strict as the wire.

Every message is serialised and read again, so that nobody sees what another changes later and a field that does not
fit is found without a network. Delivery is at once and in the order of publishing; quality of service holds (depth,
latched, offers that do not meet requests), and so do types. Buses on one `LoopNetwork` are to each
other what processes are.

Nothing here starts a thread, and time is an argument: the same calls give the same samples.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fleet.ros.arguments import RosArguments
from fleet.ros.graph import Endpoint, judge
from fleet.ros.inbox import Inbox
from fleet.ros.kinds import name_of
from fleet.ros.node import BaseBus, BaseNode
from fleet.ros.qos import QoS
from fleet.ros.typehash import hash_of


@dataclass(eq=False)
class _Reader:
    """A reader and its place on the network."""

    end: Endpoint
    inbox: Inbox
    network: LoopNetwork

    @property
    def matched(self) -> int:
        return sum(judge(self.end, writer.end) is None for writer in self.network.writers(self.end.topic))

    def close(self) -> None:
        self.network.leave(self)


@dataclass(eq=False)
class _Writer:
    """A writer, and what it keeps for those who come late."""

    end: Endpoint
    network: LoopNetwork
    kept: deque[bytes] = field(default_factory=deque)

    @property
    def matched(self) -> int:
        return sum(judge(self.end, reader.end) is None for reader in self.network.readers(self.end.topic))

    def send(self, data: bytes) -> None:
        self.kept.append(data)
        self.network.carry(self, data)

    def close(self) -> None:
        self.network.leave(self)


class LoopNetwork:
    """Owns the ends that meet in one process; the buses on it share no other state."""

    def __init__(self, now: Callable[[], int] = time.monotonic_ns) -> None:
        """`now` stamps arrivals, in ns."""
        self.nodes: list[str] = []
        """Fully qualified names, one for each node."""
        self._now = now
        self._ends: dict[str, list[_Reader | _Writer]] = {}
        self._made = 0

    def gid(self) -> bytes:
        """Sixteen bytes that no other end has."""
        self._made += 1
        return self._made.to_bytes(16, "big")

    def ends(self) -> list[Endpoint]:
        """All ends."""
        return [end.end for ends in self._ends.values() for end in ends]

    def readers(self, topic: str) -> list[_Reader]:
        """Those of a topic."""
        return [end for end in self._ends.get(topic, ()) if isinstance(end, _Reader)]

    def writers(self, topic: str) -> list[_Writer]:
        """Those of a topic."""
        return [end for end in self._ends.get(topic, ()) if isinstance(end, _Writer)]

    def join(self, end: _Reader | _Writer) -> None:
        """Add an end; a latched reader gets what latched writers keep."""
        self._ends.setdefault(end.end.topic, []).append(end)
        if isinstance(end, _Reader) and end.end.qos is not None and end.end.qos.latched:
            for writer in self.writers(end.end.topic):
                if judge(end.end, writer.end) is None:
                    for data in writer.kept:
                        end.inbox.put(data, self._now(), writer.end.gid)

    def leave(self, end: _Reader | _Writer) -> None:
        """Take an end off; what a writer kept goes with it."""
        self._ends[end.end.topic].remove(end)

    def carry(self, writer: _Writer, data: bytes) -> None:
        """Put a message into the inbox of every reader that fits."""
        received = self._now()
        for reader in self.readers(writer.end.topic):
            if judge(reader.end, writer.end) is None:
                reader.inbox.put(data, received, writer.end.gid)


class LoopNode(BaseNode):
    """A node on a `LoopNetwork`."""

    def __init__(self, bus: LoopBus, name: str, namespace: str, ros: RosArguments) -> None:
        """Made by `LoopBus.node`."""
        super().__init__(bus, name, namespace, ros)
        self._network = bus.network
        self._network.nodes.append(self.fully_qualified)

    def _advertise(self, kind: type, topic: str, qos: QoS) -> _Writer:
        kept = deque(maxlen=qos.depth if qos.latched else 0)
        writer = _Writer(self._end(kind, topic, qos, writer=True), self._network, kept)
        self._network.join(writer)
        return writer

    def _listen(self, kind: type, topic: str, qos: QoS, inbox: Inbox) -> _Reader:
        reader = _Reader(self._end(kind, topic, qos, writer=False), inbox, self._network)
        self._network.join(reader)
        return reader

    def _end(self, kind: type, topic: str, qos: QoS, *, writer: bool) -> Endpoint:
        gid = self._network.gid()
        return Endpoint(topic, name_of(kind), hash_of(kind), qos, writer, self.fully_qualified, gid)

    def _leave(self) -> None:
        self._network.nodes.remove(self.fully_qualified)


class LoopBus(BaseBus):
    """A bus in this process; see the module's text."""

    kind = "loop"

    def __init__(self, network: LoopNetwork | None = None, arguments: RosArguments | None = None) -> None:
        """On a network of its own where none is given."""
        super().__init__(arguments or RosArguments())
        self.network = network or LoopNetwork()

    def _make(self, name: str, namespace: str, ros: RosArguments) -> LoopNode:
        return LoopNode(self, name, namespace, ros)

    def _known(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str]]:
        ends = self.network.ends()
        own = {node.fully_qualified for node in self.nodes}
        return [end for end in ends if end.node in own], ends, self.network.nodes

    def _shut(self) -> None:
        pass
