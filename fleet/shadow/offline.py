"""A candidate on recorded black boxes: the recorded inputs through the same control step, once more with its answers.

The memory that each step began with is recorded at each chunk's first step; between these it is worked out again by
the recorded answers, as `muster replay` does. No production policy is needed for that, only what it said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from agents.policy import Policy
from fleet.control import Stepper
from fleet.header import Header, read_header
from fleet.records import SCHEMA, Inputs, Memory, Outputs
from fleet.replay import recorded_steps
from fleet.salvage import BlackBoxError, Recording
from fleet.shadow.candidate import ShadowError, stepper_for
from fleet.shadow.floor import RECORDED, asked, pair
from fleet.shadow.pairs import Pair
from hierarchy.skills import Answer


def headers(recordings: Sequence[Recording], log: Path) -> list[Header]:
    """What black boxes say of themselves.

    Raises BlackBoxError for what is none of a robot on a floor, ShadowError where robots differ in kind.
    """
    found = [read_header(recording) for recording in recordings]
    bodies = {header.config.spec.embodiment_hash() for header in found}
    if len(bodies) > 1:
        raise ShadowError(f"expected logs of one kind of robot in {log}, got {len(bodies)} kinds; give each by itself")
    return found


def pairs(recording: Recording, header: Header, policy: Policy) -> Iterator[Pair]:
    """The pairs of one black box; raises BlackBoxError for records of another schema."""
    production = Stepper(header.config, header.site, None)
    candidate = stepper_for(header.config, header.site, policy)
    chunks = recording.chunks[:-1] if recording.unsure else recording.chunks
    memory: Memory | None = None
    cycle = -1
    for chunk in chunks:
        for step in recorded_steps(chunk, recording.path):
            inputs, outputs = step.inputs, step.outputs
            if step.memory is not None:
                memory = step.memory
                if memory.schema != SCHEMA:
                    raise BlackBoxError(f"expected memory of schema {SCHEMA}, {recording.path} has {memory.schema}")
            elif inputs.cycle != cycle + 1:
                memory = None  # steps are missing: what was remembered is not known until the next chunk
            cycle = inputs.cycle
            if memory is None:
                continue
            if asked(outputs):
                started = time.perf_counter()
                theirs, _ = candidate.step(inputs, memory)
                seconds = time.perf_counter() - started
                found = pair(outputs, theirs, header.config.spec, policy.hash, header.config.robot)
                yield msgspec.structs.replace(found, seconds=seconds)
            memory = _after(production, inputs, memory, outputs)


def _after(production: Stepper, inputs: Inputs, memory: Memory, outputs: Outputs) -> Memory:
    """What production remembered after the step; of somebody else's robot only what can be seen of it is known."""
    if outputs.source == RECORDED:
        return Memory(last_command=outputs.released, pose=inputs.pose)
    answer = outputs.answer if outputs.answer is not None else Answer((0.0, 0.0))
    act: Callable[[np.ndarray], Answer] = lambda observation: answer  # noqa: E731
    _, after = production.step(inputs, memory, act, lambda offer, battery: outputs.report.chosen)
    return after
