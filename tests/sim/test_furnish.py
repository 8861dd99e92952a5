from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.fixtures import DoorState, Fixtures
from sim.floor import graph_to_site, site_to_graph
from sim.generate import generate_warehouse
from sim.readers import check_site
from sim.site import Site, SiteError


@st.composite
def warehouses(draw: st.DrawFn) -> Site:
    """Every kind of warehouse that the generator makes, small ones first."""
    width, height = draw(st.integers(16, 40)), draw(st.integers(14, 34))
    return generate_warehouse(
        draw(st.integers(0, 10_000)),
        width=width,
        height=height,
        stations=draw(st.integers(2, 2 * ((width - 6) // 2))),
        chargers=draw(st.integers(0, 2 * ((height - 10) // 2))),
        one_way=draw(st.booleans()),
        doors=draw(st.integers(0, 3)),
        pods=draw(st.integers(0, 6)),
        speed_limit=draw(st.sampled_from([None, 0.4, 0.8])),
    )


def moves(site: Site) -> nx.DiGraph:
    """Cells from which robots move, and their moves, straight from the exits."""
    graph = site_to_graph(site)
    return graph.subgraph([cell for cell in graph if graph.degree(cell)])


@settings(max_examples=60, deadline=None)
@given(warehouses())
def test_every_generated_warehouse_is_connected_and_every_station_reaches_every_other(site: Site) -> None:
    graph = moves(site)
    assert nx.is_strongly_connected(graph)
    assert set(site.stations.tolist()) | set(site.chargers.tolist()) <= set(graph)
    check_site(site, 1)
    standing = site.standing.reshape(-1)
    assert not any(standing[cell] for cell in graph)


@settings(max_examples=20, deadline=None)
@given(warehouses())
def test_every_generated_warehouse_survives_the_way_through_its_graph(site: Site) -> None:
    assert graph_to_site(site_to_graph(site)).hash == site.hash


@settings(max_examples=20, deadline=None)
@given(warehouses())
def test_fixtures_stand_where_they_make_sense(site: Site) -> None:
    flat = site.person_free.reshape(-1)
    graph = moves(site)
    for door in site.fixtures.doors:
        assert door.state is DoorState.AUTOMATIC
        assert all(flat[cell] and cell in graph for cell in door.cells)
    for pod in site.fixtures.pods:
        assert flat[pod]
        assert any(pod + step in graph for step in (1, -1, site.width, -site.width))
    for zone in site.fixtures.zones:
        assert set(zone.cells) <= set(graph)
        assert set(site.stations.tolist()) <= set(zone.cells)  # people pass behind them


def test_fixtures_change_nothing_else() -> None:
    plain = generate_warehouse(5)
    full = generate_warehouse(5, doors=4, pods=8, speed_limit=0.6)
    assert (len(full.fixtures.doors), len(full.fixtures.pods), len(full.fixtures.zones)) == (4, 8, 1)
    pods = np.zeros(plain.blocked.size, bool)
    pods[list(full.fixtures.pods)] = True
    assert (full.standing == plain.blocked).all()  # pods stand in place of racks
    assert (full.exits == plain.exits).all()
    assert (full.stations == plain.stations).all()
    assert (full.person_free.reshape(-1) == (plain.person_free.reshape(-1) | pods)).all()
    assert generate_warehouse(5, doors=4, pods=8, speed_limit=0.6).hash == full.hash
    assert generate_warehouse(6, doors=4, pods=8, speed_limit=0.6).hash != full.hash
    assert replace(full, fixtures=Fixtures()).hash != plain.hash  # racks became ground for pods


@pytest.mark.parametrize(
    ("what", "message"), [("doors", "at most 77 doors, one for"), ("pods", "at most .* pods, one")]
)
def test_more_than_there_is_room_for_is_refused(what: str, message: str) -> None:
    with pytest.raises(SiteError, match=rf"expected {message} .* of generate:0, got 5000; ask for fewer"):
        generate_warehouse(0, **{what: 5000})
