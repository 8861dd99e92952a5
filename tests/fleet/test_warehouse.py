import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from coordination.client import FleetClient, NoAnswerError, new_task_id
from coordination.messages import Leg, LegKind, RobotStatus
from coordination.requests import FleetState, RobotLine, Task, TaskState
from coordination.tasks import Store
from fleet import preflight, warehouse
from fleet.launchfile import read_plan
from fleet.launchyaml import LaunchError
from fleet.rundir import create_run
from fleet.warehouse import Config, Watched, check, complaints, conclude, ended_before, summary, watch
from fleet.work import WarehouseError, make_tasks, stations
from fleet.world import World
from sim.errors import MusterError
from sim.fixtures import Fixtures
from sim.generate import generate_warehouse
from sim.gridfiles import Problem
from sim.readers import load_problem
from sim.robot import SECOND, RobotSpec
from sim.site import make_site, with_fixtures
from sim.specfile import SpecFile, write_spec

SITES = Path(__file__).parents[2] / "launch" / "sites"
SHARED = Path(__file__).parents[3] / "shared" / "data"
FINISHED = Watched(True, "every task has ended", 12.0)


def test_deliveries_go_from_station_to_another_station_and_follow_the_seed() -> None:
    problem = Problem(generate_warehouse(7))
    tasks = make_tasks(problem, Config(tasks=60, dwell=3.0))
    assert len({task.id for task in tasks}) == 60
    for task in tasks:
        fetch, deliver = task.legs
        assert (fetch.kind, deliver.kind) == (LegKind.FETCH, LegKind.DELIVER)
        assert {fetch.cell, deliver.cell} <= set(problem.site.stations.tolist())
        assert fetch.cell != deliver.cell
        assert fetch.dwell == 3.0
    again, other = make_tasks(problem, Config(tasks=60)), make_tasks(problem, Config(tasks=60, seed=8))
    cells = [[leg.cell for task in some for leg in task.legs] for some in (tasks, again, other)]
    assert cells[0] == cells[1] != cells[2]


def test_loads_go_from_pick_to_drop_stations_where_a_floor_tells_them_apart() -> None:
    site = load_problem(SITES / "small_warehouse.yaml").site
    both = set(site.stations.tolist()) - set(site.fixtures.picks) - set(site.fixtures.drops)
    pick, drop = stations(site, np.random.default_rng(0))
    assert set(pick.tolist()) == set(site.fixtures.picks) | both
    assert set(drop.tolist()) == set(site.fixtures.drops) | both
    one = with_fixtures(make_site("row", np.zeros((1, 4), bool), stations=[0, 2]), Fixtures(picks=(0,)))
    pick, drop = stations(one, np.random.default_rng(0))
    assert (pick.tolist(), drop.tolist()) == ([0], [2])
    none = with_fixtures(make_site("row", np.zeros((1, 4), bool), stations=[0, 2]), Fixtures(picks=(0, 2)))
    with pytest.raises(WarehouseError, match="a station to fetch at and another to deliver at on row, got 2 and 0"):
        stations(none, np.random.default_rng(0))


def test_a_floor_without_stations_gets_loads_at_racks_and_goals_in_the_open() -> None:
    blocked = np.zeros((7, 12), bool)
    blocked[3, 2:8] = True
    site = make_site("floor", blocked)
    pick, drop = stations(site, np.random.default_rng(0))
    exits = site.exits.reshape(-1, 4).sum(axis=1)
    assert (exits[pick] < 4).all()
    assert (exits[drop] == 4).all()


def test_drawn_stations_lie_in_the_largest_part_of_the_floor() -> None:
    blocked = np.zeros((5, 9), bool)
    blocked[:, 3] = True
    pick, drop = stations(make_site("two halls", blocked), np.random.default_rng(0))
    assert (np.concatenate([pick, drop]) % 9 > 3).all()


