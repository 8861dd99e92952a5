"""commonroad: planning problems of recorded traffic that frozen policies solve, with the shield on.

The files of ../shared/data/driving/commonroad lie in one atlas; what others did is played as recorded, and reacts to
nobody. `loaded`: files that can be driven. `solved`: files of which more than half of the drives reach the goal as it
is stated (time, place, heading, speed) without any contact and without leaving the road. Drives of a file differ in
what is drawn: noise, the car. Where a goal states no place, or a problem no goal, its whole time must be driven.

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
from sim.driving.atlas import Atlas
from sim.driving.contract import SKILLS
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.manoeuvre import Manoeuvres
from sim.driving.plant import RoadPlant
from sim.driving.recorded import AFTER, Recorded, from_commonroad, recorded_places
from sim.driving.replay import Replay
from sim.errors import MusterError
from sim.tasks.task import Ending

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "driving" / "commonroad"
WORLDS, SEED, PERIOD = 120, 1, 0.05


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


def asked(recording: Recorded) -> tuple[bool, float]:
    """Whether a problem asks for a place, and until when it lasts, s."""
    goals = recording.problem.goals
    return any(goal.areas or goal.lanes for goal in goals), recording.duration - AFTER


def drive(recordings: list[Recorded], policies: Path) -> list[Drives]:
    """Every world drives the recording of the road that it drew, once."""
    atlas = Atlas([each.road for each in recordings], routes=[[each.plan] for each in recordings])
    motor = read_layers(policies / "motor") if (policies / "motor" / "policy.json").exists() else None
    longest = max(each.duration for each in recordings)
    config = RoadConfig(skill="route", traffic=0, walkers=0, motor=motor, time_limit=longest + 1.0)
    replays: list[Replay] = []

    def movers(plant: RoadPlant) -> list[Replay]:
        replays.append(Replay(recordings, atlas, plant.actors, road=plant.road))
        return replays

    env = RoadEnv(
        atlas, config, worlds=WORLDS, seed=SEED, filter=RoadShield(config.spec, config.profile), open_ended=True,
        places=recorded_places(recordings, config.spec.middle), movers=movers,
        slots=max(len(each.actors) for each in recordings),
    )  # fmt: skip
    skills = {name: read_layers(policies / name) for name in SKILLS}
    top = Policy.load(policies / "manoeuvre")
    choices = Manoeuvres(env, skills, appointments=Appointments(env, recordings))
    choices.reset()
    road, replay = [int(number) for number in env.plant.road.numpy()], replays[0]
    asks = [asked(recordings[number]) for number in road]
    found, over = [Drives() for _ in recordings], np.zeros(WORLDS, bool)
    step = 0

    def watch() -> None:
        nonlocal step
        step += 1
        time, outcome = step * PERIOD, env.task.outcome
        ended, ending = outcome.ended.numpy(), outcome.ending.numpy()
        reached, bumped = replay.reached.numpy(), env.state.bumped.numpy()
        for row in map(int, np.flatnonzero(~over)):
            place, end = asks[row]
            drives = found[road[row]]
            if ended[row]:
                why = Ending(int(ending[row])).name.lower()
                blames = [f"{each.blame.name} {each.kind.name}" for each in env.plant.judge.verdicts(row, ended=True)]
                drives.otherwise[" ".join([why, *blames[:1]])] += 1
            elif bumped[row]:
                drives.otherwise["struck while standing"] += 1
            elif (place and reached[row]) or (not place and time >= end):
                drives.solved += 1
                drives.when.append(time)
            elif time > end + 2 * PERIOD:
                refused = Reason(int(env.reason.numpy()[row])).name.lower()
                drives.otherwise[f"too late, {env.plant.footing.left.numpy()[row]:.0f} m left, shield {refused}"] += 1
            else:
                continue
            over[row] = True

    choices.watch = watch
    while not over.all():
        choices.step(top.act(np.array(env.observation.numpy(), np.float32)))
    return found


if __name__ == "__main__":
    run(measure)
