from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest

from sim.files import FileError
from sim.fixtures import NO_FIXTURES
from sim.floor import graph_to_site, read_graphml, site_to_graph, write_graphml
from sim.generate import generate_warehouse
from sim.readers import load_site
from sim.site import SiteError

DATA = Path(__file__).parent / "data"
SITES = Path(__file__).parents[2] / "launch" / "sites"


def corridor() -> nx.DiGraph:
    """Three cells in a row, the last a station, one-way from the second on."""
    graph = nx.DiGraph(name="corridor", width=3, height=1, cell=1.0)
    graph.add_nodes_from([0, 1])
    graph.add_node(2, kind="station", person_free=True)
    graph.add_edges_from([(0, 1), (1, 0), (1, 2)])
    return graph


def test_a_graph_is_compiled_with_its_one_way_aisles() -> None:
    site = graph_to_site(corridor())
    assert site.stations.tolist() == [2]
    assert site.person_free.tolist() == [[False, False, True]]
    assert site.exits[0].astype(int).tolist() == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_a_site_survives_the_way_through_graph_and_graphml(tmp_path: Path) -> None:
    site = generate_warehouse(3, one_way=True)
    write_graphml(site_to_graph(site), tmp_path / "floor.graphml")
    again = graph_to_site(read_graphml(tmp_path / "floor.graphml"))
    assert (again.name, again.chargers.tolist()) == (site.name, sorted(site.chargers.tolist()))
    assert (again.blocked == site.blocked).all()
    assert (again.exits == site.exits).all()
    assert (again.person_free == site.person_free).all()
    assert again.stations.tolist() == sorted(site.stations.tolist())
    assert again.cell == site.cell
    assert again.hash == site.hash


@pytest.mark.parametrize("name", ["generate:7", "generate:3:40x24"])
def test_a_floor_has_one_hash_however_it_travelled(name: str, tmp_path: Path) -> None:
    """Chargers come out of a graph in ascending order, out of the generator by the side that they stand on."""
    site = load_site(name)
    write_graphml(site_to_graph(site), tmp_path / "floor.graphml")
    assert graph_to_site(read_graphml(tmp_path / "floor.graphml")).hash == site.hash
    assert graph_to_site(site_to_graph(site)).hash == site.hash
    assert replace(site, chargers=site.chargers[:-1]).hash != site.hash
    assert replace(site, stations=site.chargers, chargers=site.stations).hash != site.hash


def test_fixtures_survive_the_way_through_graph_and_graphml(tmp_path: Path) -> None:
    for name in ("small_warehouse", "two_halls"):
        site = load_site(SITES / f"{name}.yaml")
        assert site.fixtures != NO_FIXTURES
        write_graphml(site_to_graph(site), tmp_path / "floor.graphml")
        again = graph_to_site(read_graphml(tmp_path / "floor.graphml"))
        assert again.fixtures == site.fixtures
        assert again.hash == site.hash


def test_the_graph_of_a_floor_with_fixtures_carries_its_documented_attributes() -> None:
    graph = site_to_graph(load_site(SITES / "two_halls.yaml"))
    assert {"door": "hall", "door_opening": 3.0, "door_state": "automatic"}.items() <= graph.nodes[4 * 24 + 11].items()
    assert graph.nodes[9 * 24 + 11]["speed_limit"] == 0.5
    assert {"ramp": 0, "ramp_rise": 0.1, "ramp_up": "east"}.items() <= graph.nodes[5 * 24 + 15].items()
    assert graph.nodes[5 * 24 + 16]["ramp_up"] == "flat"
    assert graph.nodes[2 * 24 + 2]["kind"] == "pick"


