"""The shield: no command moves the robot unless stopping after it is proved safe.

A command is released only if "this command for one period, then brake on the arc" (`safety/path.py`) stays inside the
corridor and clear of every obstacle until standstill (`safety/judge.py`). Otherwise the nearest command of a lattice
(`safety/lattice.py`) that passes the same test; otherwise the next tick of the stored stopping plan, which was verified
when it was stored. By induction a robot that starts at rest always holds a plan that ends in rest before anything that
moves within its bounds can be touched (passive safety: a person may still walk into a standing robot). After Mitsch et
al. (IJRR 2017) for the law and the simplex shields of Hobbs et al. (2023) for the replacement.

One function judges one candidate; it runs over (rows) for the proposal and over (rows, candidates) for the lattice,
with the same result for a row whatever the number of rows. All kernels stand here: they compile once, as one Warp
module.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from dataclasses import dataclass, field

import numpy as np
import warp as wp

from safety.dynamics import PLAN_TICKS, Bounds, bounds, finite, stopping_ticks
from safety.judge import judge
from safety.lattice import LATTICE, candidate, rank
from safety.occupancy import TAILS
from safety.path import predict
from safety.reason import Reason
from safety.sight import Ask, Sight, ask_of, look
from sim.errors import MusterError
from sim.filter import PHANTOMS, FilterInputs, FilterOutputs
from sim.geometry import CORRIDOR_POINTS
from sim.launches import Launchable, record
from sim.robot import SECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

__all__ = ["Reason", "Shield", "ShieldError", "ShieldMemory", "stored_plan"]

UNDECIDED = wp.constant(2147483647)
"""`ShieldMemory.best` while no candidate is verified."""


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
    """0 judge, 1 verified, 2 only the stored plan; int32 (rows,)."""
    culprit: wp.array
    """Point that refused the candidate before: the first to ask; int32 (rows,)."""
    best: wp.array
    """Cost and index of the nearest verified candidate; int32 (rows,)."""
    margins: wp.array
    """Margins of the lattice's candidates, (rows, LATTICE)."""


@dataclass(frozen=True)
class Recording:
    """Recorded launches, and what must live as long as they do."""

    commands: tuple[Launchable, ...]
    keep: tuple[object, ...]


@dataclass
class Shield:
    """The filter of `sim/filter.py` for one kind of robot. Owns the recorded launches, not the memory."""

    spec: RobotSpec
    bounds: Bounds = field(init=False)
    recorded: dict[tuple[int, int, int], Recording] = field(default_factory=dict)
    """Launches by the identities of what they were recorded on."""

    def __post_init__(self) -> None:
        self.bounds = bounds(self.spec)
        drive = self.spec.drive
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
            status=zeros((rows,), wp.int32),
            culprit=zeros((rows,), wp.int32),
            best=zeros((rows,), wp.int32),
            margins=zeros((rows, LATTICE)),
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
        wp.launch(
            forget,
            dim=mask.shape[0],
            inputs=[mask, memory.plan, memory.elapsed, memory.played],
            device=memory.plan.device,
        )

    def _record(self, inputs: FilterInputs, memory: ShieldMemory, out: FilterOutputs) -> Recording:
        rows, rays = inputs.scan.shape
        if rays != self.spec.lidar.rays or memory.plan.shape[0] != rows:
            raise ShieldError(
                f"scan has shape {inputs.scan.shape}; robot {self.spec.name} has {self.spec.lidar.rays} rays and "
                f"the memory {memory.plan.shape[0]} rows; make both from one RobotSpec"
            )
        device = inputs.scan.device
        ask = ask_of(inputs, self.spec)
        m = memory
        sight = Sight()
        sight.points, sight.point_count = m.points, m.point_count
        sight.phantoms, sight.phantom_count = m.phantoms, m.phantom_count
        sight.rectangles, sight.rectangle_count = m.rectangles, m.rectangle_count
        sight.start = m.start
        kept = [m.plan, m.elapsed, m.played]
        tried = [m.status, m.culprit, m.best]

        seen = [ask, self.bounds, sight]
        commands = (
            record(judge_proposals, rows, [*seen, *tried, *kept, out.command, out.margin, out.reason], device),
            record(judge_lattice, (rows, LATTICE), [*seen, *tried, m.margins], device),
            record(release, rows, [*seen, *tried, m.margins, *kept, out.command, out.margin], device),
        )
        return Recording(commands=commands, keep=(inputs, memory, out, ask, sight))


def stored_plan(memory: ShieldMemory, row: int, spec: RobotSpec) -> np.ndarray:
    """The commands of a row's stored plan that are still to be played, (PLAN_TICKS, 2), for the watchdog."""
    v, w, stop = (float(x) for x in memory.plan.numpy()[row])
    return stopping_ticks(v, w, stop, float(memory.elapsed.numpy()[row]), float(bounds(spec).period))


