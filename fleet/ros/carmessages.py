"""A car's readings and commands as ROS messages, both ways: what the plant says and what the car node understands.

    topic               message                              what is read
    odom                nav_msgs/Odometry                    place in odom, speed
    imu                 sensor_msgs/Imu                      acceleration along x, yaw rate
    joint_states        sensor_msgs/JointState               angle of the steering, of the joint `steering_joint`
    pose                geometry_msgs/PoseWithCovarianceStamped    base_link in map, with how unsure that is
    lane_pose           geometry_msgs/PoseWithCovarianceStamped    base_link in `lane`: y and yaw against its middle
    objects             autoware_perception_msgs/TrackedObjects    who else is there, in base_link or map
    scan                sensor_msgs/LaserScan                ranges, for the black box
    ackermann_cmd       ackermann_msgs/AckermannDriveStamped    the command

Errors travel as covariances; a bound is SIGMAS standard deviations, and a covariance that is negative or wider than
UNKNOWN says that nothing is known. All numbers but those of commands are float64, so that float32 comes through bit
for bit. x and y of the map are the road file's own; a car works about the road's middle (`origin`).

What cannot be believed raises `CarMessageError` with one line: which topic, what was expected, what came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fleet.ros.messages.ackermann_msgs import AckermannDrive, AckermannDriveStamped
from fleet.ros.messages.autoware_perception_msgs import ObjectClassification, TrackedObject, TrackedObjects
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.geometry_msgs import Pose as PoseMessage
from fleet.ros.messages.geometry_msgs import (
    PoseStamped,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Quaternion,
    Vector3,
)
from fleet.ros.messages.nav_msgs import Odometry as OdometryMessage
from fleet.ros.messages.sensor_msgs import BatteryState, Imu, JointState, LaserScan
from fleet.ros.messages.std_msgs import Header
from sim.actors import ActorKind
from sim.driving.reading import (
    Charge,
    Inertia,
    LanePlace,
    Listed,
    ObjectList,
    Odometry,
    Place,
    Pose,
    Scan,
    Steering,
)
from sim.errors import MusterError, shown
from sim.robot import SECOND

SIGMAS = 3.0
"""Standard deviations of a bound: those after which our own sensors' noise ends (sim/driving/sensing.py: CLIP)."""

UNKNOWN = 100.0
"""m; whoever is so unsure of a place knows none."""

LABELS = {
    ActorKind.STATIC: ObjectClassification.HAZARD,
    ActorKind.CAR: ObjectClassification.CAR,
    ActorKind.TRUCK: ObjectClassification.TRUCK,
    ActorKind.MOTORCYCLE: ObjectClassification.MOTORCYCLE,
    ActorKind.BICYCLE: ObjectClassification.BICYCLE,
    ActorKind.PEDESTRIAN: ObjectClassification.PEDESTRIAN,
}
"""How the plant calls what it simulates."""

KINDS = {label: kind for kind, label in LABELS.items()} | {
    ObjectClassification.UNKNOWN: ActorKind.CAR,  # whatever may be, may drive
    ObjectClassification.BUS: ActorKind.TRUCK,
    ObjectClassification.TRAILER: ActorKind.TRUCK,
    ObjectClassification.ANIMAL: ActorKind.PEDESTRIAN,
}
"""What a car takes a label for; what may be driven over or under is no obstacle and is left out."""

PASSABLE = (ObjectClassification.OVER_DRIVABLE, ObjectClassification.UNDER_DRIVABLE)


class CarMessageError(MusterError):
    """A message that a car cannot believe."""


def prefix_of(namespace: str) -> str:
    """What the frames of a car in a namespace begin with on the one /tf of all: `r1/` in /r1, nothing at the root."""
    return f"{namespace.strip('/')}/" if namespace.strip("/") else ""


@dataclass(frozen=True)
class Frames:
    """What frames are called; REP 105's names with a prefix, as `r1/`."""

    prefix: str = ""

    @property
    def map(self) -> str:
        """Shared by all: without the prefix."""
        return "map"

    @property
    def odom(self) -> str:
        """Of one car."""
        return f"{self.prefix}odom"

    @property
    def base(self) -> str:
        """Of one car."""
        return f"{self.prefix}base_link"

    @property
    def lane(self) -> str:
        """The middle of the lane that the car is in, beside base_link, along the lane."""
        return f"{self.prefix}lane"


# --- what the plant says ---------------------------------------------------------------------------------------------


