"""`muster rollout-demo`: two candidates for a fleet of sixty simulated robots, from draft to their verdicts.

One is planted to be worse (slower, and nearer to people), one to be better; nobody is told which. Both are policy files
with manifests in a registry, and go the same way: estimates from logs of the old release, simulated missions, shadow,
closed course, then 1, 5, 25, 50 and 100 % of the fleet. Every mission is driven by `fleet.control.step` on the planar
body; each robot drives by what its lease says; the judge alone decides. The signatures of the closed course are the
demo's own: on a floor people give them.

What lies in the run: registry/, releases/<id>/, rollout.sqlite, missions.jsonl, verdicts/ of the rollout that goes on,
those of one that ended under rollouts/<name>/, and report.html.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agents.policy import Policy
from coordination.keys import Keys, ensure_keys
from fleet.judge.settings import Guardrail, Settings
from fleet.registry.store import Registry
from fleet.rollout import gates, makers, trials
from fleet.rollout.assign import BASELINE, CANDIDATE
from fleet.rollout.authority import Signed, sign
from fleet.rollout.command import target
from fleet.rollout.conduct import Conductor
from fleet.rollout.events import FILE, Store
from fleet.rollout.floor import LANES, LENGTH, Told, Wave, base, drive, names, quiet, zone_site
from fleet.rollout.lease import Lessee, Lessor
from fleet.rollout.leasing import RELEASES
from fleet.rollout.pinned import made, name_production, pinned
from fleet.rollout.plan import DRIVEN, Course, Plan, RolloutError, Share, Stage, stage_name
from fleet.rollout.record import Started, State
from fleet.rollout.show import Chapter, introduction, write_report
from fleet.rundir import join_run
from sim.robot import SECOND, RobotSpec

SHARES = (
    Share(0.01, 1, 2, 0.0, False),
    Share(0.05, 2, 6, 0.0, False),
    Share(0.25, 0, 30, 0.0, True),
    Share(0.50, 0, 30, 0.0, True),
    Share(1.00, 0, 57, 0.0, True),
)
"""Stages as long as a demo can wait for: missions instead of days."""
SETTINGS = Settings(
    guardrails=(
        Guardrail("interventions", "rate", 0.15, 2.0, 0.06),
        Guardrail("contacts", "rate", 0.15, 2.0, 0.06),
        Guardrail("near_misses", "rate", 0.25, 2.0, 0.30),
        Guardrail("undone", "rate", 0.05, 2.0, 0.06),
        Guardrail("time", "mean", 0.30, 1.1),
        Guardrail("energy", "mean", 0.05, 1.2),
        Guardrail("latency", "mean", 0.05, 3.0),
    ),
    alpha=0.01,
)
"""As the judge's own, with the slack and weights of a fleet that drives some hundred missions in all; latency is that
of many simulated robots on one machine."""
MISSIONS = 2400
"""In the fleet's stages at most, for each candidate: twice what a good one needs."""
CHANGE = 2 * SECOND
"""ns of site time between two waves"""
SIGNERS = ("operator_anna", "operator_bert")
TRIALS = 100_000
"""Waves of trials are numbered from here: other people than in the fleet's."""


@dataclass(frozen=True)
class Config:
    """Bring two candidates to a simulated fleet: one is caught, one reaches all of it."""

    first: Path | None = None
    """Directory of a policy in place of the one that is planted to be worse"""
    second: Path | None = None
    """Directory of a policy in place of the one that is planted to be better; "none" leaves it out"""
    zones: int = 6
    """Zones of ten robots"""
    workers: int = 0
    """Processes that simulate; as many as cores, four at most, if not given"""
    seed: int = 1
    """Of people and sensors"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise RolloutError or PolicyError for what cannot work."""
    if not 1 <= config.zones <= 100:
        raise RolloutError(f"--zones: expected 1 to 100 zones, got {config.zones}; the demo's fleet has 6")
    if config.workers < 0:
        raise RolloutError(f"--workers: expected 0 or more processes, got {config.workers}; leave it out")
    for place in (config.first, config.second):
        if _given(place):
            Policy.load(Path(str(place)))


