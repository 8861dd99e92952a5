"""`rcl_interfaces`: what nodes log and which parameters they have.

Source: https://github.com/ros2/rcl_interfaces, branch jazzy.
"""

from __future__ import annotations

from typing import ClassVar

from fleet.ros.kinds import (
    Bool,
    Bools,
    Bytes,
    Float64,
    Float64s,
    Int64,
    Int64s,
    String,
    UInt8,
    UInt32,
    default,
    message,
)
from fleet.ros.messages.builtin_interfaces import Time


@message("rcl_interfaces/msg/Log")
class Log:
    """A line that a node logs, for `/rosout`."""

    DEBUG: ClassVar[int] = 10
    INFO: ClassVar[int] = 20
    WARN: ClassVar[int] = 30
    ERROR: ClassVar[int] = 40
    FATAL: ClassVar[int] = 50

    stamp: Time = default()
    level: UInt8 = 0
    name: String = ""
    msg: String = ""
    file: String = ""
    function: String = ""
    line: UInt32 = 0


@message("rcl_interfaces/msg/ParameterType")
class ParameterType:
    """Which of a ParameterValue's fields holds."""

    PARAMETER_NOT_SET: ClassVar[int] = 0
    PARAMETER_BOOL: ClassVar[int] = 1
    PARAMETER_INTEGER: ClassVar[int] = 2
    PARAMETER_DOUBLE: ClassVar[int] = 3
    PARAMETER_STRING: ClassVar[int] = 4
    PARAMETER_BYTE_ARRAY: ClassVar[int] = 5
    PARAMETER_BOOL_ARRAY: ClassVar[int] = 6
    PARAMETER_INTEGER_ARRAY: ClassVar[int] = 7
    PARAMETER_DOUBLE_ARRAY: ClassVar[int] = 8
    PARAMETER_STRING_ARRAY: ClassVar[int] = 9


@message("rcl_interfaces/msg/ParameterValue")
class ParameterValue:
    """A value: that of the field which `type` names, see ParameterType."""

    type: UInt8 = 0
    bool_value: Bool = False
    integer_value: Int64 = 0
    double_value: Float64 = 0.0
    string_value: String = ""
    byte_array_value: Bytes = default()
    bool_array_value: Bools = default()
    integer_array_value: Int64s = default()
    double_array_value: Float64s = default()
    string_array_value: list[str] = default()


@message("rcl_interfaces/msg/Parameter")
class Parameter:
    """A named value."""

    name: String = ""
    value: ParameterValue = default()


@message("rcl_interfaces/msg/ParameterEvent")
class ParameterEvent:
    """What became of a node's parameters, for `/parameter_events`."""

    stamp: Time = default()
    node: String = ""
    new_parameters: list[Parameter] = default()
    changed_parameters: list[Parameter] = default()
    deleted_parameters: list[Parameter] = default()
