"""The carry task: lift the pod overhead, carry it along the corridor, set it down in the last cell.

A robot begins beneath a pod of its own at the start of a path of navigate's; the third action is the lift, up above 0.
No robot lifts another one's pod, and one that stands aside (sim/tasks/aside.py) has its pod above it there.
The corridor guards the robot, whose pod is as wide as a cell lets it turn (SIZE); what the pod touches is a collision
of its carrier (`sim/pods.py`).

success      the pod stands within DISTANCE of the middle of the path's last cell, after it was carried
terminated   success; a collision; the centre outside the granted cells; numbers that diverged; the pod set down
             elsewhere (LEFT)
truncated    the time limit

reward = navigate's while the pod is carried, without its progress otherwise; a bonus at the end.

The observation is navigate's 89 numbers and `lift`: whether a pod is held, and how far it is up.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import warp as wp

from sim.fields import Recompute
from sim.launches import Launchable
from sim.loads import Loads
from sim.podkernels import LIFT, PodArrays, body_pose
from sim.randomization import Term, draw_from, stream
from sim.robot import SECOND, RobotSpec
from sim.rows import RobotArrays
from sim.site import Site, SiteError
from sim.tasks.contract import Contract, Field
from sim.tasks.corridor import Course, Paths, centre_of
from sim.tasks.navigate import Navigate, NavigateConfig
from sim.tasks.navigate_contract import OBSERVATION, navigate_contract
from sim.tasks.task import LEFT_C, RUNNING_C, SUCCEEDED_C, TIMED_OUT_C, Outcome, close
from sim.vary import Row, Variation, VaryArrays, drawn, vary

if TYPE_CHECKING:
    from sim.plant import Plant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SIZE = (0.70, 0.70, 1.80)
"""Length, width, height of the pods, m: the circumscribed circle (0.495 m) turns in a cell of 1.2 m with 0.1 m to
spare, and the small AMR (0.40 m) at any yaw between the legs."""

TURN = math.hypot(*SIZE[:2])
"""The circle in which such a pod turns, m."""

DISTANCE = 0.10
"""Of a pod set down right, m."""

LIFT_AT = wp.constant(OBSERVATION)
LIFT_C = wp.constant(LIFT)
DISTANCE_C = wp.constant(DISTANCE)
GOODS_TERM = wp.constant(int(Term.PAYLOAD))


@dataclass(frozen=True)
class CarryConfig(NavigateConfig):
    """The task, whole."""

    task: str = "carry"
    people: int = 0
    success_distance: float = 0.0
    """Navigate's own rule decides nothing here."""
    paths: int = 1024
    shortest: int = 3
    longest: int = 8
    randomization: Variation = field(default_factory=lambda: vary(start_offset=0.0, stall_share=0.0))

    def rows(self) -> tuple[Row, ...]:
        """Navigate's rows, and how the pod stands above its robot."""
        offset = Row(
            Term.PAYLOAD, "pod_offset", "uniform", -0.02, 0.02, "m", "", Recompute.NONE,
            "own choice: of the pod from the robot below it in x and y", bounds=(-0.1, 0.1), counter=1, drawn=False,
            nominal=0.0,
        )  # fmt: skip
        return (*super().rows(), offset)

    def loads_on(self, site: Site, robots: int) -> Loads:
        """A pod for each robot; the floor's own stay where they are.

        Raises `SiteError` for a floor in whose cells no pod turns.
        """
        if site.cell < TURN:
            raise SiteError(
                f"{site.name}: expected cells of {TURN:.2f} m or more, in which a pod of {SIZE[0]:.2f} x {SIZE[1]:.2f} "
                f"m turns, got {site.cell:g} m; take larger cells"
            )
        return replace(self.loads, pods=robots, pod_size=SIZE)

    def build(self, plant: Plant) -> Carry:  # type: ignore[override]  # the same protocol, composed
        """The task on a plant."""
        return Carry(plant, self)


