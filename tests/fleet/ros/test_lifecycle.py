"""The managed node's machine: every state, transition and outcome, and the same over each bus."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from fleet.ros.kinds import name_of
from fleet.ros.lifecycle import Behaviour, Lifecycle, LifecycleError, Outcome, State, Transition, begin, end
from fleet.ros.loop import LoopBus
from fleet.ros.messages.lifecycle_msgs import State as StateMessage
from fleet.ros.messages.lifecycle_msgs import Transition as TransitionMessage
from fleet.ros.messages.lifecycle_msgs import TransitionEvent
from fleet.ros.qos import LATCHED, QoS
from tests.fleet.ros.buses import KINDS, Rig, rig_of

PRIMARY = (State.UNCONFIGURED, State.INACTIVE, State.ACTIVE, State.FINALIZED)

DESIGN = {
    # where, what: success, failure, error; from the picture and the text of the design article "Managed nodes"
    ("unconfigured", "configure"): ("inactive", "unconfigured", "errorprocessing"),
    ("inactive", "cleanup"): ("unconfigured", "inactive", "errorprocessing"),
    ("inactive", "activate"): ("active", "inactive", "errorprocessing"),
    ("active", "deactivate"): ("inactive", "active", "errorprocessing"),
    ("unconfigured", "shutdown"): ("finalized", "finalized", "errorprocessing"),
    ("inactive", "shutdown"): ("finalized", "finalized", "errorprocessing"),
    ("active", "shutdown"): ("finalized", "finalized", "errorprocessing"),
}


class Scripted(Behaviour):
    """Does what the test says at each callback, and notes it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, bool | Exception] = {}

    def _answer(self, name: str) -> bool:
        self.asked.append(name)
        answer = self.answers.get(name, True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_configure(self) -> bool:
        return self._answer("configure")

    def on_activate(self) -> bool:
        return self._answer("activate")

    def on_deactivate(self) -> bool:
        return self._answer("deactivate")

    def on_cleanup(self) -> bool:
        return self._answer("cleanup")

    def on_shutdown(self) -> bool:
        return self._answer("shutdown")

    def on_error(self) -> bool:
        return self._answer("error")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with rig_of(request.param, monkeypatch) as rig:
        yield rig


def managed(rig: Rig) -> tuple[Lifecycle, Scripted]:
    behaviour = Scripted()
    return rig.bus().managed("nav", behaviour, "r1"), behaviour


def brought(lifecycle: Lifecycle, state: State) -> None:
    """Lead a new node to a state."""
    ways = {
        State.UNCONFIGURED: (),
        State.INACTIVE: (Transition.CONFIGURE,),
        State.ACTIVE: (Transition.CONFIGURE, Transition.ACTIVATE),
        State.FINALIZED: (Transition.SHUTDOWN,),
    }
    for transition in ways[state]:
        lifecycle.trigger(transition)
    assert lifecycle.state is state


def test_every_transition_leads_where_the_design_says() -> None:
    for state, transition in itertools.product(PRIMARY, Transition):
        wanted = DESIGN.get((state.name.lower(), transition.value))
        if wanted is None:
            with pytest.raises(LifecycleError, match=f"a node that is {state.name.lower()} takes"):
                begin(state, transition)
        else:
            way = begin(state, transition)
            assert tuple(end(way, outcome).name.lower() for outcome in Outcome) == wanted
    ends = [end(State.ERRORPROCESSING, outcome) for outcome in Outcome]
    assert ends == [State.UNCONFIGURED, State.FINALIZED, State.FINALIZED]


def test_numbers_are_those_of_lifecycle_msgs() -> None:
    for state in State:
        prefix = "PRIMARY_STATE" if state < 10 else "TRANSITION_STATE"
        assert getattr(StateMessage, f"{prefix}_{state.name}") == state


def test_a_node_goes_its_way_and_calls_what_belongs_to_it(rig: Rig) -> None:
    lifecycle, behaviour = managed(rig)
    for transition in ("configure", "activate", "deactivate", "cleanup", "configure", "activate", "shutdown"):
        lifecycle.trigger(Transition(transition))
    assert lifecycle.state is State.FINALIZED
    assert behaviour.asked == ["configure", "activate", "deactivate", "cleanup", "configure", "activate", "shutdown"]


def test_only_an_active_node_may_act(rig: Rig) -> None:
    lifecycle, _ = managed(rig)
    seen = [lifecycle.active]
    for transition in ("configure", "activate", "deactivate", "shutdown"):
        lifecycle.trigger(Transition(transition))
        seen.append(lifecycle.active)
    assert seen == [False, False, True, False, False]


def test_what_does_not_begin_here_is_refused_with_what_does_and_asks_nobody(rig: Rig) -> None:
    lifecycle, behaviour = managed(rig)
    with pytest.raises(LifecycleError, match="a node that is unconfigured takes configure, shutdown"):
        lifecycle.trigger(Transition.ACTIVATE)
    brought(lifecycle, State.FINALIZED)
    with pytest.raises(LifecycleError, match="takes no transition"):
        lifecycle.trigger(Transition.CONFIGURE)
    assert behaviour.asked == ["shutdown"]


def test_a_failure_leaves_the_node_where_it_was(rig: Rig) -> None:
    lifecycle, behaviour = managed(rig)
    behaviour.answers["configure"] = False
    assert lifecycle.trigger(Transition.CONFIGURE) is State.UNCONFIGURED
    behaviour.answers["configure"] = True
    assert lifecycle.trigger(Transition.CONFIGURE) is State.INACTIVE
    assert lifecycle.fault == ""


@pytest.mark.parametrize(
    ("recovers", "state"),
    [(True, State.UNCONFIGURED), (False, State.FINALIZED), (RuntimeError("again"), State.FINALIZED)],
)
def test_an_exception_is_an_error_that_the_node_may_recover_from(
    rig: Rig, recovers: bool | Exception, state: State
) -> None:
    lifecycle, behaviour = managed(rig)
    brought(lifecycle, State.INACTIVE)
    behaviour.answers = {"activate": ValueError("no laser"), "error": recovers}
    assert lifecycle.trigger(Transition.ACTIVATE) is state
    assert behaviour.asked[-2:] == ["activate", "error"]
    assert ("again" if isinstance(recovers, Exception) else "ValueError: no laser") in lifecycle.fault


def test_closing_shuts_down_whatever_the_state(rig: Rig) -> None:
    onlooker = rig.bus()
    onlooker.node("onlooker")
    for state in PRIMARY[:3]:
        lifecycle, behaviour = managed(rig)
        brought(lifecycle, state)
        lifecycle.close()
        lifecycle.close()
        assert lifecycle.state is State.FINALIZED
        assert behaviour.asked.count("shutdown") == 1
        assert lifecycle.node not in rig.made[-1].nodes
        rig.until(lambda: "/r1/nav" not in onlooker.census().nodes)


def test_whoever_comes_late_hears_the_state_and_then_each_change(rig: Rig) -> None:
    lifecycle, _ = managed(rig)
    brought(lifecycle, State.INACTIVE)
    late = rig.bus().node("operator").subscription(StateMessage, "/r1/nav/state", qos=QoS(latched=True, depth=10))
    heard: list[str] = []

    def hears(count: int) -> bool:
        heard.extend(sample.message.label for sample in iter(late.take, None))
        return len(heard) >= count

    rig.until(lambda: hears(1))
    lifecycle.trigger(Transition.ACTIVATE)
    rig.until(lambda: hears(3))
    assert heard == ["inactive", "activating", "active"]


def test_the_embedded_machine_tells_its_transitions_as_rclpy_does() -> None:
    bus = LoopBus()
    lifecycle = bus.managed("nav", Scripted())
    events = bus.nodes[0].subscription(TransitionEvent, "~/transition_event", qos=QoS(depth=10))
    brought(lifecycle, State.ACTIVE)
    told = [
        (e.transition.id, e.transition.label, e.start_state.label, e.goal_state.label)
        for e in (sample.message for sample in iter(events.take, None))
    ]
    assert told == [
        (TransitionMessage.TRANSITION_CONFIGURE, "configure", "unconfigured", "configuring"),
        (TransitionMessage.TRANSITION_ON_CONFIGURE_SUCCESS, "transition_success", "configuring", "inactive"),
        (TransitionMessage.TRANSITION_ACTIVATE, "activate", "inactive", "activating"),
        (TransitionMessage.TRANSITION_ON_ACTIVATE_SUCCESS, "transition_success", "activating", "active"),
    ]
    assert name_of(TransitionEvent) == "lifecycle_msgs/msg/TransitionEvent"
    assert LATCHED.depth == 1
