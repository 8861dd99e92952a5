"""How a person's command reaches the coordinator: over ZeroMQ, or over ROS 2's topics.

One end for one command, under the name that its key proves. Who is not there is not found out here: whoever asks waits
for an answer, and says that there was none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from coordination.client import ADDRESS, COORDINATOR
from coordination.keys import Keys
from coordination.transport import Transport
from coordination.zmq_transport import ZmqClient
from fleet.ros.bus import BusKind, open_bus
from fleet.ros.transport import SCHEME, BusClient, space_of


def reach(
    stack: contextlib.ExitStack,
    command: str,
    name: str,
    keys: Keys | None,
    address: str,
    bus: BusKind,
    ros_arguments: Sequence[str],
    timeout: float,
) -> Transport:
    """The end of `name` to the coordinator, which the stack closes; over a bus the node is `command`'s.

    ZeroMQ's default address stands for the default space on a bus. Topics take a moment to find each other: waits for
    that at most `timeout` seconds. Raises MusterError.
    """
    if bus == "none":
        end = ZmqClient(name, COORDINATOR, keys, address)
        stack.callback(end.close)
        return end
    space = space_of(SCHEME if address == ADDRESS else address, COORDINATOR)
    opened = open_bus(bus, arguments=ros_arguments)
    stack.callback(opened.close)
    end = BusClient(opened, opened.node(f"{command}_{os.getpid()}"), name, COORDINATOR, keys, space)
    stack.callback(end.close)
    end.connected(timeout)
    return end
