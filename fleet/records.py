"""What a control step reads, remembers and decides: the records that the black box writes and replay reads.

They are msgspec structs, so the black box writes them as they are. Numbers that decide are float32 where the kernels
work and exact as Python floats on the way.
"""

from __future__ import annotations

import msgspec
import numpy as np

from coordination.messages import Choice, Grant, Picture, Report
from fleet.evidence import Evidence
from fleet.guards.watch import GuardMemory, Trip
from hierarchy.controller import ControllerMemory
from hierarchy.options import OptionName
from hierarchy.skills import Answer
from safety import fallback
from safety.calibration import CalibrationMemory
from safety.monitors import TrackingMemory
from safety.shield import Reason
from safety.supervisor import Cause, Mode, SupervisorMemory
from sim.robot import SECOND, Readings, RobotSpec
from sim.site import Site

SCHEMA = 2
"""Version of `Memory`: replay refuses another."""


class Inputs(msgspec.Struct, frozen=True):
    """Everything that one control step may look at."""

    cycle: int
    """Number of the control cycle (the plant's round)"""
    stamp: int
    """Site clock, ns"""
    scan: bytes
    """Ranges, float32 little-endian, m"""
    scan_stamp: int
    pose: tuple[float, float, float]
    """Localised p_WB: x, y (m), yaw (rad)"""
    pose_stamp: int
    twist: tuple[float, float]
    """Measured v (m/s), w (rad/s) in B"""
    twist_stamp: int
    battery: float = 1.0
    bumper: bool = False
    picture: Picture | None = None
    """Newest picture of the fleet; None before the first"""
    missed: int = 0
    """Deadlines missed in a row up to now"""
    lift: float = -1.0
    """How far the lift with a pod is up, m; -1 without a pod"""
    battery_stamp: int = -1
    """When the charge was told; -1 for never"""
    yaw_rate: float = 0.0
    """Of the inertial unit, rad/s"""
    yaw_rate_stamp: int = -1
    """When it was measured; -1 for never"""
    authority: int = 0
    """What the loop allows at most (`safety.calibration.Authority`): a calibration whose date is over leaves creep"""
    release: str = ""
    """Release by which a rollout lets the robot drive, twelve digits of its id; empty for what it was started with"""
    speed: float = 0.0
    """m/s that the lease of that release leaves at most; 0 for no bound of its own"""


def inputs_of(
    readings: Readings, cycle: int, picture: Picture | None = None, *, authority: int = 0, speed: float = 0.0
) -> Inputs:
    """What a control step gets of these readings: every one with its stamp. `speed` is a lease's bound."""
    x, y, yaw = readings.pose.tolist()
    v, w = readings.twist.tolist()
    return Inputs(
        cycle=cycle,
        stamp=readings.stamp,
        scan=readings.scan.tobytes(),
        scan_stamp=readings.scan_stamp,
        pose=(x, y, yaw),
        pose_stamp=readings.pose_stamp,
        twist=(v, w),
        twist_stamp=readings.twist_stamp,
        battery=readings.battery,
        bumper=readings.bumper,
        picture=picture,
        lift=readings.lift,
        battery_stamp=readings.battery_stamp,
        yaw_rate=readings.yaw_rate,
        yaw_rate_stamp=readings.yaw_rate_stamp,
        authority=authority,
        speed=speed,
    )


def readings_of(inputs: Inputs) -> Readings:
    """The inputs as readings; a scan of the wrong size stays so and is judged."""
    whole = len(inputs.scan) % 4 == 0
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is judged as such
        pose, twist = np.array(inputs.pose, np.float32), np.array(inputs.twist, np.float32)
    return Readings(
        stamp=inputs.stamp,
        scan=np.frombuffer(inputs.scan, np.float32) if whole else np.zeros(0, np.float32),
        scan_stamp=inputs.scan_stamp,
        pose=pose,
        pose_stamp=inputs.pose_stamp,
        twist=twist,
        twist_stamp=inputs.twist_stamp,
        battery=inputs.battery,
        bumper=inputs.bumper,
    )


