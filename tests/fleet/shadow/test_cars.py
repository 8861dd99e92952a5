"""A candidate beside a car: in the simulator, on a bus, on logs; it is asked, and nothing of it arrives anywhere."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fleet import cli
from fleet.carlog import CarLog
from fleet.drivelog import recording
from fleet.driverecord import DriveRecorder
from fleet.drivers import driver_of
from fleet.drivinglevels import DrivingLevels, read_driving_levels
from fleet.registry.manifest import describe
from fleet.registry.store import Registry
from fleet.ros.arguments import parse
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.salvage import read_recording
from fleet.shadow.cars import Asked, begin, check
from fleet.shadow.drivelogs import pairs
from fleet.shadow.drives import DriveShadow
from fleet.shadow.live import SHARE, Shadow, Shadows
from fleet.shadow.pairs import ROAD, Pair
from fleet.shadow.record import read
from fleet.shadow.road import RoadCandidate, RoadStep, distance
from fleet.shadow.summary import summary
from fleet.venues import Among, course_of, guard_of, make_env, make_venue
from sim.bodies.specs import CAR
from sim.errors import MusterError
from sim.robot import SECOND, RobotSpec
from tests.fleet.carbus import SIM_TIME, drive_in_process, make_pair, make_plant
from tests.fleet.drivepolicies import write_driving_policies
from tests.fleet.hand_policy import write_hand_policy

TICK = CAR.period / SECOND


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Production and a candidate."""
    first, second = tmp_path_factory.mktemp("production"), tmp_path_factory.mktemp("candidate")
    return write_driving_policies(first), write_driving_policies(second, seed=40)


@pytest.fixture(scope="module")
def levels(places: tuple[Path, Path]) -> tuple[DrivingLevels, DrivingLevels]:
    return read_driving_levels(places[0]), read_driving_levels(places[1])


def drive(root: Path, site: str, seconds: float, production: Path, candidate: DrivingLevels) -> list[Pair]:
    """A drive of the simulator with its black box; the pairs of its shadow."""
    env = make_env(make_venue(site), 3, Among(seconds=seconds, walkers=0))
    env.reset()
    venue, driver = make_venue(site), driver_of(str(production))
    course = course_of(venue, env, 3, driver.name)
    recorder, guard = DriveRecorder(env, course), guard_of(env)
    assert guard is not None
    desk = Shadows(root)
    beside = DriveShadow(desk, candidate, env, venue.road, driver.name.removeprefix("policy "), "drive0")
    with recording(root / "blackbox", course, {"body": "kinematic"}, "drive0", guard.assumed) as box:

        def watch() -> bool:
            if not recorder.over:
                box.append(recorder.take())
                beside.look()
            return recorder.over

        driver.drive(env, watch)
    beside.close()
    return [one for one in read(root / "shadow" / "drive0.jsonl") if isinstance(one, Pair)]


def timeless(found: list[Pair]) -> list[Pair]:
    return [msgspec.structs.replace(one, seconds=0.0) for one in found]


@pytest.mark.parametrize("site", ["town:7", "highway:3"])
def test_the_same_policies_beside_themselves_propose_and_are_allowed_the_same_bit_for_bit(
    tmp_path: Path, site: str, places: tuple[Path, Path], levels: tuple[DrivingLevels, DrivingLevels]
) -> None:
    found = drive(tmp_path, site, 8.0, places[0], levels[0])
    assert [one.cycle for one in found] == list(range(160))
    for one in found:
        assert one.disagreement == 0.0
        assert one.production == one.candidate
        assert one.world == ROAD
    assert len({one.production.proposed for one in found}) > 100, "there must be something to agree on"


def test_what_a_log_gives_afterwards_is_what_the_drive_gave(
    tmp_path: Path, places: tuple[Path, Path], levels: tuple[DrivingLevels, DrivingLevels]
) -> None:
    live = drive(tmp_path, "town:7", 8.0, places[0], levels[1])
    box = read_recording(tmp_path / "blackbox" / "drive0-0.mcap")
    assert timeless(list(pairs(box, levels[1], CAR))) == timeless(live)
    assert max(one.disagreement for one in live) > 0.0
    assert {one.candidate.policy for one in live} == {levels[1].top.hash[:12]}
    found = summary(tmp_path)
    assert (found.world, found.pairs, found.verdict.decision) == (ROAD, 160, "hold")


