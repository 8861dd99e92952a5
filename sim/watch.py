"""Kernels that watch over the worlds: which ran away, and which did not fit the engine's buffers.

A world is lost when a number of its state is not finite or beyond all reason. It is put back to the model's initial
state at once, so that the engine does not carry on with it, and its flag is set until whoever handles it (an
environment that ends the episode, `Backend.diverged`, a reset) clears the flag. MuJoCo's C engine puts a bad world
back on its own and counts a warning; mujoco_warp does neither.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

RUNAWAY_SPEED = wp.constant(1000.0)
"""A joint speed that means a world blew up, m/s or rad/s: 50 times the fastest wheel (1.5 m/s on 8 cm)."""

RUNAWAY_PLACE = wp.constant(1.0e6)
"""A coordinate that means a world blew up, m or rad: no floor of ours is a hundredth of it wide."""


@wp.func
def beyond(values: wp.array2d(dtype=Any), world: int, limit: float) -> bool:
    """Whether a number of one row is not finite or larger than `limit`."""
    bad = wp.bool(False)
    for i in range(values.shape[1]):
        bad = bad or not (wp.abs(values[world, i]) <= values.dtype(limit))
    return bad


@wp.kernel
def watch(
    warnings: wp.array2d(dtype=wp.int32),
    qpos0: wp.array2d(dtype=Any),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
    act: wp.array2d(dtype=Any),
    ctrl: wp.array2d(dtype=Any),
    flags: wp.array(dtype=wp.uint8),
) -> None:
    """Flag each world that is lost and put it back to its start.

    `warnings` (worlds, kinds) are the engine's own counters, no rows where it has none. They are set back here, because
    the engine's automatic reset begins them anew, so that a second loss would count as many as the first.
    """
    world = wp.tid()
    bad = wp.bool(False)
    if warnings.shape[0] > 0:
        for kind in range(warnings.shape[1]):
            bad = bad or warnings[world, kind] > 0
            warnings[world, kind] = 0
    bad = bad or beyond(qpos, world, RUNAWAY_PLACE) or beyond(qvel, world, RUNAWAY_SPEED)
    bad = bad or beyond(act, world, RUNAWAY_PLACE)
    if bad:
        flags[world] = wp.uint8(1)
        for i in range(qpos.shape[1]):
            qpos[world, i] = qpos0[world % qpos0.shape[0], i]
        for i in range(qvel.shape[1]):
            qvel[world, i] = qvel.dtype(0.0)
            warmstart[world, i] = warmstart.dtype(0.0)
        for i in range(act.shape[1]):
            act[world, i] = act.dtype(0.0)
        for i in range(ctrl.shape[1]):
            ctrl[world, i] = ctrl.dtype(0.0)


@wp.kernel
def clear_flags(mask: wp.array(dtype=wp.uint8), flags: wp.array(dtype=wp.uint8)) -> None:
    """Forget the flags of the worlds whose mask is set."""
    world = wp.tid()
    if mask[world] != wp.uint8(0):
        flags[world] = wp.uint8(0)


@wp.kernel
def keep_rows(
    mask: wp.array(dtype=wp.uint8), kept: wp.array2d(dtype=wp.float32), values: wp.array2d(dtype=wp.float32)
) -> None:
    """Write the kept rows back wherever the mask is not set."""
    world, i = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    if mask[world] == wp.uint8(0):
        values[world, i] = kept[world, i]


@wp.kernel
def zero_rows(mask: wp.array(dtype=wp.uint8), values: wp.array3d(dtype=wp.float32)) -> None:
    """Zeros in the rows of the worlds whose mask is set."""
    world, i = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    if mask[world] != wp.uint8(0):
        for k in range(values.shape[2]):
            values[world, i, k] = 0.0


@wp.kernel
def latch_overflow(
    overflow: wp.array(dtype=wp.int32),
    kinds: int,
    shared_kinds: int,
    rows: wp.array(dtype=wp.int32),
    contacts: wp.array(dtype=wp.int32),
    pairs: wp.array(dtype=wp.int32),
    contact_world: wp.array(dtype=wp.int32),
    seen: wp.array(dtype=wp.int32),
    most_rows: wp.array(dtype=wp.int32),
    most_contacts: wp.array(dtype=wp.int32),
    most_pairs: wp.array(dtype=wp.int32),
    crowd: wp.array(dtype=wp.int32),
) -> None:
    """Remember which worlds did not fit, until somebody asks, and what would have been needed.

    The engine's own bits are cleared by a reset, and its counters by the next step. The contact buffer is shared, so
    that the engine marks every world when it is full (`shared_kinds`): `crowd` counts whose contacts filled it.
    """
    world = wp.tid()
    bits = overflow[world] & kinds
    if bits == 0:
        return
    seen[world] = seen[world] | bits
    most_rows[world] = wp.max(most_rows[world], rows[world])
    if bits & shared_kinds != 0:
        own = wp.int32(0)
        for i in range(wp.min(contacts[0], contact_world.shape[0])):
            if contact_world[i] == world:
                own += 1
        crowd[world] = wp.max(crowd[world], own)
        if world == 0:
            most_contacts[0] = wp.max(most_contacts[0], contacts[0])
            most_pairs[0] = wp.max(most_pairs[0], pairs[0])