def odometry_message(odometry: Odometry, turn: float, frames: Frames) -> OdometryMessage:
    """nav_msgs/Odometry with the yaw rate `turn`, rad/s."""
    message = OdometryMessage(Header(time_of(odometry.stamp), frames.odom), frames.base)
    message.pose.pose = _pose(odometry.pose)
    message.twist.twist.linear.x, message.twist.twist.angular.z = odometry.speed, turn
    return message


def inertia_message(inertia: Inertia, frames: Frames) -> Imu:
    """sensor_msgs/Imu without an orientation."""
    message = Imu(Header(time_of(inertia.stamp), frames.base))
    message.orientation_covariance[0] = -1.0  # sensor_msgs/Imu: there is none
    message.linear_acceleration.x, message.angular_velocity.z = inertia.accel, inertia.turn
    return message


def steering_message(steering: Steering, joint: str, wheelbase: float, frames: Frames) -> JointState:
    """sensor_msgs/JointState of the steering alone."""
    angle = math.atan(wheelbase * steering.curvature)
    return JointState(Header(time_of(steering.stamp), frames.base), [joint], np.array([angle]))


def place_message(place: Place, origin: tuple[float, float], frames: Frames) -> PoseWithCovarianceStamped:
    """Where localisation says that base_link is."""
    x, y, yaw = place.pose
    pose = _pose((x + origin[0], y + origin[1], yaw))
    covariance = _covariance(place.bound, place.bound, place.yaw_bound)
    return PoseWithCovarianceStamped(Header(time_of(place.stamp), frames.map), PoseWithCovariance(pose, covariance))


def lane_message(lane: LanePlace | None, stamp: int, bound: float, frames: Frames) -> PoseWithCovarianceStamped:
    """Where the lane camera says that base_link is in its lane; a covariance of -1 where it sees none."""
    header = Header(time_of(stamp), frames.lane)
    if lane is None:
        unknown = np.zeros(36)
        unknown[7] = -1.0
        return PoseWithCovarianceStamped(header, PoseWithCovariance(PoseMessage(), unknown))
    pose, covariance = _pose((0.0, lane.d, lane.heading)), _covariance(0.0, bound, 0.0)
    return PoseWithCovarianceStamped(header, PoseWithCovariance(pose, covariance))


def objects_message(objects: ObjectList, frames: Frames) -> TrackedObjects:
    """Everybody who was seen, in base_link."""
    return TrackedObjects(
        Header(time_of(objects.stamp), frames.base), [_object_message(each) for each in objects.objects]
    )


def _object_message(each: Listed) -> TrackedObject:
    message = TrackedObject(existence_probability=1.0)
    message.object_id.uuid[:] = np.frombuffer(each.name, np.uint8)
    message.classification = [ObjectClassification(LABELS[ActorKind(each.kind)], 1.0)]
    kinematics = message.kinematics
    kinematics.pose_with_covariance = PoseWithCovariance(
        _pose(each.pose), _covariance(each.spread, each.spread, 0.0)
    )  # fmt: skip
    twist = kinematics.twist_with_covariance.twist
    twist.linear.x, twist.linear.y = each.speed, each.across
    kinematics.acceleration_with_covariance.accel.linear.x = each.accel
    kinematics.orientation_availability = kinematics.AVAILABLE
    kinematics.is_stationary = each.kind == ActorKind.STATIC
    message.shape.dimensions = Vector3(each.length, each.width, 1.5)
    return message


def charge_message(charge: Charge, frames: Frames) -> BatteryState:
    """sensor_msgs/BatteryState of the state of charge alone."""
    return BatteryState(
        header=Header(time_of(charge.stamp), frames.base), voltage=math.nan, temperature=math.nan, current=math.nan,
        charge=math.nan, capacity=math.nan, design_capacity=math.nan, percentage=charge.share, present=True,
    )  # fmt: skip


def scan_message(scan: Scan, range_max: float, period: float, frames: Frames) -> LaserScan:
    """Ray i of n points to -pi + 2 pi i / n, from the middle of the car's box."""
    rays = len(scan.ranges)
    return LaserScan(
        Header(time_of(scan.stamp), f"{frames.prefix}lidar"),
        -math.pi, -math.pi + math.tau * (rays - 1) / rays, math.tau / rays, 0.0, period, 0.0, range_max,
        ranges=np.asarray(scan.ranges, np.float32),
    )  # fmt: skip


