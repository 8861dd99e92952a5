import itertools
import time

import networkx as nx
import numpy as np
import pytest

from sim.generate import corridor_library, dead_ends, generate_campus, generate_warehouse
from sim.reach import FAR, components, distances
from sim.site import MOVES, Site, SiteError, make_site


def lanes_of(site: Site) -> nx.DiGraph:
    """The part of a warehouse's graph that robots may enter."""
    graph = graph_of(site)
    return graph.subgraph([cell for cell in graph if graph.degree(cell)])


def walkways_of(site: Site) -> nx.Graph:
    """Cells that people may enter; robots' exits do not bind them."""
    open_ = make_site("people", site.blocked | site.person_free)
    return nx.Graph(graph_of(open_))


def graph_of(site: Site) -> nx.DiGraph:
    """The floor as networkx sees it: the oracle for connectivity and distance, built from cells alone."""
    graph = nx.DiGraph()
    graph.add_nodes_from(site.free_cells.tolist())
    for cell in site.free_cells.tolist():
        row, column = divmod(cell, site.width)
        for move, (down, right) in enumerate(MOVES):
            if site.exits[row, column, move]:
                graph.add_edge(cell, (row + down) * site.width + column + right)
    return graph


@pytest.mark.parametrize("seed", range(12))
def test_every_warehouse_is_strongly_connected_and_no_cell_cuts_it(seed: int) -> None:
    site = generate_warehouse(seed)
    lanes = lanes_of(site)
    assert nx.is_strongly_connected(lanes)
    assert nx.is_biconnected(lanes.to_undirected())
    assert set(np.concatenate([site.stations, site.chargers]).tolist()) <= set(lanes)


@pytest.mark.parametrize("seed", range(6))
def test_one_way_warehouse_is_strongly_connected_and_has_no_way_back_in_its_rack_aisles(seed: int) -> None:
    site = generate_warehouse(seed, one_way=True)
    graph = graph_of(site)
    assert nx.is_strongly_connected(lanes_of(site))
    flat = site.blocked.reshape(-1)
    narrow = [cell for cell in site.free_cells.tolist() if flat[cell - 1] and flat[cell + 1]]
    assert narrow
    for cell in narrow:
        for other in (cell - site.width, cell + site.width):
            assert graph.has_edge(cell, other) != graph.has_edge(other, cell)


@pytest.mark.parametrize("seed", range(6))
def test_stations_and_chargers_are_free_apart_and_along_the_sides(seed: int) -> None:
    site = generate_warehouse(seed, stations=16, chargers=8)
    places = np.concatenate([site.stations, site.chargers])
    assert len(set(places.tolist())) == 24
    assert not site.blocked.reshape(-1)[places].any()
    rows, columns = np.divmod(site.stations, site.width)
    assert set(rows.tolist()) == {2, site.height - 3}
    assert set(np.divmod(site.chargers, site.width)[1].tolist()) == {2, site.width - 3}
    for row in (2, site.height - 3):
        assert np.diff(np.sort(columns[rows == row])).min() >= 2, site.name


@pytest.mark.parametrize("seed", range(6))
def test_walkways_are_rings_without_dead_ends_that_robots_only_cross(seed: int) -> None:
    site = generate_warehouse(seed)
    walkways = walkways_of(site)
    assert nx.is_connected(walkways)
    assert min(dict(walkways.degree).values()) == 2
    lanes = lanes_of(site)
    for cell in walkways:
        if cell in lanes:  # in at the top or bottom, out at the other
            assert {abs(other - cell) for other in lanes.successors(cell)} == {site.width}
    assert sum(cell in lanes for cell in walkways) >= site.width - 4


@pytest.mark.parametrize("seed", range(6))
def test_a_lane_lies_between_every_rack_and_every_walkway(seed: int) -> None:
    site = generate_warehouse(seed)
    racks = site.blocked.copy()
    racks[[0, -1]] = racks[:, [0, -1]] = False
    near = np.zeros_like(racks)
    for down, right in np.ndindex(3, 3):
        near |= np.roll(racks, (down - 1, right - 1), (0, 1))
    assert not (near & ~site.blocked & ~site.person_free).any()


def test_the_same_seed_gives_the_same_floor_and_another_seed_another() -> None:
    assert generate_warehouse(5).hash == generate_warehouse(5).hash
    assert generate_warehouse(5).hash != generate_warehouse(6).hash
    assert generate_campus(5).hash == generate_campus(5).hash != generate_campus(6).hash


@pytest.mark.parametrize(("width", "height"), [(8, 22), (32, 10)])
def test_a_warehouse_without_room_for_racks_is_refused(width: int, height: int) -> None:
    with pytest.raises(SiteError, match=rf"at least 11 x 11 .* got {width} x {height}"):
        generate_warehouse(0, width=width, height=height)


def test_more_stations_than_two_sides_hold_are_refused() -> None:
    with pytest.raises(SiteError, match=r"at most 26 stations .* got 29"):
        generate_warehouse(0, stations=29)