class ShieldState(msgspec.Struct, frozen=True):
    """What of the shield's memory outlives a step (`safety.shield.ShieldMemory`)."""

    plan: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Stored stopping plan: v, w at its start, duration (s)"""
    elapsed: float = 0.0
    """Time into it, s"""
    played: int = 0
    """Steps since a command was last verified"""


class Memory(msgspec.Struct, frozen=True):
    """Everything that one step hands to the next."""

    schema: int = SCHEMA
    controller: ControllerMemory = ControllerMemory()
    shield: ShieldState = ShieldState()
    supervisor: SupervisorMemory = msgspec.field(default_factory=SupervisorMemory)
    fallback: fallback.FallbackMemory = msgspec.field(default_factory=fallback.FallbackMemory)
    tracking: TrackingMemory = msgspec.field(default_factory=TrackingMemory)
    last_command: tuple[float, float] = (0.0, 0.0)
    """Released by the step before"""
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Newest finite pose: what is reported while there is none"""
    latch_epoch: int = 0
    """Newest emergency stop seen when the robot latched"""
    calibration: CalibrationMemory = msgspec.field(default_factory=CalibrationMemory)
    """What the monitors of a calibration remember; as at the start where the robot has none"""
    guard: GuardMemory = GuardMemory()
    """What the guard of the policy remembers"""


class Outputs(msgspec.Struct, frozen=True):
    """Everything that one control step decided, and why."""

    cycle: int
    stamp: int
    released: tuple[float, float]
    """v (m/s), w (rad/s): the command that moves the robot"""
    proposed: tuple[float, float]
    """What policy or fallback wanted; may be not finite"""
    source: str
    """Who proposed: navigate/<version>, hold/1, fallback, jog (an operator), or none"""
    observation: bytes
    """What the policy saw, float32; empty when it was not asked"""
    answer: Answer | None
    """Its raw answer"""
    reason: Reason
    """Why the shield changed the proposal"""
    margin: float
    """Smallest clearance of the released plan, m; negative when the stored plan plays"""
    mode: Mode
    cause: Cause
    plan: tuple[tuple[float, float], ...]
    """Commands of the coming periods if nobody says otherwise: the released one first, then the stop; then rest"""
    report: Report
    option: OptionName
    deterministic: bool = True
    """The behaviour policy does not draw: its log-probability is that of a certain choice"""
    log_probability: float = 0.0
    exploration: bool = False
    mission: str = ""
    """task/attempt, by which delayed outcomes are joined"""
    choice: Choice | None = None
    """How the meta level chose `option`; None in a step in which it did not choose"""
    lift: bool = False
    """Whether the lift is to be up"""
    guard: Trip = Trip.NONE
    """Why the policy, though it answered, was not to drive on what it saw"""
    evidence: Evidence | None = None
    """Every monitor's value and the shield's candidates; None in logs of before they were recorded"""


def as_recorded(recorded: Outputs, now: Outputs) -> Outputs:
    """`now` as far as the log of `recorded` can hold it: older ones have no evidence to compare with."""
    return msgspec.structs.replace(now, evidence=None) if recorded.evidence is None else now


def at_start(pose: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Memory:
    """The memory of a robot that stands and has not yet made a step."""
    return Memory(pose=pose)


def anew(memory: Memory) -> Memory:
    """What a robot still knows when its clock begins anew: everything else is tied to stamps of the former one.

    Its stored plan goes on, for it may be driving; a latch stays one; what was counted of its calibration counts.
    """
    latched, known = memory.supervisor.mode is Mode.LATCHED, memory.calibration
    return Memory(
        shield=memory.shield,
        supervisor=memory.supervisor if latched else SupervisorMemory(),
        last_command=memory.last_command,
        pose=memory.pose,
        latch_epoch=memory.latch_epoch,
        calibration=CalibrationMemory(scores=known.scores, drives=known.drives, expired=known.expired),
    )


def warm_inputs(spec: RobotSpec, site: Site) -> Inputs:
    """Inputs on which a stepper runs every kernel before the robot reports ready: it stands in a cell of its own."""
    cell = int(site.free_cells[0])
    x, y = (float(value) for value in site.centre(cell))
    scan = np.full(spec.lidar.rays, spec.lidar.range_max, np.float32).tobytes()
    picture = Picture(0, 0, site.hash, Grant(0, (cell,), 10 * SECOND))
    return Inputs(0, 0, scan, 0, (x, y, 0.0), 0, (0.0, 0.0), 0, picture=picture)
