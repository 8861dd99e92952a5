"""Who is there, over DDS: participants, their nodes, and all ends of topics with what they offer or ask.

Cyclone keeps what discovery told it in its built-in topics; `Graph.look` takes what changed since the last look, in the
caller's thread. Which node an end belongs to is not in there: each participant tells it on `ros_discovery_info`, a
latched topic that it writes again after every change (rmw_dds_common). `Announcement` is ours.

An end that went away stays known for a while: messages that it left behind are still to be judged by its type.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from cyclonedds.builtin import (
    BuiltinDataReader,
    BuiltinTopicDcpsParticipant,
    BuiltinTopicDcpsPublication,
    BuiltinTopicDcpsSubscription,
)
from cyclonedds.domain import DomainParticipant

from fleet.ros.bus import Diagnostic, Level
from fleet.ros.cdr import CdrError, deserialise
from fleet.ros.ddsdomain import CROWD, HIGHEST_INDEX
from fleet.ros.ddstypes import from_dds, hash_in, only_xcdr2, printable
from fleet.ros.graph import Endpoint
from fleet.ros.messages.rmw_dds_common import Gid, NodeEntitiesInfo, ParticipantEntitiesInfo
from fleet.ros.names import demangled, qualified, ros_type

AT_ONCE = 256
"""Changes taken from a built-in topic by one call; a look goes on until there are none."""
GONE = 256
"""Ends that went away and are still known; as many as a burst of leavers."""


@dataclass(frozen=True)
class Peer:
    """An end of a topic as discovery tells it."""

    end: Endpoint
    """Its node is not known here; see `Graph.ends`."""
    only_xcdr2: bool
    """It speaks an encoding that ROS does not."""


class Graph:
    """Owns what is known of a domain."""

    def __init__(self, participant: DomainParticipant) -> None:
        """As seen by that participant, which is in it too."""
        self.participants: dict[int, bytes] = {}
        """Gids of all participants, ours too, by their handles."""
        self.malformed = 0
        """Messages on ros_discovery_info that could not be read."""
        self._ends: dict[int, Peer] = {}
        self._gone: OrderedDict[int, Peer] = OrderedDict()
        self._nodes: dict[bytes, list[NodeEntitiesInfo]] = {}
        self._participants = BuiltinDataReader(participant, BuiltinTopicDcpsParticipant)
        self._writers = BuiltinDataReader(participant, BuiltinTopicDcpsPublication)
        self._readers = BuiltinDataReader(participant, BuiltinTopicDcpsSubscription)

    def look(self) -> None:
        """Take in what changed."""
        for change in _changes(self._participants):
            handle = change.sample_info.instance_handle
            if change.sample_info.valid_data:
                self.participants[handle] = change.key.bytes
            else:
                self._nodes.pop(self.participants.pop(handle, b""), None)
        for reader, writes in ((self._writers, True), (self._readers, False)):
            for change in _changes(reader):
                handle = change.sample_info.instance_handle
                if change.sample_info.valid_data:
                    self._ends[handle] = _peer(change, writes)
                elif (left := self._ends.pop(handle, None)) is not None:
                    self._gone[handle] = left
                    while len(self._gone) > GONE:
                        self._gone.popitem(last=False)

    def hear(self, data: bytes) -> None:
        """Take in what a participant says of its nodes on ros_discovery_info."""
        try:
            info = deserialise(ParticipantEntitiesInfo, data)
        except CdrError:
            self.malformed += 1
            return
        self._nodes[bytes(info.gid.data)] = info.node_entities_info_seq
        if len(self._nodes) > len(self.participants):
            self.look()
            known = set(self.participants.values())
            self._nodes = {gid: nodes for gid, nodes in self._nodes.items() if gid in known}

    def peer(self, handle: int) -> Peer | None:
        """The end with that handle, also one that went away not long ago; None for one that was never seen."""
        found = self._ends.get(handle) or self._gone.get(handle)
        if found is None:
            self.look()
            found = self._ends.get(handle) or self._gone.get(handle)
        return found

    def ends(self) -> list[Endpoint]:
        """All ends of ROS topics, with the nodes that they belong to as far as they told."""
        names = {
            bytes(gid.data): _name(node)
            for nodes in self._nodes.values()
            for node in nodes
            for gid in (*node.reader_gid_seq, *node.writer_gid_seq)
        }
        return [replace(peer.end, node=names.get(peer.end.gid, "")) for peer in self._ends.values() if peer.end.topic]

    def nodes(self) -> list[str]:
        """The fully qualified names of all nodes, one for each."""
        return [
            _name(node) for gid, nodes in self._nodes.items() if gid in self.participants.values() for node in nodes
        ]

    def trouble(self, topics: Iterable[str]) -> list[Diagnostic]:
        """What is wrong with the domain, and with others' ends on our topics beyond what `graph.judge` sees."""
        wanted, found = set(topics), []
        for peer in self._ends.values():
            end, does = peer.end, "publishes" if peer.end.writer else "subscribes"
            if end.topic in wanted and peer.only_xcdr2:
                text = f"{end.topic}: somebody {does} in XCDR2 alone, which ROS 2 does not speak; nothing flows"
                found.append(Diagnostic(Level.ERROR, "qos", text, topic=end.topic))
            elif end.topic in wanted and not end.type_hash:
                text = (
                    f"{end.topic}: somebody {does} without telling a type hash (bare DDS, or ROS 2 Humble), so that "
                    f"nobody can know whether it is the same {end.type_name}"
                )
                found.append(Diagnostic(Level.WARN, "type_hash", text, topic=end.topic))
        if len(self.participants) >= CROWD:
            text = (
                f"the domain is crowded: {len(self.participants)} participants, and one machine holds "
                f"{HIGHEST_INDEX + 1}; those beyond are never found. Give some another ROS_DOMAIN_ID"
            )
            found.append(Diagnostic(Level.WARN, "crowded", text))
        if self.malformed:
            text = f"{self.malformed} messages on ros_discovery_info could not be read; nodes may lack their names"
            found.append(Diagnostic(Level.WARN, "malformed", text, topic="ros_discovery_info"))
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Look no more."""
        for reader in (self._participants, self._writers, self._readers):
            reader.__del__()


class Announcement:
    """What our participant says of its nodes: owned by the bus, written after every change."""

    def __init__(self, gid: bytes) -> None:
        """Of the participant with that gid."""
        self._gid = gid
        self._nodes: list[NodeEntitiesInfo] = []

    def join(self, namespace: str, name: str) -> NodeEntitiesInfo:
        """A node without ends."""
        info = NodeEntitiesInfo(namespace, name, [], [])
        self._nodes.append(info)
        return info

    def leave(self, info: NodeEntitiesInfo) -> None:
        """A node ends."""
        self._nodes = [node for node in self._nodes if node is not info]

    def message(self) -> ParticipantEntitiesInfo:
        """As it stands."""
        return ParticipantEntitiesInfo(Gid(self._gid), self._nodes)  # pyright: ignore[reportArgumentType]: bytes do


def _changes(reader: BuiltinDataReader) -> Iterator[Any]:  # the binding's DcpsParticipant and DcpsEndpoint
    """What changed on a built-in topic."""
    while True:
        changes = reader.take(AT_ONCE)
        yield from changes
        if len(changes) < AT_ONCE:
            return


def _peer(change: Any, writes: bool) -> Peer:  # the binding's DcpsEndpoint
    """An end as discovery tells it; a type that is not ROS's keeps its own name."""
    qos = change.qos
    end = Endpoint(
        topic=demangled(change.topic_name),
        type_name=ros_type(change.type_name) or printable(change.type_name),
        type_hash=hash_in(qos),
        qos=from_dds(qos),
        writer=writes,
        node="",
        gid=change.key.bytes,
    )
    return Peer(end, only_xcdr2(qos))


def _name(node: NodeEntitiesInfo) -> str:
    """A node's fully qualified name, whatever it says of itself."""
    return printable(qualified(node.node_namespace, node.node_name))
