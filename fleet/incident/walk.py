"""Recorded control steps, decided again by this code: what every question about a recording starts from.

`walk` carries the memory on from step to step as replay does and answers each observation with what was recorded, so
`Walked.now` is the recorded decision as this code makes it. Where code or machine decide otherwise than recorded,
`Walked.same` is False, and comparisons are still between two decisions of one code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from numpy.typing import NDArray

from coordination.messages import Chosen, Offer
from fleet.control import Stepper
from fleet.header import Header, read_header
from fleet.records import SCHEMA, Inputs, Memory, Outputs, as_recorded
from fleet.replay import DRIVES, find_files, recorded_steps
from fleet.salvage import BlackBoxError, Message, Recording, read_recording
from hierarchy.skills import Act, Answer, version_of
from sim.robot import SECOND


@dataclass(frozen=True)
class Log:
    """One black box file and what its header says."""

    recording: Recording
    header: Header

    @property
    def robot(self) -> str:
        """Whose it is."""
        return self.header.config.robot

    @property
    def path(self) -> Path:
        """The file."""
        return self.recording.path

    @property
    def span(self) -> tuple[int, int]:
        """First and last stamp, ns."""
        stamps = [message.stamp for chunk in self.recording.chunks for message in chunk]
        return (min(stamps), max(stamps)) if stamps else (0, 0)


@dataclass(frozen=True)
class Walked:
    """One recorded step, and the same decided again."""

    inputs: Inputs
    memory: Memory
    """That the step began with"""
    recorded: Outputs
    now: Outputs
    after: Memory

    @property
    def same(self) -> bool:
        """Whether this code decides as recorded, bit by bit."""
        now = as_recorded(self.recorded, self.now)
        return msgspec.msgpack.encode(self.recorded) == msgspec.msgpack.encode(now)


def read_log(path: Path) -> Log:
    """A robot's black box. Raises BlackBoxError for a file of another kind, a car's too."""
    recording = read_recording(path)
    if recording.metadata.get("schema", "").startswith(DRIVES):
        raise BlackBoxError(
            f"expected the black box of a warehouse's robot, {path} is a drive's; those can be replayed, not asked more"
        )
    return Log(recording, read_header(recording))


def read_logs(path: Path, robot: str = "") -> list[Log]:
    """The black boxes of a file, folder or run, of one robot only where it is named, in order of time.

    Raises BlackBoxError where there is none.
    """
    logs = [read_log(file) for file in find_files(path)]
    names = sorted({log.robot for log in logs})
    found = [log for log in logs if robot in ("", log.robot)]
    if not found:
        raise BlackBoxError(f"expected a black box of {robot} in {path}, there are those of {', '.join(names)}")
    return sorted(found, key=lambda log: (log.robot, log.span))


def of_one_robot(path: Path, robot: str) -> list[Log]:
    """As `read_logs`, of one robot; raises BlackBoxError where there are several and none is named."""
    logs = read_logs(path, robot)
    names = list(dict.fromkeys(log.robot for log in logs))
    if len(names) > 1:
        raise BlackBoxError(f"expected one robot, {path} has {', '.join(names)}; name one with --robot")
    return logs


def log_at(logs: list[Log], stamp: int, zero: int) -> Log:
    """The file that holds a stamp, ns. Raises BlackBoxError for one outside of all, in seconds since `zero`."""
    for log in logs:
        first, last = log.span
        if first <= stamp <= last:
            return log
    spans = ", ".join(f"{(a - zero) / SECOND:.1f} to {(b - zero) / SECOND:.1f} s" for a, b in (x.span for x in logs))
    raise BlackBoxError(
        f"expected a second within the recording, {spans}, got {(stamp - zero) / SECOND:g}; choose another"
    )


def answer_as_recorded(stepper: Stepper, outputs: Outputs) -> Act:
    """What answers an observation with the recorded answer, under its policy's name."""
    said = outputs.answer
    if said is not None and said.policy:
        stepper.controller.navigate.version = version_of(said.policy)

    def act(observation: NDArray) -> Answer:
        return said if said is not None else Answer((0.0, 0.0))

    return act


def choose_as_recorded(outputs: Outputs):  # noqa: ANN201 - hierarchy.controller.Answerer
    """What answers an offer with the recorded choice."""

    def choose(offer: Offer, battery: float) -> Chosen | None:
        return outputs.report.chosen

    return choose


def walk(log: Log, stepper: Stepper | None = None, begin: int = 0, end: int = 2**63) -> Iterator[Walked]:
    """The steps from `begin` to `end` (stamps, ns) that can be decided again, in order.

    The memory is taken from the newest chunk before `begin`. Raises BlackBoxError for records of another schema.
    """
    stepper = stepper or Stepper(log.header.config, log.header.site, None)
    memory: Memory | None = None
    last: int | None = None
    chunks = log.recording.chunks
    for number, chunk in enumerate(chunks):
        if number + 1 < len(chunks) and chunks[number + 1][0].stamp <= begin and chunks[number + 1][0].stamp > 0:
            continue  # the next chunk begins with its memory, and not after `begin`
        if chunk[0].stamp > end:
            return
        try:
            for walked in _walk_chunk(chunk, log, stepper, memory, last):
                memory, last = walked.after, walked.inputs.cycle
                if begin <= walked.inputs.stamp <= end:
                    yield walked
        except BlackBoxError:
            raise
        except Exception:  # as in replay: of a chunk that was cut no checksum says that it is whole
            if log.recording.unsure and number == len(chunks) - 1:
                return
            raise


def _walk_chunk(
    chunk: tuple[Message, ...], log: Log, stepper: Stepper, memory: Memory | None, last: int | None
) -> Iterator[Walked]:
    for step in recorded_steps(chunk, log.path):
        if step.memory is not None:
            if step.memory.schema != SCHEMA:
                raise BlackBoxError(f"expected memory of schema {SCHEMA}, {log.path} has {step.memory.schema}")
            memory = step.memory
        elif last is not None and step.inputs.cycle != last + 1:
            memory = None  # nothing says what this step began with
        if memory is None:
            continue
        act = answer_as_recorded(stepper, step.outputs)
        now, after = stepper.step(step.inputs, memory, act, choose_as_recorded(step.outputs))
        yield Walked(step.inputs, memory, step.outputs, now, after)
        memory, last = after, step.inputs.cycle
