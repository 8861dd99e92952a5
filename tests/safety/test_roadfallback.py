"""The fallback alone brings cars to rest in their lane or on a shoulder, from any state, with its sensors failing."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from safety.roadfallback import RoadFallback, RoadPhase
from sim.driving.state import PATH, PATH_BEHIND, PATH_STEP, PathColumn
from tests.safety.roadworld import CAR, RoadWorld, place
from tests.safety.roadworld import WIDTH as LANE

SPEC = CAR


class Called:
    """Worlds whose cars the fallback drives through the shield."""

    def __init__(self, worlds: int, curvature: float, shoulder: float = 0.0, seed: int = 0) -> None:
        self.world = RoadWorld(worlds, 3, curvature, spec=SPEC, seed=seed)
        self.fallback = RoadFallback(SPEC)
        self.memory = self.fallback.init(worlds)
        self.command = wp.zeros((worlds, 2), dtype=wp.float32, device="cpu")
        mask = wp.array(np.ones(worlds, np.uint8), device="cpu")
        self.launch = self.fallback.record(self.world.view, mask, self.memory, self.command)
        self.shoulder, self.ends = shoulder, np.inf

    def step(self, fault: str = "") -> np.ndarray:
        """One period; whom the cars touched."""
        world = self.world
        world.sense()
        path = world.seen["path"]
        along = world.frenet()[0][:, None] + (np.arange(PATH) - PATH_BEHIND) * PATH_STEP
        path[:, :, PathColumn.SHOULDER] = np.where((world.lane == 0)[:, None] & (along < self.ends), self.shoulder, 0.0)
        if fault == "dead":
            world.seen["motion"][...] = np.nan
            world.seen["pose"][...] = np.nan
        elif fault:
            world.seen[fault][...] = 9.0
        self.launch.launch()
        world.judge(self.command.numpy().astype(float))
        return world.drive()


@pytest.mark.parametrize("fault", ["", "age", "list_age", "dead"])
@pytest.mark.parametrize("curvature", [0.0, 1 / 150])
def test_every_car_comes_to_rest_in_its_lane(curvature: float, fault: str) -> None:
    called = Called(40, curvature)
    world = called.world
    rng = np.random.default_rng(1)
    fastest = min(30.0, 0.9 * np.sqrt(3.0 / max(curvature, 1e-3)))
    world.put(-300.0, rng.uniform(-0.5, 0.5, 40), rng.uniform(0.0, fastest, 40))
    world.yaw += rng.uniform(-0.01, 0.01, 40)
    touched = False
    for k in range(320):
        touched |= bool(called.step(fault if k >= 10 else "").any())
    _, d, _ = world.frenet()
    assert not touched
    assert (world.v == 0.0).all()
    assert (np.abs(d) + 0.5 * SPEC.width < 0.5 * LANE).all()
    if fault != "dead":
        assert (called.memory.phase.numpy() == RoadPhase.DONE).all()


def test_who_is_called_between_two_lanes_creeps_into_one() -> None:
    called = Called(2, 0.0)
    world = called.world
    world.put(-300.0, np.array([1.4, 2.1]), np.array([0.0, 1.5]))
    for _ in range(300):
        called.step()
    _, d, _ = world.frenet()
    assert (world.v == 0.0).all()
    assert abs(d[0]) + 0.5 * SPEC.width < 0.5 * LANE
    assert abs(d[1] - LANE) + 0.5 * SPEC.width < 0.5 * LANE


@pytest.mark.parametrize(("wrong", "most"), [("place", 0.5), ("camera", 0.5)])
def test_a_stored_plan_follows_whichever_of_place_and_lane_camera_did_not_fail(wrong: str, most: float) -> None:
    called = Called(1, 1 / 150)
    world = called.world
    world.put(-300.0, 0.0, 18.0)
    off, farthest = 0.0, 0.0
    sense = world.sense

    def failing() -> None:
        sense()
        if k >= 10:
            world.seen["age"][...] = 1.0 if k > 11 else 0.05
            if wrong == "camera":
                world.seen["where"][:, 0] += 1.2
            else:  # as a bad odometer takes it away
                s, d, _ = world.frenet()
                x, y, _ = place(world.curvature, s + off, d)
                world.seen["pose"][:, 0], world.seen["pose"][:, 1] = x - world.ox, y - world.oy
                world.seen["pose"][:, 2] = world.yaw

    world.sense = failing
    for k in range(200):
        off += 0.2 * world.v[0] * world.period if k >= 10 else 0.0
        called.step()
        farthest = max(farthest, abs(float(world.frenet()[1][0])))
    assert (world.v == 0.0).all()
    assert farthest < most


def test_a_free_shoulder_is_taken_and_a_blocked_one_is_not() -> None:
    called = Called(2, 0.0, shoulder=3.0)
    world = called.world
    world.put(-300.0, 0.0, 20.0)
    o = world.others
    o.kind[1, 0], o.s[1, 0], o.d[1, 0] = 0, -200.0, -0.5 * LANE - 1.5
    for _ in range(400):
        called.step()
    _, d, _ = world.frenet()
    assert (world.v == 0.0).all()
    assert d[0] + 0.5 * SPEC.width < -0.5 * LANE  # the whole car is off the lane
    assert abs(d[1]) < 0.3


def test_who_is_on_a_shoulder_that_ends_soon_stops_on_it() -> None:
    called = Called(2, 0.0, shoulder=3.0)
    world = called.world
    world.put(-300.0, -0.5 * LANE - 1.5, np.array([4.5, 12.0]))
    begin = world.frenet()[0]
    called.ends = float(begin[0]) + 21.0
    world.x[0] += 11.0  # what is left of it is little more than the way to stop
    for _ in range(200):
        called.step()
    s, d, _ = world.frenet()
    assert (world.v == 0.0).all()
    assert (s < called.ends).all()
    assert (d + 0.5 * SPEC.width < -0.5 * LANE).all()


@pytest.mark.parametrize("again", [100, 220])
def test_who_stopped_between_two_lanes_without_a_list_goes_on_where_lists_come_again_soon(again: int) -> None:
    called = Called(1, 0.0)
    world = called.world
    world.put(-300.0, np.array([1.4]), np.array([2.0]))
    o = world.others
    o.kind[0, 0], o.s[0, 0], o.d[0, 0] = 0, -288.0, 1.4  # no room to come in behind it
    for k in range(400):
        world.seen["list_age"][...] = 0.0
        called.step("list_age" if 2 <= k < again else "")
        if k == again - 1:
            assert world.v[0] == 0.0
            assert world.frenet()[1][0] + 0.5 * SPEC.width > 0.5 * LANE + 0.1
            o.kind[0, 0] = -1
    assert world.v[0] == 0.0
    inside = abs(world.frenet()[1][0]) + 0.5 * SPEC.width < 0.5 * LANE
    assert inside == (again == 100)


def test_a_car_that_is_no_longer_masked_forgets() -> None:
    called = Called(1, 0.0)
    called.world.put(0.0, 0.0, 0.0)
    called.step()
    assert called.memory.phase.numpy()[0] == RoadPhase.DONE
    called.fallback.reset(wp.array(np.ones(1, np.uint8), device="cpu"), called.memory)
    assert called.memory.phase.numpy()[0] == RoadPhase.STOP
