import html.parser
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coordination.client import new_task_id
from coordination.messages import Leg, LegKind
from coordination.requests import Task, TaskState
from coordination.tasks import Store
from fleet.findings import Cargo, FindingsError, read_findings
from fleet.heatmap import passes
from fleet.report import write_report
from fleet.rundir import RunDirectory, create_run
from fleet.world import World
from hierarchy.curriculum import Comparison
from sim.generate import generate_warehouse
from sim.robot import SECOND, RobotSpec
from sim.site import make_site
from sim.trace import Trace

VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """Checks that tags close in order and collects what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "data")]
        if tag not in VOID or tag in ("rect", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(directory: RunDirectory) -> tuple[Page, str]:
    page, text = Page(), write_report(directory).read_text()
    page.feed(text)
    assert page.open == []
    return page, " ".join(" ".join(page.text).split())


def full_run(tmp_path: Path, robots: int = 2) -> RunDirectory:
    """A run of two robots: three tasks, two done, one of them at the second attempt."""
    moment = datetime(2026, 11, 21, 13, 51, 35, tzinfo=UTC)
    values = {"robots": "2", "tasks": "3", "chase": ""}
    directory = create_run(tmp_path, arguments=["muster", "launch", "<x>"], config=values, seed=7, now=moment)
    world = World(generate_warehouse(2), RobotSpec(), robots, 1, seed=1)
    for _ in range(30):
        world.command(np.full((robots, 2), 0.2, np.float32))
        world.step()
    world.write(directory.root, tuple(f"r{k}" for k in range(robots)), wall_seconds=1.5, gone=[])
    store = Store(directory.tasks)
    legs = (Leg(40, LegKind.FETCH, 2.0), Leg(600, LegKind.DELIVER, 2.0))
    tasks = [Task(new_task_id(), legs) for _ in range(3)]
    store.submit(tasks, 0)
    first = store.assign(tasks[0].id, "r0", 1 * SECOND)
    store.progress(tasks[0].id, first, 0, 1 * SECOND)
    store.progress(tasks[0].id, first, 1, 4 * SECOND)
    store.finish(tasks[0].id, first, TaskState.DONE, 9 * SECOND)
    again = store.assign(tasks[1].id, "r0", 10 * SECOND)
    store.progress(tasks[1].id, again, 0, 11 * SECOND)
    store.progress(tasks[1].id, again, 1, 12 * SECOND)
    store.requeue(tasks[1].id, again, "blocked", 15 * SECOND)
    again = store.assign(tasks[1].id, "r1", 16 * SECOND)
    store.progress(tasks[1].id, again, 0, 16 * SECOND)
    store.progress(tasks[1].id, again, 1, 18 * SECOND)
    store.finish(tasks[1].id, again, TaskState.DONE, 36 * SECOND)
    store.close()
    (directory.root / "train.jsonl").write_text(
        '{"steps": 1000, "seconds": 1.0, "success": 0.1}\n'
        '{"steps": 2000, "seconds": 2.0, "success": 0.9, "held_out_success": 0.96}\n{"steps": 30'
    )
    line = {
        "steps": 30,
        "step_seconds": {"p50": 0.001, "p99": 0.004, "max": 0.01},
        "missed_deadlines": 0,
        "interventions": {"OBSTACLE": 3, "PERSON": 1},
        "stops": {},
        "modes": {"POLICY": 26, "SHIELDED": 4},
    }
    (directory.root / "robots-r0.json").write_text(json.dumps({"pid": 1, "robots": {"r0": line, "r1": line}}))
    audit = {"findings": 1, "kinds": {"x": 1}, "first": [{"kind": "double_grant", "stamp": 0, "detail": "<b>&"}]}
    (directory.root / "audit.json").write_text(json.dumps(audit))
    return directory


def test_findings_are_those_of_the_files(tmp_path: Path) -> None:
    findings = read_findings(full_run(tmp_path))
    assert [task.state for task in findings.tasks] == [TaskState.DONE, TaskState.DONE, TaskState.QUEUED]
    assert [task.attempts for task in findings.tasks] == [1, 2, 0]
    assert findings.tasks[1].robot == "r1"
    assert findings.work_seconds == 35.0  # from the first assignment at 1 s to 36 s
    assert findings.tasks_per_hour == pytest.approx(2 * 3600 / 35)
    assert findings.total("interventions") == {"OBSTACLE": 6, "PERSON": 2}
    assert findings.step_milliseconds() == {"p50": 1.0, "p99": 4.0, "max": 10.0}
    assert [entry["steps"] for entry in findings.curve] == [1000, 2000]  # the half-written line is dropped


def test_cargo_runs_from_the_first_leg_to_the_attempts_end(tmp_path: Path) -> None:
    assert read_findings(full_run(tmp_path)).cargo == [
        Cargo("r0", 4 * SECOND, 9 * SECOND),
        Cargo("r0", 12 * SECOND, 15 * SECOND),
        Cargo("r1", 18 * SECOND, 36 * SECOND),
    ]


def test_the_page_is_one_file_that_loads_nothing_and_says_the_figures(tmp_path: Path) -> None:
    directory = full_run(tmp_path)
    page, text = read_page(directory)
    assert all(address.startswith("data:image/png;base64,") for address in page.loads)
    assert len(page.loads) == 2
    assert "http" not in re.sub(r"data:\S+", "", directory.report.read_text())
    for shown in (
        "96.0 %",
        "2 / 3",
        "206",
        "started 2026-11-21 13:51:35 UTC",
        "robots=2, tasks=3",
        "1 finding",
        "goals: 1 ms for p50, 3 ms for p99",
        "obstacle",
        "Learning curve",
        "Control-step latency",
        "double_grant",
        "<b>&",
    ):
        assert shown in text
    assert "muster launch <x>" in text
    assert "The counts agree." in text


def test_counts_that_differ_are_said_in_red(tmp_path: Path) -> None:
    directory = full_run(tmp_path)
    plant = json.loads((directory.root / "plant.json").read_text())
    (directory.root / "plant.json").write_text(json.dumps(plant | {"oracle_collisions": 4}))
    assert '<p class="bad">The counts differ.</p>' in write_report(directory).read_text()


def test_every_level_of_a_hierarchy_has_its_curves(tmp_path: Path) -> None:
    directory = create_run(tmp_path)
    curves = {
        "navigate/planar": [
            {"steps": 8, "seconds": 1.0, "success": None},
            {"steps": 16, "seconds": 2.0, "success": 0.5},
        ],
        "navigate": [{"steps": 8, "seconds": 1.0, "success": 0.75, "held_out_success": 0.8}],
        "meta": [{"steps": 1_000, "seconds": 3.0, "per_hour": 90.0, "check_per_hour": 100.0}],
    }
    for folder, curve in curves.items():
        (directory.root / folder).mkdir(parents=True, exist_ok=True)
        (directory.root / folder / "train.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in curve))
    for level in ("navigate", "meta"):
        Comparison(level, "figure", "1", 1.0, 0.9, 1.0, "higher", 4).write(directory.root / level)
    _, text = read_page(directory)
    first = text.index("Learning curve: navigate/planar")
    assert first < text.rindex("Learning curve: navigate") < text.index("Learning curve: meta")
    assert "lines per hour and robot" in text
    assert "16 steps in 2 s" in text


def test_parts_that_a_run_did_not_have_are_left_out(tmp_path: Path) -> None:
    directory = create_run(tmp_path)
    _, text = read_page(directory)
    assert "How it was run" in text
    for absent in ("Learning curve", "Paths on the floor", "auditor", "Contacts", "tasks done"):
        assert absent not in text


def test_a_damaged_store_is_one_line(tmp_path: Path) -> None:
    directory = create_run(tmp_path)
    directory.tasks.write_bytes(b"SQLite format 3\x00 and then nothing of it")
    with pytest.raises(FindingsError, match=r"tasks\.sqlite: expected a task store, got"):
        read_findings(directory)


def test_passes_count_entries_and_not_the_time_spent() -> None:
    trace = Trace(
        site=make_site("floor", np.zeros((2, 4), bool), cell=1.0),
        stamps=np.arange(5),
        poses=np.zeros((5, 1, 3), np.float32),
        people=np.zeros((5, 0, 2), np.float32),
        footprint=(0.64, 0.48, 0.3),
        names=("r0",),
    )
    # stands in the lower left, goes right twice, comes back; never on the top row but at the end
    way = np.array([[[0.5, 0.5]], [[0.6, 0.5]], [[1.5, 0.5]], [[0.5, 0.5]], [[0.5, 1.5]]])
    assert passes(trace, way, 1.0).tolist() == [[1, 0, 0, 0], [2, 1, 0, 0]]
    outside = np.full((5, 1, 2), -20.0)
    assert passes(trace, outside, 1.0).sum() == 0
