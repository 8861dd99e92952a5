"""`ackermann_msgs`: commands to vehicles that steer.

Source: https://github.com/ros-drivers/ackermann_msgs, branch ros2.
"""

from __future__ import annotations

from fleet.ros.kinds import Float32, default, message
from fleet.ros.messages.std_msgs import Header


@message("ackermann_msgs/msg/AckermannDrive")
class AckermannDrive:
    """A command: angle of a virtual wheel in the middle of the front axle, left positive; zero rates mean at once."""

    steering_angle: Float32 = 0.0
    steering_angle_velocity: Float32 = 0.0
    speed: Float32 = 0.0
    acceleration: Float32 = 0.0
    jerk: Float32 = 0.0


@message("ackermann_msgs/msg/AckermannDriveStamped")
class AckermannDriveStamped:
    """A command with its time and frame."""

    header: Header = default()
    drive: AckermannDrive = default()