def command_message(
    stamp: int, acceleration: float, angle: float, speed: float, limits: tuple[float, float], frames: Frames
) -> AckermannDriveStamped:
    """A command for a car: `limits` are the steering's rate (rad/s) and the jerk (m/s^3) at most.

    `acceleration` has a sign, as most bases take it; `speed` is the one that it leads to, for those that ask for that.
    """
    drive = AckermannDrive(angle, limits[0], speed, acceleration, limits[1])
    return AckermannDriveStamped(Header(time_of(stamp), frames.base), drive)


# --- what the car understands ----------------------------------------------------------------------------------------


def read_odometry(message: OdometryMessage, frames: Frames) -> Odometry:
    """Raises `CarMessageError`."""
    _frame("odom", message.header, frames.odom)
    if message.child_frame_id != frames.base:
        raise CarMessageError(f"odom: expected child frame {frames.base}, came {shown(message.child_frame_id)}")
    pose, speed = _planar("odom", message.pose.pose), message.twist.twist.linear.x
    return Odometry(stamp_of(message.header), pose, _number("odom", "speed", speed))


def read_inertia(message: Imu, frames: Frames) -> Inertia:
    """Raises `CarMessageError`."""
    _frame("imu", message.header, frames.base, f"{frames.prefix}imu_link")
    accel = _number("imu", "acceleration", message.linear_acceleration.x)
    return Inertia(stamp_of(message.header), accel, _number("imu", "yaw rate", message.angular_velocity.z))


def read_steering(message: JointState, joint: str, wheelbase: float) -> Steering | None:
    """None where the message is about other joints. Raises `CarMessageError`."""
    if joint not in message.name:
        return None
    row = message.name.index(joint)
    if row >= len(message.position):
        raise CarMessageError(f"joint_states: expected a position of {joint}, came {len(message.position)} positions")
    angle = _number("joint_states", "angle", float(message.position[row]))
    if abs(angle) > 1.4:
        raise CarMessageError(f"joint_states: expected a wheel's angle within 1.4 rad, came {angle:.3g}")
    return Steering(stamp_of(message.header), math.tan(angle) / wheelbase)


def read_place(message: PoseWithCovarianceStamped, origin: tuple[float, float], frames: Frames) -> Place:
    """Raises `CarMessageError`."""
    _frame("pose", message.header, frames.map)
    x, y, yaw = _planar("pose", message.pose.pose)
    wide = [_bound(float(message.pose.covariance[row])) for row in (0, 7)]
    turned = _bound(float(message.pose.covariance[35]))
    pose = (x - origin[0], y - origin[1], yaw)
    return Place(stamp_of(message.header), pose, max(wide), min(turned, math.pi))


def read_lane(message: PoseWithCovarianceStamped, frames: Frames) -> LanePlace | None:
    """None where the camera sees no lane. Raises `CarMessageError`."""
    _frame("lane_pose", message.header, frames.lane)
    if _bound(float(message.pose.covariance[7])) > UNKNOWN:
        return None
    _, d, heading = _planar("lane_pose", message.pose.pose)
    return LanePlace(stamp_of(message.header), d, heading)


def read_objects(message: TrackedObjects, origin: tuple[float, float], frames: Frames) -> ObjectList:
    """Raises `CarMessageError`: a list with one object that cannot be believed is none."""
    _frame("objects", message.header, frames.base, frames.map)
    mapped = message.header.frame_id == frames.map
    found = [_read_object(each, origin if mapped else (0.0, 0.0)) for each in message.objects]
    names = [each.name for each in found if each is not None]
    if len(set(names)) != len(names):
        raise CarMessageError("objects: expected another object_id for each object, came one twice")
    return ObjectList(stamp_of(message.header), tuple(each for each in found if each is not None), mapped)


def _read_object(each: TrackedObject, origin: tuple[float, float]) -> Listed | None:
    label = max(each.classification, key=lambda one: one.probability, default=ObjectClassification()).label
    if label in PASSABLE:
        return None
    kinematics = each.kinematics
    if kinematics.orientation_availability != kinematics.AVAILABLE:
        raise CarMessageError("objects: expected an object's orientation to be AVAILABLE (2), it is not")
    x, y, yaw = _planar("objects", kinematics.pose_with_covariance.pose)
    covariance, twist = kinematics.pose_with_covariance.covariance, kinematics.twist_with_covariance.twist
    accel, size = kinematics.acceleration_with_covariance.accel.linear.x, each.shape.dimensions
    spread = max(_bound(float(covariance[row])) for row in (0, 7))
    if spread > UNKNOWN:
        raise CarMessageError("objects: expected the covariance of an object's place, came none")
    length, width = (_number("objects", name, value) for name, value in (("length", size.x), ("width", size.y)))
    if not (length > 0.0 and width > 0.0):
        raise CarMessageError(f"objects: expected the length and width of an object, came {length:g} and {width:g} m")
    return Listed(
        name=each.object_id.uuid.tobytes(),
        kind=int(KINDS.get(label, ActorKind.CAR)),
        pose=(x - origin[0], y - origin[1], yaw),
        speed=_number("objects", "speed", twist.linear.x),
        across=_number("objects", "speed across", twist.linear.y),
        accel=_number("objects", "acceleration", accel),
        length=length,
        width=width,
        spread=spread,
    )


