"""`autoware_perception_msgs`: who else is on the road, as trackers of driving stacks tell each other.

Source: https://github.com/autowarefoundation/autoware_msgs, branch main.
"""

from __future__ import annotations

from typing import ClassVar

from fleet.ros.kinds import Bool, Float32, UInt8, default, message
from fleet.ros.messages.geometry_msgs import (
    AccelWithCovariance,
    Polygon,
    PoseWithCovariance,
    TwistWithCovariance,
    Vector3,
)
from fleet.ros.messages.std_msgs import Header
from fleet.ros.messages.unique_identifier_msgs import UUID


@message("autoware_perception_msgs/msg/ObjectClassification")
class ObjectClassification:
    """What an object is, and how surely."""

    UNKNOWN: ClassVar[int] = 0
    CAR: ClassVar[int] = 1
    TRUCK: ClassVar[int] = 2
    BUS: ClassVar[int] = 3
    TRAILER: ClassVar[int] = 4
    MOTORCYCLE: ClassVar[int] = 5
    BICYCLE: ClassVar[int] = 6
    PEDESTRIAN: ClassVar[int] = 7
    ANIMAL: ClassVar[int] = 8
    HAZARD: ClassVar[int] = 9
    OVER_DRIVABLE: ClassVar[int] = 10
    UNDER_DRIVABLE: ClassVar[int] = 11
    label: UInt8 = 0
    probability: Float32 = 0.0


@message("autoware_perception_msgs/msg/Shape")
class Shape:
    """The room that an object takes; of a box `dimensions` are its length, width and height."""

    BOUNDING_BOX: ClassVar[int] = 0
    CYLINDER: ClassVar[int] = 1
    POLYGON: ClassVar[int] = 2
    type: UInt8 = 0
    footprint: Polygon = default()
    dimensions: Vector3 = default()


@message("autoware_perception_msgs/msg/TrackedObjectKinematics")
class TrackedObjectKinematics:
    """Where an object is and how it moves; its velocities and accelerations are along its own axes."""

    UNAVAILABLE: ClassVar[int] = 0
    SIGN_UNKNOWN: ClassVar[int] = 1
    AVAILABLE: ClassVar[int] = 2
    pose_with_covariance: PoseWithCovariance = default()
    twist_with_covariance: TwistWithCovariance = default()
    acceleration_with_covariance: AccelWithCovariance = default()
    orientation_availability: UInt8 = 0
    is_stationary: Bool = False


@message("autoware_perception_msgs/msg/TrackedObject")
class TrackedObject:
    """One object, with a name that stays the same from list to list."""

    object_id: UUID = default()
    existence_probability: Float32 = 0.0
    classification: list[ObjectClassification] = default()
    kinematics: TrackedObjectKinematics = default()
    shape: Shape = default()


@message("autoware_perception_msgs/msg/TrackedObjects")
class TrackedObjects:
    """Everybody who was seen at the header's stamp, in the header's frame."""

    header: Header = default()
    objects: list[TrackedObject] = default()
