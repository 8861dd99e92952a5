"""Reports by another clock than the site's: counted, said once for each robot, and dropped where they would do harm.

A report that is stamped ahead of the site's time would make old news of all that its robot reports until that time has
come. One that is older than what was heard of its robot before, by more than a lost message that comes again, is no
news: it is answered as any old report is.
"""

from __future__ import annotations

import sys
from collections import Counter

from coordination.wire import Received
from sim.robot import SECOND

AHEAD = SECOND
"""In wall mode a report that is stamped later than the site's time by more is dropped, ns: clocks of one fleet that are
kept together at all differ by milliseconds."""

BEHIND = 2 * SECOND
"""A report that is older than the one heard before by more, ns: so long a lost one is sent again (ros/outbox.py)."""

TOLD = 100
"""Different robots that are said in the log; the rest is counted alone."""


class Timely:
    """Owns what was said of whose clock."""

    def __init__(self, counts: Counter[str]) -> None:
        """Counts `report_ahead` and `report_behind`."""
        self._counts = counts
        self._told: set[str] = set()

    def drops(self, message: Received, handled: int, now: int | None) -> bool:
        """Whether a report is dropped. `handled` is the stamp of the newest of its robot that a tick has seen.

        `now` is the site's time, None where a plant's rounds and no clock say what time it is.
        """
        stamp, sender = message.body.stamp, message.sender
        if now is not None and stamp - now > AHEAD:
            self._counts["report_ahead"] += 1
            self._say(f"dropped reports of {sender}: they are stamped ahead of the site's time", stamp - now)
            return True
        if handled - stamp > BEHIND:
            self._counts["report_behind"] += 1
            self._say(f"reports of {sender} say nothing new: older ones than it has sent before", handled - stamp)
        return False

    def _say(self, fault: str, apart: int) -> None:
        if fault not in self._told and len(self._told) < TOLD:
            self._told.add(fault)
            remedy = "expected one clock for all; synchronise its computer, and it is heard again"
            print(f"{fault}, by {apart / SECOND:.1f} s; {remedy}", file=sys.stderr, flush=True)
