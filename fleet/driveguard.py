"""Who decides in a drive: the supervisor lets policy or fallback propose, the road's shield judges; recorded as it is.

    guard = Guard(spec)                      the filter of an environment of one car
    guard.last                               the last control step: a `Decision`

`Guard.launch` is the whole decision: its inputs are the arrays of `RoadInputs` and whether the policy has failed, its
memory those of the shield, the fallback and the supervisor, its outputs the released command, margin, reason, mode and
cause. A `Decision` holds the bytes of all of them, the memory in the first step of each MEMORY_EVERY, so that the same
step can be run again on what was recorded (fleet/drivereplay.py); lists of a map are the road's, not recorded.

A policy that has failed is not asked again: the fallback (safety/roadfallback.py) drives until the car stands where it
is safe, its commands under the shield as anybody's. Stale or senseless views are the shield's own reasons; then it
plays its stored plan.
"""

# pyright: reportGeneralTypeIssues=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import warp as wp
from numpy.typing import NDArray

from fleet.evidence import Tried, TriedViews
from safety.reason import Reason
from safety.roadbounds import RoadBounds
from safety.roadfallback import RoadFallback
from safety.roadkept import RoadKept
from safety.roadshield import RoadShield, RoadShieldMemory
from safety.supervisor import Cause, Mode, SupervisorMemory, transition
from sim.driving.filter import RoadInputs
from sim.driving.state import View
from sim.filter import FilterOutputs
from sim.launches import Launchable
from sim.robot import SECOND, RobotSpec

MEMORY_EVERY = 20
"""Steps from one recorded memory to the next: a second, which is what a gap in a file costs a replay at most."""

Rows = dict[str, NDArray[Any]]
"""Arrays of several types by name, whose first axis has one row."""


class Decision(msgspec.Struct, frozen=True):
    """One control step of a guard; arrays are bytes by name."""

    failed: bool
    """Whether the policy had failed"""
    inputs: dict[str, bytes]
    outputs: dict[str, bytes]
    mode: int
    """`Mode` without the shield's say: POLICY or FALLBACK"""
    cause: int
    memory: dict[str, bytes] | None = None
    """What the step began with; not in every step"""
    tried: Tried | None = None
    """The shield's candidates; None in logs of before they were recorded"""
    wish: bytes = b""
    """What was wished when the policies were asked (sim/driving/wish.py), before a choice of this step: float64 in the
    order of the struct; empty where nobody says it"""


