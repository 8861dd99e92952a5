from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.drawing import DOOR, POD, RAMP, ZONE, drawn_fixtures, walls
from sim.picture import build_picture
from sim.readers import load_site
from sim.site import make_site
from sim.trace import Trace

SITES = Path(__file__).parents[2] / "launch" / "sites"


def test_every_fixture_is_drawn_where_it_stands() -> None:
    site = load_site(SITES / "two_halls.yaml")
    boxes = drawn_fixtures(site)
    count = {colour: sum(box.colour == colour for box in boxes) for colour in (DOOR, POD, RAMP, ZONE)}
    assert count == {DOOR: 2, POD: 0, RAMP: 3, ZONE: 3}  # the open door stands in nobody's way
    first = next(box for box in boxes if box.colour == DOOR)
    assert first.where == pytest.approx((13.2, 8.4, 14.4, 9.6))
    assert first.door == 0
    heights = sorted(box.high for box in boxes if box.colour == RAMP)
    assert heights == pytest.approx([0.05, 0.05, 0.1])
    small = drawn_fixtures(load_site(SITES / "small_warehouse.yaml"))
    assert sum(box.colour == POD and box.high == 2.0 for box in small) == 2
    assert drawn_fixtures(make_site("plain", np.zeros((2, 2), bool))) == []


def test_walls_inside_a_hall_are_drawn_as_walls_and_racks_as_racks() -> None:
    two_halls = load_site(SITES / "two_halls.yaml")
    inside = walls(two_halls)[1:-1, 1:-1]
    assert np.flatnonzero(inside.any(axis=0)).tolist() == [10], "the wall between the halls"
    assert inside[:, 10].tolist() == [True, True, True, False, False, True, True, True, False, True]
    assert (two_halls.blocked & ~walls(two_halls)).sum() == 16, "four racks of four cells"
    pod_hall = load_site(SITES / "pod_hall.yaml")  # its wall touches no outer one, but a door is in it
    assert (pod_hall.blocked & ~walls(pod_hall)).nonzero()[0].tolist() == [5, 5, 5, 5]


def test_the_picture_has_a_part_for_each_cell_of_a_door() -> None:
    trace = Trace(
        site=load_site(SITES / "two_halls.yaml"),
        stamps=np.zeros(1, np.int64),
        poses=np.zeros((1, 1, 3), np.float32),
        people=np.zeros((1, 0, 2), np.float32),
        footprint=(0.64, 0.48, 0.3),
        names=("a",),
        doors=np.zeros((1, 2), bool),
    )
    model = build_picture(trace)
    names = [model.geom(geom).name for geom in range(model.ngeom)]
    assert sum(name.startswith("door0.") for name in names) == 2
    assert not any(name.startswith("door1.") for name in names)
