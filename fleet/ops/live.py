"""The newest view of a fleet, as bytes that all browsers share, and the alarms that were kept over looks.

One thread looks (`watch`), one serves (`server`): `Live` stands between them. A view is encoded once, however many
browsers watch; each is sent the newest when it is ready for one, so a slow one misses views and holds nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import msgspec

from fleet.ops import alarms
from fleet.ops.alarms import Alarm, Memory
from fleet.ops.seen import Seen


class AlarmLine(msgspec.Struct, frozen=True):
    """An alarm as browsers get it."""

    key: str
    level: str
    text: str
    remedy: str
    since: float
    """How long ago it began, s"""
    over: float
    """How long ago it ended, s; -1 while it stands"""
    acknowledged: str


class View(msgspec.Struct, frozen=True):
    """All that a browser is told, again and again."""

    number: int
    seen: Seen
    alarms: tuple[AlarmLine, ...]
    over: tuple[AlarmLine, ...]


class Live:
    """Owns the alarms and the newest view; safe in any thread. `clock` gives s."""

    def __init__(self, clock: Callable[[], float], acknowledged: Mapping[str, str] | None = None) -> None:
        """No look yet; `acknowledged`: alarms that were known, and to whom, when the page ended."""
        self._clock = clock
        self._told: Callable[[], None] = lambda: None
        self.ended: Callable[[str], None] = lambda key: None
        """Called with the key of each acknowledged alarm that is over"""
        self._lock = threading.Lock()
        self._memory = Memory(recalled=acknowledged or {}, recalls=clock() + alarms.RECALLS)
        self._seen = Seen(answered=False, error="nothing was asked yet")
        self._number = 0
        self.newest = (0, b"{}")
        """Number and JSON of the newest view."""

    def tell(self, told: Callable[[], None]) -> None:
        """From now on `told` is called after every new view, in the thread that made it."""
        self._told = told

    def show(self, seen: Seen) -> None:
        """Take a look in."""
        with self._lock:
            wrong, before = alarms.conditions(seen), self._memory
            self._memory = alarms.step(self._memory, wrong, self._clock(), blind=alarms.blind(seen))
            self._seen = seen
            over = [alarm for alarm in self._memory.over if alarm.acknowledged and alarm not in before.over]
            self._publish()
        for alarm in over:
            self.ended(alarm.key)
        self._told()

    def acknowledge(self, key: str, by: str) -> bool:
        """Quiet an alarm; False where none of that key stands unacknowledged."""
        with self._lock:
            before, self._memory = self._memory, alarms.acknowledge(self._memory, key, by)
            if self._memory is before:
                return False
            self._publish()
        self._told()
        return True

    def _publish(self) -> None:
        now = self._clock()
        self._number += 1
        view = View(
            self._number,
            self._seen,
            tuple(_line(alarm, now) for alarm in self._memory.standing.values()),
            tuple(_line(alarm, now) for alarm in self._memory.over),
        )
        self.newest = (self._number, msgspec.json.encode(view))


def _line(alarm: Alarm, now: float) -> AlarmLine:
    return AlarmLine(
        alarm.key,
        alarm.level.name.lower(),
        alarm.text,
        alarm.remedy,
        now - alarm.begun,
        now - alarm.over if alarm.over >= 0.0 else -1.0,
        alarm.acknowledged,
    )
