"""The decision of one car beside that of an environment: the same views give the same commands, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleet.cardecision import CarDecided, CarDecision
from fleet.drivers import Learned
from fleet.drivinglevels import DrivingLevels, read_driving_levels
from fleet.venues import Among, guard_of, make_env, make_venue, read_fault, without_policy
from safety.supervisor import Mode
from sim.bodies.specs import CAR
from sim.driving.env import RoadEnv
from sim.driving.state import View, make_view
from sim.driving.wheelangle import as_angle, as_curvature
from tests.fleet.drivepolicies import write_driving_policies


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_driving_policies(tmp_path_factory.mktemp("policies"))


class Beside:
    """A `CarDecision` that sees what an environment's car sees, and decides before it."""

    def __init__(self, env: RoadEnv, levels: DrivingLevels, *, by_angle: bool = False) -> None:
        self.env, self.view = env, make_view(1, "cpu")
        self.decision = CarDecision(
            levels, CAR, self.view, env.atlas.lanes, env.atlas.conflicts, by_angle=by_angle
        )  # fmt: skip

    def decide(self, failed: str = "") -> CarDecided:
        for name in View.vars:
            getattr(self.view, name).assign(getattr(self.env.view, name))
        return self.decision.step(failed=failed)


@pytest.mark.parametrize(("site", "seconds"), [("town:7", 20.0), ("highway:3", 12.0)])
def test_a_car_decides_bit_for_bit_what_an_environment_decides(policies: Path, site: str, seconds: float) -> None:
    env = make_env(make_venue(site), 3, Among(seconds=seconds))
    env.reset()
    guard = guard_of(env)
    assert guard is not None
    beside = Beside(env, read_driving_levels(policies))
    decided = [beside.decide()]
    theirs: list[tuple[tuple[float, float], object]] = []

    def watch() -> bool:
        theirs.append((guard.proposed, guard.released))
        over = len(theirs) * 0.05 >= seconds - 0.2 or env.task.outcome.ended.numpy()[0] != 0
        if not over:
            decided.append(beside.decide())
        return bool(over)

    Learned(policies).drive(env, watch)
    ours = [(each.proposed, (each.judged, each.margin, each.reason)) for each in decided]
    assert len(ours) > 60
    assert ours == theirs[: len(ours)]
    speeds = {proposed for proposed, _ in theirs}
    assert len(speeds) > 50, "the car must have something to decide"


def test_a_car_whose_policy_failed_falls_back_as_an_environment_does(policies: Path) -> None:
    env = make_env(make_venue("highway:3"), 5, Among(seconds=30.0, fault=read_fault("policy:2")))
    env.reset()
    guard = guard_of(env)
    assert guard is not None
    beside = Beside(env, read_driving_levels(policies))
    decided, theirs = [beside.decide()], []

    def watch() -> bool:
        theirs.append((guard.released, guard.mode))
        decided.append(beside.decide("the test says so" if guard.failed else ""))
        return guard.failed

    Learned(policies).drive(env, watch)
    while len(theirs) < 120:
        without_policy(env)
        watch()
    ours = [((each.judged, each.margin, each.reason), each.mode) for each in decided[:-1]]
    assert ours == theirs
    assert {mode for _, mode in ours} == {Mode.POLICY, Mode.FALLBACK}


def test_a_policy_that_says_no_number_is_asked_no_more(policies: Path) -> None:
    env = make_env(make_venue("highway:3"), 5, Among(seconds=5.0))
    env.reset()
    levels = read_driving_levels(policies)
    beside = Beside(env, levels)
    assert beside.decide().trouble == ""
    beside.decision._host["chosen"][...] = np.nan
    beside.decision._top = _Broken()  # type: ignore[assignment]  # fails as a policy can
    for _ in range(20):
        last = beside.decide()
    assert "RuntimeError: it broke" in last.trouble
    assert last.mode is Mode.FALLBACK
    assert np.isfinite(last.released).all()


def test_what_a_car_remembers_of_its_commands_is_what_arrives(policies: Path) -> None:
    env = make_env(make_venue("town:7"), 5, Among(seconds=5.0))
    env.reset()
    decided = Beside(env, read_driving_levels(policies), by_angle=True).decide()
    assert decided.released == (decided.judged[0], as_curvature(decided.angle, CAR.car.wheelbase))
    assert decided.angle == as_angle(decided.judged[1], CAR.car.wheelbase)
    assert decided.released[1] == pytest.approx(decided.judged[1], rel=1e-6)


class _Broken:
    def act(self, observation: object) -> object:
        raise RuntimeError("it broke")
