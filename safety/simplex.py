"""The three kernels of a shield, made for one law: robot and car differ in what is judged, not in how it is decided.

    judge_proposals   gather what each row sees and judge its proposal
    judge_lattice     judge the candidates of refused rows; the nearest verified one wins
    release           give refused rows that candidate, or the next tick of their stored plan

A `Law` names the arrays that a row is judged by and the functions that look, judge one candidate, propose others and
keep a plan: a robot on a floor (`safety/shield.py`) and a car on a road (`safety/roadshield.py`) are two of them. All
kernels of one law compile as one Warp module. The cycle is the explicit simplex of Hobbs et al. (2023): by induction
every row holds a plan that was verified when it was stored.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for. Annotations are
# evaluated here, not postponed, because they name the law's own structures.
from dataclasses import dataclass
from typing import Any

import warp as wp

from safety.dynamics import finite
from safety.reason import Reason
from sim.launches import Launchable, record

LATTICE = 64
"""Candidates when the proposal is refused; `rank` has room for their number."""

UNDECIDED = wp.constant(2147483647)
"""`Tried.best` while no candidate is verified."""

JUDGE = wp.constant(0)
VERIFIED = wp.constant(1)
STORED_ONLY = wp.constant(2)

UNTRIED = wp.constant(-1)
"""`Tried.verdicts` of a candidate that was not judged: one nearer to the proposal had been verified."""
UNFIT = wp.constant(-2)
"""And of one that the floor does not admit."""


@dataclass(frozen=True)
class Law:
    """What a shield's kernels need of a law: three structures of arrays and bounds, and functions over one row."""

    name: str
    """Of the Warp module that its kernels compile as."""
    ask: Any
    """`wp.struct`: the filter's inputs, with `command` and `speed_limit` or whatever `admits` reads."""
    bounds: Any
    """`wp.struct`: what is assumed of the body."""
    sight: Any
    """`wp.struct`: scratch that `look` fills."""
    kept: Any
    """`wp.struct`: the stored plans, which outlive a launch."""
    look: Any
    """(row, ask, bounds, sight) -> reason, 0 where the row can be judged"""
    cut: Any
    """(row, ask, bounds, sight) -> vec2, the proposal within the body's limits"""
    judge: Any
    """(row, first, second, culprit, ask, sight, bounds) -> a verdict with `reason`, `margin`, `culprit` and a vec3
    `plan`"""
    candidate: Any
    """(row, c, ask, sight, bounds) -> vec3: the command and its distance to the proposal"""
    admits: Any
    """(row, command vec3, ask, sight, bounds) -> whether a candidate is worth judging"""
    keep: Any
    """(row, plan vec3, command vec2, ask, sight, bounds, kept): a verified plan becomes the row's own"""
    play: Any
    """(row, ask, sight, bounds, kept, seen) -> vec2, the next tick of the stored plan; `seen` is false where `look`
    found a doubt"""
    forget: Any
    """(row, kept): the row is at rest, with no plan but to stay so"""


@wp.struct
class Tried:
    """Scratch of one launch."""

    status: wp.array(dtype=wp.int32)
    """JUDGE, VERIFIED or STORED_ONLY"""
    culprit: wp.array(dtype=wp.int32)
    """What refused the candidate before: the first to ask"""
    seen: wp.array(dtype=wp.int32)
    """1 where `look` found no doubt"""
    best: wp.array(dtype=wp.int32)
    """Cost and index of the nearest verified candidate"""
    margins: wp.array2d(dtype=wp.float32)
    """Of the lattice's candidates, (rows, LATTICE)"""
    plans: wp.array2d(dtype=wp.vec3)
    verdicts: wp.array2d(dtype=wp.int8)
    """0 for a verified candidate, the `Reason` for a refused one, UNTRIED or UNFIT; of refused rows alone"""
    commands: wp.array2d(dtype=wp.vec2)
    """Of the candidates, where `verdicts` tells of them"""


@dataclass(frozen=True)
class Kernels:
    """What a law's kernels are."""

    judge_proposals: Any
    judge_lattice: Any
    release: Any
    forget: Any


@dataclass(frozen=True)
class Recording:
    """Recorded launches, and what must live as long as they do."""

    commands: tuple[Launchable, ...]
    keep: tuple[object, ...]


def make_tried(rows: int, device: str) -> dict[str, wp.array]:
    """The arrays of `Tried` by name."""
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "status": ((rows,), wp.int32),
        "culprit": ((rows,), wp.int32),
        "seen": ((rows,), wp.int32),
        "best": ((rows,), wp.int32),
        "margins": ((rows, LATTICE), wp.float32),
        "plans": ((rows, LATTICE), wp.vec3),
        "verdicts": ((rows, LATTICE), wp.int8),
        "commands": ((rows, LATTICE), wp.vec2),
    }
    return {name: wp.zeros(shape, dtype=dtype, device=device) for name, (shape, dtype) in shapes.items()}


def struct_of(kind: Any, holder: object) -> Any:
    """A Warp structure whose arrays are the attributes of `holder` with the same names."""
    value = kind()
    for name in kind.vars:
        setattr(value, name, getattr(holder, name))
    return value


