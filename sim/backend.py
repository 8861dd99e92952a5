"""The seam to physics: many worlds of one model, stepped together, their state as Warp arrays.

`BatchBackend` runs MuJoCo's C engine on CPU threads (`mujoco.batch.Batch`): its arrays are strided float64 views of the
simulations' own rows, so that kernels read and write the state where it lies, without a copy. `WarpBackend`
(sim/warp_backend.py) runs mujoco_warp: float32 arrays on its device. Kernels that touch either are generic in the type.

A world whose numbers stopped being finite is put back to its start by the engine and reported by `diverged`, once; the
caller ends its episode. Nothing here knows robots, tasks or time beyond the physics step.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import mujoco
import numpy as np
import warp as wp
from mujoco import batch
from numpy.typing import NDArray

STATE_FIELDS = ("qpos", "qvel", "act", "ctrl", "mocap_pos", "mocap_quat", "qacc_warmstart", "time")
"""State that a snapshot holds, beside the expanded model fields."""

BAD = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
"""Warnings that mean a world's numbers were not finite or ran away: bad qpos, qvel and qacc, in a row."""


class Backend(Protocol):
    """Many worlds of one model. Arrays stay where they are for the backend's life."""

    worlds: int
    device: str
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

    def step(self, substeps: int = 1) -> None:
        """Advance every world."""
        ...

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """The model's initial state for the worlds whose mask is set; every other world stays bit-identical."""
        ...

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Give a model field per-world values, (worlds, ...), where the mask is set (None: everywhere).

        Constants that the engine derives from the field follow. Raises ValueError for a name that is no such field.
        """
        ...

    def diverged(self) -> NDArray[np.bool_]:
        """Worlds whose numbers stopped being finite since the last call, (worlds,)."""
        ...

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of the whole state and of the expanded model fields."""
        ...

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Return to a snapshot; stepping on is bit-identical to the run that made it."""
        ...


def as_warp(view: NDArray, device: str = "cpu") -> wp.array:
    """A numpy array as a Warp array on the same memory, strides kept. The caller keeps `view` alive."""
    kind = {np.dtype(np.float64): wp.float64, np.dtype(np.float32): wp.float32}[view.dtype]
    if view.size == 0:
        return wp.zeros(view.shape, dtype=kind, device=device)
    return wp.array(
        ptr=view.__array_interface__["data"][0],
        dtype=kind,
        shape=view.shape,
        strides=view.strides,
        device=device,
        copy=False,
    )


class BatchBackend:
    """`mujoco.batch.Batch` behind the protocol. Owns the worlds' state; results do not depend on `threads`."""

    def __init__(self, model: mujoco.MjModel, worlds: int, threads: int = 2) -> None:
        self.worlds = worlds
        self.device = "cpu"
        self.timestep = float(model.opt.timestep)
        self.model = model
        self.batch = batch.Batch(model, worlds, nthread=threads)
        self._views = {name: self.batch.bind(name) for name in STATE_FIELDS}
        self._sensors = self.batch.bind("sensordata")
        self.qpos = as_warp(self._views["qpos"])
        self.qvel = as_warp(self._views["qvel"])
        self.qacc_warmstart = as_warp(self._views["qacc_warmstart"])
        self.ctrl = as_warp(self._views["ctrl"])
        self.mocap_pos = as_warp(self._views["mocap_pos"])
        self.sensordata = as_warp(self._sensors)
        self._expanded: dict[str, NDArray] = {}
        self._derives: dict[str, bool] = {}
        self._warnings = self.batch.warning[:, BAD, 1]  # a live view
        self._bad = self._warnings.sum(axis=1)
        self._bad_total = int(self._bad.sum())
        self._none = np.zeros(worlds, bool)

    def step(self, substeps: int = 1) -> None:
        """Advance every world, without the GIL."""
        self.batch.step(nstep=substeps)

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """The model's initial state where the mask is set."""
        if mask.any():
            self.batch.reset(ids=np.asarray(mask, bool), stage=int(mujoco.mjtStage.mjSTAGE_NONE))

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Per-world values of a model field; `mj_setConst` runs where the field needs it."""
        field = self._expanded.get(name)
        if field is None:
            if name not in batch.MODEL_FIELDS:
                raise ValueError(
                    f"expected a model field that can vary between worlds, got {name!r}; see batch.MODEL_FIELDS"
                )
            field = self._expanded[name] = self.batch.expand(name)
            self._derives[name] = name in mujoco.MjModel._setconst_inputs or name.startswith("opt.")
        where = slice(None) if mask is None else np.flatnonzero(mask)
        field[where] = values[where]
        if self._derives[name]:
            self.batch.set_const(None if mask is None else np.asarray(mask, bool))

    def diverged(self) -> NDArray[np.bool_]:
        """Worlds that the engine had to reset since the last call."""
        total = int(self._warnings.sum())
        if total == self._bad_total:
            return self._none
        bad = self._warnings.sum(axis=1)
        fresh = bad > self._bad
        self._bad, self._bad_total = bad, total
        return fresh

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of state and expanded fields."""
        saved = {name: np.array(view) for name, view in self._views.items()}
        saved |= {f"field.{name}": np.array(field) for name, field in self._expanded.items()}
        return saved

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Write a snapshot back."""
        for name, view in self._views.items():
            view[...] = saved[name]
        for key, values in saved.items():
            if key.startswith("field."):
                self.set_field(key.removeprefix("field."), values)
