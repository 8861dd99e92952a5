"""The seam between a process and the wire, and a network inside one process for tests.

A server has one end, each client one; a client talks to its server alone. Both ends sign and check through `wire`, so
what a test proves on the in-process network holds on sockets. Delivery is at most once and may fail silently: the
protocol is level-triggered, every message says all, and the next one heals.

`Network` loses, delays, duplicates and reorders by a seeded generator, in virtual time that `receive` moves forward.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from typing import Protocol

import msgspec

from coordination.keys import Keys
from coordination.wire import Received, Wire
from sim.errors import MusterError
from sim.robot import SECOND


class TransportError(MusterError):
    """An address cannot be used."""


class Transport(Protocol):
    """One end of the wire."""

    @property
    def counts(self) -> Counter[str]:
        """Messages by what became of them: received, sent, and each kind of drop."""
        ...

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """Hand a body over for `peer`; False when that is known to be in vain. Never waits.

        Raises WireError when the body is too long or there is no key for the peer.
        """
        ...

    def receive(self, timeout: float) -> list[Received]:
        """Everything that has come, after waiting at most `timeout` seconds for the first; bad messages are gone."""
        ...

    def close(self) -> None:
        """Let go of the wire; safe to call twice."""
        ...


class Network:
    """Owns the messages under way between ends in one process, and their virtual time."""

    def __init__(
        self,
        *,
        seed: int = 0,
        loss: float = 0.0,
        delay: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
    ) -> None:
        """Probabilities per message of being lost, doubled, or held back 2 to 10 ms past its successors; `delay` in s.

        Each message takes `delay` times a factor drawn from 0.5 to 1.5.
        """
        self.now = 0
        """Virtual time, ns."""
        self._draw = random.Random(seed)
        self._loss, self._delay, self._duplicate, self._reorder = loss, delay, duplicate, reorder
        self._ends: dict[str, InProcessEnd] = {}
        self._order = 0

    def server(self, name: str, keys: Keys | None) -> InProcessEnd:
        """The end of a server; raises TransportError when the name is taken."""
        return self._join(InProcessEnd(self, name, keys, server=""))

    def client(self, name: str, server: str, keys: Keys | None) -> InProcessEnd:
        """The end of a client of `server`. A client that comes again replaces its former end."""
        self._ends.pop(name, None)
        return self._join(InProcessEnd(self, name, keys, server=server))

    def carry(self, receiver: str, frame: bytes) -> bool:
        """Put a frame under way (also a bad one, in tests); False when nobody has that name."""
        if receiver not in self._ends:
            return False
        if self._draw.random() < self._loss:
            return True
        for _ in range(2 if self._draw.random() < self._duplicate else 1):
            due = self.now + int(self._delay * self._draw.uniform(0.5, 1.5) * SECOND)
            if self._draw.random() < self._reorder:
                due += int(self._draw.uniform(0.002, 0.010) * SECOND)
            self._order += 1
            heapq.heappush(self._ends[receiver].inbox, (due, self._order, frame))
        return True

    def leave(self, name: str) -> None:
        """Take an end off; what is under way to it is lost."""
        self._ends.pop(name, None)

    def _join(self, end: InProcessEnd) -> InProcessEnd:
        if end.wire.me in self._ends:
            raise TransportError(f"{end.wire.me} is in use on this network; close the other end first")
        self._ends[end.wire.me] = end
        return end


class InProcessEnd:
    """One end on a `Network`."""

    def __init__(self, network: Network, name: str, keys: Keys | None, *, server: str) -> None:
        """Made by `Network.server` and `Network.client`."""
        self.network = network
        self.wire = Wire(name, keys, server=not server)
        self.inbox: list[tuple[int, int, bytes]] = []

    @property
    def counts(self) -> Counter[str]:
        """Messages by what became of them."""
        return self.wire.counts

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`."""
        frame = self.wire.encode(peer, body, stamp)
        there = self.network.carry(peer, frame)
        self.counts["sent" if there else "unreachable"] += 1
        return there

    def receive(self, timeout: float) -> list[Received]:
        """See `Transport.receive`; waiting moves the network's virtual time forward."""
        if not self.inbox or self.inbox[0][0] > self.network.now:
            patience = self.network.now + int(timeout * SECOND)
            self.network.now = min(patience, self.inbox[0][0]) if self.inbox else patience
        messages = []
        while self.inbox and self.inbox[0][0] <= self.network.now:
            message = self.wire.decode(heapq.heappop(self.inbox)[2])
            if message is not None:
                messages.append(message)
        return messages

    def close(self) -> None:
        """See `Transport.close`."""
        if self.network._ends.get(self.wire.me) is self:
            self.network.leave(self.wire.me)
