"""Who takes part: the robots of a world begin together, and whoever has ended leaves until all have.

A task over any other task on any plant. The task of each robot is the other one; this one says who takes part:

    agents     how many of a world's robots do, drawn for each of its episodes; the rest is padding, and so is, in that
               episode, a robot for which a crowded place had no room to begin clear of the others
    active     whoever takes part and has not ended (`state.active`): the mask of who acts next. One that ends is told
               so once, and is taken away before the next step, with what is its own, so that it blocks nobody's way
    ended      all rows of a world, when its last robot has: then the world begins anew

The reward is each robot's own, or the mean over those that acted, the same for all of them. Rows that do not act get 0
and never end. The warehouse's fleets: sim/tasks/fleet.py.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import warp as wp

from sim.bounds import check_whole
from sim.launches import Launchable
from sim.randomization import Term, below, draw_from, stream
from sim.rows import RobotArrays
from sim.tasks.sensed import Sensed
from sim.tasks.task import Outcome, Task

if TYPE_CHECKING:
    from sim.anyplant import AnyPlant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

FLEET_TERM = wp.constant(int(Term.FLEET))


@dataclass(frozen=True)
class Together:
    """How robots of a world take part."""

    fewest: int = 0
    """Robots that take part at least, where all find a place; at most all of a world's. 0: always all."""
    shared: bool = False
    """One reward for all that act, the mean of theirs."""

    def check(self) -> None:
        """Raise ConfigError for a number of robots that is none."""
        check_whole("fewest", self.fewest, 0)


@wp.struct
class FleetArrays:
    """Who takes part."""

    agents: wp.array(dtype=wp.int32)
    """Robots in this episode of each world, (worlds,)."""
    acted: wp.array(dtype=wp.uint8)
    """Who took part in the last step, (rows,)."""
    leaving: wp.array(dtype=wp.uint8)
    """Who ended in the last step and is still on the floor, (rows,)."""
    closed: wp.array(dtype=wp.uint8)
    """Whether the world's episode ended in the last step, (worlds,)."""
    spare: wp.array(dtype=wp.uint8)
    """Who found no place in the episodes that began last, (rows,); of no use later."""


@wp.kernel
def choose_agents(
    seed: int, robots: int, fewest: int, mask: wp.array(dtype=wp.uint8), state: RobotArrays, who: FleetArrays
) -> None:
    """How many robots take part in the worlds that begin whole; masked rows below that number do."""
    world = wp.tid()
    whole = wp.bool(True)
    for robot in range(robots):
        if mask[world * robots + robot] == wp.uint8(0):
            whole = False
    if whole:
        first = world * robots
        few = wp.min(fewest, robots)
        if fewest == 0:
            few = robots
        drawn = below(draw_from(stream(seed, FLEET_TERM, first, state.episode[first]), 0), robots - few + 1)
        who.agents[world] = few + drawn
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0):
            who.leaving[row] = wp.uint8(0)
            state.active[row] = wp.uint8(0)
            if robot < who.agents[world]:
                state.active[row] = wp.uint8(1)


@wp.kernel
def spare_crowded(
    robots: int, clear: float, mask: wp.array(dtype=wp.uint8), state: RobotArrays, who: FleetArrays
) -> None:
    """Masked rows that would begin nearer to another one that takes part than `clear`, m, take no part."""
    world = wp.tid()
    for robot in range(robots):
        row = world * robots + robot
        who.spare[row] = wp.uint8(0)
        if mask[row] != wp.uint8(0) and state.active[row] != wp.uint8(0):
            for other in range(robots):
                o = world * robots + other
                placed = other != robot and (mask[o] == wp.uint8(0) or other < robot)
                if placed and state.active[o] != wp.uint8(0):
                    dx = state.pose[o, 0] - state.pose[row, 0]
                    dy = state.pose[o, 1] - state.pose[row, 1]
                    if dx * dx + dy * dy < clear * clear:
                        who.spare[row] = wp.uint8(1)
            if who.spare[row] != wp.uint8(0):
                state.active[row] = wp.uint8(0)


