"""The rollout as a state machine: `handle(state, event) -> state, commands`. No clock, no files, no keys.

    draft -> offline -> suite -> shadow -> course -> 1 -> 5 -> 25 -> 50 -> 100 % -> confirmed
                 any of them -> held (and on by an operator), rolled back, killed

Which event wins: a kill, then a rollback, then a hold, then everything else. Killed and rolled back are final, and
only a confirmed release can still be rolled back or killed. A stage ends only by its own evidence, and evidence counts
only in the stage for which it was made, so two verdicts at once promote once. Whatever takes authority from somebody
counts `epoch` up: leases of an older epoch hold no more.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.rollout import assign
from fleet.rollout.plan import DRIVEN, GATED, RolloutError, Stage, checked
from fleet.rollout.record import (
    SECOND,
    AnyEvent,
    Changed,
    Command,
    Deploy,
    Gate,
    Joined,
    Looked,
    Name,
    Order,
    Revoke,
    Started,
    State,
    Status,
    Tripped,
)

Result = tuple[State, tuple[Command, ...]]


def handle(state: State, event: AnyEvent) -> Result:
    """What an event makes of a state, and what is to be done. Raises RolloutError for one that is refused."""
    if isinstance(event, Started):
        return _start(state, event)
    if not state.rollout:
        raise RolloutError("expected a rollout that was started, there is none; begin with `muster rollout start`")
    if state.final:
        raise RolloutError(f"the rollout is {state.status.replace('_', ' ')} ({state.reason}); start another one")
    before = state.stamp
    at = msgspec.structs.replace(state, number=state.number + 1, stamp=event.stamp)
    if isinstance(event, Order) and event.verb in ("kill", "rollback", "hold"):  # whatever the clock says
        return _ordered(at, event)
    if isinstance(event, Tripped):
        return _trip(at, event)
    if isinstance(event, Looked | Gate) and event.decision == "rollback" and event.stage is state.stage:
        return _back(at, "rolled_back", event.reason)
    if isinstance(event, Changed):
        return _change(at, event)
    if isinstance(event, Joined):
        return _join(at, event)
    plan = state.plan
    driven = state.stage in DRIVEN  # before, nothing is a matter of time: a suite takes hours, a closed course days
    if driven and not before - int(plan.back * SECOND) <= event.stamp <= before + int(plan.jump * SECOND):
        jumped = (event.stamp - before) / SECOND
        if isinstance(event, Order) and event.verb == "resume":
            return _ordered(at, event)
        return _hold(at, f"the clock went on by {jumped:.0f} s between two events: it jumped, or nobody looked")
    if isinstance(event, Order):
        return _ordered(at, event)
    return _evidence(at, event)


def fold(events: list[AnyEvent]) -> State:
    """The state after all events."""
    state = State()
    for event in events:
        state, _ = handle(state, event)
    return state


def _start(state: State, event: Started) -> Result:
    if state.rollout:
        raise RolloutError(f"{state.rollout} was started here already; take another directory for another rollout")
    plan = checked(event.plan)
    candidate, baseline = event.candidate, event.baseline
    if candidate.release == baseline.release:
        raise RolloutError(f"expected a candidate other than the baseline, both are {baseline.release[:12]}; give two")
    if candidate.embodiment != baseline.embodiment:
        raise RolloutError(
            f"expected a candidate for robots {baseline.embodiment[:12]}, {candidate.release[:12]} is for "
            f"{candidate.embodiment[:12]}; another embodiment is another fleet"
        )
    unknown = sorted(set(plan.course.robots) - event.robots.keys())
    if unknown:
        raise RolloutError(f"expected robots of the fleet on the closed course, {unknown[0]} is none; name others")
    held = assign.holdout(event.robots, event.rollout, plan.holdout)
    begun = State(
        number=state.number + 1,
        stamp=event.stamp,
        began=event.stamp,
        rollout=event.rollout,
        candidate=candidate,
        baseline=baseline,
        plan=plan,
        robots=event.robots,
        arms=_all_old(event.robots, held),
        holdout=held,
        reason=f"started by {event.by}",
    )
    return _enter(begun, Stage.OFFLINE, begun.reason)


def _evidence(state: State, event: Gate | Looked) -> Result:
    if state.stage is not event.stage:
        return state, ()  # made for a stage that is over
    if isinstance(event, Gate):
        if state.stage not in GATED:
            return state, ()
        if event.decision == "hold":
            return _hold(state, event.reason)
        return _pass(msgspec.structs.replace(state, passed=True), event.reason)
    if state.stage not in DRIVEN:
        return state, ()
    state = msgspec.structs.replace(state, look=event, passed=False)
    silent = (event.stamp - max(event.heard, state.began)) / SECOND
    if silent > state.plan.silence:
        return _hold(state, f"no mission of the candidate for {silent:.0f} s")
    share = state.plan.share(state.stage)
    enough = event.missions >= share.missions and event.hours >= share.hours
    shown = event.decision == "promote" or not share.proof
    if not (enough and shown and not event.lacking):
        return state, ()
    told = event.reason if share.proof else f"{event.missions} missions, all data there, nothing against it so far"
    return _pass(msgspec.structs.replace(state, passed=True), told)


def _pass(state: State, reason: str) -> Result:
    """A stage's evidence suffices. The last step is an operator's; a held rollout waits for one too."""
    if state.status == "held" or state.stage is Stage.PART_100 or not state.plan.auto:
        return state, ()
    return _enter(state, Stage(state.stage + 1), reason)


def _enter(state: State, stage: Stage, reason: str) -> Result:
    before = {} if state.stage is Stage.COURSE else state.arms  # who drove there was named, not drawn
    state = msgspec.structs.replace(
        state, stage=stage, began=state.stamp, passed=False, look=None, reason=reason, status="running"
    )
    if stage in DRIVEN:
        given = assign.arms(state.robots, state.rollout, state.plan.share(stage), state.holdout, before)
        return _deploy(state, given)
    if stage is Stage.COURSE:
        state = msgspec.structs.replace(state, signed={})
        given = _all_old(state.robots, state.holdout)
        return _deploy(state, {**given, **dict.fromkeys(state.plan.course.robots, assign.CANDIDATE)})
    if stage is Stage.CONFIRMED:
        state = msgspec.structs.replace(state, status="confirmed", holdout=())
        state, commands = _deploy(state, dict.fromkeys(state.robots, assign.CANDIDATE))
        return state, (*commands, Name(state.candidate.release, reason))
    return state, ()


def _deploy(state: State, arms: Mapping[str, str]) -> Result:
    """Robots that lose the candidate lose it at once: their leases are of an epoch that is over."""
    lost = any(state.arms.get(robot) == assign.CANDIDATE != arm for robot, arm in arms.items())
    state = msgspec.structs.replace(state, arms=dict(arms), epoch=state.epoch + lost)
    return state, (Deploy(dict(arms), state.epoch),)


def _ordered(state: State, order: Order) -> Result:
    reason = f"{order.reason or order.verb} ({order.by})"
    match order.verb:
        case "kill":
            return _back(state, "killed", reason)
        case "rollback":
            return _back(state, "rolled_back", reason)
        case "hold":
            return _hold(state, reason)
        case _:
            pass
    if order.seen != state.number - 1:
        raise RolloutError(
            f"{order.by} had seen event {order.seen}, the rollout is at {state.number - 1}; "
            "look at `muster rollout status` and say it again"
        )
    if order.verb == "resume":
        if state.status != "held":
            raise RolloutError(f"expected a rollout that is held, it is {state.status}; nothing to resume")
        return msgspec.structs.replace(state, status="running", reason=reason, began=state.stamp, look=None), ()
    if state.status != "running":
        raise RolloutError(f"expected a rollout that runs, it is {state.status} ({state.reason}); resume it first")
    if order.verb == "sign":
        return _sign(state, order)
    last = state.stage is Stage.PART_100
    if (order.verb == "confirm") is not last:
        raise RolloutError(
            f"cannot {order.verb} in {state.stage.name.lower()}: `confirm` ends part_100, `promote` what is before it"
        )
    if not state.passed and state.stage is not Stage.COURSE:
        lacking = "; ".join(state.look.lacking) if state.look is not None else ""
        raise RolloutError(
            f"cannot {order.verb}: {state.stage.name.lower()} lacks its evidence ({lacking or state.reason}); wait"
        )
    if state.stage is Stage.COURSE:
        _check_course(state)
    return _enter(state, Stage(state.stage + 1), reason)


def _sign(state: State, order: Order) -> Result:
    if state.stage is not Stage.COURSE:
        raise RolloutError(f"expected signatures on the closed course, the rollout is in {state.stage.name.lower()}")
    if order.item not in state.plan.course.checklist:
        raise RolloutError(f'expected an item of the checklist, got "{order.item}"; see `muster rollout status`')
    return msgspec.structs.replace(state, signed={**state.signed, order.item: order.by}), ()


def _check_course(state: State) -> None:
    course = state.plan.course
    if missing := [item for item in course.checklist if item not in state.signed]:
        raise RolloutError(f'expected every item of the checklist signed, "{missing[0]}" is not; `muster rollout sign`')
    signers = set(state.signed.values())
    if len(signers) < course.signers:
        raise RolloutError(
            f"expected signatures of {course.signers} operators, all are by {', '.join(sorted(signers))}; ask others"
        )


def _trip(state: State, event: Tripped) -> Result:
    """A robot took the old release back by itself; that stands, and enough of them take the candidate back."""
    if state.arms.get(event.robot) != assign.CANDIDATE or event.lease:
        return state, ()  # it was cut off, and drives the old release until its lease comes again
    tripped = (*state.tripped, event.robot) if event.robot not in state.tripped else state.tripped
    state = msgspec.structs.replace(state, tripped=tripped)
    if len(tripped) >= state.plan.trips:
        return _back(state, "rolled_back", f"{event.reason} on {', '.join(tripped)}")
    return state, ()


def _change(state: State, event: Changed) -> Result:
    """Another robot or shield: what was shown on the closed course and after it was shown of something else."""
    if (event.embodiment, event.shield) == (state.candidate.embodiment, state.candidate.shield):
        return state, ()
    what = "RobotSpec" if event.embodiment != state.candidate.embodiment else "shield"
    target = msgspec.structs.replace(state.candidate, embodiment=event.embodiment, shield=event.shield)
    state = msgspec.structs.replace(state, candidate=target)
    if state.stage < Stage.COURSE or state.status == "confirmed":
        return state, ()
    held = state.status == "held"
    state, commands = _enter(state, Stage.COURSE, f"the {what} changed: back to the closed course")
    state = msgspec.structs.replace(state, epoch=state.epoch + 1, status="held" if held else "running")
    return state, (Revoke(state.epoch, state.reason), *(_renumbered(each, state.epoch) for each in commands))


def _join(state: State, event: Joined) -> Result:
    if event.embodiment != state.baseline.embodiment:
        raise RolloutError(
            f"expected robots {state.baseline.embodiment[:12]}, {event.robot} is {event.embodiment[:12]}; it stays out"
        )
    if event.robot in state.robots:
        return state, ()
    arm = assign.CANDIDATE if state.status == "confirmed" else assign.BASELINE
    robots, arms = {**state.robots, event.robot: event.zone}, {**state.arms, event.robot: arm}
    return msgspec.structs.replace(state, robots=robots, arms=arms), (Deploy(arms, state.epoch),)


def _hold(state: State, reason: str) -> Result:
    """Who drives the candidate keeps it; nobody else gets it."""
    if state.status == "confirmed":
        return state, ()
    return msgspec.structs.replace(state, status="held", reason=reason, passed=False), ()


def _back(state: State, status: Status, reason: str) -> Result:
    was_confirmed = state.status == "confirmed"
    state = msgspec.structs.replace(
        state,
        status=status,
        reason=reason,
        epoch=state.epoch + 1,
        arms=_all_old(state.robots, state.holdout),
        passed=False,
    )
    named = (Name(state.baseline.release, reason),) if was_confirmed else ()
    return state, (Revoke(state.epoch, reason), *named)


def _renumbered(command: Command, epoch: int) -> Command:
    return msgspec.structs.replace(command, epoch=epoch) if isinstance(command, Deploy) else command


def _all_old(robots: Mapping[str, str], held: tuple[str, ...]) -> dict[str, str]:
    return {robot: assign.HOLDOUT if robot in held else assign.BASELINE for robot in sorted(robots)}
