"""What one end has sent to one peer and the peer has not acknowledged: it is sent again for a while, then given up.

The id of a message is its sender's epoch and sequence number (see `coordination.wire`), so that a repetition is the
same bytes and the receiver's window drops what it has. Both are bounded here: messages kept, and how long for. The
protocol is level-triggered; what is older than `GIVE_UP` is no news, and its successors say more.

No transport and no clock: frames go out by whoever asks what is `due`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from coordination.messages import Heard
from coordination.wire import WINDOW

AGAIN = 0.2
"""s after which a message is sent again: a receiver that lives takes messages twice in that time (its period is 0.1 s
at most), and DDS itself repeats lost datagrams within milliseconds."""

GIVE_UP = 2.0
"""s after which a message is no news: so long a plant waits for an answer before it counts a peer as gone."""

KEPT = 256
"""Messages kept for one peer; what ZeroMQ queues (zmq_transport.QUEUE)."""

NEVER = float("-inf")
"""When a message was sent that was not."""


@dataclass(slots=True)
class Kept:
    """A message that was not acknowledged yet."""

    frame: bytes
    made: float
    """s"""
    last: float
    """When it was sent last, s; NEVER while nobody was there to hear it."""


class Outbox:
    """Owns the unacknowledged messages to one peer."""

    def __init__(self, epoch: int, counts: Counter[str]) -> None:
        """Of this end's `epoch`; what becomes of messages is counted in `counts`."""
        self.waiting: dict[int, Kept] = {}
        """By sequence number, oldest first."""
        self._epoch = epoch
        self._counts = counts

    def keep(self, sequence: int, frame: bytes, now: float, *, sent: bool) -> None:
        """Remember a message; the oldest makes way."""
        self.waiting[sequence] = Kept(frame, now, now if sent else NEVER)
        if len(self.waiting) > KEPT:
            self._forget(next(iter(self.waiting)))

    def hear(self, heard: Heard) -> None:
        """Let go of what the peer has heard, and of what is so far behind that its window takes it no more."""
        if heard.epoch != self._epoch:
            return
        seen = int.from_bytes(heard.seen, "little")
        for sequence in list(self.waiting):
            behind = heard.highest - sequence
            if behind >= WINDOW:
                self._forget(sequence)
            elif behind >= 0 and seen >> behind & 1:
                del self.waiting[sequence]
                self._counts["acknowledged"] += 1

    def due(self, now: float) -> list[bytes]:
        """Frames to send now, again or for the first time, to a peer that is there."""
        frames = []
        for kept in self.waiting.values():
            if now - kept.last >= AGAIN:
                self._counts["sent_again"] += kept.last > NEVER
                kept.last = now
                frames.append(kept.frame)
        return frames

    def expire(self, now: float) -> bool:
        """Give up what is no news any more; whether something still waits."""
        for sequence in [number for number, kept in self.waiting.items() if now - kept.made > GIVE_UP]:
            self._forget(sequence)
        return bool(self.waiting)

    def clear(self) -> None:
        """The peer has begun another life: what was meant for the former one is no news to it."""
        for sequence in list(self.waiting):
            self._forget(sequence)

    def _forget(self, sequence: int) -> None:
        del self.waiting[sequence]
        self._counts["unacknowledged"] += 1