def carry_contract(spec: RobotSpec) -> Contract:
    """Navigate's contract, the lift's state and its command."""
    base = navigate_contract(spec)
    late = spec.sensor_age_bound
    lift = Field("lift", (2,), "float32", f"1, {LIFT:g} m", "", 0.0, 1.0, spec.period / SECOND, late)
    up = Field("lift", (1,), "float32", "up above 0", "", -1.0, 1.0, spec.period / SECOND, spec.latency_bound)
    return replace(base, task="carry", fields=(*base.fields, lift), actions=(*base.actions, up))


@wp.kernel
def command_lifts(action: wp.array2d(dtype=wp.float32), pods: PodArrays) -> None:
    """The third action."""
    row = wp.tid()
    pods.wanted[row] = wp.uint8(0)
    if action[row, 2] > 0.0:
        pods.wanted[row] = wp.uint8(1)


@wp.func
def stand_above(
    world: int, first: int, falls: int, x: float, y: float, yaw: float, home: wp.array2d(dtype=wp.float32)
) -> None:
    """The home of a pod, whose coordinates begin at `first`."""
    home[world, first] = x
    home[world, first + 1] = y
    if falls == 0:
        home[world, first + 2] = yaw
    else:
        home[world, first + 2] = 0.0
        home[world, first + 3] = wp.cos(0.5 * yaw)
        home[world, first + 4] = 0.0
        home[world, first + 5] = 0.0
        home[world, first + 6] = wp.sin(0.5 * yaw)


@wp.kernel
def begin_carrying(
    mask: wp.array(dtype=wp.uint8),
    seed: int,
    robots: int,
    own: int,
    falls: int,
    offset: int,
    vary: VaryArrays,
    state: RobotArrays,
    home: wp.array2d(dtype=wp.float32),
    was_up: wp.array(dtype=wp.uint8),
) -> None:
    """Each masked row's pod stands above it, off by what row `offset` of the table says."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    was_up[row] = wp.uint8(0)
    world = row / robots
    key = stream(seed, GOODS_TERM, row, state.episode[row])
    x = state.pose[row, 0] + drawn(vary, offset, row, draw_from(key, 1))
    y = state.pose[row, 1] + drawn(vary, offset, row, draw_from(key, 2))
    stand_above(world, (own + row % robots) * (3 + 4 * falls), falls, x, y, state.pose[row, 2], home)


@wp.kernel
def take_aside(
    mask: wp.array(dtype=wp.uint8),
    robots: int,
    own: int,
    falls: int,
    pose: wp.array2d(dtype=wp.float32),
    home: wp.array2d(dtype=wp.float32),
) -> None:
    """Masked rows that leave the floor take their pods with them: each stands above its robot."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        stand_above(row / robots, (own + row % robots) * (3 + 4 * falls), falls, pose[row, 0], pose[row, 1],
                    pose[row, 2], home)  # fmt: skip


@wp.kernel
def judge_carrying(
    robots: int,
    own: int,
    falls: int,
    first_pod: int,
    width: int,
    height: int,
    cell: float,
    progress: float,
    bonus: float,
    before: wp.array(dtype=wp.float32),
    paths: Paths,
    course: Course,
    state: RobotArrays,
    pods: PodArrays,
    qpos: wp.array2d(dtype=Any),
    was_up: wp.array(dtype=wp.uint8),
    outcome: Outcome,
) -> None:
    """After navigate's own step: no progress without the pod, and success where it stands right."""
    row = wp.tid()
    if state.active[row] == wp.uint8(0):
        return
    how = int(outcome.ending[row])
    r = outcome.reward[row]
    remaining = course.remaining[row]
    if how == RUNNING_C or how == TIMED_OUT_C:  # noqa: SIM109  # Warp knows no tuples of constants
        if pods.carried[row] >= 0:
            if pods.raised[row] >= LIFT_C:
                was_up[row] = wp.uint8(1)
        else:
            r -= progress * wp.clamp(before[row] - remaining, -cell, cell)
            if was_up[row] != wp.uint8(0):
                pod = own + row % robots
                at = wp.transform_get_translation(
                    body_pose(qpos, row / robots, first_pod + pod * (3 + 4 * falls), falls)
                )
                p = course.path[row]
                goal = centre_of(paths.cells[p, paths.lengths[p] - 1], width, height, cell)
                dx = at[0] - goal[0]
                dy = at[1] - goal[1]
                how = LEFT_C
                if dx * dx + dy * dy < DISTANCE_C * DISTANCE_C:
                    how = SUCCEEDED_C
                    r += bonus
        close(row, how, r, outcome)
    before[row] = remaining