def test_errands_are_visits_in_the_files_order() -> None:
    problem = load_problem(Path(__file__).parents[1] / "sim" / "data" / "good.json")
    tasks = make_tasks(problem, Config(tasks=4))
    assert [task.legs for task in tasks] == [(Leg(cell, LegKind.VISIT),) for cell in (2, 3, 9, 14)]
    with pytest.raises(WarehouseError, match=r"expected 9 errands .* got 5; ask for fewer"):
        make_tasks(problem, Config(tasks=9))


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is absent")
def test_the_leagues_first_errands_are_taken() -> None:
    problem = load_problem(SHARED / "lorr2023/test/random.domain/TR23-random.json")
    tasks = make_tasks(problem, Config(tasks=200))
    assert len(tasks) == 200
    assert tasks[0].legs[0].cell == 799


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Config(tasks=0), "--tasks: expected 1 to 1000000 tasks, got 0"),
        (Config(tasks=-1), "got -1"),
        (Config(tasks=10**9), "got 1000000000"),
        (Config(seed=-1), "--seed: expected a whole number from 0 up to 1000000000, got -1"),
        (Config(limit=0.0), "--limit: expected a time above 0 s, got 0"),
        (Config(video_speed=0.0), "--video-speed: expected a factor above 0"),
        (Config(dwell=-2.0), "--dwell: expected a number from 0 up, got -2"),
        (Config(payload=float("inf")), "--payload: expected a number from 0 up, got inf"),
        (Config(bus="dds", plant="tcp://127.0.0.1:9"), "expected ros or ros:/SPACE"),
        (Config(ros_arguments=("--ros-args", "-r", "__ns:=/a")), "expected no ROS arguments without a bus"),
    ],
)
def test_numbers_that_cannot_be_are_refused(config: Config, expected: str) -> None:
    with pytest.raises(MusterError, match=expected):
        check(config)


def pod_floor(folder: Path, pods: str, cell: float = 2.0) -> str:
    """A site file with two stations and a pod in row 0, column 2."""
    path = folder / "hall.yaml"
    stations = "stations: {both: [[0, 3], [5, 3]]}"
    path.write_text(f"muster: 1\ncell: {cell}\nsize: {{cells: [6, 4]}}\n{stations}\npods: {{{pods}}}\n")
    return str(path)


def test_pods_that_no_robot_of_the_fleet_lifts_are_refused_by_name(tmp_path: Path) -> None:
    site = pod_floor(tmp_path, "at: [[2, 0]], lift_from: south", cell=1.2)
    check(Config(site=site, tasks=2))
    with pytest.raises(WarehouseError) as refused:
        check(Config(site=site, tasks=2, pods=1))
    assert str(refused.value) == (
        "--pods: expected pods that robots of the fleet lift, got pod [2, 0] of hall, 1 m x 1 m: amr needs 0.98 m "
        "between the legs of pods, they leave 0.92 m; make pods 1.06 m long and wide, and cells 1.62 m instead of 1.2 m"
    )
    site = pod_floor(tmp_path, "size: [1.06, 1.06, 2.0], at: [[2, 0]], lift_from: south")
    check(Config(site=site, tasks=2, pods=1))
    with pytest.raises(WarehouseError, match=r"needs 0\.99 m between the legs"):  # wheels stray further
        check(Config(site=site, tasks=2, pods=1, body="wheeled"))
    write_spec(tmp_path / "wide.yaml", SpecFile(replace(RobotSpec(), name="wide", localisation_bound=0.05)))
    with pytest.raises(WarehouseError, match=r"wide needs 1\.02 m"):
        check(Config(site=site, tasks=2, pods=1, spec=str(tmp_path / "wide.yaml")))


