"""Rows of the table that write model fields by themselves: a stored default, scaled or moved by what was drawn.

    field[world, element] = default[element] * value      or      default[element] + value

The default is what the scene was compiled with, never what stands in the field, so that nothing compounds however many
episodes a world has seen. An element belongs to a robot (its bodies, their joints, geoms and actuators) and is written
when that robot begins an episode, or to the world (lights, cameras), which is written when all its robots begin
together, with the value of the first. Afterwards what follows from the fields is computed anew for the worlds that
began, at the levels that the rows state (sim/fields.py).

A payload is mass and inertia of the robot that carries it where the row `payload_mass` says so: it lies in the body's
middle and is spread as the body's own mass is. The drives' limits then grow with it (sim/rows.py), so that the robot is
as fast as its thrust says and pushes, slips and brakes with what it weighs.

A row whose range is neutral gives its worlds no field of their own and launches nothing.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import Backend
from sim.fields import Recompute
from sim.tasks.task import Launchable
from sim.vary import Row, Table, VaryArrays, VaryError

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OWNERS = {"body": "", "geom": "geom_bodyid", "site": "site_bodyid", "dof": "dof_bodyid", "jnt": "jnt_bodyid"}
"""Array of MjModel that says whose body an element is, by the first word of a field's name; bodies are their own."""

WORLDS = ("light", "cam")
"""First words of fields whose elements belong to the world."""

WORLD_C = wp.constant(-1)


class Built(Protocol):
    """What is asked of a scene: `sim.scene.Scene` or another world's."""

    @property
    def model(self) -> Any:  # mujoco.MjModel, which has no stub
        """The compiled model; robot r's body is named robot{r}."""
        ...

    @property
    def robots(self) -> int:
        """Of one world."""
        ...

    @property
    def ctrl_stride(self) -> int:
        """Controls of one robot."""
        ...


class FieldWriter:
    """Writes the fields of a plant's rows at each beginning. Owns the defaults."""

    def __init__(self, scene: Built, backend: Backend, table: Table, arrays: VaryArrays) -> None:
        """Raises VaryError for a row of which the scene has no element."""
        self._scene, self._backend, self._arrays = scene, backend, arrays
        working = [(number, row) for number, row in enumerate(table) if row.operation and not row.neutral]
        self._rows = [(number, row) for number, row in working if row.operation != "load"]
        self.level = Recompute.NONE
        """What must be computed anew after a beginning."""
        for _, row in working:
            self.level |= row.recompute
        self._load = self._payload(table) if len(working) > len(self._rows) else []
        self._parts = {row.field: self._part(row) for _, row in self._rows}
        self._began = wp.zeros(backend.worlds, dtype=wp.uint8, device=backend.device)

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """The launches that write the fields of the masked rows (uint8 (rows,)), whose values were drawn before."""
        if not self.level and not self._rows:
            return []
        worlds, device = self._backend.worlds, self._backend.device
        launches: list[Launchable] = []
        for number, row in self._rows:
            elements, default, field = self._parts[row.field]
            launches.append(
                wp.launch(
                    write_field,
                    dim=(worlds, elements.shape[0]),
                    inputs=[self._scene.robots, number, int(row.operation == "scale"), row.component, elements, default,
                            mask, self._arrays, field],
                    device=device,
                    record_cmd=True,
                )
            )  # fmt: skip
        if self._load:
            rows = worlds * self._scene.robots
            inputs = [self._scene.robots, *self._load, mask, self._arrays]
            launches.append(wp.launch(write_load, dim=rows, inputs=inputs, device=device, record_cmd=True))
        if self.level:
            who = [self._scene.robots, mask, self._began]
            began = wp.launch(note_began, dim=worlds, inputs=who, device=device, record_cmd=True)
            launches.append(Recomputing(began, self._backend, self.level, self._began))
        return launches

    def _payload(self, table: Table) -> list[Any]:  # numbers and arrays, as `write_load` takes them
        model, device, robots = self._scene.model, self._backend.device, self._scene.robots
        bodies = [model.body(f"robot{robot}").id for robot in range(robots)]
        stored = np.concatenate([model.body_mass[bodies, None], model.body_inertia[bodies]], axis=1)
        return [
            *(table.index(name) for name in ("payload", "payload_mass", "mass", "inertia")),
            wp.array(bodies, dtype=wp.int32, device=device),
            wp.array(stored, dtype=wp.float64, device=device),
            self._backend.field("body_mass"),
            self._backend.field("body_inertia"),
        ]

    def _part(self, row: Row) -> tuple[wp.array, wp.array, wp.array]:
        """Elements (n, 2), their defaults (n, components) and the field (worlds, elements, components)."""
        device = self._backend.device
        elements = elements_of(self._scene, row.field)
        if not len(elements):
            raise VaryError(
                f"randomization: {row.name}: expected a scene with {row.field.partition('_')[0]} elements to "
                f"{row.operation}, this one has none; leave the row as it is"
            )
        default = np.asarray(getattr(self._scene.model, row.field), np.float64)
        default = default.reshape(len(default), -1)[elements[:, 0]]
        return (
            wp.array(elements, dtype=wp.int32, device=device),
            wp.array(default, dtype=wp.float64, device=device),
            as_components(self._backend.field(row.field)),
        )


