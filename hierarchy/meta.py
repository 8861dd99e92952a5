"""The meta level: turns one task into legs, decides what to do next, and when to ask for another way or for help.

Each control step it is given the newest assignment and what the corridor looks like, and says what it intends: the
option that drives, the cell that it wants to reach, how many legs are done, and which granted cells it found
blocked. It re-chooses the option about once a second (META_PERIOD) and whenever the running one ends; it is pure,
its memory is a record.

A blocked aisle. Something that no map and no grant explains stands in the granted corridor: after BLOCKED_SECONDS the
cells are reported as blocked, and the coordinator plans another way. A robot that does not get on for any other
reason reports the next cell after STUCK_SECONDS. While it reports, the robot stands in the middle of its cell, so that
the next ones can be taken back. Each report is one replan of the leg, and so is each RETRY_SECONDS that bring no other
way. After REPLANS of them the attempt has failed, the status says OPERATOR, and the coordinator gives the task to
another robot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from coordination.messages import Assignment, Choice, LegKind, RobotStatus
from hierarchy.lifting import UP
from hierarchy.options import OPTIONS, REACHED, STAND, OptionName, Situation
from sim.robot import SECOND

META_PERIOD = SECOND
"""The meta level reconsiders this often, ns (architecture: about 1 s)."""
BLOCKED_SECONDS = 3.0
"""An obstacle that stays this long in the corridor is reported, s: people who walk are gone by then."""
STUCK_SECONDS = 12.0
"""No progress for this long with free cells ahead is reported as well, s: four times the above, after the fallback
has had its try (see `fleet.control`)."""
PROGRESS = 0.15
"""A robot that moved this far got on, m: five times the localisation bound."""
RETRY_SECONDS = 15.0
"""A report that has led to no other way counts as one more replan after this long, s."""
LIFT_SECONDS = 60.0
"""A pod that is not up or down after this long is not where it should be, or too heavy, s: placing and lifting take
10 to 20."""
NO_LIFT = "the pod could be neither lifted nor set down: it is not there, or too heavy"
REPLANS = 5
"""Reports of a blocked way in one leg before a person is asked."""


class MetaMemory(msgspec.Struct, frozen=True):
    """What the meta level remembers from step to step."""

    option: int = int(OptionName.STAND)
    chosen_at: int = -META_PERIOD
    """Stamp of the last choice"""
    task: str = ""
    attempt: int = 0
    legs_done: int = 0
    working_since: int = -1
    failed: str = ""
    obstructed_since: int = -1
    """Since when something stands in the corridor"""
    anchor: tuple[float, float] = (0.0, 0.0)
    """Where the robot was when it last got on"""
    anchored_at: int = 0
    reported: tuple[int, ...] = ()
    """Cells that are being reported as blocked"""
    reported_at: int = 0
    """Stamp of the last replan"""
    replans: int = 0
    """Reports in this leg"""


@dataclass(frozen=True)
class View:
    """What the meta level sees at one control step."""

    now: int
    position: tuple[float, float]
    """p_WB, m"""
    speed: float
    """|v|, m/s"""
    assignment: Assignment | None
    ahead: tuple[int, ...]
    """Granted cells after the one that the robot is in, in driving order"""
    path_left: float
    """To the centre of the last granted cell, m"""
    distance: Callable[[int], float]
    """From the robot to the centre of a cell, m"""
    obstructed: tuple[int, ...]
    """Cells of `ahead` in which something stands that the map does not show"""
    held: bool
    """A protective or emergency stop holds the robot: no time runs against it"""
    lift: float = -1.0
    """How far the lift with a pod is up, m; -1 without a pod"""


class Intent(msgspec.Struct, frozen=True):
    """What the meta level wants."""

    option: OptionName
    goal: int
    """Cell to reach; -1 for none"""
    status: RobotStatus
    task: str
    attempt: int
    legs_done: int
    failed: str
    blocked: tuple[int, ...]
    stuck: float
    """How long the robot has not got on although it has free cells ahead, s"""
    choice: Choice | None = None
    """How the option was chosen; None in a step in which it was not reconsidered"""


def step(view: View, memory: MetaMemory) -> tuple[Intent, MetaMemory]:
    """One step: the intent, and the memory of the next step."""
    memory = _take_assignment(view, memory)
    situation = _situation(view, memory)
    option = OPTIONS_BY_NAME[OptionName(memory.option)]
    chosen_at, choice = memory.chosen_at, None
    if option.termination(situation) or view.now - chosen_at >= META_PERIOD:
        if option.name is OptionName.WORK and option.termination(situation) and situation.leg is not None:
            memory = msgspec.structs.replace(memory, legs_done=memory.legs_done + 1, working_since=-1, replans=0)
            situation = _situation(view, memory)
        option = next((o for o in OPTIONS if o.initiation(situation)), STAND)
        chosen_at, choice = view.now, Choice(mission(memory.task, memory.attempt))  # by rule: the first that may begin
    working_since = memory.working_since
    if option.name is OptionName.WORK and working_since < 0:
        working_since = view.now
    leg = situation.leg
    lowers = leg is not None and leg.kind is LegKind.SET_DOWN and 0.0 <= view.lift < UP
    if option.name is OptionName.WORK and lowers:
        working_since = view.now  # what is done at the cell begins when the pod stands
    memory = msgspec.structs.replace(memory, option=int(option.name), chosen_at=chosen_at, working_since=working_since)
    memory, stuck = _watch_progress(view, memory)
    if memory.option == OptionName.WORK and not memory.failed and _waits_for_lift(view, memory):
        memory = msgspec.structs.replace(memory, failed=NO_LIFT)
    return _intent(view, memory, stuck, choice), memory


def paused(view: View, memory: MetaMemory) -> tuple[Intent, MetaMemory]:
    """A step in which an operator drives: nothing is chosen, done or counted, and all is looked at anew after it.

    Work at a cell that is not done begins again there; what was given up stays so.
    """
    memory = msgspec.structs.replace(
        _take_assignment(view, memory),
        option=int(OptionName.STAND),
        chosen_at=view.now - META_PERIOD,
        working_since=-1,
        obstructed_since=-1,
        anchor=view.position,
        anchored_at=view.now,
        reported=(),
        replans=0,
    )
    return msgspec.structs.replace(_intent(view, memory, 0.0, None), status=RobotStatus.OPERATOR), memory


def _waits_for_lift(view: View, memory: MetaMemory) -> bool:
    """Whether a pod has not been lifted or set down for so long that it will not be."""
    situation = _situation(view, memory)
    leg = situation.leg
    waits = leg is not None and leg.kind in (LegKind.LIFT, LegKind.SET_DOWN)
    return waits and situation.worked > LIFT_SECONDS + (leg.dwell if leg is not None else 0.0)


def mission(task: str, attempt: int) -> str:
    """The name by which delayed outcomes are joined: task/attempt; empty without a task."""
    return f"{task}/{attempt}" if task else ""


def goal_cell(assignment: Assignment | None, memory: MetaMemory) -> int:
    """The cell of the open leg, before this step's own decisions; -1 without one."""
    if assignment is None or (assignment.task, assignment.attempt) != (memory.task, memory.attempt):
        legs_done, failed = _known_legs(assignment), ""
    else:
        legs_done, failed = max(memory.legs_done, _known_legs(assignment)), memory.failed
    if assignment is None or failed or legs_done >= len(assignment.legs):
        return -1
    return assignment.legs[legs_done].cell


