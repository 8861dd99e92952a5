"""Floors with pods, doors, forklifts, boxes and crowds, restored as they were and played on from there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.header import write_header
from fleet.incident.playon import play_on
from fleet.incident.restore import from_record
from fleet.incident.stage import restored
from fleet.incident.walk import read_log, walk
from fleet.records import Inputs, at_start, inputs_of
from fleet.world import World
from sim.fixtures import Door, DoorState, Fixtures
from sim.people import Profile
from sim.robot import RobotSpec
from sim.site import Site, make_site, with_fixtures
from sim.trace import read_trace
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.test_pods import Floor, store_room, there_and_back

SPEC = RobotSpec()


def box_of(root: Path, config: ControlConfig, site: Site, steps: list[Step]) -> Path:
    box = BlackBox(root / "blackbox", config.robot, *write_header(config, site, None))
    for step in steps:
        box.append(step)
    box.close()
    return root / "blackbox" / f"{config.robot}-0.mcap"


@pytest.fixture(scope="module")
def carrying(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Floor]:
    """A robot that lifts a pod, brings it a cell further and goes on."""
    root = tmp_path_factory.mktemp("carrying")
    floor = Floor(store_room(), root, 1, [1 + 6])
    floor.give(*there_and_back(1, 1 + 6))
    pods = floor.world.pods
    assert pods is not None
    assert floor.run(60.0, lambda: pods.carried[0] == 0 and float(abs(floor.world.twists[0, 0])) > 0.2)
    floor.run(4.0, lambda: False)
    floor.world.write(root, ("r0",))
    floor.store.close()
    steps = [Step(inputs.cycle, inputs.stamp, inputs, before, outputs) for inputs, before, outputs in floor.steps]
    box_of(root, ControlConfig("r0", SPEC, 0.0), floor.world.site, steps)
    return root, floor


def moving(floor: Floor) -> Inputs:
    """The first inputs with a pod on the lift, in motion."""
    return next(inputs for inputs, _, _ in floor.steps if inputs.lift >= 0.0 and abs(inputs.twist[0]) > 0.2)


@pytest.mark.parametrize("recorded", [True, False], ids=["by the plant's record", "by the black box alone"])
def test_a_robot_with_a_pod_on_drives_on_with_it(
    carrying: tuple[Path, Floor], tmp_path: Path, *, recorded: bool
) -> None:
    root, floor = carrying
    begin = moving(floor)
    log = read_log(root / "blackbox" / "r0-0.mcap")
    if not recorded:
        (tmp_path / "blackbox").mkdir()
        (tmp_path / "blackbox" / "r0-0.mcap").write_bytes((root / "blackbox" / "r0-0.mcap").read_bytes())
        log = read_log(tmp_path / "blackbox" / "r0-0.mcap")
    policy = floor.steppers["r0"].policy
    assert policy is not None
    played, steps = play_on(log, begin.stamp, 2.0, policy)
    assert played.outputs[0] == steps[0]
    assert ("the plant's record" in played.situation.source) is recorded
    assert played.situation.carried == 0
    assert all(inputs.lift >= 0.0 for inputs in played.inputs)
    assert played.collisions == 0
    assert not played.engine
    place = next(inputs for inputs, _, _ in floor.steps if inputs.stamp == played.inputs[-1].stamp).pose
    assert np.hypot(*(played.truth[-2, :2] - place[:2])) < 0.1  # noise of the sensors


def hall() -> Site:
    """Wide enough for forklifts, with an automatic door in a wall."""
    blocked = np.zeros((9, 12), bool)
    blocked[:, 9] = True
    blocked[4, 9] = False
    site = make_site("hall", blocked)
    return with_fixtures(site, Fixtures(doors=(Door("gate", (4 * 12 + 9,), 1.0, DoorState.AUTOMATIC),)))


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_doors_forklifts_boxes_and_crowds_stand_as_they_did_and_go_on_as_recorded(tmp_path: Path, body: str) -> None:
    site = hall()
    world = World(
        site, SPEC, 2, 3, crowd="social_force", forklifts=1, boxes=2, seed=5, body=body,  # type: ignore[arg-type]
        starts=np.array([4 * 12 + 8, 4 * 12], np.int32),
    )  # fmt: skip
    config = ControlConfig("r0", SPEC, 1.6, body=body)
    stepper, memory, steps = Stepper(config, site, None), at_start(), []
    for cycle in range(60):
        world.command(np.array([(0.0, 0.0), (0.2, 0.0)], np.float32))
        inputs = inputs_of(world.readings(0), cycle)
        before = memory
        outputs, memory = stepper.step(inputs, before)
        steps.append(Step(inputs.cycle, inputs.stamp, inputs, before, outputs))
        world.step()
    world.write(tmp_path, ("r0", "r1"))
    trace, log = read_trace(tmp_path), read_log(box_of(tmp_path, config, site, steps))
    at = 30
    step = list(walk(log))[at]
    situation = from_record(trace, site, step, "r0")
    assert situation is not None
    assert situation.doors.tolist() == [True]  # a robot stands before it
    assert "1 forklifts, 1 doors, 2 boxes" in situation.source
    again = restored(log, situation, seed=1)
    assert again.doors.open.tolist() == [True]
    assert again.spilled is not None
    np.testing.assert_allclose(again.spilled.poses(), trace.boxes, atol=1e-5)
    for later in range(at, at + 10):
        np.testing.assert_allclose(again.traffic.truck_poses(), trace.forklifts[later], atol=1e-4)
        away = np.hypot(*(again.traffic.walkers() - trace.people[later]).T)
        assert all(away[number] < 1e-4 for number, person in enumerate(situation.people) if person.recorded)
        again.step()
    assert any(person.recorded for person in situation.people)
    far = msgspec.structs.replace(step.inputs, pose=(1.0, 1.0, 0.0))
    from fleet.incident.restore import from_sight

    seen = from_sight(site, SPEC, dataclasses.replace(step, inputs=far), "r0", 1.6, walk=False)
    assert seen.doors.tolist() == [False]
    inside = msgspec.structs.replace(step.inputs, pose=(*site.centre(4 * 12 + 9).tolist(), 0.0))
    seen = from_sight(site, SPEC, dataclasses.replace(step, inputs=inside), "r0", 1.6, walk=False)
    assert seen.doors.tolist() == [True]
    assert restored(log, seen, seed=1).doors.open.tolist() == [True]


def test_a_wheeled_robot_drives_on_on_its_wheels(tmp_path: Path) -> None:
    blocked = np.ones((3, 10), bool)
    blocked[1] = False
    site = make_site("aisle", blocked, stations=[19])
    policy = write_hand_policy(tmp_path, SPEC)
    config = ControlConfig("r0", SPEC, 0.0, body="wheeled")
    world = World(site, SPEC, 1, profile=Profile.STILL, starts=np.array([10], np.int32), body="wheeled", seed=2)
    stepper, memory, steps = Stepper(config, site, policy), at_start(), []
    from coordination.messages import Assignment, Grant, Leg, LegKind, Picture

    for cycle in range(80):
        picture = Picture(
            cycle - 1, world.stamp, site.hash, Grant(1, tuple(range(10, 20)), world.stamp + 2 * 10**9),
            assignment=Assignment("t", 1, (Leg(19, LegKind.VISIT),)),
        )  # fmt: skip
        inputs = inputs_of(world.readings(0), cycle, picture)
        before = memory
        outputs, memory = stepper.step(inputs, before)
        steps.append(Step(inputs.cycle, inputs.stamp, inputs, before, outputs))
        world.command(np.array([outputs.released], np.float32))
        world.step()
    log = read_log(box_of(tmp_path, config, site, steps))
    world.write(tmp_path, ("r0",))
    assert abs(steps[30].inputs.twist[0]) > 0.3
    played, recorded = play_on(log, steps[30].stamp, 2.0, policy)
    assert played.outputs[0] == recorded[0]
    assert np.hypot(*(played.truth[-1, :2] - np.array(steps[50].inputs.pose[:2]))) < 0.15
    assert played.collisions == 0
