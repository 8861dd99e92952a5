"""A managed node: unconfigured, inactive, active, finalized, and how it goes from one to the other.

                 configure              activate
    unconfigured ---------> inactive ----------> active          shutdown, from each of the three: finalized
                 <---------          <----------
                  cleanup             deactivate

On the way the node's own callback says how it went: success goes on, failure stays where it was (a shutdown ends
nevertheless), an error (an exception) asks `on_error`, whose success leads to unconfigured and anything else to
finalized. Over rclpy the node is an rclpy LifecycleNode with its services, and this machine follows it; elsewhere the
machine is this one, and tells what it does as rclpy does, on `~/transition_event`. On every bus `~/state` holds the
present state, latched, for those who cannot ask a service.

Source: ROS 2 design, "Managed nodes"; the table is that of rcl_lifecycle `default_state_machine.c`. Callbacks run in
the thread that calls `trigger` or, for a request by service, `Bus.spin`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum

from fleet.ros.bus import Node, Publisher
from fleet.ros.messages.lifecycle_msgs import State as StateMessage
from fleet.ros.messages.lifecycle_msgs import Transition as TransitionMessage
from fleet.ros.messages.lifecycle_msgs import TransitionEvent
from fleet.ros.qos import LATCHED
from sim.errors import MusterError


class LifecycleError(MusterError):
    """A transition was asked for that does not begin where the node is."""


class State(IntEnum):
    """Primary states and those on the way, by the numbers of lifecycle_msgs/msg/State."""

    UNCONFIGURED = 1
    INACTIVE = 2
    ACTIVE = 3
    FINALIZED = 4
    CONFIGURING = 10
    CLEANINGUP = 11
    SHUTTINGDOWN = 12
    ACTIVATING = 13
    DEACTIVATING = 14
    ERRORPROCESSING = 15


class Transition(Enum):
    """What can be asked for."""

    CONFIGURE = "configure"
    CLEANUP = "cleanup"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    SHUTDOWN = "shutdown"


class Outcome(Enum):
    """How a callback went."""

    SUCCESS = "transition_success"
    FAILURE = "transition_failure"
    ERROR = "transition_error"


_BEGIN = {
    (State.UNCONFIGURED, Transition.CONFIGURE): (State.CONFIGURING, 1),
    (State.INACTIVE, Transition.CLEANUP): (State.CLEANINGUP, 2),
    (State.INACTIVE, Transition.ACTIVATE): (State.ACTIVATING, 3),
    (State.ACTIVE, Transition.DEACTIVATE): (State.DEACTIVATING, 4),
    (State.UNCONFIGURED, Transition.SHUTDOWN): (State.SHUTTINGDOWN, 5),
    (State.INACTIVE, Transition.SHUTDOWN): (State.SHUTTINGDOWN, 6),
    (State.ACTIVE, Transition.SHUTDOWN): (State.SHUTTINGDOWN, 7),
}
"""Where a transition begins -> the state on the way, and the transition's number in lifecycle_msgs/msg/Transition."""

_END = {
    State.CONFIGURING: (State.INACTIVE, State.UNCONFIGURED, State.ERRORPROCESSING, 10),
    State.CLEANINGUP: (State.UNCONFIGURED, State.INACTIVE, State.ERRORPROCESSING, 20),
    State.ACTIVATING: (State.ACTIVE, State.INACTIVE, State.ERRORPROCESSING, 30),
    State.DEACTIVATING: (State.INACTIVE, State.ACTIVE, State.ERRORPROCESSING, 40),
    State.SHUTTINGDOWN: (State.FINALIZED, State.FINALIZED, State.ERRORPROCESSING, 50),
    State.ERRORPROCESSING: (State.UNCONFIGURED, State.FINALIZED, State.FINALIZED, 60),
}
"""The state on the way -> the next after success, failure and error, and the first of the three outcomes' numbers."""


def begin(state: State, transition: Transition) -> State:
    """The state on the way; raises LifecycleError where the transition does not begin in `state`."""
    if (state, transition) not in _BEGIN:
        possible = [t.value for s, t in _BEGIN if s is state]
        raise LifecycleError(
            f"{transition.value}: a node that is {state.name.lower()} takes {', '.join(possible) or 'no transition'}"
        )
    return _BEGIN[state, transition][0]


