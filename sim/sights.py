"""Loads as the lidar sees them: upright rectangles, written anew before each sweep.

The four legs of a pod (its deck is above the sensor), and the boxes. A robot's own load is not seen: real ones blank
out the legs that they carry between.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.backend import Backend
from sim.bodies.box import BOX_SIZE
from sim.bodies.pod import LEG
from sim.launches import Launchable, record
from sim.lidar import THING
from sim.podkernels import body_pose
from sim.pods import Pods
from sim.scene import Scene

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

HALF_LEG_C = wp.constant(LEG / 2.0)
HALF_BOX_C = wp.constant(wp.vec2(BOX_SIZE[0] / 2.0, BOX_SIZE[1] / 2.0))


class Sights:
    """Owns the things that the lidars of a scene see beside the map, people and robots."""

    def __init__(self, scene: Scene, backend: Backend, pods: Pods | None, others: int = 0) -> None:
        """`pods` says who carries what; None where no pod can be moved. `others` more things are somebody else's."""
        count = 4 * scene.pods + scene.boxes
        self.things = wp.zeros((backend.worlds, count + others, THING), dtype=wp.float32, device=backend.device)
        """(worlds, things, THING)"""
        self.others = count
        """Where those of somebody else begin (doors: `sim/doors.py`)."""
        carrier = pods.state.carrier if pods else wp.zeros((backend.worlds, 0), dtype=wp.int32, device=backend.device)
        legs = wp.vec2((scene.pod_size[0] - LEG) / 2.0, (scene.pod_size[1] - LEG) / 2.0)
        self.look: list[Launchable] = []
        """The launches that write `things`; none where there is nothing to see."""
        if count:
            self.look.append(
                record(
                    see_things,
                    dim=(backend.worlds, count),
                    inputs=[
                        scene.pods, legs, int(scene.falls), scene.robots * scene.qpos_stride, carrier, backend.qpos,
                        self.things,
                    ],
                    device=backend.device,
                )
            )  # fmt: skip


@wp.kernel
def see_things(
    pods: int,
    legs: wp.vec2,
    falls: int,
    first: int,
    carrier: wp.array2d(dtype=wp.int32),
    qpos: wp.array2d(dtype=Any),
    things: wp.array3d(dtype=wp.float32),
) -> None:
    """One leg of a pod or one box; `first` is where pods' coordinates begin."""
    world, thing = wp.tid()
    width = 3 + 4 * falls
    body = thing / 4
    if thing >= 4 * pods:
        body = thing - 3 * pods
    pose = body_pose(qpos, world, first + body * width, falls)
    at = wp.vec3(0.0, 0.0, 0.0)
    half = HALF_BOX_C
    holder = wp.int32(-1)
    if thing < 4 * pods:
        at = wp.vec3(legs[0] * float(1 - 2 * (thing & 1)), legs[1] * float(1 - (thing & 2)), 0.0)
        half = wp.vec2(HALF_LEG_C, HALF_LEG_C)
        holder = carrier[world, body]
    place = wp.transform_point(pose, at)
    ahead = wp.transform_vector(pose, wp.vec3(1.0, 0.0, 0.0))
    things[world, thing, 0] = place[0]
    things[world, thing, 1] = place[1]
    things[world, thing, 2] = wp.atan2(ahead[1], ahead[0])
    things[world, thing, 3] = half[0]
    things[world, thing, 4] = half[1]
    things[world, thing, 5] = float(holder)
