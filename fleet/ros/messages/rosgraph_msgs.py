"""`rosgraph_msgs`: the simulation's clock.

Source: https://github.com/ros2/rcl_interfaces, branch jazzy.
"""

from __future__ import annotations

from fleet.ros.kinds import default, message
from fleet.ros.messages.builtin_interfaces import Time


@message("rosgraph_msgs/msg/Clock")
class Clock:
    """What time it is, for nodes with `use_sim_time`."""

    clock: Time = default()
