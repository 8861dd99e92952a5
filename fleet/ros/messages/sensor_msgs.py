"""`sensor_msgs`: what sensors measure; SI units, angles in radians (REP 103).

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from fleet.ros.kinds import (
    Bool,
    Float32,
    Float32s,
    Float64,
    Float64s,
    Int8,
    Int32s,
    String,
    UInt8,
    UInt8s,
    UInt16,
    UInt32,
    array,
    default,
    message,
)
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.geometry_msgs import Point32, Quaternion, Transform, Twist, Vector3, Wrench
from fleet.ros.messages.std_msgs import Header

Covariance = Annotated[NDArray[np.float64], array("float64", 9)]
"""(9,), row by row about X, Y, Z; all zero: unknown; the first -1: what it belongs to is not measured."""


@message("sensor_msgs/msg/LaserScan")
class LaserScan:
    """One turn of a planar lidar, counterclockwise from `angle_min`; outside [range_min, range_max] is nothing."""

    header: Header = default()
    angle_min: Float32 = 0.0
    angle_max: Float32 = 0.0
    angle_increment: Float32 = 0.0
    time_increment: Float32 = 0.0
    scan_time: Float32 = 0.0
    range_min: Float32 = 0.0
    range_max: Float32 = 0.0
    ranges: Float32s = default()
    intensities: Float32s = default()


@message("sensor_msgs/msg/LaserEcho")
class LaserEcho:
    """What came back of one beam, several times."""

    echoes: Float32s = default()


@message("sensor_msgs/msg/MultiEchoLaserScan")
class MultiEchoLaserScan:
    """One turn of a planar lidar with several echoes."""

    header: Header = default()
    angle_min: Float32 = 0.0
    angle_max: Float32 = 0.0
    angle_increment: Float32 = 0.0
    time_increment: Float32 = 0.0
    scan_time: Float32 = 0.0
    range_min: Float32 = 0.0
    range_max: Float32 = 0.0
    ranges: list[LaserEcho] = default()
    intensities: list[LaserEcho] = default()


@message("sensor_msgs/msg/Imu")
class Imu:
    """Orientation, angular velocity and acceleration of an inertial unit."""

    header: Header = default()
    orientation: Quaternion = default()
    orientation_covariance: Covariance = default()
    angular_velocity: Vector3 = default()
    angular_velocity_covariance: Covariance = default()
    linear_acceleration: Vector3 = default()
    linear_acceleration_covariance: Covariance = default()


@message("sensor_msgs/msg/MagneticField")
class MagneticField:
    """Tesla."""

    header: Header = default()
    magnetic_field: Vector3 = default()
    magnetic_field_covariance: Covariance = default()


@message("sensor_msgs/msg/BatteryState")
class BatteryState:
    """A battery; NaN: not measured; `percentage` from 0 to 1; `current` is negative while discharging."""

    POWER_SUPPLY_STATUS_UNKNOWN: ClassVar[int] = 0
    POWER_SUPPLY_STATUS_CHARGING: ClassVar[int] = 1
    POWER_SUPPLY_STATUS_DISCHARGING: ClassVar[int] = 2
    POWER_SUPPLY_STATUS_NOT_CHARGING: ClassVar[int] = 3
    POWER_SUPPLY_STATUS_FULL: ClassVar[int] = 4
    POWER_SUPPLY_HEALTH_UNKNOWN: ClassVar[int] = 0
    POWER_SUPPLY_HEALTH_GOOD: ClassVar[int] = 1
    POWER_SUPPLY_HEALTH_OVERHEAT: ClassVar[int] = 2
    POWER_SUPPLY_HEALTH_DEAD: ClassVar[int] = 3
    POWER_SUPPLY_HEALTH_OVERVOLTAGE: ClassVar[int] = 4
    POWER_SUPPLY_HEALTH_UNSPEC_FAILURE: ClassVar[int] = 5
    POWER_SUPPLY_HEALTH_COLD: ClassVar[int] = 6
    POWER_SUPPLY_HEALTH_WATCHDOG_TIMER_EXPIRE: ClassVar[int] = 7
    POWER_SUPPLY_HEALTH_SAFETY_TIMER_EXPIRE: ClassVar[int] = 8
    POWER_SUPPLY_TECHNOLOGY_UNKNOWN: ClassVar[int] = 0
    POWER_SUPPLY_TECHNOLOGY_NIMH: ClassVar[int] = 1
    POWER_SUPPLY_TECHNOLOGY_LION: ClassVar[int] = 2
    POWER_SUPPLY_TECHNOLOGY_LIPO: ClassVar[int] = 3
    POWER_SUPPLY_TECHNOLOGY_LIFE: ClassVar[int] = 4
    POWER_SUPPLY_TECHNOLOGY_NICD: ClassVar[int] = 5
    POWER_SUPPLY_TECHNOLOGY_LIMN: ClassVar[int] = 6
    POWER_SUPPLY_TECHNOLOGY_TERNARY: ClassVar[int] = 7
    POWER_SUPPLY_TECHNOLOGY_VRLA: ClassVar[int] = 8

    header: Header = default()
    voltage: Float32 = 0.0
    temperature: Float32 = 0.0
    current: Float32 = 0.0
    charge: Float32 = 0.0
    capacity: Float32 = 0.0
    design_capacity: Float32 = 0.0
    percentage: Float32 = 0.0
    power_supply_status: UInt8 = 0
    power_supply_health: UInt8 = 0
    power_supply_technology: UInt8 = 0
    present: Bool = False
    cell_voltage: Float32s = default()
    cell_temperature: Float32s = default()
    location: String = ""
    serial_number: String = ""


@message("sensor_msgs/msg/JointState")
class JointState:
    """Joints by name; a quantity that is not measured is an empty array."""

    header: Header = default()
    name: list[str] = default()
    position: Float64s = default()
    velocity: Float64s = default()
    effort: Float64s = default()


@message("sensor_msgs/msg/MultiDOFJointState")
class MultiDOFJointState:
    """Joints with several degrees of freedom by name."""

    header: Header = default()
    joint_names: list[str] = default()
    transforms: list[Transform] = default()
    twist: list[Twist] = default()
    wrench: list[Wrench] = default()


@message("sensor_msgs/msg/Range")
class Range:
    """One distance; with a fixed range, -inf is something in it and +inf nothing."""

    ULTRASOUND: ClassVar[int] = 0
    INFRARED: ClassVar[int] = 1

    header: Header = default()
    radiation_type: UInt8 = 0
    field_of_view: Float32 = 0.0
    min_range: Float32 = 0.0
    max_range: Float32 = 0.0
    range: Float32 = 0.0
    variance: Float32 = 0.0


@message("sensor_msgs/msg/PointField")
class PointField:
    """What lies where in a point of a PointCloud2."""

    INT8: ClassVar[int] = 1
    UINT8: ClassVar[int] = 2
    INT16: ClassVar[int] = 3
    UINT16: ClassVar[int] = 4
    INT32: ClassVar[int] = 5
    UINT32: ClassVar[int] = 6
    FLOAT32: ClassVar[int] = 7
    FLOAT64: ClassVar[int] = 8

    name: String = ""
    offset: UInt32 = 0
    datatype: UInt8 = 0
    count: UInt32 = 0


@message("sensor_msgs/msg/PointCloud2")
class PointCloud2:
    """Points as bytes, laid out as `fields` say."""

    header: Header = default()
    height: UInt32 = 0
    width: UInt32 = 0
    fields: list[PointField] = default()
    is_bigendian: Bool = False
    point_step: UInt32 = 0
    row_step: UInt32 = 0
    data: UInt8s = default()
    is_dense: Bool = False


@message("sensor_msgs/msg/ChannelFloat32")
class ChannelFloat32:
    """One more quantity of the points of a PointCloud."""

    name: String = ""
    values: Float32s = default()


@message("sensor_msgs/msg/PointCloud")
class PointCloud:
    """Points, the old way."""

    header: Header = default()
    points: list[Point32] = default()
    channels: list[ChannelFloat32] = default()


@message("sensor_msgs/msg/NavSatStatus")
class NavSatStatus:
    """How a satellite position was fixed."""

    STATUS_UNKNOWN: ClassVar[int] = -2
    STATUS_NO_FIX: ClassVar[int] = -1
    STATUS_FIX: ClassVar[int] = 0
    STATUS_SBAS_FIX: ClassVar[int] = 1
    STATUS_GBAS_FIX: ClassVar[int] = 2
    SERVICE_UNKNOWN: ClassVar[int] = 0
    SERVICE_GPS: ClassVar[int] = 1
    SERVICE_GLONASS: ClassVar[int] = 2
    SERVICE_COMPASS: ClassVar[int] = 4
    SERVICE_GALILEO: ClassVar[int] = 8

    status: Int8 = -2
    service: UInt16 = 0


@message("sensor_msgs/msg/NavSatFix")
class NavSatFix:
    """A position on Earth: degrees, and metres above the WGS 84 ellipsoid; the covariance east, north, up."""

    COVARIANCE_TYPE_UNKNOWN: ClassVar[int] = 0
    COVARIANCE_TYPE_APPROXIMATED: ClassVar[int] = 1
    COVARIANCE_TYPE_DIAGONAL_KNOWN: ClassVar[int] = 2
    COVARIANCE_TYPE_KNOWN: ClassVar[int] = 3

    header: Header = default()
    status: NavSatStatus = default()
    latitude: Float64 = 0.0
    longitude: Float64 = 0.0
    altitude: Float64 = 0.0
    position_covariance: Covariance = default()
    position_covariance_type: UInt8 = 0


@message("sensor_msgs/msg/Joy")
class Joy:
    """A joystick's axes and buttons."""

    header: Header = default()
    axes: Float32s = default()
    buttons: Int32s = default()


