"""What a black box takes step by step, and how it becomes messages: a robot's control steps, or another layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.box.boxfile import CHANNELS
from fleet.box.chain import Triggered
from fleet.box.layout import Message
from fleet.box.trigger import robot_triggers

ROTATE_SECONDS = 60.0
"""A robot's file that holds so much site time is followed by the next: a locked event keeps two or three of them."""


class Step(msgspec.Struct, frozen=True):
    """One control step as the control path hands it over; the parts are frozen records or mappings."""

    cycle: int
    """Number of the control cycle; a gap shows dropped steps."""
    stamp: int
    """Site clock, ns"""
    inputs: Any  # whatever the control step defines: the box only encodes it
    memory: Any  # as above
    """The memory that the step began with."""
    outputs: Any  # as above
    shadow: Any = None  # as above
    """What a candidate beside production decided in a step before (fleet/shadow/pairs.py)."""


@dataclass(frozen=True)
class Layout:
    """What a black box holds."""

    channels: tuple[str, ...]
    messages: Callable[[Sequence[Any]], list[Message]]
    """The messages of a chunk of steps, whatever these are"""
    triggers: Callable[[Any, Sequence[Any]], list[Triggered]] | None = None
    """What among steps is worth an event, of the step before them and these"""
    seconds: float = 0.0
    """Site time after which a file is followed by the next, s; 0: its size alone decides"""


def robot_messages(steps: Sequence[Step]) -> list[Message]:
    """A robot's chunk: inputs and outputs of all steps, a shadow's pairs, the memory of each that does not follow on.

    That is the first, and any whose cycle is not the next one: steps were passed over, or time began anew.
    """
    encode = _ENCODER.encode
    messages = []
    for before, step in zip((None, *steps), steps, strict=False):
        if before is None or step.cycle != before.cycle + 1:
            messages.append((2, step.cycle, step.stamp, encode(step.memory)))
        messages.append((1, step.cycle, step.stamp, encode(step.inputs)))
        messages.append((3, step.cycle, step.stamp, encode(step.outputs)))
        if step.shadow is not None:
            messages.append((4, step.cycle, step.stamp, encode(step.shadow)))
    return messages


_ENCODER = msgspec.msgpack.Encoder()

ROBOT = Layout(CHANNELS, robot_messages, robot_triggers, ROTATE_SECONDS)
