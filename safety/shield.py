"""The shield: no command moves the robot unless stopping after it is proved safe.

A command is released only if "this command for one period, then brake on the arc" (`safety/path.py`) stays inside the
corridor and clear of every obstacle until standstill (`safety/judge.py`). Otherwise the nearest command of a lattice
(`safety/lattice.py`) that passes the same test; otherwise the next tick of the stored stopping plan, which was verified
when it was stored. By induction a robot that starts at rest always holds a plan that ends in rest before anything that
moves within its bounds can be touched (passive safety: a person may still walk into a standing robot). After Mitsch et
al. (IJRR 2017) for the law and the simplex shields of Hobbs et al. (2023) for the replacement.

One function judges one candidate; it runs over (rows) for the proposal and over (rows, candidates) for the lattice,
with the same result for a row whatever the number of rows. The kernels are those of `safety/simplex.py`, made for the
law of a robot on a floor.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from dataclasses import dataclass, field

import numpy as np
import warp as wp

from safety.dynamics import PLAN_TICKS, Bounds, bounds, stopping_ticks
from safety.judge import judge
from safety.lattice import candidate
from safety.occupancy import TAILS
from safety.reason import Reason
from safety.sight import Ask, Sight, ask_of, look
from safety.simplex import LATTICE, Law, Recording, Tried, make_kernels, make_tried, recorded, struct_of
from sim.errors import MusterError
from sim.filter import PHANTOMS, FilterInputs, FilterOutputs
from sim.geometry import CORRIDOR_POINTS
from sim.robot import SECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

__all__ = ["LATTICE", "Reason", "Shield", "ShieldError", "ShieldMemory", "stored_plan"]


class ShieldError(MusterError):
    """A robot or a scan that this shield cannot judge."""


@dataclass(frozen=True)
class ShieldMemory:
    """The shield's state and scratch, one row per robot; only the first three arrays outlive a launch."""

    plan: wp.array
    """Stored stopping plan: v, w at its start and its duration, (rows, 3)."""
    elapsed: wp.array
    """Time into the stored plan, s, (rows,)."""
    played: wp.array
    """Cycles since a command was last verified, int32 (rows,)."""
    points: wp.array
    point_count: wp.array
    phantoms: wp.array
    phantom_count: wp.array
    rectangles: wp.array
    rectangle_count: wp.array
    start: wp.array
    """These seven are the arrays of `safety.sight.Sight`."""
    status: wp.array
    culprit: wp.array
    seen: wp.array
    best: wp.array
    margins: wp.array
    plans: wp.array
    verdicts: wp.array
    commands: wp.array
    """These eight are the arrays of `safety.simplex.Tried`."""


@dataclass
class Shield:
    """The filter of `sim/filter.py` for one kind of robot. Owns the recorded launches, not the memory."""

    spec: RobotSpec
    bounds: Bounds = field(init=False)
    recorded: dict[tuple[int, int, int], Recording] = field(default_factory=dict)
    """Launches by the identities of what they were recorded on."""

    def __post_init__(self) -> None:
        self.bounds = bounds(self.spec)
        drive = self.spec.diff
        longest = max(drive.speed_max / drive.brake_min, drive.turn_max / drive.turn_accel_max)
        room = PLAN_TICKS * self.spec.period / SECOND
        if longest > room:
            raise ShieldError(
                f"robot {self.spec.name} needs {longest:.2f} s to stop, a stored plan has room for {room:.2f} s; "
                f"lower its top speed or turn rate, or let it brake better"
            )

    def init(self, rows: int, device: str = "cpu") -> ShieldMemory:
        """Memory for `rows` robots at rest."""
        rays = self.spec.lidar.rays

        def zeros(shape: tuple[int, ...], dtype: type = wp.float32) -> wp.array:
            return wp.zeros(shape, dtype=dtype, device=device)

        return ShieldMemory(
            plan=zeros((rows, 3)),
            elapsed=zeros((rows,)),
            played=zeros((rows,), wp.int32),
            points=zeros((rows, rays * (1 + TAILS)), wp.vec4),
            point_count=zeros((rows,), wp.int32),
            phantoms=zeros((rows, PHANTOMS, 6)),
            phantom_count=zeros((rows,), wp.int32),
            rectangles=zeros((rows, CORRIDOR_POINTS, 6)),
            rectangle_count=zeros((rows,), wp.int32),
            start=zeros((rows, 6)),
            **make_tried(rows, device),
        )

    def launch(self, inputs: FilterInputs, memory: ShieldMemory, out: FilterOutputs) -> None:
        """Judge every row; recorded at the first call on these arrays, no allocation after it."""
        key = (id(inputs), id(memory), id(out))
        recording = self.recorded.get(key)
        if recording is None:
            recording = self._record(inputs, memory, out)
            self.recorded[key] = recording
        for command in recording.commands:
            command.launch()

    def reset(self, mask: wp.array, memory: ShieldMemory) -> None:
        """Forget the rows whose mask is set (uint8, (rows,))."""
        kept = struct_of(Kept, memory)
        wp.launch(KERNELS.forget, dim=mask.shape[0], inputs=[mask, kept], device=memory.plan.device)

    def _record(self, inputs: FilterInputs, memory: ShieldMemory, out: FilterOutputs) -> Recording:
        rows, rays = inputs.scan.shape
        if rays != self.spec.lidar.rays or memory.plan.shape[0] != rows:
            raise ShieldError(
                f"scan has shape {inputs.scan.shape}; robot {self.spec.name} has {self.spec.lidar.rays} rays and "
                f"the memory {memory.plan.shape[0]} rows; make both from one RobotSpec"
            )
        device = inputs.scan.device
        ask = ask_of(inputs, self.spec)
        seen = [ask, self.bounds, struct_of(Sight, memory)]
        tried, kept = struct_of(Tried, memory), struct_of(Kept, memory)
        recording = recorded(KERNELS, rows, seen, tried, kept, out, device)
        return Recording(recording.commands, (*recording.keep, inputs, memory))


