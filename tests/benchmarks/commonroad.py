"""commonroad: planning problems of recorded traffic that frozen policies solve, with the shield on.

The files of ../shared/data/driving/commonroad lie in one atlas. `loaded`: files that can be driven. `solved`: files of
which more than half of the drives solve their problem (sim/driving/problems.py, as `muster drive` judges them). Drives
of a file differ in what is drawn: noise, the car.

    python tests/benchmarks/commonroad.py --policies runs/RUN      also prints, for each file, how its drives went
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import numpy as np
from drivepolicies import driving_policies, run
from figure import Figure, NotHere

from agents.layers import read_layers
from agents.policy import Policy
from safety.reason import Reason
from safety.roadshield import RoadShield
from sim.driving.appointment import Appointments
from sim.driving.contract import SKILLS
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.manoeuvre import Manoeuvres
from sim.driving.problems import Problems, Standing, problem_env
from sim.driving.recorded import Recorded, from_commonroad
from sim.errors import MusterError
from sim.tasks.task import Ending

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "driving" / "commonroad"
WORLDS, SEED = 120, 1

LONGEST = 600.0
"""s; above every problem's own time, which ends its drives."""


@dataclass
class Drives:
    """How the drives of one file ended."""

    solved: int = 0
    when: list[float] = field(default_factory=list)
    otherwise: Counter[str] = field(default_factory=Counter)

    @property
    def many(self) -> int:
        """Drives."""
        return self.solved + self.otherwise.total()


def measure(quick: bool) -> Iterable[Figure]:
    """Both parts; the full size is the quick one."""
    if not FILES.exists():
        raise NotHere("needs ../shared/data/driving/commonroad")
    paths, recordings = sorted(FILES.glob("*.xml")), list[Recorded]()
    for path in paths:
        try:
            recordings.append(from_commonroad(path))
        except MusterError as error:
            print(error, file=sys.stderr)
    yield Figure("loaded", len(recordings), "1", "files", len(paths))
    found = drive(recordings, driving_policies())
    for recording, drives in zip(recordings, found, strict=True):
        told = ", ".join(f"{count} x {why}" for why, count in drives.otherwise.most_common(3))
        when = f"at {np.mean(drives.when):.1f} s" if drives.when else ""
        print(f"{recording.name:40} {drives.solved:3}/{drives.many:<3} {when:10} {told}", file=sys.stderr)
    solved = sum(2 * each.solved > each.many for each in found)
    yield Figure("solved", solved, "1", "files", len(paths))


def drive(recordings: list[Recorded], policies: Path) -> list[Drives]:
    """Every world drives the recording of the road that it drew, once."""
    motor = read_layers(policies / "motor") if (policies / "motor" / "policy.json").exists() else None
    config = RoadConfig(skill="route", motor=motor, time_limit=LONGEST)
    env = problem_env(recordings, config, worlds=WORLDS, seed=SEED, filter=RoadShield(config.spec, config.profile))
    skills = {name: read_layers(policies / name) for name in SKILLS}
    top = Policy.load(policies / "manoeuvre")
    choices = Manoeuvres(env, skills, appointments=Appointments(env, recordings))
    choices.reset()
    problems, found = Problems(env, recordings), [Drives() for _ in recordings]
    road = [int(number) for number in env.plant.road.numpy()]

    def watch() -> None:
        standing = problems.look()
        for row in map(int, np.flatnonzero(standing)):
            drives = found[road[row]]
            if standing[row] == Standing.SOLVED:
                drives.solved += 1
                drives.when.append(problems.time)
            else:
                drives.otherwise[why(env, row, Standing(int(standing[row])))] += 1

    choices.watch = watch
    while not problems.over:
        choices.step(top.act(np.array(env.observation.numpy(), np.float32)))
    return found


def why(env: RoadEnv, row: int, standing: Standing) -> str:
    """What a drive that has just failed failed by, for people."""
    if standing == Standing.ENDED:
        ending = Ending(int(env.task.outcome.ending.numpy()[row])).name.lower()
        blames = [f"{each.blame.name} {each.kind.name}" for each in env.plant.judge.verdicts(row, ended=True)]
        return " ".join([ending, *blames[:1]])
    if standing == Standing.STRUCK:
        return "struck while standing"
    refused = Reason(int(env.reason.numpy()[row])).name.lower()
    return f"too late, {env.plant.footing.left.numpy()[row]:.0f} m left, shield {refused}"


if __name__ == "__main__":
    run(measure)
