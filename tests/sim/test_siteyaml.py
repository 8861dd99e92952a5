from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import siteyaml
from sim.errors import MusterError
from sim.files import FileError
from sim.fixtures import DIRECTIONS, Door, DoorState, Ramp, SpeedZone, pack_fixtures, unpack_fixtures
from sim.floor import graph_to_site, site_to_graph
from sim.lifting import why_not
from sim.readers import check_site, load_site
from sim.robot import RobotSpec
from sim.site import SiteError
from sim.siteyaml import read_site_yaml

LAUNCH = Path(__file__).parents[2] / "launch"

FLOOR = """\
muster: 1
name: hall
cell: 1.0
size: {cells: [8, 6]}
walls: [{cells: [0, 0, 8, 1]}, {cells: [0, 0, 1, 6]}]
racks:
  - {cells: [2, 2, 2, 1]}
  - {metres: [5.0, 1.0, 1.5, 0.5]}
stations: {both: [[1, 1]], pick: [[6, 1]], drop: [{metres: [1.5, 0.5]}]}
chargers: [[7, 5]]
person_free: [{cells: [2, 3, 2, 2]}]
one_way: [{cells: [2, 1, 2, 1], towards: east}]
speed_zones: [{cells: [4, 1, 2, 2], limit: 0.5}, {cells: [5, 1, 1, 1], limit: 0.3}]
doors: [{name: gate, cells: [4, 5, 1, 1], opening: 2.5}, {name: side, cells: [3, 3, 1, 1], state: shut}]
pods: {size: [0.8, 0.9, 1.8], at: [[2, 4]]}
ramps: [{cells: [6, 3, 1, 1], rise: 0.1, up: east}, {cells: [7, 3, 1, 1], rise: 0.1}]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "hall.yaml"
        path.write_text(text)
        return path

    return write


def test_a_floor_is_read_as_written(write: Callable[[str], Path]) -> None:
    site = load_site(write(FLOOR))
    assert (site.name, site.width, site.height, site.cell) == ("hall", 8, 6, 1.0)
    assert ["".join(".#"[cell] for cell in row) for row in site.blocked.astype(int)] == [
        "########",
        "#.......",
        "#.##....",
        "#.......",
        "#....##.",  # in metres: x 5 to 6.5, y 1 to 1.5, which touches two cells of the second row from below
        "#.......",
    ]
    assert site.stations.tolist() == [9, 14, 41]
    assert (site.fixtures.picks, site.fixtures.drops) == ((14,), (41,))
    assert site.chargers.tolist() == [47]
    assert site.fixtures.doors == (
        Door("side", (27,), 4.0, DoorState.SHUT),
        Door("gate", (44,), 2.5, DoorState.AUTOMATIC),
    )
    assert site.fixtures.pods == (34,)
    assert site.fixtures.pod_size == (0.8, 0.9, 1.8)
    # where zones overlap the lower limit holds
    assert site.fixtures.zones == (SpeedZone((13,), 0.3), SpeedZone((12, 20, 21), 0.5))
    assert site.speed_limit[1, 3:7].tolist() == [np.inf, 0.5, np.float32(0.3), np.inf]
    assert site.fixtures.ramps == (Ramp((6, 3, 1, 1), 0.1, 0), Ramp((7, 3, 1, 1), 0.1))
    check_site(site, 4)


def test_moves_obey_aisles_doors_pods_and_ledges(write: Callable[[str], Path]) -> None:
    exits = load_site(write(FLOOR)).exits
    east, north, west, south = range(4)
    assert exits[1, 1:4, east].all()  # into, along and out of the one-way aisle
    assert not exits[1, 2:5, west].any()  # and not back: out of its end, along it, or in at its end
    assert not exits[3, 3].any()  # a shut door
    assert not exits[3, 2, east]
    assert not exits[3, 4, west]
    assert exits[5, 3, east]  # an automatic door is driven through
    assert exits[5, 4, east]
    assert not exits[4, 2].any()  # a pod
    assert not exits[3, 2, south]
    assert exits[3, 5, east]  # up the ramp, onto the platform, and down again
    assert exits[3, 6, east]
    assert exits[3, 7, west]
    assert not exits[3, 6, [north, south]].any()  # not over its sides
    assert not exits[3, 7, [north, south]].any()


def test_what_stands_and_what_is_filled_at_the_start(write: Callable[[str], Path]) -> None:
    site = load_site(write(FLOOR))
    assert np.flatnonzero(site.standing & ~site.blocked).tolist() == [27, 34]
    assert np.flatnonzero(site.filled & ~site.blocked).tolist() == [27, 34, 44]
    assert site.person_free.reshape(-1)[34]  # nobody walks under a pod


def test_the_height_of_a_ramp_rises_along_it(write: Callable[[str], Path]) -> None:
    site = load_site(write(FLOOR))
    assert site.corner_height[3, 6].tolist() == [[0.0, 0.1], [0.0, 0.1]]
    assert (site.corner_height[3, 7] == 0.1).all()
    north = Ramp((0, 2, 2, 4), 0.4, 1)
    assert [north.height(0, row) for row in (6, 5, 2)] == pytest.approx([0.0, 0.1, 0.4])


CASES = [
    ("muster: 1\n", "", r'line 1: expected "muster: 1" as the first key'),
    ("muster: 1", "muster: 2", r'line 1: expected "muster: 1", got "2"'),
    ("chargers:", "charger:", r'line 10: file: unknown key "charger"; did you mean "chargers"\?'),
    ("opening: 2.5", "openning: 2.5", r'line 14: door: unknown key "openning"; did you mean "opening"\?'),
    ("cell: 1.0\n", "cell: 1.0\ncell: 1.0\n", r'line 4: file: the key "cell" stands twice'),
    ("size: {cells: [8, 6]}\n", "", r'line 1: file: the key "size" is missing'),
    ("size: {cells: [8, 6]}", "size: {metres: [8.4, 6]}", r"line 4: size: expected whole cells of 1 m, got 8.4 m"),
    ("size: {cells: [8, 6]}", "size: {cells: [8]}", r"line 4: size: expected two numbers, along x first, got 1"),
    ("size: {cells: [8, 6]}", "size: {cells: [8, 0]}", r'line 4: size: expected a number from 1 to 8192, got "0"'),
    ("cells: [2, 2, 2, 1]", "cells: [2, 2, 2]", r"line 7: rack: expected column, row, columns, rows, got 3 numbers"),
    ("cells: [2, 2, 2, 1]", "cells: [2, 2, two, 1]", r'line 7: rack: expected a number from .* got "two"'),
    ("cells: [2, 2, 2, 1]", "cells: [2, 2, 1.5, 1]", r"line 7: rack: expected a whole number, got 1.5"),
    ("cells: [2, 2, 2, 1]", "cells: [2, 2, 9, 1]", r"line 7: expected a rack on the floor .* got columns 2 to 10"),
    ("metres: [5.0, 1.0, 1.5, 0.5]", "metres: [5, 1, -1, 1]", r"line 8: rack: expected sides above 0, got -1 m by 1 m"),
    ("cells: [2, 2, 2, 1]", "cells: [1, 2, 2, 1], metres: [0, 0, 1, 1]", r"line 7: rack: expected one of cells and me"),
    ("cells: [2, 2, 2, 1]", "cells: [5, 3, 1, 2]", r"line 8: .* do not overlap, got one on the rack of line 7"),
    ("cells: [2, 2, 2, 1]", "cells: [0, 2, 2, 1]", r"line 7: .* do not overlap, got one on the wall of line 5"),
    ("both: [[1, 1]]", "both: [[2, 2]]", r"line 9: expected a free cell for a station, got column 2, row 2 in a rack"),
    ("both: [[1, 1]]", "both: [[6, 1]]", r"line 9: .* pick station, got column 6, row 1, where line 9 has a station"),
    ("both: [[1, 1]]", "both: [[8, 1]]", r"line 9: expected a station on the floor of 8 x 6 cells, got column 8"),
    ("both: [[1, 1]]", "both: [[1]]", r"line 9: station: expected two numbers, along x first, got 1"),
    ("chargers: [[7, 5]]", "chargers: [[2, 4]]", r"line 15: .* of its own for a pod, got .* line 10 has a charger"),
    ("chargers: [[7, 5]]", "chargers: [[3, 3]]", r"line 10: .* own for a charger, got .* line 14 has a door side"),
    ("chargers: [[7, 5]]", "chargers: 7", r'line 10: chargers: expected a list, got "7"'),
    ("person_free: [{cells: [2, 3, 2, 2]}]", "person_free: al", r'line 11: person_free: expected all, got "al"'),
    ("towards: east", "towards: eas", r'line 12: towards: .* got "eas"; did you mean "east"\?'),
    ("size: {cells: [8, 6]}", 'size: {cells: ["8", 6]}', r'line 4: size: expected a number .*, got "8"'),
    ("size: {cells: [8, 6]}", "size: {cells: [010, 6]}", r'line 4: size: expected a number .*, got "010"'),
    ("size: {cells: [8, 6]}", "size: {cells: [1_0, 6]}", r'line 4: size: expected a number .*, got "1_0"'),
    ("racks:", "racks: " + "[" * 5000 + "]" * 5000, r"line 6: expected lists and keys nested at most 20 deep"),
    (
        "towards: east}]",
        "towards: east}, {cells: [3, 1, 2, 1], towards: west}]",
        r"line 12: expected one-way aisles that do not oppose each other, got column 3, row 1 west here and .* line 12",
    ),
    ("limit: 0.5", "limit: 0.0", r"line 13: speed zone's limit in m/s: expected a number from 0.05 to 20"),
    ("limit: 0.5", "limit: .nan", r'line 13: speed zone\'s limit .* got ".nan"'),
    ("state: shut", "state: shutt", r'line 14: door\'s state: expected open, shut, automatic, got "shutt"; did you'),
    ("name: side", "name: gate", r'line 14: expected a name of its own for each door, got "gate" again'),
    ("name: side", "name: 7", r'line 14: door\'s name: expected text, got "7"; write it in quotes'),
    ("cells: [4, 5, 1, 1]", "cells: [3, 3, 1, 1]", r"line 14: expected doors apart, got side on the one of line 14"),
    ("cells: [4, 5, 1, 1]", "cells: [4, 5, 1, 1], height: 2", r'line 14: door: unknown key "height"; known: '),
    ("opening: 2.5", "opening: -1", r"line 14: door's opening time in s: expected a number from 0 to 600"),
    ("size: [0.8, 0.9, 1.8]", "size: [1.1, 0.9, 1.8]", r"line 15: expected pods .* within a cell of 1 m"),
    ("size: [0.8, 0.9, 1.8]", "size: [0.9, 1.8]", r"line 15: pod's size: expected 3 numbers, got 2"),
    ("rise: 0.1, up", "rise: 0.2, up", r"line 16: .* at most 12.5 %, got 0.2 m over 1 m; make it at least 2 cells"),
    ("cells: [7, 3, 1, 1]", "cells: [6, 3, 2, 1]", r"line 16: expected ramps apart, got one on that of line 16"),
    ("cells: [7, 3, 1, 1]", "cells: [6, 4, 1, 1]", r"line 16: .* free cells, got column 6, row 4 with a"),
    ("chargers: [[7, 5]]", "chargers: [[7, 3]]", r"line 16: expected a ramp on free cells, got .* with a charger"),
    # walled in, and one way only
    ("racks:\n", "racks:\n  - {cells: [6, 5, 1, 1]}\n  - {cells: [7, 4, 1, 1]}\n", r"line 12: .* from the charger"),
    ("cells: [2, 1, 2, 1], towards: east", "cells: [7, 5, 1, 1], towards: west", r"line 10: .* none from the station"),
    ("name: hall", "name: [", r"line 4, column 5: expected YAML, got .*; repair it"),
    ("walls:", "- walls:", r"line 5, column 1: expected YAML, got"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), CASES, ids=[f"{new[:40]}" for _, new, _ in CASES])
def test_a_broken_floor_is_refused_in_one_line(old: str, new: str, message: str, write: Callable[[str], Path]) -> None:
    assert old in FLOOR
    path = write(FLOOR.replace(old, new, 1))
    with pytest.raises(SiteError, match=rf"hall\.yaml, {message}") as caught:
        load_site(path)
    assert "\n" not in str(caught.value)


def test_a_full_floor_and_a_missing_or_foreign_file_are_refused(write: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="line 2: expected at least one free cell"):
        load_site(write("muster: 1\nsize: {cells: [2, 2]}\nwalls: [{cells: [0, 0, 2, 2]}]\n"))
    with pytest.raises(FileError, match=r"nowhere\.yaml: No such file"):
        load_site(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MusterError, match="expected UTF-8 text, got byte 0xff"):
        load_site(tmp_path / "binary.yaml")


def test_racks_in_one_cell_may_stand_beside_each_other_but_none_on_the_first_of_them(
    write: Callable[[str], Path],
) -> None:
    two = "muster: 1\nsize: {cells: [4, 4]}\nracks:\n- {metres: [0, 0, 0.4, 0.4]}\n- {metres: [0.5, 0, 0.4, 0.4]}\n"
    assert load_site(write(two)).blocked.sum() == 1
    with pytest.raises(SiteError, match=r"line 6: .* got one on the rack of line 4"):
        load_site(write(two + "- {metres: [0.3, 0.1, 0.1, 0.1]}\n"))


@pytest.mark.parametrize("path", sorted(LAUNCH.glob("sites/*.yaml")), ids=lambda path: path.stem)
def test_the_sites_of_the_launch_folder_hold_a_fleet(path: Path) -> None:
    site = load_site(path)
    check_site(site, 8)
    assert len(site.stations) >= (4 if site.fixtures.pod_side is not None else 8)
    assert len(site.chargers) >= 2
    assert site.fixtures.doors
    assert len(list(LAUNCH.glob("sites/*.yaml"))) >= 2


WORDS = (
    "", "0", "-1", "1e400", ".nan", ".inf", "1_000", "0x10", "7.5", "99999999999999999999", "[]", "{}", "[[1, 1]]", "~",
    "null", "true", "'", '"', "&a", "*a", "&a [*a]", "!!python/object:os.system", "? x", "---", "...", "%", "@", "\t",
    "\x00", "é", "cells", "metres", "all", "{cells: [1, 1, 1, 1]}", "{metres: [1, 1]}", ": ", ", ", "]", "}", "- ",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(FLOOR)), st.integers(0, 12), st.sampled_from(WORDS)), min_size=1, max_size=3)
)
def test_whatever_is_written_gives_a_floor_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, str]]
) -> None:
    text = FLOOR
    for at, gone, word in changes:
        text = text[:at] + word + text[at + gone :]
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(text, encoding="utf-8")
    site, said = None, ""
    try:
        site = load_site(path)
    except MusterError as error:
        said = str(error)
    if site is None:
        assert "fuzzed.yaml" in said
        assert "\n" not in said
    else:
        check_site(site, 1)
        assert site.standing.shape == site.blocked.shape


def test_pods_that_are_lifted_are_dead_ends_that_open_to_one_side(tmp_path: Path) -> None:
    text = "muster: 1\nsize: {cells: [5, 4]}\npods: {at: [[1, 1], [3, 2]], lift_from: south}\n"
    (tmp_path / "site.yaml").write_text(text)
    site = load_site(tmp_path / "site.yaml")
    assert site.fixtures.pod_side == DIRECTIONS.index("south")
    assert site.exits[1, 1].tolist() == [False, False, False, True]
    assert site.exits[2, 1].tolist() == [True, True, True, True]
    assert site.exits[1, 0].tolist() == [False, True, False, True]  # nobody comes from the side
    assert not site.standing.any()
    assert site.filled.sum() == 2
    again = graph_to_site(site_to_graph(site))
    assert again.hash == site.hash
    assert unpack_fixtures(pack_fixtures(site.fixtures)) == site.fixtures
    (tmp_path / "site.yaml").write_text(text.replace("lift_from: south", "lift_from: below"))
    with pytest.raises(SiteError, match=r"lift_from: expected east, north, west, south, got"):
        load_site(tmp_path / "site.yaml")


def test_the_formats_example_of_pods_that_are_lifted_can_be(tmp_path: Path) -> None:
    (example,) = (line for line in (siteyaml.__doc__ or "").splitlines() if "pods:" in line and "lift_from" in line)
    path = tmp_path / "site.yaml"
    path.write_text(f"muster: 1\ncell: 2.0\nsize: {{cells: [12, 8]}}\n{example.strip()}\n")
    assert why_not(RobotSpec(), read_site_yaml(path)) == ""
    for size, cell in ((1.1, 1.7), (1.2, 2.0)):  # what its text says
        path.write_text(
            f"muster: 1\ncell: {cell}\nsize: {{cells: [5, 4]}}\n"
            f"pods: {{size: [{size}, {size}, 2.0], at: [[2, 1]], lift_from: south}}\n"
        )
        assert why_not(RobotSpec(), read_site_yaml(path)) == ""
