import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.compiled import read_site, write_site
from sim.files import FileError
from sim.fixtures import Door, DoorState, Ramp, SpeedZone
from sim.generate import generate_warehouse
from sim.gridfiles import read_lorr, read_movingai
from sim.readers import check_site, load_problem, load_site
from sim.site import SiteError, declare_person_free, make_site

DATA = Path(__file__).parent / "data"
SITES = Path(__file__).parents[2] / "launch" / "sites"
SHARED = Path(__file__).parents[3] / "shared" / "data"

needs_maps = pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is absent")


def test_a_map_is_read_as_drawn_row_0_at_the_top() -> None:
    site = read_movingai(DATA / "good.map", cell=0.5)
    assert site.blocked.astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert site.stations.tolist() == [2 * 6 + 4]  # E, row 2, column 4
    assert site.centre(0).tolist() == [0.25, 1.75]  # top left: y = (4 - 1 - 0 + 0.5) * 0.5
    assert not site.exits[1, 0, 0]  # a rack stands east of it
    assert site.exits[1, 0, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ragged.map", r"ragged\.map, line 6: expected 4 characters .* got 3; make every row equally long"),
        ("wrong_character.map", r'line 6, column 3: expected one of \.GSE .* got "x"; replace it'),
        ("wrong_height.map", r"expected 5 rows as the header's height says, got 3; add or remove rows"),
        ("empty.map", r'expected a line "map" after the header, got 0 lines'),
        ("nothing_free.map", r"expected at least one free cell .* got none"),
        ("wrong_header.map", r'line 2: expected a height in cells from 1 to 8192, got "two"'),
        ("unknown_header.map", r'line 4: expected "type", .* got "size 7"'),
        ("no_size.map", r'expected "height N" and "width N" before line 2'),
        ("not_ascii.map", r"line 5, column 2: expected ASCII text, got byte 0xc3"),
    ],
)
def test_a_broken_map_is_refused_with_place_expectation_and_remedy(name: str, message: str) -> None:
    with pytest.raises(SiteError, match=message) as caught:
        load_site(DATA / name)
    assert "\n" not in str(caught.value)


def test_a_missing_map_is_named() -> None:
    with pytest.raises(FileError, match=r"cannot read .*nowhere\.map: No such file or directory"):
        load_site(DATA / "nowhere.map")


@pytest.mark.parametrize("text", ["generate:x", "generate:", "generate:3:9", "campus:1:9x9", "generate:-1"])
def test_a_generated_site_needs_a_whole_seed(text: str) -> None:
    with pytest.raises(SiteError, match=r"with whole numbers, got "):
        load_site(text)


def test_an_unknown_site_name_is_refused_with_the_nearest_known() -> None:
    with pytest.raises(SiteError, match=r'got "genrate:7"; did you mean "generate"\?'):
        load_site("genrate:7")
    with pytest.raises(SiteError, match=r'got "floor"; give the file\'s full name'):
        load_site("floor")


def test_names_generate_sites() -> None:
    assert load_site("generate:7").hash == generate_warehouse(7).hash
    small = load_site("generate:7:20x16")
    assert (small.width, small.height, small.name) == (20, 16, "generate:7:20x16")
    check_site(small, 16)
    assert load_site("campus:2").blocked.shape == (96, 96)


def test_person_free_declares_the_whole_floor_and_changes_its_hash() -> None:
    plain, declared = load_site("generate:7"), load_site("generate:7:person-free")
    assert (declared.person_free == ~plain.blocked).all()
    assert declared.hash != plain.hash
    assert load_problem(f"{DATA / 'good.json'}:person-free").starts.tolist() == [0, 5, 23]


def test_a_league_problem_gives_map_starts_and_errands() -> None:
    problem = read_lorr(DATA / "good.json")
    assert problem.site.name == "good"
    assert problem.starts.tolist() == [0, 5, 23]  # teamSize 3 of 4
    assert problem.errands.tolist() == [2, 3, 9, 14, 16]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("team_too_large.json", r"expected 5 start cells as teamSize says, got 4 in good\.agents"),
        ("no_task_file.json", r'expected a file name under "taskFile", got only agentFile, mapFile, teamSize'),
        ("not_json.json", r"line 2, column 14: expected JSON, got expecting ':' delimiter"),
        ("blocked_errand.json", r"blocked\.tasks, line 3: .* got cell 7 \(row 2, column 2\), which is blocked"),
        ("short_list.json", r"short\.tasks: expected 5 errand cells as line 1 says, got 2"),
        ("off_the_map.json", r'off\.tasks, line 3: expected a errand cell from 0 to 23, got "24"'),
        ("twice.json", r"twice\.agents, lines 2 and 4: expected each robot to start on its own cell, got cell 0 twice"),
    ],
)
def test_a_broken_league_problem_is_refused_with_place_expectation_and_remedy(name: str, message: str) -> None:
    with pytest.raises(SiteError, match=message) as caught:
        load_site(DATA / name)
    assert "\n" not in str(caught.value)


