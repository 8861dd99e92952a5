"""The coordination's wire over a bus: the same signed messages as over ZeroMQ, as topics with acknowledgements.

    <space>/requests         what clients say to the server
    <space>/replies/<peer>   what the server says to one client that has proven its name
    <space>/strangers        answers to those who have no key: whoever asked knows its request's id

`space` is the server's absolute ROS name, `/coordinator` unless it is told otherwise. Every message is a
std_msgs/msg/UInt8MultiArray, which every ROS 2 has and for which nothing needs to be built; its data is the signed
frame of `coordination.wire`, whose epoch and sequence number are the message's id.

A topic loses what is said before its two ends have found each other, and a queue that overflows. So an end answers
what it has taken with `heard/1`, signed like the rest, and sends again what was not acknowledged (see `outbox`); the
replay window of the wire drops what comes twice. An acknowledgement says "it has come" and no more. Without keys
nothing is proven, so nothing is acknowledged or repeated.

Nothing that comes makes an end publish on a topic that it did not have, unless it is signed. No services: they do not
reach every vendor from the embedded bus. What is unacknowledged when an end closes is gone.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from coordination.keys import Keys
from coordination.messages import MAX_MESSAGE, Heard
from coordination.transport import TransportError
from coordination.wire import Received, Wire
from fleet.ros.bus import Bus, BusError, Node, Publisher
from fleet.ros.messages.std_msgs import UInt8MultiArray
from fleet.ros.outbox import Outbox
from fleet.ros.qos import QoS

QUEUED = QoS(depth=256)
"""Reliable, volatile: who comes late is told what is, by the protocol, and not what was. ZeroMQ's queue."""

BATCH = 1024
"""Messages that one call takes at most, so that a flood cannot keep the caller in it."""

LINKS = 1024
"""Clients that a server keeps a topic for; the one that was silent longest makes way (a start makes a watchdog)."""

HELLO = 0.05
"""s between a client's first words, until the server has heard one."""

SLICE = 0.02
"""s of one wait while something may have to be sent again."""

STRANGER = "?"
"""Before the claimed name of a peer without a key."""

SCHEME = "ros"
"""An address on the bus: `ros`, or `ros:/space`."""


def space_of(address: str, server: str) -> str:
    """The space of `server` that an address such as `ros` or `ros:/hall2/coordinator` names; raises TransportError."""
    scheme, _, space = address.partition(":")
    if scheme != SCHEME or (":" in address and not space.startswith("/")):
        raise TransportError(f'expected {SCHEME} or {SCHEME}:/SPACE, got "{address}"; SPACE is the node of {server}')
    return space or f"/{server}"


class _End:
    """What both ends do alike: takes frames from one topic, and puts frames out on others."""

    def __init__(self, bus: Bus, node: Node, wire: Wire, topic: str, now: Callable[[], float]) -> None:
        self.wire = wire
        self._now = now
        self._bus = bus
        self._ends: list[Publisher[UInt8MultiArray]] = []
        self._subscription = node.subscription(UInt8MultiArray, topic, qos=QUEUED)
        self._came: deque[Received] = deque()
        self._open = True

    @property
    def counts(self) -> Counter[str]:
        """Messages by what became of them; also acknowledged, sent_again and unacknowledged ones."""
        return self.wire.counts

    def receive(self, timeout: float) -> list[Received]:
        """See `Transport.receive`. Waiting spins the bus: callbacks of the process's other subscriptions run here."""
        deadline = time.monotonic() + timeout
        while True:
            if self.gather():
                messages = list(self._came)
                self._came.clear()
                return messages
            left = deadline - time.monotonic()
            if left <= 0 or not self._open:
                return []
            self._bus.spin(min(left, SLICE) if self._restless() else left)

    def gather(self) -> bool:
        """Take what has come, acknowledge it, send again what is due; whether messages wait to be received."""
        if not self._open:
            return False
        answer: dict[str, None] = {}
        for _ in range(BATCH):
            if len(self._came) >= BATCH or (sample := self._subscription.take()) is None:
                break
            data = sample.message.data
            # What is too long is told to the wire as such, without a copy of it.
            frame = data.tobytes() if len(data) <= MAX_MESSAGE else _TOO_LONG
            message = self.wire.decode(frame)
            if message is not None:
                self._take(message, answer)
        answer |= dict.fromkeys(self.wire.repeated)
        self.wire.repeated.clear()
        for peer in answer:
            self._acknowledge(peer)
        self._repeat(self._now())
        return bool(self._came)

    def close(self) -> None:
        """See `Transport.close`. Bus and node are the caller's."""
        if self._open:
            self._open = False
            self._subscription.close()
            for end in self._ends:
                end.close()

    def _put(self, publisher: Publisher[UInt8MultiArray], frame: bytes) -> bool:
        message = UInt8MultiArray()
        message.data = frame  # pyright: ignore[reportAttributeAccessIssue]: bytes do
        try:
            publisher.publish(message)
        except BusError:  # the backend's trouble, such as a full buffer: the message may come through later
            return False
        return True

    def _take(self, message: Received, answer: dict[str, None]) -> None:
        """Hand a message over, or act on it; whom to tell what has come goes into `answer`."""
        raise NotImplementedError

    def _acknowledge(self, peer: str) -> None:
        """Tell a peer what of it has come."""
        raise NotImplementedError

    def _repeat(self, now: float) -> None:
        """Send what is due."""
        raise NotImplementedError

    def _restless(self) -> bool:
        """Whether something may have to be sent without anything coming."""
        raise NotImplementedError


