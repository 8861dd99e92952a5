"""A floor without physics, on which robots go from cell to cell at uneven speed: to rehearse the laws between robots.

Each robot is a point that moves along the cells of its grant at a speed drawn anew each cycle, turns on the spot,
dwells at its goals, now and then stands for no reason, and can be held for as long as wanted. It reports and obeys
like a real one: it acts on the picture of the cycle before, stops when its lease has ended, covers every cell that its
disc overlaps, and moves as an operator wants who has it. So thousands of robot hours of right of way take minutes; what
it leaves out is how robots drive.

It says the truth about where robots are (`footprints`), for an auditor that believes nobody.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from coordination.coordinator import Coordinator
from coordination.messages import LIFT, Assignment, Chosen, Jog, LegKind, Offer, Picture, Report, RobotStatus
from safety.manual import DEAD_MAN, JOG_SPEED
from sim.lifting import why_not, with_pod
from sim.robot import MILLISECOND, SECOND, RobotSpec
from sim.site import Site

CYCLE = 100 * MILLISECOND

Choose = Callable[["Actor", Offer], Chosen | None]
"""How a robot answers an offer; None for not at all."""


@dataclass(frozen=True)
class Pace:
    """How uneven the world is."""

    slow: float = 0.6
    """m/s; speeds are drawn between the two."""
    fast: float = 1.5
    pause: float = 0.01
    """Probability in each cycle of standing for a while for no reason."""
    pause_seconds: float = 3.0
    turn_seconds: float = 0.8
    """For a quarter turn."""
    loss: float = 0.0
    """Share of reports and pictures that are lost, each."""


@dataclass
class Actor:
    """One robot on the floor."""

    name: str
    cell: int
    """The cell that it comes from"""
    towards: int
    """The cell that it moves to; the same when it stands in the middle of one"""
    progress: float = 0.0
    """From the centre of `cell` to that of `towards`, 0 to 1"""
    heading: int = 0
    """towards - cell of its last move"""
    turning: float = 0.0
    """Seconds until it has turned"""
    pausing: float = 0.0
    speed: float = 0.0
    dwelling: float = -1.0
    """Seconds left at its goal; negative while it does not work there"""
    picture: Picture | None = None
    task: tuple[str, int] = ("", 0)
    legs_done: int = 0
    held: bool = False
    """Does not move, and says BLOCKED or nothing, as the test wants"""
    silent: bool = False
    blocked: tuple[int, ...] = ()
    """Reports these cells as blocked"""
    travelled: float = 0.0
    """m"""
    battery: float = 1.0
    chosen: Chosen | None = None
    """Its answer to the newest offer"""
    loaded: bool = False
    """Carries a pod"""
    asks: bool = False
    """Does not move by itself, and says OPERATOR"""

    @property
    def charging(self) -> bool:
        """Whether it stands at a charger, at work there."""
        assignment = self.picture.assignment if self.picture is not None else None
        if self.dwelling < 0.0 or assignment is None or self.legs_done >= len(assignment.legs):
            return False
        return assignment.legs[self.legs_done].kind is LegKind.CHARGE


@dataclass
class Floor:
    """Owns the robots' places, the clock and the dice; `cycle` is one round of the lockstep."""

    site: Site
    coordinator: Coordinator
    starts: list[int]
    seed: int = 0
    pace: Pace = field(default_factory=Pace)
    spec: RobotSpec = field(default_factory=RobotSpec)
    now: int = 0
    payload_max: float = 40.0
    choose: Choose | None = None
    """With it every robot chooses among offers; without, work is assigned"""
    chooses: int = 4
    """Tasks that a robot wants offered then"""

    def __post_init__(self) -> None:
        """Robots r0, r1, ... in the centres of the start cells."""
        self.lifts = not why_not(self.spec, self.site)
        self.pods: set[int] = set(self.site.fixtures.pods) if self.lifts else set()
        """The truth: cells in which a pod stands"""
        self._body = with_pod(self.spec, self.site) if self.lifts else self.spec
        self.dice = random.Random(self.seed)
        self.round = 0
        self.actors = {f"r{index}": Actor(f"r{index}", cell, cell) for index, cell in enumerate(self.starts)}

    def cycle(self) -> None:
        """Everyone moves on what it knows and reports; the coordinator answers."""
        self.round += 1
        self.now += CYCLE
        with self.coordinator.store.transaction():
            for actor in self.actors.values():
                self._move(actor)
                if not actor.silent and self.dice.random() >= self.pace.loss:
                    self.coordinator.handle(actor.name, self.report(actor), self.now)
            pictures = self.coordinator.tick(self.now)
        for robot, picture in pictures:
            actor = self.actors[robot]
            if isinstance(picture, Picture) and not actor.silent and self.dice.random() >= self.pace.loss:
                actor.picture = picture

    def footprints(self) -> dict[str, tuple[int, ...]]:
        """The truth: every cell that each robot's disc overlaps."""
        return {name: self._under(actor, self._radius(actor)) for name, actor in self.actors.items()}

    def report(self, actor: Actor) -> Report:
        """What a robot says of itself; its name is a capability, so that a task can be meant for it alone."""
        x, y = self._place(actor)
        yaw = {1: 0.0, -1: math.pi, -self.site.width: math.pi / 2, self.site.width: -math.pi / 2}
        picture = actor.picture
        return Report(
            round=self.round,
            stamp=self.now,
            pose=(x, y, yaw.get(actor.heading, 0.0)),
            twist=(actor.speed, 0.0),
            cells=self._under(actor, self._radius(actor) + self.spec.localisation_bound),
            battery=actor.battery,
            status=self._status(actor),
            grant=picture.grant.id if picture is not None and picture.grant is not None else 0,
            task=actor.task[0],
            attempt=actor.task[1],
            legs_done=actor.legs_done,
            blocked=actor.blocked,
            site=self.site.hash,
            capabilities=(actor.name, LIFT) if self.lifts else (actor.name,),
            payload_max=self.payload_max,
            chooses=self.chooses if self.choose is not None else 0,
            chosen=self._answer(actor),
            loaded=actor.loaded,
            jog=picture.jog.lease if picture is not None and picture.jog is not None else 0,
        )

    # inside ----------------------------------------------------------------------------------------------------

    def _answer(self, actor: Actor) -> Chosen | None:
        """The robot's answer to the offer in its picture: chosen once, repeated while the offer stands."""
        offer = actor.picture.offer if actor.picture is not None else None
        if offer is None or self.choose is None:
            return None
        if actor.chosen is None or actor.chosen.offer != offer.id:
            actor.chosen = self.choose(actor, offer)
        return actor.chosen

    def _status(self, actor: Actor) -> RobotStatus:
        if actor.asks or (actor.picture is not None and actor.picture.jog is not None):
            return RobotStatus.OPERATOR
        if actor.blocked:
            return RobotStatus.BLOCKED
        if actor.dwelling >= 0.0:
            return RobotStatus.WORKING
        if not actor.task[0]:
            return RobotStatus.IDLE
        return RobotStatus.MOVING if self._ahead(actor) else RobotStatus.WAITING

    def _place(self, actor: Actor) -> tuple[float, float]:
        width, size = self.site.width, self.site.cell
        (row, column), (next_row, next_column) = divmod(actor.cell, width), divmod(actor.towards, width)
        x = column + actor.progress * (next_column - column) + 0.5
        y = self.site.height - (row + actor.progress * (next_row - row)) - 0.5
        return x * size, y * size

    def _under(self, actor: Actor, radius: float) -> tuple[int, ...]:
        far = actor.progress * self.site.cell
        cells = []
        if far - radius < self.site.cell / 2:
            cells.append(actor.cell)
        if actor.towards != actor.cell and far + radius > self.site.cell / 2:
            cells.append(actor.towards)
        return tuple(cells)

    def _assignment(self, actor: Actor) -> Assignment | None:
        assignment = actor.picture.assignment if actor.picture is not None else None
        named = (assignment.task, assignment.attempt) if assignment is not None else ("", 0)
        if named != actor.task:
            actor.task, actor.legs_done, actor.dwelling = named, 0, -1.0
        return assignment

    def _ahead(self, actor: Actor) -> list[int]:
        """Granted cells after the one that the robot moves to."""
        picture = actor.picture
        if picture is None or picture.grant is None or picture.stopped or self.now >= picture.grant.expires:
            return []
        cells = list(picture.grant.cells)
        return cells[cells.index(actor.towards) + 1 :] if actor.towards in cells else []

    def _move(self, actor: Actor) -> None:
        before = actor.speed
        actor.speed = 0.0
        assignment = self._assignment(actor)
        left = CYCLE / SECOND
        if actor.picture is not None and actor.picture.jog is not None:
            self._obey(actor, actor.picture.jog, left)
            return
        if actor.held or actor.asks:
            return
        if actor.pausing > 0.0:
            actor.pausing -= left
            return
        if self.dice.random() < self.pace.pause and before == 0.0:
            actor.pausing = self.dice.random() * self.pace.pause_seconds
            return
        top = self.dice.uniform(self.pace.slow, self.pace.fast)
        # It cannot stop at once: 1 m/s^2 up, 1.5 m/s^2 down.
        speed = min(top, before + self.spec.diff.accel_max * left)
        while left > 1e-9:
            if actor.towards == actor.cell and not self._choose(actor, assignment):
                return
            if actor.turning > 0.0:
                spent = min(left, actor.turning)
                actor.turning -= spent
                left -= spent
                continue
            if not self._may_go_on(actor):
                return
            step = min(speed * left, (1.0 - actor.progress) * self.site.cell)
            actor.progress += step / self.site.cell
            actor.travelled += step
            actor.speed = speed
            left -= step / speed
            if actor.progress >= 1.0 - 1e-9:
                actor.cell, actor.progress = actor.towards, 0.0

    def _obey(self, actor: Actor, jog: Jog, left: float) -> None:
        """Turn in the middle of a cell, or go on or back on the line of its heading, as its operator wants it."""
        actor.heading = actor.heading or 1
        if self.now >= jog.expires or self.now - jog.stamp > DEAD_MAN:
            return
        if jog.v == 0.0:
            if jog.w != 0.0 and actor.towards == actor.cell:
                actor.heading = {1: -self.site.width, -self.site.width: -1, -1: self.site.width}.get(actor.heading, 1)
            return
        step = actor.heading if jog.v > 0.0 else -actor.heading
        if actor.towards == actor.cell:
            if self._ahead(actor)[:1] != [actor.cell + step]:
                return
            actor.towards = actor.cell + step
        elif actor.towards - actor.cell == -step:
            actor.cell, actor.towards, actor.progress = actor.towards, actor.cell, 1.0 - actor.progress
        if not self._may_go_on(actor):
            return
        actor.speed = math.copysign(min(abs(jog.v), JOG_SPEED), jog.v)
        actor.progress += min(abs(actor.speed) * left / self.site.cell, 1.0 - actor.progress)
        actor.travelled += abs(actor.speed) * left
        if actor.progress >= 1.0 - 1e-9:
            actor.cell, actor.progress = actor.towards, 0.0

    def _choose(self, actor: Actor, assignment: Assignment | None) -> bool:
        """In the middle of a cell: work at the goal, or turn to the next granted cell."""
        if assignment is not None and actor.legs_done < len(assignment.legs):
            leg = assignment.legs[actor.legs_done]
            if leg.cell == actor.cell:
                if actor.dwelling < 0.0:
                    actor.dwelling = leg.dwell
                actor.dwelling -= CYCLE / SECOND
                if actor.dwelling <= 0.0:
                    actor.dwelling = -1.0
                    actor.legs_done += self._handle(actor, leg.kind)
                return False
        ahead = self._ahead(actor)
        if not ahead:
            return False
        step = ahead[0] - actor.cell
        if actor.heading not in (0, step):
            actor.turning = self.pace.turn_seconds * (2 if step == -actor.heading else 1)
            actor.speed = 0.0
        actor.heading = step
        actor.towards = ahead[0]
        return True

    def _handle(self, actor: Actor, kind: LegKind) -> bool:
        """Lift or set down in the actor's cell; whether the leg is done. Without a pod to lift it waits."""
        if kind is LegKind.LIFT and not actor.loaded:
            actor.loaded = actor.cell in self.pods
            self.pods.discard(actor.cell)
            return actor.loaded
        if kind is LegKind.SET_DOWN and actor.loaded:
            actor.loaded = False
            self.pods.add(actor.cell)
        return True

    def _radius(self, actor: Actor) -> float:
        return self._body.radius if actor.loaded else self.spec.radius

    def _may_go_on(self, actor: Actor) -> bool:
        """Leaving a cell needs a grant of the next; once in between, the robot ends its move."""
        if actor.progress * self.site.cell + self._radius(actor) > self.site.cell / 2 - 0.05:
            return True
        picture = actor.picture
        granted = (
            picture is not None
            and picture.grant is not None
            and not picture.stopped
            and self.now < picture.grant.expires
            and actor.towards in picture.grant.cells
        )
        if not granted:
            actor.towards, actor.progress = actor.cell, 0.0
        return granted
