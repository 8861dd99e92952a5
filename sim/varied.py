"""What varies in every plant: floor, load, drives, brakes, sensors, light. Tasks add their own rows to these.

Ranges that follow from the robot's specification are taken from it, so that no draw leaves what the shield and the
contract assume: payload, latency and lag, localisation. Rows that write a model field by an operation do nothing, and
cost nothing, while their range is neutral (a scale of 1, an offset of 0).
"""

from __future__ import annotations

import numpy as np

from sim.drive import BRAKE_SHARE
from sim.fields import Recompute
from sim.loads import Loads
from sim.randomization import Term
from sim.robot import SECOND, RobotSpec
from sim.vary import Row, Table

SERVO_RESERVE = 0.01
"""Of the specification's latency bound, what the velocity servo itself takes, s."""

ODOMETRY_SCALE = 0.02
"""Largest scale error of the odometry (tyre wear: 2 %)."""

ODOMETRY_NOISE = 0.01
"""Standard deviation of one odometry reading, m/s and rad/s; clipped at three."""

SPECIFIED = "specification: "


def latency_room(spec: RobotSpec) -> float:
    """What the specification's latency bound leaves to the command's delay and the motors' lag, s."""
    return max(spec.latency_bound - SERVO_RESERVE, 0.0)


def plant_rows(spec: RobotSpec, level: float = 1.0) -> tuple[Row, ...]:
    """The rows of every plant; `level` shrinks sensor errors, payload, latency and lag, 0 switches them off."""
    none = Recompute.NONE
    periods = float(int(np.float32(latency_room(spec)) / np.float32(spec.motor_period / SECOND)))  # as kernels divide
    braking = spec.diff.brake_min * BRAKE_SHARE
    return (
        Row(
            Term.FRICTION, "friction", "uniform", 0.35, 0.9, "1", "actuator_forcerange", none,
            "own choice: polyurethane tyres on dusty to clean concrete; muster validate-sim refits it",
            bounds=(0.1, 1.5), nominal=0.9,
        ),
        Row(
            Term.PAYLOAD, "payload", "uniform", 0.0, level * spec.payload_max, "kg", "actuator_forcerange", none,
            SPECIFIED + "empty to payload_max", bounds=(0.0, spec.payload_max), nominal=0.0,
        ),
        Row(
            Term.MOTOR_STRENGTH, "motor_strength", "uniform", 1.0, 1.0, "of the thrust", "actuator_forcerange", none,
            "own choice: sim/plant.py states the thrust; motors of one make differ by some 10 %",
            bounds=(0.5, 2.0), nominal=1.0,
        ),
        Row(
            Term.MOTOR_LAG, "motor_lag", "uniform", 0.0, level, "of what latency leaves", "", none,
            SPECIFIED + "latency_bound less the servo's 0.01 s and the latency drawn", bounds=(0.0, 1.0), nominal=0.0,
        ),
        Row(
            Term.BRAKE, "brake_strength", "uniform", braking, braking, "m/s^2", "", none,
            f"{SPECIFIED}brake_min times {BRAKE_SHARE} (sim/drive.py); weaker brakes break the shield's assumption",
            bounds=(braking, 3.0 * braking), nominal=braking,
        ),
        Row(
            Term.LATENCY, "latency", "choice", 0.0, periods if level > 0.0 else 0.0, "motor periods", "", none,
            SPECIFIED + "latency_bound less the servo's 0.01 s", bounds=(0.0, periods), nominal=0.0,
        ),
        Row(
            Term.LOCALISATION, "localisation", "uniform", 0.0, level * spec.localisation_bound, "m", "", none,
            SPECIFIED + "localisation_bound", bounds=(0.0, spec.localisation_bound), nominal=0.0,
        ),
        Row(
            Term.ODOMETRY, "odometry_scale", "uniform", -level * ODOMETRY_SCALE, level * ODOMETRY_SCALE, "1", "", none,
            "own choice: tyre wear, 2 %; the health monitors assume it", bounds=(-ODOMETRY_SCALE, ODOMETRY_SCALE),
            nominal=0.0,
        ),
        Row(
            Term.ODOMETRY_NOISE, "odometry_noise", "uniform", level * ODOMETRY_NOISE, level * ODOMETRY_NOISE,
            "m/s, rad/s", "", none, "own choice: standard deviation of a reading; the health monitors assume it",
            bounds=(0.0, ODOMETRY_NOISE), nominal=0.0,
        ),
        Row(
            Term.LIDAR_NOISE, "lidar_noise", "uniform", level * spec.lidar.noise, level * spec.lidar.noise, "m", "",
            none, SPECIFIED + "lidar.noise, the standard deviation of one range", bounds=(0.0, 0.5), nominal=0.0,
        ),
        Row(
            Term.LIDAR_DROPOUT, "lidar_dropout", "uniform", level * spec.lidar.dropout, level * spec.lidar.dropout,
            "of the rays", "", none, SPECIFIED + "lidar.dropout", bounds=(0.0, 1.0), nominal=0.0,
        ),
        Row(
            Term.MASS, "mass", "uniform", 1.0, 1.0, "of the model's", "body_mass", Recompute.SET_CONST,
            "own choice: what a robot of one make may be heavier or lighter; off", bounds=(0.5, 2.0), nominal=1.0,
            operation="scale",
        ),
        Row(
            Term.MASS, "inertia", "uniform", 1.0, 1.0, "of the model's", "body_inertia", Recompute.INERT0,
            "own choice: batteries and goods away from the middle; off", bounds=(0.5, 2.0), nominal=1.0, counter=1,
            operation="scale",
        ),
        Row(
            Term.MASS, "payload_mass", "uniform", 0.0, 0.0, "of the payload", "body_mass", Recompute.SET_CONST,
            "own choice: 1 makes the payload mass and inertia of the body, 0 a limit of the drives alone; off",
            bounds=(0.0, 1.0), nominal=0.0, counter=2, operation="load",
        ),
        Row(
            Term.LIGHT, "light", "uniform", 1.0, 1.0, "of the scene's", "light_diffuse", none,
            "own choice: for cameras, from a dim aisle to sun through a gate; off", bounds=(0.0, 3.0), nominal=1.0,
            operation="scale",
        ),
        *(
            Row(
                Term.LIGHT, f"light_{axis}", "uniform", 0.0, 0.0, "m", "light_pos", Recompute.KIN0,
                "own choice: for cameras, where the lamp hangs; off", bounds=(-50.0, 50.0), nominal=0.0,
                counter=1 + component, operation="add", component=component,
            )
            for component, axis in enumerate("xyz")
        ),
        *(
            Row(
                Term.LIGHT, f"light_dir_{axis}", "uniform", 0.0, 0.0, "1", "light_dir", Recompute.KIN0,
                "own choice: for cameras, which way it shines (the scene's unit vector is moved by it); off",
                bounds=(-1.0, 1.0), nominal=0.0, counter=4 + component, operation="add", component=component,
            )
            for component, axis in enumerate("xy")
        ),
    )  # fmt: skip


def box_rows(loads: Loads) -> tuple[Row, ...]:
    """The row of the table, for floors on which boxes may be spilled."""
    if not loads.boxes:
        return ()
    return (
        Row(
            Term.BOXES, "boxes", "choice", 0.0, 0.0, "boxes", "", Recompute.NONE,
            "own choice: cartons that fell off a shelf, at most as many as the floor has (Loads.boxes); off",
            bounds=(0.0, float(loads.boxes)), nominal=0.0,
        ),
    )  # fmt: skip


def plant_table(spec: RobotSpec, level: float = 1.0) -> Table:
    """The table of a plant without a task's rows."""
    return Table(plant_rows(spec, level))
