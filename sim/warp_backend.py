"""Physics on mujoco_warp behind the same protocol: float32, on CUDA or, for tests of parity, on Warp's CPU device.

What differs from the CPU engine, and what is done about it:

A step is some hundred launches. On CUDA they belong in a graph (sim/graph.py); without one a step costs milliseconds,
whatever the number of worlds.

Every size is fixed when the data is made (sim/buffers.py), and what does not fit is dropped. Each substep remembers
which world it happened to, and how much room would have been needed; `check_overflow` raises.

No world is put back when its numbers are bad: `watch` does it.

A model field is stored once, for all worlds, until `field` is asked for it; then it and the constants that follow from
it get a row for each world, in new arrays, so that a captured graph must be captured anew (`parts`, sim/graph.py).
Constants are computed in a second `mujoco_warp.Data`, and rows of worlds that were not asked for are kept, so that a
recompute of some worlds changes no bit of the others.
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
from mujoco_warp import OverflowType
from numpy.typing import NDArray

from sim.backend import STATE_FIELDS, BufferOverflowError, as_mask, unknown_field
from sim.buffers import buffer_sizes
from sim.device import start_warp
from sim.fields import FIELDS, Recompute, derived
from sim.watch import clear_flags, keep_rows, latch_overflow, watch, zero_rows
from sim.worldrows import check_mask, check_snapshot, check_substeps, check_values

SHARED = int(OverflowType.BROADPHASE | OverflowType.NARROWPHASE | OverflowType.CCD)
"""Overflows of the contact buffers, which all worlds share."""

ROWS = int(OverflowType.NEFC | OverflowType.NJMAX_NNZ)
"""Overflows of a world's own constraint rows."""

OTHERS = int(OverflowType.HFIELD | OverflowType.CONTACT_MATCH | OverflowType.NVMAX | OverflowType.TACTILE)
"""Overflows of which this module knows no size. Limits on iterations are no overflows."""

WELD_MEMORY = ("cvel", "cdof_dot")
"""Velocities of the last substep, which the rows of connects and welds are made of before they are computed anew."""

SLEEP_MEMORY = (
    "tree_asleep", "tree_awake", "body_awake", "body_awake_ind", "dof_awake_ind", "ntree_awake", "nbody_awake",
    "nv_awake",
)  # fmt: skip
"""Who sleeps, and how long who does not has lain still."""

SPARE = 1.25
"""Room over what was needed at the worst moment seen, so that the next run is not stopped by the next contact."""


