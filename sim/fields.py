"""Model fields that may differ between worlds, and what the engine must compute anew after they were written.

A backend stores a field of this table once per world as soon as somebody asks for it (`Backend.field`). Some fields
enter constants that MuJoCo computes when it compiles a model: a body's mass enters the inverse weights by which the
solver scales every constraint on it. Such a field names the groups of `mj_setConst` (MuJoCo's manual, simulation,
"mjModel changes"; mujoco_warp's `set_const`) that must run after a write, and those constants then differ between
worlds too. A field that is written without its recompute gives physics that are a little wrong and never fail, so the
contract tests compare every field of this table with a model compiled with the same values.

Not in the table: where a body hangs (`body_pos`, `geom_pos`), because mujoco_warp places static geometry once, when
its data is made. What moves from world to world is a mocap body or has joints. This module needs neither engine, so
that tables of what varies can name fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag


class Recompute(IntFlag):
    """What to compute anew after a write; the numbers of the groups are mujoco_warp's."""

    NONE = 0
    FIXED = 1
    """Sums and bounds that need no configuration: masses of subtrees, bounding boxes."""
    KIN0 = 2
    """Kinematics in qpos0: poses of cameras and lights, lengths of tendons, anchors of equalities."""
    INERT0 = 4
    """Inertia in qpos0: inverse weights of bodies, joints and tendons, accelerations from unit forces."""
    SET_CONST = 7
    """All of it, as `mj_setConst` does."""


DERIVED: dict[Recompute, tuple[str, ...]] = {
    Recompute.FIXED: ("body_subtreemass", "geom_aabb", "geom_rbound"),
    Recompute.KIN0: (
        "tendon_length0", "eq_data", "cam_pos0", "cam_poscom0", "cam_mat0", "light_pos0", "light_poscom0", "light_dir0",
    ),
    Recompute.INERT0: ("dof_invweight0", "body_invweight0", "tendon_invweight0", "actuator_acc0"),
}  # fmt: skip
"""The constants that each group writes, as mujoco_warp's `set_const` lists them."""


@dataclass(frozen=True)
class Field:
    """One model field that may differ between worlds."""

    name: str
    """As in MjModel."""
    recompute: Recompute
    """What a write asks for."""

    @property
    def derived(self) -> tuple[str, ...]:
        """Constants that follow from the field, and so differ between worlds when it does."""
        return derived(self.recompute)


def derived(level: Recompute) -> tuple[str, ...]:
    """The constants that the groups of `level` write."""
    return tuple(name for group, names in DERIVED.items() if group & level for name in names)


def _table(level: Recompute, *names: str) -> dict[str, Field]:
    return {name: Field(name, level) for name in names}


FIELDS: dict[str, Field] = {
    **_table(
        Recompute.NONE,
        "actuator_forcerange", "actuator_ctrlrange", "actuator_gainprm", "actuator_biasprm",
        "dof_damping", "dof_frictionloss", "jnt_stiffness", "jnt_range",
        "geom_friction", "geom_solref", "geom_solimp", "geom_rgba",
        "cam_fovy", "light_ambient", "light_diffuse",
    ),
    **_table(Recompute.FIXED, "geom_size", "geom_margin"),
    **_table(Recompute.KIN0, "eq_data", "cam_pos", "cam_quat", "light_pos", "light_dir"),
    **_table(
        Recompute.INERT0, "actuator_gear", "body_inertia", "body_iquat", "dof_armature", "site_pos", "site_quat"
    ),
    **_table(Recompute.KIN0 | Recompute.INERT0, "body_ipos", "qpos0"),
    **_table(Recompute.SET_CONST, "body_mass"),
}  # fmt: skip
"""Every field that a world may have to itself."""
