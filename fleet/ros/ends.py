"""The ends of a topic on every backend: messages on one side, a backend's bytes on the other.

A backend gives a `Writer` of bytes and a `Reader` that fills an inbox; what is written once stands here: which class a
publisher takes, who serialises, what becomes of an end that is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from fleet.ros.bus import BusError, Sample
from fleet.ros.cdr import serialise
from fleet.ros.inbox import Inbox
from fleet.ros.kinds import name_of

T = TypeVar("T")


class Writer(Protocol):
    """A backend's sending end."""

    @property
    def matched(self) -> int:
        """Readers that hear it."""
        ...

    def send(self, data: bytes) -> None:
        """Send a serialised message; never waits for a reader."""
        ...

    def close(self) -> None:
        """End it; called once."""
        ...


class Reader(Protocol):
    """A backend's receiving end, which puts what comes into the inbox that it was made with."""

    @property
    def matched(self) -> int:
        """Writers that it hears."""
        ...

    def close(self) -> None:
        """End it; called once."""
        ...


class NodePublisher(Generic[T]):
    """See `bus.Publisher`."""

    def __init__(self, kind: type[T], topic: str, writer: Writer, closed: Callable[[NodePublisher], None]) -> None:
        """On an absolute topic; `closed` hears of its end. Made by `BaseNode.publisher`."""
        self.topic = topic
        self._kind, self._writer, self._closed = kind, writer, closed
        self._open = True

    @property
    def matched(self) -> int:
        """See `bus.Publisher.matched`."""
        return self._writer.matched if self._open else 0

    def publish(self, message: T) -> None:
        """See `bus.Publisher.publish`."""
        if not self._open:
            raise BusError(f"{self.topic}: this publisher is closed")
        if type(message) is not self._kind:
            came = type(message).__name__
            raise BusError(f"{self.topic}: expected {name_of(self._kind)}, came an object of class {came}")
        self._writer.send(serialise(message))

    def close(self) -> None:
        """See `bus.Publisher.close`."""
        if self._open:
            self._open = False
            self._closed(self)
            self._writer.close()


class NodeSubscription(Generic[T]):
    """See `bus.Subscription`."""

    def __init__(
        self,
        topic: str,
        callback: Callable[[T], None] | None,
        inbox: Inbox[T],
        reader: Reader,
        closed: Callable[[NodeSubscription], None],
    ) -> None:
        """To an absolute topic; `closed` hears of its end. Made by `BaseNode.subscription`."""
        self.topic = topic
        self.callback = callback
        self.inbox = inbox
        self._reader, self._closed = reader, closed
        self._open = True

    @property
    def matched(self) -> int:
        """See `bus.Subscription.matched`."""
        return self._reader.matched if self._open else 0

    @property
    def lost(self) -> int:
        """See `bus.Subscription.lost`."""
        return self.inbox.lost

    @property
    def malformed(self) -> int:
        """See `bus.Subscription.malformed`."""
        return self.inbox.malformed

    def take(self) -> Sample[T] | None:
        """See `bus.Subscription.take`."""
        return self.inbox.take() if self._open else None

    def newest(self) -> Sample[T] | None:
        """See `bus.Subscription.newest`."""
        return self.inbox.newest() if self._open else None

    def due(self) -> int:
        """The place in the order of arrival of what its callback waits for; 0 for none."""
        return self.inbox.head() if self._open and self.callback is not None else 0

    def hand_over(self) -> bool:
        """Run the callback with the oldest message; whether there was one."""
        sample = self.inbox.take()
        if sample is None or self.callback is None:
            return False
        self.callback(sample.message)
        return True

    def close(self) -> None:
        """See `bus.Subscription.close`."""
        if self._open:
            self._open = False
            self._closed(self)
            self._reader.close()
