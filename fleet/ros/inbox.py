"""A bounded inbox between a backend and whoever takes messages: bytes in, from any thread, messages out.

The receiving side only appends and wakes; the oldest makes way when the inbox is full and is counted. Decoding is left
to whoever takes a message, so that what is overwritten or skipped costs nothing, and what cannot be decoded is counted
and dropped there: it never reaches a callback and never raises.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from fleet.ros.bus import Sample
from sim.errors import MusterError

T = TypeVar("T")


class Arrivals:
    """What all inboxes of a bus share: the order of arrival, and how to wait for more.

    Backends with a thread of their own use this one, from any thread; others derive theirs.
    """

    def __init__(self) -> None:
        self._order: Iterator[int] = itertools.count(1)
        self._event = threading.Event()

    def next(self) -> int:
        """A number above all before it."""
        return next(self._order)

    def wake(self) -> None:
        """End the present or the next wait."""
        self._event.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for something to come since the last call, at most so long; what has come is in its inbox then."""
        if timeout_s > 0.0:
            self._event.wait(timeout_s)
        self._event.clear()

    def poll(self) -> None:
        """See that what has come is in its inbox: for a backend that receives in the caller's thread."""


class Inbox(Generic[T]):
    """Owns the messages that have come for one subscription and were not taken yet."""

    def __init__(self, depth: int, decode: Callable[[bytes], T], arrivals: Arrivals) -> None:
        """At most `depth` messages; `decode` raises MusterError for bytes that are no message."""
        self.lost = 0
        """Messages overwritten before they were taken."""
        self.malformed = 0
        """Arrivals that could not be decoded."""
        self.fault = ""
        """Why the last one could not."""
        self._depth = depth
        self._decode = decode
        self._arrivals = arrivals
        self._waiting: deque[tuple[int, bytes, int, bytes]] = deque()
        self._lock = threading.Lock()

    def put(self, data: bytes, received: int, publisher: bytes) -> None:
        """Add what has come: its bytes, when (ns of our monotonic clock), from which writer (gid)."""
        with self._lock:
            self._waiting.append((self._arrivals.next(), data, received, publisher))
            if len(self._waiting) > self._depth:
                self._waiting.popleft()
                self.lost += 1
        self._arrivals.wake()

    def reject(self, why: str) -> None:
        """Count an arrival that the backend itself found to be no message."""
        with self._lock:
            self.malformed += 1
            self.fault = why

    def head(self) -> int:
        """The place in the order of arrival of the oldest message; 0 for none."""
        try:
            return self._waiting[0][0]
        except IndexError:
            return 0

    def take(self) -> Sample[T] | None:
        """The oldest message that can be decoded; None for none."""
        if not self._waiting:
            self._arrivals.poll()
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                _, data, received, publisher = self._waiting.popleft()
            sample = self._opened(data, received, publisher)
            if sample is not None:
                return sample

    def newest(self) -> Sample[T] | None:
        """The newest message that can be decoded; all older ones are gone."""
        self._arrivals.poll()
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        while waiting:
            _, data, received, publisher = waiting.pop()
            sample = self._opened(data, received, publisher)
            if sample is not None:
                return sample
        return None

    def _opened(self, data: bytes, received: int, publisher: bytes) -> Sample[T] | None:
        try:
            return Sample(self._decode(data), received, publisher)
        except MusterError as error:
            self.reject(str(error))
            return None
