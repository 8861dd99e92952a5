"""What one car does in a control step, from what it sees to the command that is released; the same code as in training.

    policies -> shield -> supervisor and fallback -> released command

Once a second the manoeuvre policy chooses (sim/driving/choosing.py), in every step the chosen skill answers the
observation (skillview.py, skillkernels.py), and the guard (fleet/driveguard.py) judges what was proposed. They are the
kernels that environments launch over many rows, launched over one on a `View` that somebody else has filled; a
contract test drives an environment and a `CarDecision` side by side, bit for bit.

A policy that fails (an exception, a number that is none) is asked no more: the fallback drives to where the car may
stand, under the shield. Nothing here knows where a view comes from, a clock or a wire.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from fleet.driveguard import MEMORY_EVERY, Decision, Guard
from fleet.drivewish import Wishes
from fleet.drivinglevels import DrivingLevels
from safety.reason import Reason
from safety.roadbounds import RoadBounds
from safety.roadshield import RoadShieldMemory
from safety.supervisor import Mode
from sim.drive import make_drive
from sim.driving.choosing import PERIOD, aimless, decide, drive
from sim.driving.contract import OBSERVATION, SKILLS
from sim.driving.filter import RoadInputs
from sim.driving.maparrays import ConflictArrays
from sim.driving.orders import limits_of, make_wish
from sim.driving.pathframe import make_around, map_objects
from sim.driving.skillkernels import act
from sim.driving.skillview import observe
from sim.driving.state import OBJECTS, View
from sim.driving.wheelangle import as_angle, as_curvature
from sim.driving.wish import ANY_SPEED
from sim.filter import FilterOutputs
from sim.frenet import Lanes
from sim.launches import per_thread, record
from sim.perceptron import make_net
from sim.robot import SECOND, RobotSpec
from sim.rows import make_robots, open_step

CHOICES = 3
"""Numbers of a manoeuvre policy's action."""


@dataclass(frozen=True)
class CarDecided:
    """What one control step decided."""

    proposed: tuple[float, float]
    """What the policies asked for: acceleration m/s^2, curvature 1/m"""
    judged: tuple[float, float]
    """What the shield let through"""
    released: tuple[float, float]
    """The same as the wheel's angle can say it: what the car is told"""
    angle: float
    """Of the virtual wheel in the middle of the front axle, rad, as float32"""
    margin: float
    """The shield's, m; negative while the stored plan plays"""
    reason: Reason
    mode: Mode
    """Who proposed: POLICY or FALLBACK"""
    decision: Decision
    """Whole, for the black box"""
    trouble: str
    """Why the policies are not asked any more; empty while they are"""


