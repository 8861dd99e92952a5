"""A car and its plant, in one process: without a bus, or on two buses that meet."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fleet.carcontrol import CarControl, goal_at, origin_of, pose_of_goal
from fleet.carlog import CarLog
from fleet.carnode import CarNode, CarSettings
from fleet.carplant import CarPlant
from fleet.carserve import JOINT, CarServer
from fleet.drivinglevels import DrivingLevels
from fleet.ros import carmessages as say
from fleet.ros.bus import Bus
from fleet.ros.carinputs import CarInputs
from fleet.ros.carmessages import Frames
from fleet.shadow.live import Shadow
from fleet.shadow.road import RoadStep
from fleet.venues import Among, make_venue
from sim.bodies.specs import CAR
from sim.driving.reading import CarReading
from sim.driving.sensing import bounds
from sim.driving.wheelangle import as_curvature

SIM_TIME = ("--ros-args", "-p", "use_sim_time:=true")

Commands = list[tuple[float, float]]


def make_plant(site: str, seed: int, seconds: float, *, charge: float = 0.8, **among: object) -> CarPlant:
    return CarPlant(make_venue(site), seed, Among(seconds=seconds, **among), charge=charge)  # type: ignore[arg-type]  # of `Among`


def told(inputs: CarInputs, reading: CarReading, plant: CarPlant, frames: Frames) -> None:
    """What `CarServer` says of a reading, read at once."""
    odometry, inertia, steering, place = reading.odometry, reading.inertia, reading.steering, reading.place
    assert odometry is not None
    assert inertia is not None
    assert steering is not None
    assert place is not None
    offset = bounds(plant.env.config.sensors, CAR).offset
    messages = {
        "odom": say.odometry_message(odometry, inertia.turn, frames),
        "imu": say.inertia_message(inertia, frames),
        "joint_states": say.steering_message(steering, JOINT, CAR.car.wheelbase, frames),
        "pose": say.place_message(place, plant.origin, frames),
        "lane_pose": say.lane_message(reading.lane, reading.now, offset, frames),
    }
    if reading.objects is not None:
        messages["objects"] = say.objects_message(reading.objects, frames)
    if reading.charge is not None:
        messages["battery_state"] = say.charge_message(reading.charge, frames)
    for topic, message in messages.items():
        inputs.take(topic, message, 0, reading.now)


def drive_in_process(plant: CarPlant, levels: DrivingLevels, steps: int) -> Commands:
    """The released commands of a drive without a bus."""
    goal = goal_at(plant.road, pose_of_goal(plant.road, plant.plan))
    control, frames = CarControl(plant.road, levels, CAR, goal), Frames()
    inputs = CarInputs(frames, origin_of(plant.road), JOINT, CAR.car.wheelbase)
    released: Commands = []
    while not plant.over and len(released) < steps:
        told(inputs, plant.reading(), plant, frames)
        output = control.step(inputs.reading(plant.stamp))
        command = say.command_message(plant.stamp, output.acceleration, output.angle, 0.0, (0.0, 0.0), frames)
        _, acceleration, angle = say.read_command(command)
        released.append((acceleration, as_curvature(angle, CAR.car.wheelbase)))
        plant.step(*released[-1])
    return released


@dataclass
class Pair:
    """A plant and a car node on two buses."""

    server: CarServer
    node: CarNode

    def drive(self, steps: int, patience: float = 120.0) -> Commands:
        """So many steps in lockstep; the commands that the plant followed."""
        end = time.monotonic() + patience
        while not self.server.plant.over and len(self.server.released) < steps:
            self.server.poll(0.0005)
            self.node.poll(0.0005)
            assert time.monotonic() < end, f"stuck after {len(self.server.released)} steps: {self.node.doubts()}"
        return list(self.server.released)

    def close(self) -> None:
        self.node.close()
        self.server.close()


def make_pair(
    plant_bus: Bus,
    car_bus: Bus,
    plant: CarPlant,
    levels: DrivingLevels,
    *,
    beside: Shadow[RoadStep] | None = None,
    log: CarLog | None = None,
    **settings: object,
) -> Pair:
    """In lockstep unless `settings` say otherwise; the car bus needs SIM_TIME."""
    asked = {"drive": True, "lockstep": True} | settings
    server = CarServer(plant_bus, plant, lockstep=bool(asked["lockstep"]), namespace="r1")
    node = CarNode(
        car_bus, plant.road, levels, CAR, CarSettings(**asked),  # type: ignore[arg-type]  # its own fields
        namespace="r1", log=log, beside=beside,
    )  # fmt: skip
    node.start()
    return Pair(server, node)
