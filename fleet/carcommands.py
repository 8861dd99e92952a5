"""What a car's plant makes of the commands that come for it: the newest sound one, and words for all others.

A command is judged before it moves anything: what is no number, is of another frame, or was stamped in the future or
too long ago, is refused, counted and told (as `fleet/ros/plantbase.py` does for a robot on a floor). Its age is that of
its arrival here, by our own clock; its stamp only says which step it answers, and none (zero) means the present one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fleet.ros.bus import Diagnostic, Level, Sample, Subscription
from fleet.ros.carmessages import CarMessageError, Frames, read_command
from fleet.ros.messages.ackermann_msgs import AckermannDriveStamped
from fleet.ros.plantbase import AHEAD, BEHIND
from fleet.ros.rivals import RIVALS
from sim.errors import shown
from sim.robot import SECOND

DEAD_MAN = SECOND // 5
"""ns of our own clock after which a command does not count any more."""

TOLD = 5 * SECOND
"""ns of our own clock for which a refusal is told on /diagnostics, where messages come once a second."""


@dataclass(frozen=True)
class Command:
    """A sound command."""

    stamp: int
    """ns of the site's time; 0 for none"""
    acceleration: float
    """m/s^2"""
    angle: float
    """Of the virtual front wheel, rad"""
    received: int
    """ns of our monotonic clock"""


class Commands:
    """Owns the newest sound command of a car, and what was wrong with others."""

    def __init__(self, end: Subscription[AckermannDriveStamped], frames: Frames, *, lockstep: bool) -> None:
        """In lockstep an old command is none of the present step, and no fault."""
        self.newest: Command | None = None
        self.counts: Counter[str] = Counter()
        """By what became of them"""
        self._end, self._frames, self._lockstep = end, frames, lockstep
        self._said = (-TOLD, "")

    @property
    def matched(self) -> int:
        """Who may command."""
        return self._end.matched

    def hear(self, now: int, wall: int) -> None:
        """Take what has come; `now` is the site's time, ns, `wall` our own clock, ns."""
        while (sample := self._end.take()) is not None:
            found = self._judged(sample, now)
            if isinstance(found, Command):
                self.counts["taken"] += 1
                self.newest = found
            else:
                self.counts["refused"] += 1
                self._said = (wall, found)

    def found(self, wall: int) -> list[Diagnostic]:
        """What is wrong with the commands that came lately, and with who gives them."""
        topic, found = self._end.topic, []
        when, text = self._said
        if wall - when < TOLD:
            found.append(Diagnostic(Level.WARN, "command", text, topic=topic))
        if not self._lockstep and self.newest is not None and self.matched and wall - self.newest.received > DEAD_MAN:
            since = (wall - self.newest.received) / SECOND
            text = f"{topic}: no sound command for {since:.1f} s, though there is a publisher; the car brakes"
            found.append(Diagnostic(Level.WARN, "command", text, topic=topic))
        if self.matched > 1:
            text = f"{topic}: expected one publisher, {self.matched} are there; the car obeys each in turn"
            found.append(Diagnostic(Level.WARN, RIVALS, text, topic=topic))
        return found

    def _judged(self, sample: Sample[AckermannDriveStamped], now: int) -> Command | str:
        """The command, or why it is not obeyed."""
        frame, topic = sample.message.header.frame_id, self._end.topic
        try:
            stamp, acceleration, angle = read_command(sample.message)
        except CarMessageError as error:
            return f"{error}; it is not obeyed"
        if frame not in ("", "base_link", self._frames.base):
            return f"{topic}: expected a command in {self._frames.base}, came one in {shown(frame)}; it is not obeyed"
        if stamp > now + AHEAD:
            return (
                f"{topic}: a command is stamped {(stamp - now) / SECOND:.3f} s in the future and not obeyed; run its "
                "sender with use_sim_time, by this plant's /clock"
            )
        if stamp and not self._lockstep and stamp < now - BEHIND:
            return f"{topic}: a command is stamped {(now - stamp) / SECOND:.3f} s ago and not obeyed"
        return Command(stamp, acceleration, angle, sample.received)
