"""Others who say what only one may say: a second lidar driver, localisation or clock, a second hand on a base.

ROS joins any number of publishers on one topic and tells nobody. A robot that hears two scans in turn drives by a room
that is not there, and a base that is told by two obeys each in turn, the unguarded one too. So whoever drives by a
topic, or commands by one, asks who else is on it. A publisher that was killed stays known until its lease ends (10 s
for Cyclone DDS): its successor is its rival until then.

Pure: what is known of the domain comes as the bus tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.ros.bus import Diagnostic, Level
from fleet.ros.graph import Endpoint

RIVALS = "rivals"
"""The diagnostic's name."""


def rivals(others: Iterable[Endpoint], heard: Mapping[str, str], commanded: str, node: str) -> list[Diagnostic]:
    """What is wrong with who publishes, on absolute topics.

    `others` are the ends of everybody else; `heard` are the topics that `node` hears and the names of their types, each
    for one sender; `commanded` is the topic that it commands a base by, empty where it does not.
    """
    senders: dict[str, list[str]] = {}
    for end in others:
        if end.writer and heard.get(end.topic) in (None, end.type_name):
            senders.setdefault(end.topic, []).append(end.node or "a node without a name")
    found = []
    for topic in sorted(heard):
        there = sorted(senders.get(topic, ()))
        if len(there) > 1:
            text = f"{topic}: expected one publisher, {' and '.join(there)} are there; end or remap all but one"
            found.append(Diagnostic(Level.ERROR, RIVALS, text, node, topic))
    there = sorted(senders.get(commanded, ()))
    if commanded and there:
        text = (
            f"{commanded}: expected this robot alone to command its base, {' and '.join(there)} can do so too, past "
            "its shield; end or remap what is not to drive, or run this robot in shadow"
        )
        found.append(Diagnostic(Level.ERROR, RIVALS, text, node, commanded))
    return found


def intruders(others: Iterable[Endpoint], said: Iterable[str], node: str) -> list[Diagnostic]:
    """Who else publishes what `node` alone is to say, as a simulator its clock and its robots' sensors."""
    said = set(said)
    return [
        Diagnostic(
            Level.WARN,
            RIVALS,
            f"{end.topic}: expected no other publisher, {end.node or 'a node without a name'} is there too; give it "
            "another namespace or another ROS_DOMAIN_ID",
            node,
            end.topic,
        )
        for end in others
        if end.writer and end.topic in said
    ]
