"""The pick task: a mobile manipulator before a shelf sucks an item out of a bin and lays it into its tote.

The robot stands; the arm is commanded in cylinder coordinates about its foot, the cup always straight down
(`sim/picking.py` has the same inverse for whoever plans ahead). Each motor period the arm's controller follows

    u <- u + clip(a - u, +- ACCEL dt)      p <- p + u dt, if the arm reaches p + u dt      angles = inverse(p)

with a = action times RATES, p of (pan, r, z). The fourth action is the suction: on above 0.

success      the item lies in the tote and the suction is off
terminated   success; the arm touches shelf, wall or person; the item falls; numbers that diverged
truncated    the time limit

reward = d before - d after, d the way of the cup to the item's face, or with the item at the cup that to the middle
of the tote, in m with 0.5 m for a radian of pan, and HELD less once it is held; a bonus at the end. A potential, so
that it changes no best policy (Ng, Harada, Russell, ICML 1999).

The item's place is read as an overhead camera would give it, without error; the vacuum switch tells whether the cup is
closed. Robots of one world have a shelf and an item each. Their corridor is the place where they stand.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import warp as wp

from sim.bodies.specs import mobile_manipulator
from sim.bounds import ConfigError, check_number
from sim.launches import Launchable
from sim.loads import Item, Loads, Shelf
from sim.picking import forward
from sim.robot import SECOND, Arm, RobotSpec
from sim.site import Site, SiteError
from sim.tasks.armkernels import ArmNumbers, Pick, act_pick, move_arm
from sim.tasks.contract import Contract, Field
from sim.tasks.pickkernels import OBSERVATION, STAND, begin_picks, judge_picks, leave_picks, observe_picks
from sim.tasks.task import TaskConfig, make_corridor, make_outcome

if TYPE_CHECKING:
    from sim.plant import Plant

BIN_HALF = (0.15, 0.20)
"""Half of a bin's depth and width inside, m (`sim.bodies.goods.BIN`)."""


