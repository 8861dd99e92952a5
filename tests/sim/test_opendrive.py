"""OpenDRIVE files as they should be read, and as they should be refused."""

from __future__ import annotations

import math
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sim.files import FileError
from sim.opendrive import read_opendrive
from sim.road import LaneKind, Road, RoadError, project
from sim.roadconflicts import find_conflicts
from sim.roadgraph import route
from tests.sim.roadfiles import geometry, lane, road, section, write

STRAIGHT = geometry(0, 0, 0, 0.0, 100)


def named(network: Road) -> dict[str, int]:
    return {lane.name: index for index, lane in enumerate(network.lanes)}


def test_lanes_run_with_the_rule_of_traffic(tmp_path: Path) -> None:
    sections = section(0, left=lane(1, "3.0"), right=lane(-1) + lane(-2, "2.0", kind="shoulder"))
    right = read_opendrive(write(tmp_path / "r.xodr", road("a", 100, STRAIGHT, sections)))
    lanes = {one.name: one for one in right.lanes}
    assert right.right_hand
    there, back, stop = lanes["a.0.-1"], lanes["a.0.1"], lanes["a.0.-2"]
    assert there.centre[[0, -1]].tolist() == [[0.0, -1.75], [100.0, -1.75]]
    assert back.centre[[0, -1]].tolist() == [[100.0, 1.5], [0.0, 1.5]]
    assert there.left[0].tolist() == [0.0, 0.0]
    assert stop.kind == LaneKind.SHOULDER
    at = named(right)
    assert (there.oncoming, there.right_neighbour) == (at["a.0.1"], at["a.0.-2"])
    assert (back.oncoming, back.left_neighbour) == (at["a.0.-1"], -1)
    left = read_opendrive(write(tmp_path / "l.xodr", road("a", 100, STRAIGHT, sections, rule="LHT")))
    lanes = {one.name: one for one in left.lanes}
    assert not left.right_hand
    assert lanes["a.0.1"].centre[0].tolist() == [0.0, 1.5]
    assert lanes["a.0.1"].right[0].tolist() == [0.0, 0.0]
    assert lanes["a.0.-1"].left_neighbour == named(left)["a.0.-2"]


def test_borders_lie_on_the_closed_forms(tmp_path: Path) -> None:
    """An arc with a lane whose width grows with the cube of s, the road's middle moved by a laneOffset."""
    radius, length = 40.0, 50.0
    widths = '<width sOffset="0" a="3" b="0" c="0" d="0"/><width sOffset="20" a="3" b="0.01" c="0.002" d="-0.00003"/>'
    sections = section(0, right=lane(-1, "", more=widths))
    plan = geometry(0, 5.0, -3.0, 0.3, length, f'<arc curvature="{1 / radius}"/>')
    offset = '<laneOffset s="10" a="0" b="0.02" c="0" d="0"/>'
    (one,) = read_opendrive(write(tmp_path / "a.xodr", road("a", length, plan, sections, offset=offset))).lanes
    x, y = 5.0 - radius * math.sin(0.3), -3.0 + radius * math.cos(0.3)
    angle = np.arctan2(one.left[:, 1] - y, one.left[:, 0] - x)
    s = ((angle - (0.3 - math.pi / 2) + math.pi) % math.tau - math.pi) * radius
    moved = np.where(s >= 10, 0.02 * (s - 10), 0.0)
    ds = s - 20
    width = np.where(ds > 0, 3 + 0.01 * ds + 0.002 * ds**2 - 0.00003 * ds**3, 3.0)
    assert np.hypot(*(one.left - (x, y)).T) == pytest.approx(radius - moved, abs=1e-9)
    assert np.hypot(*(one.right - (x, y)).T) == pytest.approx(radius - moved + width, abs=1e-6)
    assert s[-1] == pytest.approx(length, abs=1e-9)
    assert {0.0, 10.0, 20.0} <= {round(float(each), 6) for each in s}


