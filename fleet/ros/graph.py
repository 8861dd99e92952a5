"""Whether two ends of a topic can speak to each other, said in words; the same for every backend.

ROS drops what does not fit without a word, or worse, decodes another type's bytes as its own. A backend tells which
ends it knows (its own and those of others); here each pair is judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.ros.bus import Diagnostic, Level
from fleet.ros.qos import QoS, incompatible


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a topic, ours or somebody's."""

    topic: str
    """Absolute ROS name."""
    type_name: str
    """As std_msgs/msg/String; empty where unknown."""
    type_hash: str
    """RIHS01_ and 64 digits; empty where it is not told (Humble, bare DDS)."""
    qos: QoS | None
    """What it offers or asks; None where unknown."""
    writer: bool
    """Whether it publishes."""
    node: str
    """Fully qualified name of its node; empty where unknown."""
    gid: bytes
    """Its 16 bytes, by which ends are told apart."""


@dataclass(frozen=True)
class Census:
    """Who is on a domain, ourselves left out."""

    nodes: tuple[str, ...]
    """Fully qualified names, one for each node: a name that stands twice is two nodes."""
    ends: tuple[Endpoint, ...]
    """Ends of ROS topics."""
    participants: int = 0
    """Participants; 0 where the backend does not tell."""


def judge(mine: Endpoint, theirs: Endpoint) -> Diagnostic | None:
    """What keeps our end and another one of the same topic apart; None where they fit, or where both write or read.

    Two that write different types on one topic are told as well: who subscribes hears one of them at most.
    """
    if mine.topic != theirs.topic or (mine.writer == theirs.writer and not (mine.writer and _differ(mine, theirs))):
        return None
    they = theirs.node or "a node without a name"
    does = "publishes" if theirs.writer else "subscribes to"
    we = "publishes" if mine.writer else "subscribes to"
    if _differ(mine, theirs):
        text = (
            f"{they} {does} {theirs.type_name}, {mine.node} {we} {mine.type_name}; use one type, or remap one of them"
        )
        level = Level.WARN if mine.writer == theirs.writer else Level.ERROR
        return Diagnostic(level, "type", f"{mine.topic}: {text}", mine.node, mine.topic)
    if mine.type_hash and theirs.type_hash and mine.type_hash != theirs.type_hash:
        text = (
            f"{they} {does} another definition of {mine.type_name} ({theirs.type_hash[:15]}..., ours "
            f"{mine.type_hash[:15]}...), whose bytes would be misread; build both from the same message files"
        )
        return Diagnostic(Level.ERROR, "type_hash", f"{mine.topic}: {text}", mine.node, mine.topic)
    if mine.qos is None or theirs.qos is None:
        return None
    offered, requested = (theirs.qos, mine.qos) if theirs.writer else (mine.qos, theirs.qos)
    why = incompatible(offered, requested)
    if not why:
        return None
    text = f"{they} {does} it with incompatible quality of service, nothing flows: {why}"
    return Diagnostic(Level.ERROR, "qos", f"{mine.topic}: {text}", mine.node, mine.topic)


def _differ(mine: Endpoint, theirs: Endpoint) -> bool:
    """Whether the two are known to be of different types."""
    return bool(mine.type_name and theirs.type_name and mine.type_name != theirs.type_name)


def verdicts(ours: Iterable[Endpoint], others: Iterable[Endpoint]) -> list[Diagnostic]:
    """What keeps each of our ends and any other end apart; both may hold the same ends. Each thing is said once."""
    by_topic: dict[str, list[Endpoint]] = {}
    for end in others:
        by_topic.setdefault(end.topic, []).append(end)
    found = (judge(mine, theirs) for mine in ours for theirs in by_topic.get(mine.topic, ()))
    return list(dict.fromkeys(verdict for verdict in found if verdict is not None))


def duplicates(names: Iterable[str]) -> list[Diagnostic]:
    """Nodes that share one fully qualified name: two robots in one namespace, or a node started twice."""
    return [
        Diagnostic(
            Level.ERROR,
            "duplicate_node",
            f"{count} nodes are called {name}; give each robot a namespace of its own (-r __ns:=/NAME)",
            name,
        )
        for name, count in sorted(Counter(names).items())
        if count > 1
    ]
