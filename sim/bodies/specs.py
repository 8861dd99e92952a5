"""The robots that we have, and where each of their numbers is from.

A specification says what shield, plant and policies rely on, so that a bound may be stricter than the machine: what a
robot could do beyond it is not used. Sources stand beside each specification by the dotted names of its numbers, as
sim/sources.py takes sources; numbers that a specification does not give are the small AMR's and have its sources
(`sim.robot.SOURCES`). "measured" by stops is what those of `tests/benchmarks/tracking_error.py` kept under the whole
randomization, load and floor included. Tracking errors are measured with the laws of `sim/drive.py` on the planar body;
those of the wheeled body stand in `hierarchy/motor.py` and are what its shield gets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from sim.robot import MILLISECOND, SOURCES, Ackermann, Arm, DiffDrive, Fork, Lidar, RobotSpec


def amr() -> RobotSpec:
    """The small AMR that goes under pods: the defaults of `RobotSpec`; `sim.robot.SOURCES` says where from."""
    return RobotSpec()


def forklift() -> RobotSpec:
    """A large AMR with a fork for pallets, in the class of automated pallet trucks for one tonne.

    Its geometry follows the pallet's norm and the parts that it holds, its speeds the safety norms; its dynamics are
    measured on the simulated body, to be replaced by `muster validate-sim` on a real truck's recordings.
    """
    return RobotSpec(
        name="forklift",
        drive=DiffDrive(
            track=0.70,
            wheel_radius=0.115,
            speed_max=1.2,
            reverse_max=0.3,
            turn_max=0.6,
            accel_max=0.5,
            brake_min=0.8,
            turn_accel_max=1.0,
        ),
        length=1.90,
        width=0.80,
        height=1.40,
        mass=750.0,
        payload_max=1000.0,
        localisation_bound=0.03,
        tracking_e0=0.011,
        tracking_e1=0.037,
        fork=Fork(reach=1.15, spread=0.56, blade=0.18, lowered=0.085, height=0.40, speed=0.10, mass=90.0),
    )


FORKLIFT: Mapping[str, str] = {
    "drive.track": "datasheet: what wheels of 0.085 m ([MP500]) leave of 0.80 m, and 15 mm less",
    "drive.wheel_radius": "datasheet: [AGV wheels] between 150 and 250 mm",
    "drive.speed_max": "norm: [ISO 13855] three quarters of a walking person's 1.6 m/s",
    "drive.reverse_max": "norm: [ISO 3691-4] 0.3 m/s where the load takes the view from the person detection",
    "drive.turn_max": "norm: [CTU Code] v w at 1.2 m/s is 0.72 m/s^2, a third of what holds a pallet on steel, 0.225 g",
    "drive.accel_max": "norm: [CTU Code] under a quarter of what holds a moving pallet on steel, 0.225 g",
    "drive.brake_min": "measured: kept by 3,000 stops (tests/benchmarks/tracking_error.py); under the pallet's 0.225 g",
    "drive.turn_accel_max": "measured: kept by the same 3,000 stops (tests/benchmarks/tracking_error.py)",
    "length": "datasheet: blades of 1.15 m, a battery of 0.48 m ([CSP6400]) and wheels of 0.26 m ([MP500])",
    "width": "norm: [EN 13698-1] no wider than the side of a pallet that it carries",
    "height": "norm: [DIN 18101] under a door leaf of 1.985 m",
    "mass": "measured: stands on all wheels with a tonne, 600 kg do not (tests/sim/bodies/test_bodies.py)",
    "payload_max": "norm: [EN 13698-1] two thirds of what a pallet may carry, 1,500 kg",
    "localisation_bound": SOURCES["localisation_bound"],
    "tracking_e0": "measured: worst of 3,000 stops plus 20 % (tests/benchmarks/tracking_error.py)",
    "tracking_e1": "measured: 0.013 (tests/benchmarks/tracking_error.py); the monitor's twist check needs the rest",
    "fork.reach": "norm: [EN 13698-1] the pallet's 1.2 m less a hand's breadth, so that no tip stands out",
    "fork.spread": "norm: [EN 13698-1] two blades in its two openings of 227.5 mm beside a block of 145 mm",
    "fork.blade": "norm: [EN 13698-1] an opening of 227.5 mm less 24 mm to either side",
    "fork.lowered": "norm: [EN 13698-1] openings of 100 mm less 15 mm",
    "fork.height": "norm: [EN 13698-1] a pallet, 122 mm under its boards, over two others of 144 mm: 410 of 485 mm",
    "fork.speed": "measured: kept with a tonne from the bottom to the top (tests/sim/bodies/test_bodies.py)",
    "fork.mass": "datasheet: [Forks] two of class I, 82 to 136 kg",
}
"""Where the forklift's numbers are from."""