def run(config: Config) -> int:
    """Both rollouts; 0 when the first was taken back by itself and the second confirmed."""
    check(config)
    directory = join_run(arguments=sys.argv, config=config)
    keys = ensure_keys(directory.key)
    places = {
        "baseline": made(directory.root, "baseline", makers.BASELINE),
        "first": config.first if _given(config.first) else made(directory.root, "first", makers.REGRESSED),
        "second": config.second if _given(config.second) else made(directory.root, "second", makers.GOOD),
    }
    print(f"fleet: {config.zones * LANES} robots in {config.zones} zones; a mission is {LENGTH - 3} cells of a lane")
    print(f"planted: first {makers.REGRESSED}, second {makers.GOOD}, baseline {makers.BASELINE}")
    stages = ", ".join(f"{share.robots:.0%} {share.missions}" for share in SHARES)
    print(f"stages, with the candidate's missions at least: {stages}; false rollbacks at most {SETTINGS.alpha:.0%}")
    ends = []
    given = {name: str(place) for name, place in (("first", config.first), ("second", config.second)) if _given(place)}
    count = config.workers or min(4, os.cpu_count() or 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=quiet) as pool:
        fleet = _Fleet(directory.root, keys, config, pool, intro=introduction(config.zones, LANES, given))
        fleet.report()
        print(f"page, which renews itself: {directory.report}", flush=True)
        baseline = pinned(directory.root, keys, "baseline", Path(str(places["baseline"])))
        for name in ("first", "second"):
            if name == "second" and str(config.second) == "none":
                continue
            candidate = pinned(directory.root, keys, name, Path(str(places[name])), baseline)
            state = fleet.rollout(name, candidate, baseline)
            ends.append(state.status)
        fleet.report(running=False)
    print(
        f"{fleet.driven} missions in {time.monotonic() - fleet.began:.0f} s ({fleet.seconds:.0f} s of CPU for "
        f"{fleet.steps} control steps with their plant); {directory.report}",
        flush=True,
    )
    return 0 if ends == ["rolled_back", "confirmed"][: len(ends)] else 1


