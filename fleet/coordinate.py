"""`muster coordinate`: the coordinator as a process, over ZeroMQ or over ROS 2.

Over a bus it is the node `coordinator`, whose private topics are its wire (see `ros.transport`): `~/requests` and
`~/replies/<peer>`, `/coordinator/...` unless ROS arguments say otherwise. In lockstep it talks to the plant's topics
likewise; where no plant keeps the site's time, ROS time is it, which robots stamp all that they say with. What is said,
signed, stored and granted is the same (`coordination.serve`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from tyro.conf import Suppress

from coordination import serve
from coordination.client import COORDINATOR
from coordination.keys import Keys
from coordination.service import PLANT
from coordination.transport import TransportError
from fleet.ros.bus import BusKind, check_here, open_bus
from fleet.ros.transport import SCHEME, BusClient, BusServer, space_of, wait_any


@dataclass(frozen=True)
class Config(serve.Config):
    """Give a fleet its work and its right of way."""

    bus: BusKind = "none"
    """none: robots and clients come to --address; else they come over ROS 2, and --plant is ros (or ros:/SPACE)"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments, as --ros-args -r __ns:=/hall2"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it."""
    check_here(config.bus)
    serve.check(_understood(config), made_later)


def ports(config: Config) -> dict[str, str]:
    """What the coordinator listens on, by option."""
    return serve.ports(_understood(config))


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; raises MusterError for what the user can mend."""
    config = _understood(config)
    if config.bus == "none":
        return serve.run(config)
    check_here(config.bus)
    serve.check(config)
    return serve.serve(config, lambda stack, keys: _open(config, stack, keys))


def _open(config: Config, stack: contextlib.ExitStack, keys: Keys) -> serve.Links:
    """Links over a bus."""
    bus = open_bus(config.bus, arguments=config.ros_arguments)
    stack.callback(bus.close)
    node = bus.node(COORDINATOR)
    server = BusServer(bus, node, COORDINATOR, keys, "~")
    stack.callback(server.close)
    if not config.plant:
        return serve.Links(
            server,
            server.wire,
            None,
            lambda timeout: wait_any(bus, [server], timeout),
            server.address,
            node.clock.now,
        )
    plant = BusClient(bus, node, COORDINATOR, PLANT, keys, space_of(config.plant, PLANT))
    stack.callback(plant.close)
    return serve.Links(
        server, server.wire, plant, lambda timeout: wait_any(bus, [server, plant], timeout), server.address
    )


def _understood(config: Config) -> Config:
    """With what a bus changes: it listens on no port, and in lockstep the plant is there too."""
    if config.bus == "none":
        if set(config.ros_arguments) - {"--ros-args", "--"}:  # launch gives every node the bare word
            words = " ".join(config.ros_arguments)
            raise TransportError(f"expected no ROS arguments without a bus, got {words}; give --bus auto too")
        return config
    plant = config.plant or (SCHEME if config.clock == "lockstep" else "")
    if plant and plant != SCHEME and not plant.startswith(f"{SCHEME}:/"):
        raise TransportError(f'--plant: over a bus expected ros or ros:/SPACE, got "{plant}"; or leave --bus out')
    return replace(config, address="", plant=plant)