class Recomputing:
    """A launch: what follows from fields, for the worlds that began."""

    def __init__(self, began: Launchable, backend: Backend, level: Recompute, worlds: wp.array) -> None:
        self._began, self._backend, self._level, self._worlds = began, backend, level, worlds

    def launch(self) -> None:
        """Note who began, and compute."""
        self._began.launch()
        self._backend.recompute(self._level, self._worlds)


def elements_of(scene: Built, field: str) -> NDArray[np.int32]:
    """Elements of a field and the robot of each (-1: the world's), (n, 2); what belongs to neither is left out."""
    model, kind = scene.model, field.partition("_")[0]
    count = len(getattr(model, field))
    if kind in WORLDS:
        return np.stack([np.arange(count), np.full(count, -1)], axis=-1).astype(np.int32)
    if kind == "actuator":
        number = np.arange(min(count, scene.robots * scene.ctrl_stride))
        return np.stack([number, number // scene.ctrl_stride], axis=-1).astype(np.int32)
    if kind not in OWNERS:
        return np.zeros((0, 2), np.int32)
    roots = {model.body(f"robot{robot}").id: robot for robot in range(scene.robots)}
    bodies = getattr(model, OWNERS[kind]) if OWNERS[kind] else np.arange(count)
    robots = [roots.get(int(root), -1) for root in model.body_rootid[bodies]]
    return np.array([pair for pair in enumerate(robots) if pair[1] >= 0], np.int32).reshape(-1, 2)


def as_components(field: wp.array) -> wp.array:
    """(worlds, elements) or (worlds, elements, n) as (worlds, elements, components) on the same memory."""
    if field.ndim == 3:
        return field
    worlds, elements = field.shape
    view = wp.array(
        ptr=field.ptr,
        dtype=field.dtype,
        shape=(worlds, elements, 1),
        strides=(*field.strides, field.strides[1]),
        device=field.device,
        copy=False,
    )
    view._muster_owner = field
    return view


@wp.kernel
def write_field(
    robots: int,
    k: int,
    scales: int,
    component: int,
    elements: wp.array2d(dtype=wp.int32),
    stored: wp.array2d(dtype=wp.float64),
    mask: wp.array(dtype=wp.uint8),
    vary: VaryArrays,
    field: wp.array3d(dtype=Any),
) -> None:
    """Row k of the table over the stored defaults, for each world and element whose owner begins."""
    world, number = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    element = elements[number, 0]
    row = world * robots
    begins = wp.bool(True)
    if elements[number, 1] == WORLD_C:
        for robot in range(robots):
            begins = begins and mask[row + robot] != wp.uint8(0)
    else:
        row += elements[number, 1]
        begins = mask[row] != wp.uint8(0)
    if begins:
        value = wp.float64(vary.values[row, k])
        for c in range(stored.shape[1]):
            if component < 0 or c == component:
                if scales == 1:
                    field[world, element, c] = field.dtype(stored[number, c] * value)
                else:
                    field[world, element, c] = field.dtype(stored[number, c] + value)


@wp.kernel
def write_load(
    robots: int,
    payload: int,
    share: int,
    scale: int,
    spread: int,
    bodies: wp.array(dtype=wp.int32),
    stored: wp.array2d(dtype=wp.float64),
    mass: wp.array2d(dtype=Any),
    inertia: wp.array3d(dtype=Any),
    mask: wp.array(dtype=wp.uint8),
    vary: VaryArrays,
) -> None:
    """Mass and inertia of each masked row's body with its payload: m + s p and I (1 + s p / m), from the defaults.

    `stored` is the default mass and inertia of each robot's body, (robots, 4); the numbers are rows of the table.
    """
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    robot = row % robots
    world = row / robots
    load = wp.float64(vary.values[row, payload] * vary.values[row, share])
    body = bodies[robot]
    mass[world, body] = mass.dtype(stored[robot, 0] * wp.float64(vary.values[row, scale]) + load)
    for c in range(3):
        own = stored[robot, 1 + c] * wp.float64(vary.values[row, spread])
        inertia[world, body, c] = inertia.dtype(own + stored[robot, 1 + c] * load / stored[robot, 0])


@wp.kernel
def note_began(robots: int, mask: wp.array(dtype=wp.uint8), began: wp.array(dtype=wp.uint8)) -> None:
    """Whether any robot of each world is masked."""
    world = wp.tid()
    began[world] = wp.uint8(0)
    for robot in range(robots):
        if mask[world * robots + robot] != wp.uint8(0):
            began[world] = wp.uint8(1)