@wp.kernel
def judge_proposals(
    ask: Ask,
    b: Bounds,
    sight: Sight,
    status: wp.array(dtype=wp.int32),
    culprit: wp.array(dtype=wp.int32),
    best: wp.array(dtype=wp.int32),
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
    out_command: wp.array2d(dtype=wp.float32),
    out_margin: wp.array(dtype=wp.float32),
    out_reason: wp.array(dtype=wp.int8),
) -> None:
    """Gather what each row sees and judge its proposal; refused ones are left to the lattice."""
    row = wp.tid()
    best[row] = UNDECIDED
    culprit[row] = -1
    status[row] = 2
    reason = look(row, ask, b, sight)
    ask_v = ask.command[row, 0]
    ask_w = ask.command[row, 1]
    if reason == 0 and not (finite(ask_v) and finite(ask_w)):
        reason = Reason.NOT_FINITE
    if reason == 0:
        v = wp.clamp(ask_v, -wp.min(b.reverse_max, ask.speed_limit[row]), wp.min(b.speed_max, ask.speed_limit[row]))
        w = wp.clamp(ask_w, -b.turn_max, b.turn_max)
        verdict = judge(row, v, w, -1, ask, sight, b)
        reason = verdict.reason
        status[row] = 0
        culprit[row] = verdict.culprit
        if reason == 0:
            status[row] = 1
            if v != ask_v or w != ask_w:
                reason = Reason.LIMITS
            out_command[row, 0] = v
            out_command[row, 1] = w
            out_margin[row] = verdict.margin
            store(row, verdict.v, verdict.w, verdict.stop, plan, elapsed, played)
    out_reason[row] = wp.int8(reason)


@wp.kernel
def judge_lattice(
    ask: Ask,
    b: Bounds,
    sight: Sight,
    status: wp.array(dtype=wp.int32),
    culprit: wp.array(dtype=wp.int32),
    best: wp.array(dtype=wp.int32),
    margins: wp.array2d(dtype=wp.float32),
) -> None:
    """Judge the candidates of the rows whose proposal was refused; `best` becomes the nearest verified one."""
    row, c = wp.tid()
    if status[row] != 0:
        return
    u = candidate(row, c, ask, sight, b)
    if wp.abs(u[0]) > ask.speed_limit[row]:  # a slower floor: what brakes to it is the stored plan
        return
    key = rank(u[2], c)
    if key >= best[row]:  # cannot win: saves work, never changes the result
        return
    verdict = judge(row, u[0], u[1], culprit[row], ask, sight, b)
    if verdict.reason == 0:
        margins[row, c] = verdict.margin
        wp.atomic_min(best, row, key)
    elif verdict.culprit >= 0:
        culprit[row] = verdict.culprit  # a hint for the next candidate: no verdict depends on it


@wp.kernel
def release(
    ask: Ask,
    b: Bounds,
    sight: Sight,
    status: wp.array(dtype=wp.int32),
    culprit: wp.array(dtype=wp.int32),
    best: wp.array(dtype=wp.int32),
    margins: wp.array2d(dtype=wp.float32),
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
    out_command: wp.array2d(dtype=wp.float32),
    out_margin: wp.array(dtype=wp.float32),
) -> None:
    """Give refused rows the nearest verified candidate, or the next tick of their stored plan."""
    row = wp.tid()
    if status[row] == 1:
        return
    if status[row] == 0 and best[row] < UNDECIDED:
        c = best[row] % 64
        u = candidate(row, c, ask, sight, b)
        path = predict(
            sight.start[row, 0],
            sight.start[row, 1],
            ask.last_command[row, 0],
            ask.last_command[row, 1],
            u[0],
            u[1],
            sight.start[row, 3],
            False,
            b,
        )
        out_command[row, 0] = u[0]
        out_command[row, 1] = u[1]
        out_margin[row] = margins[row, c]
        store(row, path.v, path.w, path.stop, plan, elapsed, played)
        return
    time = elapsed[row] + b.period
    left = wp.float32(0.0)
    if plan[row, 2] > 0.0:
        left = wp.max(1.0 - time / plan[row, 2], 0.0)
    out_command[row, 0] = plan[row, 0] * left
    out_command[row, 1] = plan[row, 1] * left
    out_margin[row] = -1.0
    elapsed[row] = time
    played[row] = played[row] + 1


@wp.kernel
def forget(
    mask: wp.array(dtype=wp.uint8),
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
) -> None:
    """Rows whose mask is set are at rest, with no plan but to stay so."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        store(row, 0.0, 0.0, 0.0, plan, elapsed, played)


@wp.func
def store(
    row: int,
    v: float,
    w: float,
    stop: float,
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
) -> None:
    """A verified stopping plan becomes the row's own: from (v, w) to rest within `stop` seconds."""
    plan[row, 0] = v
    plan[row, 1] = w
    plan[row, 2] = stop
    elapsed[row] = 0.0
    played[row] = 0
