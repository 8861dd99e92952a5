"""Worlds that blew up: what they started their last control step from, kept small, and played again.

A recorder notes at the start of each control step every world's physics state, and before each motor period its
controls, the places of its mocap bodies and whatever else changes within a step (what lifts hold): all that physics
gets from outside. When an episode ends as diverged the
notes of its world go into one of the places on the device, together with the model fields that differ between worlds;
`save` reads them (once per rollout on a device, at once on the CPU) and writes each of them into a folder
(sim/lostworlds.py): start.*, passed.*, field.*, inputs.*, change.*, row.*, and whose world it was.

There are as many places as PLACES_BYTES hold. On the CPU, where steps save at once, that is every world of all but the
largest batches; whoever finds no place is counted, and the folder says so.

`sim.relive` plays such a world again, whatever body, task or people it came from; `passed` are the states that the
world went through, at the start of each motor period, to compare with.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import warp as wp

from sim.backend import STATE_FIELDS, Backend, BatchBackend
from sim.launches import Launchable, record
from sim.lostworlds import LostWorlds

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PLACES_BYTES = 32 * 2**20
"""Of all places on the device (own choice: a thousandth of a GPU's memory)."""

PLACES_LEAST, PLACES_MOST = 8, 4096
"""Places, whatever they take: some for the largest worlds, and no more for the smallest than a person could look at."""


@wp.kernel
def note_inputs(
    ctrl: wp.array2d(dtype=Any),
    position: wp.array3d(dtype=Any),
    turn: wp.array3d(dtype=Any),
    notes: wp.array2d(dtype=Any),
) -> None:
    """Controls and mocap places of each world, one after the other, into `notes` (worlds, numbers)."""
    world = wp.tid()
    at = wp.int32(0)
    for k in range(ctrl.shape[1]):
        notes[world, at] = ctrl[world, k]
        at += 1
    for body in range(position.shape[1]):
        for k in range(3):
            notes[world, at] = position[world, body, k]
            at += 1
        for k in range(4):
            notes[world, at] = turn[world, body, k]
            at += 1


@wp.kernel
def copy_all(source: wp.array2d(dtype=Any), target: wp.array2d(dtype=Any)) -> None:
    """Every number of every world."""
    world, k = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    target[world, k] = source[world, k]


@wp.kernel
def choose_slots(
    robots: int,
    ending: wp.array(dtype=wp.uint8),
    how: int,
    count: wp.array(dtype=wp.int32),
    slot: wp.array(dtype=wp.int32),
    world_of: wp.array(dtype=wp.int32),
) -> None:
    """A free slot for each world in which an episode ended as `how`, -1 for the others; `count` counts them all."""
    world = wp.tid()
    lost = wp.bool(False)
    for robot in range(robots):
        lost = lost or int(ending[world * robots + robot]) == how
    slot[world] = -1
    if lost:
        chosen = wp.atomic_add(count, 0, 1)
        if chosen < world_of.shape[0]:
            slot[world] = chosen
            world_of[chosen] = world


@wp.kernel
def keep(slot: wp.array(dtype=wp.int32), source: wp.array2d(dtype=Any), kept: wp.array2d(dtype=Any)) -> None:
    """Copy the rows of worlds that have a slot."""
    world, k = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    if slot[world] >= 0:
        kept[slot[world], k] = source[world, k]


class Recorder:
    """Notes of every world of one backend. Owns the notes, their places and the count of diverged worlds."""

    def __init__(
        self, model: Any, backend: Backend, periods: int, substeps: int, robots: int, changing: Sequence[str] = ()
    ) -> None:  # mujoco.MjModel has no stub
        """`periods` of `substeps` physics steps make a control step; `changing` names what else changes within it.

        The model fields that differ between worlds by now are kept too.
        """
        worlds, device = backend.worlds, backend.device
        self._model, self._backend, self._robots, self._substeps = model, backend, robots, substeps
        # the C engine's state is one block, copied at once; mujoco_warp has an array for each field
        self._block = backend.batch.state if isinstance(backend, BatchBackend) else None
        names = () if self._block is not None else STATE_FIELDS
        sources = {name: backend.data(name) for name in names}
        self._state = {name: array for name, array in sources.items() if array.size}
        if self._block is not None:
            copy = np.zeros_like(self._block)
            self._copy, starts = copy, {"state": wp.array(copy, dtype=wp.float64, device=device, copy=False)}
        else:
            starts = {name: wp.zeros_like(array) for name, array in self._state.items()}
        self._starts = starts
        self._passed = [{name: wp.zeros_like(array) for name, array in starts.items()} for _ in range(periods)]
        self._blocks = [] if self._block is None else [passed["state"].numpy() for passed in self._passed]
        width = backend.ctrl.shape[1] + 7 * backend.mocap_pos.shape[1]
        self._inputs = [wp.zeros((worlds, width), dtype=backend.ctrl.dtype, device=device) for _ in range(periods)]
        places = [backend.ctrl, backend.mocap_pos, backend.data("mocap_quat")]
        self._note = [record(note_inputs, dim=worlds, inputs=[*places, notes], device=device) for notes in self._inputs]
        changes = {f"{name}.{period}": self._source(name) for name in changing for period in range(periods)}
        noted = {name: wp.zeros(array.shape, dtype=array.dtype, device=device) for name, array in changes.items()}
        self._changes = [
            [
                record(copy_all, dim=changes[key].shape, inputs=[changes[key], noted[key]], device=device)
                for key in noted
                if key.endswith(f".{period}")
            ]
            for period in range(periods)
        ]
        self._count = wp.zeros(1, dtype=wp.int32, device=device)
        self._slot = wp.full(worlds, -1, dtype=wp.int32, device=device)
        self._noted: dict[str, wp.array] = {}
        named = {f"start.{name}": array for name, array in starts.items()}
        named |= {f"inputs.{period}": notes for period, notes in enumerate(self._inputs)}
        for period, passed in enumerate(self._passed):
            named |= {f"passed.{period}.{name}": array for name, array in passed.items()}
        named |= {f"field.{name}": array for name, array in backend.varied().items()}
        named |= {f"change.{name}": array for name, array in noted.items()}
        for name, array in named.items():
            self.also(name, array)
        self.total = 0
        """Diverged worlds that `save` has counted."""
        self._lost = LostWorlds(model)

    def also(self, name: str, array: wp.array) -> None:
        """Keep this array (worlds, ...) too, if asked before `keep`; it is read when a world is lost."""
        flat = array if array.ndim == 2 else array.reshape((array.shape[0], -1))
        if flat.size:
            self._noted[name] = flat

    def begin(self) -> None:
        """Note the state that a control step's physics starts from."""
        if self._block is not None:
            np.copyto(self._copy, self._block)
        for name, array in self._state.items():
            wp.copy(self._starts[name], array)

    def inputs(self, period: int) -> None:
        """Note what physics gets from outside in a motor period, and the state that it begins with."""
        self._note[period].launch()
        if self._block is not None:
            np.copyto(self._blocks[period], self._block)
        for name, array in self._state.items():
            wp.copy(self._passed[period][name], array)
        for change in self._changes[period]:
            change.launch()

    def _source(self, name: str) -> wp.array:
        """State or a model field as (worlds, numbers)."""
        array = self._backend.data(name) if name in STATE_FIELDS else self._backend.field(name)
        return array if array.ndim == 2 else array.reshape((array.shape[0], -1))

    def keep(self, ending: wp.array, how: int) -> list[Launchable]:
        """The launches that keep the worlds in which a row (uint8 (rows,)) ended as `how`; makes their places."""
        device, worlds = self._backend.device, self._backend.worlds
        bytes_each = sum(wp.types.type_size_in_bytes(flat.dtype) * flat.shape[1] for flat in self._noted.values())
        self.places = min(max(PLACES_BYTES // bytes_each, PLACES_LEAST), PLACES_MOST)
        self._world_of = wp.full(self.places, -1, dtype=wp.int32, device=device)
        self._kept = {
            name: wp.zeros((self.places, flat.shape[1]), dtype=flat.dtype, device=device)
            for name, flat in self._noted.items()
        }
        choose = record(
            choose_slots,
            dim=worlds,
            inputs=[self._robots, ending, how, self._count, self._slot, self._world_of],
            device=device,
        )
        keeps = [
            record(keep, dim=flat.shape, inputs=[self._slot, flat, self._kept[name]], device=device)
            for name, flat in self._noted.items()
        ]
        return [choose, *keeps]

    def save(self, directory: Path | None, about: Mapping[str, object]) -> list[Path]:
        """Write the worlds kept since the last call, and where each went; reads from the device. None: count only.

        `about` says whose worlds they are; its values must be JSON.
        """
        count = int(self._count.numpy()[0])
        if count == 0:
            return []
        self.total += count
        here = min(count, self.places)
        worlds = self._world_of[:here].numpy().tolist()
        kept = {name: array[:here].numpy() for name, array in self._kept.items()}
        self._count.zero_()
        if directory is None:
            return []
        if count > here:
            self._lost.miss(directory, count - here, f"beyond the {here} places between two looks at the device")
        engine = {"engine": type(self._backend).__name__, "mujoco": mujoco.__version__, "substeps": self._substeps}
        paths = [
            self._lost.keep(
                directory,
                {name: array[place] for name, array in kept.items()},
                {"muster": 1, **about, "world": world, **engine},
            )
            for place, world in enumerate(worlds)
        ]
        return [path for path in paths if path is not None]