@message("sensor_msgs/msg/JoyFeedback")
class JoyFeedback:
    """One feedback of a joystick."""

    TYPE_LED: ClassVar[int] = 0
    TYPE_RUMBLE: ClassVar[int] = 1
    TYPE_BUZZER: ClassVar[int] = 2

    type: UInt8 = 0
    id: UInt8 = 0
    intensity: Float32 = 0.0


@message("sensor_msgs/msg/JoyFeedbackArray")
class JoyFeedbackArray:
    """Feedbacks of a joystick."""

    array: list[JoyFeedback] = default()


@message("sensor_msgs/msg/Image")
class Image:
    """A picture without compression, row by row; `step` is a row's bytes."""

    header: Header = default()
    height: UInt32 = 0
    width: UInt32 = 0
    encoding: String = ""
    is_bigendian: UInt8 = 0
    step: UInt32 = 0
    data: UInt8s = default()


@message("sensor_msgs/msg/CompressedImage")
class CompressedImage:
    """A picture as a file's bytes, such as `jpeg`."""

    header: Header = default()
    format: String = ""
    data: UInt8s = default()


@message("sensor_msgs/msg/RegionOfInterest")
class RegionOfInterest:
    """A part of a picture; all zero: the whole."""

    x_offset: UInt32 = 0
    y_offset: UInt32 = 0
    height: UInt32 = 0
    width: UInt32 = 0
    do_rectify: Bool = False


