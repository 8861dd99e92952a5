"""A car's curvature as the angle of a wheel in the middle of its front axle, which is how commands to cars say it.

    tan(angle) = wheelbase * curvature

Both are float32, as commands travel. A curvature that has gone through an angle is another one by a bit or two: whoever
remembers what a car was told keeps `as_curvature(as_angle(...))`, so that what is remembered is what arrives.
"""

from __future__ import annotations

import math

import numpy as np


def as_angle(curvature: float, wheelbase: float) -> float:
    """The angle, rad, as float32 has it; left positive. NaN stays NaN."""
    return float(np.float32(math.atan(wheelbase * curvature)))


def as_curvature(angle: float, wheelbase: float) -> float:
    """The curvature, 1/m, as float32 has it."""
    return float(np.float32(math.tan(angle) / wheelbase))
