"""The wire over ZeroMQ: a ROUTER for the server, a DEALER for each client, over TCP or ipc.

Nothing waits without bound and nothing queues for ever: sends never block, a full queue (`QUEUE` messages) or an
absent peer drops the message and counts it, and a client queues only on a connection that stands, so that a robot
does not pour a minute of old reports on a coordinator that comes back. Clients reconnect by themselves. The server
learns where a peer is from its last signed message alone, so nobody takes over a robot's connection by name.

ZeroMQ drops the connection of a peer that sends more than `CUTOFF` bytes; what lies between the limit of messages and
that is counted as oversized.
"""

from __future__ import annotations

import errno
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import zmq

from coordination.keys import Keys
from coordination.messages import MAX_MESSAGE
from coordination.transport import TransportError
from coordination.wire import Received, Wire

QUEUE = 256
"""Messages queued for one peer: 25 s of rounds at 10 Hz; older news is worthless."""

CUTOFF = 4 * MAX_MESSAGE
"""Bytes; a longer message ends its sender's connection."""

BATCH = 1024
"""Messages that one receive call takes at most, so that a flood cannot keep the caller in it."""

LINGER_MS = 200
"""How long a closing end tries to send its last words."""

RECONNECT_MS = (20, 100)
"""First and longest pause between attempts to connect again."""

HEARTBEAT_MS = (1000, 3000)
"""Ping period, and silence after which a half-open connection counts as dead."""

STRANGERS = 256
"""Unsigned connections whose address is remembered for an answer."""


class ZmqServer:
    """The server's end: owns a ROUTER socket and where each peer is."""

    def __init__(self, name: str, keys: Keys | None, address: str = "tcp://127.0.0.1:*") -> None:
        """Bind to an address such as tcp://127.0.0.1:5555 (`*` picks a free port); raises TransportError."""
        self.wire = Wire(name, keys, server=True)
        self.socket = _socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        try:
            self.socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise TransportError(_bind_error(address, error)) from None
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """Where clients connect to, with the port that was picked."""
        self._routes: dict[str, bytes] = {}
        self._strangers: OrderedDict[str, bytes] = OrderedDict()

    @property
    def counts(self) -> Counter[str]:
        """Messages by what became of them."""
        return self.wire.counts

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`. An answer to an unsigned message goes out unsigned."""
        stranger = self._strangers.get(peer)
        route = stranger or self._routes.get(peer)
        if route is None:
            self.counts["unreachable"] += 1
            return False
        frame = self.wire.encode(peer, body, stamp, signed=stranger is None)
        try:
            self.socket.send_multipart([route, frame], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            self.counts["unreachable" if error.errno == errno.EHOSTUNREACH else "unsent"] += 1
            return False
        self.counts["sent"] += 1
        return True

    def receive(self, timeout: float) -> list[Received]:
        """See `Transport.receive`."""
        return _until(timeout, self._take)

    def _take(self, timeout: float) -> list[Received]:
        messages = []
        for parts in _drain(self.socket, timeout):
            if len(parts) != 2:
                self.counts["malformed"] += 1
                continue
            message = self.wire.decode(parts[1])
            if message is None:
                continue
            if message.signed or self.wire.keys is None:
                self._routes[message.sender] = parts[0]
            else:
                peer = f"?{parts[0].hex()}"
                self._strangers[peer] = parts[0]
                if len(self._strangers) > STRANGERS:
                    self._strangers.popitem(last=False)
                message = replace(message, peer=peer)
            messages.append(message)
        return messages

    def close(self) -> None:
        """See `Transport.close`."""
        self.socket.close()


class ZmqClient:
    """A client's end: owns a DEALER socket to one server."""

    def __init__(self, name: str, server: str, keys: Keys | None, address: str) -> None:
        """Connect (in the background, again and again) to the server called `server`; raises TransportError."""
        self.wire = Wire(name, keys, server=False)
        self.server = server
        self.socket = _socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        try:
            self.socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise TransportError(
                f"cannot connect to {address!r}: {error.strerror}; expected tcp://HOST:PORT or ipc://PATH"
            ) from None

    @property
    def counts(self) -> Counter[str]:
        """Messages by what became of them."""
        return self.wire.counts

    def connected(self, timeout: float) -> bool:
        """Whether a connection stands, after waiting at most `timeout` seconds for it."""
        return bool(self.socket.poll(_milliseconds(timeout), zmq.POLLOUT))

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        """See `Transport.send`; `peer` is the server."""
        if peer != self.server:
            raise TransportError(f"{self.wire.me} is connected to {self.server} and cannot send to {peer}")
        frame = self.wire.encode(peer, body, stamp)
        try:
            self.socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            self.counts["unsent"] += 1
            return False
        self.counts["sent"] += 1
        return True

    def receive(self, timeout: float) -> list[Received]:
        """See `Transport.receive`. What another than the server signed is counted as other_sender and dropped."""
        return _until(timeout, self._take)

    def _take(self, timeout: float) -> list[Received]:
        messages = []
        for parts in _drain(self.socket, timeout):
            message = self.wire.decode(parts[0]) if len(parts) == 1 else None
            if len(parts) != 1:
                self.counts["malformed"] += 1
            elif message is not None and message.sender != self.server:
                self.counts["other_sender"] += 1
            elif message is not None:
                messages.append(message)
        return messages

    def close(self) -> None:
        """See `Transport.close`."""
        self.socket.close()


def wait_any(ends: Sequence[ZmqServer | ZmqClient], timeout: float) -> list[ZmqServer | ZmqClient]:
    """Those ends where something has come, after waiting at most `timeout` seconds for the first."""
    poller = zmq.Poller()
    by_socket = {}
    for end in ends:
        poller.register(end.socket, zmq.POLLIN)
        by_socket[end.socket] = end
    return [by_socket[socket] for socket, _ in poller.poll(_milliseconds(timeout))]


def _socket(kind: int) -> zmq.Socket[bytes]:
    socket = zmq.Context.instance().socket(kind)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.SNDHWM, QUEUE)
    socket.setsockopt(zmq.RCVHWM, QUEUE)
    socket.setsockopt(zmq.MAXMSGSIZE, CUTOFF)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS[0])
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS[1])
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS[0])
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_MS[1])
    return socket


def _until(timeout: float, take: Callable[[float], list[Received]]) -> list[Received]:
    """Take again while nothing but bad messages comes, so that they cannot cut the wait short."""
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        messages = take(max(0.0, left))
        if messages or left <= 0:
            return messages


def _drain(socket: zmq.Socket[bytes], timeout: float) -> list[list[bytes]]:
    frames: list[list[bytes]] = []
    if timeout > 0 and not socket.poll(_milliseconds(timeout), zmq.POLLIN):
        return frames
    while len(frames) < BATCH:
        try:
            frames.append(socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            break
    return frames


def _milliseconds(seconds: float) -> int:
    """For a poll: rounded up, so that a loop does not spin through the last millisecond of its wait."""
    return max(0, math.ceil(seconds * 1000))


def _bind_error(address: str, error: zmq.ZMQError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another process; stop that process or choose another port"
    return f"cannot listen on {address!r}: {error.strerror}; expected tcp://ADDRESS:PORT or ipc://PATH"
