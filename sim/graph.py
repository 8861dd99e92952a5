"""One step as one graph: many kernel launches recorded once and replayed together.

Queueing a launch from Python costs 5 to 30 us, and a step of mujoco_warp is over a hundred of them. `StepGraph` records
what a function launches (Warp's graph capture) and replays it: on CUDA as a CUDA graph, and on the CPU, where Warp
plays its own recording in C++ (a step of mujoco_warp over 8 worlds: 20 ms launched one by one, 0.08 ms replayed,
bit-identical; 2026-11, one core).

A recording holds the addresses of its arrays. `parts` therefore lists whatever it depends on, and when one of them is
replaced by another object, the step is recorded anew; `renew` is called before, for launches that the caller recorded
himself. The first call of a new recording plays the function plainly, so that kernels are compiled and loaded, and the
second one captures. Garbage collection is suspended while a capture is open, because an array that is freed then
becomes part of it or breaks it.

A step that has Python in it (the C engine, hooks) cannot be captured; say so by `why_not`, and it is played plainly.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import warp as wp

from sim.device import start_warp

OLDEST_DRIVER = (12, 3)
"""CUDA driver from which modules may be loaded while a capture is open; before it, mujoco_warp calls capture unreliable
(`check_toolkit_driver`)."""


PENDING = "captured at the second step"
"""Instead of a reason, before that."""


@dataclass(frozen=True)
class GraphReport:
    """Whether a step is replayed as a graph, for the header of a run."""

    device: str
    used: bool
    reason: str
    """Why not; empty where it is."""
    conditional: bool
    """Loops inside the graph end when their condition does (CUDA 12.4 and later), not after a fixed count."""
    captures: int
    """How often the step was recorded."""

    def line(self) -> str:
        """One line for a log."""
        if self.reason == PENDING:
            return f"graph on {self.device}: {PENDING}"
        if not self.used:
            return f"graph on {self.device}: none, {self.reason}"
        loops = "conditional loops" if self.conditional else "loops of fixed length"
        return f"graph on {self.device}: captured {self.captures} x, {loops}"


def no_graph_because(device: str) -> str:
    """Why a device cannot capture graphs; empty where it can."""
    start_warp()
    place = wp.get_device(device)
    if place.is_cuda and not wp.is_mempool_enabled(place):
        return "memory pools are off or not supported, and a step allocates while it runs"
    driver = wp.get_cuda_driver_version() if place.is_cuda else None
    if driver is not None and tuple(driver) < OLDEST_DRIVER:
        return f"the CUDA driver is {driver}, older than {OLDEST_DRIVER}"
    if place.is_cuda and wp.config.verify_cuda:
        return "wp.config.verify_cuda checks every launch"
    return ""


class StepGraph:
    """A function of launches that is replayed as a graph. Owns the recording."""

    def __init__(
        self,
        play: Callable[[], None],
        device: str,
        *,
        parts: Callable[[], Sequence[Any]] = tuple,  # arrays and whatever else the recording depends on
        renew: Callable[[], None] | None = None,
        why_not: str = "",
    ) -> None:
        """`play` launches kernels on `device` and does nothing else that must happen again at each step."""
        self._play, self._device, self._parts, self._renew = play, device, parts, renew
        self._reason = why_not or no_graph_because(device)
        self._held: list[Any] = []  # whatever `parts` gave: held, so that no new object can take an old one's place
        self._ids: list[int] = []
        self._ready = False
        self._graph: wp.Graph | None = None
        self._captures = 0

    def launch(self) -> None:
        """Play one step; on CUDA this only queues it."""
        if self._reason:
            self._play()
            return
        parts = list(self._parts())
        ids = [id(part) for part in parts]
        if ids != self._ids:
            if self._renew is not None and self._held:
                self._renew()
                parts = list(self._parts())
                ids = [id(part) for part in parts]
            self._held, self._ids, self._graph, self._ready = parts, ids, None, False
        if self._graph is not None:
            wp.capture_launch(self._graph)
            return
        if not self._ready:  # compile and load every kernel outside of the capture
            self._play()
            self._ready = True
            return
        self._capture()
        if self._graph is not None:
            wp.capture_launch(self._graph)
        else:
            self._play()

    @property
    def report(self) -> GraphReport:
        """What stands now; before the second `launch` nothing is captured yet."""
        reason = self._reason or ("" if self._graph is not None else PENDING)
        place = wp.get_device(self._device)
        conditional = not place.is_cuda or wp.is_conditional_graph_supported()
        return GraphReport(self._device, not reason, reason, conditional, self._captures)

    def _capture(self) -> None:
        gc.collect()
        collects = gc.isenabled()
        gc.disable()
        try:
            with wp.ScopedCapture(device=self._device) as capture:
                self._play()
            self._graph = capture.graph
            self._captures += 1
        except (RuntimeError, NotImplementedError) as error:
            if wp.get_device(self._device).is_cuda:
                wp.synchronize_device(self._device)
            self._reason = f"the capture failed: {' '.join(str(error).split())}"
        finally:
            if collects:
                gc.enable()
