"""Physics on mujoco_warp behind the same protocol: float32, on CUDA or, for parity tests, on Warp's CPU device.

On CPU one step costs about 10 ms of launches whatever the number of worlds, so training there uses `BatchBackend`.
Model fields that vary between worlds must be named when the backend is made, because their arrays are allocated with
it. mujoco_warp resets no world on its own: a world whose numbers are not finite is reset here, when `diverged` finds
it. Contacts beyond the buffers' size are dropped by the engine; `step` cannot see it without a copy to the host, so
`diverged`, which copies anyway, raises instead of going on with wrong physics.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import mujoco_warp
import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import STATE_FIELDS
from sim.device import start_warp
from sim.errors import MusterError

CONTACTS = 24
"""Contacts that each world has room for, on average: a robot in a corner makes 8."""

CONSTRAINTS = 96
"""Constraint rows that each world has room for at most."""


class ContactOverflowError(MusterError):
    """The engine dropped contacts, because its buffers are too small for the scene."""


class WarpBackend:
    """mujoco_warp behind `sim.backend.Backend`. Owns the worlds' state on its device."""

    def __init__(
        self,
        model: Any,  # mujoco.MjModel, which has no stub
        worlds: int,
        device: str = "cpu",
        fields: Sequence[str] = ("actuator_forcerange",),
        contacts: int = CONTACTS,
        constraints: int = CONSTRAINTS,
    ) -> None:
        """`fields` are the model fields that `set_field` may vary between worlds."""
        start_warp()
        self.worlds, self.device, self.timestep = worlds, device, float(model.opt.timestep)
        self.fields = tuple(fields)
        with wp.ScopedDevice(device):
            self._model: Any = mujoco_warp.put_model(model, batch_sizes=dict.fromkeys(self.fields, worlds))
            self._model.opt.warn_overflow = False  # read from the counters instead
            self._data: Any = mujoco_warp.put_data(
                model, mujoco.MjData(model), nworld=worlds, nconmax=contacts, njmax=constraints
            )
        data = self._data
        self.qpos, self.qvel, self.ctrl = data.qpos, data.qvel, data.ctrl
        self.qacc_warmstart, self.sensordata = data.qacc_warmstart, data.sensordata
        # vec3 seen as three floats, as the other backend has it
        self.mocap_pos = wp.array(
            ptr=data.mocap_pos.ptr, dtype=wp.float32, shape=(*data.mocap_pos.shape, 3), device=device, copy=False
        )
        self._mask = wp.zeros(worlds, dtype=wp.bool, device=device)

    def step(self, substeps: int = 1) -> None:
        """Advance every world."""
        with wp.ScopedDevice(self.device):
            for _ in range(substeps):
                mujoco_warp.step(self._model, self._data)

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """The model's initial state where the mask is set."""
        self._mask.assign(np.asarray(mask, bool))
        with wp.ScopedDevice(self.device):
            mujoco_warp.reset_data(self._model, self._data, reset=self._mask)

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Per-world values of a field named at the start; ValueError for any other."""
        if name not in self.fields:
            raise ValueError(f"expected one of the fields {self.fields} named when the backend was made, got {name!r}")
        field: wp.array = getattr(self._model, name)
        whole = field.numpy().copy()
        where = slice(None) if mask is None else np.asarray(mask, bool)
        whole[where] = np.asarray(values, np.float32).reshape(whole.shape)[where]
        field.assign(whole)

    def diverged(self) -> NDArray[np.bool_]:
        """Worlds whose numbers are not finite; they are reset."""
        if self._data.overflow.numpy().any():
            raise ContactOverflowError(
                "expected the scene's contacts to fit the engine's buffers, they did not; "
                "raise contacts and constraints of WarpBackend"
            )
        bad = ~(np.isfinite(self.qpos.numpy()).all(axis=1) & np.isfinite(self.qvel.numpy()).all(axis=1))
        if bad.any():
            self.reset(bad)
        return bad

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of state and per-world fields."""
        saved = {name: getattr(self._data, name).numpy().copy() for name in STATE_FIELDS}
        return saved | {f"field.{name}": getattr(self._model, name).numpy().copy() for name in self.fields}

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Write a snapshot back."""
        for name in STATE_FIELDS:
            getattr(self._data, name).assign(saved[name])
        for name in self.fields:
            getattr(self._model, name).assign(saved[f"field.{name}"])
