"""CommonRoad files of both versions: what is read, and what is refused."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

from sim.actors import ActorKind
from sim.commonroad import read_commonroad
from sim.road import LaneKind, RoadError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "driving" / "commonroad"
needs_files = pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is absent")


def points(*places: tuple[float, float]) -> str:
    return "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in places)


def lanelet(
    identity: int, y: float, more: str = "", *, begin: float = 0.0, end: float = 50.0, marking: str = ""
) -> str:
    line = f"<lineMarking>{marking}</lineMarking>" if marking else ""
    left, right = points((begin, y + 1.75), (end, y + 1.75)), points((begin, y - 1.75), (end, y - 1.75))
    return (
        f'<lanelet id="{identity}"><leftBound>{left}{line}</leftBound><rightBound>{right}</rightBound>{more}</lanelet>'
    )


def exact(tag: str, value: float) -> str:
    return f"<{tag}><exact>{value}</exact></{tag}>"


def state(x: float, y: float, time: int, *, tag: str = "state", heading: float = 0.0, speed: float = 10.0) -> str:
    where = f"<position>{points((x, y))}</position>"
    return f"<{tag}>{where}{exact('orientation', heading)}{exact('time', time)}{exact('velocity', speed)}</{tag}>"


def obstacle(kind: str) -> str:
    first = state(1, 0, 0, tag="initialState")
    return f'<dynamicObstacle id="3"><type>{kind}</type>{BOX}{first}</dynamicObstacle>'


BOX = "<shape><rectangle><length>4.5</length><width>2</width></rectangle></shape>"
GOAL = (
    '<goalState><position><lanelet ref="2"/></position><orientation><intervalStart>-0.2</intervalStart>'
    "<intervalEnd>0.2</intervalEnd></orientation><time><intervalStart>20</intervalStart><intervalEnd>40</intervalEnd></time></goalState>"
)
PROBLEM = f'<planningProblem id="9">{state(5, 0, 0, tag="initialState")}{GOAL}</planningProblem>'
MOVING = (
    f'<dynamicObstacle id="3"><type>car</type>{BOX}{state(1, 0, 0, tag="initialState")}<trajectory>{state(2, 0, 1)}'
    "</trajectory></dynamicObstacle>"
)
STANDING = (
    f'<staticObstacle id="3"><type>parkedVehicle</type>{BOX}{state(3, 0, 0, tag="initialState")}</staticObstacle>'
)
SIGN = "<trafficSign id='20'><trafficSignElement><trafficSignID>206</trafficSignID></trafficSignElement></trafficSign>"
ROADS = lanelet(1, 0.0, '<successor ref="2"/>') + lanelet(2, 0.0, '<predecessor ref="1"/>', begin=50.0, end=90.0)


SWAPPED = lanelet(1, 0.0).replace("1.75", "one").replace("-one", "1.75").replace("one", "-1.75")
LINE = f"<shape><polygon>{points((0, 0), (2, 0), (4, 0))}</polygon></shape>"


def beside(other: int, direction: str, y: float) -> str:
    """A lanelet that names another as its left neighbour, `y` m to its left."""
    named = lanelet(1, 0.0, f"<adjacentLeft ref='{other}' drivingDir='{direction}'/>")
    return named + (lanelet(2, y) if other == 2 else "")


def write(path: Path, *parts: str, version: str = "2020a", step: float = 0.1) -> Path:
    path.write_text(
        f'<?xml version="1.0"?>\n<commonRoad commonRoadVersion="{version}" timeStepSize="{step}">\n'
        + "\n".join(parts)
        + "\n</commonRoad>\n"
    )
    return path


def test_lanelets_problems_and_obstacles(tmp_path: Path) -> None:
    moving = f'<dynamicObstacle id="3"><type>truck</type>{BOX}{state(10, 0, 0, tag="initialState")}<trajectory>'
    moving += state(11, 0, 1) + state(12, 0.5, 2, heading=0.4) + "</trajectory></dynamicObstacle>"
    standing = (
        f'<staticObstacle id="4"><type>parkedVehicle</type>{BOX}{state(30, -2, 0, tag="initialState")}</staticObstacle>'
    )
    scenario = read_commonroad(write(tmp_path / "a.xml", ROADS, moving, standing, PROBLEM))
    one, two = scenario.road.lanes
    assert (one.name, one.successors, two.predecessors) == ("1", (1,), (0,))
    assert one.length == pytest.approx(50.0)
    assert np.diff(one.s).max() <= 0.5 + 1e-9
    truck, parked = scenario.actors
    assert (truck.kind, parked.kind, parked.moves) == (ActorKind.TRUCK, ActorKind.STATIC, False)
    assert truck.trajectory.at(0.15) == pytest.approx((11.5, 0.25, 0.2, 10.0))
    assert truck.trajectory.at(5.0)[3] == 0.0
    (problem,) = scenario.problems
    assert (problem.position, problem.speed) == ((5.0, 0.0), 10.0)
    assert problem.goals[0].lanes == (1,)
    assert problem.goals[0].time == pytest.approx((2.0, 4.0))
    assert problem.goals[0].heading == (-0.2, 0.2)
    assert problem.goals[0].speed == (-math.inf, math.inf)


def test_neighbours_limits_and_kinds(tmp_path: Path) -> None:
    value = "<trafficSignID>274</trafficSignID><additionalValue>8.33</additionalValue>"
    sign = f'<trafficSign id="20"><trafficSignElement>{value}</trafficSignElement></trafficSign>'
    lanes = lanelet(1, 0.0, '<adjacentLeft ref="2" drivingDir="same"/><trafficSignRef ref="20"/>', marking="solid")
    lanes += lanelet(
        2,
        3.5,
        '<adjacentRight ref="1" drivingDir="same"/><adjacentLeft ref="3" drivingDir="opposite"/>',
        marking="dashed",
    )
    back = points((50, 5.25), (0, 5.25)), points((50, 8.75), (0, 8.75))
    bounds = f"<leftBound>{back[0]}</leftBound><rightBound>{back[1]}</rightBound>"
    lanes += f'<lanelet id="3">{bounds}<adjacentLeft ref="2" drivingDir="opposite"/></lanelet>'
    lanes += lanelet(4, 20.0, "<laneletType>crosswalk</laneletType>", end=9.0)
    road = read_commonroad(write(tmp_path / "n.xml", lanes, sign)).road
    one, two, three, four = road.lanes
    assert (one.left_neighbour, two.right_neighbour, two.oncoming, three.oncoming) == (1, 0, 2, 1)
    assert (one.may_change_left, two.may_change_left) == (False, True)
    assert (one.limit, two.limit) == (8.33, math.inf)
    assert road.right_hand
    assert four.kind == LaneKind.WALKWAY
    assert (road.crossings[0].length, road.crossings[0].width) == pytest.approx((9.0, 3.5))


def test_the_older_version_has_roles_areas_and_limits(tmp_path: Path) -> None:
    box = "<length>2</length><width>1</width><orientation>0</orientation><center><x>10</x><y>1</y></center>"
    area = f"<position><rectangle>{box}</rectangle></position>"
    interval = "<orientation><intervalStart>0.1</intervalStart><intervalEnd>0.3</intervalEnd></orientation>"
    first = f"<initialState>{area}{interval}{exact('time', 0)}{exact('velocity', 5)}</initialState>"
    path = f"<trajectory>{state(11, 1, 1)}</trajectory>"
    obstacle = f'<obstacle id="3"><role>dynamic</role><type>car</type>{BOX}{first}{path}</obstacle>'
    scenario = read_commonroad(
        write(tmp_path / "b.xml", lanelet(1, 0.0, "<speedLimit>23</speedLimit>"), obstacle, version="2018b")
    )
    assert scenario.road.lanes[0].limit == 23.0
    path = scenario.actors[0].trajectory
    assert path.position[0].tolist() == [10.0, 1.0]
    assert path.heading[0] == pytest.approx(0.2)
    assert path.spread.tolist() == pytest.approx([math.hypot(1.0, 0.5), 0.0])


def test_what_is_not_read_is_told_with_its_lines(tmp_path: Path) -> None:
    stop = lanelet(1, 0.0, "<stopLine/><trafficLightRef ref='4'/>")
    slips = PROBLEM.replace("</initialState>", exact("slipAngle", 0.1) + "</initialState>").replace(
        'ref="2"', 'ref="1"'
    )
    parts = (stop, SIGN, "<trafficLight id='4'/>", "<environmentObstacle/>", slips)
    road = read_commonroad(write(tmp_path / "l.xml", *parts)).road
    assert road.ignored == (
        "stopLine of lanelet, line 3",
        "traffic sign 206, line 4",
        "trafficLight of commonRoad, line 5",
        "environmentObstacle of commonRoad, line 6",
        "slipAngle of initialState, line 7",
    )


def test_a_speed_sign_without_a_value_is_told(tmp_path: Path) -> None:
    sign = SIGN.replace("206", "274")
    road = read_commonroad(write(tmp_path / "s.xml", lanelet(1, 0.0, '<trafficSignRef ref="20"/>'), sign)).road
    assert road.lanes[0].limit == math.inf
    assert road.ignored == ("traffic sign 274, line 4",)


def test_directions_of_many_turns_are_those_of_one(tmp_path: Path) -> None:
    """Of 100 million turns float32, in which actors are driven, would keep none."""
    turned = MOVING.replace("<exact>0.0<", f"<exact>{math.tau * 1e8 + 0.3}<")
    (actor,) = read_commonroad(write(tmp_path / "t.xml", ROADS, turned)).actors
    assert np.float32(actor.trajectory.heading) == pytest.approx([0.3, 0.3], abs=1e-6)


def test_neighbours_of_a_long_lanelet_are_read_in_the_time_of_their_size(tmp_path: Path) -> None:
    """300 lanelets of 1 m beside one of 20 km; what looks at all of it for each takes 10 s."""
    many = 300
    short = "".join(
        lanelet(k + 2, 3.5, '<adjacentRight ref="1" drivingDir="same"/>', begin=60.0 * k, end=60.0 * k + 1.0)
        for k in range(many)
    )
    begin = time.process_time()
    road = read_commonroad(write(tmp_path / "l.xml", lanelet(1, 0.0, end=2e4), short)).road
    assert time.process_time() - begin < 4.0
    assert {lane.right_neighbour for lane in road.lanes[1:]} == {0}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((ROADS, obstacle("car")), "expected a <trajectory> of obstacle 3"),
        ((ROADS.replace('ref="2"', 'ref="7"'),), "expected the id of a lanelet, got 7"),
        ((ROADS.replace("50.0", "55.0", 2),), "got a gap of"),
        ((lanelet(1, 0.0, end=1e9),), "expected lanelet 1 to be at most 100000 m long"),
        ((lanelet(1, 0.0) + lanelet(1, 3.5),), "lanelet 1 stands twice"),
        ((lanelet(1, 0.0, "<adjacentLeft ref='1' drivingDir='up'/>"),), 'expected drivingDir "same" or "opposite"'),
        ((lanelet(1, 0.0).replace("<x>50.0</x>", "<x>inf</x>", 1),), "expected a finite number as <x>"),
        ((ROADS, obstacle("dragon")), 'expected a type of obstacle, got "dragon"'),
        ((ROADS, PROBLEM.replace("<intervalEnd>40", "<intervalEnd>10")), "expected an interval, got 20 to 10"),
        ((ROADS, PROBLEM.replace("<exact>10.0", "<exact>-1.0")), "to begin at 0 m/s or more, got -1"),
        ((), "at least one driving lane"),
        ((ROADS, MOVING, MOVING), "obstacle 3 stands twice"),
        ((ROADS, MOVING, STANDING), "obstacle 3 stands twice"),
        ((ROADS, PROBLEM, PROBLEM), "planningProblem 9 stands twice"),
        ((ROADS, SIGN, SIGN), "trafficSign 20 stands twice"),
        ((ROADS, MOVING.replace("<exact>1</exact></time>", "<exact>9e8</exact></time>")), "a time from 0 to 86400 s"),
        ((ROADS, PROBLEM.replace("<intervalEnd>40", "<intervalEnd>9e8")), "a time from 0 to 86400 s, got 9e\\+07"),
        ((ROADS, MOVING.replace("<width>2<", "<width>2e3<")), "0.001 m to 1000 m long and wide, got 4.5 by 2000"),
        ((ROADS, MOVING.replace("<exact>0.0<", "<exact>1e308<")), "from -1e\\+09 to 1e\\+09 as <exact>"),
        ((SWAPPED,), "left bound of lanelet 1 to the left of its right one, got -3.50 m"),
        ((lanelet(1, 0.0).replace("-1.75", "1.75"),), "to the left of its right one, got 0.00 m"),
        ((ROADS.replace('"1"', '"1&#10;2"'),), 'printable characters as "id" of <lanelet>, got "1'),
        ((ROADS, MOVING.replace("<width>2<", "<width>\u0662<")), "a finite number from 0.001 to 1e\\+09 as <width>"),
        ((ROADS, MOVING.replace(BOX, "<shape><circle><radius>0</radius></circle></shape>")), "0.001 m to 1000 m long"),
        ((ROADS, MOVING.replace(BOX, LINE)), "obstacle 3 to be 0.001 m to 1000 m long and wide, got 4 by 0"),
        ((ROADS, MOVING.replace("<x>2<", "<x>1e6<")), "obstacle 3 to move by at most 150 m/s .*, got 1e\\+07"),
        ((ROADS, MOVING.replace("<exact>10.0<", "<exact>-1e8<")), "obstacle 3 to move by at most 150 m/s"),
        ((ROADS, PROBLEM.replace("<time><exact>0<", "<time><exact>60<")), "that ends after its beginning at 6 s"),
        ((beside(1, "same", 0.0),), "expected another lane beside it, got itself"),
        ((beside(2, "same", 10.0),), "expected lanelet 2 beside the left border of lanelet 1, same in direction"),
        ((beside(2, "opposite", 3.5),), "2 beside the left border of lanelet 1, opposite in direction"),
        ((beside(2, "same", -3.5),), "expected lanelet 2 beside the left border"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(tmp_path: Path, parts: tuple[str, ...], message: str) -> None:
    with pytest.raises(RoadError, match=message) as caught:
        read_commonroad(write(tmp_path / "bad.xml", *parts))
    assert "\n" not in str(caught.value)


def test_a_file_of_more_elements_than_memory_has_room_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.xmltree.COUNT_MAX", 8)
    with pytest.raises(RoadError, match="line 10: expected at most 8 elements, got more"):
        read_commonroad(write(tmp_path / "bomb.xml", "<a/>\n" * 9))


def test_other_versions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RoadError, match="expected CommonRoad 2018b or 2020a, got 2017a"):
        read_commonroad(write(tmp_path / "v.xml", ROADS, version="2017a"))


@needs_files
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.xml")) if SHARED.exists() else [], ids=lambda path: path.stem)
def test_every_shared_scenario_is_read(path: Path) -> None:
    scenario = read_commonroad(path)
    for problem in scenario.problems:
        assert scenario.road.nearest(*problem.position), "the ego begins on a lane"
    for actor in scenario.actors:
        assert 0.3 <= actor.width <= 4.0
        speed = np.hypot(*np.diff(actor.trajectory.position, axis=0).T) / np.maximum(
            np.diff(actor.trajectory.time), 1e-9
        )
        assert (speed < 70.0).all()