def _known_legs(assignment: Assignment | None) -> int:
    """The legs that the coordinator knows as done: more than the robot does where its process was started anew."""
    return min(max(assignment.legs_done, 0), len(assignment.legs)) if assignment is not None else 0


def _take_assignment(view: View, memory: MetaMemory) -> MetaMemory:
    """Begin a new attempt where the coordinator knows it to stand, or forget the one that is no longer assigned."""
    task, attempt = (view.assignment.task, view.assignment.attempt) if view.assignment else ("", 0)
    legs_done = _known_legs(view.assignment)
    if (task, attempt) != (memory.task, memory.attempt):
        return msgspec.structs.replace(
            memory, task=task, attempt=attempt, legs_done=legs_done, working_since=-1, failed="", replans=0, reported=()
        )
    if legs_done > memory.legs_done:  # the first picture of a restarted robot may be older than its last report
        return msgspec.structs.replace(memory, legs_done=legs_done, working_since=-1, replans=0)
    return memory


def _situation(view: View, memory: MetaMemory) -> Situation:
    goal = goal_cell(view.assignment, memory)
    return Situation(
        now=view.now,
        position=view.position,
        speed=view.speed,
        assignment=view.assignment,
        legs_done=memory.legs_done,
        failed=bool(memory.failed),
        working_since=memory.working_since,
        goal_distance=view.distance(goal) if goal >= 0 else math.inf,
        path_left=view.path_left,
        lift=view.lift,
    )


