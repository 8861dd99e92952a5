"""The control step: from everything that a robot knows to the one command that is released, with every reason.

    inputs -> verdicts on stale or missing inputs (safety.monitors)
           -> controller (meta, skill, policy)          proposes
           -> operator, while one has the robot         proposes
           -> fallback, when the policy cannot          proposes
           -> shield                                    judges; or plays the stored plan
           -> limits
           -> supervisor                                says who may drive
           -> outputs: released command, report, record

`Stepper.step(inputs, memory) -> (outputs, memory)` is pure: the same arguments give the same bits on one machine, and
the stepper's preallocated arrays and recorded launches carry nothing from step to step. Replay builds a fresh one and
passes the recorded policy output as `act`. Nothing here raises for anything that comes from outside: each doubt is a
cause that the supervisor acts on. What is read, remembered and decided stands in fleet/records.py, the shield's arrays
in fleet/guard.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from agents.errors import ContractMismatch
from agents.policy import Policy
from coordination.messages import Chosen, Jog, Offer, Picture, Report, RobotStatus
from fleet import byhand
from fleet.evidence import Evidence, kept
from fleet.guard import Guard
from fleet.guards.ask import asker
from fleet.guards.senses import Sensed, Senses
from fleet.guards.watch import Reading, watch
from fleet.records import Inputs, Memory, Outputs, ShieldState, readings_of
from hierarchy.chooser import TASKS, Choose, answer
from hierarchy.controller import Answerer, Controller, ControllerInputs, Proposal
from hierarchy.corridors import cells_under
from hierarchy.meta import mission
from hierarchy.motor import FIRMWARE, PLANAR, driven
from hierarchy.options import OptionName
from hierarchy.pace import Pace
from hierarchy.skills import Act, version_of
from safety import fallback
from safety.calibration import Authority, Calibrated, allowed, least, watch_calibration, within
from safety.dynamics import PLAN_TICKS, stopping_ticks
from safety.monitors import (
    AgeBounds,
    Ages,
    Tracked,
    TrackingMemory,
    ages,
    judge_ages,
    judge_readings,
    readable,
    watch_tracking,
)
from safety.shield import Reason
from safety.supervisor import Cause, Mode, SupervisorMemory, may_drive, transition, worst
from sim.device import start_warp
from sim.lifting import loaded, why_not
from sim.robot import SECOND, Readings, RobotSpec
from sim.site import Site

LATE = 0.05
"""A policy that answers later than this, s, is not used: half of the period, so that the rest still fits."""
STUCK_FALLBACK = 6.0
"""No progress for this long, s, calls the fallback: twice what a person takes to get out of the way, and half of what
it takes to report the way as blocked."""
DEADLINES = 5
"""Deadlines missed in a row until the robot stops: half a second of late commands."""
CHARGE_OLD = 10 * SECOND
"""Age of the charge from which a robot chooses no work by it, ns: drivers tell it once a second."""
PLAYED = 10
"""Steps in a row without any verified command, though there is a corridor, until the fallback is called: one second."""


@dataclass(frozen=True)
class ControlConfig:
    """What a control step depends on besides inputs, memory, site and policy."""

    robot: str = "r0"
    spec: RobotSpec = field(default_factory=RobotSpec)
    person_speed: float = 1.6
    """The site profile's V, m/s"""
    capabilities: tuple[str, ...] = ("carry",)
    """What the robot can do, for the assignment of tasks"""
    motor: str = FIRMWARE
    """Hash of the motor that tracks the released commands: the one with which the tracking bound was measured"""
    meta: str = ""
    """Hash of the meta policy that chooses among offered tasks; empty where work is assigned"""
    body: str = PLANAR
    """The body that it moves: its tracking bound is the shield's (`hierarchy.motor.driven`)"""
    authority: Authority = Authority.FULL
    """What it may do at most: less than FULL for a robot without a valid calibration"""
    calibrated: Calibrated | None = None
    """The bounds of its calibration, watched while it drives; None for a simulated robot"""
    leased: bool = False
    """Whether a rollout's leases say what drives, and how fast: one of the closed course bounds the speed"""
    explore: float = 0.0
    """Share of the answers to offers that are drawn from all that can be done, for learning from logs"""