def test_a_border_counts_from_the_middle_of_the_road(tmp_path: Path) -> None:
    borders = '<border sOffset="0" a="-4" b="0" c="0" d="0"/>'
    sections = section(0, right=lane(-1) + lane(-2, "", more=borders.replace("-4", "-6")))
    lanes = read_opendrive(write(tmp_path / "b.xodr", road("a", 100, STRAIGHT, sections))).lanes
    assert lanes[1].right[0].tolist() == [0.0, -6.0]
    assert lanes[1].width == pytest.approx(2.5)


def test_speeds_have_units_and_lanes_overrule_roads(tmp_path: Path) -> None:
    speed = '<type s="0" type="town"><speed max="30" unit="mph"/></type>'
    speed += '<type s="50" type="rural"><speed max="no limit"/></type>'
    own = '<speed sOffset="0" max="36" unit="km/h"/>'
    sections = section(0, right=lane(-1) + lane(-2, more=own)) + section(50, right=lane(-1))
    lanes = read_opendrive(write(tmp_path / "s.xodr", road("a", 100, STRAIGHT, sections, more=speed))).lanes
    assert [one.limit for one in lanes] == [pytest.approx(13.4112), pytest.approx(10.0), math.inf]


def test_lanes_follow_through_sections_roads_and_junctions(tmp_path: Path) -> None:
    """a (two sections) -> junction with a straight on and a way round -> b, which runs the other way."""

    def ends(before: int | None, after: int | None) -> str:
        part = f'<predecessor id="{before}"/>' if before is not None else ""
        return f"<link>{part}" + (f'<successor id="{after}"/>' if after is not None else "") + "</link>"

    into = '<successor elementType="junction" elementId="j"/>'
    a = road(
        "a", 100, STRAIGHT, section(0, right=lane(-1, more=ends(None, -1))) + section(40, right=lane(-1)), link=into
    )
    link = '<predecessor elementType="road" elementId="a" contactPoint="end"/>'
    link += '<successor elementType="road" elementId="b" contactPoint="end"/>'
    inner = road(
        "c", 20, geometry(0, 100, 0, 0.0, 20), section(0, right=lane(-1, more=ends(-1, 1))), link=link, junction="j"
    )
    b = road("b", 50, geometry(0, 170, 0, math.pi, 50), section(0, left=lane(1)), link=into)
    junction = (
        '<junction id="j"><connection id="0" incomingRoad="a" connectingRoad="c" contactPoint="start">'
        '<laneLink from="-1" to="-1"/></connection></junction>'
    )
    network = read_opendrive(write(tmp_path / "j.xodr", a, inner, b, junction))
    at = named(network)
    assert network.lanes[at["a.0.-1"]].successors == (at["a.1.-1"],)
    assert network.lanes[at["a.1.-1"]].successors == (at["c.0.-1"],)
    assert network.lanes[at["c.0.-1"]].successors == (at["b.0.1"],)
    assert network.lanes[at["b.0.1"]].predecessors == (at["c.0.-1"],)
    assert network.lanes[at["c.0.-1"]].junction == 0
    same = write(tmp_path / "k.xodr", a, inner, b, junction.replace('<laneLink from="-1" to="-1"/>', ""))
    assert read_opendrive(same).lanes[at["a.1.-1"]].successors == (at["c.0.-1"],), "equal ids need no laneLink"


def test_road_marks_say_where_a_lane_may_be_left(tmp_path: Path) -> None:
    def mark(kind: str) -> str:
        return f'<roadMark sOffset="0" type="{kind}"/>'

    right = lane(-1, more=mark("broken")) + lane(-2, more=mark("solid broken")) + lane(-3, more=mark("solid"))
    lanes = read_opendrive(
        write(tmp_path / "m.xodr", road("a", 100, STRAIGHT, section(0, right=right, centre=mark("solid"))))
    ).lanes
    assert [(one.may_change_left, one.may_change_right) for one in lanes] == [
        (False, True),
        (True, False),
        (True, False),
    ]