@message("sensor_msgs/msg/CameraInfo")
class CameraInfo:
    """How a camera sees: distortion `d`, intrinsics `k`, rectification `r`, projection `p`."""

    header: Header = default()
    height: UInt32 = 0
    width: UInt32 = 0
    distortion_model: String = ""
    d: Float64s = default()
    k: Annotated[NDArray[np.float64], array("float64", 9)] = default()
    r: Annotated[NDArray[np.float64], array("float64", 9)] = default()
    p: Annotated[NDArray[np.float64], array("float64", 12)] = default()
    binning_x: UInt32 = 0
    binning_y: UInt32 = 0
    roi: RegionOfInterest = default()


@message("sensor_msgs/msg/FluidPressure")
class FluidPressure:
    """Pascal."""

    header: Header = default()
    fluid_pressure: Float64 = 0.0
    variance: Float64 = 0.0


@message("sensor_msgs/msg/Illuminance")
class Illuminance:
    """Lux."""

    header: Header = default()
    illuminance: Float64 = 0.0
    variance: Float64 = 0.0


@message("sensor_msgs/msg/RelativeHumidity")
class RelativeHumidity:
    """From 0 to 1."""

    header: Header = default()
    relative_humidity: Float64 = 0.0
    variance: Float64 = 0.0


@message("sensor_msgs/msg/Temperature")
class Temperature:
    """Degrees Celsius."""

    header: Header = default()
    temperature: Float64 = 0.0
    variance: Float64 = 0.0


@message("sensor_msgs/msg/TimeReference")
class TimeReference:
    """Another clock's time at the header's stamp."""

    header: Header = default()
    time_ref: Time = default()
    source: String = ""
