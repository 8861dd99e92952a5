"""Campaigns of drives: many rows of 60 s each on unseen roads, in batches that a seed names, one JSON line per drive.

A drive is one row of a batch for 60 s (1,200 control steps), whatever episodes that takes: an episode that ends (a
contact, the goal, the road left) is followed by the next at once, on another road. Batch k of a campaign has roads,
draws and policy of its own, by k alone, so that batches run in any order and process. Lines are appended when a batch
is done; whoever begins again skips the batches that the file already has. What counts:

    contacts    by the judge (sim/driving/blame.py), each with episode, step and numbers
    outside     how far the body came over the edges of its lane and of those beside it that it may enter, m
    endings     of episodes; LEFT is off these lanes, or past the last lane that leads to the goal
    over        control steps faster than the limit at base_link allows, 0.5 m/s and 2 % off (a stop is no breach)

    python tests/benchmarks/drives.py drive_contacts [--out FILE] [--drives N] [--shard K/N]    run, or go on
    python tests/benchmarks/drives.py --replay LINE [--seconds 5]                  print a drive's last seconds before
                                                                                   its first contact at fault

LINE is a line of a file, or FILE:NUMBER. Learned policies are those of MUSTER_BENCH_DRIVING (drivepolicies.py); their
lines name them by `learned`, the hash of the manoeuvre policy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import numpy as np  # noqa: E402
from drivepolicies import driving_policies  # noqa: E402
from drivers import Driver, Floats, Proposals  # noqa: E402

from agents.driving import EVALUATION, training_atlas  # noqa: E402
from agents.layers import read_layers  # noqa: E402
from agents.policy import Policy  # noqa: E402
from safety.reason import Reason  # noqa: E402
from safety.roadshield import RoadShield  # noqa: E402
from sim.driving.contract import SKILLS  # noqa: E402
from sim.driving.env import RoadConfig, RoadEnv  # noqa: E402
from sim.driving.manoeuvre import Manoeuvres  # noqa: E402
from sim.driving.scene import RoadBody  # noqa: E402
from sim.driving.state import PATH_BEHIND, PathColumn  # noqa: E402
from sim.tasks.task import Ending  # noqa: E402
from sim.worlds import Step  # noqa: E402

WORLDS, STEPS, ROADS = 100, 1200, 6
"""Rows of a batch, control steps of a drive, roads of a batch (two of each kind)."""

PERIOD = 0.05
"""Control step, s."""

GENTLE = -1.0
"""m/s^2; who brakes harder than this is on the way to a lower limit."""

FULL_EVERY = 10
"""Of so many batches of a policy one drives the full body, the others the kinematic one."""


@dataclass(frozen=True)
class Campaign:
    """What a figure's drives are."""

    name: str
    policies: tuple[str, ...]
    first: int
    """Of the batches' seeds, so that no two campaigns share one"""
    unshielded: int = 0
    """Batches without a shield for every ten with one"""


CAMPAIGNS = {
    "drive_contacts": Campaign("drive_contacts", ("lane", "random", "learned"), 0),
    "drive_contacts_adversarial": Campaign(
        "drive_contacts_adversarial", ("random", "throttle", "worst", "wild"), 100_000, unshielded=1
    ),
}


@dataclass(frozen=True)
class Batch:
    """Everything that a batch follows from."""

    campaign: str
    number: int
    policy: str
    body: RoadBody
    shielded: bool
    seed: int
    worlds: int = WORLDS
    steps: int = STEPS


