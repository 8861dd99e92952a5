"""The contract between training and robot: episodes of the batched environment, played through the control step.

Observation, released command, margin and reason must be equal bit for bit; the policy's output within 1e-5.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordination.messages import Assignment, Grant, Leg, LegKind, Picture
from fleet.control import ControlConfig, Stepper
from fleet.records import Inputs, Memory, ShieldState
from hierarchy.skills import Answer
from safety.shield import Reason, Shield
from sim.env import BatchEnv
from sim.generate import generate_warehouse
from sim.people import Profile
from sim.points import Points
from sim.robot import SECOND, RobotSpec
from sim.tasks.navigate import NavigateConfig
from tests.fleet.hand_policy import write_hand_policy

ROWS = 6
STEPS = 120


@pytest.mark.parametrize("person_speed", [0.0, 1.6])
def test_recorded_episodes_give_the_same_observation_and_verdict_on_the_robot(
    tmp_path: Path, person_speed: float
) -> None:
    spec = RobotSpec()
    site = generate_warehouse(3)
    policy = write_hand_policy(tmp_path, spec)
    points = Points(site, spec, person_speed)
    known = points.init(ROWS)
    profile = Profile.WALKING if person_speed else Profile.STILL
    env = BatchEnv(
        site,
        replace(NavigateConfig(), spec=spec, profile=profile, people=3, paths=64),
        worlds=ROWS,
        seed=5,
        threads=1,
        filter=Shield(spec),
        point_speeds=lambda inputs: points.launch(inputs, known),
    )
    stepper = Stepper(ControlConfig(spec=spec, person_speed=person_speed), site, policy)
    draw = np.random.default_rng(1)
    observation = env.reset()
    asked = intervened = 0
    for number in range(STEPS):
        stamp = (number + 1) * spec.period
        before = [_inputs(env, row, stamp, site.hash) for row in range(ROWS)]
        seen = observation.copy()
        action = policy.act(seen)
        if number % 3 == 0:
            action = draw.uniform(-1.0, 1.0, action.shape).astype(np.float32)  # so that the shield has work
        memories = [_memory(env, row, before[row]) for row in range(ROWS)]
        env.step(action)
        commands, margins = env.filter_outputs.command.numpy(), env.margin.numpy()
        reasons, ended = env.reason.numpy(), env.task.outcome.ended.numpy()
        for row in range(ROWS):
            answer = Answer(tuple(float(value) for value in action[row]))
            outputs, after = stepper.step(before[row], memories[row], lambda _, answer=answer: answer)
            if outputs.answer is None:
                continue  # in the last cell of the grant the hold skill drives, which the task does not have
            asked += 1
            assert outputs.observation == seen[row].tobytes()
            if ended[row]:
                continue  # the environment has begun the row's next episode: its outputs are gone
            intervened += int(reasons[row] != 0)
            assert np.array(outputs.released, np.float32).tobytes() == commands[row].tobytes(), (number, row)
            assert np.float32(outputs.margin).tobytes() == margins[row].tobytes()
            assert outputs.reason == Reason(int(reasons[row]))
            assert np.array(after.shield.plan, np.float32).tobytes() == env.filter_memory.plan.numpy()[row].tobytes()
            alone = policy.act(np.frombuffer(outputs.observation, np.float32).reshape(1, -1))
            np.testing.assert_allclose(alone[0], policy.act(seen)[row], atol=1e-5)
        observation = env.observation.numpy()
    assert asked > 0.5 * ROWS * STEPS
    assert intervened > 20


def _inputs(env: BatchEnv, row: int, stamp: int, site_hash: str) -> Inputs:
    """What the row's robot would have been sent: readings, and a picture that grants what its corridor shows."""
    corridor = env.task.corridor
    count = int(corridor.count.numpy()[row])
    points = corridor.points.numpy()[row, :count]
    cells = tuple(int(cell) for cell in env.site.cell_at(points))
    path = int(env.task.course.path.numpy()[row])
    goal = int(env.task.paths.cells.numpy()[path, int(env.task.paths.lengths.numpy()[path]) - 1])
    if not corridor.final.numpy()[row] and goal in cells:
        goal = -2  # a path that crosses its own end: no such leg on the robot; any other goal will do
    pose, twist = env.state.measured_pose.numpy()[row], env.state.measured_twist.numpy()[row]
    leg = Leg(goal if goal >= 0 else 0, LegKind.VISIT)
    return Inputs(
        cycle=stamp // env.spec.period,
        stamp=stamp,
        scan=env.state.scan.numpy()[row].tobytes(),
        scan_stamp=stamp,
        pose=(float(pose[0]), float(pose[1]), float(pose[2])),
        pose_stamp=stamp,
        twist=(float(twist[0]), float(twist[1])),
        twist_stamp=stamp,
        picture=Picture(
            0, stamp, site_hash, Grant(1, cells, stamp + 5 * SECOND), assignment=Assignment("t", 1, (leg,))
        ),
    )


def _memory(env: BatchEnv, row: int, inputs: Inputs) -> Memory:
    """The memory of a robot that has lived the row's life so far."""
    memory, released = env.filter_memory, env.drive.released.numpy()[row]
    v, w, stop = (float(value) for value in memory.plan.numpy()[row])
    state = ShieldState((v, w, stop), float(memory.elapsed.numpy()[row]), int(memory.played.numpy()[row]))
    return Memory(shield=state, last_command=(float(released[0]), float(released[1])), pose=inputs.pose)