class WarpBackend:
    """mujoco_warp behind `sim.backend.Backend`. Owns the worlds' state on its device."""

    def __init__(
        self,
        model: Any,  # mujoco.MjModel, which has no stub
        worlds: int,
        device: str = "cpu",
        *,
        contacts: int | None = None,
        constraints: int | None = None,
        deterministic: bool = False,
        fields: Sequence[str] = (),
    ) -> None:
        """`contacts` for each world on average and `constraints` for each at most; None: as the model suggests.

        `deterministic` sorts contacts and sums in a fixed order, so that runs on CUDA are equal bit for bit; it
        costs time, and on CPU they are without it. `fields` are given to each world at once (see `field`).
        """
        start_warp()
        self.worlds, self.device, self.timestep = worlds, device, float(model.opt.timestep)
        self.captures = True
        sizes = buffer_sizes(model)
        self.contacts = sizes.contacts if contacts is None else contacts
        self.constraints = sizes.constraints if constraints is None else constraints
        with wp.ScopedDevice(device):
            self.model: Any = mujoco_warp.put_model(model)
            self.model.opt.warn_overflow = False  # remembered by `latch_overflow` instead; printing stalls the device
            on_cuda = wp.get_device(device).is_cuda
            self.model.opt.graph_conditional = not on_cuda or wp.is_conditional_graph_supported()
            if deterministic:
                self.model.opt.deterministic = int(mujoco_warp.DeterminismType.ALL)
            self.state: Any = mujoco_warp.make_data(model, nworld=worlds, nconmax=self.contacts, njmax=self.constraints)
            self._scratch: Any = None  # for constants; made when the first field needs it
            self._seen, self._most_rows, self._crowd = (wp.zeros(worlds, dtype=wp.int32) for _ in range(3))
            self._most_contacts, self._most_pairs = (wp.zeros(1, dtype=wp.int32) for _ in range(2))
            self.diverged_flags = wp.zeros(worlds, dtype=wp.uint8)
            self._mask = wp.zeros(worlds, dtype=wp.uint8)
            self._no_warnings = wp.zeros((0, 0), dtype=wp.int32)
        self._host = model
        sleep = bool(model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP)
        self._memory = (WELD_MEMORY if model.neq else ()) + (SLEEP_MEMORY if sleep else ())
        self._arrays: dict[str, wp.array] = {}
        self._fields: dict[str, wp.array] = {}
        self._kept: dict[str, wp.array] = {}
        self._defaults: dict[str, NDArray] = {}
        self._levels = Recompute.NONE
        self.qpos, self.qvel, self.ctrl = self.data("qpos"), self.data("qvel"), self.data("ctrl")
        self.qacc_warmstart, self.mocap_pos = self.data("qacc_warmstart"), self.data("mocap_pos")
        self.sensordata = self.data("sensordata")
        self.memory: Mapping[str, wp.array] = {
            name: self.data(name) for name in self._memory if name in (*WELD_MEMORY, "tree_asleep")
        }
        for name in fields:
            self.field(name)

    def data(self, name: str) -> wp.array:
        """An array of `mujoco_warp.Data`, vectors seen as numbers; ValueError for an unknown name."""
        if name not in self._arrays:
            array = getattr(self.state, name, None)
            if not isinstance(array, wp.array) or not array.ndim or array.shape[0] != self.worlds:
                raise ValueError(f"expected the name of an array of mujoco_warp.Data, got {name!r}")
            self._arrays[name] = _numbers(array)
        return self._arrays[name]

    def field(self, name: str) -> wp.array:
        """The field's array of `mujoco_warp.Model`, vectors seen as numbers."""
        if name not in FIELDS:
            raise unknown_field(name)
        if name not in self._fields:
            for each in (name, *FIELDS[name].derived):
                self._expand(each)
            shape = getattr(self._host, name).shape
            self._fields[name] = _numbers(getattr(self.model, name)).reshape((self.worlds, *shape))
            self._levels |= FIELDS[name].recompute
        return self._fields[name]

    def varied(self) -> dict[str, wp.array]:
        """The fields that `field` was asked for, by name."""
        return dict(self._fields)

    def recompute(self, level: Recompute, mask: NDArray[np.bool_] | wp.array | None = None) -> None:
        """`mujoco_warp.set_const` of the groups in a second Data; the rows of other worlds are kept."""
        level &= self._levels
        if level == Recompute.NONE:
            return
        with wp.ScopedDevice(self.device):
            if self._scratch is None:
                self._scratch = mujoco_warp.make_data(self._host, nworld=self.worlds, nconmax=0, njmax=0)
            touched = [name for name in derived(level) if name in self._kept]
            where = None if mask is None else self._as_mask(mask)
            if where is not None:
                for name in touched:
                    wp.copy(self._kept[name], getattr(self.model, name))
            mujoco_warp.set_const(self.model, self._scratch, groups=int(level), restore=False)
            if where is not None:
                for name in touched:
                    kept, values = _rows(self._kept[name]), _rows(getattr(self.model, name))
                    wp.launch(keep_rows, dim=values.shape, inputs=[where, kept, values])

    def step(self, substeps: int = 1) -> None:
        """Advance every world; on CUDA this only queues launches."""
        check_substeps(substeps)
        state = self.state
        with wp.ScopedDevice(self.device):
            for _ in range(substeps):
                mujoco_warp.step(self.model, state)
                wp.launch(
                    latch_overflow,
                    dim=self.worlds,
                    inputs=[
                        state.overflow, SHARED | ROWS | OTHERS, SHARED, state.nefc, state.nacon, state.ncollision,
                        state.contact.worldid, self._seen, self._most_rows, self._most_contacts, self._most_pairs,
                        self._crowd,
                    ],
                )  # fmt: skip

    def watch(self) -> None:
        """One kernel over the state."""
        wp.launch(
            watch,
            dim=self.worlds,
            inputs=[
                self._no_warnings, self.model.qpos0, self.qpos, self.qvel, self.qacc_warmstart,
                self.data("act"), self.ctrl, self.diverged_flags,
            ],
            device=self.device,
        )  # fmt: skip

    def reset(self, mask: NDArray[np.bool_] | wp.array) -> None:
        """The model's initial state where the mask is set."""
        where = self._as_mask(mask)
        with wp.ScopedDevice(self.device):
            mujoco_warp.reset_data(self.model, self.state, reset=where)
            wp.launch(clear_flags, dim=self.worlds, inputs=[where, self.diverged_flags])
            for name in set(self.memory) & set(WELD_MEMORY):  # the engine leaves them
                wp.launch(zero_rows, dim=self.memory[name].shape[:2], inputs=[where, self.memory[name]])

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Write a field from the host and recompute what follows."""
        field = self.field(name)
        whole = field.numpy().copy()
        check_values(name, values, whole.shape)
        where = slice(None) if mask is None else as_mask(mask, self.worlds)
        whole[where] = np.asarray(values, np.float32)[where]
        field.assign(whole)
        self.recompute(FIELDS[name].recompute, mask)

    def diverged(self) -> NDArray[np.bool_]:
        """Watch, and read and clear the flags."""
        self.watch()
        lost = self.diverged_flags.numpy().astype(bool)
        self.diverged_flags.zero_()
        return lost

    def check_overflow(self) -> None:
        """Raise with the sizes that would have done."""
        seen = self._seen.numpy()
        if not seen.any():
            return
        rows, crowd = self._most_rows.numpy().copy(), self._crowd.numpy().copy()
        pairs, contacts = int(self._most_pairs.numpy()[0]), int(self._most_contacts.numpy()[0])
        bits = int(np.bitwise_or.reduce(seen))
        for array in (self._seen, self._most_rows, self._crowd, self._most_contacts, self._most_pairs):
            array.zero_()
        self.state.overflow.zero_()
        if bits & SHARED:
            world = int(crowd.argmax())
            # a full list of pairs was not searched to its end: each pair may make 4 contacts (mujoco_warp's manual)
            most = max(contacts, 4 * pairs if pairs > self.contacts * self.worlds else pairs)
            enough = int(np.ceil(SPARE * most / self.worlds))
            raise BufferOverflowError(
                f"world {world}, where most contacts were: expected {self.contacts} contacts a world to suffice, they "
                f"did not and some were dropped; make WarpBackend with contacts={enough}",
                world=world,
                contacts=enough,
            )
        if bits & ROWS:
            world = int(rows.argmax())
            enough = int(np.ceil(SPARE * max(rows[world], self.constraints)))
            raise BufferOverflowError(
                f"world {world}: expected {self.constraints} constraint rows to suffice, {rows[world]} were needed and "
                f"some were dropped; make WarpBackend with constraints={enough}",
                world=world,
                constraints=enough,
            )
        world = int(np.flatnonzero(seen)[0])
        raise BufferOverflowError(
            f"world {world}: something did not fit ({OverflowType(int(seen[world])).name}); see mujoco_warp's manual, "
            '"Overflow detection"',
            world=world,
        )

    def parts(self) -> list[Any]:  # arrays, numbers and None
        """Everything of model and state that a captured step was built from; it holds while these are the same."""
        owners = (self.model, self.model.opt, self.state, self.state.contact, self.state.efc)
        return [value for owner in owners for value in vars(owner).values()]

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of state, flags, memory and every model field that differs between worlds."""
        saved = {name: self.data(name).numpy().copy() for name in STATE_FIELDS}
        saved |= {f"memory.{name}": self.data(name).numpy().copy() for name in self._memory}
        saved["diverged"] = self.diverged_flags.numpy().copy()
        saved |= {f"field.{name}": field.numpy().copy() for name, field in self._fields.items()}
        return saved | {f"derived.{name}": _numbers(getattr(self.model, name)).numpy().copy() for name in self._kept}

    def _shape_of(self, name: str) -> tuple[int, ...] | None:
        """Of a model field with a row for each world; None where the model has none of that name."""
        values = getattr(self.model, name, None)
        return (self.worlds, *_numbers(values).shape[1:]) if isinstance(values, wp.array) else None

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Write a snapshot back."""
        check_snapshot(saved, self.snapshot(), self._shape_of)
        for name in STATE_FIELDS:
            self.data(name).assign(saved[name])
        for name in self._memory:
            self.data(name).assign(saved[f"memory.{name}"])
        self.diverged_flags.assign(saved["diverged"])
        for key in saved:  # what this backend was not asked for yet
            kind, _, name = key.partition(".")
            if kind == "field":
                self.field(name)
        for name, default in self._defaults.items():
            array = _numbers(getattr(self.model, name))
            given = saved.get(f"field.{name}", saved.get(f"derived.{name}"))
            array.assign(np.repeat(default, self.worlds, axis=0) if given is None else given.reshape(array.shape))

    def _as_mask(self, mask: NDArray[np.bool_] | wp.array) -> wp.array:
        check_mask(mask, self.worlds)
        if isinstance(mask, wp.array):
            return mask
        self._mask.assign(np.asarray(mask).astype(bool).astype(np.uint8))
        return self._mask

    def _expand(self, name: str) -> None:
        """Give each world its own row of a model array, with the values that all share."""
        array: wp.array = getattr(self.model, name)
        kept = (name not in FIELDS or name in derived(Recompute.SET_CONST)) and name not in self._kept
        self._defaults.setdefault(name, _numbers(array).numpy()[:1].copy())
        if array.shape[0] != self.worlds:
            values = np.repeat(array.numpy(), self.worlds, axis=0)
            array = wp.array(values, dtype=array.dtype, shape=(self.worlds, *array.shape[1:]), device=self.device)
            array._is_batched = True  # as mujoco_warp marks its own
            setattr(self.model, name, array)
        if kept:
            self._kept[name] = wp.clone(array)


def _numbers(array: wp.array) -> wp.array:
    """The same memory with vectors, matrices and quaternions as trailing dimensions of numbers."""
    inner = getattr(array.dtype, "_shape_", ())
    if not inner:
        return array
    shape = (*array.shape, *inner)
    kind = array.dtype._wp_scalar_type_
    if 0 in shape:
        return wp.zeros(shape, dtype=kind, device=array.device)
    view = wp.array(ptr=array.ptr, dtype=kind, shape=shape, device=array.device, copy=False)
    view._muster_owner = array
    return view


def _rows(array: wp.array) -> wp.array:
    """The same memory as (worlds, numbers of a world)."""
    numbers = _numbers(array)
    return numbers.reshape((numbers.shape[0], int(np.prod(numbers.shape[1:]))))
