"""The lemmas along the way of a stopping robot, as obligations for z3: each is proved when its negation has no model.

Why one dimension is enough: for a disc around the reference point the distance to an obstacle shrinks at most at
v + V on any path, so what holds on a line holds on every arc; the set check of the shield only takes away what this
gives up sideways. g is the gap, v and V the speeds of robot and obstacle, b the guaranteed and a the true braking, A
the acceleration, rho age plus latency plus period, T the time of the stop on the arc (T >= v / b).

    L1  braking keeps             2 b g >= v^2 + 2 V v                 at any a >= b, any obstacle speed <= V
    L2  a stop inside a step      g - v^2 / 2a - V v / a >= 0          (passive safety: gap at standstill)
    L3  the gap stays >= 0        at every instant of a braking step
    L4  the release test          g > needed_gap(v) gives L1's invariant strictly after rho at any acceleration <= A
    L5  the stop on the arc       g > v T / 2 + V T keeps the gap > 0 at every t in [0, T], braking at v / T <= b
    L6  an early drive trails     a drive that hears a stop e <= latency earlier is at most v times latency behind
    L7  the age of the scan       an obstacle seen `age` ago and V fast is inside what the shield grows
    E1  the release test equals   theorem 2 of Mitsch et al. 2017,
                                  v^2/2b + V v/b + (A/b + 1) (A rho^2 / 2 + rho (v + V))

Not proved: that the body matches the model within e(t) (measured), that sensors see every person, that nobody is
faster than V, that sin and cos are right.
"""

from __future__ import annotations

# pyright: reportOperatorIssue=false, reportReturnType=false, reportArgumentType=false
# z3 overloads every operator for every sort; its annotations are the union of all of them.
from collections.abc import Callable
from dataclasses import dataclass

import z3

from sim.robot import SECOND, RobotSpec


@dataclass(frozen=True)
class Parameters:
    """The numbers that obligations are stated about; each as an exact decimal."""

    accel: str
    brake: str
    turn_accel: str
    latency: str
    age: str
    period: str
    brake_true_min: str
    """Least true braking, m/s^2: the guarantee itself unless a fault is planted."""

    @staticmethod
    def of(spec: RobotSpec) -> Parameters:
        """The numbers of a specification."""
        return Parameters(
            accel=repr(spec.diff.accel_max),
            brake=repr(spec.diff.brake_min),
            turn_accel=repr(spec.diff.turn_accel_max),
            latency=repr(spec.latency_bound),
            age=repr(spec.sensor_age_bound),
            period=repr(spec.period / SECOND),
            brake_true_min=repr(spec.diff.brake_min),
        )


@dataclass(frozen=True)
class Result:
    """What z3 said of one obligation."""

    name: str
    proved: bool
    counterexample: str
    """A model of the negation; empty when proved, `unknown` when z3 gave up."""


Claim = tuple[list[z3.BoolRef], z3.BoolRef]
"""Assumptions and what follows from them."""


def prove_all(parameters: Parameters, *, timeout_ms: int = 10_000) -> list[Result]:
    """Every obligation, in order."""
    return [prove(name, claim(parameters), timeout_ms) for name, claim in OBLIGATIONS.items()]


def prove(name: str, claim: Claim, timeout_ms: int = 10_000) -> Result:
    """One obligation: the assumptions with the negated conclusion must have no model."""
    assumptions, conclusion = claim
    solver = z3.Solver()
    solver.set("timeout", timeout_ms)
    solver.add(*assumptions, z3.Not(conclusion))
    verdict = solver.check()
    if verdict == z3.unsat:
        return Result(name, True, "")
    return Result(name, False, str(solver.model()) if verdict == z3.sat else "unknown")


def needed(v: z3.ArithRef, speed: z3.ArithRef, p: Parameters, rho: z3.ArithRef) -> z3.ArithRef:
    """`safety.dynamics.needed_gap`, as a term: accelerate for rho, then brake, the obstacle coming at `speed`."""
    a, b = z3.RealVal(p.accel), z3.RealVal(p.brake)
    reached = v + a * rho
    way = v * rho + a * rho * rho / 2 + reached * reached / (2 * b)
    return way + speed * (rho + reached / b)


def _brake_step(p: Parameters) -> tuple[list[z3.BoolRef], z3.ArithRef, z3.ArithRef, z3.ArithRef]:
    """Assumptions of one braking step that does not end in rest; gap and speed after it, V."""
    g, v, speed, seen, a, t = z3.Reals("g v V u a t")
    b = z3.RealVal(p.brake)
    assumptions = [
        v >= 0,
        speed >= 0,
        seen <= speed,
        a >= z3.RealVal(p.brake_true_min),
        t >= 0,
        v - a * t >= 0,
        2 * b * g >= v * v + 2 * speed * v,
    ]
    return assumptions, g - (v * t - a * t * t / 2) - seen * t, v - a * t, speed