def mobile_manipulator() -> RobotSpec:
    """A base like Neobotix MP-500 with an arm like UR5e, a suction cup of 40 mm and a tote on its deck."""
    cup = 0.040
    return RobotSpec(
        name="manipulator",
        drive=DiffDrive(
            track=0.507,
            wheel_radius=0.130,
            speed_max=1.0,
            reverse_max=0.3,
            turn_max=1.0,
            accel_max=0.8,
            brake_min=1.2,
            turn_accel_max=2.0,
        ),
        length=0.823,
        width=0.592,
        height=0.358,
        mass=120.0,
        payload_max=20.0,
        tracking_e0=0.010,
        tracking_e1=0.037,
        arm=Arm(
            mount=(0.20, 0.0),
            lengths=(0.1625, 0.425, 0.3922, 0.1993),
            masses=(3.761, 8.058, 2.846, 2.670, 0.365),
            torques=(150.0, 150.0, 150.0, 28.0, 28.0),
            speed=math.pi,
            payload_max=5.0,
            cup=cup,
            suction=0.6 * 101_325.0 * math.pi * cup**2 / 4.0,  # 76 N
            tote=(0.280, 0.380, 0.120),
            tote_at=(-0.22, 0.0),
        ),
    )


MANIPULATOR: Mapping[str, str] = {
    "drive.track": "datasheet: [MP500] its width, 0.592 m, less a wheel's, 0.085 m",
    "drive.wheel_radius": "datasheet: [MP500] drive wheels of 260 mm",
    "drive.speed_max": "datasheet: two thirds of [MP500]'s 1.5 m/s, as an arm stands on the deck",
    "drive.reverse_max": "norm: [ISO 3691-4] 0.3 m/s where nothing detects persons",
    "drive.turn_max": "norm: [CTU Code] v w at 1 m/s is 1.0 m/s^2, under what holds moving cardboard, 0.375 g",
    "drive.accel_max": "datasheet: a third of [MP500]'s 2.4 m/s^2",
    "drive.brake_min": "measured: kept by 600 stops (tests/benchmarks/tracking_error.py); half of [MP500]'s 2.4 m/s^2",
    "drive.turn_accel_max": "measured: kept by the same 600 stops (tests/benchmarks/tracking_error.py)",
    "length": "datasheet: [MP500] overall length 823 mm",
    "width": "datasheet: [MP500] maximum width 592 mm",
    "height": "datasheet: [MP500] height of platform 358 mm",
    "mass": "datasheet: over [Freight]'s 78.8 kg with wheels and [UR5e]'s links, 21.7 kg with its foot: box and tote",
    "payload_max": "datasheet: in the tote; under [MP500]'s 80 kg less arm, box and tote, 41 kg",
    "tracking_e0": "measured: 0.007, worst of 600 stops plus 20 % (tests/benchmarks/tracking_error.py)",
    "tracking_e1": "measured: 0.0 (tests/benchmarks/tracking_error.py); the monitor's twist check needs 0.037",
    "arm.mount": "norm: [EN 13199-1] in front of the tote, whose half is 0.15 m, with room for the arm's foot",
    "arm.lengths": "datasheet: [UR5e] d1, a2, a3 and d5 + d6",
    "arm.masses": "datasheet: [UR5e] links 1, 2, 3, 4 + 5 and 6",
    "arm.torques": "datasheet: [UR5e] largest joint torques",
    "arm.speed": "datasheet: [UR5e] 180 degrees a second",
    "arm.payload_max": "datasheet: [UR5e] its payload is 5 kg",
    "arm.cup": "datasheet: [Cup] the least, to 5 mm, that holds [UR5e]'s 5 kg with a factor of 1.5",
    "arm.suction": "datasheet: [Cup] pressure difference at 60 % vacuum times area: 76 N",
    "arm.tote": "norm: [EN 13199-1] 400 mm x 300 mm outside, 132.5 mm high, less walls and floor of 10 mm",
    "arm.tote_at": "datasheet: behind the arm, its edge 41 mm inside [MP500]'s 823 mm",
    "arm.home": "measured: folded, the cup straight down (tests/sim/bodies/test_bodies.py)",
}
"""Where the manipulator's numbers are from."""


