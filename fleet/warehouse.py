"""`muster fleet`: the client of a run. It submits the work (fleet/work.py), waits, ends the plant and says how it went.

Afterwards it audits the task store with the coordinator's independent auditor, holds the true poses against the
grants, draws the video and writes the report side by side, prints one table, and ends with 0 only if all tasks are
done, nobody collided by either count, the counts agree and the auditor found nothing. A run that its bound ends is
reported all the same, with the tasks that are open.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from tyro.conf import Suppress

from coordination.auditor import Finding, audit
from coordination.client import ADDRESS, COORDINATOR, FleetClient, NoAnswerError
from coordination.keys import Keys, keys_of, read_keys
from coordination.messages import Leave, RobotStatus
from coordination.requests import FleetState
from coordination.transport import Transport
from coordination.zmq_transport import ZmqClient
from fleet.findings import Findings, read_findings
from fleet.ground import Strayed, judge_ground
from fleet.report import write_report
from fleet.ros.bus import BusKind, check_here, open_bus
from fleet.ros.transport import SCHEME, BusClient, space_of
from fleet.rundir import RunDirectory, join_run
from fleet.work import WarehouseError, make_tasks
from sim.errors import nearest
from sim.files import write_atomic
from sim.readers import check_site, load_problem
from sim.robot import SECOND
from sim.seeds import check_seed
from sim.site import CELL
from sim.trace import AUTO, read_trace

CLIENT, PLANT = "client", "plant"

PLANT_ADDRESS = "tcp://127.0.0.1:7411"
"""Where the plant listens unless told otherwise."""

POLL = 0.25
"""s between two looks at the fleet."""

TASKS_MAX = 1_000_000
"""Tasks that a run may have: a store of some hundred MB."""

STALLED = 60.0
"""s of wall time without the site clock moving (or a coordinator answering) after which the run is given up."""

GRACE = 20.0
"""s for plant and robots to write what they recorded, once the plant has ended."""


@dataclass(frozen=True)
class Config:
    """Submit a warehouse's tasks, wait until they are done, write report and video."""

    site: str = "generate:7"
    """Map file, problem file or generate:SEED; the plant's"""
    tasks: int = 60
    """How many"""
    work: Literal["auto", "deliver", "errands"] = "auto"
    """auto visits a problem file's errands and delivers on every other site"""
    robots: int = 0
    """Robots of the fleet, to say at once if there are more than free cells; 0 leaves that to the plant"""
    dwell: float = 2.0
    """Time to load or unload, s"""
    payload: float = 20.0
    """Mass of each load, kg"""
    pods: int = 0
    """How many of the tasks bring a pod to a station and back, on sites whose pods are lifted"""
    goods: float = 10.0
    """kg on each pod, the plant's"""
    seed: int = 7
    """Which stations"""
    limit: float = 1200.0
    """Bound of the run in wall time, s"""
    plant: str = PLANT_ADDRESS
    """The plant's address"""
    coordinator: str = ADDRESS
    """The coordinator's address"""
    cell: float = CELL
    """Cell size of map files, m"""
    key: Path | None = None
    """The fleet's key file; the run's if not given"""
    video: bool = True
    """Draw fleet.mp4"""
    video_speed: float = 4.0
    """Simulated seconds in one second of video"""
    spec: str = ""
    """The robots' specification (sim/specfile.py), to refuse pods that they cannot lift; empty for the default robot"""
    body: Literal["planar", "wheeled"] = "planar"
    """The plant's body of the robots, for the same"""
    bus: BusKind = "none"
    """How plant and coordinator are reached. none: at their addresses; else over ROS 2, at ros or ros:/SPACE"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments"""
    chase: str = ""
    """Also follow this robot in chase.mp4 (auto: the one that drove furthest)"""


