"""shield_adversarial: what commands that want to hit something achieve through the shield.

Episodes of 10 s of the navigate task on unseen layouts, whole randomization, 360 rays; a third each of

    random         every command drawn anew
    full throttle  full speed ahead, steering along the corridor: the best that asks for no mercy
    worst margin   of eight commands the one that the shield itself finds closest to refusal, released or not

half with people who stand still before moving robots and V = 0, half with people who walk on and V = 1.6 m/s.
A collision is a contact at a physics substep while the robot moved (env), or an overlap of exact footprints
(fleet/oracle.py, which shares no code with shield or lidar); the larger count is the figure. The distance is the
odometer of both runs, with and without shield, same seeds and policies; an unshielded episode ends where it collides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import warp as wp
from figure import Figure
from numpy.typing import NDArray

from fleet.oracle import SPEED_LIMIT, touching
from hierarchy.motor import driven
from safety.shield import Shield
from sim.env import BatchEnv
from sim.filter import FilterInputs, FilterOutputs
from sim.generate import generate_campus
from sim.geometry import CORRIDOR_POINTS
from sim.people import PERSON_RADIUS, Profile
from sim.points import Points
from sim.robot import RobotSpec
from sim.scene import Body
from sim.tasks.navigate import NavigateConfig

POLICIES = ("random", "throttle", "worst")
PROFILES = ((Profile.STILL, 0.0), (Profile.WALKING, 1.6))
SITE_SEED = 90_017
"""A campus that no training uses."""

STEPS = 100
"""Control steps of an episode of 10 s."""


@dataclass
class Tally:
    """What one run of episodes gave."""

    episodes: int = 0
    contacts: int = 0
    """Contacts in motion by the physics engine."""
    overlaps: int = 0
    """The same by the geometric oracle."""
    bumped: int = 0
    """Contacts of a standing robot: people who walked into it."""
    left: int = 0
    """Episodes that ended with the centre outside the granted cells."""
    succeeded: int = 0
    distance: float = 0.0
    refused: int = 0
    stored: int = 0
    steps: int = 0


class Unguarded:
    """Releases whatever is proposed: an environment has a filter's inputs, which `Worst` reads, only with a filter."""

    def init(self, rows: int, device: str) -> None:
        """No memory."""

    def launch(self, inputs: FilterInputs, memory: None, out: FilterOutputs) -> None:
        """Copy."""
        wp.copy(out.command, inputs.command)

    def reset(self, mask: wp.array, memory: None) -> None:
        """Nothing to forget."""


class Worst:
    """Asks a shield of its own for the margins of eight commands; owns that shield's memory."""

    ASKED = np.array([(1, 0), (1, 0.5), (1, -0.5), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0)], np.float32)

    def __init__(self, env: BatchEnv, spec: RobotSpec, points: Points) -> None:
        self.env = env
        self.shield = Shield(spec)
        self.memory = self.shield.init(env.rows)
        self.point_memory = points.init(env.rows)
        self.points = points
        rows = env.rows
        self.inputs = replace(
            env.filter_inputs,
            command=wp.zeros((rows, 2), dtype=wp.float32),
            last_command=wp.zeros((rows, 2), dtype=wp.float32),
        )
        self.out = replace(
            env.filter_outputs,
            command=wp.zeros((rows, 2), dtype=wp.float32),
            margin=wp.zeros(rows, dtype=wp.float32),
            reason=wp.zeros(rows, dtype=wp.int8),
        )

    def act(self) -> NDArray[np.float32]:
        """The admissible action of smallest margin for every row; the nearest to a refusal where none is."""
        drive = self.env.spec.diff
        scale = np.array([drive.speed_max, drive.turn_max], np.float32)
        self.inputs.last_command.numpy()[...] = self.env.drive.released.numpy()
        self.points.launch(self.env.filter_inputs, self.point_memory)
        margins = np.full((len(self.ASKED), self.env.rows), np.inf, np.float32)
        for k, action in enumerate(self.ASKED):
            command = action * scale
            command[0] = max(command[0], -drive.reverse_max)
            self.inputs.command.numpy()[...] = command
            self.shield.launch(self.inputs, self.memory, self.out)
            fine = self.out.reason.numpy() == 0
            margins[k] = np.where(fine, self.out.margin.numpy(), np.inf)
        worst = margins.argmin(axis=0)
        action = self.ASKED[worst]
        none = ~np.isfinite(margins.min(axis=0))
        action[none] = self.ASKED[0]
        return action


def throttle(env: BatchEnv) -> NDArray[np.float32]:
    """Full speed ahead along the corridor; a full-lock turn where it bends away."""
    pose = env.state.measured_pose.numpy()
    corridor = env.task.corridor
    assert corridor is not None
    points, count = corridor.points.numpy(), corridor.count.numpy()
    ahead = points[:, 1:] - points[:, :-1]
    square = np.maximum((ahead**2).sum(-1), 1e-9)
    share = np.clip(((pose[:, None, :2] - points[:, :-1]) * ahead).sum(-1) / square, 0.0, 1.0)
    foot = points[:, :-1] + share[..., None] * ahead
    gap = np.hypot(*np.moveaxis(pose[:, None, :2] - foot, -1, 0))
    gap[np.arange(CORRIDOR_POINTS - 1)[None] >= np.maximum(count, 2)[:, None] - 1] = np.inf
    k = gap.shape[1] - 1 - gap[:, ::-1].argmin(axis=1)  # the later segment where two are as near
    rows = np.arange(len(pose))
    left = 0.45 - (1.0 - share[rows, k]) * 1.2
    after = np.minimum(k + 1, CORRIDOR_POINTS - 2)
    goal = np.where(
        (left > 0.0)[:, None],
        points[rows, k + 1] + np.clip(left, 0, 1.2)[:, None] / 1.2 * ahead[rows, after],
        foot[rows, k] + 0.45 / 1.2 * ahead[rows, k],
    )
    error = np.arctan2(goal[:, 1] - pose[:, 1], goal[:, 0] - pose[:, 0]) - pose[:, 2]
    error = np.arctan2(np.sin(error), np.cos(error))
    speed = np.where(np.abs(error) > 0.5, 0.0, 1.0)
    return np.stack([speed, np.clip(2.5 * error / 2.0, -1.0, 1.0)], axis=-1).astype(np.float32)