def read_scan(message: LaserScan) -> Scan:
    """Ranges as they came; a scan is recorded, nobody drives by it."""
    return Scan(stamp_of(message.header), np.asarray(message.ranges, np.float32))


def read_charge(message: BatteryState) -> Charge:
    """A share that is none (NaN: not measured; 87 for 87 %) is NaN, which a car does not drive on by."""
    share = message.percentage
    return Charge(stamp_of(message.header), share if 0.0 <= share <= 1.0 else math.nan)


def planar_of(topic: str, message: PoseStamped, frame: str) -> Pose:
    """x, y and yaw of a pose in a frame. Raises `CarMessageError`."""
    _frame(topic, message.header, frame)
    return _planar(topic, message.pose)


def pose_message(pose: Pose, stamp: int, frame: str) -> PoseStamped:
    """A pose in a frame."""
    return PoseStamped(Header(time_of(stamp), frame), _pose(pose))


def read_command(message: AckermannDriveStamped) -> tuple[int, float, float]:
    """Stamp, acceleration and angle of a command. Raises `CarMessageError`."""
    drive = message.drive
    acceleration = _number("ackermann_cmd", "acceleration", drive.acceleration)
    return stamp_of(message.header), acceleration, _number("ackermann_cmd", "steering angle", drive.steering_angle)


# --- times, frames, numbers ------------------------------------------------------------------------------------------


def stamp_of(header: Header) -> int:
    """A header's time, ns."""
    return header.stamp.sec * SECOND + header.stamp.nanosec


def time_of(stamp: int) -> Time:
    """A time in ns as a message has it."""
    return Time(stamp // SECOND, stamp % SECOND)


def _pose(pose: Pose) -> PoseMessage:
    message = PoseMessage(orientation=Quaternion(0.0, 0.0, math.sin(0.5 * pose[2]), math.cos(0.5 * pose[2])))
    message.position.x, message.position.y = pose[0], pose[1]
    return message


def _planar(topic: str, pose: PoseMessage) -> Pose:
    """x, y and yaw. Raises `CarMessageError` for numbers that are none, a quaternion that is none, or a car on end."""
    q = pose.orientation
    numbers = (pose.position.x, pose.position.y, q.x, q.y, q.z, q.w)
    if not all(map(math.isfinite, numbers)):
        raise CarMessageError(f"{topic}: expected numbers in a pose, came {', '.join(f'{each:g}' for each in numbers)}")
    length = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w
    if not 0.99 < length < 1.01:
        raise CarMessageError(f"{topic}: expected a quaternion of length 1, came one of {math.sqrt(length):.3g}")
    if q.x * q.x + q.y * q.y > 0.03:  # 20 degrees: no road is so steep
        raise CarMessageError(f"{topic}: expected a car on its wheels, came one that is tilted by more than 20 degrees")
    yaw = math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))
    return pose.position.x, pose.position.y, yaw


def _covariance(x: float, y: float, yaw: float) -> np.ndarray:
    """Of bounds in x, y (m) and yaw (rad); (36,)."""
    values = np.zeros(36)
    values[[0, 7, 35]] = [(bound / SIGMAS) ** 2 for bound in (x, y, yaw)]
    return values


def _bound(covariance: float) -> float:
    """The bound that a variance means; inf where it is none."""
    return SIGMAS * math.sqrt(covariance) if covariance >= 0.0 else math.inf


def _number(topic: str, name: str, value: float) -> float:
    if not math.isfinite(value):
        raise CarMessageError(f"{topic}: expected a number as its {name}, came {value}")
    return value


def _frame(topic: str, header: Header, *expected: str) -> None:
    if header.frame_id not in expected:
        raise CarMessageError(f"{topic}: expected frame {' or '.join(expected)}, came {shown(header.frame_id)}")
