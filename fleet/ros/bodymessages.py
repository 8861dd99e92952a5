"""A robot's readings as the messages that its body would send: scan, odometry, localisation, inertia, battery, frames.

Pure; the reading side is `fleet/ros/hearing.py`. Numbers go as they are, so that they come back as they are: ranges are
float32 on the wire too, poses and speeds go from float32 into float64.
"""

from __future__ import annotations

import math

import numpy as np

from fleet.ros.messages.geometry_msgs import (
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Twist,
    TwistWithCovariance,
    Vector3,
)
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.sensor_msgs import BatteryState, Imu, LaserScan
from fleet.ros.messages.std_msgs import Bool, Float64
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.planar import At, after, header, inverse, pose_of, transform_of
from fleet.ros.topics import Frames
from sim.robot import SECOND, Readings, RobotSpec

GRAVITY = 9.81
"""m/s^2, which an inertial unit at rest measures upwards."""
UNKNOWN = math.nan
"""What a battery does not measure (sensor_msgs/msg/BatteryState)."""


def scan_message(readings: Readings, spec: RobotSpec, frames: Frames) -> LaserScan:
    """The newest sweep; a ray that met nothing reads the largest range."""
    angles, rays = spec.lidar.angles(), spec.lidar.rays
    return LaserScan(
        header=header(readings.scan_stamp, frames.scan),
        angle_min=float(angles[0]),
        angle_max=float(angles[-1]),
        angle_increment=math.tau / rays,
        scan_time=spec.period / SECOND,
        range_max=spec.lidar.range_max,
        ranges=readings.scan,
    )


def odometry_message(readings: Readings, reckoned: At, frames: Frames) -> Odometry:
    """Speeds in the base's frame; `reckoned` is where they led since the start."""
    v, w = readings.twist.tolist()
    return Odometry(
        header=header(readings.twist_stamp, frames.odom),
        child_frame_id=frames.base,
        pose=PoseWithCovariance(pose_of(reckoned), _spread(0.1, 0.1)),
        twist=TwistWithCovariance(Twist(Vector3(v), Vector3(0.0, 0.0, w)), _spread(0.02, 0.02)),
    )


def pose_message(readings: Readings, spec: RobotSpec, frames: Frames) -> PoseWithCovarianceStamped:
    """Where the localisation finds the robot; a third of its bound as standard deviation."""
    x, y, yaw = readings.pose.tolist()
    spread = _spread(spec.localisation_bound / 3.0, 1e-3)
    return PoseWithCovarianceStamped(
        header(readings.pose_stamp, frames.map), PoseWithCovariance(pose_of((x, y, yaw)), spread)
    )


def inertia_message(stamp: int, rate: float, frames: Frames) -> Imu:
    """A gyro's yaw rate; orientation and acceleration are not measured, which covariances of -1 say."""
    none = np.array([-1.0] + [0.0] * 8)
    small = np.zeros(9)
    small[0] = small[4] = small[8] = 1e-6
    return Imu(
        header=header(stamp, frames.base),
        orientation_covariance=none,
        angular_velocity=Vector3(0.0, 0.0, rate),
        angular_velocity_covariance=small,
        linear_acceleration=Vector3(0.0, 0.0, GRAVITY),
        linear_acceleration_covariance=none,
    )


def battery_message(readings: Readings, frames: Frames) -> BatteryState:
    """The state of charge; nothing else is measured."""
    return BatteryState(
        header=header(readings.battery_stamp if readings.battery_stamp >= 0 else readings.stamp, frames.base),
        voltage=UNKNOWN,
        temperature=UNKNOWN,
        current=UNKNOWN,
        charge=UNKNOWN,
        capacity=UNKNOWN,
        design_capacity=UNKNOWN,
        percentage=readings.battery,
        present=True,
    )


def bumper_message(readings: Readings) -> Bool:
    """Whether something is touched."""
    return Bool(readings.bumper)


def lift_message(readings: Readings) -> Float64:
    """How far the lift with a pod is up, m; -1 without one."""
    return Float64(readings.lift)


def frames_message(readings: Readings, reckoned: At, frames: Frames) -> TFMessage:
    """Map -> odom -> base_link, so that the base is where the localisation finds it."""
    x, y, yaw = readings.pose.tolist()
    return TFMessage(
        [
            transform_of(readings.pose_stamp, frames.map, frames.odom, after((x, y, yaw), inverse(reckoned))),
            transform_of(readings.twist_stamp, frames.odom, frames.base, reckoned),
        ]
    )


def static_frames(frames: Frames) -> TFMessage:
    """The lidar is at base_link."""
    return TFMessage([transform_of(0, frames.base, frames.scan, (0.0, 0.0, 0.0))])


def _spread(metres: float, radians: float) -> np.ndarray:
    """Covariance (36,) of a planar quantity with these standard deviations."""
    spread = np.zeros(36)
    spread[0] = spread[7] = metres * metres
    spread[14] = spread[21] = spread[28] = 1e-9  # z, roll and pitch do not vary; filters want more than zero
    spread[35] = radians * radians
    return spread