class Guard:
    """Supervisor, fallback and shield of one car. Owns their memory and the record of the last step."""

    def __init__(self, spec: RobotSpec, *, fails_at: float = math.inf, bounds: RoadBounds | None = None) -> None:
        """`fails_at`: from when on the policy counts as failed, s. `bounds`: what was assumed when it was recorded.

        Raises RoadShieldError for a car that cannot be judged.
        """
        self.shield, self.fallback = RoadShield(spec), RoadFallback(spec)
        if bounds is not None:
            self.shield.bounds = self.fallback.bounds = bounds
        self.last: Decision | None = None
        """Of the last launch"""
        self.proposed: tuple[float, float] = (0.0, 0.0)
        """What the policy said in it"""
        self.remembers = False
        """Whether a `Decision` has the memory in every step: 1 kB, some microseconds"""
        self.wish = b""
        """For the next step's `Decision`"""
        self._period, self._fails_at, self._step = spec.period, fails_at, 0
        self._supervisor = SupervisorMemory()
        self._arrays: tuple[Rows, Rows, Rows] | None = None
        self._mask = wp.full(1, 1, dtype=wp.uint8, device="cpu")
        self._fallback_memory = self.fallback.init(1)
        self._take_over: Launchable | None = None
        self._tried: TriedViews | None = None

    @property
    def mode(self) -> Mode:
        """Who proposes."""
        return self._supervisor.mode

    @property
    def released(self) -> tuple[tuple[float, float], float, Reason]:
        """Command, margin and reason of the last launch."""
        assert self.last is not None  # not the arrays: an episode that ended in the step has cleared them
        gave = self.last.outputs
        first, second = np.frombuffer(gave["command"], np.float32).tolist()
        margin, reason = np.frombuffer(gave["margin"], np.float32)[0], np.frombuffer(gave["reason"], np.int8)[0]
        return (first, second), float(margin), Reason(int(reason))

    @property
    def failed(self) -> bool:
        """Whether the policy counts as failed in the step that comes."""
        return self._step * self._period >= self._fails_at * SECOND

    @property
    def assumed(self) -> dict[str, float]:
        """The bounds of car and others that shield and fallback judge by."""
        return {name: float(getattr(self.shield.bounds, name)) for name in RoadBounds.vars}  # type: ignore[attr-defined]  # of a Warp struct

    def init(self, rows: int, device: str) -> RoadShieldMemory:
        """The shield's memory. Raises ValueError for more than one car, or a device that the host does not see into."""
        if rows != 1 or device != "cpu":
            raise ValueError(f"expected one car on the CPU, got {rows} on {device}; campaigns take the shield alone")
        return self.shield.init(rows, device)

    def reset(self, mask: wp.array, memory: RoadShieldMemory) -> None:
        """An episode begins, with a policy that has not failed yet."""
        self.shield.reset(mask, memory)
        if mask.numpy()[0]:
            self.fallback.reset(mask, self._fallback_memory)
            self._supervisor, self._step = SupervisorMemory(), 0

    def launch(self, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs) -> None:
        """One control step."""
        self.decide(inputs, memory, out, failed=self.failed, remember=self._step % MEMORY_EVERY == 0)

    def decide(
        self, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs, *, failed: bool, remember: bool
    ) -> None:
        """One control step of which is known whether the policy has failed; `remember` records its memory too."""
        told, kept, gave = self._views(inputs, memory, out)
        self.proposed = (float(told["command"][0, 0]), float(told["command"][0, 1]))
        read, before = _bytes(told), self._remembered(kept) if remember or self.remembers else None
        cause = Cause.POLICY if failed else Cause.NONE
        self._supervisor = transition(self._supervisor, cause, self._step * self._period)
        if self._supervisor.mode is Mode.FALLBACK:
            if self._take_over is None:
                self._take_over = self.fallback.record(inputs.view, self._mask, self._fallback_memory, inputs.command)
            self._take_over.launch()
        self.shield.launch(inputs, memory, out)
        self._step += 1
        if self._tried is None:
            self._tried = TriedViews(memory)
        mode, cause = int(self._supervisor.mode), int(self._supervisor.cause)
        self.last = Decision(failed, read, _bytes(gave), mode, cause, before, self._tried.read(), self.wish)

    def remembered(self, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs) -> dict[str, bytes]:
        """What the next step begins with."""
        return self._remembered(self._views(inputs, memory, out)[1])

    def read(
        self, decision: Decision, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs, cycle: int
    ) -> None:
        """Put a recorded step's inputs, and its memory if it has one, where the next step finds them.

        Raises ValueError for arrays of another version, by name.
        """
        told, kept, _ = self._views(inputs, memory, out)
        _write(decision.inputs, told)
        self._step = cycle
        if decision.memory is None:
            return
        rest = dict(decision.memory)
        mode, cause, since = np.frombuffer(rest.pop("supervisor", bytes(24)), np.int64).tolist()
        self._supervisor = SupervisorMemory(Mode(mode), Cause(cause), since)
        _write(rest, kept)

    def _remembered(self, kept: Rows) -> dict[str, bytes]:
        supervisor = self._supervisor
        numbers = np.array([supervisor.mode, supervisor.cause, supervisor.clear_since], np.int64)
        return _bytes(kept) | {"supervisor": numbers.tobytes()}

    def _views(self, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs) -> tuple[Rows, Rows, Rows]:
        """Inputs, memory and outputs as the host sees them; the arrays of the first call, which never move."""
        if self._arrays is None:
            told = {"command": inputs.command.numpy(), "last_command": inputs.last_command.numpy()}
            told |= {f"view.{name}": getattr(inputs.view, name).numpy() for name in View.vars}  # type: ignore[attr-defined]  # of a Warp struct
            kept = {name: getattr(memory, name).numpy() for name in RoadKept.vars}  # type: ignore[attr-defined]  # as above
            kept |= {f"fallback.{name}": getattr(self._fallback_memory, name).numpy() for name in ("phase", "last")}
            gave = {"command": out.command.numpy(), "margin": out.margin.numpy(), "reason": out.reason.numpy()}
            self._arrays = told, kept, gave
        return self._arrays


def assuming(bounds: Mapping[str, float]) -> RoadBounds:
    """The bounds of a record, `Guard.assumed`, as a shield takes them."""
    assumed = RoadBounds()
    for name, value in bounds.items():
        setattr(assumed, name, value)
    return assumed


def sparse(decision: Decision, step: int) -> Decision:
    """A decision as a log keeps it: with the memory in the first step of each MEMORY_EVERY alone."""
    if decision.memory is None or step % MEMORY_EVERY == 0:
        return decision
    return msgspec.structs.replace(decision, memory=None)


def _bytes(rows: Rows) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in rows.items()}


def _write(recorded: dict[str, bytes], rows: Rows) -> None:
    if recorded.keys() != rows.keys():
        other = sorted(recorded.keys() ^ rows.keys())
        raise ValueError(f"expected {', '.join(sorted(rows))}, got other arrays ({', '.join(other)})")
    for name, array in rows.items():
        if len(recorded[name]) != array.nbytes:
            raise ValueError(f"expected {array.nbytes} bytes of {name}, got {len(recorded[name])}")
        array[...] = np.frombuffer(recorded[name], array.dtype).reshape(array.shape)