@dataclass
class _Link:
    """The server's way to one client."""

    publisher: Publisher[UInt8MultiArray]
    outbox: Outbox
    epoch: int = -1
    """Of the client's process that was heard last."""
    stood: bool = field(default=False)
    """That process has been seen to listen."""


class BusServer(_End):
    """A server's end: owns its topics, and who is at them."""

    def __init__(
        self,
        bus: Bus,
        node: Node,
        name: str,
        keys: Keys | None,
        space: str = "",
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """On an open node of `bus`; `space` may be `~` for the node's own name. Raises MusterError."""
        self.space = space or f"/{name}"
        super().__init__(bus, node, Wire(name, keys, server=True), f"{self.space}/requests", now)
        self.address = f"{bus.kind} {self._subscription.topic.removesuffix('/requests')}"
        """For people: the backend and the space."""
        self._node = node
        self._strangers = node.publisher(UInt8MultiArray, f"{self.space}/strangers", QUEUED)
        self._ends = [self._strangers]
        self._links: OrderedDict[str, _Link] = OrderedDict()

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`. An answer to an unsigned message goes out unsigned, where all strangers listen."""
        if peer.startswith(STRANGER):
            frame = self.wire.encode(peer, body, stamp, signed=False)
            sent = self._strangers.matched > 0 and self._put(self._strangers, frame)
            self.counts["sent" if sent else "unreachable"] += 1
            return sent
        link = self._links.get(peer)
        there = link is not None and link.publisher.matched > 0
        if link is None or (link.stood and not there):
            self.counts["unreachable"] += 1
            return False
        link.stood |= there
        frame = self.wire.encode(peer, body, stamp)
        sent = there and self._put(link.publisher, frame)
        if self.wire.keys is not None:
            link.outbox.keep(self.wire.sequence, frame, self._now(), sent=sent)
        self.counts["sent" if sent or self.wire.keys is not None else "unsent"] += 1
        return sent or self.wire.keys is not None

    def close(self) -> None:
        """See `Transport.close`."""
        self._ends += [link.publisher for link in self._links.values()]
        self._links.clear()
        super().close()

    def _take(self, message: Received, answer: dict[str, None]) -> None:
        if not message.signed and self.wire.keys is not None:
            self._came.append(replace(message, peer=STRANGER + message.sender))
            return
        link = self._link(message.sender)
        epoch = self.wire.heard(message.sender).epoch
        if epoch != link.epoch:
            link.outbox.clear()
            link.epoch, link.stood = epoch, False
        if not isinstance(message.body, Heard):
            answer[message.sender] = None
            self._came.append(message)
            return
        link.outbox.hear(message.body)
        if message.body.epoch != self.wire.epoch:
            answer[message.sender] = None

    def _link(self, peer: str) -> _Link:
        link = self._links.get(peer)
        if link is None:
            publisher = self._node.publisher(UInt8MultiArray, f"{self.space}/replies/{peer}", QUEUED)
            link = self._links[peer] = _Link(publisher, Outbox(self.wire.epoch, self.counts))
            if len(self._links) > LINKS:
                self._links.popitem(last=False)[1].publisher.close()
        self._links.move_to_end(peer)
        return link

    def _acknowledge(self, peer: str) -> None:
        link = self._links.get(peer)
        if link is not None and self.wire.keys is not None:
            link.stood |= link.publisher.matched > 0
            self._put(link.publisher, self.wire.encode(peer, self.wire.heard(peer), 0))

    def _repeat(self, now: float) -> None:
        for link in self._links.values():
            if link.outbox.expire(now) and link.publisher.matched:
                link.stood = True
                for frame in link.outbox.due(now):
                    self._put(link.publisher, frame)

    def _restless(self) -> bool:
        return any(link.outbox.waiting for link in self._links.values())


class BusClient(_End):
    """A client's end: owns its two topics at one server."""

    def __init__(
        self,
        bus: Bus,
        node: Node,
        name: str,
        server: str,
        keys: Keys | None,
        space: str = "",
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """On an open node of `bus`, for the server called `server` in its `space`. Raises MusterError."""
        self.server = server
        space = space or f"/{server}"
        topic = f"{space}/strangers" if keys is None else f"{space}/replies/{name}"
        super().__init__(bus, node, Wire(name, keys, server=False), topic, now)
        self._requests = node.publisher(UInt8MultiArray, f"{space}/requests", QUEUED)
        self._ends = [self._requests]
        self._outbox = Outbox(self.wire.epoch, self.counts)
        self._met = keys is None
        """The server has said that it hears us; strangers are told nothing."""
        self._hello = -float("inf")

    @property
    def reaches(self) -> bool:
        """Whether somebody listens at the server's topic; `connected` says whether it is the server."""
        return self._requests.matched > 0

    def connected(self, timeout: float) -> bool:
        """Whether the server hears us and we it, after waiting at most `timeout` seconds for it."""
        deadline = time.monotonic() + timeout
        while True:
            self.gather()
            if self._met and self._requests.matched and self._subscription.matched:
                return True
            left = deadline - time.monotonic()
            if left <= 0 or not self._open:
                return False
            self._bus.spin(min(left, SLICE))

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`; `peer` is the server."""
        if peer != self.server:
            raise TransportError(f"{self.wire.me} is connected to {self.server} and cannot send to {peer}")
        frame = self.wire.encode(peer, body, stamp)
        if not self._requests.matched:
            self.counts["unsent"] += 1
            return False
        sent = self._put(self._requests, frame)
        if self.wire.keys is not None:
            self._outbox.keep(self.wire.sequence, frame, self._now(), sent=sent)
        self.counts["sent" if sent or self.wire.keys is not None else "unsent"] += 1
        return sent or self.wire.keys is not None

    def _take(self, message: Received, answer: dict[str, None]) -> None:
        if message.sender != self.server:
            self.counts["other_sender"] += 1
        elif isinstance(message.body, Heard):
            self._outbox.hear(message.body)
            self._met |= message.body.epoch == self.wire.epoch
        else:
            answer[message.sender] = None
            self._came.append(message)

    def _acknowledge(self, peer: str) -> None:
        if self.wire.keys is not None and peer == self.server:
            self._put(self._requests, self.wire.encode(peer, self.wire.heard(peer), 0))

    def _repeat(self, now: float) -> None:
        if not (self._outbox.expire(now) or not self._met) or not self._requests.matched:
            return
        if not self._met and now - self._hello >= HELLO:
            self._hello = now
            self._put(self._requests, self.wire.encode(self.server, Heard(), 0))
        for frame in self._outbox.due(now):
            self._put(self._requests, frame)

    def _restless(self) -> bool:
        return not self._met or bool(self._outbox.waiting)


def wait_any(bus: Bus, ends: Sequence[_End], timeout: float) -> list[_End]:
    """Those ends where something has come, after waiting at most `timeout` seconds for anything on the bus."""
    ready = [end for end in ends if end.gather()]
    if not ready and timeout > 0:
        restless = any(end._restless() for end in ends)
        bus.spin(min(timeout, SLICE) if restless else timeout)
        ready = [end for end in ends if end.gather()]
    return ready


_TOO_LONG = bytes(MAX_MESSAGE + 1)
"""What a frame that is too long is to the wire, whatever it holds."""
