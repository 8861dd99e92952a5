from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from sim.generate import generate_campus, generate_warehouse
from sim.site import Site
from sim.ways import HERE, NOWHERE, STEPS, Ways, find_ways


def graph_of(enterable: np.ndarray) -> nx.Graph:
    """The floor as a graph, made without the module: eight moves, no corner cut."""
    graph = nx.Graph()
    height, width = enterable.shape
    for row, column in np.argwhere(enterable).tolist():
        graph.add_node(row * width + column)
        for down, right in STEPS:
            r, c = row + down, column + right
            if 0 <= r < height and 0 <= c < width and enterable[r, c] and enterable[row, c] and enterable[r, column]:
                graph.add_edge(row * width + column, r * width + c, weight=float(np.hypot(down, right)))
    return graph


@pytest.mark.parametrize(
    "site", [generate_campus(3, blocks=(2, 2)), generate_warehouse(7)], ids=["campus", "warehouse"]
)
def test_every_way_is_a_shortest_one_around_the_racks(site: Site) -> None:
    enterable = ~(site.blocked | site.person_free)
    ways: Ways = find_ways(enterable, goals=4, seed=1)
    graph = graph_of(enterable)
    for goal in range(4):
        shortest = nx.multi_source_dijkstra_path_length(graph, set(ways.goals[goal].tolist()))
        towards = ways.towards[goal]
        for cell in range(site.blocked.size):
            if cell not in shortest:
                assert towards[cell] == NOWHERE
                continue
            length, at = 0.0, cell
            while towards[at] != HERE:
                row, column = STEPS[towards[at]]
                step = at + row * site.width + column
                assert graph.has_edge(at, step)
                length, at = length + float(np.hypot(row, column)), step
                assert length < 200.0
            assert at in ways.goals[goal]
            assert length == pytest.approx(shortest[cell], abs=1e-2)


def test_each_part_of_the_floor_has_every_goal() -> None:
    site = generate_campus(3, blocks=(2, 2))
    enterable = ~(site.blocked | site.person_free)
    ways = find_ways(enterable, goals=4, seed=1)
    parts = list(nx.connected_components(graph_of(enterable)))
    assert ways.goals.shape == (4, len(parts))
    for part in parts:
        cells = np.array(sorted(part))
        assert (np.isin(ways.goals, cells).sum(axis=1) == 1).all()
        assert (ways.towards[:, cells] != NOWHERE).all()
