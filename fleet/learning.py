"""What the commands that train have in common: where they learn, what they draw from, how they are watched.

`muster train` and `muster hierarchy` read `--device`, `--spec`, `--randomization` and `--curriculum` by these
functions, so that one value means one thing and is refused in the same words wherever it is given.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fleet.progress import progress_bar
from fleet.rundir import RunDirectory, amend_record
from sim.errors import MusterError

if TYPE_CHECKING:
    from agents.curriculum import Curriculum, CurriculumName
    from agents.device_rollout import DeviceEnvironment
    from agents.evaluation import HeldOut, Meter
    from agents.progress import Outcome, Progress
    from agents.trainer import Trainer
    from fleet.metrics import TrainingMetrics
    from sim.driving.env import RoadConfig
    from sim.env import BatchEnv
    from sim.robot import RobotSpec
    from sim.tasks.task import TaskConfig

Config = TypeVar("Config", bound="TaskConfig | RoadConfig")
Task = TypeVar("Task", bound="TaskConfig")

NOMINAL = "nominal"
"""What `--randomization` is where nothing shall vary, instead of a file."""


def check_seconds(seconds: float) -> None:
    """Raise TrainingError for a budget of wall time (s) that is none."""
    from agents.errors import TrainingError

    if not (math.isfinite(seconds) and seconds > 0.0):
        raise TrainingError(f"--seconds: expected a finite time above 0 s, got {seconds:g}; give for example 1200")


def device_named(name: str) -> str:
    """The device of `--device` as torch and Warp know it: cpu or cuda:N.

    Raises TrainingError for another name, and where there is no such device.
    """
    from agents.errors import TrainingError

    if name == "cpu":
        return name
    kind, _, number = name.partition(":")
    if kind == "cuda" and (number or "0").isdecimal():
        import torch  # takes seconds: only where a device is asked for

        if int(number or "0") < torch.cuda.device_count():
            return f"cuda:{number or '0'}"
    raise TrainingError(f'--device: expected device cpu, or cuda where there is one, got "{name}"; train on cpu')


def check_ranges(file: str) -> None:
    """Raise VaryError or FileError for a `--randomization` file that cannot be read or has no rows.

    Empty is no file, `NOMINAL` neither.

    Which rows it may name, and how far they reach, the tasks say (`varied`): they take seconds to import.
    """
    from sim.strictyaml import Reader
    from sim.vary import VaryError

    if file and file != NOMINAL:
        with of_randomization():
            Reader(Path(file), VaryError).root(required=("rows",), optional=())


def varied(task: Config, file: str, elsewhere: Collection[str] = ()) -> Config:
    """A task with the ranges of a `--randomization` file; as it is where that is empty.

    With `NOMINAL` nothing varies: errors, delays and loads are off, every other row has its nominal value.
    Rows named in `elsewhere` are other tasks' and left to them. Raises VaryError where ranges are out of bounds.
    """
    from sim.vary import nominal
    from sim.varyfile import read_changes

    if not file:
        return task
    if file == NOMINAL:
        still = replace(task, randomization=replace(task.randomization, level=0.0))
        return replace(still, randomization=still.randomization.also(nominal(still.table())))
    with of_randomization():
        changes = read_changes(Path(file), task.table(), elsewhere)
    return replace(task, randomization=task.randomization.also(changes))


@contextlib.contextmanager
def of_randomization() -> Iterator[None]:
    """Errors within begin with the option."""
    try:
        yield
    except MusterError as error:
        raise type(error)(f"--randomization: {error}") from error


def driven_by(task: Task, spec: RobotSpec) -> Task:
    """A task of another robot, with the task's own rays: a policy sees the nearest of each sector, more only cost time.

    Raises SpecError for a car, which `muster driving-train` trains.
    """
    _ = spec.diff
    return replace(task, spec=replace(spec, lidar=replace(spec.lidar, rays=task.spec.lidar.rays)))


def make_curriculum(name: CurriculumName, lanes: Sequence[BatchEnv]) -> Curriculum | None:
    """The curriculum of lanes that were made to count for it; None for "none"."""
    from agents.curriculum import Curriculum, CurriculumConfig

    return None if name == "none" else Curriculum(CurriculumConfig(name), lanes[0].table)


def held_out_on(
    environments: Sequence[DeviceEnvironment], episodes: int, device: str, meters: Sequence[Meter] | None = None
) -> HeldOut:
    """Held-out checks of environments that live on `device`; `meters` measure one each."""
    from agents.device_rollout import OnHost
    from agents.evaluation import HeldOut

    seen: Sequence[Any] = environments if device == "cpu" else [OnHost(each) for each in environments]
    return HeldOut(seen, episodes, meters)


def run_watched(trainer: Trainer, name: str, level: str, metrics: TrainingMetrics) -> Outcome:
    """Train to the end, with a bar (or lines of a log) called `name`, the metrics of `level`, and how its steps run."""
    with progress_bar(name, trainer.config.seconds, trainer.config.steps) as bar:

        def report(progress: Progress) -> None:
            bar.show(progress)
            held_out = math.nan if progress.held_out is None else progress.held_out.success
            counts = {"diverged": progress.diverged, "success": progress.success, "held_out": held_out}
            metrics.show(level, progress.steps, progress.seconds, **counts)

        return trainer.run(telling(trainer, level, report))


def telling(trainer: Trainer, level: str, report: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """`report`, and after the first iteration how the steps run: printed, and kept in the run's header (run.json).

    There as `simulation_<level>`, in the trainer's directory or a run above it; a directory of no run keeps it in the
    frozen policy's manifest alone. Not before: a graph is captured at the second step, and only then is it known
    whether that succeeded.
    """
    told = False

    def tell(progress: Progress) -> None:
        nonlocal told
        if not told:
            told = True
            for line in trainer.simulation:
                print(f"simulation: {line}", flush=True)
            for place in (trainer.directory, *list(trainer.directory.parents)[:2]):
                if RunDirectory(place).record.is_file():
                    amend_record(RunDirectory(place), **{f"simulation_{level}": trainer.simulation})
                    break
        report(progress)

    return tell
