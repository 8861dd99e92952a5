"""The shield's kernels are made for a law: another law gets kernels of its own and is decided in the same way."""

from __future__ import annotations

import numpy as np
import warp as wp

from safety.simplex import LATTICE, Law, Tried, make_kernels, make_tried, recorded, struct_of
from sim.filter import FilterOutputs


@wp.struct
class Ask:
    command: wp.array2d(dtype=wp.float32)
    limit: wp.array(dtype=wp.float32)


@wp.struct
class Bounds:
    most: float


@wp.struct
class Sight:
    unused: wp.array(dtype=wp.float32)


@wp.struct
class Kept:
    plan: wp.array(dtype=wp.float32)
    played: wp.array(dtype=wp.int32)


@wp.struct
class Verdict:
    reason: wp.int32
    margin: float
    plan: wp.vec3
    culprit: wp.int32


@wp.func
def look(row: int, ask: Ask, b: Bounds, sight: Sight) -> int:
    if ask.limit[row] < 0.0:
        return 7
    return 0


@wp.func
def cut(row: int, ask: Ask, b: Bounds, sight: Sight) -> wp.vec2:
    return wp.vec2(wp.min(ask.command[row, 0], b.most), ask.command[row, 1])


@wp.func
def judge(row: int, u: float, w: float, first: int, ask: Ask, sight: Sight, b: Bounds) -> Verdict:
    verdict = Verdict()
    verdict.margin = ask.limit[row] - u
    if u > ask.limit[row]:
        verdict.reason = 3
    verdict.plan = wp.vec3(u, 0.0, 0.0)
    return verdict


@wp.func
def candidate(row: int, c: int, ask: Ask, sight: Sight, b: Bounds) -> wp.vec3:
    u = ask.command[row, 0] - 0.25 * float(c + 1)
    return wp.vec3(u, 0.0, 0.01 * float(c))


@wp.func
def admits(row: int, u: wp.vec3, ask: Ask, sight: Sight, b: Bounds) -> bool:
    return u[0] >= 0.0


@wp.func
def keep(row: int, plan: wp.vec3, u: wp.vec2, ask: Ask, sight: Sight, b: Bounds, kept: Kept) -> None:
    kept.plan[row] = plan[0]
    kept.played[row] = 0


@wp.func
def play(row: int, ask: Ask, sight: Sight, b: Bounds, kept: Kept, seen: bool) -> wp.vec2:
    kept.plan[row] = 0.5 * kept.plan[row]
    return wp.vec2(kept.plan[row], 0.0)


@wp.func
def clear(row: int, kept: Kept) -> None:
    kept.plan[row] = 0.0


LAW = Law("tests.simplex", Ask, Bounds, Sight, Kept, look, cut, judge, candidate, admits, keep, play, clear)


class Rows:
    def __init__(self, commands: list[float], limits: list[float]) -> None:
        wp.config.quiet = True
        rows = len(commands)
        self.out = FilterOutputs(
            command=wp.zeros((rows, 2), dtype=wp.float32, device="cpu"),
            margin=wp.zeros(rows, dtype=wp.float32, device="cpu"),
            reason=wp.zeros(rows, dtype=wp.int8, device="cpu"),
        )
        ask, bounds, sight, self.kept = Ask(), Bounds(), Sight(), Kept()
        ask.command = wp.array(np.array([(u, 0.0) for u in commands], np.float32), device="cpu")
        ask.limit = wp.array(np.array(limits, np.float32), device="cpu")
        bounds.most = 10.0
        sight.unused = wp.zeros(1, dtype=wp.float32, device="cpu")
        self.kept.plan = wp.full(rows, 8.0, dtype=wp.float32, device="cpu")
        self.kept.played = wp.zeros(rows, dtype=wp.int32, device="cpu")
        holder = type("Scratch", (), make_tried(rows, "cpu"))
        self.tried = struct_of(Tried, holder)
        self.recording = recorded(make_kernels(LAW), rows, [ask, bounds, sight], self.tried, self.kept, self.out, "cpu")
        for command in self.recording.commands:
            command.launch()


def test_a_row_gets_its_proposal_or_the_nearest_candidate_or_its_stored_plan() -> None:
    # allowed; above the body's limit; refused by 0.3; nothing verified, for all 64 candidates lie above; not to be seen
    rows = Rows([1.0, 12.0, 2.0, 50.0, 1.0], [5.0, 20.0, 1.7, 0.5, -1.0])
    assert 50.0 - 0.25 * LATTICE > 0.5
    np.testing.assert_allclose(rows.out.command.numpy()[:, 0], [1.0, 10.0, 1.5, 4.0, 4.0])
    assert rows.out.reason.numpy().tolist() == [0, 1, 3, 3, 7]
    np.testing.assert_allclose(rows.out.margin.numpy(), [4.0, 10.0, 0.2, -1.0, -1.0], atol=1e-6)
    np.testing.assert_allclose(rows.kept.plan.numpy(), [1.0, 10.0, 1.5, 4.0, 4.0])
    assert rows.kept.played.numpy().tolist() == [0, 0, 0, 1, 1]


def test_it_is_told_of_every_candidate_of_a_refused_row_what_became_of_it() -> None:
    # candidate c is 1.75 - 0.25 c m/s: the first is refused, the second released, what lies farther off not judged
    rows = Rows([2.0, 50.0], [1.7, 0.5])
    verdicts, commands = rows.tried.verdicts.numpy(), rows.tried.commands.numpy()
    assert verdicts[0, :9].tolist() == [3, 0, -1, -1, -1, -1, -1, -1, -2]  # the last would drive backwards
    np.testing.assert_allclose(commands[0, :9, 0], [1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25, 0.0, -0.25])
    assert (verdicts[1] == 3).all()
