"""A robot's inputs as they have come: the newest of each, what was refused of it, and what is to be said about that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fleet.ros.bus import Diagnostic, Level, Node, Subscription
from fleet.ros.hearing import AHEAD, Heard, Refused, charge_of, pose_of, rate_of, scan_of, twist_of
from fleet.ros.kinds import name_of
from fleet.ros.topics import BATTERY, BUMPER, IMU, LIFT, ODOM, POSE, SCAN, Frames, Topic
from sim.robot import MILLISECOND, SECOND, RobotSpec

T = TypeVar("T")

TOLD = 5 * SECOND
"""ns for which a refusal is told: REP 107's diagnostics come once a second."""
OLD = {"imu": SECOND, "battery_state": 10 * SECOND}
"""Age from which inputs without a bound in the specification are told as stale, ns: drivers send at 50 and at 1 Hz."""


@dataclass
class Sense:
    """One input."""

    topic: str
    needed: bool
    """Whether the robot cannot drive without it"""
    newest: Heard[Any] | None = None  # each input's own kind of value
    came: int = 0
    """Messages that were taken"""
    refused: str = ""
    """Why the last one was not"""
    when: int = 0
    """When that was, ns of the node's time"""
    behind: int = 0
    """How far the last one's stamp was before the newest one's, ns; 0 where it was the newest itself"""


class Senses:
    """Owns a robot's subscriptions and the newest value of each."""

    def __init__(self, node: Node, spec: RobotSpec, frames: Frames, ahead: int = AHEAD) -> None:
        """In the node's namespace; stamps may be so far `ahead` of the node's time, ns. Raises MusterError."""
        self._ahead = ahead
        self.counts: Counter[str] = Counter()
        """Messages by what became of them"""
        self.lift = -1.0
        self._pressed = self._touched = False
        self.by = {
            topic.name: Sense(topic.name, needed)
            for topic, needed in ((SCAN, True), (ODOM, True), (POSE, True), (BATTERY, False), (IMU, False))
        }
        """By topic, as the code calls it"""
        self._bound = round(spec.sensor_age_bound * SECOND)
        self._node, self._felt = node, 0
        self._ends: list[Subscription[Any]] = []  # of several kinds
        self._listen(SCAN, lambda message, latest: scan_of(message, spec.lidar, frames, latest))
        self._listen(ODOM, lambda message, latest: twist_of(message, frames, latest))
        self._listen(POSE, lambda message, latest: pose_of(message, frames, latest))
        self._listen(BATTERY, charge_of)
        self._listen(IMU, rate_of)
        self._ends.append(BUMPER.subscription(node, callback=lambda message: self._touch(message.data)))
        self._ends.append(LIFT.subscription(node, callback=lambda message: setattr(self, "lift", message.data)))

    @property
    def topics(self) -> set[str]:
        """Absolute names of the topics that are needed."""
        return {end.topic for end, sense in zip(self._ends, self.by.values(), strict=False) if sense.needed}

    @property
    def kinds(self) -> dict[str, str]:
        """Names of the types of the topics on which one alone may speak: what is needed, and the bumper."""
        said = dict(zip((SCAN, ODOM, POSE, BATTERY, IMU, BUMPER), self._ends, strict=False))
        return {said[topic].topic: name_of(topic.kind) for topic in (SCAN, ODOM, POSE, BUMPER)}

    @property
    def complete(self) -> bool:
        """Whether everything that is needed has come at least once."""
        return all(sense.newest is not None for sense in self.by.values() if sense.needed)

    def newest(self, topic: Topic[Any]) -> Heard[Any]:  # each input's own kind of value
        """The newest value of an input that has come."""
        found = self.by[topic.name].newest
        assert found is not None
        return found

    def stamps(self) -> dict[str, int]:
        """When each input that has come was measured last, ns."""
        return {name: sense.newest.stamp for name, sense in self.by.items() if sense.newest is not None}

    def forget(self) -> None:
        """Begin anew: another life of whoever keeps the time."""
        for sense in self.by.values():
            sense.newest, sense.refused = None, ""

    def found(self, now: int) -> list[Diagnostic]:
        """What is wrong with the inputs, by their topics."""
        out = []
        for end, sense in zip(self._ends, self.by.values(), strict=False):
            level = Level.ERROR if sense.needed else Level.WARN
            for text in self._complaints(sense, now):
                out.append(Diagnostic(level, "input", text, self._node.fully_qualified, end.topic))
        if not self._felt:
            text = "bumper: nothing has come; expected std_msgs/msg/Bool, the robot feels nothing"
            out.append(Diagnostic(Level.WARN, "input", text, self._node.fully_qualified))
        return out

    def values(self, now: int) -> Mapping[str, object]:
        """Ages in s and counts, for whoever looks at the diagnostics."""
        ages = {f"{name} age": f"{(now - stamp) / SECOND:.3f}" for name, stamp in self.stamps().items()}
        return {**ages, **self.counts}

    def close(self) -> None:
        """Listen no more."""
        for end in self._ends:
            end.close()

    def _listen(self, topic: Topic[T], read: Callable[[T, int], Heard[Any] | Refused]) -> None:
        sense = self.by[topic.name]

        def came(message: T) -> None:
            now = self._node.clock.now()
            heard = read(message, now + self._ahead)
            if isinstance(heard, Refused):
                self.counts[f"{topic.name}_{heard.kind}"] += 1
                sense.refused, sense.when = heard.text, now
            elif sense.newest is not None and heard.stamp < sense.newest.stamp:
                self.counts[f"{topic.name}_older"] += 1
                sense.behind = sense.newest.stamp - heard.stamp
            else:
                sense.behind = 0
                self.counts["received"] += sense.newest is None or heard.stamp > sense.newest.stamp
                sense.newest = heard
                sense.came += 1

        self._ends.append(topic.subscription(self._node, callback=came))

    def felt(self) -> bool:
        """Whether the bumper is pressed, or was since the last call: a touch shorter than a cycle is one too."""
        felt, self._touched = self._pressed or self._touched, False
        return felt

    def _touch(self, pressed: bool) -> None:
        self._pressed = pressed
        self._touched |= pressed
        self._felt += 1

    def _complaints(self, sense: Sense, now: int) -> list[str]:
        if sense.refused and now - sense.when < TOLD:
            return [sense.refused]
        if sense.newest is None:
            return [f"{sense.topic}: nothing has come"]
        age = now - sense.newest.stamp
        if age > OLD.get(sense.topic, self._bound + 100 * MILLISECOND):
            text = f"{sense.topic}: the newest message is {age / SECOND:.3f} s old; the robot does not drive by it"
            back = f"; what comes is stamped {sense.behind / SECOND:.3f} s before it: expected stamps that rise"
            return [text + back if sense.behind else text]
        return [sense.newest.doubt] if sense.newest.doubt else []
