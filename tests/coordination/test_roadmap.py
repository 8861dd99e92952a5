import networkx as nx
import numpy as np
import pytest

from coordination.roadmap import AROUND, FAR, NO_SLOT, Fields, Roadmap, RoadmapError
from sim.fixtures import Door, DoorState, Fixtures, SpeedZone
from sim.site import MOVES, Site, make_site, with_fixtures
from tests.coordination.floors import floor


def random_floor(seed: int, height: int = 12, width: int = 17) -> Site:
    return make_site("random", np.random.default_rng(seed).random((height, width)) < 0.3)


def graph(site: Site) -> nx.DiGraph:
    """The site as a networkx graph, straight from its exits: the oracle."""
    moves = nx.DiGraph()
    moves.add_nodes_from(site.free_cells.tolist())
    for row, column, move in zip(*np.nonzero(site.exits), strict=True):
        row_step, column_step = MOVES[move]
        moves.add_edge(int(row * site.width + column), int((row + row_step) * site.width + column + column_step))
    return moves


@pytest.mark.parametrize("seed", range(5))
def test_field_is_the_number_of_moves_to_the_goal_also_over_one_way_exits(seed: int) -> None:
    site = random_floor(seed)
    rng = np.random.default_rng(seed)
    one_way = Site(site.name, site.blocked, site.person_free, site.exits & (rng.random(site.exits.shape) < 0.9))
    goal = int(rng.choice(site.free_cells))
    field = Roadmap(one_way).field(goal)
    away = nx.single_source_shortest_path_length(graph(one_way).reverse(), goal)
    for cell in range(site.height * site.width):
        assert field[cell] == away.get(cell, FAR)


@pytest.mark.parametrize("seed", range(5))
def test_bridges_are_those_that_networkx_finds(seed: int) -> None:
    site = random_floor(seed)
    roadmap = Roadmap(site)
    ours = {
        frozenset((cell, cell + int(roadmap.offsets[move])))
        for cell in range(roadmap.cells)
        for move in range(4)
        if roadmap.bridges[cell] >> move & 1
    }
    assert ours == {frozenset(edge) for edge in nx.bridges(graph(site).to_undirected())}


def test_a_pocket_is_what_leads_nowhere_but_back() -> None:
    roadmap = Roadmap(floor("...@", ".@..", "...@"))
    assert roadmap.pocket_cells.tolist() == [7]
    assert roadmap.mouth.tolist() == [6]
    deep = Roadmap(floor("......", ".@.@@.", "...@@."))
    assert sorted(deep.depth[deep.pocket_cells].tolist()) == [1, 2, 3, 4, 5]
    assert deep.mouth.tolist() == [2]
    assert (Roadmap(floor("....")).pocket < 0).all(), "a floor without any ring has no rest to lead back to"


def test_an_exit_into_a_rack_is_refused() -> None:
    site = floor(".@")
    exits = site.exits.copy()
    exits[0, 0, 0] = True
    with pytest.raises(RoadmapError, match=r"cell 0 .* no free cell"):
        Roadmap(Site("broken", site.blocked, site.person_free, exits))


def test_cells_off_the_floor_or_blocked_are_named() -> None:
    roadmap = Roadmap(floor(".@"))
    with pytest.raises(RoadmapError, match="stations: cell 1 is blocked"):
        roadmap.check_cells([0, 1], "stations")
    with pytest.raises(RoadmapError, match="cell 2 is off the floor"):
        roadmap.check_cells([2], "stations")


def test_a_detour_keeps_out_of_closed_cells_and_still_reaches_a_closed_goal() -> None:
    fields = Fields(Roadmap(floor("...", ".@.", "...")), slots=4)
    closed = frozenset({1})
    assert fields.matrix[fields.slot(2), 0] == 2
    assert fields.matrix[fields.around(2, closed), 0] == 6
    assert fields.matrix[fields.around(2, closed), 1] == FAR, "nobody steps into it from beside"
    assert fields.matrix[fields.around(1, closed), 0] == 1, "a robot may still be sent to the closed cell itself"
    assert fields.matrix[fields.slot(2), 0] == 2, "the plain field knows of no closed cells"


def test_detours_are_kept_while_there_is_room_and_refused_when_one_tick_wants_too_many() -> None:
    fields = Fields(Roadmap(floor("." * 50)), slots=4)
    slots = [fields.around(0, frozenset({cell})) for cell in range(1, 1 + AROUND)]
    assert len(set(slots)) == AROUND
    assert fields.around(0, frozenset({40})) == NO_SLOT
    assert [fields.around(0, frozenset({cell})) for cell in range(1, 1 + AROUND)] == slots
    assert fields.computed == AROUND
    fields.new_tick()
    again = fields.around(0, frozenset({40}))
    assert fields.matrix[again, 39] == 39
    assert fields.matrix[again, 41] == FAR


