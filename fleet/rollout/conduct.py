"""What runs a rollout: missions in, verdicts and events out, leases by them.

    missions ---> RUN/missions.jsonl ---> judge ---> RUN/verdicts/<n>.json ---> event Looked ---> stages.handle
                                                                        commands ---> leases, alias production

One judge sees every mission of the fleet's stages, so its level of false rollbacks holds over the whole rollout; what a
stage asks at least (missions, robots) is put into its settings before each look, and stands in the verdict.

Everything is written before it acts. Where it cannot be written (the disk is full) nothing new is decided and the
leases are taken back: what nobody could look up later does not drive. A kill that could not be written is written
before anything else is, once that can be: the candidate does not come back in between.

A mission that is told twice counts once, in what a stage asks as in the judge. A stage does not end while more of the
candidate's robots are silent than are in repair at a time: those that hang tell of no mission, and the others are fine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coordination.database import StoreError
from fleet.judge.judge import AHEAD, Judge
from fleet.judge.missions import FILE, Mission, append_missions, missions_since
from fleet.judge.settings import Settings
from fleet.judge.verdict import Verdict, write_verdict
from fleet.rollout.assign import CANDIDATE, HOLDOUT
from fleet.rollout.authority import Signed
from fleet.rollout.events import Store
from fleet.rollout.lease import Lessor
from fleet.rollout.plan import DRIVEN, RolloutError, Stage
from fleet.rollout.record import AnyEvent, Command, Decision, Deploy, Gate, Looked, Name, Revoke, State
from sim.files import FileError

SECOND = 1_000_000_000
HOUR = 3600.0
FEW = 2
"""Robots of which none may be silent."""
SILENT = 0.2
"""Of the candidate's robots that may have told of no mission in a stage: some charge, some are in repair."""


@dataclass
class Seen:
    """What was seen of the candidate since a stage began."""

    missions: int = 0
    seconds: float = 0.0
    heard: int = 0
    robots: set[str] = field(default_factory=set)
    """That told of a mission"""
    odd: set[str] = field(default_factory=set)
    """Held out, and told of a mission by the candidate"""

    def add(self, mission: Mission, now: int) -> None:
        """One mission of the candidate, heard of by `now`: one that ends later than that says nothing of silence."""
        self.missions += 1
        self.seconds += max(0, mission.end - mission.begin) / SECOND
        if mission.end <= now + int(AHEAD * SECOND):
            self.heard = max(self.heard, mission.end)
        self.robots.add(mission.robot)


