"""What a manoeuvre policy's choice asks for, and which skill answers: the kernels of one car as of many.

    decide    action -> Wish: a lane to the left or right where there is one, a pace, or a stop at the side. Who asks
              for no side changes lanes where the route must, when it is due, as a driver with a navigation device
    drive     each control step: the skill that the wish asks for answers the observation

`sim.driving.manoeuvre` repeats them over an environment, `fleet.carcontrol` in a car; nothing here knows a simulator.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import replace

import warp as wp

from sim.driving.contract import GOAL, GOAL_AT
from sim.driving.pathframe import path_at
from sim.driving.state import View
from sim.driving.wish import SLOWEST, Wish
from sim.perceptron import Layers, Net, answer

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PERIOD = 1.0
"""Between two choices, s."""

ASKED, INSISTED = wp.constant(0.5), wp.constant(2.0 / 3.0)
"""An action above the first (below its negative) asks for a lane; above the second, for a stop at the side."""

EACH, DUE = wp.constant(15.0), wp.constant(50.0)
"""A change of lane that the route asks for is due so long before its end, s for each lane (the skill's time limit,
waiting for a gap included), and so far, m."""


@wp.kernel
def decide(action: wp.array2d(dtype=wp.float32), view: View, wish: Wish) -> None:
    """What each row's action asks for; a change of lane under way is let finish unless the other side is asked for."""
    row = wp.tid()
    here = path_at(view, row, 0.0)
    wanted = wp.int32(0)
    if action[row, 0] > ASKED:
        wanted = 1
    if action[row, 0] < -ASKED:
        wanted = -1
    changes = view.goal[row, 1]
    if wanted == 0 and view.goal[row, 2] < DUE + EACH * wp.abs(changes) * view.motion[row, 0]:
        wanted = wp.int32(wp.sign(changes)) * wp.where(wp.abs(changes) > 0.5, 1, 0)
    side = wp.int32(0)
    if wanted > 0 and here.left_lane > 0.0:
        side = 1
    if wanted < 0 and here.right_lane > 0.0:
        side = -1
    if wish.side[row] == 0 or wish.side[row] * side < 0:
        wish.side[row] = side
    wish.pace[row] = SLOWEST + (1.0 - SLOWEST) * wp.clamp(1.0 + action[row, 1], 0.0, 1.0)
    wish.pull[row] = wp.uint8(wp.where(action[row, 2] > INSISTED, 1, 0))


@wp.kernel
def drive(
    lane: Net,
    change: Net,
    pull_over: Net,
    wish: Wish,
    seen: wp.array2d(dtype=wp.float32),
    action: wp.array2d(dtype=wp.float32),
) -> None:
    """The answer of the skill that each row's wish asks for."""
    row = wp.tid()
    said = wp.vec2()
    if wish.pull[row] != wp.uint8(0):
        said = answer(row, seen, pull_over)
    elif wish.side[row] != 0:
        said = answer(row, seen, change)
    else:
        said = answer(row, seen, lane)
    action[row, 0] = said[0]
    action[row, 1] = said[1]


def aimless(layers: Layers) -> Layers:
    """A skill's layers without ears for the goal, which it never heard of when it learned."""
    weights = layers.weights[0].copy()
    weights[:, GOAL_AT : GOAL_AT + GOAL] = 0.0
    return replace(layers, weights=(weights, *layers.weights[1:]))