def test_a_limit_that_changes_on_the_way_cuts_the_lanes(tmp_path: Path) -> None:
    """A type at 60 m in a section that begins at 20 m; the left lane has a sign of its own 50 m into it."""
    types = '<type s="60" type="town"><speed max="50" unit="km/h"/></type><type s="0" type="rural"/>'
    own = '<speed sOffset="50" max="30" unit="km/h"/>'
    link = '<link><predecessor id="-1"/></link>'
    sections = section(0, right=lane(-1)) + section(20, left=lane(1, more=own), right=lane(-1, more=link))
    network = read_opendrive(write(tmp_path / "t.xodr", road("a", 100, STRAIGHT, sections, more=types)))
    limits = {one.name: round(one.limit * 3.6, 6) for one in network.lanes}
    assert limits == {
        "a.0.-1": math.inf, "a.1.-1": math.inf, "a.1@60.-1": 50, "a.1@70.-1": 50,
        "a.1.1": math.inf, "a.1@60.1": 50, "a.1@70.1": 30,
    }  # fmt: skip
    at = named(network)
    assert route(network, at["a.0.-1"], at["a.1@70.-1"]) == tuple(
        at[name] for name in ("a.0.-1", "a.1.-1", "a.1@60.-1", "a.1@70.-1")
    )
    back = [network.lanes[at[name]] for name in ("a.1@70.1", "a.1@60.1", "a.1.1")]
    assert [one.centre[:, 0][[0, -1]].tolist() for one in back] == [[100, 70], [70, 60], [60, 20]], "against s"
    assert [one.successors for one in back] == [(at["a.1@60.1"],), (at["a.1.1"],), ()]
    assert [one.oncoming for one in back] == [at["a.1@70.-1"], at["a.1@60.-1"], at["a.1.-1"]]
    assert not find_conflicts(network)


def test_a_mark_that_changes_on_the_way_cuts_the_lanes(tmp_path: Path) -> None:
    """Solid from 30 m to 50 m, to be crossed inwards alone until 80 m; marks that allow the same cut nothing."""
    kinds = {0: "broken", 30: "solid", 40: "solid solid", 50: "solid broken", 80: "broken", 90: "none"}
    marks = "".join(f'<roadMark sOffset="{s}" type="{kind}"/>' for s, kind in kinds.items())
    right = lane(-1, more=marks) + lane(-2, more='<roadMark sOffset="0" type="solid"/>')
    network = read_opendrive(write(tmp_path / "m.xodr", road("a", 100, STRAIGHT, section(0, right=right))))
    assert [(one.name, one.may_change_right) for one in network.lanes if one.name.endswith("-1")] == [
        ("a.0.-1", True), ("a.0@30.-1", False), ("a.0@50.-1", False), ("a.0@80.-1", True),
    ]  # fmt: skip
    assert [one.may_change_left for one in network.lanes if one.name.endswith("-2")] == [True, False, True, True]
    at = named(network)
    for one in network.lanes:
        beside = one.right_neighbour if one.name.endswith("-1") else one.left_neighbour
        assert network.lanes[beside].name[:-1] == one.name[:-1]
    assert route(network, at["a.0@30.-1"], at["a.0@80.-2"]) == (
        at["a.0@30.-1"], at["a.0@50.-1"], at["a.0@80.-1"], at["a.0@80.-2"],
    )  # fmt: skip


