"""A floor restored from a recording, and policies that drive on in it: the same each time, and contacts are seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleet.cli import main
from fleet.incident import playon, restore
from fleet.incident.playon import play_on
from fleet.incident.restore import Walker, from_record, groups, unexplained
from fleet.incident.walk import read_log, walk
from fleet.world import World
from sim.generate import generate_warehouse
from sim.trace import read_trace
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.incident.conftest import SITE, SPEC, Run


def test_the_policy_that_drove_decides_the_first_step_as_it_did_and_drives_on_as_it_did(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    stamp = incident_run.steps[20].stamp
    played, recorded = play_on(log, stamp, 2.0, incident_run.policy)
    assert played.outputs[0] == incident_run.steps[20].outputs
    assert [step.released for step in recorded[:1]] == [played.outputs[0].released]
    assert len(played.outputs) == 20
    end = incident_run.steps[40].inputs.pose
    assert np.hypot(*(played.truth[-1, :2] - end[:2])) < 0.15  # noise of the sensors, and what lag the fake has not
    assert played.collisions == 0


def test_the_same_question_has_the_same_answer_bit_for_bit(incident_run: Run, tmp_path: Path) -> None:
    log, policy = read_log(incident_run.box), write_hand_policy(tmp_path, SPEC, speed=0.3)
    one, two = (play_on(log, incident_run.steps[30].stamp, 2.0, policy)[0] for _ in range(2))
    assert msgspec.msgpack.encode(one.outputs) == msgspec.msgpack.encode(two.outputs)
    assert one.truth.tobytes() == two.truth.tobytes()
    assert one.outputs[-1].released[0] < 0.7 * incident_run.steps[49].outputs.released[0]


def test_who_only_the_lidar_saw_stands_where_it_was_seen(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    played, _ = play_on(log, incident_run.steps[30].stamp, 1.0, incident_run.policy)
    (person,) = played.situation.people
    assert person.position == pytest.approx((8.0, 1.8), abs=0.1)
    assert person.stands
    walking, _ = play_on(log, incident_run.steps[30].stamp, 1.0, incident_run.policy, walk_unknown=True)
    (person,) = walking.situation.people
    assert not person.stands
    assert person.target == person.origin - 1  # towards the robot
    assert person.speed == 1.6


def test_a_contact_is_seen_by_both_witnesses(incident_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(*arguments: object, **named: object) -> restore.Situation:
        found = restore.from_sight(*arguments, **named)  # type: ignore[arg-type]  # handed through
        x, y, _ = found.poses[0].tolist()
        return dataclasses.replace(found, people=(Walker((x + 0.5, y), 14, 14, 0.0, 0.0, True),))

    monkeypatch.setattr(playon, "from_sight", crowded)
    played, _ = play_on(read_log(incident_run.box), incident_run.steps[30].stamp, 1.0, incident_run.policy)
    assert played.engine
    assert played.geometry
    assert played.collisions > 0
    assert any("collisions: 1" in line for line in played.lines([]))


def test_points_of_racks_and_of_told_robots_are_nobody() -> None:
    points = np.array([[2.0, 1.2], [2.0, 1.25], [3.0, 1.8], [6.0, 1.8], [6.1, 1.85]])
    found = unexplained(SITE, points, ((3.2, 1.8, 0.3),))
    assert found.tolist() == [[6.0, 1.8], [6.1, 1.85]]
    assert [len(group) for group in groups(np.array([[0.0, 0.0], [0.1, 0.0], [3.0, 0.0], [0.0, 0.1]]))] == [3, 1]


def test_people_of_a_plants_record_are_put_back_on_their_way(tmp_path: Path, incident_run: Run) -> None:
    site = generate_warehouse(7)
    world = World(site, SPEC, 2, 5, seed=3)
    for _ in range(37):
        world.step()
    world.write(tmp_path, ("r0", "r1"))
    trace = read_trace(tmp_path)
    (step,) = list(walk(read_log(incident_run.box)))[30:31]
    stamp = int(trace.stamps[30])
    moved = dataclasses.replace(step, inputs=msgspec.structs.replace(step.inputs, stamp=stamp))
    situation = from_record(trace, site, moved, "r1")
    assert situation is not None
    assert situation.names == ("r1", "r0")
    assert situation.poses[1].tolist() == pytest.approx(trace.poses[30, 0].tolist())
    assert situation.after is not None
    assert len(situation.after.stamps) == len(trace.stamps) - 30
    walked = 0
    for number, person in enumerate(situation.people):
        origin, target = (np.asarray(site.centre(cell)) for cell in (person.origin, person.target))
        share = person.walked / site.cell
        place = origin + (target - origin) * share
        assert place.tolist() == pytest.approx(trace.people[30, number].tolist(), abs=0.03)
        ahead = trace.people[31, number] - trace.people[30, number]
        if np.hypot(*ahead) > 0.01 and person.origin != person.target:
            walked += 1
            assert float(np.dot(ahead, target - origin)) > 0.0
            assert person.speed == pytest.approx(np.hypot(*ahead) / 0.1, rel=0.3)
    assert walked >= 2
    assert from_record(trace, site, moved, "r9") is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sim", "99"), "within the recording, 0.0 to 14.9 s, got 99"),
        (("--sim", "3", "--seconds", "0"), "expected 0.1 to 600 s"),
        (("--sim", "3", "--policy", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_restored_is_said_in_one_line(
    incident_run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert main(["replay", str(incident_run.box), *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_command_says_how_it_went_on(incident_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(incident_run.root), "--sim", "3", "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    assert "r0 from 3 s on, 10 steps" in said
    assert "collisions: 0 by the engine, 0 by geometry" in said