def test_a_car_on_a_bus_drives_as_without_a_shadow_and_each_step_is_paired(
    tmp_path: Path, places: tuple[Path, Path], levels: tuple[DrivingLevels, DrivingLevels]
) -> None:
    alone = drive_in_process(make_plant("highway:3", 5, 30.0), levels[0], 80)
    plant = make_plant("highway:3", 5, 30.0)
    desk = begin(Asked(str(places[1])), CAR, plant.road, levels[0], "r1", tmp_path)
    (shadow,) = desk.shadows
    network = LoopNetwork(itertools.count(0, 1_000_000).__next__)
    log = CarLog(tmp_path / "blackbox", plant.road, CAR, "highway:3", levels[0].name)
    pair = make_pair(
        LoopBus(network), LoopBus(network, arguments=parse(SIM_TIME)), plant, levels[0], beside=shadow, log=log
    )  # fmt: skip
    assert pair.drive(80) == alone
    pair.node.poll(0.0)
    steps = pair.node.steps
    pair.close()
    desk.close()
    live = [one for one in read(tmp_path / "shadow" / "r1.jsonl") if isinstance(one, Pair)]
    assert len(live) == shadow.counts["pairs"] >= steps - 1
    (box,) = (tmp_path / "blackbox").glob("*.mcap")
    after = list(pairs(read_recording(box), levels[1], CAR))
    same = [msgspec.structs.replace(one, robot="r1", stamp=0) for one in timeless(after)]
    assert same == [msgspec.structs.replace(one, stamp=0) for one in timeless(live)]
    kept = read_driving_levels(tmp_path / "policies" / f"shadow-{levels[1].top.hash[:12]}")
    assert kept.top.hash == levels[1].top.hash


