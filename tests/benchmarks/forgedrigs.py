"""The transports of `forged`: ends that meet on each, and a stranger who can send any bytes to any of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import zmq

from coordination.keys import Keys
from coordination.transport import Network, Transport, TransportError
from coordination.wire import Wire
from coordination.zmq_transport import ZmqClient, ZmqServer
from fleet.ros.bus import Bus, Publisher, open_bus
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.std_msgs import UInt8MultiArray
from fleet.ros.transport import QUEUED, BusClient, BusServer

KEYS = Keys(fleet=bytes(range(32)))
SERVER = "coordinator"


class End(Transport, Protocol):
    """A transport's end, with its checks."""

    wire: Wire


class Rig(Protocol):
    """A transport on which ends meet, and on which a stranger can send bytes to an end."""

    def server(self) -> End: ...
    def client(self, name: str) -> End: ...
    def find(self, end: End) -> None:
        """Wait until a client that lives on has found the server that started anew."""
        ...

    def strike(self, name: str, frames: Sequence[bytes]) -> None: ...
    def leave(self) -> None:
        """The stranger goes."""
        ...

    def close(self) -> None: ...


class InProcess:
    """The network of tests."""

    def __init__(self) -> None:
        self.network = Network()

    def server(self) -> End:
        return self.network.server(SERVER, KEYS)

    def client(self, name: str) -> End:
        return self.network.client(name, SERVER, KEYS)

    def find(self, end: End) -> None: ...

    def strike(self, name: str, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.network.carry(name, frame)

    def leave(self) -> None: ...
    def close(self) -> None: ...


class Sockets:
    """ZeroMQ over loopback. A robot is struck through another connection of its own socket."""

    def __init__(self) -> None:
        self.clients: dict[str, ZmqClient] = {}
        self.rogues: dict[str, tuple[zmq.Socket[bytes], str]] = {}
        self.address = "tcp://127.0.0.1:*"

    def server(self) -> End:
        for _ in range(100):
            try:
                end = ZmqServer(SERVER, KEYS, self.address)
            except TransportError:  # ZeroMQ lets go of the former one's port in a thread of its own
                time.sleep(0.05)
                continue
            self.address = end.address
            return end
        raise AssertionError(f"{self.address} is in use")

    def client(self, name: str) -> End:
        end = self.clients[name] = ZmqClient(name, SERVER, KEYS, self.address)
        assert end.connected(10.0)
        return end

    def find(self, end: End) -> None:
        time.sleep(0.1)  # a client that lost its server a moment ago may still believe that it stands
        assert isinstance(end, ZmqClient)
        assert end.connected(10.0)

    def strike(self, name: str, frames: Sequence[bytes]) -> None:
        if name not in self.rogues:
            rogue = zmq.Context.instance().socket(zmq.DEALER)
            rogue.setsockopt(zmq.LINGER, 0)
            address = self.address
            if name == SERVER:
                rogue.connect(address)
            else:
                rogue.bind("tcp://127.0.0.1:*")
                address = rogue.getsockopt_string(zmq.LAST_ENDPOINT)
                self.clients[name].socket.connect(address)
            self.rogues[name] = rogue, address
        for frame in frames:
            self.rogues[name][0].send(frame)

    def leave(self) -> None:
        for name, (rogue, address) in self.rogues.items():
            if name in self.clients:
                self.clients[name].socket.disconnect(address)
            rogue.close(0)
        self.rogues.clear()

    def close(self) -> None:
        self.leave()


class Topics:
    """A bus; each end has one of its own."""

    def __init__(self, kind: str) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.kind = kind
        self.network = LoopNetwork()
        self.buses: list[Bus] = []
        self.rogues: dict[str, Publisher[UInt8MultiArray]] = {}
        self.stranger = self._bus()
        self.listening: BusServer | None = None

    def server(self) -> End:
        bus = self._bus()
        self.listening = BusServer(bus, bus.node(SERVER), SERVER, KEYS)
        return self.listening

    def client(self, name: str) -> End:
        bus = self._bus()
        end = BusClient(bus, bus.node(name), name, SERVER, KEYS)
        self.meet(end)
        return end

    def find(self, end: End) -> None:
        assert isinstance(end, BusClient)
        end._met = False  # it says hello once more, so that the new server's topic for it stands
        self.meet(end)

    def meet(self, end: BusClient) -> None:
        """Wait until the two ends have found each other."""
        deadline = time.monotonic() + 30.0
        while not end.connected(0.0):
            assert self.listening is not None
            assert time.monotonic() < deadline, "the ends do not meet"
            self.listening.gather()
            time.sleep(0.005)

    def strike(self, name: str, frames: Sequence[bytes]) -> None:
        if name not in self.rogues:
            node = self.stranger.node(f"stranger_{name}")
            topic = "requests" if name == SERVER else f"replies/{name}"
            rogue = self.rogues[name] = node.publisher(UInt8MultiArray, f"/{SERVER}/{topic}", QUEUED)
            deadline = time.monotonic() + 30.0
            while not rogue.matched:
                assert time.monotonic() < deadline, "the stranger does not reach its victim"
                self.stranger.spin(0.01)
        for frame in frames:
            self.rogues[name].publish(UInt8MultiArray(data=frame))  # type: ignore[arg-type]  # bytes do

    def leave(self) -> None:
        self.stranger.close()

    def close(self) -> None:
        for bus in self.buses:
            bus.close()

    def _bus(self) -> Bus:
        bus = LoopBus(self.network) if self.kind == "loop" else open_bus(self.kind, domain=100 + os.getpid() % 100)
        self.buses.append(bus)
        return bus


RIGS: dict[str, Callable[[], Rig]] = {
    "in_process": InProcess,
    "zmq": Sockets,
    "loop": lambda: Topics("loop"),
    "dds": lambda: Topics("dds"),
}
