"""A guarded policy in the control step: the fallback drives in the step in which something is new, and it replays."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agents.policy import Policy
from fleet.control import ControlConfig, Stepper
from fleet.guards.watch import START, Trip, calls
from fleet.hardware import FakeRobot
from fleet.replay import replay_all
from fleet.served import Served
from fleet.swap import Desk
from safety.supervisor import Cause, Mode
from sim.robot import Readings, RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.guarded import write_guarded_policy
from tests.fleet.test_replay import write_box

SPEC, SITE = RobotSpec(), aisle()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_guarded_policy(tmp_path_factory.mktemp("guarded"))


def driven(policy: Policy) -> Episode:
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)
    stepper = Stepper(ControlConfig(robot="r0", spec=SPEC), SITE, policy)
    return Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(9)))


def shifted(episode: Episode, offset: float) -> None:
    """Localisation that is wrong by `offset` from now on."""
    readings = episode.robot.read(0.0)
    assert readings is not None
    x, y, yaw = (float(value) for value in readings.pose)
    episode.spoil = {"pose": (x, y + offset, yaw)}


def test_nothing_moves_while_the_first_observations_are_looked_at(policy: Policy) -> None:
    told = driven(policy).run(3.0)
    first = [each for each in told if each.answer is not None][: START + 2]
    assert [each.guard for each in first] == [Trip.START] * START + [Trip.NONE] * 2
    assert all(each.released == (0.0, 0.0) for each in first[:START])
    assert first[-1].released[0] > 0.0


def test_a_skew_that_is_there_from_the_start_lets_the_policy_never_move_it(policy: Policy) -> None:
    episode = driven(policy)
    shifted(episode, 0.35)
    for _ in range(30):
        shifted(episode, 0.35)
        outputs = episode.step()
        assert not outputs.source.startswith("navigate") or outputs.released == (0.0, 0.0)
    assert outputs.cause is Cause.POLICY


def test_the_fallback_drives_in_the_step_of_the_shift_and_the_box_replays(policy: Policy, tmp_path: Path) -> None:
    episode = driven(policy)
    before = episode.run(3.0)
    assert before[-1].source.startswith("navigate")
    shifted(episode, 0.13)
    outputs = episode.step()
    assert outputs.guard is Trip.CHANGE
    assert (outputs.mode, outputs.cause, outputs.source) == (Mode.FALLBACK, Cause.POLICY, "fallback")
    episode.spoil = {}
    after = episode.run(12.0)
    assert [each.guard for each in after if each.answer is not None][5:20] == [Trip.HELD] * 15
    assert after[-1].source != "fallback" or after[-1].guard is not Trip.NONE
    write_box(tmp_path, policy, episode.steps)
    (verdict,) = replay_all(tmp_path, Path(policy_place(policy, tmp_path)))
    assert verdict.identical, verdict.line()
    assert verdict.asked > 30


@pytest.fixture(scope="module")
def sensing(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Guarded by its readings too, and by hand-made novelty that nothing reaches."""
    return write_guarded_policy(tmp_path_factory.mktemp("sensing"), alone=5.0, change=5.0, sensing=True)


def noisy(episode: Episode) -> None:
    """A lidar as they are: 0.01 m of noise on each range, drawn by the time."""
    plain = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)

    def scan(pose: tuple[float, float, float]) -> np.ndarray:
        noise = np.random.default_rng(episode.robot.stamp).normal(0.0, 0.01, SPEC.lidar.rays)
        return np.clip(plain(pose) + noise, 0.0, SPEC.lidar.range_max).astype(np.float32)

    episode.robot._scan = scan


FIRST_THIRD = np.arange(360) < 120
READINGS: dict[str, Callable[[Readings, Readings], dict[str, object]]] = {
    "scan turned": lambda now, then: {"scan": np.roll(now.scan, 8).tobytes()},
    "scan mirrored": lambda now, then: {"scan": np.ascontiguousarray(now.scan[::-1]).tobytes()},
    "scan frozen": lambda now, then: {"scan": then.scan.tobytes()},
    "third of the rays lost": lambda now, then: {"scan": np.where(FIRST_THIRD, np.float32(10.0), now.scan).tobytes()},
    "localisation 0.2 m aside": lambda now, then: {"pose": tuple(np.add(now.pose, (0.0, 0.2, 0.0)).tolist())},
    "odometry of 0.5": lambda now, then: {"twist": tuple((0.5 * now.twist).tolist())},
}  # fmt: skip


@pytest.mark.parametrize("fault", READINGS)
def test_readings_that_contradict_each_other_call_the_fallback_within_five_steps(
    sensing: Policy, tmp_path: Path, fault: str
) -> None:
    episode = driven(sensing)
    noisy(episode)
    before = episode.run(3.0)
    assert before[-1].source.startswith("navigate")
    assert all(each.guard in (Trip.NONE, Trip.START) for each in before)
    then = episode.robot.read(0.0)
    assert then is not None
    episode.robot.stamp -= SPEC.period
    episode.robot.pose = tuple(then.pose.tolist())
    told = []
    for _ in range(5):
        pose, stamp = episode.robot.pose, episode.robot.stamp
        now = episode.robot.read(0.0)
        assert now is not None
        episode.robot.pose, episode.robot.stamp = pose, stamp
        episode.spoil = READINGS[fault](now, then)
        told.append(episode.step())
    assert any(calls(each.guard) for each in told), [each.guard.name for each in told]
    assert told[-1].source != sensing.hash
    assert next(each for each in told if calls(each.guard)).cause is Cause.POLICY
    write_box(tmp_path, sensing, episode.steps)
    place = tmp_path / "again"
    place.mkdir()
    assert write_guarded_policy(place, alone=5.0, change=5.0, sensing=True).hash == sensing.hash
    (verdict,) = replay_all(tmp_path, place)
    assert verdict.identical, verdict.line()