def laid_out() -> nx.DiGraph:
    """Three cells in a row with a door, a ramp and a speed limit."""
    graph = corridor()
    graph.nodes[0].update(door="gate", door_opening=2.0, door_state="automatic", speed_limit=0.5)
    graph.nodes[1].update(ramp=0, ramp_rise=0.1, ramp_up="east")
    graph.nodes[2].update(ramp=0, ramp_rise=0.1, ramp_up="east")
    return graph


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.nodes[0].update(speed_limit=0.0), r"node 0: expected speed_limit as a number above 0, got 0.0"),
        (lambda g: g.nodes[0].update(speed_limit="slow"), r"expected speed_limit as a number above 0, got 'slow'"),
        (lambda g: g.nodes[0].update(door_state="opne"), r'door_state .* got "opne"; did you mean "open"'),
        (lambda g: g.nodes[0].pop("door"), r"node 0: expected an attribute door beside door_opening, got none"),
        (lambda g: g.nodes[0].pop("door_opening"), r"node 0: expected door_opening as a number .* got None"),
        (lambda g: g.nodes[1].update(door="gate", door_opening=3.0, door_state="automatic"),
         r"node 1: expected door gate with door_opening 2.0 and door_state automatic as on node 0, got 3.0"),
        (lambda g: (g.nodes[0].update(g.nodes[1]), g.nodes[1].clear()),
         r"ramp 0: expected its cells to fill a rectangle of 3 x 1, got 2"),
        (lambda g: g.graph.update(pod_length=-1.0), r"graph attribute pod_length in metres, got -1.0"),
    ],
)  # fmt: skip
def test_a_graph_with_broken_fixtures_is_refused(change: Callable[[nx.DiGraph], object], message: str) -> None:
    graph = laid_out()
    assert graph_to_site(graph).fixtures.doors
    change(graph)
    with pytest.raises(SiteError, match=message):
        graph_to_site(graph)


def test_the_graph_carries_its_documented_attributes() -> None:
    graph = site_to_graph(graph_to_site(corridor()))
    assert graph.graph == {"name": "corridor", "width": 3, "height": 1, "cell": 1.0}
    assert graph.nodes[2] == {"kind": "station", "person_free": True, "x": 2.5, "y": 0.5}
    assert graph.edges[0, 1] == {"length": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.add_edge(0, 2), r"edge 0 to 2: expected neighbours"),
        (lambda g: g.add_node(7), r"expected a node as a cell number from 0 to 2, got 7"),
        (lambda g: g.add_node("a"), r"expected a node as a cell number from 0 to 2, got 'a'"),
        (lambda g: g.nodes[0].update(kind="sation"), r'node 0: .* got "sation"; did you mean "station"\?'),
        (lambda g: g.nodes[0].update(personfree=True), r'got "personfree"; did you mean "person_free"\?'),
        (lambda g: g.nodes[0].update(person_free="yes"), r"expected person_free true or false, got 'yes'"),
        (lambda g: g.edges[0, 1].update(lenght=1.0), r'edge 0 to 1: .* got "lenght"; did you mean "length"\?'),
        (lambda g: g.graph.pop("width"), r"expected a graph attribute width from 1 to 32768, got None"),
        (lambda g: g.graph.update(cell=-1.0), r"attribute cell in metres, got -1.0"),
        (lambda g: g.remove_nodes_from([0, 1, 2]), r"at least one node, got none"),
    ],
)
def test_a_graph_that_is_no_floor_is_refused(change: Callable[[nx.DiGraph], object], message: str) -> None:
    graph = corridor()
    change(graph)
    with pytest.raises(SiteError, match=message):
        graph_to_site(graph)


def test_an_undirected_graph_is_refused() -> None:
    with pytest.raises(SiteError, match=r"expected a networkx DiGraph, got a Graph; use graph\.to_directed"):
        graph_to_site(nx.Graph())


def test_graphml_by_hand_is_read() -> None:
    site = graph_to_site(read_graphml(DATA / "good.graphml"))
    assert site.blocked.astype(int).tolist() == [[0, 0], [1, 0]]
    assert site.chargers.tolist() == [3]
    assert not site.exits[1, 1, 1]  # no way back up from the charger


@pytest.mark.parametrize("name", ["broken.graphml", "named_nodes.graphml"])
def test_broken_graphml_is_refused(name: str) -> None:
    with pytest.raises(SiteError, match=rf"{name}: expected GraphML with cell numbers as node ids"):
        read_graphml(DATA / name)


def test_missing_graphml_is_named() -> None:
    with pytest.raises(FileError, match=r"nowhere\.graphml: No such file"):
        read_graphml(DATA / "nowhere.graphml")
