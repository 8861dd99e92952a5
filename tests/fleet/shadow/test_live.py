"""A candidate beside a driving robot: it is asked after the command, within its share, and moves nothing."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.errors import ContractMismatch, PolicyError
from agents.policy import Policy
from fleet import replay
from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from fleet.shadow import candidate as candidates
from fleet.shadow.candidate import stepper_for
from fleet.shadow.floor import FloorCandidate, FloorStep, asked, begin
from fleet.shadow.live import FAULTS, FIRST, SHARE, Shadow, Shadows
from fleet.shadow.pairs import Pair
from fleet.shadow.record import read
from fleet.shadow.summary import summary
from sim.robot import SECOND, RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()
CONFIG = ControlConfig(robot="r0", spec=SPEC)
TICK = SPEC.period / SECOND


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    found = []
    for speed in (0.6, 1.0):
        place = tmp_path_factory.mktemp("policy")
        write_hand_policy(place, SPEC, speed=speed)
        found.append(place)
    return found[0], found[1]


@pytest.fixture(scope="module")
def steps(places: tuple[Path, Path]) -> list[Step]:
    """Half of a drive, all of its steps with a policy asked."""
    episode = Episode(
        Stepper(CONFIG, SITE, Policy.load(places[0])),
        FakeRobot(SPEC, (0.6, 1.8, 0.0), walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)),
        FakeCoordinator(SITE, delivery(10)),
    )
    episode.run(8.0)
    return [step for step in episode.steps if asked(step.outputs)]


@pytest.fixture(scope="module")
def stepper(places: tuple[Path, Path]) -> Stepper:
    return stepper_for(CONFIG, SITE, Policy.load(places[1]))


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by half of that at each look: a step looks twice, its account once more."""
    return itertools.count(0.0, seconds).__next__


def drive(shadow: Shadow, steps: list[Step], *, left: float = math.inf, late: bool = False) -> None:
    for step in steps:
        shadow.offer(FloorStep(step.inputs, step.memory, step.outputs), late=late)
        shadow.work(left)


def test_it_decides_as_it_would_alone_and_production_is_not_touched(steps: list[Step], stepper: Stepper) -> None:
    found: list[Pair] = []
    shadow = Shadow("r0", FloorCandidate(stepper), found.append, tick=TICK, clock=ticking(1.0))
    shadow.lockstep = True
    drive(shadow, steps)
    assert [one.cycle for one in found] == [step.cycle for step in steps]
    for one, step in zip(found, steps, strict=True):
        theirs, _ = stepper.step(step.inputs, step.memory)
        assert one.candidate.released == theirs.released
        assert one.production.released == step.outputs.released
    assert shadow.counts["differing"] > 0


def test_it_is_given_inputs_memory_and_a_sink_and_nothing_that_could_write_a_command() -> None:
    hints = inspect.signature(Shadow.__init__).parameters
    assert set(hints) == {"self", "robot", "candidate", "sink", "robots", "tick", "clock"}
    names = {name for function in (Shadow.offer, Shadow.work) for name in function.__code__.co_names}
    assert not names & {"write", "report", "publish", "plant", "link", "send", "tell"}


@pytest.mark.parametrize("seconds", [0.0005, 0.002, 0.02])
@pytest.mark.parametrize("robots", [1, 4])
def test_its_share_of_the_tick_is_bounded_however_slow_it_is(
    seconds: float, robots: int, steps: list[Step], stepper: Stepper
) -> None:
    found: list[Pair] = []
    shadow = Shadow("r0", FloorCandidate(stepper), found.append, tick=TICK, robots=robots, clock=ticking(seconds))
    many = steps * 5
    drive(shadow, many)
    assert len(found) > 0
    spent = shadow.seconds
    assert spent <= SHARE * TICK * len(many) / robots + 4.0 * seconds + FIRST
    assert shadow.counts["budget"] + len(found) == len(many)


def test_it_is_dropped_first_when_the_tick_is_late_or_nothing_is_left(steps: list[Step], stepper: Stepper) -> None:
    found: list[Pair] = []
    shadow = Shadow("r0", FloorCandidate(stepper), found.append, tick=TICK)
    drive(shadow, steps[:10], late=True)
    assert shadow.counts == {"late": 10}
    drive(shadow, steps[:10], left=FIRST)
    assert shadow.counts["busy"] == 10
    for step in steps[:4]:
        shadow.offer(FloorStep(step.inputs, step.memory, step.outputs))  # nobody had time to ask
    assert shadow.counts["busy"] == 13
    assert not found


