"""Kernel launches recorded once and repeated: on the CPU with their arguments packed once.

A recorded launch of Warp packs its arguments into a new structure each time it is repeated on the CPU: 3.3 us, where
the call of the compiled kernel takes 0.15 us (2026-11, one core). A step of the environment is some thirty launches, so
that with few rows most of its time went there. `record` keeps the packed structure. While Warp records a graph the
launch goes Warp's way, because a graph is made of what passes there; on other devices it always does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol

import warp as wp


class Launchable(Protocol):
    """A recorded launch, or whatever else can be run again and again on the same arrays."""

    def launch(self) -> None:
        """Run it."""
        ...


class Nothing:
    """The launch of a kernel over no threads, for which Warp records none."""

    def launch(self) -> None:
        """Do nothing."""


class Several:
    """Launches that are run one after the other, as one."""

    __slots__ = ("launches",)

    def __init__(self, launches: Sequence[Launchable]) -> None:
        self.launches = tuple(launches)

    def launch(self) -> None:
        """Run them."""
        for each in self.launches:
            each.launch()


class PackedLaunch:
    """A launch on the CPU whose arguments were packed when it was recorded. Holds its arrays.

    A structure (`wp.struct`) among them is taken as it was then: fields that are assigned later are not seen.
    """

    __slots__ = ("_arguments", "_bounds", "_call", "_command", "_held", "_runtime")

    def __init__(self, command: Any, inputs: Sequence[Any]) -> None:  # Warp's own types
        from warp._src import context  # no public call repeats a launch without packing its arguments again

        params = command.params
        names = [argument.label for argument in command.kernel.adj.args]
        given = dict(zip(names, params[1:], strict=True))
        fields = [(name, type(value)) for name, value in given.items()]
        packed = type("Arguments", (ctypes.Structure,), {"_fields_": fields})()
        for name, value in given.items():
            setattr(packed, name, value)
        self._call = command.hooks.forward
        self._bounds, self._arguments = ctypes.byref(params[0]), ctypes.byref(packed)
        self._runtime, self._command, self._held = context.runtime, command, (packed, tuple(inputs))

    def launch(self) -> None:
        """Run the kernel, or let an open capture have it."""
        if self._runtime._apic_capture is None:
            self._call(self._bounds, self._arguments)
        else:
            self._command.launch()


def record(kernel: Any, dim: int | tuple[int, ...], inputs: Sequence[Any], device: Any = "cpu") -> Launchable:
    """A launch to be repeated on the same arrays; of no threads (no people) one that does nothing."""
    command = wp.launch(kernel, dim=dim, inputs=list(inputs), device=device, record_cmd=True)
    if command is None:
        return Nothing()
    if not command.device.is_cpu or command.block_dim > 1:
        return command
    return PackedLaunch(command, inputs)


def per_thread(many: int, device: str) -> int:
    """How many of `many` things a thread of a kernel over them handles: one on a GPU, all on the CPU.

    There a thread copies its arguments, kilobytes of structures, which takes longer than most things do.
    """
    return max(many, 1) if device == "cpu" else 1
