"""The full car: a chassis on four sprung wheels, two of them steered, as MuJoCo sees it.

The chassis hangs on a free joint whose frame is base_link, the middle of the rear axle on the ground, so that qpos is
p_WB itself. Each wheel is one body with a vertical slide (spring and damper), in front a steering hinge, and a spin
hinge; it meets the ground as an ellipsoid (one contact point, cheaper than a cylinder) and nothing else. Coordinates
after the free joint's, wheels in the order front left, front right, rear left, rear right:

    slide, steer, spin   slide, steer, spin   slide, spin   slide, spin

Controls: two steering angles (rad), which servos follow, and four wheel speeds (rad/s), about which a weak servo damps
each wheel: the firmware adds the torque that it wants, divided by `WHEEL_DAMPING` (sim/driving/drive.py). All wheels
are driven and braked. A stiff servo would be wrong: the engine finds contact forces with its whole torque and
integrates with an implicit part of it, so that tyres would push the car against their slip.

Tyres are Coulomb friction with an elliptic cone: a friction circle, with a creep of centimetres per second below it.
What it leaves out: slip angles that grow with speed (the car follows its steering more stiffly than a real one),
rolling resistance and drag (the firmware closes its loop over acceleration), anti-roll bars.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco

from sim.bodies.parts import FLOOR_BIT, GRAVITY, PERSON_BIT, ROBOT_BIT, STATIC_BIT, BodyLayout
from sim.robot import RobotSpec

WHEELS = ("front_left", "front_right", "rear_left", "rear_right")

LAYOUT = BodyLayout(qpos_stride=17, qvel_stride=16, ctrl_stride=6)

TYRE_FRICTION = 0.9
"""Nominal friction of a tyre on dry asphalt (CommonRoad's vehicle 2: 1.05 laterally on a test rig)."""

TYRE_WIDTH = 0.22
"""m ([CommonRoad] of sim/sources.py: width less track)"""

WHEEL_MASS = 30.0
"""Wheel and carrier, kg; [CommonRoad]: 64 kg for both of an axle."""

SPRINGS = (22.4, 18.0)
"""Stiffness of a front and a rear spring per kg of car, N/(m kg); [CommonRoad]: 24.4 and 19.6 kN/m for 1,093 kg."""

DAMPERS = (1.63, 1.51)
"""Damping of a front and a rear wheel per kg of car, N s/(m kg); [CommonRoad]: 1.79 and 1.65 kN s/m."""

TRAVEL = 0.10
"""Of a spring in either direction, m; what cars of the class have."""

MIDDLE = 0.55
"""Share of the wheelbase from the rear axle to the centre of mass; [CommonRoad]: 1.423 m of 2.579 m."""

COM_HEIGHT = 0.40
"""Height of the centre of mass over that of the car; [CommonRoad]: 0.575 m of 1.43 m."""

GYRATION = (0.29, 0.30)
"""Radii of inertia about x over the width and about y and z over the length ([CommonRoad]: 0.46 m, 1.27 m,
1.36 m)."""

CLEARANCE = 0.20
"""Of the hull above the ground, m: no wheel or spring at its stop brings it to the ground."""

WHEEL_DAMPING = 100.0
"""Of each wheel about the speed that it is told, N m s: times the physics step a quarter of the wheel's inertia, yet
what a wheel is told beyond its grip (200 N m) slips it by no more than 0.6 m/s."""

WHEEL_ARMATURE = 1.0
"""Of motor, gears and brake disc at a wheel, kg m^2; the wheel itself has 1.2 ([CommonRoad]: 1.7 together)."""

TYRE_SINK = 0.00045
"""Half of what the soft ground lets a tyre in under the unloaded car, m: what it rolls on is less by that (measured,
2026-11)."""

STEER_TIME = 0.01
"""Time constant of the steering's servo, s: one motor period."""

STEER_INERTIA = 2.0
"""Of rack and motor at the wheel, kg m^2; more than the wheel's own 0.8, so that scrub does not turn it."""


def add(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> BodyLayout:
    """Car `number`, named robot{number}; its wheels' geoms are {wheel}{number}."""
    drive = spec.car
    hinge, slide = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
    body = world.worldbody.add_body(name=f"robot{number}")
    body.add_freejoint(name=f"free{number}")
    sprung = spec.mass - 4.0 * WHEEL_MASS
    about_x, about_y = sprung * (GYRATION[0] * spec.width) ** 2, sprung * (GYRATION[1] * spec.length) ** 2
    body.explicitinertial = True
    body.mass = sprung
    body.ipos = (MIDDLE * drive.wheelbase, 0.0, COM_HEIGHT * spec.height)
    body.inertia = (about_x, about_y, about_y)
    middle = spec.middle
    for name, x, length, low, high in (
        (f"hull{number}", middle, spec.length, CLEARANCE, 0.55 * spec.height),
        (f"cabin{number}", middle - 0.07 * spec.length, 0.55 * spec.length, 0.55 * spec.height, spec.height),
    ):
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(length / 2.0, spec.width / 2.0 * (1.0 if name.startswith("hull") else 0.88), (high - low) / 2.0),
            pos=(x, 0.0, (high + low) / 2.0),
            mass=0.0,
            contype=ROBOT_BIT if name.startswith("hull") else 0,
            conaffinity=ROBOT_BIT | STATIC_BIT | PERSON_BIT if name.startswith("hull") else 0,
            condim=1,
            rgba=(0.10, 0.35, 0.75, 1.0) if name.startswith("hull") else (0.12, 0.14, 0.18, 1.0),
        )
    for place, name in enumerate(WHEELS):
        front = place < 2
        x, y = (drive.wheelbase if front else 0.0), (0.5 if place % 2 == 0 else -0.5) * drive.track
        wheel = body.add_body(name=f"{name}{number}", pos=(x, y, drive.wheel_radius))
        stiffness = SPRINGS[0 if front else 1] * spec.mass
        carried = sprung * GRAVITY * (MIDDLE if front else 1.0 - MIDDLE) / 2.0
        wheel.add_joint(
            name=f"{name}_slide{number}",
            type=slide,
            axis=(0.0, 0.0, 1.0),
            stiffness=stiffness,
            springref=-carried / stiffness,
            damping=DAMPERS[0 if front else 1] * spec.mass,
            limited=True,
            range=(-TRAVEL, TRAVEL),
        )
        if front:
            wheel.add_joint(name=f"{name}_steer{number}", type=hinge, axis=(0.0, 0.0, 1.0), armature=STEER_INERTIA)
        wheel.add_joint(name=f"{name}_spin{number}", type=hinge, axis=(0.0, 1.0, 0.0), armature=WHEEL_ARMATURE)
        wheel.add_geom(
            name=f"{name}{number}",
            type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
            size=(drive.wheel_radius, TYRE_WIDTH / 2.0, drive.wheel_radius),
            mass=WHEEL_MASS,
            contype=0,
            conaffinity=FLOOR_BIT,
            condim=3,
            priority=1,
            friction=(TYRE_FRICTION, 0.005, 0.0001),
            rgba=(0.08, 0.08, 0.08, 1.0),
        )
    _add_servos(world, spec, number)
    return LAYOUT


def _add_servos(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> None:
    radius = spec.car.wheel_radius
    inertia = STEER_INERTIA + 0.2 * WHEEL_MASS * (radius**2 + TYRE_WIDTH**2 / 4.0)
    stiffness, damping = inertia / STEER_TIME**2, 2.0 * inertia / STEER_TIME  # critically damped
    for name in WHEELS[:2]:
        servo = world.add_actuator(
            name=f"{name}_steer{number}", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=f"{name}_steer{number}"
        )
        servo.set_to_position(kp=stiffness, kv=damping)
    for name in WHEELS:
        servo = world.add_actuator(
            name=f"{name}_spin{number}", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=f"{name}_spin{number}"
        )
        servo.set_to_velocity(kv=WHEEL_DAMPING)


def spin_mass(spec: RobotSpec) -> float:
    """What the turning of the wheels adds to the mass that is accelerated, kg."""
    return 4.0 * (0.4 * WHEEL_MASS + WHEEL_ARMATURE / spec.car.wheel_radius**2)


def stiffness_of(spec: RobotSpec) -> float:
    """Of all springs together, N/m: by what a load sinks the car."""
    return 2.0 * sum(SPRINGS) * spec.mass
