"""What a process of robots behind a bus says on its console: what /diagnostics tells, for whoever has nobody to ask it.

A robot that hears nothing looks, on a console, like one that has nothing to do. So what keeps it from driving is said
once when it has stood for `LOOKS` looks (drivers that start beside the robot are not spoken of), and that it is over
once it has been gone as long. What is wrong with the ROS arguments is said at the start: ROS 2 passes over a remapping
of no topic without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.ros.arguments import RosArguments
from fleet.ros.bus import Diagnostic, Level
from fleet.ros.names import RosNameError, expand
from fleet.ros.topics import (
    BATTERY,
    BUMPER,
    COMMAND,
    IMU,
    LIFT,
    LIFT_COMMAND,
    ODOM,
    PATH,
    POSE,
    SCAN,
    SHIELD,
    STATE,
)  # fmt: skip
from sim.errors import nearest, printable

LOOKS = 5
"""Looks, one a second, after which a complaint is said, or that it is over: drivers and localisation take some s."""
TOPICS = tuple(
    topic.name for topic in (SCAN, ODOM, POSE, IMU, BATTERY, BUMPER, LIFT, LIFT_COMMAND, COMMAND, STATE, PATH, SHIELD)
)
"""A robot's own, relative to its namespace."""


class Spoken:
    """Owns what has been said of one robot."""

    def __init__(self, robot: str) -> None:
        """By its name."""
        self._robot = robot
        self._stood: dict[str, int] = {}
        """By complaint: for how many looks in a row it has stood"""
        self._gone: dict[str, int] = {}
        """By complaint that was said: for how many looks in a row it has been gone"""

    def lines(self, complaints: Mapping[str, str]) -> list[str]:
        """What is to be said after one more look; `complaints` by what each is of, as a topic."""
        said = []
        self._stood = {of: self._stood.get(of, 0) + 1 for of in complaints}
        for of, text in complaints.items():
            if self._stood[of] >= LOOKS and of not in self._gone:
                said.append(printable(f"{self._robot}: {text}"))
                self._gone[of] = 0
        for of in list(self._gone):
            self._gone[of] = 0 if of in complaints else self._gone[of] + 1
            if self._gone[of] >= LOOKS:
                del self._gone[of]
                said.append(printable(f"{self._robot}: {of} is well again"))
        return said


def complaints_of(blocked: str, clock: bool, coordinator: bool, inputs: Iterable[Diagnostic]) -> dict[str, str]:
    """What keeps a robot from driving, by what it is of.

    `blocked` says why it may not act, `clock` whether somebody keeps its time, `coordinator` whether one has spoken;
    of `inputs` those count that it cannot do without.
    """
    found = {one.topic: one.text for one in inputs if one.level >= Level.ERROR}
    if blocked:
        found["the bus"] = f"it stands: {blocked}"
    if not clock:
        found["/clock"] = "it stands: use_sim_time is on, and nobody publishes /clock"
    if not coordinator:
        found["the coordinator"] = (
            "it stands: no coordinator has spoken yet (muster coordinate; its key, site and clock?)"
        )
    return found


def misspelt(ros: RosArguments, node: str, namespace: str) -> list[str]:
    """A line for each remapping and parameter that can only be a slip: it is of nothing that the robot has.

    Absolute and private names are left alone; they may be anybody's.
    """
    known = {expand(topic, node, namespace) for topic in TOPICS}
    found = []
    for rule in ros.remaps:
        if rule.match in ("__node", "__ns") or rule.node not in ("", node) or rule.match[:1] in "/~{":
            continue
        try:
            meant = expand(rule.match, node, namespace)
        except RosNameError:
            continue  # fits nothing, as the one that resolves says
        if meant not in known:
            found.append(
                f"-r {rule.match}:={rule.replacement}: a robot has no topic {rule.match}{nearest(rule.match, TOPICS)}"
            )
    return found