def recorded(kernels: Kernels, rows: int, seen: list[Any], tried: Any, kept: Any, out: Any, device: Any) -> Recording:
    """The three launches on one set of arrays; `seen` are the law's ask, bounds and sight."""
    result = [out.command, out.margin, out.reason]
    commands = (
        record(kernels.judge_proposals, rows, [*seen, tried, kept, *result], device),
        record(kernels.judge_lattice, (rows, LATTICE), [*seen, tried], device),
        record(kernels.release, rows, [*seen, tried, kept, out.command, out.margin], device),
    )
    return Recording(commands=commands, keep=(tried, kept, out, *seen))


def make_kernels(law: Law) -> Kernels:
    """The kernels of a law, in a Warp module of its own."""
    Ask, Bounds, Sight, Kept = law.ask, law.bounds, law.sight, law.kept
    look, cut, judge, candidate = law.look, law.cut, law.judge, law.candidate
    admits, keep, play, clear = law.admits, law.keep, law.play, law.forget
    module = wp.get_module(law.name)
    wp.set_module_options({"fuse_fp": False, "enable_backward": False}, module)

    @wp.kernel(module=module)
    def judge_proposals(
        ask: Ask,
        b: Bounds,
        sight: Sight,
        tried: Tried,
        kept: Kept,
        out_command: wp.array2d(dtype=wp.float32),
        out_margin: wp.array(dtype=wp.float32),
        out_reason: wp.array(dtype=wp.int8),
    ) -> None:
        """Gather what each row sees and judge its proposal; refused ones are left to the lattice."""
        row = wp.tid()
        tried.best[row] = UNDECIDED
        tried.culprit[row] = -1
        tried.status[row] = STORED_ONLY
        tried.seen[row] = 0
        reason = look(row, ask, b, sight)
        if reason == 0:
            tried.seen[row] = 1
        first = ask.command[row, 0]
        second = ask.command[row, 1]
        if reason == 0 and not (finite(first) and finite(second)):
            reason = Reason.NOT_FINITE
        if reason == 0:
            u = cut(row, ask, b, sight)
            verdict = judge(row, u[0], u[1], -1, ask, sight, b)
            reason = verdict.reason
            tried.status[row] = JUDGE
            tried.culprit[row] = verdict.culprit
            if reason == 0:
                tried.status[row] = VERIFIED
                if u[0] != first or u[1] != second:
                    reason = Reason.LIMITS
                out_command[row, 0] = u[0]
                out_command[row, 1] = u[1]
                out_margin[row] = verdict.margin
                keep(row, verdict.plan, u, ask, sight, b, kept)
        out_reason[row] = wp.int8(reason)

    @wp.kernel(module=module)
    def judge_lattice(ask: Ask, b: Bounds, sight: Sight, tried: Tried) -> None:
        """Judge the candidates of the rows whose proposal was refused; `best` becomes the nearest verified one."""
        row, c = wp.tid()
        if tried.status[row] != JUDGE:
            return
        u = candidate(row, c, ask, sight, b)
        tried.commands[row, c] = wp.vec2(u[0], u[1])
        if not admits(row, u, ask, sight, b):
            tried.verdicts[row, c] = wp.int8(UNFIT)
            return
        key = rank(u[2], c)
        if key >= tried.best[row]:  # cannot win: saves work, never changes the result
            tried.verdicts[row, c] = wp.int8(UNTRIED)
            return
        verdict = judge(row, u[0], u[1], tried.culprit[row], ask, sight, b)
        tried.verdicts[row, c] = wp.int8(verdict.reason)
        if verdict.reason == 0:
            tried.margins[row, c] = verdict.margin
            tried.plans[row, c] = verdict.plan
            wp.atomic_min(tried.best, row, key)
        elif verdict.culprit >= 0:
            tried.culprit[row] = verdict.culprit  # a hint for the next candidate: no verdict depends on it

    @wp.kernel(module=module)
    def release(
        ask: Ask,
        b: Bounds,
        sight: Sight,
        tried: Tried,
        kept: Kept,
        out_command: wp.array2d(dtype=wp.float32),
        out_margin: wp.array(dtype=wp.float32),
    ) -> None:
        """Give refused rows the nearest verified candidate, or the next tick of their stored plan."""
        row = wp.tid()
        if tried.status[row] == VERIFIED:
            return
        if tried.status[row] == JUDGE and tried.best[row] < UNDECIDED:
            c = tried.best[row] % 64
            u = candidate(row, c, ask, sight, b)
            command = wp.vec2(u[0], u[1])
            out_command[row, 0] = u[0]
            out_command[row, 1] = u[1]
            out_margin[row] = tried.margins[row, c]
            keep(row, tried.plans[row, c], command, ask, sight, b, kept)
            return
        tick = play(row, ask, sight, b, kept, tried.seen[row] == 1)
        out_command[row, 0] = tick[0]
        out_command[row, 1] = tick[1]
        out_margin[row] = -1.0
        kept.played[row] = kept.played[row] + 1

    @wp.kernel(module=module)
    def forget(mask: wp.array(dtype=wp.uint8), kept: Kept) -> None:
        """Rows whose mask is set are at rest, with no plan but to stay so."""
        row = wp.tid()
        if mask[row] != wp.uint8(0):
            clear(row, kept)

    return Kernels(judge_proposals, judge_lattice, release, forget)


@wp.func
def rank(cost: float, c: int) -> int:
    """Cost and index in one integer: atomic_min over it finds the nearest, the lowest index among equals."""
    return int(wp.min(cost, 15.0) * 1048576.0) * 64 + c
