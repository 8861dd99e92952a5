"""`builtin_interfaces`: instants and durations.

Source: https://github.com/ros2/rcl_interfaces, branch jazzy.
"""

from __future__ import annotations

from fleet.ros.kinds import Int32, UInt32, message


@message("builtin_interfaces/msg/Time")
class Time:
    """An instant: seconds since the epoch, or since the simulation began."""

    sec: Int32 = 0
    nanosec: UInt32 = 0


@message("builtin_interfaces/msg/Duration")
class Duration:
    """A time span; `nanosec` is added to `sec` even where that is negative."""

    sec: Int32 = 0
    nanosec: UInt32 = 0