def run(
    profile: Profile,
    person_speed: float,
    policy: str,
    shielded: bool,
    episodes: int,
    worlds: int,
    others: NavigateConfig | None = None,
    body: Body = "planar",
) -> Tally:
    """Play about `episodes` episodes; `others` says who else is there (None: three people who walk by cells)."""
    spec = RobotSpec()
    site = generate_campus(SITE_SEED)
    config = others or NavigateConfig(people=3)
    config = replace(config, spec=spec, profile=profile, time_limit=STEPS * spec.period / 1e9)
    shield = Shield(driven(spec, body))
    points = Points(site, spec, person_speed)
    point_memory = points.init(worlds)
    tally = Tally()
    was = np.zeros((worlds, 1 + config.people), bool)
    """The map, then each person: every pair is a contact of its own."""
    hit = np.zeros(worlds, bool)
    pose, twist = np.zeros((worlds, 3)), np.zeros((worlds, 3))
    """Of the robots before the substep: the engine computed its contacts from them, and from people in it."""

    def remember(rows: slice | NDArray[np.bool_]) -> None:
        pose[rows] = env.state.pose.numpy()[rows]
        twist[rows] = env.state.twist.numpy()[rows]

    def hook(env: BatchEnv) -> None:
        nonlocal was
        people: NDArray[np.float64] = env.people.position.numpy().astype(np.float64)
        touch = touching(env.site, spec.length, spec.width, pose[:, None], people, PERSON_RADIUS)
        now = np.concatenate([touch.map, touch.person[:, 0]], axis=1)
        moving = (np.hypot(twist[:, 0], twist[:, 2]) > SPEED_LIMIT) | (np.abs(twist[:, 1]) > SPEED_LIMIT)
        hit[(now & ~was).any(axis=1) & moving] = True
        was = now
        remember(slice(None))
        tally.distance += float(np.hypot(twist[:, 0], twist[:, 2]).sum()) * env.scene.timestep

    env = BatchEnv(
        site,
        config,
        worlds=worlds,
        seed=5,
        filter=shield if shielded else Unguarded(),
        point_speeds=lambda inputs: points.launch(inputs, point_memory),
        substep_hook=hook,
        threads=1,
        body=body,
    )
    worst = Worst(env, spec, points) if policy == "worst" else None
    rng = np.random.default_rng(7)
    env.reset()
    remember(slice(None))
    for _ in range(STEPS * max(round(episodes / worlds), 1)):
        if policy == "random":
            action = rng.uniform(-1.0, 1.0, (worlds, 2)).astype(np.float32)
        elif worst is not None:
            action = worst.act()
        else:
            action = throttle(env)
        step = env.step(action)
        ended = np.logical_or(step.terminated, step.truncated)
        tally.episodes += int(ended.sum())
        tally.contacts += int(step.collision.sum())
        tally.overlaps += int(hit.sum())
        hit[:] = False  # once an episode, as the engine: whoever hits something begins anew
        tally.bumped += int(step.bumped.astype(bool).sum())
        tally.left += int((step.ending[ended] == 3).sum())
        tally.succeeded += int(step.success.sum())
        tally.steps += worlds
        if shielded:
            tally.refused += int((env.reason.numpy() != 0).sum())
            tally.stored += int((env.margin.numpy() < 0.0).sum())
        was[ended] = False
        remember(ended)
    return tally


def measure(quick: bool) -> Iterable[Figure]:
    """Collisions in all shielded runs together, and the shielded share of the unshielded distance."""
    episodes, worlds = (100, 100) if quick else (3400, 200)
    contacts = 0
    shielded_distance = unshielded_distance = 0.0
    for profile, person_speed in PROFILES:
        for policy in POLICIES:
            start = time.perf_counter()
            with_shield = run(profile, person_speed, policy, True, episodes, worlds)
            without = run(profile, person_speed, policy, False, episodes if quick else episodes // 4, worlds)
            contacts += max(with_shield.contacts, with_shield.overlaps)
            # per step, because an unshielded episode ends where it collides
            per_step = with_shield.distance / with_shield.steps, without.distance / without.steps
            shielded_distance += per_step[0]
            unshielded_distance += per_step[1]
            print(
                f"V={person_speed} {policy}: {with_shield} unshielded: {without} share "
                f"{per_step[0] / per_step[1]:.3f} {time.perf_counter() - start:.0f} s",
                file=sys.stderr,
            )
    yield Figure("collisions", contacts, "1")
    yield Figure("distance_share", shielded_distance / unshielded_distance, "1")
