"""`visualization_msgs`: what a viewer is to draw.

Source: https://github.com/ros2/common_interfaces, branch jazzy.
"""

from __future__ import annotations

from typing import ClassVar

from fleet.ros.kinds import Bool, Float32, Int32, String, UInt8s, default, message
from fleet.ros.messages.builtin_interfaces import Duration
from fleet.ros.messages.geometry_msgs import Point, Pose, Vector3
from fleet.ros.messages.sensor_msgs import CompressedImage
from fleet.ros.messages.std_msgs import ColorRGBA, Header


@message("visualization_msgs/msg/UVCoordinate")
class UVCoordinate:
    """A point of a texture."""

    u: Float32 = 0.0
    v: Float32 = 0.0


@message("visualization_msgs/msg/MeshFile")
class MeshFile:
    """A mesh sent along."""

    filename: String = ""
    data: UInt8s = default()


@message("visualization_msgs/msg/Marker")
class Marker:
    """A shape; one of the same namespace and id replaces it. A lifetime of zero is for ever."""

    ARROW: ClassVar[int] = 0
    CUBE: ClassVar[int] = 1
    SPHERE: ClassVar[int] = 2
    CYLINDER: ClassVar[int] = 3
    LINE_STRIP: ClassVar[int] = 4
    LINE_LIST: ClassVar[int] = 5
    CUBE_LIST: ClassVar[int] = 6
    SPHERE_LIST: ClassVar[int] = 7
    POINTS: ClassVar[int] = 8
    TEXT_VIEW_FACING: ClassVar[int] = 9
    MESH_RESOURCE: ClassVar[int] = 10
    TRIANGLE_LIST: ClassVar[int] = 11
    ARROW_STRIP: ClassVar[int] = 12
    ADD: ClassVar[int] = 0
    MODIFY: ClassVar[int] = 0
    DELETE: ClassVar[int] = 2
    DELETEALL: ClassVar[int] = 3

    header: Header = default()
    ns: String = ""
    id: Int32 = 0
    type: Int32 = 0
    action: Int32 = 0
    pose: Pose = default()
    scale: Vector3 = default()
    color: ColorRGBA = default()
    lifetime: Duration = default()
    frame_locked: Bool = False
    points: list[Point] = default()
    colors: list[ColorRGBA] = default()
    texture_resource: String = ""
    texture: CompressedImage = default()
    uv_coordinates: list[UVCoordinate] = default()
    text: String = ""
    mesh_resource: String = ""
    mesh_file: MeshFile = default()
    mesh_use_embedded_materials: Bool = False


@message("visualization_msgs/msg/MarkerArray")
class MarkerArray:
    """Shapes."""

    markers: list[Marker] = default()
