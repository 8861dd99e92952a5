"""The lemmas behind a braking vehicle, as obligations for z3, stated about the loaded numbers of car and profile.

d is the gap, v and u the speeds of the car and of the vehicle ahead, b the car's guaranteed and B the other's hardest
braking, A the car's acceleration, rho latency plus period. W = d - v^2 / 2b + u^2 / 2B is the gap that is left when
both have stopped.

    R1  braking keeps W >= 0      while both drive, the car braking at least b, the other at most B
    R2  W >= 0 means no contact   while the car is the faster one; needs B >= b, which RSS assumes without saying so
    R3  W >= 0 behind a stopped   d >= v^2 / 2b: the rest of the braking
    R4  the release test          d > RSS's definition 1 leaves W > 0 after rho at any acceleration <= A
    R5  B >= b                    the assumption itself, of the loaded numbers

For a profile in which others brake less than the car, R2 and R5 fail with a counterexample; `safety.roadbounds` refuses
such a pair when it is loaded. Not proved: that the body follows the roll-out within e(t) (measured), that nobody leaves
the profile, that sensors keep their bounds.
"""

from __future__ import annotations

# pyright: reportOperatorIssue=false, reportReturnType=false, reportArgumentType=false
# z3 overloads every operator for every sort; its annotations are the union of all of them.
from collections.abc import Callable
from dataclasses import dataclass

import z3

from safety.proofs.longitudinal import Claim, Result, prove
from sim.bodies.specs import CAR
from sim.driving.profile import RoadProfile
from sim.robot import SECOND, RobotSpec


@dataclass(frozen=True)
class RoadParameters:
    """The numbers that obligations are stated about; each as an exact decimal."""

    accel: str
    brake: str
    rho: str
    other_brake: str

    @staticmethod
    def of(spec: RobotSpec, profile: RoadProfile) -> RoadParameters:
        """The numbers of a car among others."""
        drive = spec.car
        return RoadParameters(
            accel=repr(drive.accel_max),
            brake=repr(drive.brake_min),
            rho=repr(spec.latency_bound + spec.period / SECOND),
            other_brake=repr(profile.brake),
        )


def prove_road(parameters: RoadParameters, *, timeout_ms: int = 10_000) -> list[Result]:
    """Every obligation, in order."""
    return [prove(name, claim(parameters), timeout_ms) for name, claim in ROAD_OBLIGATIONS.items()]


def left(d: z3.ArithRef, v: z3.ArithRef, u: z3.ArithRef, p: RoadParameters) -> z3.ArithRef:
    """2 b B W: the gap at both standstills, without a quotient."""
    b, most = z3.RealVal(p.brake), z3.RealVal(p.other_brake)
    return 2 * b * most * d - most * v * v + b * u * u


def braking_keeps_what_is_left(p: RoadParameters) -> Claim:
    """R1."""
    d, v, u, a, c, t = z3.Reals("d v u a c t")
    after = d + (u * t - c * t * t / 2) - (v * t - a * t * t / 2)
    assumptions = [
        v >= 0, u >= 0, t >= 0, a >= z3.RealVal(p.brake), c <= z3.RealVal(p.other_brake), c >= 0,
        v - a * t >= 0, u - c * t >= 0, left(d, v, u, p) >= 0,
    ]  # fmt: skip
    return assumptions, left(after, v - a * t, u - c * t, p) >= 0


def no_contact_while_closing(p: RoadParameters) -> Claim:
    """R2."""
    d, v, u = z3.Reals("d v u")
    return [u >= 0, v >= u, left(d, v, u, p) >= 0], d >= 0


def rest_behind_a_stopped(p: RoadParameters) -> Claim:
    """R3."""
    d, v, a, t = z3.Reals("d v a t")
    zero = z3.RealVal(0)
    assumptions = [v >= 0, t >= 0, a >= z3.RealVal(p.brake), v - a * t >= 0, left(d, v, zero, p) >= 0]
    return assumptions, d - (v * t - a * t * t / 2) >= 0


def release_leaves_room(p: RoadParameters) -> Claim:
    """R4: the other covers `way` within rho and has `w` left then; it brakes no harder than B."""
    d, v, u, a, way, w = z3.Reals("d v u a way w")
    b, most, rho = z3.RealVal(p.brake), z3.RealVal(p.other_brake), z3.RealVal(p.rho)
    reached = v + a * rho
    definition = v * rho + a * rho * rho / 2 + reached * reached / (2 * b) - u * u / (2 * most)
    assumptions = [
        v >= 0, u >= 0, w >= 0, way >= 0, a <= z3.RealVal(p.accel), reached >= 0,
        2 * most * way + w * w >= u * u, d > definition,
    ]  # fmt: skip
    return assumptions, left(d + way - v * rho - a * rho * rho / 2, reached, w, p) > 0


def others_brake_as_hard(p: RoadParameters) -> Claim:
    """R5."""
    return [], z3.RealVal(p.other_brake) >= z3.RealVal(p.brake)


ROAD_OBLIGATIONS: dict[str, Callable[[RoadParameters], Claim]] = {
    "R1 braking keeps the gap at standstill": braking_keeps_what_is_left,
    "R2 no contact while closing": no_contact_while_closing,
    "R3 the rest behind a stopped vehicle": rest_behind_a_stopped,
    "R4 the release test leaves room": release_leaves_room,
    "R5 others brake as hard": others_brake_as_hard,
}
"""Every obligation by name."""


def main() -> int:
    """Prove all for the default car among the default profile; 1 if one fails."""
    results = prove_road(RoadParameters.of(CAR, RoadProfile()))
    for result in results:
        print(f"{'proved' if result.proved else 'FAILED'}  {result.name}  {result.counterexample}")
    return 0 if all(result.proved for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