def test_a_cut_section_keeps_its_borders_and_its_links(tmp_path: Path) -> None:
    """Over a bend with a width that grows; the second lane has room in the last part alone."""
    slow = '<speed sOffset="0" max="20"/><speed sOffset="13.37" max="10"/><speed sOffset="31" max="20"/>'
    width = '<width sOffset="0" a="3" b="0.01" c="0" d="0"/>'
    late = '<width sOffset="0" a="0" b="0" c="0" d="0"/><width sOffset="35" a="0" b="0.2" c="0" d="0"/>'
    plan = geometry(0, 0, 0, 0.0, 50, '<arc curvature="0.02"/>')
    follow = '<successor elementType="road" elementId="b" contactPoint="start"/>'
    link = '<link><successor id="-1"/></link>'
    x, y = 50 * math.sin(1.0), 50 - 50 * math.cos(1.0)

    def network(signs: str) -> Road:
        right = lane(-1, "", more=width + link + signs) + lane(-2, "", more=late)
        a = road("a", 50, plan, section(0, right=right), link=follow)
        b = road("b", 20, geometry(0, x, y, 1.0, 20), section(0, right=lane(-1)))
        return read_opendrive(write(tmp_path / "a.xodr", a, b))

    cut, whole = network(slow), network("")
    at = named(cut)
    assert list(at) == ["a.0.-1", "a.0@13.37.-1", "a.0@31.-1", "a.0@31.-2", "b.0.-1"]
    parts = [cut.lanes[at[name]] for name in ("a.0.-1", "a.0@13.37.-1", "a.0@31.-1")]
    assert [one.limit for one in parts] == [20, 10, 20]
    for one, following in pairwise([*parts, cut.lanes[at["b.0.-1"]]]):
        assert [cut.lanes[each] for each in one.successors] == [following]
        assert one.centre[-1] == pytest.approx(following.centre[0], abs=1e-6)
    one = whole.lanes[named(whole)["a.0.-1"]]
    for part in parts:
        assert np.abs(project(one.right, np.arange(len(one.right)) * 1.0, part.right)[1]).max() < 0.002


def test_crosswalks_become_crossings(tmp_path: Path) -> None:
    walk = '<object type="crosswalk" s="30" t="0" hdg="0" length="3" width="9"/>'
    objects = f'<objects>{walk}<object type="pole" s="1" t="5"/></objects>'
    network = read_opendrive(
        write(tmp_path / "c.xodr", road("a", 100, STRAIGHT, section(0, right=lane(-1)), more=objects))
    )
    (crossing,) = network.crossings
    assert (crossing.start, crossing.end) == (pytest.approx((30.0, -4.5)), pytest.approx((30.0, 4.5)))
    assert crossing.width == 3.0
    assert network.ignored == ("object pole, line 9",)


def test_whatever_is_not_read_is_told_with_its_lines(tmp_path: Path) -> None:
    tree = '<object type="tree" s="1" t="5"/>\n'
    objects = f"<objects>{tree * 4}<bridge/></objects><signals>\n<signal type='274'/></signals><surface/>"
    slope = '<elevationProfile>\n<elevation s="0" a="9" b="0" c="0" d="0"/></elevationProfile>'
    kerb = "<height/>\n<userData/>"
    parts = road("a", 100, STRAIGHT, section(0, right=lane(-1, more=kerb)), more=objects + slope)
    network = read_opendrive(write(tmp_path / "r.xodr", parts, "<controller/><controller/>"))
    assert network.ignored == (
        "height of lane, line 9",
        "4 x object tree, lines 10, 11, 12 and on",
        "bridge, line 14",
        "signal 274, line 15",
        "surface of road, line 15",
        "elevation, line 16",
        "2 x controller of OpenDRIVE, line 18",
    )


def test_files_of_endless_names_are_told_in_a_few_phrases(tmp_path: Path) -> None:
    poles = "".join(f'<object type="{"x" * 90}{k}\x7f"/>' for k in range(9)) + "<a/>" * 3
    objects = "<objects>" + "".join(f'<object type="{k}"/>\n' for k in range(1000)) + poles + "</objects>"
    parts = road("a", 100, STRAIGHT, section(0, right=lane(-1)), more=objects)
    told = read_opendrive(write(tmp_path / "r.xodr", parts)).ignored
    assert len(told) == 25
    assert told[-1] == "988 x others, lines 33, 34, 35 and on"


