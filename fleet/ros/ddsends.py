"""The two ends of a topic over DDS: a writer that sends bytes, a reader that takes them out of DDS's cache.

ROS joins ends by name, type name and quality of service; that both mean the same by the type's name is told by the type
hash alone. DDS does not compare it, so it is compared here: what a writer of another definition sends is dropped, and
`matched` counts the ends that fit. One that tells no hash (bare DDS, Humble) is believed, with a diagnostic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cyclonedds.core import DDSException
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from fleet.ros.bus import BusError
from fleet.ros.ddscalls import take, write
from fleet.ros.ddsgraph import Graph
from fleet.ros.ddstypes import BESIDES, idl_class, to_dds
from fleet.ros.graph import Endpoint
from fleet.ros.inbox import Inbox
from fleet.ros.kinds import name_of
from fleet.ros.names import mangled
from fleet.ros.qos import QoS
from fleet.ros.typehash import hash_of

HANDLE = 2**64 - 1
"""The binding gives the handles of ends with and without a sign; this mask makes them one."""
JUDGED = 1024
"""Writers whose verdict a reader remembers."""


@dataclass(frozen=True)
class Told:
    """What an end is to be."""

    kind: type
    """The message."""
    topic: str
    """Absolute ROS name."""
    qos: QoS
    node: str
    """Fully qualified."""


class DdsWriter:
    """See `ends.Writer`; made by `DdsNode`."""

    def __init__(
        self, participant: DomainParticipant, graph: Graph, told: Told, leave: Callable[[DdsWriter], None]
    ) -> None:
        """`leave` is called when it is closed. Raises BusError."""
        self._graph, self._leave = graph, leave
        with _refusal(told.topic):
            topic = Topic(participant, mangled(told.topic), idl_class(told.kind))
            self.entity = DataWriter(participant, topic, to_dds(told.qos, hash_of(told.kind), writer=True))
        self.end = _endpoint(told, self.entity.guid.bytes, writer=True)

    @property
    def matched(self) -> int:
        """See `ends.Writer.matched`."""
        return sum(_fits(self._graph, self.end, handle) for handle in self.entity.get_matched_subscriptions())

    def send(self, data: bytes) -> None:
        """See `ends.Writer.send`."""
        try:
            write(self.entity, data)
        except DDSException as error:
            raise BusError(f"{self.end.topic}: Cyclone DDS does not send it: {error}") from error

    def close(self) -> None:
        """See `ends.Writer.close`."""
        self._leave(self)
        self.entity.__del__()


class DdsReader:
    """See `ends.Reader`; made by `DdsNode`."""

    def __init__(
        self,
        participant: DomainParticipant,
        graph: Graph,
        told: Told,
        inbox: Inbox,
        leave: Callable[[DdsReader], None],
    ) -> None:
        """What comes is for `inbox`; `leave` is called when it is closed. Raises BusError."""
        self.inbox = inbox
        self._graph, self._leave = graph, leave
        self._judged: dict[int, bytes] = {}
        self._most = told.qos.depth + BESIDES
        with _refusal(told.topic):
            topic = Topic(participant, mangled(told.topic), idl_class(told.kind))
            self.entity = DataReader(participant, topic, to_dds(told.qos, hash_of(told.kind), writer=False))
        self.end = _endpoint(told, self.entity.guid.bytes, writer=False)

    @property
    def matched(self) -> int:
        """See `ends.Reader.matched`."""
        return sum(_fits(self._graph, self.end, handle) for handle in self.entity.get_matched_publications())

    def take(self) -> list[tuple[int, bytes, bytes]]:
        """What has come: the sender's stamp (ns since 1970), the bytes, the writer's gid."""
        came = []
        for data, info in take(self.entity, self._most):
            gid = self._judged.get(info.publication_handle)
            if gid is None:
                gid = self._judge(info.publication_handle)
            if gid:
                came.append((info.source_timestamp, data, gid))
        return came

    def close(self) -> None:
        """See `ends.Reader.close`."""
        self._leave(self)
        self.entity.__del__()

    def _judge(self, handle: int) -> bytes:
        """The gid of a writer; empty for one whose messages are of another definition, or that nobody knows."""
        peer = self._graph.peer(handle & HANDLE)
        if peer is None:
            self.inbox.reject("its writer was gone before its type could be checked")
            return b""
        if len(self._judged) >= JUDGED:
            self._judged.clear()
        gid = self._judged[handle] = peer.end.gid if _fits(self._graph, self.end, handle) else b""
        return gid


def _fits(graph: Graph, mine: Endpoint, handle: int) -> bool:
    """Whether the end with that handle means the same type."""
    peer = graph.peer(handle & HANDLE)
    return peer is not None and peer.end.type_name == mine.type_name and peer.end.type_hash in ("", mine.type_hash)


def _endpoint(told: Told, gid: bytes, *, writer: bool) -> Endpoint:
    return Endpoint(told.topic, name_of(told.kind), hash_of(told.kind), told.qos, writer, told.node, gid)


@contextmanager
def _refusal(topic: str) -> Iterator[None]:
    """Cyclone's word as ours."""
    try:
        yield
    except DDSException as error:
        raise BusError(f"{topic}: Cyclone DDS refuses this end: {error}") from error
