from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from sim.backend import BatchBackend
from sim.bodies import specs
from sim.bodies.goods import BIN
from sim.loads import Item, Shelf
from sim.picking import DURATION, LEGS, follow, forward, inverse, plan_pick
from sim.robot import Arm
from sim.scene import Scene, build_scene
from sim.site import make_site

SPEC = specs.mobile_manipulator()
assert SPEC.arm is not None
ARM: Arm = SPEC.arm
DECK = SPEC.height
AT = 2.4
PERIOD = 0.02
SITE = make_site("open", np.zeros((4, 4), bool))


CARTON = Item()


def scene_with(item: Item = CARTON) -> Scene:
    """The robot in the middle, the bin 0.8 m in front of it."""
    return build_scene(SITE, SPEC, 1, shelves=[Shelf(at=(AT + 0.8, AT, 0.0), items=(item,))])


def drawn(scene: Scene, worlds: int, seed: int) -> tuple[BatchBackend, np.ndarray]:
    """Worlds in which the item lies anywhere in its bin, turned; its coordinates (worlds, 7)."""
    backend = BatchBackend(scene.model, worlds, threads=1)
    qpos = backend.qpos.numpy()
    qpos[:, :2] = AT
    item = qpos[:, scene.qpos_stride :]
    rng = np.random.default_rng(seed)
    size = scene.model.geom("item0").size
    free = np.array(BIN[:2]) / 2 - np.hypot(size[0], size[1]) - 0.005
    item[:, :2] += rng.uniform(-free, free, (worlds, 2))
    yaw = rng.uniform(-np.pi, np.pi, worlds)
    item[:, 3], item[:, 6] = np.cos(yaw / 2), np.sin(yaw / 2)
    backend.step(20)
    return backend, item


def pick(scene: Scene, backend: BatchBackend, item: np.ndarray, suction: float = 1.0) -> np.ndarray:
    """Play a pick in every world; where the item then lies from the tote's floor, (worlds, 3)."""
    height = 2 * float(scene.model.geom("item0").size[2])
    top = item[:, :3] + np.array([-AT, -AT, height / 2])
    plan = plan_pick(ARM, DECK, top, np.full(len(top), height), rim=0.45 + BIN[2])
    assert plan.reachable.all()
    control = backend.ctrl.numpy()
    for cycle in range(round(DURATION / PERIOD) + 25):
        control[:, 3:8], pull = follow(ARM, DECK, plan, cycle * PERIOD)
        control[:, 8] = suction * pull
        backend.step(round(PERIOD / scene.timestep))
    return item[:, :3] - np.array([AT + ARM.tote_at[0], AT + ARM.tote_at[1], DECK])


def in_tote(places: np.ndarray) -> np.ndarray:
    length, width, height = ARM.tote
    return (
        (np.abs(places[:, 0]) < length / 2)
        & (np.abs(places[:, 1]) < width / 2)
        & (places[:, 2] > 0.0)
        & (places[:, 2] < height)
    )


def test_the_inverse_puts_the_cup_where_the_engine_has_it() -> None:
    model = scene_with().model
    data = mujoco.MjData(model)
    rng = np.random.default_rng(1)
    places = np.stack([rng.uniform(-3.0, 3.0, 50), rng.uniform(0.3, 0.7, 50), rng.uniform(0.4, 0.7, 50)], axis=-1)
    angles = inverse(ARM, DECK, places)
    np.testing.assert_allclose(forward(ARM, DECK, angles), places, atol=1e-12)
    for place, joints in zip(places, angles, strict=True):
        data.qpos[:8] = (1.0, 2.0, 0.0, *joints)
        mujoco.mj_kinematics(model, data)
        pan, r, z = place
        foot = (1.0 + ARM.mount[0], 2.0 + ARM.mount[1])
        cup = (foot[0] + r * np.cos(pan), foot[1] + r * np.sin(pan), z)
        np.testing.assert_allclose(data.site("tool0").xpos, cup, atol=1e-9)
        np.testing.assert_allclose(data.site("tool0").xmat.reshape(3, 3)[:, 2], (0, 0, -1), atol=1e-9)


def test_a_place_beyond_the_arm_is_told_and_not_tried() -> None:
    assert np.isnan(inverse(ARM, DECK, np.array([0.0, 0.9, 0.5]))).any()
    plan = plan_pick(ARM, DECK, np.array([[0.8, 0.0, 0.5], [1.3, 0.0, 0.5]]), np.array([0.06, 0.06]), 0.57)
    np.testing.assert_array_equal(plan.reachable, [True, False])
    angles, _ = follow(ARM, DECK, plan, 2.0)
    np.testing.assert_array_equal(angles[1], 0.0)


def test_no_joint_is_asked_for_more_than_its_speed() -> None:
    rng = np.random.default_rng(2)
    rows = 200
    top = np.stack([rng.uniform(0.7, 0.9, rows), rng.uniform(-0.15, 0.15, rows), np.full(rows, 0.51)], axis=-1)
    plan = plan_pick(ARM, DECK, top, np.full(rows, 0.06), 0.57)
    assert plan.reachable.all()
    angles = np.stack([follow(ARM, DECK, plan, t)[0] for t in np.arange(0.0, DURATION, 0.01)])
    assert np.abs(np.diff(angles, axis=0)).max() / 0.01 < ARM.speed
    assert np.abs(angles[0]).max() < 1e-9  # from the folded pose
    assert np.abs(follow(ARM, DECK, plan, DURATION + 1.0)[0]).max() < 1e-9  # and back


def test_items_from_anywhere_in_the_bin_end_in_the_tote() -> None:
    scene = scene_with()
    backend, item = drawn(scene, 32, seed=3)
    assert in_tote(pick(scene, backend, item)).all()
    assert np.abs(backend.qvel.numpy()[:, scene.qvel_stride :]).max() < 0.05  # and lie there
    folded = backend.qpos.numpy()[:, 3:8]
    np.testing.assert_allclose(folded, 0.0, atol=5e-3)


def test_without_suction_the_item_stays_in_its_bin() -> None:
    scene = scene_with()
    backend, item = drawn(scene, 2, seed=4)
    before = item[:, :3].copy()
    assert not in_tote(pick(scene, backend, item, suction=0.0)).any()
    np.testing.assert_allclose(item[:, :3], before, atol=0.02)


def test_an_item_heavier_than_the_suction_is_left_behind() -> None:
    # 76 N hold 7.7 kg at rest
    scene = scene_with(replace(CARTON, mass=9.0))
    backend, item = drawn(scene, 2, seed=5)
    assert not in_tote(pick(scene, backend, item)).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "item", [CARTON, Item((0.06, 0.06, 0.05), 0.1), Item((0.14, 0.10, 0.08), 1.5), Item((0.12, 0.06, 0.04), 0.8)]
)
def test_items_of_many_sizes_are_picked_from_many_seeds(item: Item) -> None:
    scene = scene_with(item)
    backend, places = drawn(scene, 128, seed=6)
    assert in_tote(pick(scene, backend, places)).mean() >= 0.99


def test_legs_add_up() -> None:
    assert pytest.approx(sum(seconds for _, seconds, _ in LEGS)) == DURATION
