"""The seam to physics: many worlds of one model, stepped together, their state as Warp arrays.

`BatchBackend` runs MuJoCo's C engine on CPU threads (`mujoco.batch.Batch`): its arrays are strided float64 views of the
simulations' own rows, so that kernels read and write the state where it lies, without a copy. `WarpBackend`
(sim/warp_backend.py) runs mujoco_warp: float32 arrays on its device. Kernels that touch either are generic in the type,
and shapes are MuJoCo's with the worlds in front.

A world whose numbers stopped being finite, or ran away, is put back to its start and flagged (`watch`); the caller ends
its episode. Model fields may differ between worlds (`field`); what follows from them is computed by `recompute`.
Nothing here knows robots, tasks or time beyond the physics step.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import mujoco
import numpy as np
import warp as wp
from mujoco import batch
from numpy.typing import NDArray

from sim.device import start_warp
from sim.errors import MusterError, nearest
from sim.fields import FIELDS, Recompute
from sim.launches import record
from sim.sleepers import Sleepers
from sim.watch import watch
from sim.worldrows import check_mask, check_snapshot, check_substeps, check_values

STATE_FIELDS = (
    "qpos", "qvel", "act", "ctrl", "mocap_pos", "mocap_quat", "qacc_warmstart", "time", "eq_active", "qfrc_applied",
    "xfrc_applied", "history", "userdata", "plastic",
)  # fmt: skip
"""Everything that a step starts from (MuJoCo's integration state, plugins left out); a snapshot holds it."""

BAD = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
"""Warnings that mean a world's numbers were not finite or ran away: bad qpos, qvel and qacc, in a row."""

FULL = (int(mujoco.mjtWarning.mjWARN_CONTACTFULL), int(mujoco.mjtWarning.mjWARN_CNSTRFULL))
"""Warnings that mean contacts or constraints were dropped because the model's memory was full."""


class BufferOverflowError(MusterError):
    """The engine dropped contacts or constraints, because a buffer was too small for the scene."""

    def __init__(self, message: str, world: int, contacts: int = 0, constraints: int = 0, memory: int = 0) -> None:
        super().__init__(message)
        self.world = world
        """A world that did not fit."""
        self.contacts = contacts
        """`contacts` of WarpBackend that would have done; 0 where they did."""
        self.constraints = constraints
        """`constraints` of WarpBackend that would have done; 0 where they did."""
        self.memory = memory
        """`memory` of the MjSpec to try, bytes; 0 where it did."""


class Backend(Protocol):
    """Many worlds of one model. Arrays stay where they are for the backend's life."""

    worlds: int
    device: str
    captures: bool
    """Whether steps are to be recorded as a graph and replayed; if not, the host may look between them."""
    timestep: float
    """One substep, s."""
    qpos: wp.array
    """(worlds, nq)"""
    qvel: wp.array
    """(worlds, nv)"""
    qacc_warmstart: wp.array
    """(worlds, nv): the solver's memory; zero it where a body is moved by hand."""
    ctrl: wp.array
    """(worlds, nu)"""
    mocap_pos: wp.array
    """(worlds, nmocap, 3)"""
    sensordata: wp.array
    """(worlds, nsensordata), read-only: of the state *before* the last substep."""
    memory: Mapping[str, wp.array]
    """What the next substep reads of the last one beside the state, for whoever puts bodies somewhere by hand: `cvel`
    and `cdof_dot`, velocities (worlds, ..., 6) that welds are made of, and `tree_asleep` (worlds, trees), who sleeps.
    Empty where the engine finds out by itself."""
    diverged_flags: wp.array
    """uint8 (worlds,): set by `watch`; a kernel that handles a lost world writes 0."""

    def data(self, name: str) -> wp.array:
        """Any array of MjData, (worlds, ...); ask before the first step. Raises ValueError for an unknown name.

        The state (`STATE_FIELDS`) may be written; the rest is read-only and of the state before the last substep.
        """
        ...

    def field(self, name: str) -> wp.array:
        """A model field of `sim.fields.FIELDS`, a row for each world, (worlds, ...), that kernels may write.

        The first call gives each world its own copy. Call `recompute` with the field's level after a write. Raises
        ValueError for any other name.
        """
        ...

    def varied(self) -> dict[str, wp.array]:
        """The fields that `field` was asked for, by name."""
        ...

    def recompute(self, level: Recompute, mask: NDArray[np.bool_] | wp.array | None = None) -> None:
        """Compute what follows from fields that were written, for the worlds whose mask (worlds,) is set (None: all).

        A mask on the backend's device (uint8) is not read by the host where the engine runs on the device.
        """
        ...

    def step(self, substeps: int = 1) -> None:
        """Advance every world. Raises ValueError for less than one substep."""
        ...

    def watch(self) -> None:
        """Flag the worlds that were lost since the last call and put them back to the model's initial state."""
        ...

    def reset(self, mask: NDArray[np.bool_] | wp.array) -> None:
        """The model's initial state for the worlds whose mask is set; every other world stays bit-identical.

        Raises ValueError for a mask that is not (worlds,).
        """
        ...

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Write a field from the host where the mask is set (None: everywhere) and recompute what follows from it.

        `values` is (worlds, ...), `mask` (worlds,). Raises ValueError for other shapes and a name that `field` refuses.
        """
        ...

    def diverged(self) -> NDArray[np.bool_]:
        """Watch, and read and clear the flags, (worlds,)."""
        ...

    def check_overflow(self) -> None:
        """Raise `BufferOverflowError` if any step since the last call dropped contacts or constraints.

        Reads from the device: once per rollout.
        """
        ...

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of the whole state, of the fields that differ between worlds and of what follows from them."""
        ...

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Return to a snapshot; stepping on is bit-identical to the run that made it, sleeping bodies included.

        Fields that the snapshot does not hold go back to the model's values. Raises SnapshotError, before anything is
        written, for a snapshot of another model or number of worlds.
        """
        ...


def make_backend(model: mujoco.MjModel, worlds: int, threads: int = 2, device: str = "cpu") -> Backend:
    """Worlds of a model on a device: the C engine on `threads` threads on "cpu", mujoco_warp on any other."""
    if device == "cpu":
        return BatchBackend(model, worlds, threads=threads)
    from sim.warp_backend import WarpBackend  # mujoco_warp takes seconds to import, and most processes need none

    return WarpBackend(model, worlds, device)


def unknown_field(name: str) -> ValueError:
    """The error for a name that may not differ between worlds."""
    return ValueError(f"expected a model field that may differ between worlds, got {name!r}{nearest(name, FIELDS)}")


def as_warp(view: NDArray) -> wp.array:
    """A numpy array as a Warp array on the same memory, strides kept; the array keeps `view` alive."""
    kind = {
        np.dtype(np.float64): wp.float64,
        np.dtype(np.float32): wp.float32,
        np.dtype(np.int32): wp.int32,
        np.dtype(np.uint8): wp.uint8,
    }[view.dtype]
    if view.size == 0:
        return wp.zeros(view.shape, dtype=kind, device="cpu")
    array = wp.array(
        ptr=view.__array_interface__["data"][0],
        dtype=kind,
        shape=view.shape,
        strides=view.strides,
        device="cpu",
        copy=False,
    )
    array._muster_owner = view
    return array


def as_mask(mask: NDArray[np.bool_] | wp.array, worlds: int) -> NDArray[np.bool_]:
    """A mask (worlds,) on the host. Raises ValueError for another shape."""
    check_mask(mask, worlds)
    return (mask.numpy() if isinstance(mask, wp.array) else np.asarray(mask)).astype(bool)


class BatchBackend:
    """`mujoco.batch.Batch` behind the protocol. Owns the worlds' state; results do not depend on `threads`."""

    def __init__(self, model: mujoco.MjModel, worlds: int, threads: int = 2) -> None:
        start_warp()
        self.worlds = worlds
        self.device, self.captures = "cpu", False
        self.timestep = float(model.opt.timestep)
        self.model = model
        sleep = bool(model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP)
        self.batch = batch.Batch(model, worlds, nthread=threads, persistent=sleep)
        self._sleepers = Sleepers(model, self.batch) if sleep else None
        self._views = {name: self.batch.bind(name) for name in STATE_FIELDS}
        self._arrays: dict[str, wp.array] = {}
        self.qpos, self.qvel, self.ctrl = self.data("qpos"), self.data("qvel"), self.data("ctrl")
        self.qacc_warmstart, self.mocap_pos = self.data("qacc_warmstart"), self.data("mocap_pos")
        self.sensordata = self.data("sensordata")
        self.memory: Mapping[str, wp.array] = {}
        self.diverged_flags = wp.zeros(worlds, dtype=wp.uint8, device="cpu")
        self._flags = self.diverged_flags.numpy()
        self._fields: dict[str, wp.array] = {}
        self._dropped = np.zeros(worlds, bool)
        self._watch: Any = record(  # Warp's own type
            watch,
            dim=worlds,
            inputs=[
                as_warp(self.batch.warning[:, BAD, 1]), as_warp(np.array(model.qpos0, np.float64, ndmin=2)), self.qpos,
                self.qvel, self.qacc_warmstart, self.data("act"), self.ctrl, self.diverged_flags,
            ],
            device="cpu",
        )  # fmt: skip

    def data(self, name: str) -> wp.array:
        """A live view of an MjData field; ValueError for one that `batch.DATA_FIELDS` does not name."""
        if name not in self._arrays:
            self._arrays[name] = as_warp(self.batch.bind(name))
        return self._arrays[name]

    def field(self, name: str) -> wp.array:
        """A live view of a model field, one row for each world."""
        if name not in FIELDS:
            raise unknown_field(name)
        if name not in self._fields:
            self._fields[name] = as_warp(self.batch.expand(name))
        return self._fields[name]

    def varied(self) -> dict[str, wp.array]:
        """The fields that `field` was asked for, by name."""
        return dict(self._fields)

    def recompute(self, level: Recompute, mask: NDArray[np.bool_] | wp.array | None = None) -> None:
        """`mj_setConst` for the masked worlds; it knows no groups."""
        if level == Recompute.NONE:
            return
        where = None if mask is None else as_mask(mask, self.worlds)
        if where is None or where.any():
            self.batch.set_const(where)

    def step(self, substeps: int = 1) -> None:
        """Advance every world, without the GIL."""
        check_substeps(substeps)
        self.batch.step(nstep=substeps)

    def watch(self) -> None:
        """One kernel over the engine's warning counters and the state."""
        self._watch.launch()

    def reset(self, mask: NDArray[np.bool_] | wp.array) -> None:
        """The model's initial state where the mask is set."""
        where = as_mask(mask, self.worlds)
        if where.any():
            self._collect_dropped()  # a reset clears the engine's counters
            self.batch.reset(ids=where, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
            self._flags[where] = 0

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Per-world values of a model field; `mj_setConst` runs where the field needs it."""
        field = self.field(name).numpy()
        check_values(name, values, field.shape)
        where = slice(None) if mask is None else as_mask(mask, self.worlds)
        field[where] = np.asarray(values)[where]
        self.recompute(FIELDS[name].recompute, mask)

    def diverged(self) -> NDArray[np.bool_]:
        """Worlds that were lost since the last call."""
        self.watch()
        lost = self._flags.astype(bool)
        self._flags[:] = 0
        return lost

    def check_overflow(self) -> None:
        """The engine's own warnings: contacts and constraints live in the model's memory, shared by nobody."""
        self._collect_dropped()
        dropped = self._dropped.copy()
        self._dropped[:] = False
        if dropped.any():
            world, memory = int(dropped.argmax()), 2 * int(self.model.narena)
            raise BufferOverflowError(
                f"world {world} and {int(dropped.sum()) - 1} others: expected contacts and constraints to fit the "
                f"model's {self.model.narena} bytes, they did not and some were dropped; set the MjSpec's memory to "
                f"{memory} or more",
                world=world,
                memory=memory,
            )

    def _collect_dropped(self) -> None:
        full = self.batch.warning[:, FULL, 1]
        self._dropped |= (full > 0).any(axis=1)
        self.batch.warning[:, FULL, 1] = 0

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of state, flags, expanded fields, the constants that `mj_setConst` gave to each world, and sleep."""
        saved = {name: np.array(view) for name, view in self._views.items()}
        saved["diverged"] = self._flags.copy()
        if self._sleepers is not None:
            saved["asleep"] = self._sleepers.read()
        saved |= {f"field.{name}": field.numpy().copy() for name, field in self._fields.items()}
        for name in mujoco.MjModel._setconst_outputs:
            values = self.batch.expanded(name)
            if values is not None and f"field.{name}" not in saved:
                saved[f"derived.{name}"] = np.array(values)
        return saved

    def _shape_of(self, name: str) -> tuple[int, ...] | None:
        """Of a model field with a row for each world; None where the model has none of that name."""
        values = getattr(self.model, name, None)
        return (self.worlds, *values.shape) if isinstance(values, np.ndarray) else None

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Write a snapshot back; `mj_setConst` need not run, because its results are in it."""
        check_snapshot(saved, self.snapshot(), self._shape_of)
        if self._sleepers is not None:
            self.batch.reset(stage=int(mujoco.mjtStage.mjSTAGE_NONE))
            self._sleepers.write(saved["asleep"])
        for name, view in self._views.items():
            view[...] = saved[name]
        self._flags[...] = saved["diverged"]
        for name, field in self._fields.items():
            given = saved.get(f"field.{name}", saved.get(f"derived.{name}"))
            field.numpy()[...] = getattr(self.model, name) if given is None else given
        for name in mujoco.MjModel._setconst_outputs:
            if name not in self._fields and self.batch.expanded(name) is not None:
                self.batch.expand(name)[...] = saved.get(f"derived.{name}", getattr(self.model, name))
        for key, values in saved.items():  # what this backend was not asked for yet
            kind, _, name = key.partition(".")
            if kind == "field" and name not in self._fields:
                self.field(name).numpy()[...] = values
            elif kind == "derived" and self.batch.expanded(name) is None:
                self.batch.expand(name)[...] = values
