"""One robot's loop: from what its two connections brought to what it says to both, once in each control cycle.

    plant cycle arrives -> (lockstep) wait for the coordinator's picture of the round before, at most PATIENCE
      -> control.step -> report to the coordinator -> command to the plant -> stored plan to the watchdog -> black box

A step that ends later than its period is a missed deadline and counted; several in a row stop the robot. An exception
in a step is our own mistake: it is counted and printed, the stored plan plays, and the loop goes on. So it does where a
command cannot be sent: the robot's own dead-man then stops it, and the next one may come through. In wall time a robot
whose readings fail to come steps on old ones, which the control step finds stale.
"""

from __future__ import annotations

import array
import math
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from coordination.client import COORDINATOR, CoordinatorClient
from coordination.messages import BoxHead, Report
from fleet import watchdog
from fleet.blackbox import BlackBox, Head, Step
from fleet.control import LATE, Stepper
from fleet.guards.watch import Trip, calls
from fleet.hardware import PLANT
from fleet.hosted import HostedRobot
from fleet.judge.telling import Teller
from fleet.metrics import RobotMetrics
from fleet.permit import Permit
from fleet.records import Inputs, Memory, Outputs, anew, at_start
from fleet.shadow.floor import FloorStep
from fleet.shadow.live import Shadow
from safety.calibration import Exceeded
from safety.shield import Reason
from safety.supervisor import Cause, may_drive
from sim.robot import SECOND, Readings, RobotCommand

PATIENCE = 1.0
"""Wall time for which a lockstep round waits for the coordinator's picture, s: half of the plant's 2 s of silence, so
that a robot whose coordinator died answers before it counts as gone itself."""
SPANS = 1000
"""Missed deadlines whose times are kept: on a machine that is too slow every step is late."""
REJOIN = 1.0
"""A robot that has been sent no cycle for this long asks to be heard again, s: the plant may have given it up."""


@dataclass
class Tally:
    """What one robot's loop counted."""

    steps: int = 0
    missed: int = 0
    """Steps that ended after their period"""
    missed_spans: list[tuple[float, float]] = field(default_factory=list)
    """When the readings of such a step came and when it ended, s of CLOCK_MONOTONIC; the first `SPANS`"""
    errors: int = 0
    """Steps that raised, and commands that could not be sent"""
    interventions: Counter[str] = field(default_factory=Counter)
    """Commands that the shield replaced, by reason"""
    stops: Counter[str] = field(default_factory=Counter)
    """Protective stops, by cause, counted as they begin"""
    modes: Counter[str] = field(default_factory=Counter)
    """Steps in each mode"""
    trips: Counter[str] = field(default_factory=Counter)
    """Calls of the fallback by the policy's guard, by reason"""
    seconds: array.array[float] = field(default_factory=lambda: array.array("f"))
    """Time of each step, report, command, plan and black box append included"""


