"""The run directory: where one run keeps all that it leaves behind, and what stands in each place.

    runs/<UTC time>-<6 hex>/
        run.json            arguments, resolved config, seed, versions, CPU features, clock mode
        fleet.key           the run's key, 32 random bytes as hex, mode 0600 (`muster keys`)
        serving-<robot>.json  swap.json  policies/<hash>/   what answers, what was asked for, what drove (`muster swap`)
        logs/<process>.log  parameters/<process>-<n>.yaml  tb/  checkpoints/  policy.onnx  policy.json
        blackbox/<robot>-<n>.mcap  plant.npz  tasks.sqlite  report.html  fleet.mp4  chase.mp4

One process makes the directory: the launch runner, or a command that runs alone. Every other process of the run finds
it in the environment variable MUSTER_RUN. Wall time appears in run.json and in the directory's name alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordination.requests import TaskState
from sim.errors import MusterError
from sim.files import FileError, write_atomic

ENVIRONMENT = "MUSTER_RUN"
"""The variable that hands a run directory to the processes of a launch."""

MOMENT = "%Y%m%dT%H%M%SZ"
"""How a run's name and `started` in run.json say when it began, UTC."""

RECORDED = (
    "muster",
    "numpy",
    "warp-lang",
    "onnxruntime",
    "msgspec",
    "pyzmq",
    "mcap",
    "mujoco",
    "mujoco-warp",
    "torch",
    "numba",
)
"""Distributions whose versions can change a result; those that are not installed are left out."""


class RunError(MusterError):
    """A run directory cannot be made or is not one."""


_made: list[RunDirectory] = []


@dataclass(frozen=True)
class RunDirectory:
    """Where each thing of a run lies: the folders exist from `create_run` on, the files once written."""

    root: Path

    @property
    def record(self) -> Path:
        """What ran, with which arguments and versions."""
        return self.root / "run.json"

    @property
    def key(self) -> Path:
        """The fleet key of this run."""
        return self.root / "fleet.key"

    @property
    def logs(self) -> Path:
        """Folder of <process>.log."""
        return self.root / "logs"

    @property
    def parameters(self) -> Path:
        """Folder of the parameter files that the launch file's `param` entries make; absent where there are none."""
        return self.root / "parameters"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard event files."""
        return self.root / "tb"

    @property
    def checkpoints(self) -> Path:
        """Folder of training checkpoints."""
        return self.root / "checkpoints"

    @property
    def blackbox(self) -> Path:
        """Folder of <robot>-<n>.mcap."""
        return self.root / "blackbox"

    @property
    def policy(self) -> Path:
        """The frozen policy; its manifest policy.json lies beside it."""
        return self.root / "policy.onnx"

    @property
    def tasks(self) -> Path:
        """The coordinator's SQLite store."""
        return self.root / "tasks.sqlite"

    @property
    def trace(self) -> Path:
        """What the plant saw: poses, contacts and rounds, for the report and the video."""
        return self.root / "plant.npz"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.root / "report.html"

    @property
    def video(self) -> Path:
        """The film of the fleet."""
        return self.root / "fleet.mp4"

    @property
    def chase(self) -> Path:
        """The film from behind one robot, where one was asked for."""
        return self.root / "chase.mp4"


def create_run(
    parent: Path = Path("runs"),
    *,
    arguments: Sequence[str] = (),
    config: Any = None,  # any dataclass or plain JSON value
    seed: int | None = None,
    clock: str = "lockstep",
    now: datetime.datetime | None = None,
) -> RunDirectory:
    """Make runs/<UTC time>-<6 hex>/ under `parent` with its folders and run.json. `now` is for tests."""
    moment = (now or datetime.datetime.now(datetime.UTC)).strftime(MOMENT)
    run = RunDirectory(Path(parent).absolute() / f"{moment}-{secrets.token_hex(3)}")
    try:
        run.root.parent.mkdir(parents=True, exist_ok=True)
        run.root.mkdir()
        for folder in (run.logs, run.tensorboard, run.checkpoints, run.blackbox):
            folder.mkdir()
    except OSError as error:
        raise RunError(
            f"cannot make the run directory {run.root}: {error.strerror}; choose a writable place"
        ) from error
    record = {
        "run": run.root.name,
        "started": moment,
        "arguments": list(arguments),
        "config": plain(config),
        "seed": seed,
        "clock": clock,
        "versions": versions(),
        "cpu": cpu(),
    }
    try:
        write_atomic(run.record, json.dumps(record, indent=2) + "\n")
    except FileError:
        _discard(run)
        raise
    _made.append(run)
    return run


def forget_run(run: RunDirectory) -> None:
    """Leave a run directory to others: `discard_unused` does not touch it any more."""
    _made.remove(run)


