"""The backends under test: how buses of each kind are made so that they meet, and how to wait until something holds."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from fleet.ros.arguments import parse
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.node import BaseBus
from tests.fleet.ros import fake_rclpy

PATIENCE_S = 10.0
"""Discovery on a loaded machine; latched data from Fast DDS waits for a heartbeat of 3 s."""


@dataclass
class Rig:
    """Buses that meet, as if each were a process."""

    kind: str
    make: Callable[[Sequence[str]], BaseBus]
    made: list[BaseBus] = field(default_factory=list)

    @property
    def wired(self) -> bool:
        """Whether there is a network between the buses, which takes its time."""
        return self.kind in ("dds", "rclpy")

    def bus(self, *arguments: str) -> BaseBus:
        """Another bus, with ROS arguments for its process."""
        self.made.append(self.make(arguments))
        return self.made[-1]

    def until(self, holds: Callable[[], object]) -> None:
        """Spin all buses until something holds; fails after `PATIENCE_S`."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            for bus in self.made:
                bus.spin(0.005)

    def quiet(self) -> None:
        """Spin all buses for as long as a message could still be under way."""
        end = time.monotonic() + (0.3 if self.wired else 0.0)
        while True:
            for bus in self.made:
                bus.spin(0.01 if self.wired else 0.0)
            if time.monotonic() >= end:
                return

    def close(self) -> None:
        """Close all buses."""
        for bus in self.made:
            bus.close()


KINDS = ["loop", "dds", "fake_rclpy", pytest.param("rclpy", marks=pytest.mark.ros)]
"""The backends that the contract holds for, and the fake of rclpy that lets it hold everywhere."""


@contextmanager
def rig_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A rig of that backend; skips where it is not available."""
    with contextlib.ExitStack() as stack:
        rig = Rig(kind, _maker(kind, monkeypatch, stack))
        stack.callback(rig.close)
        yield rig


def _maker(
    kind: str, monkeypatch: pytest.MonkeyPatch, stack: contextlib.ExitStack
) -> Callable[[Sequence[str]], BaseBus]:
    if kind == "loop":
        network = LoopNetwork()
        return lambda arguments: LoopBus(network, parse(arguments))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    domain = 1 + os.getpid() % 100  # the test processes of one machine do not meet
    module, name = "fleet.ros.rclpybus", "RclpyBus"
    if kind == "fake_rclpy":
        stack.enter_context(fake_rclpy.installed())
    elif kind == "rclpy":
        pytest.importorskip("rclpy", reason="ROS 2 is not sourced: rclpy cannot be imported", exc_type=ImportError)
    else:
        pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
        module, name = "fleet.ros.dds", "DdsBus"
    backend = getattr(importlib.import_module(module), name)
    return lambda arguments: backend(arguments=parse(arguments), domain=domain)