ONE = section(0, right=lane(-1))
CUBIC = '<paramPoly3 aU="0" bU="500" cU="0" dU="0" aV="0" bV="0" cV="0" dV="0" pRange="normalized"/>'
JUNCTION = '<junction id="j"/>'
WALK = '<objects><object type="crosswalk" s="{}" t="0" length="3" width="{}"/></objects>'
LONG, MANY = geometry(0, 0, 0, 0.0, 1e5), section(0, right="".join(lane(-k) for k in range(1, 21)))
TILT = '<lateralProfile><superelevation s="0" a="0.02" b="0" c="0" d="0"/></lateralProfile>'
LINKED = section(0, right=lane(-1, more='<link><successor id="-1"/></link>'))
BORDER = '<lane id="-2" type="driving"><border sOffset="{}" a="{}" b="0" c="0" d="0"/></lane>'
MARK = '<roadMark sOffset="{}" type="solid"/>'
FAST = '<type s="20" type="town"><speed max="9" unit="{}"/></type>'
SPEEDS = "".join(f'<speed sOffset="{k / 45}" max="{9 + k % 2}"/>' for k in range(4500))
SIGNS = section(0, right="".join(lane(-k, more=SPEEDS if k == 1 else "") for k in range(1, 51)))
OFFSET = '<laneOffset s="{}" a="{}" b="0" c="0" d="0"/>'
WIDTH = '<width sOffset="40" a="6" b="0" c="0" d="0"/>'
NOWHERE = '<successor elementType="road" elementId="z" contactPoint="start"/>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (road("a", 100, STRAIGHT + geometry(100, 103, 0, 0.0, 20), ONE), "got a gap of 3.00 m"),
        (road("a", 130, STRAIGHT, ONE), "expected a length of 100.000 m"),
        (road("a", 1e9, geometry(0, 0, 0, 0.0, 1e9), ONE), 'from 1e-06 to 100000 as "length", got "1000000000.0"'),
        (road("a", 100, geometry(0, 0, 0, 0.0, 100, "<bezier/>"), ONE), "<bezier> is no shape"),
        (road("a", 100, STRAIGHT, ONE, more=TILT), "<superelevation> is not read"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1) + lane(-3))), "lane ids without holes"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, "nan"))), 'expected a finite number as "a"'),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, "-3"))), "width that leaves 0 m of room and more, got -3"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1) + BORDER.format(0, -2))), "a lane border .* got -1.500"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1) + BORDER.format(5, -6))), "0 on, got the first at 5"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1).replace('sOffset="0"', 'sOffset="9"'))), "the first at 9"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, more=MARK.format(-1)))), 'from 0 to .* as "sOffset"'),
        (road("a", 100, STRAIGHT, ONE, more='<type s="-5" type="town"/>'), 'from 0 to 1e\\+09 as "s", got "-5"'),
        (road("a", 100, STRAIGHT, ONE, more=FAST.format("warp")), 'a unit of m/s, km/h, mph, got "warp"'),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1), centre='</lane><lane id="0">')), "one <lane> in <center>"),
        (road("a", 100, STRAIGHT, ONE, offset=OFFSET.format(0, 0) + OFFSET.format(50, 9)), "9.00 m at s = 50"),
        (road("a", 100, STRAIGHT, ONE, offset=OFFSET.format(20, 1)), "a step of 1.00 m at s = 20"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, more=WIDTH))), "each <width> .* of 2.50 m at s = 40"),
        (road("a", 100, STRAIGHT, LINKED, link=NOWHERE.replace('"road"', '"Road"')), 'or "junction", got "Road"'),
        (road("a", 100, STRAIGHT, LINKED, link='<successor elementId="a"/>'), '"elementType" of <successor>, it is'),
        (road("a", 100, STRAIGHT, ONE.replace('type="driving"', "")), 'the attribute "type" of <lane>'),
        (road("a&#10;b", 100, STRAIGHT, ONE), 'printable characters as "id" of <road>, got "a\\\\nb"'),
        (road("a" * 101, 100, STRAIGHT, ONE), "at most 100 printable characters"),
        (road("a", 100, STRAIGHT, ONE) + '<junction id="&#x202E;j"/>', 'printable characters as "id" of <junction>'),
        (road("a", 100, STRAIGHT, ONE, more=FAST.format("x&#10;y")), 'got "x\\\\ny"; repair it'),
        (road("a", 100, STRAIGHT, ONE, more=FAST.format("x" * 10**6)), "x\\.\\.\\.$"),
        (road("a", 100, STRAIGHT, ONE, rule="&#x202E;"), 'got "\\\\u202e"; repair it'),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, "\u0663"))), 'a finite number as "a"'),
        (road("a", 100, STRAIGHT, SIGNS), "expected 200000 lanes in a file at most, cut where limits and marks"),
        (road("a", 100, STRAIGHT, LINKED, link=NOWHERE), 'expected the id of a road, got "z"'),
        (road("a", 100, STRAIGHT, LINKED + section(50, left=lane(1))), "expected a lane of road a, section 1, got -1"),
        (road("a", 100, STRAIGHT, ONE) + road("a", 100, STRAIGHT, ONE), 'road "a" stands twice'),
        (road("a", 100, STRAIGHT, ONE, junction="7"), 'expected the id of a junction, got "7"'),
        (road("a", 100, STRAIGHT, ""), "at least one <laneSection>"),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, "1e10"))), 'from -1e\\+09 to 1e\\+09 as "a", got "1e10"'),
        (road("a", 100, STRAIGHT, section(0, right=lane(-1, "1_0"))), 'a finite number as "a", got "1_0"'),
        (road("a", 100, STRAIGHT, ONE.replace('id="-1"', f'id="-{"9" * 400}"')), "a whole number as"),
        (road("a", 50, geometry(0, 0, 0, 0.0, 50, '<spiral curvStart="1e5" curvEnd="0"/>'), ONE), "by at most 200 rad"),
        (road("a", 50, geometry(0, 0, 0, 0.0, 50, '<arc curvature="-9"/>'), ONE), "at most 200 rad, got 450"),
        (road("a", 50, geometry(0, 0, 0, 0.0, 50, CUBIC), ONE), "a curve of the stated 50 m, got one of 500 m"),
        (road("a", 100, STRAIGHT, ONE) + JUNCTION + JUNCTION, 'junction "j" stands twice'),
        (road("a", 100, STRAIGHT, ONE, more=WALK.format("3", "1e4")), 'from 0.001 to 200 as "width"'),
        (road("a", 100, STRAIGHT, ONE, more=WALK.format("300", "4")), 'from 0 to 100.1 as "s", got "300"'),
        ("".join(road(f"{k}", 1e5, LONG, MANY) for k in range(3)), "5e\\+06 m of lanes in a file at most, got more"),
        ("", "at least one road"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "bad.xodr", text)
    with pytest.raises(RoadError, match=message) as caught:
        read_opendrive(path)
    assert str(caught.value).startswith(f"{path}, line ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb">]><OpenDRIVE>&b;</OpenDRIVE>', "no document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><OpenDRIVE/>', "no document type"),
        ("<OpenDRIVE><header></OpenDRIVE>", "line 1: expected well-formed XML, got mismatched tag"),
        ("", "expected well-formed XML, got no element found"),
        ("<a>" * 70 + "</a>" * 70, "at most 64 elements inside each other"),
        ("<openDrive/>", "expected <OpenDRIVE>, got <openDrive>"),
        ('<OpenDRIVE><header revMajor="2"/></OpenDRIVE>', "expected OpenDRIVE 1.x, got 2"),
        ("<OpenDRIVE>&#x1;</OpenDRIVE>", "well-formed XML"),
        ("\x00\xff\xfe", "well-formed XML"),
        ('<?xml version="1.0" encoding="morse"?><OpenDRIVE/>', "line 1: expected text in UTF-8, got unknown encoding"),
        ('<?xml version="1.0" encoding="big5"?><OpenDRIVE/>', "line 1: expected text in UTF-8, got multi-byte"),
    ],
)
def test_hostile_files_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.xodr"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(RoadError, match=message):
        read_opendrive(path)