def test_goods_that_no_robot_lifts_with_the_pod_are_refused(tmp_path: Path) -> None:
    site = str(SITES / "pod_hall.yaml")
    check(Config(site=site, tasks=2, pods=2, goods=20.0))
    check(Config(site=site, tasks=2, goods=900.0))  # on pods that stay
    with pytest.raises(
        WarehouseError, match=r"--goods: expected at most 20 kg, got 20\.5 kg; amr lifts 40 kg, and a pod"
    ):
        check(Config(site=site, tasks=2, pods=2, goods=20.5))
    write_spec(tmp_path / "strong.yaml", SpecFile(replace(RobotSpec(), payload_max=60.0)))
    check(Config(site=site, tasks=2, pods=2, goods=40.0, spec=str(tmp_path / "strong.yaml")))


def test_a_launch_refuses_pod_tasks_before_anything_starts(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "launch" / "warehouse.launch.yaml"
    monkeypatch.chdir(root)

    def refusal(site: str, **given: str) -> str:
        plan = read_plan(path, {"site": site, "robots": "2", "tasks": "4", "people": "0", **given}, {})
        client = tuple(process for process in plan.processes if process.name == "fleet")
        with pytest.raises(LaunchError) as refused:
            preflight.check(replace(plan, processes=client))
        return str(refused.value)

    narrow = pod_floor(tmp_path, "at: [[2, 0]], lift_from: south")
    assert refusal(narrow, pods="1").startswith(
        "fleet: pods:=1: expected pods that robots of the fleet lift, got pod [2"
    )
    assert refusal("launch/sites/pod_hall.yaml", pods="2", goods="900").startswith(
        "fleet: goods:=900: expected at most 20 kg, got 900 kg"
    )


class Fleet(FleetClient):
    """A coordinator that answers from a script."""

    def __init__(self, answers: list[FleetState | None]) -> None:
        self.answers = answers

    def query(self, timeout: float = 10.0) -> FleetState:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise NoAnswerError("silent")
        return answer


def state(stamp: int, **counts: int) -> FleetState:
    line = RobotLine("r0", (0.0, 0.0, 0.0), RobotStatus.MOVING, 1.0)
    return FleetState("", stamp * SECOND, counts, (line,))


def watched(
    answers: list[FleetState | None], monkeypatch: pytest.MonkeyPatch, limit: float = 1000.0, before: int = 0
) -> Watched:
    clock = [0.0]
    monkeypatch.setattr(warehouse.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + 1.0))
    return watch(Fleet(answers), 3, limit, Console(file=io.StringIO()), wall=lambda: clock[0], before=before)


def test_the_wait_ends_when_every_task_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [state(1, QUEUED=3), None, state(2, DONE=2, RUNNING=1), state(3, DONE=2, FAILED=1)]
    assert watched(answers, monkeypatch) == Watched(True, "every task has ended", 3.0)


def test_the_wait_ends_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    result = watched([state(k, QUEUED=3) for k in range(99)], monkeypatch, limit=20.0)
    assert (result.finished, result.why) == (False, "the bound of 20 s was hit")


def test_the_wait_ends_when_the_sites_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    result = watched([state(5, QUEUED=3)], monkeypatch)
    assert not result.finished
    assert "clock stood still for 60 s" in result.why
    assert "clock stood still" in watched([None], monkeypatch).why


def test_what_had_ended_before_is_no_part_of_this_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that keeps its store over restarts still counts the tasks of last week."""
    last = state(0, DONE=5, CANCELLED=1)
    before = ended_before(Fleet([last]))
    assert before == 6
    assert ended_before(Fleet([None])) == 0
    answers = [last, state(1, DONE=5, CANCELLED=1, RUNNING=3), state(2, DONE=8, CANCELLED=1)]
    assert watched(answers, monkeypatch, before=before) == Watched(True, "every task has ended", 2.0)


class Gone:
    """A plant's end behind which nobody is: hardware needs no goodbye."""

    def connected(self, timeout: float) -> bool:
        return False

    def send(self, peer: str, body: object, stamp: int) -> bool:
        return False


