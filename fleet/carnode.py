"""The node of a car: hears its sensors over a bus, decides, and tells its drive; the same for hardware and plant.

    hears       odom, imu, joint_states, pose, lane_pose, objects, scan, battery_state (fleet/ros/carmessages.py),
                goal_pose, /clock
    says        ackermann_cmd where it may drive, else ~/shadow: what it would have said
                path: the stored plan; shield: plan and reach sets as markers; lane: the path ahead; state: what it does
                and why, a JSON object each step; /diagnostics; ~/state: of its life

Names are relative to the node's namespace, one for each car. It is a managed node: configured it has its map and its
policies, active it decides, and only with the parameter `drive` does it command. A candidate in the shadow
(fleet/shadow/live.py) is asked after the command, in the idle time before the next step. Two ways of time:

    wall        a control step every period of our own clock, on the newest that has come
    lockstep    (parameter `lockstep`) a step as soon as a stamp is complete: wheels, inertial unit, steering,
                localisation and lane camera of that stamp, the clock at it, and one object list since the step before;
                the command has that stamp, by which the plant goes on

Every doubt is a diagnostic and a safe car: whatever is missing, stale, from the future, in another frame or no number
grows old, and the shield plays its stored plan. Sensors that are silent for longer than `dead_man` by our own
monotonic clock, another node of our name, two senders on one topic, or somebody at a topic who has another definition
of its message: what came is trusted no more, with the same end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from fleet.carcontrol import CarControl, CarOutput, goal_at, origin_of
from fleet.carlog import CarLog
from fleet.carshow import lane_of, markers_of, path_of, state_of, status_of
from fleet.carstatus import CarStatus
from fleet.carstep import kept, lasts, plan_of, reach_of
from fleet.drivinglevels import DrivingLevels
from fleet.ros.bus import Bus, Level, Publisher, Subscription
from fleet.ros.carinputs import FUTURE, NEEDED, TOPICS, CarInputs
from fleet.ros.carmessages import Frames, command_message, planar_of, prefix_of, stamp_of, time_of
from fleet.ros.lifecycle import Behaviour, Lifecycle, Transition
from fleet.ros.messages.ackermann_msgs import AckermannDriveStamped
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray
from fleet.ros.messages.geometry_msgs import PoseStamped
from fleet.ros.messages.nav_msgs import Path
from fleet.ros.messages.std_msgs import Header
from fleet.ros.qos import SENSOR, QoS
from fleet.ros.topics import DIAGNOSTICS, NEWEST, PATH, SHIELD, STATE
from fleet.shadow.live import Shadow
from fleet.shadow.road import RoadStep
from sim.driving.reachsets import ReachSets
from sim.driving.reading import CarReading
from sim.errors import MusterError
from sim.road import Road
from sim.robot import SECOND, RobotSpec

NAME = "car"

WHOLE = QoS(depth=50)
"""In lockstep nothing may be lost: reliable, and room for a plant that is ahead."""

STAMPED = ("odom", "imu", "joint_states", "pose", "lane_pose")
"""What a lockstep's stamp is complete by, beside the clock and a list."""

TOLD_EVERY = SECOND
"""ns of our own clock between two messages of diagnostics (REP 107)."""

SHOWN_EVERY = SECOND // 10
"""ns of our own clock between two pictures for people."""

SIM_FUTURE = 100_000_000
"""ns that a stamp may be ahead of a simulated clock, which steps and may come late itself: two steps."""


@dataclass(frozen=True)
class CarSettings:
    """What a car node is told beside its parameters, whose defaults these are."""

    drive: bool = False
    """Whether it may command; else it only says on ~/shadow what it would"""
    lockstep: bool = False
    dead_man: float = 0.2
    """s of our own clock after which silent sensors are trusted no more"""
    prefix: str = ""
    """Before the names of frames; empty for the namespace's, as r1/"""
    joint: str = "steering_joint"
    """What the steering's joint is called"""