def end(state: State, outcome: Outcome) -> State:
    """What follows a state on the way."""
    return _END[state][:3][list(Outcome).index(outcome)]


class Behaviour:
    """What a managed node does at its transitions; override what matters.

    True: done. False: not now, the node stays in the state before. An exception: an error, and `on_error` says whether
    the node can begin anew.
    """

    def on_configure(self) -> bool:
        """Make ready what activation needs."""
        return True

    def on_activate(self) -> bool:
        """Begin to act."""
        return True

    def on_deactivate(self) -> bool:
        """Cease to act."""
        return True

    def on_cleanup(self) -> bool:
        """Give back what `on_configure` took."""
        return True

    def on_shutdown(self) -> bool:
        """End for good; the node ends whatever this says."""
        return True

    def on_error(self) -> bool:
        """Bring the node to where it can be configured anew; False: it cannot, and ends."""
        return False


class Lifecycle:
    """Owns the state of one managed node."""

    def __init__(self, node: Node, behaviour: Behaviour, native: Callable[[Transition], object] | None = None) -> None:
        """`native` asks rclpy's own machine for a transition, which calls `step` and `recover`; see `Bus.managed`."""
        self.node = node
        self.state = State.UNCONFIGURED
        """Where the node is."""
        self.fault = ""
        """What the last error was; empty for none since the last success."""
        self._behaviour = behaviour
        self._native = native
        self._states: Publisher[StateMessage] = node.publisher(StateMessage, "~/state", LATCHED)
        self._events: Publisher[TransitionEvent] | None = None
        if native is None:
            self._events = node.publisher(TransitionEvent, "~/transition_event", LATCHED)
        self._states.publish(_message(self.state))

    @property
    def active(self) -> bool:
        """Whether the node may act."""
        return self.state is State.ACTIVE

    def trigger(self, transition: Transition) -> State:
        """Go that way and tell where it led; raises LifecycleError where it does not begin in the present state."""
        begin(self.state, transition)
        if self._native is not None:
            self._native(transition)
        elif self.step(transition) is Outcome.ERROR:
            self.recover()
        return self.state

    def step(self, transition: Transition) -> Outcome:
        """Go on the way, ask the node's callback and go on by what it says; over rclpy, its callbacks call this."""
        way = begin(self.state, transition)
        self._enter(way, _BEGIN[self.state, transition][1], transition.value)
        return self._ask(getattr(self._behaviour, f"on_{transition.value}"))

    def recover(self) -> Outcome:
        """Process the error of the last step; over rclpy, its callback calls this."""
        return self._ask(self._behaviour.on_error)

    def close(self) -> None:
        """Shut down where that has not happened, and close the node; safe to call twice."""
        if any(state is self.state for state, _ in _BEGIN):
            self.trigger(Transition.SHUTDOWN)
        self.node.close()

    def _ask(self, callback: Callable[[], bool]) -> Outcome:
        try:
            outcome = Outcome.SUCCESS if callback() else Outcome.FAILURE
        except Exception as error:  # whatever it is, the machine must know where the node stands
            outcome = Outcome.ERROR
            self.fault = f"{self.node.fully_qualified}: {callback.__name__}: {type(error).__name__}: {error}"
        way = self.state
        if outcome is Outcome.SUCCESS and way is not State.ERRORPROCESSING:
            self.fault = ""
        self._enter(end(way, outcome), _END[way][3] + list(Outcome).index(outcome), outcome.value)
        return outcome

    def _enter(self, state: State, number: int, label: str) -> None:
        """Be in another state and say so."""
        before, self.state = self.state, state
        self._states.publish(_message(state))
        if self._events is not None:
            transition = TransitionMessage(number, label)
            now = self.node.clock.now()
            self._events.publish(TransitionEvent(now, transition, _message(before), _message(state)))


def _message(state: State) -> StateMessage:
    return StateMessage(int(state), state.name.lower())