def test_a_client_beside_a_coordinator_of_another_directory_ends_without_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Served(Fleet):
        def submit(self, tasks: object, timeout: float) -> None:
            pass

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warehouse, "_ends", lambda config, keys, stack: (None, Gone()))
    monkeypatch.setattr(warehouse, "FleetClient", lambda end: Served([state(0), state(1, DONE=2)]))
    monkeypatch.setattr(warehouse, "_wait_for_records", lambda directory: pytest.fail("nobody writes any here"))
    assert warehouse.run(Config(robots=1, tasks=2)) == 0
    assert "all tasks have ended after" in (said := capsys.readouterr().out)
    assert "no report: the coordinator keeps its tasks elsewhere" in said


def finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wreck: bool = False) -> tuple[Path, object]:
    directory = create_run(tmp_path)
    world = World(make_site("aisle", np.zeros((1, 4), bool)), RobotSpec(), 1, starts=np.array([1]), seed=0)
    for _ in range(50 if wreck else 5):
        world.command(np.array([[0.8 if wreck else 0.0, 0.0]], np.float32))
        world.step()
    world.write(directory.root, ("r0",), wall_seconds=1.0)
    store = Store(directory.tasks)
    task = Task(new_task_id(), (Leg(1, LegKind.VISIT),))
    store.submit([task], 0)
    attempt = store.assign(task.id, "r0", 1)
    store.progress(task.id, attempt, 0, 1)
    if not wreck:
        store.progress(task.id, attempt, 1, 2)
        store.finish(task.id, attempt, TaskState.DONE, 3)
    store.close()
    return directory.root, conclude(directory, Config(video=False), FINISHED)


def test_a_good_run_has_no_complaint_and_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, findings = finished_run(tmp_path, monkeypatch)
    assert complaints(findings, FINISHED) == []
    assert (root / "report.html").exists()
    assert json.loads((root / "audit.json").read_text())["findings"] == 0
    console = Console(file=io.StringIO(), width=100)
    console.print(summary(findings, FINISHED))
    assert "1 of 1" in console.file.getvalue()


def test_a_bad_run_names_everything_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, findings = finished_run(tmp_path, monkeypatch, wreck=True)
    lines = complaints(findings, Watched(False, "the bound of 5 s was hit", 5.0))
    assert lines[0] == "not finished: the bound of 5 s was hit"
    assert "1 tasks are open" in lines[1]
    assert "running r0" in lines[1]
    assert lines[2:] == ["1 collisions by the engine", "1 collisions by geometry"]
    findings.plant["oracle_collisions"] = 2
    assert "the two counts of collisions differ" in complaints(findings, FINISHED)


def test_a_run_without_a_plants_record_is_a_complaint(tmp_path: Path) -> None:
    directory = create_run(tmp_path)
    Store(directory.tasks).close()
    findings = conclude(directory, Config(), FINISHED)
    assert complaints(findings, FINISHED) == ["the plant left no record"]


def test_a_failing_film_is_a_complaint_and_no_loss_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = create_run(tmp_path)
    Store(directory.tasks).close()
    directory.trace.write_bytes(b"")
    monkeypatch.setattr(warehouse, "read_trace", lambda path: None)
    monkeypatch.setattr(warehouse, "judge_ground", lambda trace, store: [])
    monkeypatch.setattr(warehouse, "write_report", lambda directory: directory.report.write_text("page"))
    findings = conclude(directory, Config(), FINISHED)
    assert any(line.startswith("no video: muster: ") for line in complaints(findings, FINISHED))
    assert directory.report.read_text() == "page"


def test_a_robot_to_film_is_one_of_the_fleet() -> None:
    for name in ("", "auto", "r2"):
        warehouse.check_values(Config(robots=3, chase=name))
    with pytest.raises(WarehouseError, match=r'--chase: expected auto or a robot, r0 to r2, got "r3"; did you mean "r'):
        warehouse.check_values(Config(robots=3, chase="r3"))