class Seat:
    """One robot of the process: its connections, its memory, its black box."""

    def __init__(
        self,
        index: int,
        plant: HostedRobot,
        link: CoordinatorClient,
        stepper: Stepper,
        box: BlackBox | None,
        board: watchdog.Board,
        metrics: RobotMetrics,
    ) -> None:
        self.index, self.plant, self.link = index, plant, link
        self.name = plant.name
        self.period = stepper.config.spec.period / SECOND
        """Of its control cycle, s"""
        self.stepper, self.box, self.board, self.metrics = stepper, box, board, metrics
        self.memory: Memory = at_start()
        self.permit = Permit()
        """What the robot may do; a calibration that its monitors found wrong is marked as expired in its file"""
        self.shadow: Shadow[FloorStep] | None = None
        """A candidate that is asked after the command is out; its answers go nowhere but to the records"""
        self.missions: Teller | None = None
        """Who tells of the missions that it drives; None where nobody does"""
        self.release, self.speed = "", 0.0
        """Release by which a rollout lets it drive, twelve digits; empty for what it was started with"""
        self.tally = Tally()
        self.lockstep = True
        self.waiting_since = -1.0
        """Wall time at which the open cycle came; negative without one"""
        self.heard = time.monotonic()
        """Wall time of the newest cycle, or of the newest request to be heard again"""
        self._readings: Readings | None = None
        self._life = plant.life
        self._missed_in_row = 0
        self._cause = Cause.NONE
        self._granted = False
        """Has had a grant: until then it waits for its first one, and none is stale"""
        self._plan: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
        self._report: Report | None = None
        self._handed: Counter[str] = Counter()
        self._last_step = time.monotonic()
        self._last_silent = 0.0
        self._authority = 0
        self._head: Head | None = None
        """Of the black box, as the coordinator was told it"""
        self._told = Exceeded.NONE
        self._trip = Trip.NONE

    def take(self) -> None:
        """Read what has come from both sides."""
        readings = self.plant.read(0.0)
        if self.plant.life != self._life:
            self._begin_anew()
        self.link.poll()
        if readings is not None and (self._readings is None or readings.stamp != self._readings.stamp):
            self._readings = readings
            self.waiting_since = self.heard = time.monotonic()

    def _begin_anew(self) -> None:
        """The robot's clock has begun anew: what was heard and remembered by the former one would hold for long."""
        self._life = self.plant.life
        self._readings, self.waiting_since = None, -1.0
        self.memory = anew(self.memory)
        self.link.forget()
        print(f"{self.name}: time began anew, and the robot with it", flush=True)

    def rejoin(self, now: float) -> None:
        """Ask to be heard again when no cycle has come for a while: harmless where the plant merely waits."""
        if now - self.heard > REJOIN:
            self.heard = now
            self.plant.rejoin()

    def due(self, now: float) -> bool:
        """Whether the open cycle can be stepped: the picture of the round before is here, or not waited for."""
        cycle = self.plant.cycle
        if self.waiting_since < 0.0 or cycle is None:
            return False
        if not self.lockstep or not cycle.coordinator or now - self.waiting_since > PATIENCE:
            return True
        picture = self.link.view(cycle.stamp).picture
        if picture is not None and picture.round >= cycle.round - 1:
            return True
        self.link.remind()  # our report may have gone to a coordinator that is no more
        return False

    def left(self, now: float) -> float:
        """Time until its next cycle is due, s; without end in lockstep, where it comes when all have answered."""
        return math.inf if self.lockstep else self.heard + self.period - now

    def silent(self, now: float) -> bool:
        """In wall time: no readings for two periods, so that the step must judge old ones."""
        long_silent = now - self._last_step > 2.0 * self.period and now - self._last_silent >= self.period
        return not self.lockstep and self._readings is not None and long_silent

    def step(self) -> None:
        """One control step on the newest readings, and everything that follows from it."""
        readings, cycle = self._readings, self.plant.cycle
        assert readings is not None
        assert cycle is not None
        now = time.monotonic()
        stamp = readings.stamp
        arrived = self.waiting_since
        if arrived < 0.0:  # nothing came: the site clock goes on by the wall's
            stamp += int((now - self._last_step) * SECOND)
            self._last_silent = now
        else:
            self._last_step = now
        self.waiting_since = -1.0
        inputs = Inputs(
            cycle=cycle.round,
            stamp=stamp,
            scan=readings.scan.tobytes(),
            scan_stamp=readings.scan_stamp,
            pose=cycle.pose,
            pose_stamp=readings.pose_stamp,
            twist=cycle.twist,
            twist_stamp=readings.twist_stamp,
            battery=readings.battery,
            bumper=readings.bumper,
            picture=self.link.view(stamp).picture,
            missed=self._missed_in_row,
            lift=readings.lift,
            battery_stamp=readings.battery_stamp,
            yaw_rate=readings.yaw_rate,
            yaw_rate_stamp=readings.yaw_rate_stamp,
            authority=self._authority,
            release=self.release,
            speed=self.speed,
        )
        started = time.perf_counter()
        before = self.memory
        try:
            outputs, self.memory = self.stepper.step(inputs, before, lateness=None if self.lockstep else LATE)
        except Exception:  # our own mistake must not stop the loop: the stored plan plays
            self._failed()
            self._play_plan(inputs)
            return
        self.link.report(outputs.report)
        self.plant.lift = outputs.lift
        self._write(outputs.released, outputs)
        self._plan, self._report = outputs.plan, outputs.report
        self._publish(outputs)
        if self.box is not None:
            paired = self.shadow.newest() if self.shadow is not None else None
            self.box.append(Step(inputs.cycle, inputs.stamp, inputs, before, outputs, paired))
        seconds = time.perf_counter() - started
        if self.missions is not None:
            self.missions.append(self.name, inputs, outputs, seconds)
        self._count(outputs, seconds, arrived)
        if self.shadow is not None:
            self.shadow.offer(FloorStep(inputs, before, outputs), late=self._missed_in_row > 0)

    @property
    def place(self) -> tuple[float, float] | None:
        """Where the newest cycle has the robot, x and y, m; None before the first."""
        return self.plant.cycle.pose[:2] if self.plant.cycle is not None else None

    @property
    def opened(self) -> str:
        """The policy whose breaker is open in this robot, by twelve digits of its hash; empty for none."""
        return self.memory.guard.policy if self.memory.guard.open else ""

    def housekeeping(self) -> None:
        """Hand counters to the metrics."""
        self._keep_permit()
        metrics, name = self.metrics, self.name
        news: Counter[str] = Counter(skipped=self.plant.skipped)
        if self.box is not None:
            self._tell_head()
            counts = self.box.counts
            news.update(dropped=counts.dropped, failed=counts.failed_writes, written=counts.bytes, faults=counts.faults)
        for key, value in (news - self._handed).items():
            getattr(metrics, key)[name].inc(value)
        for peer, counts in ((PLANT, self.plant.counts), (COORDINATOR, self.link.transport.counts)):
            for kind, value in counts.items():
                key = f"{peer}/{kind}"
                if value > self._handed[key]:
                    metrics.message(name, peer, kind, value - self._handed[key])
                news[key] = value
        if self.shadow is not None:
            for key, value in self.shadow.counts.items():
                metrics.shadow(name, key, value - self._handed[f"shadow/{key}"])
                news[f"shadow/{key}"] = value
        self._handed = news

    def summary(self) -> dict[str, Any]:
        """What the report shows of this loop; plain JSON values."""
        tally = self.tally
        seconds = np.frombuffer(tally.seconds, np.float32) if tally.steps else np.zeros(1, np.float32)
        p50, p99, most = (float(value) for value in np.percentile(seconds, (50, 99, 100)))
        return {
            "steps": tally.steps,
            "step_seconds": {"p50": p50, "p99": p99, "max": most},
            "missed_deadlines": tally.missed,
            "missed_spans": tally.missed_spans,
            "skipped_cycles": self.plant.skipped,
            "errors": tally.errors,
            "interventions": dict(tally.interventions),
            "stops": dict(tally.stops),
            "modes": dict(tally.modes),
            "trips": dict(tally.trips),
            "blackbox": vars(self.box.counts) if self.box is not None else None,
            "missions": dict(self.missions.counts) if self.missions is not None else None,
            "shadow": dict(self.shadow.counts) if self.shadow is not None else None,
            "messages": {PLANT: dict(self.plant.counts), COORDINATOR: dict(self.link.transport.counts)},
        }

    def leave(self, reason: str) -> None:
        """Leave the plant: nothing is decided any more."""
        self.plant.close(reason)

    def close(self) -> None:
        """Tell the coordinator where the black box ended, and let go of it."""
        self._tell_head()
        if self._report is not None and self.link.box is not None:
            self.link.report(self._report)
        self.link.transport.close()

    def _tell_head(self) -> None:
        """Let the next report say how far the black box has come, if its writer told that."""
        told = self.box.told if self.box is not None else None
        if told is not None and told is not self._head:
            self._head = told
            self.link.box = BoxHead(told.file, told.chunks, told.count, told.head, told.stamp, told.closed)

    def _keep_permit(self) -> None:
        """Look at the calendar, and write down what the monitors found of the calibration."""
        self._authority = int(self.permit.by(time.time()))
        found = self.memory.calibration.expired
        if found is not Exceeded.NONE and found is not self._told:
            self._told = found
            print(self.permit.expire(self.name, found), flush=True)

    def _play_plan(self, inputs: Inputs) -> None:
        """Release the next command of the stored plan, and say what was said before: nothing newer is known."""
        command, *rest = self._plan[1:] or ((0.0, 0.0),)
        self._plan = (command, *rest)
        if self._report is not None:
            self.link.report(msgspec.structs.replace(self._report, round=inputs.cycle, stamp=inputs.stamp))
        self._write(command)
        replace, shield = msgspec.structs.replace, self.memory.shield
        played = replace(shield, elapsed=shield.elapsed + self.period, played=shield.played + 1)
        self.memory = replace(self.memory, last_command=command, shield=played)

    def _write(self, command: tuple[float, float], outputs: Outputs | None = None) -> None:
        """Release a command, then tell what was decided; a bus's errors are its library's own and share no class."""
        try:
            self.plant.write(RobotCommand(*command))
            if outputs is not None:
                self.plant.tell(outputs)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        """Count an exception and print it, unless it is one of many."""
        self.tally.errors += 1
        if self.tally.errors <= 3:
            traceback.print_exc()

    def _publish(self, outputs: Outputs) -> None:
        period = self.stepper.config.spec.period
        self.board.publish(self.index, watchdog.StoredPlan(time.monotonic_ns(), period, outputs.cycle, outputs.plan))

    def _count(self, outputs: Outputs, seconds: float, arrived: float) -> None:
        metrics, tally, name = self.metrics, self.tally, self.name
        tally.steps += 1
        tally.seconds.append(seconds)
        now = time.monotonic()
        late = not self.lockstep and arrived >= 0.0 and now - arrived > self.period
        self._missed_in_row = self._missed_in_row + 1 if late else 0
        metrics.step[name].observe(seconds)
        metrics.steps[name].inc()
        if late:
            tally.missed += 1
            if len(tally.missed_spans) < SPANS:
                tally.missed_spans.append((arrived, now))
            metrics.missed[name].inc()
        tally.modes[outputs.mode.name] += 1
        if outputs.reason is not Reason.NONE:
            tally.interventions[outputs.reason.name] += 1
            metrics.intervention(name, outputs.reason.name.lower())
        self._granted = self._granted or outputs.report.grant > 0
        counts = self._granted or outputs.cause not in (Cause.PICTURE_STALE, Cause.GRANT_STALE)
        if counts and not may_drive(outputs.mode) and outputs.cause is not self._cause:
            tally.stops[outputs.cause.name] += 1
            metrics.stop(name, outputs.cause.name.lower())
        self._cause = outputs.cause if not may_drive(outputs.mode) else Cause.NONE
        if calls(outputs.guard) and not calls(self._trip) and self._trip is not Trip.HELD:
            tally.trips[outputs.guard.name] += 1
            metrics.trip(name, outputs.guard.name.lower())
        self._trip = outputs.guard
        metrics.breaker[name].set(float(self.memory.guard.open))
        metrics.mode[name].set(int(outputs.mode))
        metrics.status[name].set(int(outputs.report.status))
        metrics.battery[name].set(outputs.report.battery)
