"""How many contacts and constraint rows mujoco_warp needs room for, guessed from the model.

mujoco_warp allocates contacts for all worlds together and constraint rows for each world; what does not fit is
dropped. Memory and time grow with both, so they are not made as large as the worst case:

    contacts     what a world uses on average, because all worlds share: each geom that moves touches every plane that
                 it may, one static geom, every second one another geom that moves (counted once), every fourth one a
                 person (mocap); a pair makes as many contacts as its shapes can (a sphere 1, a capsule 2, else 4).
                 At least 16, in steps of 8.
    constraints  what a crowded world uses: each geom that moves stands in a corner of two static geoms, between two
                 others that move and before a person; a contact has 1, 4, 6 or 10 rows (condim 1, 3, 4, 6); once
                 more for the geom with the most rows, and one for each limit, friction loss and equality row.
                 At least 32, in steps of 16.

Where a scene is more crowded than that, `Backend.check_overflow` says so with the sizes that would have done.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

STATIC, PEOPLE, MOVING = (1.0, 2.0), (0.25, 1.0), (0.5, 1.0)
"""Pairs of one moving geom with others of each kind: on average, and in a crowded world (of two that move, half)."""

ROWS = {1: 1, 3: 4, 4: 6, 6: 10}
"""Constraint rows of a contact by its dimension, pyramidal cone (MuJoCo's manual, computation, "Friction cones")."""

EQUALITY_ROWS = {0: 3, 1: 6, 2: 1, 3: 1}
"""Rows of an equality by its type: connect, weld, joint, tendon."""


@dataclass(frozen=True)
class Sizes:
    """Arguments of `WarpBackend`."""

    contacts: int
    """For each world on average."""
    constraints: int
    """For each world at most."""


def buffer_sizes(model: Any) -> Sizes:  # mujoco.MjModel, which has no stub
    """The sizes of the rule above for one world of the model."""
    root, mocap = model.body_weldid[model.geom_bodyid], model.body_mocapid[model.geom_bodyid] >= 0
    moves = model.body_dofnum[root] > 0
    plane = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
    contype, conaffinity = model.geom_contype, model.geom_conaffinity
    contacts, rows = 0.0, [0.0]
    for geom in np.flatnonzero(moves & ((contype | conaffinity) != 0)):
        meets = ((contype[geom] & conaffinity) | (contype & conaffinity[geom])) != 0
        meets &= root != root[geom]
        own = 0.0
        for kind, (average, crowded) in (
            (plane & ~moves & ~mocap, (model.ngeom, model.ngeom)),
            (~plane & ~moves & ~mocap, STATIC),
            (mocap, PEOPLE),
            (moves, MOVING),
        ):
            others = np.flatnonzero(meets & kind)
            if not others.size:
                continue
            points = max(_points(model, geom, other) for other in others)
            condim = max(model.geom_condim[geom], *model.geom_condim[others])
            contacts += points * min(average, others.size)
            own += points * min(crowded, others.size) * ROWS[int(condim)]
        rows.append(own)
    needed = sum(rows) + max(rows)
    needed += int(model.jnt_limited.sum()) + int(model.tendon_limited.sum())
    needed += int((model.dof_frictionloss > 0).sum()) + int((model.tendon_frictionloss > 0).sum())
    needed += sum(EQUALITY_ROWS.get(int(kind), 6) for kind in model.eq_type)
    return Sizes(contacts=_up(max(contacts, 16.0), 8), constraints=_up(max(needed, 32.0), 16))


def _points(model: Any, geom: np.integer, other: np.integer) -> int:  # mujoco.MjModel, which has no stub
    """Contacts that two shapes can make."""
    kinds = {int(model.geom_type[geom]), int(model.geom_type[other])}
    if kinds & {int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_ELLIPSOID)}:
        return 1
    return 2 if int(mujoco.mjtGeom.mjGEOM_CAPSULE) in kinds else 4


def _up(value: float, step: int) -> int:
    return int(-(-value // step) * step)