@dataclass(frozen=True)
class PickConfig(TaskConfig):
    """The task, whole."""

    spec: RobotSpec = field(default_factory=mobile_manipulator)
    time_limit: float = 20.0
    """s"""
    item: Item = Item()  # noqa: RUF009  # frozen
    height: float = 0.45
    """Of the bin's floor, m."""

    def check(self) -> None:
        """As the base; a robot with an arm, and things that it can hold."""
        super().check()
        if self.spec.arm is None:
            raise ConfigError(f"spec: expected a robot with an arm, got {self.spec.name!r}; take mobile_manipulator()")
        check_number("height", self.height, 0.0, 10.0)
        check_number("item.mass", self.item.mass, 0.0, above=True)
        for side, size in zip(("length", "width", "height"), self.item.size, strict=True):
            check_number(f"item.size: {side}", size, 0.0, 1.0, above=True)

    def loads_on(self, site: Site, robots: int) -> Loads:
        """A shelf with one item for each robot, in free places of three by three cells.

        Raises `SiteError` where a floor has not as many, or its cells are too small for that.
        """
        beyond = STAND / 2 + max(self.spec.radius, BIN_HALF[0])
        if 1.5 * site.cell < beyond:
            raise SiteError(
                f"{site.name}: expected cells of {beyond / 1.5:.2f} m or more, so that a robot and its shelf have room "
                f"in 3 x 3 of them, got {site.cell:g} m; make the floor of larger cells"
            )
        free = np.pad(~site.filled, 1, constant_values=False)
        room = np.ones_like(site.blocked)
        for down in range(3):
            for right in range(3):
                room &= free[down : down + site.height, right : right + site.width]
        shelves: list[Shelf] = []
        while len(shelves) < robots:
            if not room.any():
                raise SiteError(
                    f"{site.name}: expected {robots} free places of 3 x 3 cells for shelves, got {len(shelves)}; "
                    "take a floor with more room or fewer robots"
                )
            row, column = divmod(int(np.flatnonzero(room)[0]), site.width)
            room[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = False
            x, y = site.centre(row * site.width + column).tolist()
            shelves.append(Shelf(at=(x + STAND / 2, y, 0.0), height=self.height, items=(self.item,)))
        return Loads(shelves=tuple(shelves))

    def build(self, plant: Plant) -> PickTask:
        """The task on a plant."""
        assert plant.spec.arm is not None  # `check` saw one
        return PickTask(plant, self, plant.spec.arm)


def pick_contract(spec: RobotSpec) -> Contract:
    """What a policy sees and does."""
    late = spec.sensor_age_bound

    def part(name: str, size: int, units: str, low: float = -1.0, high: float = 1.0) -> Field:
        return Field(name, (size,), "float32", units, "B", low, high, spec.period / SECOND, late)

    return Contract(
        task="pick",
        fields=(
            part("item", 3, "pi rad, 0.5 m, 0.5 m"),
            part("tote", 3, "pi rad, 0.5 m, 0.5 m"),
            part("cup", 4, "1, 1, 1 m, 1 m"),
            part("rate", 3, "1 rad/s, 0.5 m/s, 0.4 m/s"),
            part("suction", 2, "1", 0.0),
        ),
        actions=(part("rate", 3, "1 rad/s, 0.5 m/s, 0.4 m/s"), part("suction", 1, "1")),
        embodiment=spec.embodiment_hash(),
    )


class PickTask:
    """`sim.tasks.task.Task`: rows of arms. Owns where their cups are sent."""

    def __init__(self, plant: Plant, config: PickConfig, arm: Arm) -> None:
        self.plant, self.contract = plant, pick_contract(plant.spec)
        rows, device, scene, backend = plant.rows, plant.device, plant.scene, plant.backend
        if scene.items != plant.robots:
            raise ValueError(f"expected one item for each of {plant.robots} robots, got {scene.items}")
        self.action = wp.zeros((rows, 4), dtype=wp.float32, device=device)
        self.observation = wp.zeros((rows, OBSERVATION), dtype=wp.float32, device=device)
        self.outcome, self.corridor = make_outcome(rows, device), make_corridor(rows, device)
        self.pick = _make_pick(rows, scene.shelves, device)
        self._arm, self._home = (
            _numbers(arm, plant.spec.height, config),
            wp.vec3(*forward(arm, plant.spec.height, np.zeros(5)).tolist()),
        )
        self._free = np.array(BIN_HALF) - np.hypot(*config.item.size[:2]) / 2 - 0.005
        self._base = scene.ctrl_stride - plant.spec.tools
        self._joints = scene.qpos_stride - 5
        self._first = plant.robots * scene.qpos_stride
        stands = self.pick.shelf.numpy()[:, :2] - np.array([STAND, 0.0])
        self.corridor.points.assign(np.tile(stands[:, None], (plant.worlds, self.corridor.points.shape[1], 1)))
        self.corridor.half_width.fill_(plant.site.cell / 2)
        self.corridor.final.fill_(1)
        self.act: Sequence[Launchable] = [plant.record(act_pick, rows, [self.action, plant.state.proposed, self.pick])]
        plant.every_period.append(
            plant.record(
                move_arm,
                rows,
                [plant.robots, scene.ctrl_stride, self._base, plant.spec.motor_period / SECOND, self._arm, self.action,
                 self.pick, backend.ctrl],
            )
        )  # fmt: skip
        limit = round(config.time_limit * SECOND / plant.spec.period)
        self.advance: Sequence[Launchable] = [
            plant.record(
                judge_picks,
                rows,
                [plant.robots, scene.qpos_stride, self._joints, self._first, limit, self._arm, plant.state,
                 plant.diverged, backend.qpos, self.pick, self.outcome],
            )
        ]  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """Where cups are and are sent, and what was seen last."""
        names = ("place", "rate", "suction", "cup", "face", "sealed", "way")
        own = {"corridor.count": self.corridor.count, "observation": self.observation}
        return {f"pick.{name}": getattr(self.pick, name) for name in names} | own

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """Arms folded, items in their bins."""
        plant, scene, backend = self.plant, self.plant.scene, self.plant.backend
        launch = plant.record(
            begin_picks,
            plant.rows,
            [mask, plant.seed, plant.robots, scene.ctrl_stride, self._base, self._first,
             plant.robots * scene.qvel_stride, wp.vec2(*self._free.tolist()), self._home, self._arm, plant.state,
             self.pick, self.corridor.count, backend.qpos, backend.qvel, backend.qacc_warmstart, backend.ctrl],
        )  # fmt: skip
        return [launch]

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The masked rows stand aside with folded arms; their items lie in their bins."""
        plant, scene, backend = self.plant, self.plant.scene, self.plant.backend
        launch = plant.record(
            leave_picks,
            plant.rows,
            [mask, plant.robots, scene.ctrl_stride, self._base, self._first, plant.robots * scene.qvel_stride,
             self._home, self._arm, self.pick, self.corridor.count, backend.qpos, backend.qvel,
             backend.qacc_warmstart, backend.ctrl],
        )  # fmt: skip
        return [plant.leave(mask), launch]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """The fields of the contract."""
        return [self.plant.record(observe_picks, self.plant.rows, [mask, self._arm, self.pick, self.observation])]


def _make_pick(rows: int, shelves: Sequence[Shelf], device: str) -> Pick:
    pick = Pick()
    for name in ("place", "rate", "cup", "face"):
        setattr(pick, name, wp.zeros((rows, 3), dtype=wp.float32, device=device))
    for name in ("suction", "way"):
        setattr(pick, name, wp.zeros(rows, dtype=wp.float32, device=device))
    pick.sealed = wp.zeros(rows, dtype=wp.uint8, device=device)
    pick.shelf = wp.array([shelf.at for shelf in shelves], dtype=wp.float32, device=device)
    return pick


def _numbers(arm: Arm, deck: float, config: PickConfig) -> ArmNumbers:
    numbers = ArmNumbers()
    numbers.mount, numbers.deck = wp.vec2(*arm.mount), deck
    numbers.foot, numbers.upper, numbers.fore, numbers.hand = arm.lengths
    numbers.home = wp.vec3(*arm.home[1:4])
    length, width, height = arm.tote
    numbers.tote = wp.vec3(length / 2, width / 2, height)
    x, y = arm.tote_at[0] - arm.mount[0], arm.tote_at[1] - arm.mount[1]
    numbers.tote_at = wp.vec3(math.atan2(y, x), math.hypot(x, y), deck + 0.02)
    numbers.item = wp.vec3(*(side / 2 for side in config.item.size))
    numbers.bin_floor = config.height
    return numbers