def car() -> RobotSpec:
    """A mid-size car: between a Golf and a Passat; base_link is the middle of its rear axle."""
    return RobotSpec(
        name="car",
        drive=Ackermann(),
        lidar=Lidar(rays=360, range_max=100.0, noise=0.03),
        length=4.50,
        width=1.80,
        height=1.45,
        mass=1500.0,
        payload_max=375.0,
        localisation_bound=0.29,
        sensor_age_bound=0.10,
        latency_bound=0.10,
        tracking_e0=0.04,
        tracking_e1=0.06,
        period=50 * MILLISECOND,
        motor_period=10 * MILLISECOND,
    )


CAR = car()
"""The car that drives where nobody names another."""

CAR_SOURCES: Mapping[str, str] = {
    "drive.wheelbase": "datasheet: [opendbc] between the Golf's 2.62 m and the Passat's 2.79 m",
    "drive.track": "datasheet: the width less the 0.22 m by which [CommonRoad]'s BMW is wider than its track",
    "drive.wheel_radius": "datasheet: under [CommonRoad]'s 0.344 m, as a tyre under load rolls",
    "drive.rear_overhang": "datasheet: half of what [opendbc]'s wheelbase leaves of the length",
    "drive.steer_max": "datasheet: under [CommonRoad]'s 1.066 rad; a turning circle of 10.9 m, as such cars have",
    "drive.steer_rate": "datasheet: [CommonRoad] 0.4 rad/s",
    "drive.speed_max": "norm: [UN R157] 130 km/h",
    "drive.accel_max": "datasheet: under [ad-rss-lib]'s 3.5 m/s^2",
    "drive.brake_min": "norm: under [UN R13-H]'s 6.43 m/s^2; kept by every draw (tests/sim/driving/test_car.py)",
    "drive.brake_comfort": "norm: under [ISO 15622]'s 3.5 m/s^2",
    "drive.lateral_max": "norm: [ISO 11270] 3 m/s^2",
    "drive.jerk_max": "norm: [UN R157] 0.774 g within 0.6 s",
    "drive.steer_lag": "datasheet: half of [opendbc]'s 0.1 s; the rest is the command's delay",
    "drive.drive_lag": "datasheet: half of [iBooster]'s 120 ms",
    "lidar.range_max": "datasheet: [VLP-16] 100 m",
    "lidar.noise": "datasheet: [VLP-16] accuracy of 3 cm",
    "length": "datasheet: [CommonRoad] the BMW's 4.508 m",
    "width": "datasheet: under [CommonRoad]'s van, 1.844 m",
    "height": "datasheet: over [GVT]'s 1.427 m",
    "mass": "datasheet: [opendbc] between the Golf's 1,397 kg and the Passat's 1,551 kg",
    "payload_max": "norm: [EU 1230/2012] five persons of 75 kg",
    "localisation_bound": "measured: [Reid 2019] 0.29 m, the alert limit on local streets",
    "sensor_age_bound": "datasheet: [VLP-16] two sweeps of 50 ms",
    "latency_bound": "datasheet: [opendbc] 0.1 s until the steering answers",
    "tracking_e0": "measured: over the worst of 3,999 stops of each body plus 20 % (tests/benchmarks/car_fidelity.py)",
    "tracking_e1": "measured: over the worst of the same stops plus 20 % (tests/benchmarks/car_fidelity.py)",
    "period": "datasheet: [openpilot] 20 times a second",
    "motor_period": "datasheet: [openpilot] 100 times a second",
}
"""Where the car's numbers are from."""


def akin(spec: RobotSpec) -> tuple[RobotSpec, Mapping[str, str]]:
    """Our robot of a kind (a car, with a fork, an arm, or none of these), and where each of its numbers is from."""
    if isinstance(spec.drive, Ackermann):
        drive = {name: text for name, text in SOURCES.items() if not name.startswith("drive.")}
        return car(), {**drive, **CAR_SOURCES}
    if spec.fork is not None:
        return forklift(), {**SOURCES, **FORKLIFT}
    if spec.arm is not None:
        return mobile_manipulator(), {**SOURCES, **MANIPULATOR}
    return amr(), SOURCES