@pytest.fixture(scope="module")
def steps(places: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> list[RoadStep]:
    """A drive of production, each step with its memory."""
    env = make_env(make_venue("town:7"), 3, Among(seconds=30.0, walkers=0))
    env.reset()
    guard, found = guard_of(env), list[RoadStep]()
    recorder = DriveRecorder(env, course_of(make_venue("town:7"), env, 3, "production"))
    assert guard is not None
    guard.remembers = True

    def watch() -> bool:
        recorder.take()
        assert guard.last is not None
        found.append(RoadStep(len(found), len(found) * CAR.period, guard.last))
        return len(found) >= 80

    driver_of(str(places[0])).drive(env, watch)
    return found


def beside(levels: DrivingLevels) -> RoadCandidate:
    return RoadCandidate(make_venue("town:7").road, levels, CAR, "production")


def test_a_candidate_that_was_left_out_answers_as_production_was_told_and_agrees_with_itself(
    steps: list[RoadStep], levels: tuple[DrivingLevels, DrivingLevels]
) -> None:
    candidate = beside(levels[0])
    for step in steps[3::7]:  # without most of the steps in which manoeuvres are chosen
        found = candidate.pair(step, hurried=True)
        assert found.disagreement == 0.0
        assert found.production == msgspec.structs.replace(found.candidate, policy="production")


def test_its_share_of_a_cars_tick_is_bounded_and_it_is_dropped_first(
    steps: list[RoadStep], levels: tuple[DrivingLevels, DrivingLevels]
) -> None:
    found: list[Pair] = []
    ticking: Callable[[], float] = itertools.count(0.0, 0.004).__next__  # a step takes 4 ms, twice its share
    shadow = Shadow("r1", beside(levels[1]), found.append, tick=TICK, clock=ticking)
    for step in steps:
        shadow.offer(step)
        shadow.work(0.5 * TICK)
    assert 0 < len(found) < len(steps) / 2
    assert shadow.seconds <= SHARE * TICK * len(steps) + 0.02
    before = len(found)
    for step in steps:
        shadow.offer(step, late=True)
        shadow.work(0.5 * TICK)
    assert shadow.counts["late"] == len(steps)
    assert len(found) == before


def test_steps_of_a_fallback_or_of_a_car_that_sees_nothing_are_no_candidates_matter(
    steps: list[RoadStep], levels: tuple[DrivingLevels, DrivingLevels]
) -> None:
    candidate, decision = beside(levels[1]), steps[0].decision
    assert candidate.asked(steps[0])
    blind = decision.inputs | {"view.pose": b"\x00\x00\xc0\x7f" * 3}
    for other in (
        msgspec.structs.replace(decision, failed=True),
        msgspec.structs.replace(decision, mode=1),
        msgspec.structs.replace(decision, inputs=blind),
        msgspec.structs.replace(decision, wish=b""),
    ):
        assert not candidate.asked(steps[0]._replace(decision=other))


def test_two_bends_differ_by_what_the_speed_allows() -> None:
    assert distance((1.0, 0.0), (-0.5, 0.0), 5.0, CAR) == pytest.approx(0.5)
    assert distance((0.0, 0.0), (0.0, 0.0075), 20.0, CAR) == pytest.approx(1.0)  # 3 m/s^2 / (20 m/s)^2
    assert distance((0.0, 0.0), (0.0, 0.0075), 2.0, CAR) == pytest.approx(0.0075 / CAR.car.curvature_max)
    assert distance((3.0, 0.1), (-6.0, -0.1), 30.0, CAR) == 2.0


def test_one_level_stands_in_productions_place_where_production_is_known(
    tmp_path: Path, places: tuple[Path, Path]
) -> None:
    one = str(places[1] / "manoeuvre")
    check(Asked(one, production=places[0]), CAR)
    with pytest.raises(MusterError, match="production's are not known here"):
        check(Asked(one), CAR)
    registry = Registry(tmp_path / "registry")
    manifest, files = describe(places[1] / "lane")
    version = registry.register(manifest, files, "ann")
    registry.close()
    check(Asked(version[:12], tmp_path / "registry", places[0]), CAR)


def test_levels_that_were_not_trained_on_each_other_are_no_candidate(tmp_path: Path, places: tuple[Path, Path]) -> None:
    shutil.copytree(places[1], tmp_path / "candidate")
    manifest = tmp_path / "candidate" / "manoeuvre" / "policy.json"
    told = json.loads(manifest.read_text())
    told["training"]["below"] = {"lane": "0" * 64}
    manifest.write_text(json.dumps(told))
    with pytest.raises(MusterError, match="manoeuvre to be trained on lane"):
        check(Asked(str(tmp_path / "candidate")), CAR)


def _another_embodiment(place: Path, places: tuple[Path, Path]) -> Path:
    place.mkdir()
    write_hand_policy(place, RobotSpec())
    return place


def _altered(place: Path, places: tuple[Path, Path]) -> Path:
    shutil.copytree(places[1], place, dirs_exist_ok=True)
    with (place / "manoeuvre" / "policy.onnx").open("ab") as file:
        file.write(b"\0")
    return place


def _nothing(place: Path, places: tuple[Path, Path]) -> Path:
    return place / "nowhere"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_nothing, "there is no registry"),
        (_another_embodiment, "expected a policy of a car"),
        (_altered, "sha256"),
    ],
)
@pytest.mark.parametrize("words", [("car", "--site", "town:7"), ("drive", "--site", "town:7", "--no-video")])
def test_a_wrong_candidate_is_refused_in_a_line_before_anything_is_made(
    words: tuple[str, ...],
    make: Callable[[Path, tuple[Path, Path]], Path],
    why: str,
    tmp_path: Path,
    places: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = make(tmp_path / "candidate", places)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert cli.main([*words, "--policy", str(places[0]), "--shadow", str(candidate)]) == 2
    said = capsys.readouterr().err.strip()
    assert why in said
    assert len(said.splitlines()) == 1
    assert list((tmp_path / "here").iterdir()) == []


def test_without_a_shield_nothing_can_be_judged_beside_a_drive(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("drive", "--policy", str(places[0]), "--shadow", str(places[1]), "--no-shield")
    assert cli.main(list(words)) == 2
    assert "--shadow: expected a shield" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_drives_ends_with_a_verdict_and_a_page_and_its_log_says_the_same(
    tmp_path: Path, places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["drive", "--site", "town:7,highway:3", "--drives", "2", "--seconds", "10", "--no-video"]
    words += ["--policy", str(places[0]), "--shadow", str(places[1]), "--out", str(tmp_path)]
    cli.main(words)
    said = capsys.readouterr().out
    assert "hold: " in said
    (root,) = tmp_path.iterdir()
    assert "curvature in 1/m" in (root / "shadow.html").read_text()
    assert cli.main(["shadow", str(root), "--policy", str(places[1])]) == 0
    first = summary(root)
    again = summary(root / f"shadow-{first.candidate}")
    assert first.verdict == again.verdict
    assert first.robots == ("drive0", "drive1")


def test_a_release_or_an_alias_of_a_car_is_a_candidate_and_comes_back_whole(
    tmp_path: Path, places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--registry", str(tmp_path / "registry"), "--by", "ann"]
    assert cli.main(["registry", "release", "spring", str(places[1]), *where]) == 0
    release = capsys.readouterr().out.split()[0]
    assert cli.main(["registry", "alias", "town", "candidate", release[:12], *where]) == 0
    assert cli.main(["registry", "verify", *where]) == 0
    for word in (release[:12], "candidate"):
        check(Asked(word, tmp_path / "registry", places[0]), CAR)
        check(Asked(word, tmp_path / "registry"), CAR)
    assert cli.main(["registry", "checkout", release[:12], str(tmp_path / "out"), *where]) == 0
    assert read_driving_levels(tmp_path / "out").top.hash == read_driving_levels(places[1]).top.hash
    with pytest.raises(MusterError, match="called shadow for this robot"):
        check(Asked("shadow", tmp_path / "registry"), CAR)