def test_a_campus_is_made_fast_of_walled_connected_blocks_that_differ() -> None:
    start = time.perf_counter()
    site = generate_campus(1)
    assert time.perf_counter() - start < 2.0
    assert site.blocked.shape == (96, 96)
    seen = set()
    for i in range(8):
        for j in range(8):
            block = site.blocked[i * 12 : i * 12 + 12, j * 12 : j * 12 + 12]
            assert block[[0, -1]].all()
            assert block[:, [0, -1]].all()
            assert nx.is_connected(nx.Graph(graph_of(make_site("block", block))))
            assert (~block).sum() >= 100 / 3
            seen.add(block.tobytes())
    assert len(seen) >= 60
    assert not (site.blocked & site.person_free).any()


def test_components_are_those_that_networkx_finds() -> None:
    blocked = np.random.default_rng(4).random((17, 23)) < 0.42
    site = make_site("random", blocked)
    label = components(site)
    assert (label.reshape(blocked.shape) >= 0).tolist() == (~blocked).tolist()
    ours = {frozenset(np.flatnonzero(label == k).tolist()) for k in range(label.max() + 1)}
    assert ours == {frozenset(part) for part in nx.weakly_connected_components(graph_of(site))}


def test_distances_obey_one_way_aisles() -> None:
    # A ring of four cells, clockwise only: 0 -> 1 -> 3 -> 2 -> 0.
    site = make_site("ring", np.zeros((2, 2), bool))
    site.exits[...] = False
    site.exits[0, 0, 0] = site.exits[0, 1, 3] = site.exits[1, 1, 2] = site.exits[1, 0, 1] = True
    assert distances(site, np.array([0])).tolist() == [0, 3, 1, 2]


def test_distances_are_those_that_networkx_finds() -> None:
    site = generate_warehouse(2, one_way=True)
    goal = int(site.stations[3])
    lengths = nx.single_source_shortest_path_length(graph_of(site).reverse(), goal)
    ours = distances(site, np.array([goal]))
    assert {cell: d for cell, d in enumerate(ours.tolist()) if d < FAR} == dict(lengths)


def test_library_paths_are_legal_within_their_lengths_and_in_every_block() -> None:
    site = generate_campus(2, blocks=(3, 3))
    graph = graph_of(site)
    library = corridor_library(site, 7, 2000, shortest=3, longest=20)
    assert library.cells.shape == (2000, 20)
    assert library.lengths.min() >= 3
    assert library.lengths.max() <= 20
    for cells, length in zip(library.cells.tolist(), library.lengths.tolist(), strict=True):
        assert all(graph.has_edge(a, b) for a, b in itertools.pairwise(cells[:length]))
        assert set(cells[length - 1 :]) == {cells[length - 1]}
    rows, columns = np.divmod(library.cells[:, 0], site.width)
    share = np.bincount(rows // 12 * 3 + columns // 12, minlength=9)
    assert share.min() > 2000 / 9 * 0.7


def test_library_obeys_one_way_aisles() -> None:
    site = generate_warehouse(1, one_way=True)
    graph = graph_of(site)
    library = corridor_library(site, 0, 300)
    for cells, length in zip(library.cells.tolist(), library.lengths.tolist(), strict=True):
        assert all(graph.has_edge(a, b) for a, b in itertools.pairwise(cells[:length]))


def test_the_same_seed_gives_the_same_paths() -> None:
    site = generate_campus(2, blocks=(2, 2))
    one, two, other = (corridor_library(site, seed, 100) for seed in (3, 3, 4))
    assert (one.cells == two.cells).all()
    assert (one.cells != other.cells).any()


def test_a_floor_too_small_for_the_paths_asked_for_is_refused() -> None:
    with pytest.raises(SiteError, match="4 to 9 moves apart"):
        corridor_library(make_site("two", np.zeros((1, 2), bool)), 0, 10, shortest=5, longest=10)


@pytest.mark.parametrize(
    ("floor", "dead"),
    [
        # a ring of cells with a spur of three cells, and a cell on its own
        (["#######", "#...#.#", "#.#.###", "#......", "#...###"], [[1, 5], [3, 4], [3, 5], [3, 6]]),
        # a bridge joins two rings: whoever walks on it finds a way on at either end; a spur from it ends
        (["...###...", ".#.....#.", "...#.#...", "####.####"], [[2, 4], [3, 4]]),
        # a tree of aisles has no loop at all
        (["..#..", "#...#", "##.##"], [[0, 0], [0, 1], [0, 3], [0, 4], [1, 1], [1, 2], [1, 3], [2, 2]]),
    ],
)
def test_dead_ends_are_where_no_walk_goes_on_for_ever_without_turning_back(
    floor: list[str], dead: list[list[int]]
) -> None:
    closed = np.array([[c == "#" for c in line] for line in floor])
    assert np.argwhere(dead_ends(closed)).tolist() == dead


def test_nobody_is_met_in_a_dead_end_of_a_campus() -> None:
    site = generate_campus(4, blocks=(3, 3))
    assert not dead_ends(site.blocked | site.person_free).any()
    assert (~site.blocked & ~site.person_free).any()
