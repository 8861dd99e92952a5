"""`muster coordinate` as a process: readiness, restarts, stops, and what it says when it cannot work."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from coordination.client import FleetClient, RefusedError, new_task_id
from coordination.keys import ensure_keys, new_keys, read_keys
from coordination.messages import Leg, LegKind
from coordination.requests import Task
from coordination.serve import Config, sockets
from coordination.zmq_transport import ZmqClient, ZmqServer
from fleet.cli import main
from sim.compiled import write_site
from sim.robot import SECOND
from sim.site import make_site
from tests.coordination.puppets import free_port, make_floor

ROOT = Path(__file__).parents[2]

LIMITED = """
import resource, sys
from fleet.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@contextlib.contextmanager
def coordinator(folder: Path, address: str, *, file_limit: int = 0, clock: str = "wall") -> Iterator[subprocess.Popen]:
    """A real process that has said that it is ready; killed at the end if it still lives."""
    if not (folder / "floor.npz").exists():
        write_site(make_floor(), folder / "floor.npz")
    arguments = ["coordinate", "--site", str(folder / "floor.npz"), "--run", str(folder), "--address", address]
    start = ["-c", LIMITED, str(file_limit)] if file_limit else ["-m", "fleet.cli"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *start, *arguments, "--clock", clock],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert select.select([process.stdout], [], [], 60.0)[0], "not ready within 60 s"
        line = process.stdout.readline()
        if clock == "wall":
            assert line.startswith(f"coordinator ready on {address}"), line + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def client(folder: Path, address: str) -> Iterator[FleetClient]:
    end = ZmqClient("client", "coordinator", read_keys(folder / "fleet.key"), address)
    try:
        yield FleetClient(end)
    finally:
        end.close()


def make_tasks(count: int) -> list[Task]:
    return [Task(new_task_id(), (Leg(2, LegKind.FETCH), Leg(4, LegKind.DELIVER))) for _ in range(count)]


def test_a_killed_coordinator_goes_on_where_it_stood_and_a_terminated_one_ends_cleanly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    key = ["--key", str(tmp_path / "fleet.key")]
    tasks = make_tasks(3)
    with coordinator(tmp_path, address) as process, client(tmp_path, address) as fleet:
        assert fleet.submit(tasks) == tuple(task.id for task in tasks)
        fleet.cancel(tasks[0].id)
        with pytest.raises(RefusedError, match="CANCELLED already"):
            fleet.cancel(tasks[0].id)
        with pytest.raises(RefusedError, match="no free cell"):
            fleet.submit([Task(new_task_id(), (Leg(13, LegKind.VISIT),))])
        (tmp_path / "broken.key").write_text("no key")
        broken = ["--key", str(tmp_path / "broken.key")]
        assert main(["estop", "raise", "--reason", "drill", "--address", address, *broken]) == 0
        process.send_signal(signal.SIGKILL)
        assert process.wait(10.0) == -signal.SIGKILL
    with coordinator(tmp_path, address) as process, client(tmp_path, address) as fleet:
        state = fleet.query()
        assert (state.counts["QUEUED"], state.counts["CANCELLED"]) == (2, 1)
        assert (state.stopped, state.stop_epoch) == (True, 1)
        assert fleet.submit(tasks) == tuple(task.id for task in tasks), "known tasks are acknowledged again"
        assert fleet.query().counts == state.counts
        capsys.readouterr()
        assert main(["estop", "show", "--address", address, *key]) == 0
        assert "emergency stop 1 is latched" in capsys.readouterr().out
        assert main(["estop", "reset", "--epoch", "2", "--address", address, *key]) == 2
        assert "stop 2 is not the one that stands" in capsys.readouterr().err
        assert main(["estop", "reset", "--epoch", "1", "--address", address, *key]) == 0
        assert not fleet.query().stopped
        process.send_signal(signal.SIGTERM)
        assert process.wait(10.0) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not (tmp_path / "tasks.sqlite-wal").exists(), "a clean end leaves one file"


def test_a_full_disk_is_told_to_the_asker_and_ends_the_process_with_one_line(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with coordinator(tmp_path, address, file_limit=400_000) as process, client(tmp_path, address) as fleet:
        accepted: list[str] = []
        error = ""
        for _ in range(200):
            try:
                accepted += fleet.submit(make_tasks(40), timeout=5.0)
            except RefusedError as refusal:
                error = str(refusal)
                break
        assert "not stored" in error
        assert "the disk takes no more" in error
        assert process.wait(10.0) == 2
        assert process.stderr is not None
        said = process.stderr.read()
        assert said.count("\n") == 1
        assert said.startswith("muster: cannot write")
    with coordinator(tmp_path, address), client(tmp_path, address) as fleet:
        assert fleet.query().counts["QUEUED"] == len(accepted)


def test_a_port_in_use_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_site(make_floor(), tmp_path / "floor.npz")
    arguments = ["coordinate", "--site", str(tmp_path / "floor.npz"), "--run", str(tmp_path), "--clock", "wall"]
    taken = ZmqServer("other", ensure_keys(tmp_path / "fleet.key"))
    try:
        assert main([*arguments, "--address", taken.address]) == 2
    finally:
        taken.close()
    said = capsys.readouterr().err
    assert "in use by another process" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("site", "no_such.map"),
        ("unreachable", "stations"),
        ("store", "damaged"),
        ("key", "no key file"),
        ("lockstep", "needs the plant's address"),
        ("folder", "cannot write"),
    ],
)
def test_what_it_cannot_work_with_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, expected: str
) -> None:
    site, run, clock = tmp_path / "floor.npz", tmp_path, "wall"
    floor = make_floor()
    if change == "unreachable":
        floor = make_site("walled", floor.blocked, stations=[13])
    write_site(floor, site)
    if change == "site":
        site = tmp_path / "no_such.map"
    elif change == "store":
        (tmp_path / "tasks.sqlite").write_bytes(b"\xa5" * 8192)
    elif change == "key":
        (tmp_path / "fleet.key").touch(0o600)
    elif change == "lockstep":
        clock = "lockstep"
    elif change == "folder":
        run = tmp_path / "nowhere"
    arguments = ["--site", str(site), "--run", str(run), "--clock", clock, "--address", "tcp://127.0.0.1:*"]
    assert main(["coordinate", *arguments]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("name", "clock"), [("system", time.time_ns), ("monotonic", time.monotonic_ns)])
def test_without_a_plant_the_sites_time_is_the_one_that_was_asked_for(
    name: Literal["system", "monotonic"], clock: Callable[[], int]
) -> None:
    """Robots behind ROS 2 stamp their reports with the system's clock, however the coordinator is reached."""
    with contextlib.ExitStack() as stack:
        links = sockets(Config(address="tcp://127.0.0.1:*", clock="wall", time=name), stack, new_keys())
        stack.callback(links.server.close)
        assert abs(links.moment() - clock()) < SECOND
