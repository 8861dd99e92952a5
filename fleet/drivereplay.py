"""`muster replay` of a drive: the same decisions once more on what was recorded, and the first difference.

The inputs of every control step, as the black box has them, go through the code that decided in the drive
(fleet/driveguard.py): supervisor, fallback, shield. Compared, bit for bit: the released command, margin, reason, mode
and cause of each step, and the memory that the step hands on wherever the file has it. The road comes from the file,
and what the shield assumed of the car and of others. What a gap hides is taken up at the next recorded memory.

Not replayed: what the policy made of its observation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import numpy as np
import warp as wp

from fleet.codehash import code_hash
from fleet.difference import Difference, compare
from fleet.driveguard import Decision, Guard, assuming
from fleet.drivelog import GUARD, SHIELD, read_course, unpack_decision
from fleet.replay import Verdict, same_machine
from fleet.salvage import BlackBoxError, Recording
from safety.reason import Reason
from safety.roadbounds import RoadBounds
from safety.supervisor import Cause, Mode
from sim.bodies.specs import CAR
from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.filter import RoadInputs
from sim.driving.routes import RoutePlan
from sim.driving.state import make_view
from sim.filter import make_outputs
from sim.road import Road


def replay_drive(recording: Recording) -> Verdict:
    """Decide every step of a recording again and compare.

    Raises BlackBoxError for a file that is not of this version, or of a drive without a shield.
    """
    course, _ = read_course(recording)
    if "bounds" not in recording.metadata:
        raise BlackBoxError(f"expected the decisions of a shield in {recording.path}, the drive had none")
    verdict = Verdict(recording.path, policy=False)
    if recording.damage:
        verdict.notes.append(recording.damage)
    if not recording.closed:
        verdict.notes.append("the file was cut; its whole records were replayed")
    try:
        cpu, versions = (json.loads(recording.metadata[name]) for name in ("cpu", "versions"))
    except (KeyError, ValueError) as error:
        raise BlackBoxError(f"expected a whole header in {recording.path}, {error} cannot be read") from error
    bounds = bounds_of(recording)
    if not same_machine(cpu, versions):
        verdict.notes.append("another CPU or other libraries than it was recorded with: last bits may differ")
    code = recording.metadata.get("code", "")
    if code != code_hash(GUARD):
        verdict.notes.append(
            f"recorded by other code ({code[:12] or 'it does not say which'}, here {code_hash(GUARD)[:12]}): a "
            "difference may come of that"
        )
    again = Again(course.road, bounds)
    last: int | None = None
    for cycle, decision in decisions(recording):
        if last is not None:
            verdict.gaps += max(cycle - last - 1, 0)
        try:
            verdict.difference = again.check(cycle, decision, follows=last is not None and cycle == last + 1)
        except ValueError as error:
            raise BlackBoxError(f"expected a drive of this version in {recording.path}: {error}") from error
        last = cycle
        if verdict.difference is not None:
            break
    verdict.steps = again.steps
    if verdict.gaps:
        verdict.notes.append(f"{verdict.gaps} cycles are not in the file")
    if not again.steps:
        raise BlackBoxError(f"expected decisions of a shield in {recording.path}, got none; the file is cut too early")
    return verdict


def bounds_of(recording: Recording) -> dict[str, float]:
    """What the shield of a drive assumed. Raises BlackBoxError where that cannot be read, or is another version's."""
    try:
        bounds = json.loads(recording.metadata["bounds"])
    except (KeyError, ValueError) as error:
        raise BlackBoxError(f"expected a whole header in {recording.path}, {error} cannot be read") from error
    names = set(RoadBounds.vars)  # type: ignore[attr-defined]  # of a Warp struct
    if not isinstance(bounds, dict) or set(bounds) != names:
        raise BlackBoxError(f"expected the bounds of a shield of this version in {recording.path}, got others")
    return bounds


