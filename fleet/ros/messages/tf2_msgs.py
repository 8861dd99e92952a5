"""`tf2_msgs`: the tree of frames.

Source: https://github.com/ros2/geometry2, branch jazzy.
"""

from __future__ import annotations

from fleet.ros.kinds import default, message
from fleet.ros.messages.geometry_msgs import TransformStamped


@message("tf2_msgs/msg/TFMessage")
class TFMessage:
    """Transforms, for `/tf` and `/tf_static`."""

    transforms: list[TransformStamped] = default()