class CarNode(Behaviour):
    """Owns the ends of one car on a bus, and when it decides."""

    def __init__(
        self,
        bus: Bus,
        road: Road,
        levels: DrivingLevels,
        spec: RobotSpec,
        settings: CarSettings | None = None,
        *,
        namespace: str = "",
        log: CarLog | None = None,
        beside: Shadow[RoadStep] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """An unconfigured node; `clock` is our own, ns; `beside`: a candidate in the shadow.

        Raises what the bus does.
        """
        self.bus, self.road, self.spec = bus, road, spec
        self._levels, self._log, self._beside, self._clock = levels, log, beside, clock
        told = settings or CarSettings()
        self.lifecycle: Lifecycle = bus.managed(NAME, self, namespace)
        self.node = self.lifecycle.node
        say = self.node.parameters.declare
        self.settings = CarSettings(
            say("drive", told.drive, "whether it may command; else it says on ~/shadow what it would"),
            say("lockstep", told.lockstep, "decide as soon as a stamp is complete, for a plant that waits"),
            say("dead_man", told.dead_man, "s of our own clock after which silent sensors are trusted no more"),
            say("frame_prefix", told.prefix or prefix_of(self.node.namespace), "before the names of frames, as r1/"),
            say("steering_joint", told.joint, "the steering's joint in joint_states"),
        )
        if not 0.05 <= self.settings.dead_man <= 1.0:
            raise MusterError(
                f"dead_man: expected 0.05 to 1 s, got {self.settings.dead_man:g}; a car goes 14 m in a second in town"
            )
        self.control: CarControl | None = None
        self.last: CarOutput | None = None
        """Of the last control step"""
        self.steps = 0
        """Control steps since activation"""
        self._frames, self._sets = Frames(self.settings.prefix), ReachSets(road)
        self._heard: dict[str, Subscription] = {}
        self._goals: Subscription[PoseStamped] | None = None
        self._goal: tuple[float, float, float] | None = None
        self._lists, self._stamp, self._due = 0, -1, 0
        self._distrust, self._examined, self._told, self._shown, self._late = "", 0, 0, 0, False
        self._was: tuple[str, ...] = ()

    # --- life ---------------------------------------------------------------------------------------------------------

    def on_configure(self) -> bool:
        """Make the map, load the policies' kernels, and listen."""
        if self.control is None:
            self.control = CarControl(self.road, self._levels, self.spec)
            self.control.decision.guard.remembers = self._beside is not None
        node, qos = self.node, WHOLE if self.settings.lockstep else SENSOR
        for topic, kind in TOPICS.items():
            self._heard[topic] = node.subscription(kind, topic, qos=qos)
        self._goals = node.subscription(PoseStamped, "goal_pose")
        self._command: Publisher[AckermannDriveStamped] = node.publisher(
            AckermannDriveStamped, "ackermann_cmd" if self.settings.drive else "~/shadow"
        )
        self._state, self._diagnostics = STATE.publisher(node), DIAGNOSTICS.publisher(node)
        self._path, self._shield = PATH.publisher(node), SHIELD.publisher(node)
        self._lane: Publisher[Path] = node.publisher(Path, "lane", NEWEST)
        return True

    def on_activate(self) -> bool:
        """Begin to decide, knowing nothing."""
        assert self.control is not None
        self.control.begin()
        future = SIM_FUTURE if self.node.clock.is_sim else FUTURE
        wheelbase = self.spec.car.wheelbase
        self._inputs = CarInputs(self._frames, origin_of(self.road), self.settings.joint, wheelbase, future)
        self._lists, self._stamp, self._due, self.steps = 0, -1, self._clock(), 0
        self._began = self._clock()
        if self._log is not None:
            self._log.begin()
        return True

    def on_deactivate(self) -> bool:
        """Tell the drive to stop, and cease to decide."""
        if self.settings.drive:
            self._say(max(self._stamp, self.node.clock.now()), -self.spec.car.brake_comfort, self._angle(), 0.0)
        if self._log is not None:
            self._log.end()
        return True

    def on_cleanup(self) -> bool:
        """Listen no more."""
        said = (self._command, self._state, self._diagnostics, self._path, self._shield, self._lane)
        ends = (*self._heard.values(), self._goals, *said)
        for end in ends:
            if end is not None:
                end.close()
        self._heard = {}
        return True

    def start(self) -> None:
        """Configure and activate, as a launch file without a manager of lives would. Raises MusterError."""
        for transition in (Transition.CONFIGURE, Transition.ACTIVATE):
            self.lifecycle.trigger(transition)
            if self.lifecycle.fault:
                raise MusterError(self.lifecycle.fault)

    def close(self) -> None:
        """Stop, and leave the bus; safe to call twice."""
        if self.lifecycle.active:
            self.lifecycle.trigger(Transition.DEACTIVATE)
        self.lifecycle.close()

    # --- steps --------------------------------------------------------------------------------------------------------

    def poll(self, timeout: float = 0.0) -> bool:
        """Wait at most so long for something to come, s, and make a control step if one is due; whether it was."""
        self._ask_beside()
        left = max(self._due - self._clock(), 0) / SECOND
        self.bus.spin(timeout if self.settings.lockstep or not self.lifecycle.active else min(timeout, left))
        if not self.lifecycle.active:
            return False
        self._gather()
        self._examine()
        if self.settings.lockstep:
            stamp = self._complete()
            made = stamp >= 0 and self._step(stamp, trusted=not self._distrust)
        else:
            made = self._clock() >= self._due and self._step_by_clock()
        if not made and self._clock() - self._told >= TOLD_EVERY:
            self._tell()
        return made

    def _ask_beside(self) -> None:
        """Nobody waits now: the candidate may have what is left until the next step; in lockstep time waits."""
        if self._beside is not None and self._beside.pending:
            self._beside.lockstep = self.settings.lockstep
            left = (self._due - self._clock()) / SECOND
            self._beside.work(math.inf if self.settings.lockstep else left)

    def _gather(self) -> None:
        now, lockstep = self.node.clock.now(), self.settings.lockstep
        if now < self._stamp - SECOND:  # the clock was set back: another drive has begun
            self.on_activate()
        for topic, end in self._heard.items():
            while (sample := end.take()) is not None:
                # in lockstep the clock's tick may come after what is stamped with it
                stamp = stamp_of(sample.message.header)
                self._inputs.take(topic, sample.message, sample.received, max(now, stamp) if lockstep else now)
                self._lists += topic == "objects"
        goal = None if self._goals is None else self._goals.newest()
        if goal is not None:
            self._go(goal.message)

    def _go(self, message: PoseStamped) -> None:
        """Drive to another place from now on; what is no place on the road changes nothing and is a doubt."""
        assert self.control is not None
        try:
            pose = planar_of("goal_pose", message, self._frames.map)
            if pose != self._goal:
                self.control.go_to(goal_at(self.road, pose))
                self._goal = pose
        except MusterError as error:
            self._was = ()  # so that it is told at once
            self._inputs.doubt("goal_pose", str(error))

    def _complete(self) -> int:
        """The stamp that a step of a lockstep can be made at; -1 for none."""
        stamps = {self._inputs.stamped.get(topic, -1) for topic in STAMPED}
        stamp = stamps.pop() if len(stamps) == 1 else -1
        assert self.control is not None
        there = stamp > self._stamp and self._lists > 0 and self.node.clock.now() >= stamp and self.control.bound
        return stamp if there else -1

    def _step_by_clock(self) -> bool:
        now, mono = self.node.clock.now(), self._clock()
        self._late = self.steps > 0 and mono - self._due > self.spec.period
        self._due = max(self._due + self.spec.period, mono)
        silent = [topic for topic in NEEDED if mono - self._inputs.heard.get(topic, self._began) > self._dead(topic)]
        for topic in silent:
            since = (mono - self._inputs.heard.get(topic, self._began)) / SECOND
            self._inputs.doubt(topic, f"{topic}: expected a message every {self.settings.dead_man:g} s, none for "
                                      f"{since:.1f} s")  # fmt: skip
        return self._step(now, trusted=not self._distrust and "odom" not in silent)

    def _dead(self, topic: str) -> int:
        """Ns of silence that are too long: lists and fixes come less often than wheels turn."""
        times = 1.0 if topic in ("odom", "imu", "joint_states") else 3.0
        return round(times * self.settings.dead_man * SECOND)

    def _step(self, now: int, *, trusted: bool) -> bool:
        assert self.control is not None
        reading = self._inputs.reading(now)
        output = self.control.step(reading, trusted=trusted)
        self._stamp, self._lists = now, 0
        self.last, self.steps = output, self.steps + 1
        self._say(now, output.acceleration, output.angle, output.speed)
        if self._state.matched:
            self._state.publish(state_of(output, self.steps, shadow=not self.settings.drive))
        if self._log is not None and output.decided is not None:
            self._log.append(self.control, reading, output)
        if self._beside is not None and output.decided is not None:
            cycle = self.control.decision.steps - 1
            self._beside.offer(RoadStep(cycle, now, output.decided.decision), late=self._late)
        if output.doubts != self._was or self._clock() - self._told >= TOLD_EVERY:
            self._tell()
        if self._clock() - self._shown >= SHOWN_EVERY:
            self._show(reading)
        return True

    def _say(self, stamp: int, acceleration: float, angle: float, speed: float) -> None:
        limits = (self.spec.car.steer_rate, self.spec.car.jerk_max)
        self._command.publish(command_message(stamp, acceleration, angle, speed, limits, self._frames))

    def _angle(self) -> float:
        return 0.0 if self.last is None else self.last.angle

    # --- what others should know --------------------------------------------------------------------------------------

    def _examine(self) -> None:
        """Once a second, whether somebody else is called as we are, or says what our sensors say, or means another."""
        if self._clock() - self._examined < SECOND:
            return
        self._examined = self._clock()
        found = [each for each in self.bus.diagnostics()
                 if each.level >= Level.ERROR and each.node in ("", self.node.fully_qualified)]  # fmt: skip
        twins = [each.text for each in found if each.name == "duplicate_node"]
        driven = {self._heard[topic].topic for topic in NEEDED} | {self._command.topic}
        foreign = [each.text for each in found if each.name in ("type", "type_hash") and each.topic in driven]
        several = [f"{topic}: expected one sender, {self._heard[topic].matched} are there; give each car a namespace"
                   for topic in NEEDED if self._heard[topic].matched > 1]  # fmt: skip
        self._distrust = "; ".join([*twins, *foreign, *several])

    def doubts(self) -> tuple[str, ...]:
        """What is wrong now, in words; nothing where all is well."""
        found = () if self.last is None else self.last.doubts
        return ((self._distrust,) if self._distrust else ()) + found

    def status(self, name: str) -> CarStatus | None:
        """How the car is, for a file; safe in any thread, None before its first control step."""
        output, control = self.last, self.control
        if output is None or control is None:
            return None
        decided, seen = output.decided, control.view.seen
        x, y, yaw = (float(value) for value in seen["pose"][0])
        origin, speed = origin_of(self.road), float(seen["motion"][0, 0])
        mode = "HELD" if decided is None else "STOPPED" if decided.margin < 0.0 else decided.mode.name
        reason = decided.reason.name.lower().replace("_", " ") if decided is not None and decided.reason else ""
        pose = (x + origin[0], y + origin[1], yaw) if math.isfinite(x + y + yaw) else (0.0, 0.0, 0.0)
        doubts = self.doubts()
        return CarStatus(
            name, output.stamp, pose, mode, reason, speed if math.isfinite(speed) else 0.0,
            self.settings.drive, doubts[0] if doubts else "",
        )  # fmt: skip

    def _tell(self) -> None:
        self._told = self._clock()
        self._was = () if self.last is None else self.last.doubts
        wire = [each for each in self.bus.diagnostics() if each.level >= Level.WARN]
        shadow = not self.settings.drive
        status = status_of(
            self.node.fully_qualified, self.last, self.doubts(), wire, self.spec.name,
            shadow=shadow, beside=self._beside.counts if self._beside is not None else {},
        )  # fmt: skip
        self._diagnostics.publish(DiagnosticArray(Header(time_of(self.node.clock.now())), status))

    def _show(self, reading: CarReading) -> None:
        self._shown = self._clock()
        assert self.control is not None
        origin = origin_of(self.road)
        if self._lane.matched:
            self._lane.publish(lane_of(self.control.view, reading.now, origin, self._frames))
        if self._path.matched or self._shield.matched:
            step = kept(self.control)
            plan = plan_of(step)
            if self._path.matched:
                self._path.publish(path_of(plan, reading.now, origin, self._frames))
            if self._shield.matched:
                outlines = reach_of(step, self._sets, lasts(plan))
                self._shield.publish(markers_of(plan, outlines, reading.now, origin, self._frames))
