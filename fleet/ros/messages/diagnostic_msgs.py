"""`diagnostic_msgs`: how parts of a robot are (REP 107).

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from typing import ClassVar

from fleet.ros.kinds import Byte, String, default, message
from fleet.ros.messages.std_msgs import Header


@message("diagnostic_msgs/msg/KeyValue")
class KeyValue:
    """A named value."""

    key: String = ""
    value: String = ""


@message("diagnostic_msgs/msg/DiagnosticStatus")
class DiagnosticStatus:
    """How one part is."""

    OK: ClassVar[int] = 0
    WARN: ClassVar[int] = 1
    ERROR: ClassVar[int] = 2
    STALE: ClassVar[int] = 3

    level: Byte = 0
    name: String = ""
    message: String = ""
    hardware_id: String = ""
    values: list[KeyValue] = default()


@message("diagnostic_msgs/msg/DiagnosticArray")
class DiagnosticArray:
    """How several parts are."""

    header: Header = default()
    status: list[DiagnosticStatus] = default()
