"""Every lemma is proved from the parameters that ship, and refuted from wrong ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

z3 = pytest.importorskip("z3", reason="z3 is not installed (extra `prove`)")

from safety.dynamics import needed_gap  # noqa: E402
from safety.proofs import longitudinal as law  # noqa: E402
from safety.proofs import road  # noqa: E402
from sim.bodies.specs import CAR  # noqa: E402
from sim.driving.profile import RoadProfile  # noqa: E402
from sim.robot import RobotSpec  # noqa: E402

SHIPPED = law.Parameters.of(RobotSpec())


@pytest.mark.parametrize("name", law.OBLIGATIONS)
def test_obligation_is_proved_from_the_shipped_parameters(name: str) -> None:
    result = law.prove(name, law.OBLIGATIONS[name](SHIPPED))
    assert result.proved, result.counterexample


@pytest.mark.parametrize("name", [name for name in law.OBLIGATIONS if name[:2] in ("L1", "L2")])
def test_brakes_weaker_than_guaranteed_refute_the_lemma(name: str) -> None:
    faded = replace(SHIPPED, brake_true_min="0.75")
    result = law.prove(name, law.OBLIGATIONS[name](faded))
    assert not result.proved
    assert "v" in result.counterexample


def test_a_release_test_that_forgets_the_latency_is_refuted() -> None:
    assumptions, conclusion = law.release_gives_the_invariant(SHIPPED)
    g, v, speed, rho = z3.Reals("g v V rho")
    forgetful = [a for a in assumptions if not a.eq(g > law.needed(v, speed, SHIPPED, rho))]
    assert len(forgetful) == len(assumptions) - 1
    forgetful.append(g > law.needed(v, speed, SHIPPED, rho - z3.RealVal("0.05")))
    forgetful.append(rho >= z3.RealVal("0.15"))
    assert not law.prove("planted", (forgetful, conclusion)).proved


def test_a_trail_longer_than_the_latency_is_refuted() -> None:
    longer = replace(SHIPPED, latency="0.10")
    assumptions, _ = law.early_drive_trails(longer)
    _, conclusion = law.early_drive_trails(SHIPPED)
    assert not law.prove("planted", (assumptions, conclusion)).proved


def test_the_proved_term_is_the_function_that_robots_run() -> None:
    v, speed, rho = z3.RealVal("1.2"), z3.RealVal("1.6"), z3.RealVal("0.15")
    term = z3.simplify(law.needed(v, speed, SHIPPED, rho))
    drive = RobotSpec().drive
    told = needed_gap(1.2, 1.6, brake=drive.brake_min, accel=drive.accel_max, rho=0.15)
    assert float(term.as_fraction()) == pytest.approx(told, abs=1e-9)


def test_the_command_prints_every_obligation(capsys: pytest.CaptureFixture[str]) -> None:
    assert law.main() == 0
    assert capsys.readouterr().out.count("proved") == len(law.OBLIGATIONS)


def test_behind_a_vehicle_every_lemma_is_proved_from_the_shipped_car_and_profile() -> None:
    for result in road.prove_road(road.RoadParameters.of(CAR, RoadProfile())):
        assert result.proved, (result.name, result.counterexample)


def test_others_that_brake_less_than_the_car_refute_what_rss_assumes_in_silence() -> None:
    weak = road.RoadParameters.of(CAR, RoadProfile(brake=5.0))
    results = {result.name[:2]: result for result in road.prove_road(weak)}
    assert [name for name, result in results.items() if not result.proved] == ["R2", "R5"]
    assert "d = -" in results["R2"].counterexample  # a gap below 0 while the car is still the faster one


def test_a_release_test_that_forgets_the_reaction_is_refuted() -> None:
    shipped = road.RoadParameters.of(CAR, RoadProfile())
    assumptions, _ = road.release_leaves_room(replace(shipped, rho="0.05"))
    _, conclusion = road.release_leaves_room(shipped)
    assert not road.prove("planted", (assumptions, conclusion)).proved