@dataclass
class _Fleet:
    """Owns the simulated fleet, its clock, and the run's registry."""

    root: Path
    keys: Keys
    config: Config
    pool: ProcessPoolExecutor
    now: int = field(default_factory=time.time_ns)
    """Site clock, ns"""
    intro: str = ""
    chapters: list[Chapter] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    driven: int = 0
    seconds: float = 0.0
    steps: int = 0

    def rollout(self, name: str, candidate: str, baseline: str) -> State:
        """One candidate's way, to its end."""
        store = Store(self.root / FILE, self.keys, lambda: self.now)
        registry = Registry(self.root / "registry", read_only=True)
        try:
            new, old = target(registry, candidate), target(registry, baseline)
        finally:
            registry.close()
        lessor = Lessor()
        conductor = Conductor(self.root, store, SETTINGS, lessor, partial(name_production, self.root, self.keys))
        robots = names(self.config.zones)
        plan = Plan(shares=SHARES, course=_course())
        conductor.take(Started(stamp=0, rollout=name, candidate=new, baseline=old, robots=robots, plan=plan, by="demo"))
        print(f"\n{name}: candidate {candidate[:12]} for {baseline[:12]}", flush=True)
        chapter = Chapter(name, candidate, baseline, began=self.now, zones=robots)
        self.chapters.append(chapter)
        self._try_out(conductor, chapter)
        if conductor.state.stage is Stage.COURSE:
            self._drive_course(conductor, chapter)
        lessees = {robot: Lessee() for robot in robots}
        for number in range(math.ceil(MISSIONS / len(robots))):
            if conductor.state.stage not in DRIVEN or conductor.state.final:
                break
            self._wave(conductor, lessees, number)
            before = conductor.state
            state = conductor.look()
            self._tell(chapter, before, state, conductor)
            if state.stage is Stage.PART_100 and state.passed and not state.final:
                self._order(conductor, "confirm", SIGNERS[0], reason="100 % shown")
                self._tell(chapter, state, conductor.state, conductor)
        state = conductor.state
        chapter.verdict, chapter.end = conductor.verdict, f"{state.status.replace('_', ' ')}: {state.reason}"
        print(f"  {name}: {chapter.end}", flush=True)
        self._put_away(name)
        return state

    def _try_out(self, conductor: Conductor, chapter: Chapter) -> None:
        """Offline, suite and shadow: one wave or two of each."""
        state, spec = conductor.state, RobotSpec()
        place = self._place(state.candidate.release)
        logged = self._all((0, 1), state, False, explore=True).logged
        self._gate(conductor, chapter, Stage.OFFLINE, trials.offline(logged, Policy.load(place), spec))
        if conductor.state.stage is Stage.SUITE:
            waves = range(2, 2 + math.ceil(gates.FEWEST / len(state.robots)))
            self._gate(conductor, chapter, Stage.SUITE, gates.suite(self._all(waves, state, True).missions))
        if conductor.state.stage is Stage.SHADOW:
            waves = range(20, 20 + math.ceil(trials.BESIDE / len(state.robots)))
            pairs = self._all(waves, state, False, shadow=str(place)).pairs
            self._gate(conductor, chapter, Stage.SHADOW, trials.shadow(pairs))

    def _drive_course(self, conductor: Conductor, chapter: Chapter) -> None:
        """The named robots alone, within the course's fence and speed; then two sign."""
        course, release = conductor.state.plan.course, conductor.state.candidate.release
        lanes = [number for number in range(LANES) if f"r{number:02d}" in course.robots]
        place = str(self._place(release))
        places = tuple(place if lane in lanes else "" for lane in range(LANES))
        wave = Wave(
            0, TRIALS + 12, self.now, self.config.seed, places, (release,) * LANES, (CANDIDATE,) * LANES, course=course
        )
        told = self._driven([wave])
        done = sum(mission.done is True and not mission.contacts for mission in told.missions)
        reason = f"{done} of {len(lanes)} robots came through inside of the fence at {course.speed:g} m/s at most"
        if done < len(lanes):
            self._order(conductor, "rollback", SIGNERS[0], reason=f"closed course: {reason}")
            return
        for number, item in enumerate(course.checklist):
            self._order(conductor, "sign", SIGNERS[number % 2], item=item)
        before = conductor.state
        self._order(conductor, "promote", SIGNERS[0], reason=reason)
        self._tell(chapter, before, conductor.state, conductor)

    def _wave(self, conductor: Conductor, lessees: dict[str, Lessee], number: int) -> None:
        """One mission of every robot, each by its lease."""
        state = conductor.state
        for robot, lessee in lessees.items():
            ask = lessee.ask(self.now, "")
            if ask is not None:
                lessee.take(conductor.lessor.answer(robot, ask), self.now)
        drives = {robot: lessee.release(self.now) or state.baseline.release for robot, lessee in lessees.items()}
        leased = {robot for robot in lessees if drives[robot] == state.candidate.release}
        without = {robot: BASELINE if arm == CANDIDATE else arm for robot, arm in state.arms.items()}
        arms = {robot: CANDIDATE if robot in leased else without[robot] for robot in lessees}
        waves = []
        for zone in range(self.config.zones):
            mine = [f"r{zone * LANES + lane:02d}" for lane in range(LANES)]
            waves.append(
                Wave(
                    zone,
                    number,
                    self.now,
                    self.config.seed,
                    tuple(str(self._place(drives[robot])) for robot in mine),
                    tuple(drives[robot] for robot in mine),
                    tuple(arms[robot] for robot in mine),
                )
            )
        conductor.heard(self._driven(waves).missions)

    def _all(
        self, numbers: Iterable[int], state: State, candidate: bool, *, shadow: str = "", explore: bool = False
    ) -> Told:
        """Waves of trials of the whole fleet by one release."""
        release = state.candidate.release if candidate else state.baseline.release
        places, arm = (str(self._place(release)),) * LANES, CANDIDATE if candidate else "baseline"
        told = Told()
        for number in numbers:
            waves = [
                Wave(
                    zone,
                    TRIALS + number,
                    self.now,
                    self.config.seed,
                    places,
                    (release,) * LANES,
                    (arm,) * LANES,
                    shadow=shadow,
                    explore=explore,
                )
                for zone in range(self.config.zones)
            ]
            told.add(self._driven(waves))
        return told

    def _driven(self, waves: list[Wave]) -> Told:
        """Simulate; the site clock goes on by the longest mission."""
        told = Told()
        for one in self.pool.map(drive, waves):
            told.add(one)
            self.seconds += one.seconds
            self.steps += one.steps
        told.missions.sort(key=lambda mission: (mission.end, mission.robot))
        self.driven += len(told.missions)
        self.now = max([self.now, *(mission.end for mission in told.missions)]) + CHANGE
        return told

    def _gate(self, conductor: Conductor, chapter: Chapter, stage: Stage, result: gates.Result) -> None:
        before = conductor.state
        conductor.gate(stage, result.decision, result.reason)
        self._tell(chapter, before, conductor.state, conductor, f"{result.decision}: {result.reason}")

    def _order(self, conductor: Conductor, verb: str, by: str, *, item: str = "", reason: str = "") -> None:
        node = self.keys.node(by)
        assert node is not None
        state = conductor.refresh()
        order = Signed(
            rollout=state.rollout, verb=verb, by=by, seen=state.number, stamp=self.now, reason=reason, item=item
        )
        conductor.order(sign(order, Keys(nodes={by: node})))

    def _tell(self, chapter: Chapter, before: State, after: State, conductor: Conductor, said: str = "") -> None:
        """A line of the chapter where something changed, on the console too."""
        if before.stage in DRIVEN and conductor.verdict is not None and after.look is not before.look:
            chapter.looks.append(conductor.verdict.log_e)
        chapter.arms = after.arms
        moment = (after.stamp - chapter.began) / SECOND
        drive = sum(arm == CANDIDATE for arm in after.arms.values())
        chapter.shares.append((moment, drive))
        self.report()
        if (before.stage, before.status) == (after.stage, after.status):
            return
        drivers = sum(arm == CANDIDATE for arm in before.arms.values())
        line = (
            stage_name(before.stage),
            drivers if before.stage >= Stage.COURSE else 0,
            (after.stamp - before.began) / SECOND,
            said or after.reason,
            after.status.replace("_", " ") if after.status != "running" else stage_name(after.stage),
        )
        chapter.lines.append(line)
        print(f"  {line[0]:<10} {line[1]:>3} robots  {line[2]:6.0f} s  -> {line[4]:<12} {line[3]}", flush=True)

    def report(self, *, running: bool = True) -> None:
        """Write the page."""
        write_report(self.root, self.intro, self.chapters, self.driven, time.monotonic() - self.began, running=running)

    def _place(self, release: str) -> Path:
        return self.root / RELEASES / release

    def _put_away(self, name: str) -> None:
        """Make room for the next rollout; the last one stays where pages look."""
        if name == "second":
            return
        folder = self.root / "rollouts" / name
        folder.mkdir(parents=True, exist_ok=True)
        for each in (FILE, "missions.jsonl", "verdicts"):
            if (self.root / each).exists():
                shutil.move(self.root / each, folder / each)


def _course() -> Course:
    """The first two lanes of the first zone."""
    site = zone_site()
    low, high = site.centre(base(1)), site.centre(base(0))
    half = site.cell / 2
    fence = (float(low[0]) - half, float(low[1]) - half, site.width * site.cell, float(high[1]) + 3 * half)
    return Course(robots=("r00", "r01"), fence=fence)


def _given(place: Path | None) -> bool:
    """Whether a directory was named."""
    return place is not None and str(place) not in ("", ".", "none")