class Stepper:
    """The control step of one kind of robot on one site. Owns arrays and launches, no state between steps."""

    def __init__(self, config: ControlConfig, site: Site, policy: Policy | None, chooser: Choose | None = None) -> None:
        """Raises agents.errors.ContractMismatch when the policy does not fit the robot.

        Without a policy the robot stands wherever it would have been asked (replay passes `act`); without the
        `chooser` that `config.meta` names it answers no offer (replay passes `choose`).
        """
        start_warp()
        self.config, self.site, self.policy, self.chooser = config, site, policy, chooser
        spec = config.spec
        self.controller = Controller(spec, site, policy)
        self._pace = Pace(spec, site)
        self._bounds, self._embodiment, self._period = AgeBounds.of(spec), spec.embodiment_hash(), spec.period / SECOND
        self._driven = driven(spec, config.body)
        self._unable = why_not(self._driven, site)
        """Why it cannot lift this floor's pods; empty where it can."""
        self._loaded = loaded(self._driven, site) if not self._unable else self._driven
        laden = None if self._unable else self._loaded
        bounded = config.leased or config.authority is not Authority.FULL
        limited = self._pace.zones or config.calibrated is not None or bounded
        self._guard = Guard(spec, self._driven, laden, site, config.person_speed, limited=limited)
        self._senses = Senses(site, spec)
        self._no_scan = np.full(spec.lidar.rays, spec.lidar.range_max, np.float32)

    def use(self, policy: Policy, chooser: Choose | None) -> None:
        """Let another policy, and the chooser pinned to it, answer from the next step on; two references move.

        Raises agents.errors.ContractMismatch when it sees other observations than the ones that are written here.
        """
        navigate = self.controller.navigate
        if policy.contract_hash != navigate.contract_hash:
            raise ContractMismatch(
                f"expected a policy for contract {navigate.contract_hash[:12]}, which the robot observes, "
                f"{policy.hash[:12]} is for {policy.contract_hash[:12]}; restart the robot with it"
            )
        navigate.version = version_of(policy.hash[:12])
        self.policy, self.chooser = policy, chooser

    def step(
        self,
        inputs: Inputs,
        memory: Memory,
        act: Act | None = None,
        choose: Answerer | None = None,
        *,
        lateness: float | None = None,
    ) -> tuple[Outputs, Memory]:
        """One control step. `act` answers observations instead of the policy, `choose` offers instead of the chooser.

        `lateness` (s): a policy that takes longer is not used; None where time stands still meanwhile (lockstep).
        """
        readings = readings_of(inputs)
        fault, usable = judge_readings(readings, self.config.spec), readable(readings, self.config.spec)
        fault = worst(fault, Cause.NONE if math.isfinite(inputs.battery) else Cause.NOT_FINITE)
        tracked = Tracked(Cause.NONE, TrackingMemory(), math.nan)  # what cannot be read is followed anew
        if usable:
            tracked = watch_tracking(memory.tracking, readings, memory.last_command, self._driven)
        calibration, held = memory.calibration, self.config.calibrated
        if held is not None and usable:
            strayed, last = tracked.cause is Cause.TRACKING, memory.last_command
            calibration = watch_calibration(calibration, readings, last, strayed, held, self.config.spec)
        pose, twist = (inputs.pose, inputs.twist) if usable else (memory.pose, (0.0, 0.0))
        # a robot that cannot tell its speed does not say that it stands: right of way would free the ground before it
        told = inputs.twist if usable else (self.config.spec.diff.speed_max, 0.0)
        cells = self._granted(inputs.picture)
        age = self._ages(inputs, readings, twist, bool(cells))
        stop = worst(
            fault,
            judge_ages(age, self._bounds),
            tracked.cause,
            Cause.DEADLINE if inputs.missed >= DEADLINES else Cause.NONE,
            Cause.EMERGENCY_STOP if inputs.picture is not None and inputs.picture.stopped else Cause.NONE,
        )
        reset = self._reset(inputs.picture, memory)
        authority = least(self.config.authority, inputs.authority, calibration)
        jog = byhand.lease(inputs.picture, self.site.hash)
        supervisor = transition(memory.supervisor, stop, inputs.stamp, reset=reset, manual=jog is not None)
        stopped = not may_drive(supervisor.mode)
        last_command = np.array(memory.last_command, np.float32)
        reading = self._reading(inputs, readings) if usable else None
        proposal, controller = self.controller.step(
            ControllerInputs(
                now=inputs.stamp,
                pose=pose,
                twist=twist,
                scan=readings.scan if usable else self._no_scan,
                last_command=last_command,
                cells=cells,
                assignment=inputs.picture.assignment if inputs.picture is not None else None,
                held=stopped,
                lift=inputs.lift,
                offer=self._offered(inputs),
                battery=inputs.battery,
                manual=jog is not None,
            ),
            memory.controller,
            act or asker(self.policy, lateness, memory.guard, inputs.cycle, lambda: self.look(inputs, memory)),
            choose or self._choose,
        )
        helper, laden = memory.fallback, inputs.lift >= 0.0
        epoch = inputs.picture.stop_epoch if inputs.picture is not None else 0
        watched = watch(
            memory.guard, proposal.answer, proposal.observation, inputs.cycle, inputs.stamp, reading,
            jogged=jog is not None, epoch=epoch,
        )  # fmt: skip

        def load() -> None:
            self._guard.load(inputs, readings if usable else None, last_command, proposal.corridor, memory.shield)

        load()
        if stopped:
            source, proposed, reason = "none", (0.0, 0.0), Reason.NONE
            verdict = self._guard.play(laden)
        elif jog is not None:
            source, helper = byhand.JOG, fallback.FallbackMemory()
            wish = byhand.wish(jog, inputs.stamp, (self._loaded if laden else self.config.spec).radius)
            proposed, limit = allowed(authority, *self._pace.apply(wish, pose[:2], abs(twist[0]), proposal.way))
            proposed, limit = within(inputs.speed, proposed, limit)
            verdict, reason = byhand.judge(self._guard, proposed, limit, laden, load)
            changed = Cause.SHIELD if reason is not Reason.NONE else Cause.NONE
            supervisor = transition(memory.supervisor, changed, inputs.stamp, reset=reset, manual=True)
        else:
            doubt = worst(self._doubt(proposal, memory.shield), watched.cause)
            source = self.controller.navigate.version if proposal.answer is not None else proposal.version
            meant = (float(proposal.command[0]), float(proposal.command[1]))
            proposed, handed_back = (0.0, 0.0) if watched.stands else meant, False
            if doubt is not Cause.NONE or memory.supervisor.mode is Mode.FALLBACK:
                if memory.supervisor.mode is not Mode.FALLBACK or helper.phase is fallback.Phase.DONE:
                    helper = fallback.FallbackMemory()  # a new call for help
                said = fallback.step(self._fallback_inputs(inputs.stamp, pose, twist, proposal), helper)
                source, proposed, handed_back, helper = "fallback", (said.v, said.w), said.handed_back, said.memory
            proposed, limit = self._pace.apply(proposed, pose[:2], abs(twist[0]), proposal.way)
            proposed, limit = within(inputs.speed, *allowed(authority, proposed, limit))
            verdict = self._guard.judge(proposed, limit, laden)
            reason = verdict.reason
            changed = Cause.SHIELD if reason is not Reason.NONE else Cause.NONE
            supervisor = transition(
                memory.supervisor, worst(doubt, changed), inputs.stamp, reset=reset, handed_back=handed_back
            )
        released, shield = verdict.command, verdict.memory
        outputs = Outputs(
            cycle=inputs.cycle,
            stamp=inputs.stamp,
            released=released,
            proposed=proposed,
            source=source,
            observation=proposal.observation,
            answer=proposal.answer,
            reason=reason,
            margin=verdict.margin,
            mode=supervisor.mode,
            cause=supervisor.cause,
            plan=self._plan(released, shield),
            report=self._report(inputs, pose, told, proposal, supervisor, jog),
            option=proposal.intent.option,
            mission=mission(proposal.intent.task, proposal.intent.attempt),
            choice=proposal.intent.choice,
            lift=proposal.lift,
            guard=watched.trip,
            evidence=Evidence(
                ages=(kept(age.scan), kept(age.pose), kept(age.twist), kept(age.picture), kept(age.grant_left)),
                tracking=tracked.error,
                strayed=tracked.memory.misses,
                calibration=calibration.scores,
                stuck=proposal.intent.stuck,
                played=shield.played,
                authority=int(authority),
                tried=verdict.tried,
            ),
        )
        latched_now = supervisor.mode is Mode.LATCHED and memory.supervisor.mode is not Mode.LATCHED
        return outputs, Memory(
            controller=controller,
            shield=shield,
            supervisor=supervisor,
            fallback=helper,
            tracking=tracked.memory,
            last_command=released,
            pose=pose,
            latch_epoch=epoch if latched_now else memory.latch_epoch,
            calibration=calibration,
            guard=watched.memory,
        )

    def look(self, inputs: Inputs, memory: Memory) -> Sensed:
        """What the readings of a step, which are numbers, say of each other and of those before (fleet/guards)."""
        return self._senses.look(memory.guard, inputs.cycle, self._reading(inputs, readings_of(inputs)))

    # the parts, in the order in which the step uses them ------------------------------------------------------

    def _reading(self, inputs: Inputs, readings: Readings) -> Reading:
        """The readings as the guard of the policy remembers them."""
        stamps = (inputs.scan_stamp, inputs.pose_stamp, inputs.twist_stamp)
        return self._senses.reading(readings.scan, inputs.pose, inputs.twist, stamps)

    def _granted(self, picture: Picture | None) -> tuple[int, ...]:
        """The granted cells that are cells of this floor; none when the picture is of another floor or an error."""
        if picture is None or picture.grant is None or picture.error or picture.site != self.site.hash:
            return ()
        size, cells = self.site.height * self.site.width, picture.grant.cells
        return cells if all(0 <= cell < size for cell in cells) else ()

    def _ages(self, inputs: Inputs, readings: Readings, twist: tuple[float, float], granted: bool) -> Ages:
        """How old everything is. A grant counts until the last moment at which the robot can still stop in time."""
        drive, spec = self.config.spec.diff, self.config.spec
        rest = max(abs(twist[0]) / drive.brake_min, abs(twist[1]) / drive.turn_accel_max)
        needed = round((rest + spec.latency_bound) * SECOND) + spec.period
        picture = inputs.picture
        expires = picture.grant.expires - needed if granted and picture is not None and picture.grant is not None else 0
        stamp = picture.stamp if picture is not None else inputs.stamp - 10 * self._bounds.picture
        return ages(readings, picture_stamp=stamp, grant_expires=expires)

    def _reset(self, picture: Picture | None, memory: Memory) -> bool:
        """Whether an operator's reset is in force: the fleet's stop is over, and this robot's latch with it.

        A latch that is the robot's own (bumper) ends with the next emergency stop that is raised and reset.
        """
        if picture is None or picture.stopped:
            return False
        return memory.supervisor.cause is Cause.EMERGENCY_STOP or picture.stop_epoch > memory.latch_epoch

    def _offered(self, inputs: Inputs) -> Offer | None:
        """What there is to choose from; nothing on an old charge, by which work cannot be chosen: it is assigned."""
        old = inputs.battery_stamp >= 0 and inputs.stamp - inputs.battery_stamp > CHARGE_OLD
        return inputs.picture.offer if inputs.picture is not None and self.config.meta and not old else None

    def _choose(self, offer: Offer, battery: float) -> Chosen | None:
        """The meta policy's answer; none where it fails or cannot tell: the coordinator then assigns by rule."""
        if self.chooser is None or not offer.tasks or not math.isfinite(battery):
            return None
        try:
            return answer(self.chooser, offer, battery, self.config.explore)
        except Exception:  # onnxruntime's errors share no base
            return None

    def _doubt(self, proposal: Proposal, shield: ShieldState) -> Cause:
        """Why the policy should not drive although nothing stops the robot."""
        answer = proposal.answer
        if answer is not None and (answer.late or not all(map(math.isfinite, answer.action))):
            return Cause.POLICY
        driving = proposal.intent.option is OptionName.NAVIGATE and bool(proposal.way.cells)
        if driving and (proposal.intent.stuck >= STUCK_FALLBACK or shield.played >= PLAYED):
            return Cause.BLOCKED
        return Cause.NONE

    def _fallback_inputs(
        self, stamp: int, pose: tuple[float, float, float], twist: tuple[float, float], proposal: Proposal
    ) -> fallback.FallbackInputs:
        count = int(proposal.corridor.count[0]) if proposal.intent.option is OptionName.NAVIGATE else 0
        return fallback.FallbackInputs(
            stamp=stamp,
            pose=np.array(pose, np.float32),
            twist=np.array(twist, np.float32),
            points=proposal.corridor.points[0, :count],
        )

    def _plan(self, released: tuple[float, float], shield: ShieldState) -> tuple[tuple[float, float], ...]:
        """The released command, then what is left of the stored plan."""
        v, w, stop = shield.plan
        if stop <= shield.elapsed:
            return (released,)
        ticks = stopping_ticks(v, w, stop, shield.elapsed, self._period)
        used = min(max(math.ceil((stop - shield.elapsed) / self._period) - 1, 0), PLAN_TICKS)
        return (released, *((float(tick[0]), float(tick[1])) for tick in ticks[:used]))

    def _report(
        self,
        inputs: Inputs,
        pose: tuple[float, float, float],
        twist: tuple[float, float],
        proposal: Proposal,
        supervisor: SupervisorMemory,
        jog: Jog | None,
    ) -> Report:
        spec, picture, intent = self.config.spec, inputs.picture, proposal.intent
        body = self._loaded if inputs.lift >= 0.0 else spec
        status = intent.status
        if not may_drive(supervisor.mode) and status is not RobotStatus.OPERATOR:
            status = RobotStatus.STOPPED
        return Report(
            round=inputs.cycle,
            stamp=inputs.stamp,
            pose=pose,
            twist=twist,
            cells=cells_under(self.site, pose[:2], body.radius + spec.localisation_bound),
            battery=inputs.battery if math.isfinite(inputs.battery) else 0.0,
            status=status,
            grant=picture.grant.id if picture is not None and picture.grant is not None else 0,
            task=intent.task,
            attempt=intent.attempt,
            legs_done=intent.legs_done,
            failed=intent.failed,
            goal=intent.goal,
            blocked=intent.blocked,
            stop_epoch=picture.stop_epoch if picture is not None else 0,
            embodiment=self._embodiment,
            site=self.site.hash,
            capabilities=self.config.capabilities if self._unable else (*self.config.capabilities, "lift"),
            loaded=inputs.lift >= 0.0,
            payload_max=spec.payload_max,
            mode=int(supervisor.mode),
            reason=int(supervisor.cause),
            chooses=TASKS if self.config.meta else 0,
            chosen=proposal.chosen,
            jog=jog.lease if jog is not None else 0,
        )
