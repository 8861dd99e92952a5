"""`unique_identifier_msgs`: names that nobody else has.

Source: https://github.com/ros2/unique_identifier_msgs, branch jazzy.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fleet.ros.kinds import array, default, message


@message("unique_identifier_msgs/msg/UUID")
class UUID:
    """Sixteen bytes (RFC 9562)."""

    uuid: Annotated[NDArray[np.uint8], array("uint8", 16)] = default()
