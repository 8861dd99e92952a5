"""A robot's process with a candidate in the shadow: it releases what it would have released without one."""

from __future__ import annotations

import json
from pathlib import Path

from fleet.replay import replay_all
from fleet.rundir import RunDirectory
from fleet.shadow.pairs import Pair
from fleet.shadow.record import read
from fleet.shadow.summary import summary
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.recorded_plant import RecordedPlant
from tests.fleet.test_robot import start


def test_a_robot_with_a_shadow_releases_what_was_recorded_and_leaves_the_pairs(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant, tmp_path: Path
) -> None:
    candidate = write_hand_policy(tmp_path, RobotSpec(), speed=1.0)
    process = start(recorded_run, recorded_plant, "--shadow", str(tmp_path))
    assert recorded_plant.serve()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "robots ready: r0" in output
    assert recorded_plant.commands == {moment.cycle.round: moment.released for moment in recorded_plant.moments}
    found = summary(recorded_run.root)
    assert found.candidate == candidate.hash[:12]
    assert found.pairs > 10
    assert not found.skipped, "in lockstep every step is paired"
    told = json.loads((recorded_run.root / "robots-r0.json").read_text())["robots"]["r0"]["shadow"]
    assert told["pairs"] == found.pairs
    (box,) = sorted(recorded_run.blackbox.glob("*.mcap"))
    inside = [one for one in read(box) if isinstance(one, Pair)]
    outside = [one for one in read(recorded_run.root / "shadow" / "r0.jsonl") if isinstance(one, Pair)]
    assert inside == outside[: len(inside)]
    (verdict,) = replay_all(recorded_run.root)
    assert verdict.identical, verdict.line()


def test_a_shadow_for_another_robot_is_refused_before_anything_drives(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant, tmp_path: Path
) -> None:
    write_hand_policy(tmp_path, RobotSpec(length=0.5))
    process = start(recorded_run, recorded_plant, "--shadow", str(tmp_path))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "embodiment" in errors
    assert not recorded_plant.commands
