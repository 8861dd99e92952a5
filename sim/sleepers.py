"""What the C engine remembers of bodies that sleep, beside its state: read, and written back.

Who sleeps, how long who does not has lain still, and everything that was computed of a sleeping body when it was last
awake is in its world's MjData alone: "the only way to fully save and restore the state of a simulation with sleeping
elements is to copy the entire mjData" (MuJoCo's manual, simulation, "Violated assumptions"). A batch keeps an MjData
for each world and hands out copies; it takes none back. So each is found by a control callback of the engine
(`mjcb_control` is told the data that it acts on), and `mj_copyData` writes over it.

The memory of a world is one row of numbers: every array of MjData that does not live for one step alone (contacts and
constraints do), and four counts. Nothing here is on the path of a step.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco import batch
from numpy.typing import NDArray

COUNTS = ("nbody_awake", "ntree_awake", "nparent_awake", "nv_awake")
"""Of what is awake; the engine counts anew only when somebody falls asleep or wakes."""

STATE = ("qpos", "qvel", "act", "ctrl", "mocap_pos", "mocap_quat", "qacc_warmstart", "eq_active", "qfrc_applied",
         "xfrc_applied", "history", "userdata", "plastic", "plugin_state", "plugin", "plugin_data")  # fmt: skip
"""Arrays of MjData that are the worlds' state (the backend's own), or plugins', which no scene of ours has."""

CONTROL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class Sleepers:
    """Reads and writes the memory of a persistent batch's worlds. Owns nothing."""

    def __init__(self, model: Any, worlds: batch.Batch) -> None:  # mujoco.MjModel, which has no stub
        self._model, self._batch = model, worlds
        self._spare = mujoco.MjData(model)
        self._names = [
            name
            for name in sorted(batch.DATA_FIELDS)
            if name not in STATE and isinstance(getattr(self._spare, name), np.ndarray)
        ]
        near = Path(mujoco.__file__).parent
        engine = next(file for end in ("so.*", "*dylib", "dll") for file in near.glob(f"*mujoco.{end}"))
        self._engine: Any = ctypes.CDLL(str(engine))  # the one that is loaded already

    def read(self) -> NDArray[np.float64]:
        """The memory of each world, (worlds, numbers)."""
        return np.stack([self._row(world) for world in range(self._batch.nsim)])

    def write(self, memory: NDArray[np.float64]) -> None:
        """Bring a memory of `read` back, after a reset of all worlds and before their state is written."""
        for world, row in enumerate(memory):
            place = self._find(world)
            data = self._batch.get_data(world, self._spare)
            at = 0
            for name in self._names:
                array = getattr(data, name)
                array[...] = row[at : at + array.size].reshape(array.shape)
                at += array.size
            for name, count in zip(COUNTS, row[at:], strict=True):
                setattr(data, name, int(count))
            self._engine.mj_copyData(
                ctypes.c_void_p(place), ctypes.c_void_p(self._model._address), ctypes.c_void_p(data._address)
            )

    def _row(self, world: int) -> NDArray[np.float64]:
        data = self._batch.get_data(world, self._spare)
        arrays = [np.asarray(getattr(data, name), np.float64).ravel() for name in self._names]
        return np.concatenate([*arrays, [float(getattr(data, name)) for name in COUNTS]])

    def _find(self, world: int) -> int:
        """Where the batch keeps the world's MjData. The world's time is lost."""
        mark, found = -1.0e9 - world, []  # a time that no world has: other threads may step other batches meanwhile
        self._batch.bind("time")[world] = mark

        def look(model: int, data: int) -> None:
            time = ctypes.c_double()
            which = int(mujoco.mjtState.mjSTATE_TIME)
            self._engine.mj_getState(ctypes.c_void_p(model), ctypes.c_void_p(data), ctypes.byref(time), which)
            if time.value == mark:
                found.append(data)

        before, ours = mujoco.get_mjcb_control(), CONTROL(look)
        mujoco.set_mjcb_control(ours)
        try:
            self._batch.forward([world])
        finally:
            mujoco.set_mjcb_control(before)
        if len(set(found)) != 1:
            raise RuntimeError(f"expected the engine to tell where world {world} is, it told {found}")
        return found[0]
