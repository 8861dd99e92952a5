"""What is released where nothing verifies: a plan that holds its pace first is kept unless it does harm."""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import numpy as np
import pytest
import warp as wp

from safety.roadbounds import RoadBounds
from safety.roadmitigation import mitigate
from safety.roadsight import ABSENT, FASTEST, GOES_LEFT, HIGH_D, HIGH_S, KEEPER, LOOSE, LOW_D, LOW_S, RoadAsk, RoadSight
from safety.roadsight import ALONG as AHEAD
from safety.simplex import struct_of
from tests.safety.roadworld import CAR, RoadWorld

HOLD = 3.0
"""s of the plan's"""


@wp.kernel(enable_backward=False)
def ask_mitigate(
    hold: float, stops: float, ask: RoadAsk, sight: RoadSight, b: RoadBounds, out: wp.array(dtype=wp.float32)
) -> None:
    """What one row does by a plan that holds its pace first."""
    out[wp.tid()] = mitigate(wp.tid(), 0.0, hold, stops, ask, sight, b)


def released(mode: int, begins: float, beside: float = 0.0, leaves: float = 0.0) -> float:
    """The acceleration of a car at 3 m/s with somebody who stands so far ahead of its front."""
    world = RoadWorld(1, 1, spec=CAR, noise=0.0)
    world.put(0.0, 0.0, 3.0)
    world.sense()
    world.judge(np.array([[0.0, 0.0]]))
    memory, bounds = world.memory, world.shield.bounds
    memory.object_mode.numpy()[...] = ABSENT
    memory.object_mode.numpy()[0, 0] = mode
    box = memory.objects.numpy()[0, 0]
    box[...] = 0.0
    box[LOW_S], box[HIGH_S] = bounds.front + begins, bounds.front + begins + 4.5
    box[LOW_D], box[HIGH_D] = beside - 0.9, beside + 0.9
    box[AHEAD], box[FASTEST], box[GOES_LEFT] = 1.0, 0.0, leaves
    out = wp.zeros(1, dtype=wp.float32, device="cpu")
    ask, sight = struct_of(RoadAsk, world.inputs), struct_of(RoadSight, memory)
    wp.launch(ask_mitigate, 1, [HOLD, -bounds.comfort, ask, sight, bounds, out], device="cpu")
    return float(out.numpy()[0])


@pytest.mark.parametrize("gap", [0.4, 0.8, 2.0])
def test_a_plan_that_holds_its_pace_is_foreseen_with_the_stop_that_ends_it(gap: float) -> None:
    # 9 m at 3 m/s, then a comfortable stop with its jerk, 2.2 m
    assert released(int(KEEPER), 11.2 + gap) == 0.0
    assert released(int(KEEPER), 9.0 + 0.1 * gap) < -3.0


def test_braking_does_not_help_against_who_is_beside_already() -> None:
    assert released(int(KEEPER), -4.0, beside=1.9) == 0.0


def test_who_leaves_a_lane_far_ahead_stops_nobody() -> None:
    assert released(int(LOOSE), 100.0, beside=-3.5, leaves=1.0) == 0.0
    assert released(int(LOOSE), 6.0, beside=-1.0, leaves=1.0) < -3.0