def test_a_league_problem_without_its_map_names_the_map(tmp_path: Path) -> None:
    shutil.copy(DATA / "good.json", tmp_path)
    with pytest.raises(FileError, match=r"good\.map: No such file"):
        load_site(tmp_path / "good.json")


def test_a_compiled_floor_comes_back_the_same(tmp_path: Path) -> None:
    site = generate_warehouse(4, one_way=True)
    write_site(site, tmp_path / "floor.npz")
    again = load_site(tmp_path / "floor.npz")
    assert (again.hash, again.name) == (site.hash, site.name)


def test_another_archive_or_a_truncated_one_is_no_floor(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(SiteError, match="expected a compiled floor"):
        read_site(tmp_path / "other.npz")
    write_site(generate_warehouse(4), tmp_path / "floor.npz")
    whole = (tmp_path / "floor.npz").read_bytes()
    (tmp_path / "floor.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SiteError, match="expected a compiled floor"):
        read_site(tmp_path / "floor.npz")


@pytest.mark.parametrize("compressed", [True, False])
def test_a_flipped_bit_gives_the_floor_or_one_clear_line(tmp_path: Path, compressed: bool) -> None:
    """Each class of error is one line with the file's name; what loads is the floor, but for its name."""
    site, path, draw = generate_warehouse(4), tmp_path / "floor.npz", random.Random(5)
    write_site(site, path)
    if not compressed:
        with np.load(path) as content:
            np.savez(path, **dict(content))
    whole = path.read_bytes()
    complaints = []
    for _ in range(600):
        broken = bytearray(whole)
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        try:
            assert read_site(path).hash == site.hash
        except SiteError as error:
            complaints.append(str(error))
    assert len(complaints) > 300
    assert all(line.startswith(f"{path}: expected ") and "\n" not in line for line in complaints)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": np.array(np.nan)}, "expected a cell size from 0.05 to 100 m, got nan"),
        ({"cell": np.array(-1.2)}, "expected a cell size from 0.05 to 100 m, got -1.2"),
        ({"cell": np.array([1.2, 1.2])}, "expected a compiled floor"),
        ({"cell": np.array("wide")}, "expected a compiled floor"),
        ({"blocked": np.zeros((16, 20))}, "expected grids of one shape|expected blocked as true or false, got float64"),
        ({"blocked": np.zeros((0, 0), bool)}, "expected grids of one shape"),
        ({"stations": np.zeros((2, 2), np.int32)}, r"expected stations as a list of int32 cells, got int32 of shape"),
        ({"stations": np.array([0.5])}, "expected stations as a list of int32 cells, got float64"),
        ({"chargers": np.array([1 << 20], np.int32)}, "expected chargers on the floor's"),
        ({"chargers": np.array([-1], np.int32)}, "expected chargers on the floor's .* got cell -1"),
        ({"site": np.array("muster site 2")}, "expected .muster site 1., got .muster site 2."),
    ],
)
def test_a_compiled_floor_with_wrong_content_is_refused(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "floor.npz"
    write_site(generate_warehouse(4), path)
    with np.load(path) as content:
        np.savez(path, **{**content, **change})
    with pytest.raises(SiteError, match=message):
        read_site(path)


def test_a_grid_of_numbers_is_no_grid_of_blocked_cells(tmp_path: Path) -> None:
    path = tmp_path / "floor.npz"
    write_site(generate_warehouse(4), path)
    with np.load(path) as content:
        np.savez(path, **{**content, "blocked": content["blocked"].astype(float)})
    with pytest.raises(SiteError, match="expected blocked as true or false, got float64"):
        read_site(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "expected JSON with file names and a count, got .*recursion"),
        ('{"teamSize": ' + "9" * 5000 + "}", "expected JSON with file names and a count, got "),
        ('{"mapFile": "a\\u0000b"}', r'expected a file name under "mapFile", got "a\\x00b"; correct it'),
        ('{"mapFile": ""}', 'expected a file name under "mapFile", got ""; correct it'),
    ],
)
def test_a_problem_that_no_program_wrote_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "problem.json"
    path.write_text(text)
    with pytest.raises(SiteError, match=message):
        read_lorr(path)


def test_more_robots_than_free_cells_are_refused() -> None:
    site = read_movingai(DATA / "good.map")
    check_site(site, 21)
    with pytest.raises(SiteError, match=r"at most 21 robots, one for each free cell of good, got 22; take fewer"):
        check_site(site, 22)


def test_an_unreachable_station_is_named() -> None:
    blocked = np.array([[0, 0, 1, 0]], bool)
    with pytest.raises(SiteError, match=r"got none from cell 3 \(row 1, column 4\) to cell 0 \(row 1, column 1\)"):
        check_site(make_site("split", blocked, stations=[0, 1, 3]))
    with pytest.raises(SiteError, match=r"every station of split on a free cell, got cell 2 \(row 1, column 3\)"):
        check_site(make_site("split", blocked, stations=[0, 2]))