@wp.kernel
def judge_fleet(robots: int, shared: int, state: RobotArrays, who: FleetArrays, outcome: Outcome) -> None:
    """Who acted, who leaves, what all earn, and whether the world's episode is over."""
    world = wp.tid()
    total = wp.float32(0.0)
    many = wp.float32(0.0)
    left = wp.int32(0)
    for robot in range(robots):
        row = world * robots + robot
        who.acted[row] = state.active[row]
        who.leaving[row] = wp.uint8(0)
        if state.active[row] != wp.uint8(0):
            total += outcome.reward[row]
            many += 1.0
            if outcome.ended[row] != wp.uint8(0):
                state.active[row] = wp.uint8(0)
                who.leaving[row] = wp.uint8(1)
            else:
                left += 1
    over = wp.uint8(0)
    if left == 0:
        over = wp.uint8(1)
    who.closed[world] = over
    for robot in range(robots):
        row = world * robots + robot
        outcome.ended[row] = over
        if shared == 1 and who.acted[row] != wp.uint8(0):
            outcome.reward[row] = total / many


@wp.kernel
def observe_fleet(
    mask: wp.array(dtype=wp.uint8),
    state: RobotArrays,
    who: FleetArrays,
    observation: wp.array2d(dtype=wp.float32),
    last: wp.array2d(dtype=wp.float32),
) -> None:
    """What a row saw as it ended is kept; whoever takes no part sees zeros."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    for k in range(observation.shape[1]):
        if who.leaving[row] != wp.uint8(0):
            last[row, k] = observation[row, k]
        if state.active[row] == wp.uint8(0):
            observation[row, k] = 0.0


class Fleet:
    """`sim.tasks.task.Task`: one robot's task, and who takes part in it. Owns who does."""

    def __init__(
        self, plant: AnyPlant, each: Task, together: Together, *, clear: float, sensed: Sensed | None = None
    ) -> None:
        """`each` is one robot's task; who begins nearer to another one than `clear`, m, takes no part.

        `sensed` adds to the observation of `each`: here and not behind this task's, because who takes part decides what
        of it is seen, too.
        """
        rows, worlds, device = plant.rows, plant.worlds, plant.device
        self.plant, self.each, self.together = plant, each, together
        self._clear, self._sensed = clear, sensed
        whole = sensed or each
        self.contract, self.corridor, self.outcome = whole.contract, each.corridor, each.outcome
        self.action, self.observation = self.each.action, whole.observation
        self.last = wp.zeros_like(self.observation)
        """What each row saw when it ended last, float32 (rows, observation)."""
        self.who = FleetArrays()
        self.who.agents = wp.full(worlds, plant.robots, dtype=wp.int32, device=device)
        self.who.acted = wp.zeros(rows, dtype=wp.uint8, device=device)
        self.who.leaving = wp.zeros(rows, dtype=wp.uint8, device=device)
        self.who.closed = wp.zeros(worlds, dtype=wp.uint8, device=device)
        self.who.spare = wp.zeros(rows, dtype=wp.uint8, device=device)
        state = plant.state
        leaving = self.who.leaving
        self.act: Sequence[Launchable] = [*self.leave(leaving), plant.place(leaving), *self.each.act]
        judge = plant.record(judge_fleet, worlds, [plant.robots, int(together.shared), state, self.who, self.outcome])
        self.advance: Sequence[Launchable] = [*self.each.advance, judge]

    def arrays(self) -> dict[str, wp.array]:
        """The robots' and who takes part."""
        who = {f"who.{name}": getattr(self.who, name) for name in ("agents", "acted", "leaving")}
        seen = {"sensed.observation": self.observation} if self._sensed else {}
        return dict(self.each.arrays()) | who | {"last": self.last} | seen

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """Who takes part, then their own beginnings; who has no place then stands aside."""
        plant, state, who = self.plant, self.plant.state, self.who
        chosen = [plant.seed, plant.robots, self.together.fewest, mask, state, who]
        return [
            plant.record(choose_agents, plant.worlds, chosen),
            *self.each.begin(mask),
            plant.record(spare_crowded, plant.worlds, [plant.robots, self._clear, mask, state, who]),
            *self.each.leave(who.spare),
        ]

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """As their task says."""
        return self.each.leave(mask)

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """Each robot's own observation, with its sensors where they are asked for."""
        inputs = [mask, self.plant.state, self.who, self.observation, self.last]
        own = [*self.each.observe(mask), *(self._sensed.append(mask) if self._sensed else ())]
        return [*own, self.plant.record(observe_fleet, self.plant.rows, inputs)]
