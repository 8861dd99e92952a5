"""What the page knows of a robot: points, ground, plans and verdicts as its black box holds them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fleet.salvage import BlackBoxError
from fleet.trail import Trail, read_trail
from fleet.words import REASONS, headline, scan_points, stopping_poses
from safety.reason import Reason
from sim.robot import Lidar, RobotSpec
from tests.fleet.episodes import Episode
from tests.fleet.runs import PERSON, write_run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trail, Episode]:
    folder = tmp_path_factory.mktemp("run")
    episode = write_run(folder)
    return read_trail([folder / "blackbox" / "r0-0.mcap"]), episode


def test_a_moment_holds_what_the_step_decided(recorded: tuple[Trail, Episode]) -> None:
    trail, episode = recorded
    assert len(trail.stamps) == len(episode.steps)
    step = episode.steps[40]
    moment = trail.at(step.stamp)
    assert moment is not None
    assert moment.pose == step.inputs.pose
    assert (moment.verdict.mode, moment.verdict.reason) == (step.outputs.mode, step.outputs.reason)
    assert moment.verdict.margin == step.outputs.margin
    assert len(moment.plan) == len(step.outputs.plan) + 1
    assert len(moment.granted) == len(step.inputs.picture.grant.cells)
    assert moment.goal is not None
    words = dict(moment.rows)
    assert words["shield"] == REASONS[step.outputs.reason]
    assert words["released"].startswith(f"{step.outputs.released[0]:+.2f} m/s")
    between = trail.at(step.stamp + 40_000_000)  # until the next step, the newest one holds
    assert between is not None
    assert between.stamp == step.stamp


def test_lidar_points_lie_on_what_stands_there(recorded: tuple[Trail, Episode]) -> None:
    trail, _ = recorded
    moment = trail.at(int(trail.stamps[50]))
    assert moment is not None
    assert len(moment.points) > 100
    x, y = moment.points.T
    on_walls = np.minimum(np.abs(y - 1.2), np.abs(y - 2.4)) < 0.1
    on_ends = np.minimum(np.abs(x), np.abs(x - 16.8)) < 0.1
    on_person = np.abs(np.hypot(x - PERSON[0], y - PERSON[1]) - 0.25) < 0.1
    assert (on_walls | on_ends | on_person).mean() > 0.97
    assert on_person.any()


def test_nothing_is_known_before_the_first_step_and_long_after_the_last(recorded: tuple[Trail, Episode]) -> None:
    trail, _ = recorded
    assert trail.at(int(trail.stamps[0]) - 1) is None
    assert trail.at(int(trail.stamps[-1]) + 2_000_000_000) is None
    assert trail.verdict(int(trail.stamps[-1]) + 2_000_000_000) is None


def test_margins_end_at_the_moment_and_go_back_as_far_as_asked(recorded: tuple[Trail, Episode]) -> None:
    trail, episode = recorded
    seconds, margins = trail.margins(int(trail.stamps[60]), 2.0)
    assert seconds[0] == pytest.approx(-2.0)
    assert seconds[-1] == 0.0
    assert len(margins) == 21
    assert margins[-1] == max(episode.steps[60].outputs.margin, 0.0)


def test_a_box_without_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlackBoxError, match="expected control steps in no file"):
        read_trail([])


def test_a_scan_ends_where_its_rays_met_something() -> None:
    spec = RobotSpec(lidar=Lidar(rays=4))  # they point to -pi, -pi/2, 0 and pi/2
    scan = np.array([10.0, 2.0, 3.0, np.nan], np.float32)
    points = scan_points(scan, (1.0, 1.0, math.pi / 2), spec)
    assert points == pytest.approx(np.array([[3.0, 1.0], [1.0, 4.0]]), abs=1e-5)
    assert len(scan_points(scan[:3], (0.0, 0.0, 0.0), spec)) == 0
    assert len(scan_points(scan, (0.0, math.nan, 0.0), spec)) == 0


def test_a_stopping_plan_runs_along_its_arcs() -> None:
    poses = stopping_poses((0.0, 0.0, 0.0), [(1.0, 0.0), (1.0, math.pi / 2), (0.0, 0.0)], 1.0)
    radius = 2.0 / math.pi  # 1 m/s at pi/2 rad/s: a quarter of a circle in the second second
    assert poses[1] == pytest.approx([1.0, 0.0, 0.0])
    assert poses[2] == pytest.approx([1.0 + radius, radius, math.pi / 2])
    assert poses[3] == pytest.approx(poses[2])


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(Reason)
    assert headline(0.25, Reason.PERSON) == "· 0.25 m clear · person"
    assert headline(-1.0, Reason.NONE) == "· stored plan"