class Conductor:
    """Owns the judge, and what the lessor says. Begins where the events and missions of the run end."""

    def __init__(
        self,
        run: Path,
        store: Store,
        settings: Settings,
        lessor: Lessor,
        name: Callable[[str, str], None] = lambda release, reason: None,
        revoke: Callable[[int], object] | None = None,
    ) -> None:
        """`name` makes a release production in the registry; `revoke` tells robots that leases are over, at once."""
        self.run, self.store, self.settings, self.lessor = run, store, settings, lessor
        self._name, self._revoke = name, revoke or lessor.close
        self.judge = Judge(settings)
        self.verdict: Verdict | None = None
        self.trouble = ""
        """Why nothing can be decided; empty while it can"""
        self._owed: tuple[Signed, int] | None = None
        """A kill or rollback that is to be written yet, and when it was heard (ns)"""
        self._seen = Seen()
        self._stage = Stage.DRAFT
        self.state = store.state()
        self._offset = 0
        self.catch_up()
        if not self.state.final and self.state.rollout:
            lessor.follow(self.state)

    def take(self, event: AnyEvent) -> State:
        """An event of the service's own."""
        return self._taken(lambda: self.store.append(event))

    def order(self, signed: Signed) -> State:
        """An operator's order. A kill or rollback that is proven but cannot be written is still done."""
        heard = self.store.now()
        state = self._taken(lambda: self.store.order(signed))
        if self.trouble and signed.verb in ("kill", "rollback"):
            self._owed = self._owed or (signed, heard)
            self._revoke(self.state.epoch + 1)
        return state

    def gate(self, stage: Stage, decision: Decision, reason: str, evidence: str = "") -> State:
        """What an evaluation without the fleet said."""
        return self.take(Gate(stamp=0, stage=stage, decision=decision, reason=reason, evidence=evidence))

    def heard(self, missions: Iterable[Mission]) -> None:
        """Missions that ended, in that order; those of a stage of the fleet are judged."""
        told = list(missions)
        if self.state.stage in DRIVEN:
            try:
                append_missions(self.run / FILE, told)
            except OSError as error:
                self._doubt(f"missions cannot be written: {error.strerror}")
                return
            self.catch_up()

    def catch_up(self) -> int:
        """Count the missions that the run's file has beyond those counted; how many. Raises MissionError."""
        missions, self._offset = missions_since(self.run / FILE, self._offset)
        for mission in missions:
            self._count(mission)
        return len(missions)

    def look(self) -> State:
        """Ask the judge, write what it says and go by it. Also hears what operators said meanwhile."""
        self.refresh()
        state = self.state
        if state.final or state.stage not in DRIVEN:
            return state
        if state.stage is not self._stage:
            self._stage, self._seen = state.stage, Seen()
        share, seen = state.plan.share(state.stage), self._seen
        robots = sum(arm == CANDIDATE for arm in state.arms.values())
        least = (share.missions, min(2, robots)) if share.proof else (1, 1)
        self.judge.settings = msgspec.structs.replace(
            self._of_candidate(self.settings), missions_min=least[0], robots_min=least[1]
        )
        verdict = self.verdict = self.judge.look(self.store.now())
        try:
            evidence = str(write_verdict(verdict, self.run).relative_to(self.run))
        except (OSError, FileError) as error:
            return self._doubt(f"a verdict cannot be written: {error}")
        decision: Decision = "promote" if verdict.decision == "promote" else "hold"
        if verdict.decision == "rollback":
            decision = "rollback"
        return self.take(
            Looked(
                stamp=0,
                stage=state.stage,
                decision=decision,
                reason=verdict.reason,
                lacking=(*verdict.holds, *self._silent(), *self._odd()),
                missions=seen.missions,
                hours=seen.seconds / HOUR,
                heard=seen.heard,
                evidence=evidence,
            )
        )

    def refresh(self) -> State:
        """Take in what others wrote: an operator's command beside this process."""
        try:
            state = self.store.state()
        except (StoreError, RolloutError) as error:
            return self._doubt(str(error))
        if state.number > self.state.number:
            self.state = state
            if state.final or state.epoch > self.lessor.epoch:
                self._revoke(state.epoch)
            if not state.final and not self.trouble:
                self.lessor.follow(state)
        return self.state

    def _taken(self, write: Callable[[], tuple[State, tuple[Command, ...]]]) -> State:
        try:
            self.state, commands = self._paid() or write()
        except StoreError as error:
            return self._doubt(str(error))
        if self.trouble:
            self.trouble = ""
            if not self.state.final:
                self.lessor.follow(self.state)
        for command in commands:
            self._act(command)
        return self.state

    def _paid(self) -> tuple[State, tuple[Command, ...]] | None:
        """Write the kill that is owed, which ends the rollout; None where none is, or somebody else ended it."""
        if self._owed is None:
            return None
        try:
            written = self.store.order(*self._owed)
        except RolloutError:  # taken or refused by now: the store says what holds
            written = None
        self._owed = None
        return written

    def _silent(self) -> tuple[str, ...]:
        """What is lacking where too many of the candidate's robots have told of no mission since the stage began."""
        state = self.state
        driving = [each for each, arm in state.arms.items() if arm == CANDIDATE and each not in state.tripped]
        silent = sorted(each for each in driving if each not in self._seen.robots)
        if len(silent) <= (SILENT * len(driving) if len(driving) > FEW else 0):
            return ()
        return (f"no mission of {', '.join(silent[:3])} in this stage, of {len(silent)} of the candidate's robots",)

    def _odd(self) -> tuple[str, ...]:
        """What cannot be believed: robots that are held out have no lease to drive the candidate by."""
        return tuple(
            f"{robot}, which is held out, told missions of the candidate" for robot in sorted(self._seen.odd)[:3]
        )

    def _act(self, command: Command) -> None:
        match command:
            case Deploy(_, epoch):
                if epoch > self.lessor.epoch:
                    self._revoke(epoch)
                self.lessor.follow(self.state)
            case Revoke(epoch):
                self._revoke(epoch)
            case Name(release, reason):
                self._name(release, reason)

    def _doubt(self, why: str) -> State:
        """Nothing can be decided: nobody drives by the candidate meanwhile."""
        if not self.trouble:
            self._revoke(self.lessor.epoch)
        self.trouble = why
        return self.state

    def _of_candidate(self, settings: Settings) -> Settings:
        """The settings, by which a mission's arm is that of the release which it names."""
        return msgspec.structs.replace(settings, candidate=self.state.candidate.release)

    def _count(self, mission: Mission) -> None:
        self.judge.settings = self._of_candidate(self.judge.settings)
        if not self.judge.add(mission):
            return
        if self.state.stage is not self._stage:
            self._stage, self._seen = self.state.stage, Seen()
        if mission.arm == CANDIDATE and self.state.arms.get(mission.robot) == HOLDOUT:
            self._seen.odd.add(mission.robot)
        elif mission.arm == CANDIDATE and mission.end >= self.state.began:
            self._seen.add(mission, self.store.now())
