"""The report's plan and the pictures show what stands on a floor and how one may drive."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fleet.plan import draw_fixtures, fixture_names
from fleet.world import World
from sim.drawing import MARK, POD, drawn_fixtures
from sim.fixtures import Door, DoorState, Fixtures, Ramp, SpeedZone
from sim.picture import build_picture
from sim.readers import load_site
from sim.robot import RobotSpec
from sim.site import make_site, one_way_moves, with_fixtures
from sim.trace import read_trace


def titles(svg: str) -> list[str]:
    return re.findall(r"<title>(.*?)</title>", svg)


def test_every_fixture_is_drawn_and_named() -> None:
    plain = make_site("all", np.zeros((4, 6), bool))
    plain.exits[1, 1, 2] = False  # from column 1 nobody goes back west
    plain.exits[1, 2, 2] = False
    site = with_fixtures(
        plain,
        Fixtures(
            doors=(Door("gate <1>", (8,), 2.0, DoorState.AUTOMATIC), Door("office", (9,), 2.0, DoorState.SHUT)),
            pods=(20,),
            pod_side=1,
            zones=(SpeedZone((0, 1), 0.5),),
            ramps=(Ramp((4, 2, 1, 1), 0.1, 0),),
        ),
    )
    words = titles(draw_fixtures(site))
    assert words.count("at most 0.5 m/s") == 2
    assert "door gate &lt;1&gt; opens by itself, 2 s" in words
    assert "door office stays shut, 2 s" in words
    assert "pod, lifted from north, cell 20" in words
    assert "ramp to 0.1 m, up east" in words
    assert "one way, east" in words
    assert [name for name, _ in fixture_names(site)] == ["speed zone", "door", "pod", "ramp", "one way"]
    assert draw_fixtures(make_site("plain", np.zeros((2, 2), bool))) == ""


def test_one_way_moves_are_those_without_a_way_back() -> None:
    site = make_site("three", np.zeros((1, 3), bool))
    site.exits[0, 1, 2] = False
    assert np.argwhere(one_way_moves(site)).tolist() == [[0, 0, 0]]
    assert sum(box.colour == MARK for box in drawn_fixtures(site)) == 3  # an arrow


def test_a_run_keeps_where_pods_were_and_which_ways_were_open(tmp_path: Path, root: Path) -> None:
    site = load_site(str(root / "launch" / "sites" / "pod_hall.yaml"))
    world = World(site, RobotSpec(), 1, seed=1)
    world.step()
    world.write(tmp_path, ("r0",))
    trace = read_trace(tmp_path)
    assert trace.pods.shape == (2, 3, 3)
    np.testing.assert_allclose(trace.pods[0, :, :2], site.centre(np.array(site.fixtures.pods)), atol=1e-6)
    assert one_way_moves(trace.site).sum() == one_way_moves(site).sum() > 10
    model = build_picture(trace)
    names = [model.body(body).name for body in range(model.nbody)]
    assert [name for name in names if name.startswith("pod")] == ["pod0", "pod1", "pod2"]
    assert not any(box.colour == POD for box in drawn_fixtures(site) if box.high < 1.0)