class CarDecision:
    """Policies, shield, supervisor and fallback of one car. Owns their memory and nothing of what they see."""

    def __init__(
        self,
        levels: DrivingLevels,
        spec: RobotSpec,
        view: View,
        lanes: Lanes,
        conflicts: ConflictArrays,
        *,
        by_angle: bool = True,
        bounds: RoadBounds | None = None,
    ) -> None:
        """On the arrays of a view that is filled before each `step`; `by_angle`: commands go out as wheel angles.

        `bounds`: what the shield assumes; the specification's where None.

        Raises RoadShieldError for a car that cannot be judged, ValueError for policies that do not fit.
        """
        self.guard, self.view, self.spec = Guard(spec, bounds=bounds), view, spec
        self.trouble = ""
        self._top, self._by_angle = levels.top, by_angle
        self._mask = wp.full(1, 1, dtype=wp.uint8, device="cpu")
        self._state, self._drive = make_robots(1, spec.lidar, 1, "cpu"), make_drive(1, "cpu")
        self._wish, self._limits = make_wish(1, "cpu"), limits_of(spec, "route", 1.0, open_ended=True)
        self._wishes = Wishes(self._wish)
        self._chosen = wp.zeros((1, CHOICES), dtype=wp.float32, device="cpu")
        self._action = wp.zeros((1, 2), dtype=wp.float32, device="cpu")
        self._seen = wp.zeros((1, OBSERVATION), dtype=wp.float32, device="cpu")
        self._out = FilterOutputs(
            command=self._drive.released,
            margin=wp.zeros(1, dtype=wp.float32, device="cpu"),
            reason=wp.zeros(1, dtype=wp.int8, device="cpu"),
        )
        self._inputs = RoadInputs(
            command=self._state.proposed, last_command=self._drive.before, view=view, lanes=lanes, conflicts=conflicts
        )
        self.memory: RoadShieldMemory = self.guard.init(1, "cpu")
        """The shield's, for records and pictures"""
        around, state, each = make_around(1, "cpu"), self._state, per_thread(OBJECTS, "cpu")
        nets = [make_net(aimless(levels.skills[name]), 1, "cpu", OBSERVATION, "driving") for name in SKILLS]
        seen = [self._mask, state.step, view, around, self._drive, self._limits, self._wish, self._seen]
        diverged = wp.zeros(1, dtype=wp.uint8, device="cpu")
        self._look = [
            record(map_objects, (1, OBJECTS // each), [view, self._mask, around, each], "cpu"),
            record(observe, 1, seen, "cpu"),
        ]
        self._choose = record(decide, 1, [self._chosen, view, self._wish], "cpu")
        self._answer = record(drive, 1, [*nets, self._wish, self._seen, self._action], "cpu")
        self._propose = [
            record(open_step, 1, [1, self._action, state, self._drive, diverged], "cpu"),
            record(act, 1, [self._action, view, self._limits, self._wish, state], "cpu"),
        ]
        self._every = max(round(PERIOD * SECOND / spec.period), 1)
        self._host = {
            name: array.numpy()
            for name, array in (
                ("seen", self._seen), ("chosen", self._chosen), ("action", self._action), ("refused", state.refused),
                ("pull", self._wish.pull), ("side", self._wish.side), ("line", self._wish.line),
                ("released", self._drive.released), ("before", self._drive.before), ("last_d", self._wish.last_d),
            )
        }  # fmt: skip
        self.begin()

    def begin(self) -> None:
        """A drive begins: nothing is wished, remembered or known of a failure."""
        self.steps = 0
        """Control steps since then"""
        self.trouble = ""
        self._state.step.zero_()
        for array in (self._drive.released, self._drive.before, self._action, self._chosen):
            array.zero_()
        fresh = make_wish(1, "cpu")
        for name in fresh._cls.vars:
            getattr(self._wish, name).assign(getattr(fresh, name))
        self._wish.most.fill_(ANY_SPEED)
        self.guard.reset(self._mask, self.memory)

    def step(self, *, failed: str = "", blind: bool = False) -> CarDecided:
        """One control step on the view as it is; `failed` says why the policies shall not be asked from now on.

        `blind`: the view holds no numbers to ask them about; they are not asked this time, and the shield says why.
        """
        host = self._host
        self.trouble = self.trouble or failed
        for launch in self._look:
            launch.launch()
        self.guard.wish = self._wishes.pack()
        if blind:
            host["action"][...] = 0.0
        elif not self.trouble:
            self.trouble = self._ask()
        if self.trouble:
            host["pull"][0] = 1  # that the car leaves its lane for a shoulder is wished from now on
            host["action"][...] = 0.0
        for launch in self._propose:
            launch.launch()
        if host["refused"][0]:
            self.trouble = self.trouble or "the policy of a skill said what is no number"
        self.guard.decide(
            self._inputs, self.memory, self._out,
            failed=bool(self.trouble), remember=self.steps % MEMORY_EVERY == 0,
        )  # fmt: skip
        judged, margin, reason = self.guard.released
        acceleration, curvature = judged
        angle = as_angle(curvature, self.spec.car.wheelbase)
        if self._by_angle:
            curvature = as_curvature(angle, self.spec.car.wheelbase)
            host["released"][0, 1] = curvature
        self.steps += 1
        assert self.guard.last is not None
        return CarDecided(
            proposed=self.guard.proposed,
            judged=judged,
            released=(acceleration, curvature),
            angle=angle,
            margin=margin,
            reason=reason,
            mode=self.guard.mode,
            decision=self.guard.last,
            trouble=self.trouble,
        )

    def recall(self, decision: Decision, cycle: int, *, wish: bool) -> None:
        """Begin the next step where a recorded one began, whoever decided it; with its `wish` too, or with our own.

        `decision` has its memory, `cycle` is its number. Raises ValueError for arrays of another version.
        """
        assert decision.memory is not None
        self.guard.read(decision, self._inputs, self.memory, self._out, cycle)
        self._host["released"][...] = self._host["before"]
        if wish:
            self._wishes.write(decision.wish)
        elif cycle != self.steps:  # steps between were not seen: where the car was then says nothing
            self._host["last_d"][0] = np.frombuffer(decision.inputs["view.where"], np.float32)[0]
        self.steps, self.trouble = cycle, ""

    @property
    def chooses(self) -> int:
        """Steps from one choice of the manoeuvre policy to the next."""
        return self._every

    def _ask(self) -> str:
        """Let the policies answer; why they cannot be asked, else nothing."""
        host = self._host
        if self.steps % self._every == 0:
            try:
                said = self._top.act(host["seen"].copy())
            except Exception as error:  # whatever a policy does, the car must go on: the fallback drives
                return f"the manoeuvre policy failed: {type(error).__name__}: {error}"
            if not np.isfinite(said).all():
                return "the manoeuvre policy said what is no number"
            host["chosen"][...] = said
            self._choose.launch()
        self._answer.launch()
        return ""
