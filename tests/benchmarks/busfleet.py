"""A warehouse fleet as processes over ZeroMQ or over DDS: plant, coordinator, hosts of robots, and this one as client.

The tasks are in the store before the coordinator starts, with ids that follow from their number, so that two fleets
with one seed differ in nothing but the wire between them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

import msgspec  # noqa: E402

from agents.policy import Policy  # noqa: E402
from coordination.client import COORDINATOR, FleetClient, NoAnswerError  # noqa: E402
from coordination.keys import ensure_keys, read_keys  # noqa: E402
from coordination.messages import Leave  # noqa: E402
from coordination.tasks import Store  # noqa: E402
from coordination.transport import Transport  # noqa: E402
from coordination.zmq_transport import ZmqClient  # noqa: E402
from fleet.launch import free_addresses  # noqa: E402
from fleet.ros.bus import open_bus  # noqa: E402
from fleet.ros.transport import BusClient  # noqa: E402
from fleet.rundir import RunDirectory, create_run  # noqa: E402
from fleet.warehouse import CLIENT, PLANT  # noqa: E402
from fleet.warehouse import Config as Work  # noqa: E402
from fleet.work import make_tasks  # noqa: E402
from sim.readers import load_problem  # noqa: E402

Wire = Literal["zmq", "dds"]

PATIENCE = 60.0
"""s without the site's clock going on after which a fleet is given up."""


@dataclass(frozen=True)
class Fleet:
    """What is run."""

    wire: Wire
    site: str = "generate:7"
    robots: int = 4
    people: int = 2
    tasks: int = 12
    hosts: int = 2
    seed: int = 7
    clock: Literal["lockstep", "wall"] = "lockstep"
    spec: str = ""
    """A specification file; empty for the default robot"""
    blackbox: bool = True
    patience: float = PATIENCE
    extra: tuple[str, ...] = ()
    """More words for the plant"""


@dataclass(frozen=True)
class Running:
    """A fleet that runs."""

    directory: RunDirectory
    coordinator: FleetClient
    plant: Transport
    processes: dict[str, subprocess.Popen[bytes]]
    """By name: plant, coordinator, host-0, ..."""


@contextlib.contextmanager
def running(fleet: Fleet, folder: Path, policy: Policy, home: Path) -> Iterator[Running]:
    """Start a fleet in `folder`, and end it all. `policy` stands in `home`.

    In real time the plant starts last, once every host is ready: nobody drives while others load.
    """
    directory = create_run(folder)
    ensure_keys(directory.key)
    work = Work(site=fleet.site, tasks=fleet.tasks, seed=fleet.seed)
    tasks = [
        msgspec.structs.replace(task, id=f"task-{number:04d}")
        for number, task in enumerate(make_tasks(load_problem(fleet.site), work))
    ]
    store = Store(directory.tasks)
    store.submit(tasks, 0)
    store.close()
    domain = 1 + os.getpid() % 100
    environment = {
        **os.environ,
        "MUSTER_RUN": str(directory.root),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    with contextlib.ExitStack() as stack:
        words, processes = commands(fleet, home, environment), {}

        def start(name: str) -> None:
            log = stack.enter_context((directory.logs / f"{name}.log").open("wb"))
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "fleet.cli", *words[name]], env=environment, stdout=log, stderr=log, cwd=ROOT
            )
            stack.callback(end, processes[name])

        hosts = [name for name in words if name.startswith("host")]
        if fleet.clock == "lockstep":
            start("plant")
        for name in ("coordinator", *hosts):
            start(name)
        if fleet.clock == "wall":
            ready({directory.logs / f"{name}.log": processes[name] for name in hosts})
            start("plant")
        keys = read_keys(directory.key)
        if fleet.wire == "zmq":
            coordinator = ZmqClient(CLIENT, COORDINATOR, keys, environment["MUSTER_COORDINATOR"])
            plant = ZmqClient(CLIENT, PLANT, keys, environment["MUSTER_PLANT"])
        else:
            os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
            bus = open_bus("dds", domain=domain)
            stack.callback(bus.close)
            node = bus.node(CLIENT)
            coordinator = BusClient(bus, node, CLIENT, COORDINATOR, keys)
            plant = BusClient(bus, node, CLIENT, PLANT, keys)
        stack.callback(coordinator.close)
        stack.callback(plant.close)
        yield Running(directory, FleetClient(coordinator), plant, processes)


