"""`rmw_dds_common`: what participants tell each other about their nodes, on `ros_discovery_info`.

Since Iron a Gid has 16 bytes; Humble's had 24.

Source: https://github.com/ros2/rmw_dds_common, branch jazzy.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fleet.ros.kinds import Kind, array, default, message

Name = Annotated[str, Kind("string", capacity=256)]
"""`string<=256`"""


@message("rmw_dds_common/msg/Gid")
class Gid:
    """An endpoint's or participant's identity."""

    data: Annotated[NDArray[np.uint8], array("char", 16)] = default()


@message("rmw_dds_common/msg/NodeEntitiesInfo")
class NodeEntitiesInfo:
    """A node and the endpoints that belong to it."""

    node_namespace: Name = ""
    node_name: Name = ""
    reader_gid_seq: list[Gid] = default()
    writer_gid_seq: list[Gid] = default()


@message("rmw_dds_common/msg/ParticipantEntitiesInfo")
class ParticipantEntitiesInfo:
    """A participant and its nodes."""

    gid: Gid = default()
    node_entities_info_seq: list[NodeEntitiesInfo] = default()
