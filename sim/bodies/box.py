"""A loose box: a carton that fell off a shelf and lies in an aisle.

It sleeps until something touches it (MuJoCo's sleep), so that many of them cost next to nothing. Where nothing falls it
slides in x, y and yaw against its friction on the floor. Its qpos is then x, y, yaw in W.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco

from sim.bodies.parts import FLOOR_BIT, GRAVITY, LOAD_BIT, PERSON_BIT, ROBOT_BIT, STATIC_BIT

BOX_SIZE = (0.40, 0.30, 0.20)
"""Length, width, height, m: the module of small load carriers (EN 13199-1: 400 mm x 300 mm)."""

BOX_MASS = 5.0
"""kg: a carton's volumetric weight, 24,000 cm^3 over 5,000 cm^3/kg ([DHL] of sim/sources.py): 4.8."""

BOX_FRICTION = 0.5
"""Cardboard, untreated ([CTU Code] of sim/sources.py: 0.5 on cardboard and on wood)."""


def add(world: mujoco.MjSpec, number: int, at: tuple[float, float], falls: bool) -> None:
    """Box `number`, upright on the floor at (x, y)."""
    length, width, height = BOX_SIZE
    carton = world.worldbody.add_body(name=f"box{number}", pos=(*at, height / 2 if falls else 0.0))
    if falls:
        carton.add_freejoint(name=f"box{number}")
    else:
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        grip = BOX_FRICTION * BOX_MASS * GRAVITY
        lever = (length + width) / 6.0  # mean distance of the face from its middle, roughly
        for name, kind, axis, ref, loss in (
            ("x", slide, (1.0, 0.0, 0.0), at[0], grip),
            ("y", slide, (0.0, 1.0, 0.0), at[1], grip),
            ("yaw", hinge, (0.0, 0.0, 1.0), 0.0, grip * lever),
        ):
            carton.add_joint(name=f"box{number}.{name}", type=kind, axis=axis, ref=ref, frictionloss=loss)
    carton.add_geom(
        name=f"box{number}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(length / 2, width / 2, height / 2),
        pos=(0.0, 0.0, 0.0 if falls else height / 2),
        mass=BOX_MASS,
        contype=LOAD_BIT,
        conaffinity=ROBOT_BIT | STATIC_BIT | PERSON_BIT | LOAD_BIT | (FLOOR_BIT if falls else 0),
        condim=3 if falls else 1,
        friction=(BOX_FRICTION, 0.005, 0.0001),
        rgba=(0.72, 0.55, 0.35, 1.0),
    )
