"""Randomized drives under random commands, and what the tracking monitor says of them: its false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safety.monitors import MISSES, TrackingMemory, watch_tracking
from safety.supervisor import Cause
from sim.env import BatchEnv
from sim.robot import Readings, RobotSpec
from sim.scene import Body
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary


@dataclass(frozen=True)
class Alarms:
    """What came of it."""

    episodes: float
    """Episodes of 30 s that were watched"""
    alarms: int
    """Cycles in which TRACKING was told"""
    longest: int
    """Most cycles in a row that lay outside of the bound"""


def count_alarms(body: Body, worlds: int, steps: int, seed: int) -> Alarms:
    """Watch every row of an environment: friction, payload, motor lag, latency, localisation and odometry all vary.

    Half of the rows get commands over the whole range that are held for some cycles, half go fast and stop along a
    line; all of them are harsher than what a shield releases.
    """
    site = make_site("empty", np.zeros((9, 9), bool), cell=12.0)
    config = NavigateConfig(spec=RobotSpec(), people=1, time_limit=1e6, randomization=vary(person_share=0.0))
    env = BatchEnv(site, config, worlds=worlds, seed=seed, body=body, lidar=False, threads=1)
    rng = np.random.default_rng(seed)
    spec, drive = env.spec, env.spec.drive
    scan = np.zeros(0, np.float32)  # the monitor looks at none
    low, high = np.array([-drive.reverse_max, -drive.turn_max]), np.array([drive.speed_max, drive.turn_max])
    limits = np.array([drive.speed_max, drive.turn_max])
    env.reset()
    memories = [TrackingMemory()] * worlds
    command = np.zeros((worlds, 2))
    stopping = np.zeros(worlds, bool)
    watched = alarms = longest = 0
    for number in range(steps):
        drawn = rng.uniform(low, high, (worlds, 2))
        drawn[::2, 0] = rng.uniform(0.8, drive.speed_max, (worlds + 1) // 2)
        change = rng.random(worlds) < 0.12
        stopping = np.where(change, (rng.random(worlds) < 0.5) & (np.arange(worlds) % 2 == 0), stopping)
        command = np.where(change[:, None] & ~stopping[:, None], drawn, command)
        command = np.where(stopping[:, None], command * 0.85, command)
        action = command / limits
        action[:, 0] = np.where(command[:, 0] >= 0.0, action[:, 0], command[:, 0] / drive.reverse_max)
        step = env.step(action.astype(np.float32))
        ended = (step.terminated | step.truncated).astype(bool)
        released = env.drive.released.numpy()
        poses, twists = env.state.measured_pose.numpy(), env.state.measured_twist.numpy()
        stamp = (number + 1) * spec.period
        for row in range(worlds):
            if ended[row]:
                memories[row] = TrackingMemory()
                command[row] = 0.0
                continue
            told = Readings(stamp, scan, stamp, poses[row], stamp, twists[row], stamp)
            last = (float(released[row, 0]), float(released[row, 1]))
            found = watch_tracking(memories[row], told, last, spec)
            cause, memories[row] = found.cause, found.memory
            watched += 1
            alarms += cause is Cause.TRACKING
            longest = max(longest, min(memories[row].misses, MISSES))
    return Alarms(watched * spec.period / 30e9, alarms, longest)
