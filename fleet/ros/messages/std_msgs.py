"""`std_msgs`: the header that stamps a message, and single values.

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from fleet.ros import kinds
from fleet.ros.kinds import default, message
from fleet.ros.messages.builtin_interfaces import Time


@message("std_msgs/msg/Header")
class Header:
    """When something was measured, and in which frame."""

    stamp: Time = default()
    frame_id: kinds.String = ""


@message("std_msgs/msg/Empty")
class Empty:
    """That something happened; nothing more."""


@message("std_msgs/msg/Bool")
class Bool:
    """A truth value."""

    data: kinds.Bool = False


@message("std_msgs/msg/Byte")
class Byte:
    """A byte."""

    data: kinds.Byte = 0


@message("std_msgs/msg/Char")
class Char:
    """An unsigned byte."""

    data: kinds.Char = 0


@message("std_msgs/msg/Float32")
class Float32:
    """A float."""

    data: kinds.Float32 = 0.0


@message("std_msgs/msg/Float64")
class Float64:
    """A double."""

    data: kinds.Float64 = 0.0


@message("std_msgs/msg/Int8")
class Int8:
    """A signed integer of 8 bits."""

    data: kinds.Int8 = 0


@message("std_msgs/msg/Int16")
class Int16:
    """A signed integer of 16 bits."""

    data: kinds.Int16 = 0


@message("std_msgs/msg/Int32")
class Int32:
    """A signed integer of 32 bits."""

    data: kinds.Int32 = 0


@message("std_msgs/msg/Int64")
class Int64:
    """A signed integer of 64 bits."""

    data: kinds.Int64 = 0


@message("std_msgs/msg/UInt8")
class UInt8:
    """An unsigned integer of 8 bits."""

    data: kinds.UInt8 = 0


@message("std_msgs/msg/UInt16")
class UInt16:
    """An unsigned integer of 16 bits."""

    data: kinds.UInt16 = 0


@message("std_msgs/msg/UInt32")
class UInt32:
    """An unsigned integer of 32 bits."""

    data: kinds.UInt32 = 0


@message("std_msgs/msg/UInt64")
class UInt64:
    """An unsigned integer of 64 bits."""

    data: kinds.UInt64 = 0


@message("std_msgs/msg/String")
class String:
    """A text."""

    data: kinds.String = ""


@message("std_msgs/msg/ColorRGBA")
class ColorRGBA:
    """A colour; each part from 0 to 1."""

    r: kinds.Float32 = 0.0
    g: kinds.Float32 = 0.0
    b: kinds.Float32 = 0.0
    a: kinds.Float32 = 0.0


@message("std_msgs/msg/MultiArrayDimension")
class MultiArrayDimension:
    """One dimension of an array, the outermost first."""

    label: kinds.String = ""
    size: kinds.UInt32 = 0
    stride: kinds.UInt32 = 0


@message("std_msgs/msg/MultiArrayLayout")
class MultiArrayLayout:
    """How an array of numbers is laid out; empty where it has one dimension."""

    dim: list[MultiArrayDimension] = default()
    data_offset: kinds.UInt32 = 0


@message("std_msgs/msg/ByteMultiArray")
class ByteMultiArray:
    """An array of bytes."""

    layout: MultiArrayLayout = default()
    data: kinds.Bytes = default()


@message("std_msgs/msg/Float32MultiArray")
class Float32MultiArray:
    """An array of floats."""

    layout: MultiArrayLayout = default()
    data: kinds.Float32s = default()


@message("std_msgs/msg/Float64MultiArray")
class Float64MultiArray:
    """An array of doubles."""

    layout: MultiArrayLayout = default()
    data: kinds.Float64s = default()


@message("std_msgs/msg/Int8MultiArray")
class Int8MultiArray:
    """An array of signed integers of 8 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.Int8s = default()


@message("std_msgs/msg/Int16MultiArray")
class Int16MultiArray:
    """An array of signed integers of 16 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.Int16s = default()


@message("std_msgs/msg/Int32MultiArray")
class Int32MultiArray:
    """An array of signed integers of 32 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.Int32s = default()


@message("std_msgs/msg/Int64MultiArray")
class Int64MultiArray:
    """An array of signed integers of 64 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.Int64s = default()


@message("std_msgs/msg/UInt8MultiArray")
class UInt8MultiArray:
    """An array of unsigned integers of 8 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.UInt8s = default()


@message("std_msgs/msg/UInt16MultiArray")
class UInt16MultiArray:
    """An array of unsigned integers of 16 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.UInt16s = default()


@message("std_msgs/msg/UInt32MultiArray")
class UInt32MultiArray:
    """An array of unsigned integers of 32 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.UInt32s = default()


@message("std_msgs/msg/UInt64MultiArray")
class UInt64MultiArray:
    """An array of unsigned integers of 64 bits."""

    layout: MultiArrayLayout = default()
    data: kinds.UInt64s = default()