def commands(fleet: Fleet, home: Path, environment: dict[str, str]) -> dict[str, list[str]]:
    """The words of each process; what they need of the environment is added to it."""
    site = ["--site", fleet.site, *(["--spec", fleet.spec] if fleet.spec else [])]
    robots = f"r[0:{fleet.robots}]"
    ros = ["-p", "use_sim_time:=true", "-p", f"lockstep:={str(fleet.clock == 'lockstep').lower()}"]
    if fleet.wire == "zmq":
        environment.update(free_addresses(environment))
        plant, coordinator = environment["MUSTER_PLANT"], environment["MUSTER_COORDINATOR"]
        there, served = ["--address", plant], ["--address", coordinator, "--plant", plant]
        told, after = ["--plant", plant, "--coordinator", coordinator, "--no-watchdog"], []
    else:
        there, served, told, after = ["--bus", "dds"], ["--bus", "dds"], ["--bus", "dds"], ["--ros-args", *ros]
        told = [*told, "--uncalibrated", "drive"]  # they are simulated
    words = {
        "plant": [
            "sim", *site, "--robots", robots, "--people", str(fleet.people), "--seed", str(fleet.seed),
            "--clock", fleet.clock, "--patience", str(fleet.patience), *there, *fleet.extra,
        ],
        "coordinator": ["coordinate", "--once", "--site", fleet.site, "--clock", fleet.clock, *served],
    }  # fmt: skip
    for host in range(fleet.hosts):
        words[f"host-{host}"] = [
            "robot", *site, "--robots", f"r[{host}:{fleet.robots}:{fleet.hosts}]", "--policy", str(home),
            "--blackbox" if fleet.blackbox else "--no-blackbox", "--patience", str(fleet.patience), *told, *after,
        ]  # fmt: skip
    return words


def play(fleet: Fleet, folder: Path, policy: Policy, home: Path, seconds: float) -> RunDirectory:
    """Run a fleet until so many seconds were simulated; raises RuntimeError when its clock stands still."""
    with running(fleet, folder, policy, home) as fleets:
        wait(fleets.coordinator, seconds)
        finish(fleets)
    return fleets.directory


def finish(fleet: Running) -> None:
    """End a fleet's plant, and let everybody write what they recorded."""
    fleet.plant.send(PLANT, Leave("that was all"), 0)
    deadline = time.monotonic() + 30.0
    while not (fleet.directory.root / "plant.json").exists() and time.monotonic() < deadline:
        fleet.plant.receive(0.05)
    time.sleep(2.0)


def ready(hosts: dict[Path, subprocess.Popen[bytes]]) -> None:
    """Until every host says in its log that its robots are; raises RuntimeError when one ends before."""
    deadline = time.monotonic() + 4 * PATIENCE
    while not all("robots ready" in log.read_text() for log in hosts):
        ended = [log.read_text() for log, process in hosts.items() if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"the hosts do not get ready: {ended[0] if ended else 'no word from one of them'}")
        time.sleep(0.2)


def wait(coordinator: FleetClient, seconds: float) -> None:
    """Until so much time was simulated."""
    stamp, moved = -1, time.monotonic()
    while stamp < seconds * 1e9:
        try:
            state = coordinator.query(timeout=5.0)
        except NoAnswerError:
            state = None
        now = time.monotonic()
        if state is not None and state.stamp != stamp:
            stamp, moved = state.stamp, now
        if now - moved > PATIENCE:
            raise RuntimeError(f"the fleet's clock stands at {stamp / 1e9:.1f} s")
        time.sleep(0.2)


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a process end by itself, else make it."""
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