def test_a_lidar_that_was_mounted_turned_lets_the_policy_never_move_the_robot(sensing: Policy) -> None:
    episode = driven(sensing)
    noisy(episode)
    straight = episode.robot._scan
    episode.robot._scan = lambda pose: np.roll(straight(pose), 8)
    told = episode.run(3.0)
    asked = [each.guard for each in told if each.answer is not None]
    assert len(asked) > 20
    assert set(asked) <= {Trip.PLACE, Trip.ROUGH}
    assert all(each.released == (0.0, 0.0) or each.source == "fallback" for each in told)


def test_an_undisturbed_mission_by_a_noisy_lidar_trips_nothing(sensing: Policy) -> None:
    episode = driven(sensing)
    noisy(episode)
    told = episode.run(25.0)
    assert {each.guard for each in told} <= {Trip.NONE, Trip.START}
    assert sum(each.answer is not None and len(each.answer.fix) == 3 for each in told) > 60


def test_a_recorded_fix_that_was_edited_is_a_difference(sensing: Policy, tmp_path: Path) -> None:
    episode = driven(sensing)
    noisy(episode)
    episode.run(2.0)
    at = max(index for index, step in enumerate(episode.steps) if step.outputs.answer)
    step = episode.steps[at]
    answer = msgspec.structs.replace(step.outputs.answer, fix=(0.01, 0.0, 0.0))
    episode.steps[at] = msgspec.structs.replace(step, outputs=msgspec.structs.replace(step.outputs, answer=answer))
    write_box(tmp_path, sensing, episode.steps)
    place = tmp_path / "again"
    place.mkdir()
    write_guarded_policy(place, alone=5.0, change=5.0, sensing=True)
    (verdict,) = replay_all(tmp_path, place)
    assert not verdict.identical


def policy_place(policy: Policy, folder: Path) -> Path:
    """Its files, written anew: the hash is of content."""
    place = folder / "again"
    place.mkdir()
    assert write_guarded_policy(place).hash == policy.hash
    return place


def test_a_recorded_novelty_that_was_edited_is_a_difference(policy: Policy, tmp_path: Path) -> None:
    episode = driven(policy)
    episode.run(3.0)
    at = next(index for index, step in enumerate(episode.steps) if step.outputs.answer and index > 20)
    step = episode.steps[at]
    answer = msgspec.structs.replace(step.outputs.answer, novelty=(0.01,) * 6)
    episode.steps[at] = msgspec.structs.replace(step, outputs=msgspec.structs.replace(step.outputs, answer=answer))
    write_box(tmp_path, policy, episode.steps)
    (verdict,) = replay_all(tmp_path, policy_place(policy, tmp_path))
    assert not verdict.identical


def seat(name: str, opened: str = "") -> types.SimpleNamespace:
    used: list[str] = []
    return types.SimpleNamespace(
        name=name,
        opened=opened,
        used=used,
        box=None,
        stepper=types.SimpleNamespace(use=lambda policy, chooser: used.append(policy.hash)),
        metrics=types.SimpleNamespace(swap=lambda name, outcome: None),
    )


def desk(root: Path, *seats: types.SimpleNamespace) -> Desk:
    new, old = (Served(types.SimpleNamespace(hash=letter * 64, contract_hash="c")) for letter in "ba")  # type: ignore[arg-type]  # hash is all of it
    made = Desk(root, list(seats), new, lambda place: new)  # type: ignore[arg-type]  # seats that are looked at alone
    made.serving.previous = old
    return made


def test_an_open_breaker_of_most_robots_lets_the_version_before_drive_once(tmp_path: Path) -> None:
    seats = [seat("r0", "b" * 12), seat("r1"), seat("r2")]
    made = desk(tmp_path, *seats)
    made.swap()
    assert made.serving.current.policy.hash == "b" * 64, "one robot of three has a fault of its own"
    seats[1].opened = "b" * 12
    made.swap()
    assert made.serving.current.policy.hash == "a" * 64
    assert all(each.used == ["a" * 64] for each in seats)
    for each in seats:
        each.opened = "a" * 12
    made.swap()
    assert made.serving.current.policy.hash == "a" * 64, "neither version is trusted: the fallback drives"


def test_without_a_version_before_the_fallback_drives_on(tmp_path: Path) -> None:
    made = desk(tmp_path, seat("r0", "b" * 12))
    made.serving.previous = None
    made.swap()
    assert made.serving.current.policy.hash == "b" * 64
    assert made.serving.take() is None


def test_every_reason_is_told_by_its_name() -> None:
    assert [trip.name for trip in Trip if calls(trip)] == [
        "ALONE", "CHANGE", "DISTANCE", "ALONE_LASTING", "CHANGE_LASTING", "DISTANCE_LASTING", "ACTION",
        "ODOMETRY", "BEYOND", "ROUGH", "PLACE", "BIAS", "DRIFT", "STILL", "ODOMETRY_LASTING", "BEYOND_LASTING",
        "ROUGH_LASTING", "PLACE_LASTING", "BIAS_LASTING", "DRIFT_LASTING", "STILL_LASTING",
    ]  # fmt: skip


def test_asking_for_novelty_changes_no_action(policy: Policy) -> None:
    assert policy.guarded
    seen = np.zeros((1, 89), np.float32)
    assert policy.act(seen).tobytes() == policy.judge(seen, seen)[0].tobytes()
