"""Bends of files that no car can take: left out, and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.bodies.specs import CAR
from sim.opendrive import read_opendrive
from sim.road import LaneKind
from sim.roadbends import bend, drivable
from tests.sim.roadfiles import geometry, lane, road, section, write

TIGHT = CAR.car.curvature_max
"""1/m: a radius of 3.9 m."""


def test_an_arc_bends_by_its_curvature_and_an_inner_lane_by_more(tmp_path: Path) -> None:
    plan = geometry(0, 0, 0, 0.0, 40, f'<arc curvature="{1 / 5}"/>')
    sections = section(0, left=lane(1), right=lane(-1))
    read = read_opendrive(write(tmp_path / "a.xodr", road("a", 40, plan, sections)))
    inner, outer = read.lanes
    assert (bend(outer), bend(inner)) == (pytest.approx(1 / 6.75, rel=1e-3), pytest.approx(1 / 3.25, rel=1e-3))
    left = drivable(read, TIGHT)
    assert [each.kind for each in left.lanes] == [LaneKind.OTHER, LaneKind.DRIVING]
    assert left.ignored == ("lanes that bend too sharply, down to 3.2 m where the car takes a radius of 3.9 m: a.0.1",)
    assert drivable(read, 1.0) is read