def test_a_station_that_one_way_aisles_lead_to_but_not_from_is_refused() -> None:
    site = make_site("trap", np.zeros((1, 2), bool), stations=[0, 1])
    check_site(site)
    site.exits[0, 1, 2] = False
    with pytest.raises(SiteError, match=r"from cell 1 .* to cell 0"):
        check_site(site)
    site.exits[0, 1, 2], site.exits[0, 0, 0] = True, False
    with pytest.raises(SiteError, match=r"from cell 0 .* to cell 1"):
        check_site(site)


def test_person_free_needs_no_change_of_the_grid() -> None:
    site = read_movingai(DATA / "good.map")
    assert (declare_person_free(site).blocked == site.blocked).all()


@needs_maps
def test_every_shared_map_is_read() -> None:
    free = {path.name: len(load_site(path).free_cells) for path in sorted((SHARED / "maps").glob("*.map"))}
    assert free == {
        "Paris_1_256.map": 47240,
        "den312d.map": 2445,
        "maze-32-32-4.map": 790,
        "random-32-32-20.map": 819,
        "room-32-32-4.map": 682,
        "room-64-64-8.map": 3232,
        "warehouse-10-20-10-2-1.map": 5699,
        "warehouse-20-40-10-2-2.map": 38756,
    }


@needs_maps
def test_the_leagues_problems_are_read() -> None:
    random = load_problem(SHARED / "lorr2023/test/random.domain/TR23-random.json")
    assert len(random.starts) == 100
    assert len(random.errands) == 10225
    assert random.starts[:2].tolist() == [517, 949]
    assert random.errands[:2].tolist() == [799, 728]
    large = load_problem(SHARED / "lorr2023/test/warehouse.domain/TR23-warehouse_large.json")
    assert len(large.site.free_cells) == 25249 + 12985 + 352
    assert len(large.site.stations) == 352


def test_the_hash_of_a_plain_floor_does_not_change_with_what_floors_may_hold() -> None:
    # as black boxes and task stores record it: a change makes those of former runs those of another floor
    assert load_site("generate:7").hash == "3132e10aab0ce606781bf052b7f6d2c8f3202a3dd315e972e7933f87b6ecc905"
    assert load_site("campus:1").hash == "5b1d5f2cb8430f45ed878f8a9ab2a3850d9d33aafc986d039e330296ebdb1cf3"


def test_a_compiled_floor_keeps_its_fixtures_and_its_hash_covers_them(tmp_path: Path) -> None:
    site = load_site(SITES / "two_halls.yaml")
    write_site(site, tmp_path / "floor.npz")
    again = load_site(tmp_path / "floor.npz")
    assert again.fixtures == site.fixtures
    assert again.hash == site.hash
    door = site.fixtures.doors[0]
    for change in (
        {"doors": (replace(door, opening=door.opening + 1.0), *site.fixtures.doors[1:])},
        {"doors": (replace(door, state=DoorState.SHUT), *site.fixtures.doors[1:])},
        {"zones": ()},
        {"ramps": site.fixtures.ramps[1:]},
        {"pod_size": (0.9, 1.0, 2.0)},
        {"picks": ()},
    ):
        assert replace(site, fixtures=replace(site.fixtures, **change)).hash != site.hash, change


def test_compiled_floors_from_before_fixtures_are_read(tmp_path: Path) -> None:
    write_site(generate_warehouse(1), tmp_path / "floor.npz")
    with np.load(tmp_path / "floor.npz") as content:
        parts = {name: content[name] for name in content.files if name != "fixtures"}
    np.savez(tmp_path / "old.npz", **parts)
    assert read_site(tmp_path / "old.npz").hash == generate_warehouse(1).hash
    np.savez(tmp_path / "broken.npz", **parts, fixtures=np.frombuffer(b'{"doors": 7}', np.uint8))
    with pytest.raises(SiteError, match=r"broken.npz: expected a compiled floor, got .*doors"):
        read_site(tmp_path / "broken.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pods": (5000,)}, "expected a pod on the floor's 288 cells, got cell 5000"),
        ({"doors": (Door("gate", (3, -1)),)}, "expected a door gate on the floor's 288 cells, got cell -1"),
        ({"doors": (Door("gate", (3,), -1.0),)}, "expected opening times of at least 0 s, got -1"),
        ({"ramps": (Ramp((20, 0, 5, 1), 0.1, 0),)}, r"a ramp on the floor's 24 x 12 cells, got \(20, 0, 5, 1\) up 0"),
        ({"ramps": (Ramp((2, 0, 5, 1), 0.1, 7),)}, r"got \(2, 0, 5, 1\) up 7"),
        ({"zones": (SpeedZone((3,), 0.0),)}, "expected sizes, limits and rises above 0, got 0"),
        ({"pod_size": (1.0, -1.0, 1.0)}, "expected sizes, limits and rises above 0, got -1"),
    ],
)
def test_fixtures_off_the_floor_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    site = load_site(SITES / "two_halls.yaml")
    write_site(replace(site, fixtures=replace(site.fixtures, **change)), tmp_path / "floor.npz")
    with pytest.raises(SiteError, match=rf"floor\.npz: {message}|floor\.npz.*{message}"):
        load_site(tmp_path / "floor.npz")