@pytest.mark.parametrize(("width", "message"), [("1e5", "a width of at most 100 m"), ("1e9", "coordinates of at most")])
def test_lanes_beyond_all_measure_are_one_line(tmp_path: Path, width: str, message: str) -> None:
    with pytest.raises(RoadError, match=rf"w, lane a\.0\.-1: expected {message}") as caught:
        read_opendrive(write(tmp_path / "w.xodr", road("a", 100, STRAIGHT, section(0, right=lane(-1, width)))))
    assert "\n" not in str(caught.value)


def test_ways_that_turn_back_are_refused(tmp_path: Path) -> None:
    """Both roads end where they meet, but the link says that the one goes on at the end of the other."""
    link = '<successor elementType="road" elementId="b" contactPoint="start"/>'
    a = road("a", 100, STRAIGHT, LINKED, link=link)
    b = road("b", 50, geometry(0, 100, -3.5, math.pi, 50), section(0, right=lane(-1)))
    with pytest.raises(RoadError, match=r"lane b\.0\.-1 to go on as lane a\.0\.-1 ends, it turns back"):
        read_opendrive(write(tmp_path / "t.xodr", a, b))


def test_crossings_beyond_all_measure_are_refused(tmp_path: Path) -> None:
    walk = WALK.format("3", "4").replace('t="0"', 't="2e8"')
    with pytest.raises(RoadError, match="c: expected crossings at coordinates of at most 1e\\+08 m"):
        read_opendrive(write(tmp_path / "c.xodr", road("a", 100, STRAIGHT, ONE, more=walk)))