def _watch_progress(view: View, memory: MetaMemory) -> tuple[MetaMemory, float]:
    """Follow how long the robot has been held up, report blocked cells, give up after too many replans."""
    somewhere_to_go = bool(view.ahead) or view.path_left > REACHED
    wants = memory.option == OptionName.NAVIGATE and somewhere_to_go and not view.held
    moved = math.dist(view.position, memory.anchor) > PROGRESS
    if moved or not wants or memory.reported:  # while it reports it stands on purpose
        memory = msgspec.structs.replace(memory, anchor=view.position, anchored_at=view.now)
    obstructed_since = memory.obstructed_since
    if not (wants and view.obstructed) or moved:
        obstructed_since = -1
    elif obstructed_since < 0:
        obstructed_since = view.now
    stuck = (view.now - memory.anchored_at) / SECOND
    # a report stands while its cells are granted, at least for RETRY_SECONDS, then as long as something is seen there
    young = view.now - memory.reported_at < RETRY_SECONDS * SECOND
    reported = tuple(
        cell for cell in memory.reported if wants and cell in view.ahead and (young or cell in view.obstructed)
    )
    found: Sequence[int] = ()
    if obstructed_since >= 0 and view.now - obstructed_since >= BLOCKED_SECONDS * SECOND:
        found = view.obstructed
    elif stuck >= STUCK_SECONDS:
        found = view.ahead[:1]
    replans, failed, reported_at = memory.replans, memory.failed, memory.reported_at
    if set(found) - set(reported) or (found and not young):
        reported = tuple(sorted({*reported, *found}))
        reported_at = view.now
        if not failed and memory.task:
            replans += 1
            if replans > REPLANS:
                failed = f"blocked: no way on after {REPLANS} replans; cells {', '.join(map(str, reported))}"
    memory = msgspec.structs.replace(
        memory,
        obstructed_since=obstructed_since,
        reported=reported,
        reported_at=reported_at,
        replans=replans,
        failed=failed,
    )
    return memory, stuck


def _intent(view: View, memory: MetaMemory, stuck: float, choice: Choice | None) -> Intent:
    option = OptionName(memory.option)
    if memory.failed:
        status = RobotStatus.OPERATOR
    elif memory.reported:
        status = RobotStatus.BLOCKED
    elif option is OptionName.WORK:
        status = RobotStatus.WORKING
    elif option is OptionName.NAVIGATE:
        status = RobotStatus.MOVING if view.ahead else RobotStatus.WAITING
    else:
        status = RobotStatus.IDLE
    return Intent(
        option=option,
        goal=goal_cell(view.assignment, memory),
        status=status,
        task=memory.task,
        attempt=memory.attempt,
        legs_done=memory.legs_done,
        failed=memory.failed,
        blocked=memory.reported,
        stuck=stuck,
        choice=choice,
    )


OPTIONS_BY_NAME = {option.name: option for option in OPTIONS}
"""The options that the memory names by number."""
