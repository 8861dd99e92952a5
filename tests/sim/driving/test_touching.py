"""The oracle of contacts: rectangles that overlap, against numbers worked by hand and points drawn in them."""

from __future__ import annotations

import math

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.driving.state import make_actors
from sim.driving.touching import record_touching


def touching(
    kinds: list[list[int]], poses: NDArray[np.float64], sizes: NDArray[np.float64], robots: int = 1
) -> NDArray[np.uint8]:
    """(rows, A)"""
    worlds, slots = poses.shape[:2]
    actors = make_actors(worlds, slots, "cpu")
    actors.kind.numpy()[:], actors.pose.numpy()[:], actors.size.numpy()[:] = kinds, poses, sizes
    found = wp.full((worlds * robots, slots), 7, dtype=wp.uint8)
    record_touching(robots, actors, found, "cpu").launch()
    return found.numpy()


def test_a_gap_of_a_centimetre_is_none_and_an_overlap_of_one_is_one() -> None:
    # an ego of 4 m x 2 m at the origin; beside, ahead, at its corner turned by 45 degrees: half a diagonal is sqrt(2)
    corner = 2.0 + math.sqrt(2.0)
    poses = np.zeros((2, 6, 3))
    for world, gap in enumerate((0.01, -0.01)):
        poses[world, 1] = (0.0, 2.0 + gap, 0.0)
        poses[world, 2] = (4.0 + gap, 0.0, 0.0)
        poses[world, 3] = (corner + gap, 0.0, math.pi / 4)
        poses[world, 4] = (-3.0 - gap, 0.0, math.pi / 2)
        poses[world, 5] = (0.0, 0.0, 0.0)
    sizes = np.tile(np.array([(4.0, 2.0), (4.0, 2.0), (4.0, 2.0), (2.0, 2.0), (4.0, 2.0), (4.0, 2.0)]), (2, 1, 1))
    found = touching([[1, 1, 1, 1, 1, -1]] * 2, poses, sizes)
    np.testing.assert_array_equal(found, [[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0]])


def test_each_ego_of_a_world_is_judged_by_its_own_box() -> None:
    poses = np.array([[(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (10.0, 1.0, 0.0)]])
    sizes = np.full((1, 3, 2), (4.0, 2.0))
    np.testing.assert_array_equal(touching([[1, 1, 5]], poses, sizes, robots=2), [[0, 0, 0], [0, 0, 1]])
    poses[0, 0] = (8.0, 0.0, 3.0)
    np.testing.assert_array_equal(touching([[1, 1, 5]], poses, sizes, robots=2), [[0, 1, 1], [1, 0, 1]])


def test_it_finds_what_points_drawn_in_both_find() -> None:
    rng = np.random.default_rng(4)
    worlds = 400
    poses = np.stack([rng.uniform(-3, 3, (worlds, 2)), rng.uniform(-3, 3, (worlds, 2)),
                      rng.uniform(-4, 4, (worlds, 2))], axis=-1)  # fmt: skip
    sizes = rng.uniform(0.3, 5.0, (worlds, 2, 2))
    found = touching([[1, 5]] * worlds, poses, sizes)[:, 1].astype(bool)
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 121), np.linspace(-0.5, 0.5, 121)), axis=-1).reshape(-1, 2)

    def inside(a: int, b: int, grown: float) -> NDArray[np.bool_]:
        """Whether a point of a's grid lies in b."""
        c, s = np.cos(poses[:, a, 2])[:, None], np.sin(poses[:, a, 2])[:, None]
        x, y = (grid[None, :, k] * sizes[:, a, k, None] for k in (0, 1))
        gap = [poses[:, a, 0, None] + c * x - s * y - poses[:, b, 0, None],
               poses[:, a, 1, None] + s * x + c * y - poses[:, b, 1, None]]  # fmt: skip
        c, s = np.cos(poses[:, b, 2])[:, None], np.sin(poses[:, b, 2])[:, None]
        u, w = c * gap[0] + s * gap[1], c * gap[1] - s * gap[0]
        held = (np.abs(u) < sizes[:, b, 0, None] / 2 + grown) & (np.abs(w) < sizes[:, b, 1, None] / 2 + grown)
        return held.any(axis=1)

    surely, maybe = inside(0, 1, 0.0) | inside(1, 0, 0.0), inside(0, 1, 0.05)
    assert (found[surely]).all()
    assert not (found[~maybe]).any()
    assert 0.2 < found.mean() < 0.9