def discard_unused() -> tuple[RunDirectory, ...]:
    """Remove the run directories that this process made and in which nothing happened; returns them.

    Called when a command ends with an error of its user. One that the process did not make is never touched.
    """
    unused = tuple(run for run in _made if is_unused(run))
    for run in unused:
        _discard(run)
    _made.clear()
    return unused


AT_START = (
    r"run\.json|fleet\.key|logs/[^/]+\.log|parameters/[^/]+\.yaml|tasks\.sqlite(-wal|-shm|\.lock)?"
    r"|(robots|serving)-\w+\.json"
)
"""What processes leave that end before the first round; any other file is a result."""


BEGUN = (
    f"SELECT 1 FROM tasks WHERE state != {int(TaskState.QUEUED)}",
    "SELECT 1 FROM attempts",
    "SELECT 1 FROM grant_log",
    "SELECT 1 FROM latch WHERE stop_epoch != 0",
)
"""What a store finds once something happened: work begun or ended, ground granted, a stop."""


def is_unused(run: RunDirectory) -> bool:
    """Whether nothing was trained or driven in a run: no file but `AT_START`, no control step, no cell granted.

    Work that was submitted and that nobody has begun is no result. What cannot be read counts as used.
    """
    files = [path.relative_to(run.root).as_posix() for path in run.root.rglob("*") if not path.is_dir()]
    if not all(re.fullmatch(AT_START, file) for file in files):
        return False
    try:
        for path in run.root.glob("robots-*.json"):
            robots = json.loads(path.read_text(encoding="utf-8"))["robots"]
            if any(robot["steps"] for robot in robots.values()):
                return False
        if run.tasks.exists():
            with contextlib.closing(sqlite3.connect(f"file:{run.tasks}?mode=ro", uri=True)) as store:
                if store.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    return not any(store.execute(f"SELECT EXISTS ({query})").fetchone()[0] for query in BEGUN)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, sqlite3.Error):
        return False
    return True


def _discard(run: RunDirectory) -> None:
    shutil.rmtree(run.root, ignore_errors=True)
    with contextlib.suppress(OSError):  # runs/ too, if there is no other run in it
        run.root.parent.rmdir()


def open_run(path: Path) -> RunDirectory:
    """The run directory at `path`; `RunError` when there is no run.json in it."""
    run = RunDirectory(Path(path).absolute())
    if not run.record.is_file():
        raise RunError(f"{path} is not a run directory: it has no run.json; give one of the folders under runs/")
    return run


def join_run(
    parent: Path = Path("runs"),
    *,
    arguments: Sequence[str] = (),
    config: Any = None,  # any dataclass or plain JSON value
    seed: int | None = None,
    clock: str = "lockstep",
) -> RunDirectory:
    """The run that this process belongs to (MUSTER_RUN), or a new one under `parent` when it runs alone."""
    given = os.environ.get(ENVIRONMENT)
    if given:
        return open_run(Path(given))
    return create_run(parent, arguments=arguments, config=config, seed=seed, clock=clock)


def read_record(run: RunDirectory) -> dict[str, Any]:
    """run.json as written by `create_run` and `amend_record`."""
    try:
        return json.loads(run.record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {run.record}: {error}; it is written when a run starts") from error


def amend_record(run: RunDirectory, **entries: Any) -> None:
    """Add or replace top-level entries of run.json; the processes of a run take turns."""
    with _turn(run):
        write_atomic(run.record, json.dumps({**read_record(run), **plain(entries)}, indent=2) + "\n")


@contextlib.contextmanager
def _turn(run: RunDirectory) -> Iterator[None]:
    """A lock on the directory itself, which leaves no file behind; a process that dies gives it back."""
    try:
        handle = os.open(run.root, os.O_RDONLY)
    except OSError as error:
        raise FileError(f"cannot read {run.root}: {error.strerror}; it is made when a run starts") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: dataclasses become objects, paths and enums text or numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def versions() -> dict[str, str]:
    """Python, the system and every installed distribution of `RECORDED`."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu() -> dict[str, Any]:
    """What decides bits of floating-point results: architecture, model, instruction sets; and the number of cores."""
    model, flags = platform.processor(), []
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, content = line.partition(":")
            if name.strip() == "model name":
                model = content.strip()
            if name.strip() in ("flags", "Features"):  # x86 and ARM
                flags = sorted(set(content.split()))
                break
    except OSError:
        pass  # not Linux: the architecture alone is known
    vector = [flag for flag in flags if flag.startswith(("sse", "avx", "fma", "asimd", "sve", "amx"))]
    return {"machine": platform.machine(), "model": model, "features": vector, "cores": os.cpu_count()}
