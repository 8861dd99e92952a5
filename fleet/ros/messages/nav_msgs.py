"""`nav_msgs`: odometry, paths and maps.

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from fleet.ros.kinds import Float32, Int8s, String, UInt32, default, message
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.geometry_msgs import Point, Pose, PoseStamped, PoseWithCovariance, TwistWithCovariance
from fleet.ros.messages.std_msgs import Header


@message("nav_msgs/msg/Odometry")
class Odometry:
    """A pose in the header's frame, a velocity in the child frame."""

    header: Header = default()
    child_frame_id: String = ""
    pose: PoseWithCovariance = default()
    twist: TwistWithCovariance = default()


@message("nav_msgs/msg/Path")
class Path:
    """Poses to be followed."""

    header: Header = default()
    poses: list[PoseStamped] = default()


@message("nav_msgs/msg/Goals")
class Goals:
    """Poses to be reached."""

    header: Header = default()
    goals: list[PoseStamped] = default()


@message("nav_msgs/msg/MapMetaData")
class MapMetaData:
    """A grid's size; `resolution` is the side of a cell, `origin` the pose of cell (0, 0)'s corner."""

    map_load_time: Time = default()
    resolution: Float32 = 0.0
    width: UInt32 = 0
    height: UInt32 = 0
    origin: Pose = default()


@message("nav_msgs/msg/OccupancyGrid")
class OccupancyGrid:
    """A map: from 0 free to 100 occupied, -1 unknown, row by row from the origin."""

    header: Header = default()
    info: MapMetaData = default()
    data: Int8s = default()


@message("nav_msgs/msg/GridCells")
class GridCells:
    """Cells by their centres."""

    header: Header = default()
    cell_width: Float32 = 0.0
    cell_height: Float32 = 0.0
    cells: list[Point] = default()
