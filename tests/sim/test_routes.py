from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fleet.oracle import on_the_map
from sim.generate import generate_campus
from sim.readers import load_problem
from sim.routes import AHEAD, LEFT, NO_ROUTE, RIGHT, THERE, find_routes
from sim.site import MOVES, Site, make_site

LENGTH, WIDTH = 2.8, 1.05


def sites(root: Path) -> list[Site]:
    return [
        load_problem(str(root / "launch" / "sites" / "small_warehouse.yaml")).site,
        load_problem(str(root / "launch" / "sites" / "two_halls.yaml")).site,
        generate_campus(0, blocks=(4, 4)),
    ]


def test_every_route_fits_the_floor_obeys_one_way_aisles_and_arrives(root: Path) -> None:
    """The geometric oracle judges the truck at every centre, between them, and at eight angles of a turn."""
    rng = np.random.default_rng(0)
    judged = 0
    for site in sites(root):
        routes = find_routes(site, LENGTH, WIDTH, stops=4)
        forbidden = replace(site, blocked=site.filled | site.person_free)
        for place in rng.choice(routes.places, 40):
            stop = int(rng.integers(4))
            poses = []
            actions = 0
            while (action := int(routes.table[stop, place])) < THERE:
                cell, heading = divmod(int(place), 4)
                x, y = site.centre(cell)
                yaw = heading * np.pi / 2
                if action == AHEAD:
                    assert site.exits.reshape(-1, 4)[cell, heading]
                    row, column = MOVES[heading]
                    for share in (0.0, 0.5, 1.0):
                        poses.append((x + column * share * site.cell, y - row * share * site.cell, yaw))
                    place = 4 * (cell + row * site.width + column) + heading
                else:
                    side = 1 if action == LEFT else -1
                    poses += [(x, y, yaw + side * turn) for turn in np.linspace(0.0, np.pi / 2, 8)]
                    place = 4 * cell + (heading + side) % 4
                actions += 1
                assert actions < 400
            assert action in (THERE, NO_ROUTE)
            if action == THERE:
                assert place // 4 in routes.stops[stop]
            assert action == THERE or actions == 0
            if poses:
                assert not on_the_map(forbidden, LENGTH, WIDTH, np.array(poses)).any()
                judged += len(poses)
    assert judged > 1000


def test_a_narrow_aisle_is_entered_only_where_it_is_one_way() -> None:
    """Two halls joined by an aisle of one cell and one of three: the narrow one is a short cut once it is one-way."""
    blocked = np.zeros((9, 15), bool)
    blocked[:, 5:10] = True
    blocked[1, 5:10] = False
    blocked[6:9, 5:10] = False
    site = make_site("halls", blocked)
    narrow = np.arange(1 * 15 + 5, 1 * 15 + 10)
    both = find_routes(site, LENGTH, WIDTH, stops=4)
    assert not np.isin(narrow, both.places // 4).any()
    exits = site.exits.copy()
    exits[1, 4:11, 2] = False  # nobody drives west in it
    east = find_routes(replace(site, exits=exits), LENGTH, WIDTH, stops=4)
    used = east.places[np.isin(east.places // 4, narrow)]
    assert len(used) == 5
    assert (used % 4 == 0).all()


def test_a_floor_too_narrow_has_no_places() -> None:
    blocked = np.ones((9, 9), bool)
    blocked[4, :] = blocked[:, 4] = False
    assert len(find_routes(make_site("cross", blocked), LENGTH, WIDTH, stops=2).places) == 0


def test_stops_lie_beside_stations() -> None:
    site = replace(make_site("hall", np.zeros((9, 9), bool)), stations=np.array([0, 80], np.int32))
    routes = find_routes(site, LENGTH, WIDTH, stops=2)
    assert sorted(routes.stops[:, 0].tolist()) == [1, 79] or {*routes.stops[:, 0].tolist()} <= {1, 9, 10, 70, 71, 79}
    assert (routes.table[:, routes.places] < NO_ROUTE).all()
    assert {AHEAD, LEFT, RIGHT} <= set(np.unique(routes.table[:, routes.places]).tolist())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_draws_the_stops(seed: int) -> None:
    site = generate_campus(0, blocks=(4, 4))
    first, again = (find_routes(site, LENGTH, WIDTH, stops=4, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(first.stops, again.stops)
    assert (find_routes(site, LENGTH, WIDTH, stops=4, seed=seed + 2).stops != first.stops).any()
