from __future__ import annotations

from pathlib import Path

import pytest

from sim.road import RoadError
from sim.roadgen import generate_highway, generate_town
from sim.roadpack import pack_road, unpack_road


@pytest.mark.parametrize("make", [generate_town, generate_highway])
def test_a_road_comes_back_as_it_was(make) -> None:  # noqa: ANN001
    road = make(5)
    again = unpack_road(pack_road(road))
    assert again.hash == road.hash
    assert again.name == road.name
    assert [lane.name for lane in again.lanes] == [lane.name for lane in road.lanes]
    assert [lane.predecessors for lane in again.lanes] == [lane.predecessors for lane in road.lanes]


@pytest.mark.parametrize("data", [b"", b"no zip", pack_road(generate_highway(1, length=600.0, ramps=0))[:-40]])
def test_bytes_that_are_no_road_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(RoadError, match="expected a packed road"):
        unpack_road(data)
