"""What a process that hosts robots does before its first control cycle, so that no later cycle pays for it."""

from __future__ import annotations

import gc
import sys

import numpy as np

from fleet.control import Stepper
from fleet.records import at_start, warm_inputs
from hierarchy.skills import Answer

SWITCH = 0.0002
"""Longest wait for the interpreter lock, s: a tenth of the step's goal of 2 ms."""


def quieten() -> None:
    """Make the interpreter keep out of the control path, once everything is loaded.

    What lives by then is left to no collection, and the thread that writes the black boxes gives the interpreter lock
    back after 0.2 ms instead of 5.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH)


def warm(stepper: Stepper) -> None:
    """Run every kernel and the policy once, so that no cycle pays for their loading."""
    inputs = warm_inputs(stepper.config.spec, stepper.site)
    stepper.step(inputs, at_start(), lambda observation: Answer((0.0, 0.0)))
    controller = stepper.controller.navigate
    scan = np.frombuffer(inputs.scan, np.float32)
    zeros = np.zeros(3, np.float32)
    observation = controller.observe(scan, zeros, zeros[:2], zeros[:2])
    if stepper.policy is not None:
        stepper.policy.act(observation)
