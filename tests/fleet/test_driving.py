"""`muster drive`: what it refuses, what a drive records, what a run leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fleet import cli, driving, drivinglevels
from fleet.drivefigures import figures
from fleet.drivelog import read_drives, recording
from fleet.driverecord import DriveRecorder
from fleet.driving import Config, make_task, unread
from fleet.roadranges import ranges_of
from fleet.rundir import create_run
from fleet.venues import Among, course_of, make_env, make_venue, read_fault, read_venues
from sim.bodies.specs import CAR
from sim.driving.env import RoadEnv
from sim.driving.moment import Moment, scan_points
from sim.road import RoadError
from sim.xmltree import Element, XmlReader
from tests.fleet import drives
from tests.fleet.drivepolicies import write_driving_policies
from tests.sim.driving.plainworld import by_hand
from tests.sim.test_commonroad import PROBLEM, ROADS, write


def moments_of(
    site: str, among: Among, act: Callable[[np.ndarray], np.ndarray] = by_hand
) -> tuple[RoadEnv, list[Moment]]:
    venue = make_venue(site)
    env = make_env(venue, 3, among)
    env.reset()
    recorder = DriveRecorder(env, course_of(venue, env, 3, "by hand"))
    found: list[Moment] = []
    while not recorder.over:
        env.step(act(np.array(env.observation.numpy())))
        found.append(recorder.take())
    return env, found


def test_a_drive_is_recorded_step_by_step_as_it_was_decided() -> None:
    env, found = moments_of("highway:3", Among(seconds=4.0, traffic=8, walkers=0))
    assert len(found) == 80
    assert found[-1].ending == "time is up"
    assert [round(moment.time, 9) for moment in found[:3]] == [0.0, 0.05, 0.1]
    way = np.array([moment.pose[:2] for moment in found])
    speed = np.array([moment.speed for moment in found])
    assert np.hypot(*np.diff(way, axis=0).T) == pytest.approx(0.05 * speed[:-1], abs=0.05)
    left = np.array([moment.left for moment in found])
    assert left[0] - left[-1] == pytest.approx(0.05 * speed[:-1].sum(), rel=0.02)
    assert all(moment.limit == pytest.approx(130 / 3.6) for moment in found)
    assert all(moment.broken == () for moment in found)
    assert max(len(moment.others.kind) for moment in found) > 0
    for moment in found[5:-1]:  # with the episode the shield forgets its plan
        assert len(moment.plan) > 5
        assert np.allclose(moment.plan[0], moment.pose)
        if moment.mode == "policy":
            assert moment.proposed == moment.released
            assert moment.reason == ""
        else:
            assert moment.reason
    assert env.filter is not None


def test_who_drives_wild_is_held_by_the_shield_and_every_reason_is_told() -> None:
    def wild(seen: np.ndarray) -> np.ndarray:
        return np.array([[1.0, 0.8]], np.float32)

    _, found = moments_of("highway:3", Among(seconds=4.0, traffic=8, walkers=0), wild)
    assert sum(moment.intervened for moment in found) > 0.5 * len(found)
    assert all(moment.proposed != moment.released and moment.reason for moment in found if moment.intervened)
    assert not any(moment.contact for moment in found)
    _, bare = moments_of("highway:3", Among(seconds=4.0, traffic=8, walkers=0, shield=False), wild)
    assert not any(moment.intervened for moment in bare)
    assert bare[-1].ending == "left its lane" or any("lane boundary" in moment.broken for moment in bare)


@pytest.mark.parametrize(
    ("site", "why"),
    [
        ("nowhere", "expected a road"),
        ("cutin", 'did you mean "cut_in"'),
        ("cut_in:gap=500", "gap: expected from 0 to 120 m, got 500"),
        ("town:1,gap=3", "expected a road"),
        ("cut_in:gap=20,lateral", "expected a road"),
        ("town:x", "whole number"),
        ("town:1,,town:2", "between commas"),
        ("missing.xml", "missing.xml"),
        ("missing.xodr", "missing.xodr"),
    ],
)
def test_roads_that_are_none_are_refused(site: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drive", "--site", site]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--drives", "0", "from 1 to 1000"),
        ("--seconds", "0", "of 1 or more"),
        ("--seconds", "inf", "expected a number"),
        ("--traffic", "-1", "from 0 to 48"),
        ("--seed", "-1", "seed"),
        ("--fault", "polcy:3", 'did you mean "policy"'),
        ("--fault", "policy", "write policy:10"),
        ("--fault", "lane_lost:-1", "from 0 to 600"),
        ("--fault", "lane_lost:nan", "from 0 to 600"),
        ("--fault", "lidar_rain:5", "expected a lidar that lidar_rain can break, got none; add --lidar"),
        ("--seed", str(2**63 - 2), "seed"),
        ("--video-speed", "0", "speed above 0"),
        ("--policy", "nowhere", "expected driving policies in nowhere"),
        ("--body", "flying", "one of kinematic, full"),
        ("--train-seconds", "0", "--seconds"),
    ],
)
def test_values_that_cannot_be_are_refused_before_anything_is_made(
    option: str,
    value: str,
    why: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["drive", option, value]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert len(said.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_a_shield_no_fallback_drives_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drive", "--policy", "idm", "--fault", "policy:3", "--no-shield"]) == 2
    assert "expected a shield, under which the fallback drives on" in capsys.readouterr().err


def test_a_sensor_fails_for_good_and_a_policy_at_a_whole_second() -> None:
    assert read_fault("").fails_at == float("inf")
    assert read_fault("policy:3.2").fails_at == 4.0
    faults = read_fault("lane_lost:5").sensors.faults
    assert faults is not None
    assert (faults.lane_lost.chance, faults.lane_lost.onset) == (1.0, (5.0, 5.0))
    assert faults.gnss_lost.chance == 0.0


def test_venues_stand_between_commas() -> None:
    assert [venue.name for venue in read_venues("town:1, highway:2")] == ["town:1", "highway:2"]
    with pytest.raises(RoadError, match="between commas"):
        read_venues("")


def test_what_a_file_says_and_nobody_reads_is_told_once_for_each_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", ROADS, "<environmentObstacle/>", "<phantomObstacle/>\n" * 5)
    venues = read_venues(f"town:1,{path},{path}")
    assert unread(venues) == [
        "a: not read, and left out: environmentObstacle of commonRoad, line 4",
        "a: not read, and left out: 5 x phantomObstacle of commonRoad, lines 5, 6, 7 and on",
    ]


def test_without_a_policy_the_first_line_says_that_a_training_comes_first_and_what_would_do_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(config: Config, directory: object) -> str:
        print("training")
        return "idm"

    monkeypatch.setattr(driving, "train", train)
    file = write(tmp_path / "a.xml", ROADS, "<trafficLight/>", PROBLEM)
    words = ["drive", "--site", str(file), "--drives", "1", "--seconds", "1", "--no-video", "--train-seconds", "90"]
    assert cli.main([*words, "--out", str(tmp_path / "runs")]) == 0
    said = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(("no policy", "a: not", "training"))
    ]
    first, second, third = said
    assert first.startswith("no policy is named: trains for up to 90 s, then drives")
    assert "policy idm" in first
    assert second == "a: not read, and left out: trafficLight of commonRoad, line 4"
    assert third == "training"
    (run,) = (tmp_path / "runs").iterdir()
    assert "trafficLight of commonRoad, line 4" in (run / "report.html").read_text()


def test_parameters_between_commas_belong_to_their_scenario() -> None:
    found = read_venues("cut_in:gap=20,lateral=1.2,town:1,blocked_lane:distance=100,cut_in:ego=50km/h,cut_out")
    names = ["cut_in:gap=20,lateral=1.2", "town:1", "blocked_lane:distance=100", "cut_in:ego=50km/h", "cut_out"]
    assert [venue.name for venue in found] == names


def test_roads_and_scenarios_come_from_the_ranges_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(
        "muster: 1\nrows:\n  highway_lane_width: {low: 3.2, high: 3.2}\n  blocked_lane_offset: {low: 0.5, high: 1}\n"
        "  payload: {high: 20}\n"
    )
    road, scenario = read_venues("highway:3,blocked_lane", ranges_of(str(path)))
    assert np.allclose(road.road.lanes[0].width, 3.2, atol=0.01)
    assert scenario.scenario is not None
    assert (scenario.scenario.parameters[1].low, scenario.scenario.parameters[1].high) == (0.5, 1.0)
    assert make_task(Config(randomization=str(path))).table().row("payload").high == 20.0


@pytest.mark.parametrize("command", ["drive", "driving-train"])
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("rural_radius: {low: 3}", "line 3: rural_radius: low: expected a number from 45 to 5000 m, got 3"),
        ("cut_in_gpa: {low: 3}", 'line 3: rows: unknown key "cut_in_gpa"; did you mean "cut_in_gap"'),
        ("payload: {high: 9000}", "line 3: payload: high: expected a number"),
        ("town_rows: {distribution: normal}", "town_rows: distribution: expected choice, got normal"),
    ],
)
def test_ranges_that_cannot_be_are_one_line_and_exit_code_2(
    command: str, row: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(f"muster: 1\nrows:\n  {row}\n")
    assert cli.main([command, "--randomization", str(path), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--randomization: " in line
    assert words in line
    assert not (tmp_path / "out").exists()


def test_a_scenario_is_driven_with_the_parameters_that_the_seed_draws(tmp_path: Path) -> None:
    words = ["drive", "--policy", "idm", "--site", "decelerating_lead:ego=20,top=130", "--drives", "2", "--no-video"]
    assert cli.main([*words, "--out", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    found = read_drives(run / "blackbox")
    for drive in found:
        assert drive.moments[0].speed == pytest.approx(20.0, abs=0.1)
        assert set(drive.moments[5].others.kind.tolist()) == {1}, "nobody but the vehicle ahead"
        assert drive.moments[-1].ending == "scenario passed"
        assert len(drive.moments) * 0.05 == pytest.approx(drive.course.seconds, abs=0.06)
        assert "no contact for" in drive.course.asks
    told = [drive.course.asks.partition("ego 20 m/s, ")[2] for drive in found]
    assert told[0] != told[1], "headway and braking are drawn by each drive's seed"
    lines = [json.loads(line) for line in (run / "drives.jsonl").read_text().splitlines()]
    assert [line["completion"] for line in lines] == [1.0, 1.0]


def test_a_scenario_that_the_bound_of_time_cuts_is_not_passed(tmp_path: Path) -> None:
    words = ["drive", "--policy", "idm", "--site", "decelerating_lead", "--drives", "1", "--no-video", "--seconds", "2"]
    assert cli.main([*words, "--out", str(tmp_path)]) == 0
    (drive,) = read_drives(next(tmp_path.iterdir()) / "blackbox")
    assert drive.moments[-1].ending == "time is up"
    found = figures(drive.course, drive.moments)
    assert not found.solved
    assert found.completion == pytest.approx(2.0 / drive.course.seconds, abs=0.01)


def test_a_run_leaves_black_boxes_figures_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies = write_driving_policies(tmp_path / "policies")
    words = ["drive", "--policy", str(policies), "--site", "highway:3,rural:2", "--drives", "3", "--seconds", "2"]
    code = cli.main([*words, "--traffic", "4", "--walkers", "0", "--no-video", "--out", str(tmp_path / "runs")])
    (run,) = (tmp_path / "runs").iterdir()
    found = read_drives(run / "blackbox")
    assert [drive.course.name for drive in found] == ["highway:3", "rural:2", "highway:3"]
    assert [drive.course.seed for drive in found] == [1, 2, 3]
    assert found[0].course.driver.startswith("policy ")
    lines = [json.loads(line) for line in (run / "drives.jsonl").read_text().splitlines()]
    assert [line["steps"] for line in lines] == [len(drive.moments) for drive in found]
    assert code == (1 if sum(line["at_fault"] for line in lines) else 0)
    assert "highway:3" in (run / "report.html").read_text()
    said = capsys.readouterr().out
    assert said.count("driven in") == 3
    assert str(run / "report.html") in said


def test_scans_are_in_the_black_box_until_the_lidar_dies(tmp_path: Path) -> None:
    words = ["drive", "--policy", "idm", "--site", "highway:3", "--drives", "1", "--seconds", "2", "--walkers", "0"]
    cli.main([*words, "--lidar", "--fault", "lidar_dead:1", "--no-video", "--out", str(tmp_path)])
    (drive,) = read_drives(next(tmp_path.iterdir()) / "blackbox")
    assert drive.course.lidar == CAR.lidar.range_max
    well, dead = ([each for each in drive.moments if (each.time < 0.999) is early] for early in (True, False))
    assert len(well) == 20
    for moment in well:
        assert moment.scan.shape == (CAR.lidar.rays,)
        assert moment.scan_age == 0.0
        boxes = moment.others.pose[:, :2], moment.others.size.max(axis=1)
        for point in scan_points(drive.course, moment):  # noise is clipped at 0.09 m
            assert (np.hypot(*(boxes[0] - point).T) < boxes[1]).any()
    assert any(len(scan_points(drive.course, moment)) > 3 for moment in well)
    for moment in dead:
        assert (moment.scan == CAR.lidar.range_max).all()
        assert moment.scan_age == pytest.approx(moment.time - 0.95)


def test_what_varies_in_a_drive_is_shown_with_the_faults_of_its_lidar() -> None:
    plain = driving.randomization(driving.Config())["drive"]
    names = {row.name for row in driving.randomization(driving.Config(lidar=True, fault="lidar_rain:5"))["drive"]}
    added = names - {row.name for row in plain}
    assert {"lidar_noise", "lidar_dropout", "fault_lidar_rain", "fault_lidar_dead_onset"} <= added
    assert "lidar" not in " ".join(row.name for row in plain)


def test_the_driver_by_rule_drives_without_policies_under_the_shield(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["drive", "--policy", "idm", "--site", "highway:3", "--drives", "1", "--seconds", "6", "--no-video"]
    assert cli.main([*words, "--traffic", "4", "--walkers", "0", "--out", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    (drive,) = read_drives(run / "blackbox")
    assert drive.course.driver.startswith("IDM/MOBIL")
    assert drive.course.shielded
    assert "training" not in capsys.readouterr().out
    ways = [moment.left for moment in drive.moments]
    assert ways[0] - ways[-1] > 60.0
    for moment in drive.moments[1:-1]:
        assert len(moment.plan) > 3
        assert (moment.proposed == moment.released) == (moment.mode == "policy")


def test_the_driver_by_rule_does_without_a_shield(tmp_path: Path) -> None:
    words = ["drive", "--policy", "idm", "--no-shield", "--site", "highway:3", "--drives", "1", "--seconds", "2"]
    assert cli.main([*words, "--no-video", "--out", str(tmp_path)]) == 0
    (drive,) = read_drives(next(tmp_path.iterdir()) / "blackbox")
    assert not drive.course.shielded
    assert all(moment.proposed == moment.released and moment.mode == "policy" for moment in drive.moments)
    assert any(moment.released[0] > 0.1 for moment in drive.moments)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<x>5", "<x>500", "off the road"),
        ('ref="2"', 'ref="77"', "line 4: expected the id of a lanelet, got 77"),
        ("<exact>10.0", "<exact>1e9", "expected a speed from 0 to 36.1111 m/s"),
        ("<x>5", "<x>60", "expected a way from lane 2 to a goal ahead on lane 1"),
        ("<planningProblem", "<!DOCTYPE a><planningProblem", "line 4"),
    ],
)
def test_problems_that_nobody_can_drive_are_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, why: str
) -> None:
    problem = PROBLEM.replace('ref="2"', 'ref="1"') if "lane 1" in why else PROBLEM
    assert old in problem
    file = write(tmp_path / "p.xml", ROADS, problem.replace(old, new))
    assert cli.main(["drive", "--policy", "idm", "--site", str(file), "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_policies_of_another_version_are_refused_in_a_line_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = write_driving_policies(tmp_path / "policies")
    monkeypatch.setattr(drivinglevels, "PERIOD", 2.0)  # choices of manoeuvres last longer than these were trained for
    assert cli.main(["drive", "--policy", str(policies), "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert "manoeuvre: expected a policy for contract" in said
    assert len(said.strip().splitlines()) == 1
    assert len(said) < 500
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("latest", "ending", "verdict"), [(60, "goal reached", "solved"), (22, "too late", "not solved")]
)
def test_a_recorded_problem_is_driven_until_it_is_solved_or_cannot_be(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    latest: int,
    ending: str,
    verdict: str,
) -> None:
    """10 m/s at first, 45 m to the goal's lane: 6 s are enough, 2.2 s are not. The file is read once for all."""
    read: list[Path] = []
    root = XmlReader.root

    def counted(reader: XmlReader, *tags: str) -> Element:
        read.append(reader.path)
        return root(reader, *tags)

    monkeypatch.setattr(XmlReader, "root", counted)
    file = write(tmp_path / "p.xml", ROADS, PROBLEM.replace("<intervalEnd>40", f"<intervalEnd>{latest}"))
    words = ["drive", "--policy", "idm", "--site", str(file), "--drives", "1", "--no-video"]
    assert cli.main([*words, "--out", str(tmp_path / "runs")]) == 0
    assert read == [file]
    (run,) = (tmp_path / "runs").iterdir()
    (drive,) = read_drives(run / "blackbox")
    assert drive.course.asks == f"be in the goal's lane between 2.0 and {latest / 10} s in its direction"
    assert drive.moments[-1].ending.startswith(ending)
    (line,) = [json.loads(line) for line in (run / "drives.jsonl").read_text().splitlines()]
    assert (line["solved"], line["asks"]) == (verdict == "solved", drive.course.asks)
    assert f", {verdict}" in capsys.readouterr().out
    assert f"{verdict}: {ending}" in (run / "report.html").read_text()


def test_video_and_report_are_made_once_more_from_the_black_boxes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(tmp_path)
    with recording(run.blackbox, drives.course(), {}, "drive0") as box:
        for moment in drives.moments(0.5):
            box.append(moment)
    assert cli.main(["drive", "--redraw", str(run.root), "--video-speed", "1"]) == 0
    assert (run.root / "drive.mp4").stat().st_size > 1000
    assert "highway:3" in run.report.read_text()
    assert "10 frames" in capsys.readouterr().out
    assert cli.main(["drive", "--redraw", str(tmp_path / "nowhere")]) == 2
    assert "not a run directory" in capsys.readouterr().err