class Again:
    """A guard on arrays of its own. Owns what the next step begins with."""

    def __init__(self, road: Road, bounds: dict[str, float]) -> None:
        start_warp()
        lane = road.lanes[0]
        atlas = Atlas([road], routes=[[RoutePlan(0, 0.0, 0, lane.length)]])  # a shield reads lanes, never routes
        self._guard = Guard(CAR, bounds=assuming(bounds))
        inputs = RoadInputs(
            command=wp.zeros((1, 2), dtype=wp.float32, device="cpu"),
            last_command=wp.zeros((1, 2), dtype=wp.float32, device="cpu"),
            view=make_view(1, "cpu"),
            lanes=atlas.lanes,
            conflicts=atlas.conflicts,
        )
        self._arrays = inputs, self._guard.init(1, "cpu"), make_outputs(1)
        self._known = False
        self.steps = 0
        """Decided again"""

    def check(self, cycle: int, recorded: Decision, *, follows: bool) -> Difference | None:
        """Decide a recorded step again. Raises ValueError for arrays of another version."""
        known = self._known
        if self.memory(recorded, follows=follows) is None:
            return None  # nothing says what this step began with
        if recorded.memory is not None and follows and known:
            found = _compare(cycle, "memory", recorded.memory, self._guard.remembered(*self._arrays))
            if found is not None:
                return found
        now = self.decide(recorded, cycle)
        for name, kind, old, new in (
            ("mode", Mode, recorded.mode, now.mode),
            ("cause", Cause, recorded.cause, now.cause),
        ):
            if old != new:
                return Difference(cycle, name, kind(old).name, kind(new).name)
        found = _compare(cycle, "outputs", recorded.outputs, now.outputs)
        if found is None and recorded.tried is not None:
            found = compare(cycle, recorded.tried, now.tried, "tried")
        return found

    def memory(self, recorded: Decision, *, follows: bool) -> dict[str, bytes] | None:
        """What a recorded step began with: as recorded, else as the step before left it; None where nothing says it."""
        if recorded.memory is not None:
            self._known = True
            return recorded.memory
        self._known = self._known and follows
        return self._guard.remembered(*self._arrays) if self._known else None

    def decide(self, recorded: Decision, cycle: int) -> Decision:
        """A recorded step once more, from what `memory` says. Raises ValueError for arrays of another version."""
        self._guard.read(recorded, *self._arrays, cycle)
        self._guard.decide(*self._arrays, failed=recorded.failed, remember=False)
        assert self._guard.last is not None
        self.steps += 1
        return self._guard.last


def _compare(cycle: int, what: str, recorded: dict[str, bytes], now: dict[str, bytes]) -> Difference | None:
    """The first array that differs by a bit, and where."""
    for name, old in recorded.items():
        new = now.get(name, b"")
        if old == new:
            continue
        if name == "reason":
            was, came = (Reason(int(np.frombuffer(each, np.int8)[0])).name for each in (old, new))
            return Difference(cycle, f"{what}.{name}", was, came)
        size = 8 if name == "supervisor" else 4
        place = next((at for at in range(0, len(old), size) if old[at : at + size] != new[at : at + size]), len(old))
        kind = np.int64 if size == 8 else np.int32 if name in ("played", "fallback.phase") else np.float32
        was, came = (str(np.frombuffer(each[place : place + size], kind).tolist()) for each in (old, new))
        return Difference(cycle, f"{what}.{name}[{place // size}]", was, came)
    return None


def decisions(recording: Recording) -> Iterator[tuple[int, Decision]]:
    """What the file holds of decisions, by cycle."""
    for number, chunk in enumerate(recording.chunks):
        for message in chunk:
            if message.channel != SHIELD:
                continue
            try:
                yield message.cycle, unpack_decision(message.data)
            except (msgspec.MsgspecError, ValueError) as error:
                if recording.unsure and number == len(recording.chunks) - 1:
                    return  # of a chunk that was cut no checksum says that it is whole
                raise BlackBoxError(f"expected a decision of a shield in {recording.path}: {error}") from error
