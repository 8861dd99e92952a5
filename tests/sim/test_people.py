"""People keep to their cells and to their profile, judged by a checker that shares no code with the kernel.

The checker sees positions before and after each 20 ms step and the robots as they were before it; it knows the site
and the profile's words, nothing of cells walked from or draws made.
"""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.people import Profile, make_people, walk_people
from sim.rays import floor_arrays
from sim.robot import Lidar, RobotSpec
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary
from tests.sim.people_rules import DT, violations


@pytest.mark.parametrize("profile", list(Profile))
def test_people_keep_to_their_cells_and_their_profile(profile: Profile) -> None:
    site = generate_campus(7, blocks=(3, 3))
    assert site.person_free.any()
    config = NavigateConfig(
        spec=RobotSpec(lidar=Lidar(rays=64)),
        people=3,
        profile=profile,
        randomization=vary(person_share=1.0),
    )
    wrong: list[str] = []
    walked = 0.0
    last: dict[str, NDArray[np.float64]] = {}

    def look(env: BatchEnv) -> None:
        nonlocal walked
        people = env.people.position.numpy().astype(np.float64)
        there = env.people.origin.numpy() >= 0
        same = env.state.episode.numpy() == last["episode"]
        for world in range(env.worlds):
            if same[world]:
                who = there[world]
                now, then = last["people"][world][who], people[world][who]
                walked += float(np.hypot(*(then - now).T).sum())
                state = [part[world : world + 1] for part in (last["robots"], last["speed"], last["turn"])]
                wrong.extend(violations(site, profile, now, then, *state))
        remember(env)

    def remember(env: BatchEnv) -> None:
        twist = env.state.twist.numpy().astype(np.float64)
        last["people"] = env.people.position.numpy().astype(np.float64)
        last["robots"] = env.state.pose.numpy()[:, :2].astype(np.float64)
        last["speed"], last["turn"] = np.hypot(twist[:, 0], twist[:, 2]), twist[:, 1].copy()
        last["episode"] = env.state.episode.numpy().copy()

    env = BatchEnv(site, config, worlds=12, seed=4, threads=1, substep_hook=look)
    env.reset()
    rng = np.random.default_rng(0)
    for k in range(150):
        if k % 10 == 0:
            action = rng.uniform(-1.0, 1.0, (env.rows, 2)).astype(np.float32)
            action[rng.random(env.rows) < 0.3] = 0.0  # some stand, so that people come near
        remember(env)
        env.step(action)
    assert wrong == []
    assert walked > 50.0  # they do walk


def test_the_checker_sees_each_planted_fault() -> None:
    site = make_site(
        "row", np.array([[False, False, False, True]]), person_free=np.array([[True, False, False, False]])
    )

    def judge(profile: Profile, before: tuple, after: tuple, robot: tuple, speed: float) -> list[str]:
        arrays = [np.array([each]) for each in (before, after, robot)]
        return violations(site, profile, *arrays, np.array([speed]), np.array([0.0]))

    far, at = (50.0, 0.6), (1.8, 0.6)
    assert judge(Profile.STILL, at, (1.83, 0.6), far, 1.0) == []
    assert judge(Profile.STILL, at, (1.90, 0.6), far, 1.0) == ["faster than 1.6 m/s"]
    assert judge(Profile.STILL, (1.21, 0.6), (1.19, 0.6), far, 1.0) == ["in a blocked or person-free cell"]
    assert judge(Profile.STILL, (3.59, 0.6), (3.61, 0.6), far, 1.0) == ["in a blocked or person-free cell"]
    assert judge(Profile.STILL, at, (1.82, 0.6), (3.4, 0.6), 0.5) == ["came nearer to a moving robot"]
    assert judge(Profile.STILL, at, (1.82, 0.6), (3.4, 0.6), 0.0) == []
    assert judge(Profile.WALKING, at, (1.82, 0.6), (3.4, 0.6), 0.5) == []
    assert judge(Profile.WALKING, at, (1.82, 0.6), (2.55, 0.6), 0.0) == ["stepped within 0.1 m of a robot"]


def test_a_person_held_up_turns_round() -> None:
    """One aisle, a standing robot in its middle: the person comes, waits one to two seconds and goes back."""
    site = make_site("aisle", np.zeros((1, 9), bool))
    floor = floor_arrays(site, "cpu")
    people = make_people(1, 1, "cpu")
    people.origin.numpy()[:] = 1
    people.target.numpy()[:] = 2
    people.position.numpy()[0, 0] = (1.8, 0.6)
    people.speed.numpy()[:] = 1.0
    pose = wp.array(np.array([[6.0, 0.6, 0.0]], np.float32), dtype=wp.float32)
    twist, mocap = wp.zeros((1, 3), dtype=wp.float32), wp.zeros((1, 1, 3), dtype=wp.float64)
    walk = wp.launch(
        walk_people,
        dim=(1, 1),
        inputs=[floor.flags, floor.width, floor.height, floor.cell, 0, DT, int(Profile.WALKING), 1, 0.4, pose, twist,
                people.position, people.origin, people.target, people.walked, people.speed, people.pause, people.held,
                people.count, people.life, mocap],
        record_cmd=True,
    )  # fmt: skip
    x = []
    for _ in range(1500):
        walk.launch()
        x.append(float(mocap.numpy()[0, 0, 0]))
    track = np.array(x)
    # nobody passes the robot's circle and a gap of 0.1 m
    assert track.max() <= 6.0 - 0.4 - 0.25 - 0.1 + 1e-5
    nearest = int(track.argmax())
    assert track[nearest] > 5.1
    leaves = nearest + int((track[nearest:] < track[nearest] - 1e-6).argmax())
    assert 1.0 <= (leaves - nearest) * DT <= 2.1
    assert track[leaves:].min() < 3.0
