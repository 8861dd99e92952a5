"""`geometry_msgs`: points, poses, velocities, forces; metres, radians, seconds (REP 103).

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fleet.ros.kinds import Float32, Float64, Int64, String, array, default, message
from fleet.ros.messages.std_msgs import Header

Covariance = Annotated[NDArray[np.float64], array("float64", 36)]
"""(36,), row by row: x, y, z, then the rotations about X, Y, Z."""


@message("geometry_msgs/msg/Vector3")
class Vector3:
    """A direction with a length."""

    x: Float64 = 0.0
    y: Float64 = 0.0
    z: Float64 = 0.0


@message("geometry_msgs/msg/Vector3Stamped")
class Vector3Stamped:
    """A direction in a frame."""

    header: Header = default()
    vector: Vector3 = default()


@message("geometry_msgs/msg/Point")
class Point:
    """A position."""

    x: Float64 = 0.0
    y: Float64 = 0.0
    z: Float64 = 0.0


@message("geometry_msgs/msg/PointStamped")
class PointStamped:
    """A position in a frame."""

    header: Header = default()
    point: Point = default()


@message("geometry_msgs/msg/Point32")
class Point32:
    """A position in single precision."""

    x: Float32 = 0.0
    y: Float32 = 0.0
    z: Float32 = 0.0


@message("geometry_msgs/msg/Quaternion")
class Quaternion:
    """A rotation; at first none."""

    x: Float64 = 0.0
    y: Float64 = 0.0
    z: Float64 = 0.0
    w: Float64 = 1.0


@message("geometry_msgs/msg/QuaternionStamped")
class QuaternionStamped:
    """A rotation in a frame."""

    header: Header = default()
    quaternion: Quaternion = default()


@message("geometry_msgs/msg/Pose")
class Pose:
    """A position and a rotation."""

    position: Point = default()
    orientation: Quaternion = default()


@message("geometry_msgs/msg/Pose2D")
class Pose2D:
    """A pose in the plane."""

    x: Float64 = 0.0
    y: Float64 = 0.0
    theta: Float64 = 0.0


@message("geometry_msgs/msg/PoseStamped")
class PoseStamped:
    """A pose in a frame."""

    header: Header = default()
    pose: Pose = default()


@message("geometry_msgs/msg/PoseArray")
class PoseArray:
    """Poses in one frame."""

    header: Header = default()
    poses: list[Pose] = default()


@message("geometry_msgs/msg/PoseWithCovariance")
class PoseWithCovariance:
    """A pose and how well it is known."""

    pose: Pose = default()
    covariance: Covariance = default()


@message("geometry_msgs/msg/PoseWithCovarianceStamped")
class PoseWithCovarianceStamped:
    """A pose in a frame and how well it is known: what a localisation says."""

    header: Header = default()
    pose: PoseWithCovariance = default()


@message("geometry_msgs/msg/Twist")
class Twist:
    """A velocity."""

    linear: Vector3 = default()
    angular: Vector3 = default()


@message("geometry_msgs/msg/TwistStamped")
class TwistStamped:
    """A velocity in a frame."""

    header: Header = default()
    twist: Twist = default()


@message("geometry_msgs/msg/TwistWithCovariance")
class TwistWithCovariance:
    """A velocity and how well it is known."""

    twist: Twist = default()
    covariance: Covariance = default()


@message("geometry_msgs/msg/TwistWithCovarianceStamped")
class TwistWithCovarianceStamped:
    """A velocity in a frame and how well it is known."""

    header: Header = default()
    twist: TwistWithCovariance = default()


@message("geometry_msgs/msg/Accel")
class Accel:
    """An acceleration."""

    linear: Vector3 = default()
    angular: Vector3 = default()


@message("geometry_msgs/msg/AccelStamped")
class AccelStamped:
    """An acceleration in a frame."""

    header: Header = default()
    accel: Accel = default()


@message("geometry_msgs/msg/AccelWithCovariance")
class AccelWithCovariance:
    """An acceleration and how well it is known."""

    accel: Accel = default()
    covariance: Covariance = default()


@message("geometry_msgs/msg/AccelWithCovarianceStamped")
class AccelWithCovarianceStamped:
    """An acceleration in a frame and how well it is known."""

    header: Header = default()
    accel: AccelWithCovariance = default()


@message("geometry_msgs/msg/Transform")
class Transform:
    """A translation after a rotation."""

    translation: Vector3 = default()
    rotation: Quaternion = default()


@message("geometry_msgs/msg/TransformStamped")
class TransformStamped:
    """Where the child frame lies in the header's frame."""

    header: Header = default()
    child_frame_id: String = ""
    transform: Transform = default()


@message("geometry_msgs/msg/Polygon")
class Polygon:
    """Corners; the last is joined to the first."""

    points: list[Point32] = default()


@message("geometry_msgs/msg/PolygonStamped")
class PolygonStamped:
    """A polygon in a frame."""

    header: Header = default()
    polygon: Polygon = default()


@message("geometry_msgs/msg/PolygonInstance")
class PolygonInstance:
    """A polygon with an identity."""

    polygon: Polygon = default()
    id: Int64 = 0


@message("geometry_msgs/msg/PolygonInstanceStamped")
class PolygonInstanceStamped:
    """A polygon with an identity, in a frame."""

    header: Header = default()
    polygon: PolygonInstance = default()


@message("geometry_msgs/msg/VelocityStamped")
class VelocityStamped:
    """The velocity of one frame relative to another, as seen in the header's frame."""

    header: Header = default()
    body_frame_id: String = ""
    reference_frame_id: String = ""
    velocity: Twist = default()


@message("geometry_msgs/msg/Wrench")
class Wrench:
    """A force and a torque."""

    force: Vector3 = default()
    torque: Vector3 = default()


@message("geometry_msgs/msg/WrenchStamped")
class WrenchStamped:
    """A force and a torque in a frame."""

    header: Header = default()
    wrench: Wrench = default()


@message("geometry_msgs/msg/Inertia")
class Inertia:
    """A mass, its centre, and its moments about that."""

    m: Float64 = 0.0
    com: Vector3 = default()
    ixx: Float64 = 0.0
    ixy: Float64 = 0.0
    ixz: Float64 = 0.0
    iyy: Float64 = 0.0
    iyz: Float64 = 0.0
    izz: Float64 = 0.0


@message("geometry_msgs/msg/InertiaStamped")
class InertiaStamped:
    """An inertia in a frame."""

    header: Header = default()
    inertia: Inertia = default()
