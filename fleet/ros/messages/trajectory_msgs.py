"""`trajectory_msgs`: joints over time.

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from fleet.ros.kinds import Float64s, default, message
from fleet.ros.messages.builtin_interfaces import Duration
from fleet.ros.messages.geometry_msgs import Transform, Twist
from fleet.ros.messages.std_msgs import Header


@message("trajectory_msgs/msg/JointTrajectoryPoint")
class JointTrajectoryPoint:
    """Where the joints shall be at one time."""

    positions: Float64s = default()
    velocities: Float64s = default()
    accelerations: Float64s = default()
    effort: Float64s = default()
    time_from_start: Duration = default()


@message("trajectory_msgs/msg/JointTrajectory")
class JointTrajectory:
    """Where named joints shall be over time."""

    header: Header = default()
    joint_names: list[str] = default()
    points: list[JointTrajectoryPoint] = default()


@message("trajectory_msgs/msg/MultiDOFJointTrajectoryPoint")
class MultiDOFJointTrajectoryPoint:
    """Where joints with several degrees of freedom shall be at one time."""

    transforms: list[Transform] = default()
    velocities: list[Twist] = default()
    accelerations: list[Twist] = default()
    time_from_start: Duration = default()


@message("trajectory_msgs/msg/MultiDOFJointTrajectory")
class MultiDOFJointTrajectory:
    """Where named joints with several degrees of freedom shall be over time."""

    header: Header = default()
    joint_names: list[str] = default()
    points: list[MultiDOFJointTrajectoryPoint] = default()
