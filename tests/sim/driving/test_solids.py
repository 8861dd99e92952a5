from __future__ import annotations

import numpy as np
import pytest

from sim.actors import ActorKind
from sim.driving.drawn import Ground, drawn_road
from sim.driving.scenery import House, Tree
from sim.driving.solids import (
    HEIGHTS,
    Solid,
    actor,
    ball,
    box,
    ground,
    house_roof,
    house_walls,
    join,
    loft,
    tree_crown,
)
from sim.roadgen import generate_town


def outward(solid: Solid) -> float:
    """Volume by the divergence theorem, m^3: positive where faces are counter-clockwise seen from outside."""
    a, b, c = (solid.vertices[solid.faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum()) / 6.0


def test_a_box_has_its_volume_and_is_seen_from_outside() -> None:
    assert outward(box((4.0, 2.0, 1.5))) == pytest.approx(12.0)  # its open bottom lies at z = 0 and adds nothing
    moved = box((1.0, 1.0, 1.0), (5.0, -3.0, 0.0))
    assert moved.vertices.mean(axis=0) == pytest.approx([5.0, -3.0, 0.5])


def test_a_ball_and_crowns_bulge_outward() -> None:
    assert outward(ball(1.0, (0.0, 0.0, 0.0))) == pytest.approx(4.19, rel=0.25)
    assert outward(tree_crown(Tree(3.0, 1.0, 2.0, 5.0, (0.0, 0.0, 0.0, 1.0)))) > 5.0


def test_roofs_close_above_their_walls() -> None:
    house = House(0.0, 0.0, 0.3, 12.0, 9.0, 6.0, (0.5, 0.5, 0.5, 1.0), (0.9, 0.9, 0.9, 1.0))
    roof, walls = house_roof(house), house_walls(house)
    # a prism with a triangle of 9.8 by 2.22 m and a length of 12.8 m (0.4 m of eaves on each side)
    assert outward(roof) == pytest.approx(0.5 * 9.8 * (6.9 - 4.68) * 12.8, rel=1e-6)
    assert walls.vertices[:, 2].max() == pytest.approx(roof.vertices[:, 2].min())


def test_ground_is_seen_from_above_and_loses_no_area_by_leaving_points_out() -> None:
    strips = [strip for strip in drawn_road(generate_town(3)).strips if strip.ground == Ground.ASPHALT]
    solid = ground(strips, 0.1)
    a, b, c = (solid.vertices[solid.faces[:, corner], :2] for corner in range(3))
    twice = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert (twice > 0.0).all()
    exact = 0.0
    for strip in strips:
        x, y = strip.outline.T
        exact += abs(0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()))
    assert 0.5 * twice.sum() == pytest.approx(exact, rel=2e-3)
    assert len(solid.vertices) < 0.3 * sum(2 * len(strip.left) for strip in strips)


@pytest.mark.parametrize("kind", list(ActorKind))
def test_actors_fill_their_boxes(kind: ActorKind) -> None:
    length, width = {ActorKind.TRUCK: (12.0, 2.5), ActorKind.PEDESTRIAN: (0.5, 0.5)}.get(kind, (4.4, 1.8))
    pieces = [piece for piece in actor(int(kind), length, width) if piece.name != "shadow"]
    points = join([piece.solid for piece in pieces]).vertices
    assert points[:, 2].min() > -0.01
    assert points[:, 2].max() == pytest.approx(HEIGHTS[kind], abs=0.06)
    if kind != ActorKind.PEDESTRIAN:
        assert np.ptp(points[:, 0]) == pytest.approx(length, abs=0.15)
        assert np.abs(points[:, 1]).max() <= 0.5 * width + 0.01


def test_a_loft_of_two_rings_is_a_prism() -> None:
    ring = np.array([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)])
    assert outward(loft([ring, ring + np.array([0.0, 0.0, 3.0])])) == pytest.approx(6.0)