@wp.kernel
def note_remaining(mask: wp.array(dtype=wp.uint8), course: Course, before: wp.array(dtype=wp.float32)) -> None:
    """What is left of the way where masked rows begin."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        before[row] = course.remaining[row]


@wp.kernel
def observe_lifts(mask: wp.array(dtype=wp.uint8), pods: PodArrays, out: wp.array2d(dtype=wp.float32)) -> None:
    """Whether a pod is held and how far it is up, behind navigate's fields."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    out[row, LIFT_AT] = 0.0
    out[row, LIFT_AT + 1] = 0.0
    if pods.carried[row] >= 0:
        out[row, LIFT_AT] = 1.0
        out[row, LIFT_AT + 1] = wp.min(pods.raised[row] / LIFT_C, 1.0)


class Carry:
    """`sim.tasks.task.Task`: navigate's rows on their ways, with pods. Owns which of them were up."""

    def __init__(self, plant: Plant, config: CarryConfig) -> None:
        """Raises ValueError for a plant without a pod for each robot."""
        if plant.pods is None or plant.scene.own_pods != plant.robots:
            raise ValueError(f"expected a pod for each of {plant.robots} robots, got {plant.scene.own_pods}")
        scene, device, rows = plant.scene, plant.device, plant.rows
        self.plant, self.pods = plant, plant.pods
        self.way = Navigate(plant, config, carry_contract(plant.spec))
        self.contract, self.corridor, self.outcome = self.way.contract, self.way.corridor, self.way.outcome
        self.action, self.observation = self.way.action, self.way.observation
        self.was_up = wp.zeros(rows, dtype=wp.uint8, device=device)
        self.before = wp.zeros(rows, dtype=wp.float32, device=device)
        self._own = scene.pods - scene.own_pods
        lifts = plant.record(command_lifts, rows, [self.action, self.pods.state])
        self.act: Sequence[Launchable] = [*self.way.act, lifts]
        judge = plant.record(
            judge_carrying,
            rows,
            [plant.robots, self._own, int(scene.falls), plant.robots * scene.qpos_stride, plant.floor.width,
             plant.floor.height, plant.floor.cell, config.reward.progress, config.reward.success, self.before,
             self.way.paths, self.way.course, plant.state, self.pods.state, plant.backend.qpos, self.was_up,
             self.outcome],
        )  # fmt: skip
        self.advance: Sequence[Launchable] = [*self.way.advance, judge]

    def arrays(self) -> dict[str, wp.array]:
        """Navigate's, and which pods were up."""
        return self.way.arrays() | {"was_up": self.was_up, "before": self.before}

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """A way, and a pod above its start."""
        plant = self.plant
        inputs = [mask, plant.seed, plant.robots, self._own, int(plant.scene.falls),
                  plant.table.index("pod_offset"), plant.varies, plant.state, self.pods.home,
                  self.was_up]  # fmt: skip
        return [
            *self.way.begin(mask),
            plant.record(begin_carrying, plant.rows, inputs),
            plant.record(note_remaining, plant.rows, [mask, self.way.course, self.before]),
        ]

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """As navigate's, and the pods with their robots."""
        plant = self.plant
        inputs = [mask, plant.robots, self._own, int(plant.scene.falls), plant.state.pose, self.pods.home]
        return [*self.way.leave(mask), plant.record(take_aside, plant.rows, inputs)]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """Navigate's fields and the lift."""
        lifts = self.plant.record(observe_lifts, self.plant.rows, [mask, self.pods.state, self.observation])
        return [*self.way.observe(mask), lifts]
