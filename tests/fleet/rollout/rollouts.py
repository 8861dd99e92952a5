"""Rollouts for tests: a fleet of sixty robots in six zones, a plan, and events at a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from fleet.rollout.plan import Course, Plan, Share, Stage
from fleet.rollout.record import AnyEvent, Command, Gate, Looked, Order, Started, State, Target
from fleet.rollout.stages import handle

SECOND = 1_000_000_000
OLD, NEW = Target("a" * 64, "e" * 64, "5" * 64), Target("b" * 64, "e" * 64, "5" * 64)
ROBOTS = {f"r{number}": f"z{number % 6}" for number in range(60)}
PLAN = Plan(
    shares=(
        Share(0.01, 1, 5, 0.0, False),
        Share(0.05, 2, 10, 0.0, False),
        Share(0.25, 0, 20, 0.0, True),
        Share(0.50, 0, 20, 0.0, True),
        Share(1.00, 0, 20, 0.0, True),
    ),
    course=Course(robots=("r0",), fence=(0.0, 0.0, 5.0, 5.0), checklist=("stops", "falls back")),
)


def started(**changes: object) -> Started:
    """The first event."""
    event = Started(
        stamp=SECOND, rollout="spring", candidate=NEW, baseline=OLD, robots=ROBOTS, plan=PLAN, by="operator_anna"
    )
    return msgspec.structs.replace(event, **changes)


@dataclass
class Rollout:
    """A state, moved by events one second after the other."""

    state: State = field(default_factory=lambda: handle(State(), started())[0])
    done: list[Command] = field(default_factory=list)

    def take(self, event: AnyEvent, after: float = 1.0) -> State:
        """An event `after` s after the last one."""
        stamped = msgspec.structs.replace(event, stamp=self.state.stamp + int(after * SECOND))
        self.state, commands = handle(self.state, stamped)
        self.done += commands
        return self.state

    def gate(self, stage: Stage, decision: str = "promote") -> State:
        """A gate's verdict."""
        return self.take(Gate(stamp=0, stage=stage, decision=decision, reason="as planted"))  # type: ignore[arg-type]

    def order(
        self, verb: str, by: str = "operator_anna", item: str = "", seen: int | None = None, after: float = 1.0
    ) -> State:
        """An operator's order."""
        number = self.state.number if seen is None else seen
        return self.take(Order(stamp=0, verb=verb, by=by, item=item, seen=number), after)  # type: ignore[arg-type]

    def look(self, decision: str = "promote", missions: int = 100, **more: object) -> State:
        """The judge's word, on a mission that was heard just now."""
        values = {"heard": self.state.stamp + SECOND, "reason": "as planted", **more}
        return self.take(Looked(stamp=0, stage=self.state.stage, decision=decision, missions=missions, **values))  # type: ignore[arg-type]

    def to(self, stage: Stage) -> State:
        """On to a stage, with everything passed."""
        while self.state.stage < stage:
            if self.state.stage is Stage.COURSE:
                for item, by in zip(self.state.plan.course.checklist, ("operator_anna", "operator_bert"), strict=True):
                    self.order("sign", by, item)
                self.order("promote")
            elif self.state.stage < Stage.COURSE:
                self.gate(self.state.stage)
            elif self.state.stage is Stage.PART_100:
                self.look()
                self.order("confirm")
            else:
                self.look()
        return self.state