def test_fields_are_kept_until_newer_ones_need_the_room() -> None:
    fields = Fields(Roadmap(floor("....")), slots=2)
    for goal in (0, 1, 0, 2, 0):
        assert fields.matrix[fields.slot(goal), 3] == 3 - goal
    assert fields.computed == 3, "0 was in use all the time; 1 made room for 2"
    fields.slot(1)
    assert fields.computed == 4
    with pytest.raises(ValueError, match="too few"):
        fields.slots(np.array([0, 1, 2], np.int32))
    assert fields.slots(np.array([-1], np.int32)).tolist() == [-1]


def two_ways(opening: float, state: DoorState = DoorState.AUTOMATIC) -> Site:
    """Two rooms of 3 x 5 cells of 1.2 m: an automatic door of two cells in the middle, an open way at the bottom."""
    blocked = np.zeros((5, 8), bool)
    blocked[:, 3:5] = True
    blocked[2, 3:5] = blocked[4, 3:5] = False
    door = Door("middle", (2 * 8 + 3, 2 * 8 + 4), opening, state)
    return with_fixtures(make_site("two ways", blocked), Fixtures(doors=(door,)))


def test_waiting_at_a_door_is_counted_once_and_a_slow_door_is_driven_around() -> None:
    # 2.0 s at 0.8 m/s are 1.33 cells: two moves more
    field = Roadmap(two_ways(2.0)).field(2 * 8 + 6)
    assert field[[2 * 8 + 5, 2 * 8 + 4, 2 * 8 + 3, 2 * 8 + 2]].tolist() == [1, 2, 3, 6]
    around = 4 + 2 + 2  # by the bottom: two down, two up
    assert Roadmap(two_ways(60.0)).field(2 * 8 + 6)[2 * 8 + 2] == around
    assert Roadmap(two_ways(0.0)).field(2 * 8 + 6)[2 * 8 + 2] == 4


def test_a_shut_door_and_a_pod_have_no_moves() -> None:
    roadmap = Roadmap(two_ways(2.0, DoorState.SHUT))
    assert roadmap.field(2 * 8 + 6)[2 * 8 + 2] == 8
    assert roadmap.neighbours(2 * 8 + 3) == []
    with pytest.raises(RoadmapError, match="cell 19 is blocked"):
        roadmap.check_cells([19], "stations")
    site = with_fixtures(make_site("pod", np.zeros((1, 3), bool)), Fixtures(pods=(1,)))
    assert Roadmap(site).field(0)[2] == FAR


def test_a_slow_zone_is_driven_around_where_that_is_quicker() -> None:
    """At 0.2 m/s a cell takes four moves' time of 0.8 m/s, at 0.6 m/s hardly more than one."""
    open_way = two_ways(0.0, DoorState.OPEN)
    slow = (2 * 8 + 3, 2 * 8 + 4)
    for limit, moves in ((0.2, 8), (0.4, 6), (0.6, 4), (1.0, 4)):
        site = with_fixtures(open_way, Fixtures(zones=(SpeedZone(slow, limit),)))
        assert Roadmap(site).field(2 * 8 + 6)[2 * 8 + 2] == moves  # of eight by the bottom
    assert Roadmap(with_fixtures(open_way, Fixtures(zones=(SpeedZone(slow, 0.2),)))).weighs
    assert not Roadmap(open_way).weighs


def test_fields_with_doors_are_the_cheapest_ways_that_networkx_finds() -> None:
    rng = np.random.default_rng(7)
    for seed in range(5):
        plain = random_floor(seed)
        cells = rng.choice(plain.free_cells, 12, replace=False).tolist()
        doors = tuple(Door(f"d{k}", (cell,), 1.2 * (k % 4) / 0.8) for k, cell in enumerate(cells))
        zone = SpeedZone(tuple(rng.choice(plain.free_cells, 40, replace=False).tolist()), 0.4)
        site = with_fixtures(plain, Fixtures(doors=doors, zones=(zone,)))
        waits = {cell: k % 4 for k, cell in enumerate(cells)}
        moves = graph(site)
        for _, b, attributes in moves.edges(data=True):
            attributes["cost"] = 1 + waits.get(b, 0) + (b in zone.cells)
        goal = int(rng.choice(site.free_cells))
        lengths = nx.single_source_dijkstra_path_length(moves.reverse(), goal, weight="cost")
        field = Roadmap(site).field(goal)
        assert {int(cell): int(field[cell]) for cell in np.flatnonzero(field < FAR)} == lengths
