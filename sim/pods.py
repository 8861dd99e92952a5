"""Pods that robots lift, carry and set down: who carries which, in many worlds.

A robot that stands under a pod and raises its lift is welded to it in the pose in which they stand, so that nothing
jumps; the weld then rises by LIFT, and what the pod weighs is the robot's to push. Lowered to the floor, the weld lets
go and the pod stands where it is. What a pod holds differs between worlds: `load` writes mass and inertia, and the
constants that the engine derives from them follow.

Where nothing falls (the planar base without an arm) height means nothing to the physics: there a standing pod is held
by the friction of its feet, which this module takes away while the pod is carried, and the lift only takes its time.

The arrays here are state like any other: `arrays` names them. Kernels stand in `sim/podkernels.py`.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import Backend
from sim.bodies.parts import GRAVITY
from sim.bodies.pod import FEET_FRICTION, POD_MASS, foot_lever
from sim.fields import Recompute
from sim.launches import Launchable, record
from sim.podkernels import (
    LIFT,
    LIFT_TIME,
    PodArrays,
    PodLayout,
    begin_pods,
    count_load_contacts,
    handle_pods,
    load_pods,
)
from sim.scene import Scene


class Pods:
    """Owns who carries what. Whoever commands robots writes `state.wanted` and launches `handle` every period."""

    def __init__(self, scene: Scene, backend: Backend, period: float) -> None:
        """`period`: seconds between two launches of `handle` (the motor period).

        Raises ValueError for a scene whose pods cannot be moved.
        """
        if not scene.pods:
            raise ValueError(
                "expected a scene with movable pods, got none; build it with pods='movable' on a site of pods"
            )
        self.scene, self.backend, self.device = scene, backend, backend.device
        worlds, rows = backend.worlds, backend.worlds * scene.robots
        self.state = PodArrays()
        self.state.wanted = wp.zeros(rows, dtype=wp.uint8, device=self.device)
        self.state.carried = wp.full(rows, -1, dtype=wp.int32, device=self.device)
        self.state.carrier = wp.full((worlds, scene.pods), -1, dtype=wp.int32, device=self.device)
        self.state.raised = wp.zeros(rows, dtype=wp.float32, device=self.device)
        self.state.rest = wp.zeros(rows, dtype=wp.float32, device=self.device)
        grip = FEET_FRICTION * POD_MASS * GRAVITY
        self.state.grip = wp.full((worlds, scene.pods), grip, dtype=wp.float32, device=self.device)
        self.state.touching = wp.zeros(rows, dtype=wp.uint8, device=self.device)
        self.layout = _layout(scene, period)
        home = scene.model.qpos0[self.layout.pod_qpos :][: scene.pods * (7 if scene.falls else 3)]
        self.home = wp.array(np.tile(home, (worlds, 1)), dtype=wp.float32, device=self.device)
        """Coordinates of each pod where an episode begins, (worlds, pods * 7 or 3); a task writes those of its own."""
        self._active = backend.data("eq_active")
        self._weld = backend.field("eq_data")
        self._loss = backend.field("dof_frictionloss")
        self._bodies, self._carriers = (
            wp.array([scene.model.body(f"{kind}{n}").id for n in range(count)], dtype=wp.int32, device=self.device)
            for kind, count in (("pod", scene.pods), ("robot", scene.robots))
        )
        none = wp.zeros((0, 0, 6), dtype=wp.float32, device=self.device)
        self._memory = [backend.memory.get(name, none) for name in ("cvel", "cdof_dot")]
        self._inertia = wp.array(
            scene.model.body("pod0").inertia.astype(np.float32) / POD_MASS, dtype=wp.float32, device=self.device
        )
        self._contacts = wp.array(scene.pod_contacts, dtype=wp.int32, device=self.device)
        self.handle: Launchable = record(
            handle_pods,
            dim=rows,
            inputs=[self.layout, self.state, backend.qpos, backend.qvel, self._active, self._weld, self._loss],
            device=self.device,
        )
        """The launch of one motor period: lifts move, take pods and let go of them."""

    def begin(self, rows: wp.array) -> Launchable:
        """The launch after which the masked rows (uint8) hold nothing.

        What a robot held stands where it is, unless all robots of its world begin: then every pod is at its `home`. A
        task's own pods begin with their robots.
        """
        backend = self.backend
        return record(
            begin_pods,
            dim=backend.worlds,
            inputs=[
                rows, self.layout, self.state, self.home, backend.qpos,
                backend.qvel, backend.qacc_warmstart, self._active, self._loss, self._carriers, self._bodies,
                *self._memory,
            ],
            device=self.device,
        )  # fmt: skip

    def load(self, goods: wp.array, worlds: wp.array) -> None:
        """Give the pods of the masked worlds (uint8) their goods, kg, float32 (worlds, pods).

        Mass, inertia, what the engine derives from them, and the friction of the feet follow.
        """
        mass, inertia = self.backend.field("body_mass"), self.backend.field("body_inertia")
        wp.launch(
            load_pods,
            dim=(self.backend.worlds, self.scene.pods),
            inputs=[worlds, self.layout, self.state, goods, self._bodies, self._inertia, mass, inertia, self._loss],
            device=self.device,
        )
        self.backend.recompute(Recompute.SET_CONST, worlds)

    def settle(self, twist: wp.array, threshold: float, collided: wp.array, bumped: wp.array) -> Launchable:
        """The launch that counts what touches carried pods as contacts of their carriers, as `count_contact` does."""
        return record(
            count_load_contacts,
            dim=self.state.carried.shape[0],
            inputs=[
                self.scene.robots, self.state, self._contacts, self.backend.sensordata, twist, threshold, collided,
                bumped,
            ],
            device=self.device,
        )  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """Everything that later steps depend on beside the backend's state, by name."""
        names = ("wanted", "carried", "carrier", "raised", "rest", "grip", "touching")
        return {f"pods.{name}": getattr(self.state, name) for name in names}

    def carried(self) -> NDArray[np.int32]:
        """The pod that each robot holds, -1 for none, on the host; (worlds, robots)."""
        return self.state.carried.numpy().reshape(-1, self.scene.robots)


def _layout(scene: Scene, period: float) -> PodLayout:
    layout = PodLayout()
    layout.robots, layout.pods, layout.own = scene.robots, scene.pods, scene.own_pods
    layout.qpos_stride, layout.qvel_stride = scene.qpos_stride, scene.qvel_stride
    layout.pod_qpos = scene.robots * scene.qpos_stride
    layout.pod_qvel = scene.robots * scene.qvel_stride
    layout.falls = int(scene.falls)
    layout.step = LIFT * period / LIFT_TIME
    layout.lever = foot_lever(scene.pod_size)
    return layout
