"""How the robots of one process reach their plant and their coordinator, and wait for both.

Over ZeroMQ here, over ROS 2's bus in `fleet/ros/robotnode.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import zmq

from coordination.client import ADDRESS, COORDINATOR
from coordination.keys import Keys
from coordination.transport import Transport
from coordination.zmq_transport import ZmqClient
from fleet.hardware import PLANT, PlantRobot
from fleet.hosted import HostedRobot
from fleet.ros.robotnode import BusWires
from sim.robot import RobotSpec


class Wires(Protocol):
    """Makes each robot's two connections; each object that it made is its user's to close."""

    def robot(self, name: str, spec: RobotSpec, watchdog: str) -> HostedRobot:
        """The way to a robot's body; `watchdog` (empty for none) may speak for it."""
        ...

    def link(self, name: str) -> Transport:
        """A robot's end to the coordinator."""
        ...

    def wait(self, timeout: float) -> Collection[str]:
        """Robots for which something may have come, after waiting at most `timeout` seconds for the first."""
        ...

    def housekeeping(self) -> None:
        """Called once a second: what need not be done at every turn."""
        ...

    def close(self) -> None:
        """Let go of what the robots share, after them."""
        ...


class ZmqWires:
    """Two sockets for each robot, and one poll for all of them."""

    def __init__(self, keys: Keys, plant: str, coordinator: str) -> None:
        """To the servers at these addresses."""
        self._keys, self._plant, self._coordinator = keys, plant, coordinator
        self._poller = zmq.Poller()
        self._owners: dict[object, str] = {}

    def robot(self, name: str, spec: RobotSpec, watchdog: str) -> PlantRobot:
        """See `Wires.robot`."""
        return PlantRobot(name, self._end(name, PLANT, self._plant), spec, watchdog)

    def link(self, name: str) -> ZmqClient:
        """See `Wires.link`."""
        return self._end(name, COORDINATOR, self._coordinator)

    def wait(self, timeout: float) -> Collection[str]:
        """See `Wires.wait`."""
        return {self._owners[socket] for socket, _ in self._poller.poll(int(timeout * 1000))}

    def housekeeping(self) -> None:
        """See `Wires.housekeeping`."""

    def close(self) -> None:
        """See `Wires.close`; the sockets are their robots'."""

    def _end(self, name: str, server: str, address: str) -> ZmqClient:
        end = ZmqClient(name, server, self._keys, address)
        self._poller.register(end.socket, zmq.POLLIN)
        self._owners[end.socket] = name
        return end


def open_wires(
    bus: str,
    ros_arguments: Sequence[str],
    names: Sequence[str],
    keys: Keys,
    plant: str,
    coordinator: str,
    site: str,
) -> Wires:
    """The wires of robots `names` that a command line asks for; `site` is the floor's hash. Raises MusterError."""
    if bus == "none":
        return ZmqWires(keys, plant, coordinator or ADDRESS)
    return BusWires(bus, ros_arguments, names, keys, coordinator, site)