def stored_plan(memory: ShieldMemory, row: int, spec: RobotSpec) -> np.ndarray:
    """The commands of a row's stored plan that are still to be played, (PLAN_TICKS, 2), for the watchdog."""
    v, w, stop = (float(x) for x in memory.plan.numpy()[row])
    return stopping_ticks(v, w, stop, float(memory.elapsed.numpy()[row]), float(bounds(spec).period))


@wp.struct
class Kept:
    """Stored stopping plans, from (v, w) to rest; what outlives a launch."""

    plan: wp.array2d(dtype=wp.float32)
    elapsed: wp.array(dtype=wp.float32)
    played: wp.array(dtype=wp.int32)


@wp.func
def cut(row: int, ask: Ask, b: Bounds, sight: Sight) -> wp.vec2:
    """The proposal within the robot's limits and the floor's."""
    limit = ask.speed_limit[row]
    v = wp.clamp(ask.command[row, 0], -wp.min(b.reverse_max, limit), wp.min(b.speed_max, limit))
    return wp.vec2(v, wp.clamp(ask.command[row, 1], -b.turn_max, b.turn_max))


@wp.func
def admits(row: int, u: wp.vec3, ask: Ask, sight: Sight, b: Bounds) -> bool:
    """Whether the floor allows a candidate's speed: on a slower floor, what brakes to it is the stored plan."""
    return wp.abs(u[0]) <= ask.speed_limit[row]


@wp.func
def keep(row: int, plan: wp.vec3, u: wp.vec2, ask: Ask, sight: Sight, b: Bounds, kept: Kept) -> None:
    """A verified stopping plan becomes the row's own: from (v, w) to rest within `stop` seconds."""
    for k in range(3):
        kept.plan[row, k] = plan[k]
    kept.elapsed[row] = 0.0
    kept.played[row] = 0


@wp.func
def play(row: int, ask: Ask, sight: Sight, b: Bounds, kept: Kept, seen: bool) -> wp.vec2:
    """The next tick of the stored plan."""
    time = kept.elapsed[row] + b.period
    left = wp.float32(0.0)
    if kept.plan[row, 2] > 0.0:
        left = wp.max(1.0 - time / kept.plan[row, 2], 0.0)
    kept.elapsed[row] = time
    return wp.vec2(kept.plan[row, 0] * left, kept.plan[row, 1] * left)


@wp.func
def clear(row: int, kept: Kept) -> None:
    """At rest, with no plan but to stay so."""
    for k in range(3):
        kept.plan[row, k] = 0.0
    kept.elapsed[row] = 0.0
    kept.played[row] = 0


LAW = Law("safety.shield", Ask, Bounds, Sight, Kept, look, cut, judge, candidate, admits, keep, play, clear)
"""A robot with a differential drive among people, in the corridor that it was granted."""

KERNELS = make_kernels(LAW)
"""They compile once, as one Warp module."""