@dataclass(frozen=True)
class Watched:
    """How the wait for the fleet ended."""

    finished: bool
    """Every task has ended."""
    why: str
    """Why the wait ended."""
    seconds: float
    """Wall time from the submission on, s."""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it."""
    check_values(config)
    if config.bus != "none":
        check_here(config.bus)
        _spaces(config)
    elif set(config.ros_arguments) - {"--ros-args", "--"}:  # a launch gives every node the bare word
        words = " ".join(config.ros_arguments)
        raise WarehouseError(f"expected no ROS arguments without a bus, got {words}; give --bus auto too")
    if config.key is not None:
        read_keys(config.key)
    problem = load_problem(config.site, config.cell)
    check_site(problem.site, config.robots)
    make_tasks(problem, config)


def check_values(config: Config) -> None:
    """Raise `WarehouseError` for numbers that no floor could make good."""
    if not 1 <= config.tasks <= TASKS_MAX:
        raise WarehouseError(f"--tasks: expected 1 to {TASKS_MAX} tasks, got {config.tasks}; choose another number")
    check_seed(config.seed)
    if not config.limit > 0.0:
        raise WarehouseError(f"--limit: expected a time above 0 s, got {config.limit:g}; give the run more")
    if not config.video_speed > 0.0:
        raise WarehouseError(
            f"--video-speed: expected a factor above 0, got {config.video_speed:g}; give for example 4"
        )
    names = [AUTO, *(f"r{number}" for number in range(config.robots))]
    if config.chase and config.robots and config.chase not in names:
        raise WarehouseError(
            f'--chase: expected auto or a robot, r0 to {names[-1]}, got "{config.chase}"{nearest(config.chase, names)}'
        )
    if not 0 <= config.pods <= config.tasks:
        raise WarehouseError(f"--pods: expected 0 to {config.tasks} of the tasks, got {config.pods}; choose another")
    for option, value in (("--dwell", config.dwell), ("--payload", config.payload), ("--goods", config.goods)):
        if not 0.0 <= value < float("inf"):
            raise WarehouseError(f"{option}: expected a number from 0 up, got {value:g}; choose another")


def run(config: Config) -> int:
    """Give the work, wait, report; 0 when all went well, 1 when not.

    Raises `MusterError` for what the user can mend.
    """
    check_values(config)
    problem = load_problem(config.site, config.cell)
    check_site(problem.site, config.robots)
    tasks = make_tasks(problem, config)
    directory = join_run(config=config, seed=config.seed)
    keys = keys_of(config.key, directory.key)
    console = Console()
    with contextlib.ExitStack() as stack:
        coordinator, plant = _ends(config, keys, stack)
        client = FleetClient(coordinator)
        before = ended_before(client)
        client.submit(tasks, timeout=STALLED)
        watched = watch(client, len(tasks), config.limit, console, before=before)
        reason = "all tasks have ended" if watched.finished else watched.why
        plant.connected(2.0)
        plant.send(PLANT, Leave(reason), 0)
        if directory.tasks.exists():
            _wait_for_records(directory)
    if not directory.tasks.exists():  # each process of a real fleet keeps its records on its own computer
        console.print(
            f"{reason} after {watched.seconds:.0f} s; no report: the coordinator keeps its tasks elsewhere (its --run)",
            highlight=False,
            soft_wrap=True,
        )
        return 0 if watched.finished else 1
    findings = conclude(directory, config, watched)
    console.print(summary(findings, watched))
    for line in complaints(findings, watched):
        console.print(f"[red]{line}[/red]", highlight=False, soft_wrap=True)
    console.print(f"report  {directory.report}", highlight=False, soft_wrap=True)
    for video in (directory.video, directory.chase):
        if video.exists():
            console.print(f"video   {video}", highlight=False, soft_wrap=True)
    return 1 if complaints(findings, watched) else 0


def _ends(config: Config, keys: Keys, stack: contextlib.ExitStack) -> tuple[Transport, ZmqClient | BusClient]:
    """The ways to coordinator and plant, which the stack closes."""
    if config.bus == "none":
        ends = (
            ZmqClient(CLIENT, COORDINATOR, keys, config.coordinator),
            ZmqClient(CLIENT, PLANT, keys, config.plant),
        )
    else:
        coordinator, plant = _spaces(config)
        bus = open_bus(config.bus, arguments=config.ros_arguments)
        stack.callback(bus.close)
        node = bus.node(CLIENT)
        ends = (
            BusClient(bus, node, CLIENT, COORDINATOR, keys, coordinator),
            BusClient(bus, node, CLIENT, PLANT, keys, plant),
        )
    for end in ends:
        stack.callback(end.close)
    return ends


def _spaces(config: Config) -> tuple[str, str]:
    """Where coordinator and plant are on the bus; the defaults of ZeroMQ stand for the default spaces."""
    return (
        space_of(SCHEME if config.coordinator == ADDRESS else config.coordinator, COORDINATOR),
        space_of(SCHEME if config.plant == PLANT_ADDRESS else config.plant, PLANT),
    )


def ended_before(client: FleetClient) -> int:
    """How many tasks a coordinator that kept its store has ended already; 0 where it does not answer yet."""
    try:
        return _ended(client.query(timeout=5.0))
    except NoAnswerError:
        return 0


def _ended(state: FleetState) -> int:
    return sum(state.counts.get(name, 0) for name in ("DONE", "FAILED", "CANCELLED"))


def watch(
    client: FleetClient,
    tasks: int,
    limit: float,
    console: Console,
    wall: Callable[[], float] = time.monotonic,
    before: int = 0,
) -> Watched:
    """Wait until every task has ended, the bound is hit or nothing moves any more; a progress bar meanwhile.

    `before` tasks of the coordinator had ended when these were submitted.
    """
    begun = moved = wall()
    stamp = -1
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} tasks"),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        line = bar.add_task("fleet", total=tasks, detail="")
        told = begun
        while True:
            now = wall()
            try:
                state = client.query(timeout=5.0)
            except NoAnswerError:
                state = None  # the coordinator may be starting again
            if state is not None:
                ended = _ended(state) - before
                bar.update(line, completed=ended, detail=describe(state))
                if not console.is_terminal and now - told > 10.0:
                    told = now
                    console.print(f"{ended}/{tasks} tasks, {describe(state)}", highlight=False)
                if ended >= tasks:
                    return Watched(True, "every task has ended", now - begun)
                if state.stamp != stamp:
                    stamp, moved = state.stamp, now
            if now - begun > limit:
                return Watched(False, f"the bound of {limit:g} s was hit", now - begun)
            if now - moved > STALLED:
                return Watched(False, f"the site's clock stood still for {STALLED:g} s", now - begun)
            time.sleep(POLL)


def describe(state: FleetState) -> str:
    """One line about the fleet."""
    names = Counter(RobotStatus(robot.status).name.lower() for robot in state.robots)
    shown = ", ".join(f"{count} {name}" for name, count in names.most_common())
    waiting = "".join(f", task {line.task} waits for an operator: {line.reason}" for line in state.waiting)
    return f"{state.stamp / SECOND:.0f} s simulated, {shown or 'no robots yet'}{waiting}" + (
        ", STOPPED" if state.stopped else ""
    )


def conclude(directory: RunDirectory, config: Config, watched: Watched) -> Findings:
    """Audit, draw the video and write the report, the last two side by side; returns what is known of the run."""
    found: list[Finding | Strayed] = [*audit(directory.tasks)]
    if directory.trace.exists():
        found += judge_ground(read_trace(directory.trace), directory.tasks)
    kinds = Counter(finding.kind for finding in found)
    notes = {
        "findings": len(found),
        "kinds": dict(kinds),
        "first": [asdict(finding) for finding in found[:50]],
        "finished": watched.finished,
        "ended": watched.why,
        "fleet_seconds": round(watched.seconds, 3),
    }
    write_atomic(directory.root / "audit.json", json.dumps(notes, indent=2) + "\n")
    findings = read_findings(directory)
    cargo = [{"robot": load.robot, "from": load.begin, "to": load.end} for load in findings.cargo]
    write_atomic(directory.root / "cargo.json", json.dumps(cargo) + "\n")
    film: subprocess.Popen[str] | None = None
    if config.video and directory.trace.exists():
        words = ["video", str(directory.root), "--speed", f"{config.video_speed:g}", "--chase", config.chase]
        words += ["--width", "640", "--height", "400"]
        film = subprocess.Popen(
            [sys.executable, "-m", "fleet.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    write_report(directory)
    if film is not None:
        output, _ = film.communicate()
        if film.returncode:
            print(output.strip(), flush=True)
            findings.audit["video"] = output.strip()
    return findings


def complaints(findings: Findings, watched: Watched) -> list[str]:
    """Everything about a run that is not as it should be, one line each."""
    lines = []
    if not watched.finished:
        lines.append(f"not finished: {watched.why}")
    if findings.open:
        shown = ", ".join(f"{task.id} {task.state.name.lower()} {task.robot}".strip() for task in findings.open[:10])
        lines.append(f"{len(findings.open)} tasks are open: {shown}{', ...' if len(findings.open) > 10 else ''}")
    plant = findings.plant
    if not plant:
        lines.append("the plant left no record")
    else:
        if plant["collisions"]:
            lines.append(f"{plant['collisions']} collisions by the engine")
        if plant["oracle_collisions"]:
            lines.append(f"{plant['oracle_collisions']} collisions by geometry")
        if plant["collisions"] != plant["oracle_collisions"]:
            lines.append("the two counts of collisions differ")
    if findings.audit.get("findings"):
        lines.append(f"the auditor found {findings.audit['kinds']}")
    if findings.audit.get("video"):
        lines.append(f"no video: {findings.audit['video']}")
    return lines


def summary(findings: Findings, watched: Watched) -> Table:
    """The table that a run ends with."""
    plant, steps = findings.plant, findings.step_milliseconds()
    table = Table(title=f"muster {findings.name}", show_header=False, title_justify="left")
    table.add_column(style="cyan")
    table.add_column(justify="right")
    checks = [entry for entry in findings.curve if "held_out_success" in entry]
    if checks:
        last = checks[-1]
        table.add_row("training", f"{last['steps']:,.0f} steps, {last['seconds']:.0f} s")
        table.add_row("success on unseen layouts", f"{100 * last['held_out_success']:.1f} %")
    table.add_row("tasks done", f"{len(findings.done)} of {len(findings.tasks)}")
    if plant:
        table.add_row("simulated, wall", f"{plant['sim_seconds']:.0f} s, {watched.seconds:.0f} s")
        table.add_row("driven", f"{plant['metres'] / 1000:.2f} km by {plant['robots']} robots")
    table.add_row("tasks per hour", f"{findings.tasks_per_hour:.0f}")
    if plant:
        table.add_row("collisions (engine, geometry)", f"{plant['collisions']}, {plant['oracle_collisions']}")
        table.add_row("people against standing robots", f"{plant['person_contacts']}")
    table.add_row("interventions of the shield", f"{sum(findings.total('interventions').values())}")
    if steps:
        table.add_row("control step p50, p99", f"{steps['p50']:.2f} ms, {steps['p99']:.2f} ms")
    table.add_row("auditor's findings", f"{findings.audit.get('findings', 'not audited')}")
    return table


def _wait_for_records(directory: RunDirectory) -> None:
    """Until the plant has written its record and the robots theirs, or GRACE is over."""
    deadline = time.monotonic() + GRACE
    plant = directory.root / "plant.json"
    while time.monotonic() < deadline:
        if plant.exists():
            robots = json.loads(plant.read_text(encoding="utf-8"))["robots"]
            if len(read_findings(directory).robots) >= robots:
                return
        time.sleep(0.1)
