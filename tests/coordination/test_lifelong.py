import time

import numpy as np
import pytest

from coordination.lifelong import Lifelong
from coordination.roadmap import Roadmap, RoadmapError
from sim.site import Site, make_site
from tests.coordination.floors import floor


def fleet(site: Site, starts: list[int], errands: list[int]) -> Lifelong:
    return Lifelong(Roadmap(site), np.array(starts, np.int32), np.array(errands, np.int32))


def audited_tick(site: Site, robots: Lifelong) -> None:
    """One tick, checked by the rules alone: nobody shares a cell, exchanges places or makes a move that is none."""
    before = robots.cells
    robots.tick()
    after = robots.cells
    assert len(set(after.tolist())) == len(after)
    moves = {(int(a), int(b)) for a, b in zip(before, after, strict=True) if a != b}
    assert not any((b, a) in moves for a, b in moves)
    successors = dict(moves)
    for start in successors:
        cell = start
        for _ in range(len(moves)):
            cell = successors.get(cell, -1)
            assert cell != start, "a ring of robots that all wait for each other"
    for a, b in moves:
        step = (b // site.width - a // site.width, b % site.width - a % site.width)
        move = ((0, 1), (-1, 0), (0, -1), (1, 0)).index(step)
        assert site.exits[a // site.width, a % site.width, move]


@pytest.mark.parametrize("robots", [1, 10, 40, 80])
def test_every_robot_goes_on_arriving_on_a_random_floor(robots: int) -> None:
    rng = np.random.default_rng(robots)
    blocked = rng.random((20, 20)) < 0.15
    site = make_site("random", blocked)
    reachable = Roadmap(site).field(int(site.free_cells[len(site.free_cells) // 2])) < 65535
    cells = np.flatnonzero(reachable)
    crowd = fleet(site, rng.choice(cells, robots, replace=False).tolist(), rng.choice(cells, 4000).tolist())
    rates = []
    for _ in range(4):
        done = crowd.done
        for _ in range(300):
            audited_tick(site, crowd)
        rates.append(crowd.done - done)
    assert min(rates) > 0.6 * max(rates), f"the flow dries up: {rates}"


def test_two_robots_that_meet_in_an_aisle_both_arrive() -> None:
    site = floor("............", ".@@@@@@@@@@.", "............")
    pair = fleet(site, [0, 11], [11, 0, 11, 0])
    for _ in range(60):
        audited_tick(site, pair)
        if pair.done >= 2:
            break
    assert pair.done >= 2


def test_two_robots_change_places_in_a_corridor_with_one_niche() -> None:
    site = floor("@@@@.@@@@@", "..........")
    pair = fleet(site, [10, 19], [19, 10])
    for _ in range(80):
        audited_tick(site, pair)
        if pair.done >= 2:
            break
    assert pair.done >= 2


def test_a_robot_leaves_the_dead_end_that_another_wants() -> None:
    site = floor("....@@", "...@@@", "......")
    pair = fleet(site, [17, 15], [0, 17])
    for _ in range(60):
        audited_tick(site, pair)
        if pair.done >= 2:
            break
    assert pair.done >= 2


def test_a_ring_with_one_free_cell_turns() -> None:
    site = floor("....", ".@@.", "....")
    ring = [0, 1, 2, 3, 7, 11, 10, 9, 8, 4]
    robots = fleet(site, ring[:-1], [ring[(index + 5) % 10] for index in range(9)])
    for _ in range(400):
        audited_tick(site, robots)
    assert robots.done >= 9


def test_a_full_ring_stands_because_robots_do_not_wait_in_a_ring() -> None:
    site = floor("...", ".@.", "...")
    ring = [0, 1, 2, 5, 8, 7, 6, 3]
    robots = fleet(site, ring, [*ring[1:], ring[0]])
    for _ in range(10):
        audited_tick(site, robots)
    assert robots.cells.tolist() == ring


def test_one_way_exits_are_obeyed() -> None:
    site = floor("...", ".@.", "...")
    exits = site.exits.copy()
    exits[0, :, 2] = False
    one_way = Site("one-way", site.blocked, site.person_free, exits)
    robots = fleet(one_way, [2], [0])
    for _ in range(6):
        audited_tick(one_way, robots)
    assert robots.cells.tolist() == [0]
    assert robots.done == 0, "the way back is six moves around; arrival is counted in the tick after"


def test_the_same_start_gives_the_same_moves() -> None:
    site = make_site("random", np.random.default_rng(3).random((15, 15)) < 0.2)
    cells = np.random.default_rng(4).permutation(site.free_cells)
    a, b = (fleet(site, cells[:20].tolist(), cells.tolist()) for _ in range(2))
    for _ in range(100):
        a.tick()
        b.tick()
        assert (a.cells == b.cells).all()


def test_a_start_inside_a_rack_is_refused() -> None:
    with pytest.raises(RoadmapError, match="start cells: cell 1 is blocked"):
        fleet(floor(".@"), [1], [0])


def test_a_tick_of_three_hundred_robots_takes_a_few_milliseconds() -> None:
    site = make_site("open", np.zeros((60, 60), bool))
    cells = np.random.default_rng(5).permutation(site.free_cells)
    robots = fleet(site, cells[:300].tolist(), cells.tolist())
    times = []
    for _ in range(50):
        start = time.process_time()
        robots.tick()
        times.append(time.process_time() - start)
    assert np.median(times) < 0.02
