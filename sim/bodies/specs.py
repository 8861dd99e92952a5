"""The robots that we have, each number with its source.

A specification says what shield, plant and policies rely on, so that a bound may be stricter than the machine: what a
robot could do beyond it is not used. "measured" is what the stops of `tests/benchmarks/tracking_error.py` kept under
the whole randomization, load and floor included; "design" is a bound that we set, with its reason, where no norm and
no datasheet at hand gives a number. Tracking errors are measured with the laws of `sim/drive.py` on the planar body;
those of the wheeled body stand in `hierarchy/motor.py` and are what its shield gets.

Sources: [MP500] Neobotix MP-500, mechanical properties (neobotix-docs.de/hardware/en/platforms/mp-500). [UR5e]
Universal Robots, Parameters for calculations of kinematics and dynamics (universal-robots.com, DH parameters), UR5e
rows; largest joint torques of the same robot from the article Max. joint torques. [Cup] Schmalz, glossary, holding
force: F = pressure difference times area, at 60 % vacuum. [Pallet] EN 13698-1: 800 mm x 1200 mm flat pallet. [Box]
EN 13199-1: small load carriers of 400 mm x 300 mm. [ISO 3691-4] Driverless industrial trucks.
"""

from __future__ import annotations

import math

from sim.robot import Arm, DiffDrive, Fork, RobotSpec


def amr() -> RobotSpec:
    """The small AMR that goes under pods: the defaults of `RobotSpec`, which say where each number is from."""
    return RobotSpec()


def forklift() -> RobotSpec:
    """A large AMR with a fork for pallets, in the class of automated pallet trucks for one tonne.

    No maker's datasheet was at hand for it: geometry follows the pallet's norm, speeds the safety norm, dynamics are
    measured on the simulated body, and the rest is design, to be replaced by `muster validate-sim` on a real truck's
    recordings.
    """
    return RobotSpec(
        name="forklift",
        drive=DiffDrive(
            track=0.70,  # design: wheels inside the footprint's width
            wheel_radius=0.115,  # design: drive wheels of 230 mm are common on pallet trucks
            speed_max=1.2,  # design: below a walking person's 1.6 m/s (ISO 13855)
            reverse_max=0.3,  # [ISO 3691-4]: 0.3 m/s where the load takes the view from the person detection
            turn_max=0.6,  # design: the tips of the fork (1 m from the axle) then move no faster than 0.6 m/s
            accel_max=0.5,  # design: loads that are not tied down stay on a pallet (friction 0.3 or more)
            brake_min=0.8,  # measured: kept by 3,000 stops; below the 0.3 g at which loads slip
            turn_accel_max=1.0,  # measured: kept by the same stops
        ),
        length=1.90,  # design: fork (1.15 m) and a chassis of 0.75 m
        width=0.80,  # [Pallet]: no wider than what it carries
        height=1.40,  # design: a low mast that passes doors
        mass=750.0,  # design: three quarters of the load, so that it does not tip over its drive wheels
        payload_max=1000.0,  # kg; the class; a pallet may carry 1,500 kg [Pallet]
        localisation_bound=0.03,  # as the small AMR: the same sensors
        tracking_e0=0.011,  # measured: worst of 3,000 stops + 20 % (tests/benchmarks/tracking_error.py, 2026-11)
        tracking_e1=0.037,  # m/s; measured 0.005; the rest is the room that the monitor's twist check needs
        fork=Fork(
            reach=1.15,  # for the 1.2 m side of a [Pallet]
            spread=0.56,  # two blades of 0.18 m pass the two openings of 0.2275 m [Pallet]
            blade=0.18,  # of the 0.2275 m opening [Pallet], with 24 mm to either side
            lowered=0.085,  # enters the 0.1 m high openings [Pallet]
            height=0.40,  # design: over a pod's deck and over two empty pallets of 0.144 m [Pallet]
            speed=0.10,  # m/s, design: 4 s from the floor to the top
            mass=90.0,  # design: two steel blades and a carriage
        ),
    )


def mobile_manipulator() -> RobotSpec:
    """A base like [MP500] with an arm like [UR5e], a suction cup of 40 mm and a tote on its deck."""
    cup = 0.040  # m, design: the smallest face of the things to pick is 60 mm
    return RobotSpec(
        name="manipulator",
        drive=DiffDrive(
            track=0.507,  # m: width (0.592) less a wheel's width (0.085) [MP500]
            wheel_radius=0.130,  # [MP500]
            speed_max=1.0,  # [MP500] drives 1.5 m/s; design: less with an arm on the deck
            reverse_max=0.3,  # [ISO 3691-4]
            turn_max=1.0,  # design: the tote's corner then moves no faster than 0.5 m/s
            accel_max=0.8,  # [MP500] can do 2.4 m/s^2; items lie loose in the tote (friction 0.5)
            brake_min=1.2,  # measured: kept by 600 stops; half of what the base can do
            turn_accel_max=2.0,  # measured: kept by the same stops
        ),
        length=0.823,  # [MP500]
        width=0.592,  # [MP500]
        height=0.358,  # [MP500]
        mass=120.0,  # design: base 90 kg, arm 20 kg, its controller and tote 10 kg
        payload_max=20.0,  # kg in the tote; base and arm are rated for more [MP500]
        tracking_e0=0.010,  # measured 0.007: worst of 600 stops + 20 % (tests/benchmarks/tracking_error.py, 2026-11)
        tracking_e1=0.037,  # m/s; measured 0; the rest is the room that the monitor's twist check needs
        arm=Arm(
            mount=(0.20, 0.0),  # design: in front of the tote
            lengths=(0.1625, 0.425, 0.3922, 0.1993),  # d1, a2, a3 and d5 + d6 [UR5e]
            masses=(3.761, 8.058, 2.846, 2.670, 0.365),  # links 1, 2, 3, 4 + 5, 6 [UR5e]
            torques=(150.0, 150.0, 150.0, 28.0, 28.0),  # [UR5e]
            speed=math.pi,  # 180 degrees a second [UR5e]
            payload_max=5.0,  # [UR5e]
            cup=cup,
            suction=0.6 * 101_325.0 * math.pi * cup**2 / 4.0,  # [Cup]: 76 N
            tote=(0.280, 0.380, 0.120),  # [Box], inside
            tote_at=(-0.22, 0.0),  # design: behind the arm, inside the footprint
        ),
    )