def test_one_long_step_does_not_keep_it_from_being_asked_for_ever(steps: list[Step], stepper: Stepper) -> None:
    found: list[Pair] = []
    moments = itertools.chain((0.0, TICK, TICK), itertools.count(2 * TICK, 0.0002))  # a hiccup as long as the tick
    shadow = Shadow("r0", FloorCandidate(stepper), found.append, tick=TICK, clock=lambda: next(moments))
    drive(shadow, steps * 12, left=0.5 * TICK)
    assert shadow.counts["budget"] + shadow.counts["busy"] > 30
    assert len(found) > len(steps)


def test_a_candidate_that_raises_is_off_after_a_few_and_production_hears_nothing(
    steps: list[Step], places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = stepper_for(CONFIG, SITE, Policy.load(places[1]))
    monkeypatch.setattr(broken, "step", lambda *_, **__: 1 / 0)
    shadow = Shadow("r0", FloorCandidate(broken), lambda pair: pytest.fail("a pair"), tick=TICK)
    drive(shadow, steps)
    assert shadow.off
    assert shadow.counts == {"fault": FAULTS}
    assert "is off, it raised 3 times" in capsys.readouterr().out


def test_pairs_and_skips_reach_the_run_and_the_black_box(
    steps: list[Step], places: tuple[Path, Path], tmp_path: Path
) -> None:
    desk = begin(str(places[1]), Path("registry"), CONFIG, ("r0",), SITE, tmp_path)
    (shadow,) = desk.shadows
    policy = Policy.load(places[0])
    box = BlackBox(tmp_path / "blackbox", "r0", *write_header(CONFIG, SITE, policy))
    for number, step in enumerate(steps):
        box.append(Step(step.cycle, step.stamp, step.inputs, step.memory, step.outputs, shadow.newest()))
        shadow.offer(FloorStep(step.inputs, step.memory, step.outputs), late=number < 3)
        desk.work(math.inf)
    desk.flush()
    box.close()
    desk.close()
    found = summary(tmp_path)
    assert found.pairs == shadow.counts["pairs"] > 0
    assert found.skipped["late"] == 3
    assert found.candidate == Policy.load(places[1]).hash[:12]
    inside = [one for one in read(tmp_path / "blackbox" / "r0-0.mcap") if isinstance(one, Pair)]
    outside = [one for one in read(tmp_path / "shadow" / "r0.jsonl") if isinstance(one, Pair)]
    assert inside == outside[: len(inside)]
    assert len(outside) - len(inside) <= 1, "the last one had no step after it"
    (verdict,) = replay.replay_all(tmp_path, places[0])
    assert verdict.identical, verdict.line()


def test_nothing_is_beside_a_robot_that_was_given_no_candidate(tmp_path: Path) -> None:
    desk = begin("", Path("registry"), CONFIG, ("r0",), SITE, tmp_path)
    assert not desk.pending
    desk.work(0.0)
    desk.close()
    assert list(tmp_path.iterdir()) == []


def test_a_candidate_that_cannot_keep_to_its_share_or_fits_no_robot_is_refused(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(PolicyError, match="expected answers within"):
        candidates.load(places[1], SPEC, patience=1e-9)
    write_hand_policy(tmp_path, RobotSpec(length=2.0))
    with pytest.raises(ContractMismatch, match="contract"):
        begin(str(tmp_path), Path("registry"), CONFIG, ("r0",), SITE, tmp_path / "run")


def test_a_desk_asks_one_candidate_at_a_time(steps: list[Step], stepper: Stepper, tmp_path: Path) -> None:
    desk = Shadows(tmp_path)
    desk.shadows = tuple(Shadow(name, FloorCandidate(stepper), desk.take, tick=TICK) for name in ("r0", "r1"))
    step = steps[0]
    for shadow in desk.shadows:
        shadow.offer(FloorStep(step.inputs, step.memory, step.outputs))
    desk.work(math.inf)
    assert [shadow.pending for shadow in desk.shadows] == [False, True]
    desk.work(math.inf)
    assert not desk.pending
