"""Who is on the domain, and what of it would be silence in ROS.

Other types, hashes and qualities of service, names that stand twice, two that drive one robot: ROS drops what does not
fit without a word, so each pair of ends of a topic is judged here, whoever they belong to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.checkup.finding import Finding, Section
from fleet.ros.ddsdomain import CROWD, HIGHEST_INDEX
from fleet.ros.graph import Census, Endpoint, duplicates, verdicts
from fleet.ros.kinds import KindError, find
from fleet.ros.typehash import hash_of

SECTION = Section("peers")

MOST = 8
"""Findings of one sort that are told; the rest is counted."""
ONE_WRITER = ("cmd_vel", "ackermann_cmd", "odom", "imu", "battery_state")
"""Topics of a robot that one node alone publishes: with two, two robots share a namespace, or two drive one robot."""
NAMELESS = "a node without a name"
REMEDIES = {
    "names": ("names of their own", "give each robot a namespace of its own (-r __ns:=/NAME), start no node twice"),
    "publishers": (
        "one of each",
        "two robots share a namespace, or two nodes drive one robot: give each robot a namespace of its own "
        "(-r __ns:=/NAME), and let one node alone command it",
    ),
    "type": ("one type on both sides", "change one side, or remap it to another topic"),
    "type_hash": ("one definition on both sides", "build both from the same message files"),
    "definition": ("muster's definition", "build it from unchanged message packages, of Iron or later"),
    "qos": ("an offer that meets the request", "let the publisher offer more, or the subscriber ask for less"),
    "transport": ("a transport without trouble", "do what it says"),
    "crowd": (
        f"fewer than {CROWD}: {HIGHEST_INDEX + 1} of one machine find each other, no more",
        "give some another ROS_DOMAIN_ID, or end those that are left over",
    ),
}
"""By sort of fault: what is expected, and what to do."""
TROUBLE = ("exposed", "transport", "rclpy", "malformed")
"""Diagnostics of a bus about the transport itself; what is between nodes is judged here."""


@dataclass(frozen=True)
class Heard:
    """What came over a bus."""

    bus: str
    """dds or rclpy"""
    seconds: float
    """How long was listened"""
    census: Census
    trouble: tuple[str, ...] = ()
    """What the bus says of its own transport"""


def listen(bus: str, domain: int | None, seconds: float) -> Heard:
    """Open a bus, listen, and leave. Raises MusterError."""
    from fleet.ros.bus import open_bus

    opened = open_bus(bus, domain=domain)
    try:
        opened.node(f"_muster_doctor_{os.getpid()}")  # rclpy tells the graph to a node alone; ros2 hides such names
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            opened.spin(min(left, 0.2))
        trouble = [each.text for each in opened.diagnostics() if each.name in TROUBLE]
        return Heard(bus, seconds, opened.census(), tuple(dict.fromkeys(trouble)))
    finally:
        opened.close()


def check(heard: Heard, expected: Sequence[str] = ()) -> list[Finding]:
    """Judge who is there; `expected` are robots, each of which has nodes or topics in its namespace."""
    nodes, ends = heard.census.nodes, heard.census.ends
    findings = [_present(heard)]
    places = [*nodes, *(end.topic for end in ends)]  # a plant's robots have topics, and no node of their own
    missing = [name for name in expected if not any(place.startswith(f"/{name}/") for place in places)]
    if expected:
        findings.append(
            SECTION.judged(
                not missing, "robots", f"nobody of {', '.join(missing)}" if missing else ", ".join(expected),
                f"a node or topics in the namespace of each within {heard.seconds:g} s",
                "look whether it runs, and whether its ROS_DOMAIN_ID and discovery range are the same as here",
            )
        )  # fmt: skip
    writers, readers = [end for end in ends if end.writer], [end for end in ends if not end.writer]
    faults = [("names", each.text) for each in duplicates(nodes)]
    faults += [("publishers", text) for text in _shared(writers)]
    faults += [(each.name, each.text) for each in verdicts(readers, writers)]
    faults += [("definition", text) for text in _foreign(ends)]
    faults += [("transport", text) for text in heard.trouble]
    if heard.census.participants + 1 >= CROWD:
        faults.append(("crowd", f"{heard.census.participants + 1} processes on this domain"))
    for kind in dict.fromkeys(kind for kind, _ in faults):
        texts = [text for each, text in faults if each == kind]
        wanted, remedy = REMEDIES[kind]
        findings += [SECTION.mend(kind, text, wanted, remedy) for text in texts[:MOST]]
        if len(texts) > MOST:
            findings.append(SECTION.mend(kind, f"{len(texts) - MOST} more", wanted, "mend those first"))
    return findings


def _present(heard: Heard) -> Finding:
    """Who is there."""
    names = sorted(set(heard.census.nodes))
    if not names:
        return SECTION.note(
            "nodes", f"nobody within {heard.seconds:g} s", "robots, a plant or other nodes where some should be",
            "look at ROS_DOMAIN_ID and the discovery range of both sides; LOCALHOST and SUBNET never meet",
        )  # fmt: skip
    listed = ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
    return SECTION.ok("nodes", f"{len(heard.census.nodes)} with {len(heard.census.ends)} ends of topics: {listed}")


def _shared(writers: Sequence[Endpoint]) -> list[str]:
    """Topics with one voice too many."""
    by_topic: dict[str, list[Endpoint]] = {}
    for end in writers:
        if end.topic.rpartition("/")[2] in ONE_WRITER:
            by_topic.setdefault(end.topic, []).append(end)
    found = []
    for topic, ends in sorted(by_topic.items()):
        if len(ends) > 1:
            who = ", ".join(sorted({end.node or NAMELESS for end in ends}))
            types = sorted({end.type_name for end in ends})
            also = f" as {' and '.join(types)}" if len(types) > 1 else ""
            found.append(f"{len(ends)} publish {topic}{also}: {who}")
    return found


def _foreign(ends: Sequence[Endpoint]) -> list[str]:
    """Ends whose definition of a message is not ours."""
    found = []
    for end in ends:
        try:
            ours = hash_of(find(end.type_name)) if end.type_hash else ""
        except KindError:
            continue  # no message that muster uses
        if ours and end.type_hash != ours:
            found.append(
                f"{end.topic}: {end.node or NAMELESS} has another {end.type_name} ({end.type_hash[:15]}..., "
                f"ours {ours[:15]}...)"
            )
    return list(dict.fromkeys(found))