def batches(campaign: Campaign, drives: int, quick: bool = False) -> list[Batch]:
    """The batches of so many shielded drives, and of the share that goes without a shield.

    `quick`: one batch of each policy that need not be trained first, all with the kinematic body, and each without a
    shield too where that is asked.
    """
    policies = [each for each in campaign.policies if not (quick and each == "learned")]
    kinds = len(policies)
    size = max(drives // kinds, 1) if quick else WORLDS
    found = []
    for number in range(-(-drives // size)):
        policy, nth = policies[number % kinds], number // kinds
        body: RoadBody = "kinematic" if quick or (nth + 3 * (number % kinds)) % FULL_EVERY else "full"
        worlds = min(size, drives - size * number)
        seed = campaign.first + number
        found.append(Batch(campaign.name, number, policy, body, True, seed, worlds))
        if nth % 10 < campaign.unshielded:
            found.append(Batch(campaign.name, number, policy, body, False, seed, worlds))
    return found


def make_env(batch: Batch) -> RoadEnv:
    """The worlds of a batch; learned policies propose by their actions, all others what `Proposals` is told."""
    motor = read_layers(driving_policies() / "motor") if batch.policy == "learned" else None
    config = RoadConfig(skill="route", time_limit=batch.steps * 0.05, motor=motor)
    atlas = training_atlas(EVALUATION + ROADS * batch.seed, ROADS)
    shield = RoadShield(config.spec, config.profile) if batch.shielded else None
    return RoadEnv(
        atlas, config, worlds=batch.worlds, seed=batch.seed, body=batch.body, threads=1,
        filter=shield if batch.policy == "learned" else Proposals(shield),
    )  # fmt: skip


class Book:
    """What is kept of each row of a batch while it drives."""

    def __init__(self, batch: Batch, env: RoadEnv) -> None:
        rows = batch.worlds
        self.batch, self.env = batch, env
        self.tally = {name: np.zeros(rows, np.int64) for name in ("refused", "stored", "over")}
        self.metres, self.worst, self.outside = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        self.reasons: list[Counter[str]] = [Counter() for _ in range(rows)]
        self.endings: list[Counter[str]] = [Counter() for _ in range(rows)]
        self.contacts: list[list[dict]] = [[] for _ in range(rows)]
        self.episode, self.begun = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.seen = np.zeros(rows, np.int64)
        """Contacts of the episode that are written down"""
        plant, blame = env.plant, env.plant.judge.blame
        self.twist, self.accel, self.place = (
            plant.state.twist.numpy(),
            plant.motion.numpy(),
            plant.footing.place.numpy(),
        )
        self.lane, self.seen_lane = plant.footing.lane.numpy(), env.view.lane.numpy()
        self.path = env.view.path.numpy()[:, PATH_BEHIND]
        self.reason, self.margin = env.reason.numpy(), env.margin.numpy()
        self.many, self.ended_many = blame.many.numpy(), blame.ended_many.numpy()
        self.limit = self.path[:, PathColumn.LIMIT].copy()

    def step(self, step: int, outcome: Step) -> None:
        """After each control step; rows whose episodes ended are in their next one already."""
        v, gentle = self.twist[:, 0], self.accel[:, 0] > GENTLE
        ended = np.logical_or(outcome.terminated, outcome.truncated)
        self.metres += np.maximum(v, 0.0) * PERIOD * ~ended
        excess = v - 1.02 * np.maximum(self.limit, self.path[:, PathColumn.LIMIT]) - 0.5
        fast = gentle & ~ended & (excess > 0.0)
        self.tally["over"] += fast
        self.worst = np.maximum(self.worst, np.where(fast, excess, 0.0))
        self.limit[:] = self.path[:, PathColumn.LIMIT]
        self.outside = np.maximum(self.outside, np.where(ended, 0.0, self._over_edges()))
        if self.batch.shielded:
            self.tally["refused"] += self.reason > int(Reason.LIMITS)
            self.tally["stored"] += self.margin < 0.0
            for row in np.flatnonzero(self.margin < 0.0) if step % 20 == 0 else ():
                self.reasons[row][Reason(int(self.reason[row])).name] += 1
        for row in np.flatnonzero(np.where(ended, self.ended_many, self.many) > self.seen):
            self._write(step, int(row), bool(ended[row]))
        for row in np.flatnonzero(ended):
            self.endings[row][Ending(int(outcome.ending[row])).name] += 1
            self.episode[row] += 1
            self.begun[row], self.seen[row] = step + 1, 0

    def _over_edges(self) -> Floats:
        """How far the car's rear reaches over the edges of its lane and of those that it may enter, m."""
        half, left, right = 0.5 * self.env.spec.width, PathColumn.LEFT, PathColumn.RIGHT
        d, path = self.place[:, 1], self.path
        shoulder = np.where(path[:, PathColumn.RIGHT_LANE] > 0.0, 0.0, path[:, PathColumn.SHOULDER])
        over_left = d + half - path[:, left] - path[:, PathColumn.LEFT_LANE]
        over = np.maximum(over_left, half - d - path[:, right] - path[:, PathColumn.RIGHT_LANE] - shoulder)
        return np.where(self.lane == self.seen_lane, over, 0.0)  # the same border for both, or none at all

    def _write(self, step: int, row: int, ended: bool) -> None:
        for each in self.env.plant.judge.verdicts(row, ended=ended)[int(self.seen[row]) :]:
            told = {"class": each.blame.name, "slot": each.slot, "kind": each.kind.name}
            numbers = {name: round(getattr(each, name), 3) for name in ("speed", "accel", "other", "closing")}
            place = {"episode": int(self.episode[row]), "step": step, "since": step - int(self.begun[row])}
            self.contacts[row].append(told | place | numbers)
        self.seen[row] = self.many[row]

    def records(self) -> list[dict]:
        """One line per row."""
        batch = self.batch
        names = ("campaign", "number", "policy", "body", "shielded", "seed", "worlds")
        head = {name: getattr(batch, name) for name in names}
        if batch.policy == "learned":
            head["learned"] = Policy.load(driving_policies() / "manoeuvre").hash[:12]
        return [
            head
            | {"row": row, "metres": round(float(self.metres[row]), 1)}
            | {name: int(values[row]) for name, values in self.tally.items()}
            | {"worst_over": round(float(self.worst[row]), 2), "outside": round(float(self.outside[row]), 2)}
            | {"endings": dict(self.endings[row]), "reasons": dict(self.reasons[row]), "contacts": self.contacts[row]}
            for row in range(batch.worlds)
        ]


def play(batch: Batch, look: Callable[[int, RoadEnv, Step], bool] | None = None) -> list[dict]:
    """Drive a batch; one record per row. `look(step, env, outcome)` is called after each step; False ends the batch."""
    env = make_env(batch)
    book, drive = Book(batch, env), by_policies if batch.policy == "learned" else by_rule
    for step, outcome in enumerate(drive(env, batch)):
        book.step(step, outcome)
        if (look is not None and not look(step, env, outcome)) or step + 1 == batch.steps:
            break
    return book.records()


def by_rule(env: RoadEnv, batch: Batch) -> Iterator[Step]:
    """Control steps of a driver of tests/benchmarks/drivers.py."""
    driver, action = Driver(env, batch.policy, batch.seed), np.zeros((batch.worlds, 2), np.float32)
    filter = env.filter
    assert isinstance(filter, Proposals)
    assert filter.told is not None
    told = filter.told.numpy()
    env.reset()
    while True:
        if batch.policy != "lane":  # which says itself where to it wants
            driver.may_leave_lanes()
        told[...] = driver.propose()
        yield env.step(action)


def by_policies(env: RoadEnv, batch: Batch) -> Iterator[Step]:
    """Control steps of the frozen hierarchy: once a second a manoeuvre, in between the skill that it asks for."""
    policies = driving_policies()
    top, skills = Policy.load(policies / "manoeuvre"), {name: read_layers(policies / name) for name in SKILLS}
    choices = Manoeuvres(env, skills)
    choices.reset()
    while True:
        choices.choose(top.act(np.array(env.observation.numpy(), np.float32)))
        for k in range(choices.steps):
            yield choices.drive(k)


def read_lines(path: Path) -> list[dict]:
    """The records of a file; a last line that was cut off is left out. None for a file that is not there."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # what an interruption cut off; its batch runs again
    return found


def complete(records: Iterable[dict]) -> dict[tuple[int, bool], list[dict]]:
    """The batches that are whole, by number and whether they had a shield."""
    found: dict[tuple[int, bool], dict[int, dict]] = {}
    for record in records:
        found.setdefault((record["number"], record["shielded"]), {})[record["row"]] = record
    return {key: list(rows.values()) for key, rows in found.items() if len(rows) == next(iter(rows.values()))["worlds"]}


def run(campaign: Campaign, drives: int, out: Path, shard: tuple[int, int] = (0, 1), quick: bool = False) -> None:
    """Run what is missing of a shard's batches; lines of a batch are written at once, when it is done."""
    out.parent.mkdir(parents=True, exist_ok=True)
    done = complete(read_lines(out))
    for batch in batches(campaign, drives, quick)[shard[0] :: shard[1]]:
        if len(done.get((batch.number, batch.shielded), [])) == batch.worlds:
            continue
        start = time.perf_counter()
        records = play(batch)
        text = "".join(json.dumps(record) + "\n" for record in records)
        with out.open("a+b") as file:
            if file.tell() and not out.read_bytes().endswith(b"\n"):
                text = "\n" + text  # behind what an interruption cut off
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        faults = sum(c["class"] == "AT_FAULT" for record in records for c in record["contacts"])
        left = sum(record["endings"].get("LEFT", 0) for record in records)
        print(
            f"{campaign.name} {batch.number} {batch.policy} {batch.body} shielded={batch.shielded}: {faults} at fault, "
            f"{left} left, {batch.worlds / (time.perf_counter() - start):.2f} drives/s",
            file=sys.stderr,
            flush=True,
        )


def campaign_records(name: str, drives: int, out: Path, processes: int = 2, *, quick: bool = False) -> list[dict]:
    """Run a campaign in so many processes, and read it."""
    if "learned" in CAMPAIGNS[name].policies and not quick:
        os.environ["MUSTER_BENCH_DRIVING"] = str(driving_policies())  # trained once, if they must be, for all processes
    if processes == 1:
        run(CAMPAIGNS[name], drives, out, quick=quick)
    else:
        command = [sys.executable, str(HERE / "drives.py"), name, "--out", str(out), "--drives", str(drives)]
        workers = [subprocess.Popen([*command, "--shard", f"{k}/{processes}"]) for k in range(processes)]
        codes = [worker.wait() for worker in workers]
        if any(codes):
            raise RuntimeError(f"{name}: expected its processes to end well, got exit codes {codes}")
    wanted = {(b.number, b.shielded) for b in batches(CAMPAIGNS[name], drives, quick)}
    return [record for key, rows in complete(read_lines(out)).items() if key in wanted for record in rows]


def upper_95(faults: int, drives: int) -> float:
    """The exact (Clopper-Pearson) upper bound of the share of drives with a contact at fault, one-sided 95 %."""
    from scipy.stats import beta

    return 1.0 if faults >= drives else float(beta.ppf(0.95, faults + 1, drives - faults))


def summary(records: Sequence[dict]) -> str:
    """Contacts by class, and what else happened, for people."""
    shielded = [record for record in records if record["shielded"]]
    classes = Counter(c["class"] for record in shielded for c in record["contacts"])
    endings = sum((Counter(record["endings"]) for record in shielded), Counter[str]())
    reasons = sum((Counter(record["reasons"]) for record in shielded), Counter[str]())
    over = sum(record["over"] > 0 for record in shielded)
    return (
        f"{len(shielded)} drives with shield: contacts {dict(classes)}, endings {dict(endings)}, drives over the limit "
        f"{over}, stored plans by reason (1 step of 20) {dict(reasons)}"
    )


def replay(line: str, seconds: float) -> None:
    """Drive a line's batch again up to its first contact at fault (or its first departure) and print what led there."""
    if ":" in line and not line.lstrip().startswith("{"):
        path, _, number = line.rpartition(":")
        line = Path(path).read_text(encoding="utf-8").splitlines()[int(number) - 1]
    record = json.loads(line)
    row = record["row"]
    names = ("campaign", "number", "policy", "body", "shielded", "seed", "worlds")
    batch = Batch(**{name: record[name] for name in names})
    faults = [c for c in record["contacts"] if c["class"] == "AT_FAULT"] or record["contacts"]
    last = faults[0]["step"] if faults else None
    kept: list[str] = []

    def look(step: int, env: RoadEnv, outcome: Step) -> bool:
        kept.append(told_step(step, row, env, faults[0]["slot"] if faults else -1))
        del kept[: -round(seconds / 0.05)]
        left = last is None and outcome.ending[row] == Ending.LEFT
        return not left and (last is None or step < last)

    play(batch, look)
    print("\n".join(kept))
    print(json.dumps(faults))


def told_step(step: int, row: int, env: RoadEnv, slot: int) -> str:
    """One step of a row in words: car, commands, shield, and the actor in a slot."""
    plant, view = env.plant, env.view
    p, v = plant.state.pose.numpy()[row], plant.state.twist.numpy()[row]
    footing = plant.footing
    told, released = plant.state.proposed.numpy()[row], env.drive.released.numpy()[row]
    text = (
        f"{step} x {p[0]:.2f} y {p[1]:.2f} yaw {p[2]:.3f} v {v[0]:.2f} a {plant.motion.numpy()[row, 0]:.2f} lane "
        f"{footing.lane.numpy()[row]}/{view.lane.numpy()[row]} s {footing.place.numpy()[row, 0]:.1f} "
        f"d {footing.place.numpy()[row, 1]:.2f} told {told[0]:.2f} {told[1]:.4f} released {released[0]:.2f} "
        f"{released[1]:.4f} {Reason(int(env.reason.numpy()[row])).name} {env.margin.numpy()[row]:.2f}"
    )
    if slot >= 0:
        a = plant.actors
        q, m, s = a.pose.numpy()[row, slot], a.motion.numpy()[row, slot], a.size.numpy()[row, slot]
        lane, place = a.lane.numpy()[row, slot], a.place.numpy()[row, slot]
        text += (
            f" | {slot} kind {a.kind.numpy()[row, slot]} x {q[0]:.2f} y {q[1]:.2f} yaw {q[2]:.3f} v {m[0]:.2f} a "
            f"{m[1]:.2f} lane {lane} s {place[0]:.1f} d {place[1]:.2f} across {place[2]:.2f} size {s[0]:.1f} {s[1]:.1f}"
        )
        near = np.hypot(view.objects.numpy()[row, :, 0] - q[0], view.objects.numpy()[row, :, 1] - q[1])
        near[view.object_kind.numpy()[row] < 0] = np.inf
        j = int(near.argmin())
        seen, memory = view.objects.numpy()[row, j], env.filter_memory
        mode = memory.object_mode.numpy()[row, j] if hasattr(memory, "object_mode") else -1
        text += (
            f" seen {j} off {near[j]:.2f} age {seen[7]:.2f} v {seen[3]:.2f} lane {view.object_lane.numpy()[row, j]} "
            f"mode {mode}"
        )
    return text


def default_out(name: str) -> Path:
    """Where a campaign of this commit is kept."""
    from run import current_commit

    return HERE.parent.parent / "runs" / "drives" / f"{name}-{current_commit()}.jsonl"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Campaigns of drives, and replays of their lines.")
    parser.add_argument("campaign", nargs="?", choices=sorted(CAMPAIGNS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--drives", type=int, default=20_000)
    parser.add_argument("--shard", default="0/1", help="K/N: the K-th of N processes")
    parser.add_argument("--replay", metavar="LINE")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    from sim.device import start_warp

    start_warp()
    if options.replay:
        replay(options.replay, options.seconds)
        return 0
    if options.campaign is None:
        parser.error("expected a campaign or --replay LINE")
    shard, _, of = options.shard.partition("/")
    out = options.out or default_out(options.campaign)
    run(CAMPAIGNS[options.campaign], options.drives, out, (int(shard), int(of)))
    print(summary(read_lines(out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