def test_lanes_of_types_that_there_are_not_are_told(tmp_path: Path) -> None:
    right = lane(-1) + lane(-2, kind="parking") + lane(-3, kind="hovering")
    network = read_opendrive(write(tmp_path / "k.xodr", road("a", 100, STRAIGHT, section(0, right=right))))
    assert network.ignored == ("lane of type hovering, line 9",)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe, folder, endless = tmp_path / "pipe.xodr", tmp_path / "folder.xodr", tmp_path / "zero.xodr"
    os.mkfifo(pipe)
    folder.mkdir()
    endless.symlink_to("/dev/zero")
    for path in (pipe, folder, endless):
        with pytest.raises(FileError, match=f"cannot read {path}: it is no file; name one"):
            read_opendrive(path)


def test_files_of_many_small_pieces_are_read_in_the_time_of_their_size(tmp_path: Path) -> None:
    """2,000 geometries, widths and endless blanks; what looks at every pair of them takes minutes."""
    many = 2000
    plan = "\n".join(geometry(k, k, 0, 0.0, 1) for k in range(many))
    widths = "".join(f'<width sOffset="{k}" a="{3 + k % 2 / 10}" b="0" c="0" d="0"/>' for k in range(many))
    parts = road("a", many, plan, section(0, right=lane(-1, "", more=widths + " \n" * 300_000)))
    offsets = "".join(f'<laneOffset s="{k}" a="0.1" b="0" c="0" d="0"/>' for k in range(many))
    types = "".join(f'<type s="{k + 0.5}" type="town"><speed max="{9 + k % 2}"/></type>' for k in range(many))
    sections = "".join(section(k, right=lane(-1)) for k in range(many))
    other = road("b", many, plan, sections, offset=offsets, more=types)
    begin = time.process_time()
    one, *others = read_opendrive(write(tmp_path / "m.xodr", parts, other)).lanes
    assert len(others) == 2 * many
    assert time.process_time() - begin < 5.0
    assert one.length == pytest.approx(many, rel=0.01)
    assert one.width[one.s.searchsorted(1000.0)] == pytest.approx(3.0, abs=0.11)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.xodr"
    with path.open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    with pytest.raises(RoadError, match="expected at most 268435456 bytes, got 314572800"):
        read_opendrive(path)