def braking_keeps_the_invariant(p: Parameters) -> Claim:
    """L1."""
    assumptions, gap, v, speed = _brake_step(p)
    return assumptions, 2 * z3.RealVal(p.brake) * gap >= v * v + 2 * speed * v


def stop_inside_a_step(p: Parameters) -> Claim:
    """L2."""
    g, v, speed, a = z3.Reals("g v V a")
    b = z3.RealVal(p.brake)
    assumptions = [v >= 0, speed >= 0, a >= z3.RealVal(p.brake_true_min), a > 0, 2 * b * g >= v * v + 2 * speed * v]
    return assumptions, g - v * v / (2 * a) - speed * v / a >= 0


def gap_stays_open(p: Parameters) -> Claim:
    """L3."""
    assumptions, gap, _, _ = _brake_step(p)
    return assumptions, gap >= 0


def release_gives_the_invariant(p: Parameters) -> Claim:
    """L4."""
    g, v, speed, seen, a, rho = z3.Reals("g v V u a rho")
    b = z3.RealVal(p.brake)
    most = z3.RealVal(p.age) + z3.RealVal(p.latency) + z3.RealVal(p.period)
    reached = v + a * rho
    after = g - (v * rho + a * rho * rho / 2) - seen * rho
    assumptions = [
        v >= 0,
        speed >= 0,
        seen <= speed,
        a <= z3.RealVal(p.accel),
        rho >= 0,
        rho <= most,
        reached >= 0,
        g > needed(v, speed, p, rho),
    ]
    return assumptions, 2 * b * after > reached * reached + 2 * speed * reached


def stop_on_the_arc(p: Parameters) -> Claim:
    """L5."""
    g, v, speed, stop, t = z3.Reals("g v V T t")
    assumptions = [
        v >= 0,
        speed >= 0,
        stop > 0,
        stop * z3.RealVal(p.brake) >= v,
        t >= 0,
        t <= stop,
        g > v * stop / 2 + speed * stop,
    ]
    # times 2 T, which is positive: v t - v t^2 / 2T without a quotient
    return assumptions, 2 * stop * g - 2 * stop * v * t + v * t * t - 2 * stop * speed * t > 0


def early_drive_trails(p: Parameters) -> Claim:
    """L6: both stop linearly in T, one from 0, one after e of going on at v; t in the later one's stop."""
    v, stop, early, t = z3.Reals("v T e t")
    assumptions = [
        v >= 0,
        stop > 0,
        early >= 0,
        early <= z3.RealVal(p.latency),
        t >= early,
        t <= stop,
    ]
    late_way_2t = 2 * stop * v * early + 2 * stop * v * (t - early) - v * (t - early) * (t - early)
    early_way_2t = 2 * stop * v * t - v * t * t
    behind_2t = late_way_2t - early_way_2t
    return assumptions, z3.And(behind_2t >= 0, behind_2t <= 2 * stop * v * z3.RealVal(p.latency))


def age_is_counted(p: Parameters) -> Claim:
    """L7: seen at distance d, V fast; t after the release it is no nearer than d - V (age + t)."""
    d, speed, moved_before, moved_after, age, t = z3.Reals("d V m n age t")
    assumptions = [
        speed >= 0,
        age >= 0,
        age <= z3.RealVal(p.age),
        t >= 0,
        moved_before <= speed * age,
        moved_after <= speed * t,
    ]
    return assumptions, d - moved_before - moved_after >= d - speed * (age + t)


def release_test_is_theorem_2(p: Parameters) -> Claim:
    """E1."""
    v, speed, rho = z3.Reals("v V rho")
    a, b = z3.RealVal(p.accel), z3.RealVal(p.brake)
    theorem = v * v / (2 * b) + speed * v / b + (a / b + 1) * (a * rho * rho / 2 + rho * (v + speed))
    return [], needed(v, speed, p, rho) == theorem


OBLIGATIONS: dict[str, Callable[[Parameters], Claim]] = {
    "L1 braking keeps the invariant": braking_keeps_the_invariant,
    "L2 a stop inside a step": stop_inside_a_step,
    "L3 the gap stays open": gap_stays_open,
    "L4 the release test gives the invariant": release_gives_the_invariant,
    "L5 the stop on the arc": stop_on_the_arc,
    "L6 an early drive trails": early_drive_trails,
    "L7 the age of the scan is counted": age_is_counted,
    "E1 the release test is theorem 2": release_test_is_theorem_2,
}
"""Every obligation by name."""


def main() -> int:
    """Prove all for the default robot; 1 if one fails."""
    results = prove_all(Parameters.of(RobotSpec()))
    for result in results:
        print(f"{'proved' if result.proved else 'FAILED'}  {result.name}  {result.counterexample}")
    return 0 if all(result.proved for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
