"""A robot behind ROS 2's standard topics, as its loop has it: see `fleet.hosted.HostedRobot`.

What is on the other side, hardware or a simulator, it cannot tell. A control cycle opens

    with each new scan (a driver's, by whatever clock the node has), at most one in half a control period
    in lockstep (parameter `lockstep`, for simulators whose time waits) with each new /clock, once the inputs that
    were measured at that very instant the last time have come for this one too

and takes the newest of every other input with its own stamp. The command is a TwistStamped (a Twist where the parameter
`cmd_vel_stamped` is false; never both). Nothing is read and nothing but rest is commanded while the node is not active,
while another node has its name (two robots in one namespace would each steer the other), while somebody at a topic
that it drives by has another type or another definition of the message (which would be misread, or is never heard), or
while a second one publishes what it drives by or commands its base (fleet/ros/rivals.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from coordination.messages import Cycle, Joined
from fleet.hosted import Motor, readings_of
from fleet.records import Outputs
from fleet.ros.bus import Bus, BusError, Diagnostic, Level, Publisher
from fleet.ros.hearing import AHEAD
from fleet.ros.kinds import name_of
from fleet.ros.lifecycle import Behaviour, Lifecycle, State, Transition
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped, Vector3
from fleet.ros.messages.std_msgs import Bool
from fleet.ros.planar import header
from fleet.ros.rivals import RIVALS, rivals
from fleet.ros.senses import Senses
from fleet.ros.telling import Teller
from fleet.ros.topics import (
    BATTERY,
    CLOCK,
    COMMAND,
    COMMAND_PLAIN,
    IMU,
    LIFT_COMMAND,
    ODOM,
    POSE,
    SCAN,
    Frames,
    frames_of,
)
from sim.robot import SECOND, STOP, Readings, RobotCommand, RobotSpec

NODE = "robot"
"""The node's name, in the robot's namespace."""
GRACE = 0.3
"""s of wall time for which a cycle in lockstep waits for an input that was punctual before: what was lost is said again
after 0.2 s (fleet/ros/plantnode.py), and what does not come any more holds nobody up for long."""


class BusRobot(Behaviour):
    """Owns a managed node, the robot's ends on it and the open cycle."""

    motor: Motor | None = None

    def __init__(
        self,
        bus: Bus,
        name: str,
        spec: RobotSpec,
        site: str,
        *,
        namespace: str = "",
        pictures: Callable[[], int] = lambda: -1,
        anew: Callable[[], None] = lambda: None,
        doubts: Callable[[], Sequence[Diagnostic]] = tuple,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        """In a namespace of its own name where none is given. Raises MusterError.

        `site` is the floor's hash, `pictures()` the round of the coordinator's newest picture, -1 for none; `anew()` is
        called when time begins anew, `doubts()` once a second for what else is to be told.
        """
        self.name, self.spec, self.site = name, spec, site
        self.lift, self.skipped, self.left, self.life = False, 0, "", 0
        self.shadow = False
        """See `HostedRobot.shadow`; in lockstep it answers all the same, to stand"""
        self.cycle: Cycle | None = None
        self.blocked = ""
        """Why the robot may not act on this bus; empty where it may"""
        self._bus, self._pictures, self._anew, self._wall = bus, pictures, anew, wall
        self._doubts, self._looked = doubts, -1
        self._opened = self._scanned = self._answered = -1
        self.managed: Lifecycle = bus.managed(NODE, self, namespace or f"/{name}")
        self.node = self.managed.node
        declare, frames = self.node.parameters.declare, frames_of(name)
        stamped = declare("cmd_vel_stamped", True, "cmd_vel is a TwistStamped; false: a Twist")
        self.lockstep = declare("lockstep", False, "time waits for this robot's commands: a simulator's")
        self._ends = self.lockstep or declare("ends_with_clock", False, "end when nobody publishes /clock any more")
        self.autostart = declare("autostart", True, "configure and activate at the start; false: somebody else does")
        self.frames = Frames(
            map=declare("frame_map", frames.map, "of pose"),
            odom=declare("frame_odom", frames.odom, "of odom"),
            base=declare("frame_base", frames.base, "of odom's speeds and of commands"),
            scan=declare("frame_scan", frames.scan, "of scan"),
        )
        self._kind = COMMAND if stamped else COMMAND_PLAIN
        self._ahead = AHEAD + (spec.period if self.lockstep else 0)
        self.senses: Senses | None = None
        self._commands: Publisher | None = None
        self._lifts: Publisher[Bool] | None = None
        self._teller: Teller | None = None
        self._lifted = self._closed = False
        self._due = -1.0
        """Since when a cycle could be open, s of the wall; negative without one"""
        self._punctual: set[str] = set()
        self.look()

    @property
    def counts(self) -> Counter[str]:
        """Inputs by what became of them."""
        return self.senses.counts if self.senses is not None else Counter()

    # the life of the node -------------------------------------------------------------------------------------

    def on_configure(self) -> bool:
        """Make the ends."""
        self.senses = Senses(self.node, self.spec, self.frames, self._ahead)
        self._commands, self._lifts = self._kind.publisher(self.node), LIFT_COMMAND.publisher(self.node)
        self._teller = Teller(self.node, self.name, self.spec, self.frames)
        return True

    def on_deactivate(self) -> bool:
        """Let the robot stand; from now on nothing commands it."""
        self._send(STOP)
        return True

    def on_cleanup(self) -> bool:
        """Let go of the ends."""
        self._release()
        return True

    def on_shutdown(self) -> bool:
        """Stand and let go."""
        if self._commands is not None:
            self._send(STOP)
        self._release()
        return True

    # as the loop has it ---------------------------------------------------------------------------------------

    def join(self, timeout: float) -> Joined:
        """See `HostedRobot.join`: there is nobody to ask; an active node is there."""
        if self.autostart:
            for transition, state in ((Transition.CONFIGURE, State.INACTIVE), (Transition.ACTIVATE, State.ACTIVE)):
                if self.managed.state < state and self.managed.trigger(transition) is not state:
                    raise BusError(f"{self.node.fully_qualified} does not {transition.value}: {self.managed.fault}")
        return Joined(self.site, "lockstep" if self.lockstep else "wall")

    def rejoin(self) -> None:
        """See `HostedRobot.rejoin`: who is silent here is heard again when it speaks."""

    def read(self, timeout: float) -> Readings | None:
        """See `HostedRobot.read`."""
        if timeout > 0.0:
            self._bus.spin(timeout)
        if not self.managed.active or self.blocked or self.senses is None:
            return None
        stamp = self._opens(self.senses)
        if stamp is not None:
            if self.cycle is not None and self.cycle.round > self._answered:
                self.skipped += 1
            self.cycle = self._made(self.senses, stamp)
        if self.cycle is None or self.cycle.round <= self._answered:
            return None
        return readings_of(self.cycle)

    def write(self, command: RobotCommand) -> None:
        """See `HostedRobot.write`."""
        if self.cycle is None or not self.managed.active:
            return
        self._answered = self.cycle.round
        if self._lifts is not None and not self.shadow and (self.lift or self._lifted):
            self._lifts.publish(Bool(self.lift))
            self._lifted = self.lift
        self._send(STOP if self.blocked else command)

    def tell(self, outputs: Outputs) -> None:
        """See `HostedRobot.tell`."""
        if self._teller is not None and self.cycle is not None:
            self._teller.tell(outputs, self.cycle)

    def look(self) -> list[Diagnostic]:
        """See who else is there. Lockstep ends with its clock; so does real time where it is told to.

        The robot stands while another node has its name, while somebody at a topic that it drives by means another
        message (one of the two was started wrongly, and what is said there is not what was meant), and while there are
        rivals.
        """
        if self._ends and self._opened >= 0 and not self.node.clock.kept:
            self.left = self.left or "nobody publishes /clock any more"
        found = self._bus.diagnostics()
        ours = [one for one in found if one.node in ("", self.node.fully_qualified)]
        driven = self.senses.topics if self.senses is not None else set[str]()
        if self._commands is not None:
            driven.add(self._commands.topic)
        ours += self._rivals()
        faults = [
            one.text
            for one in ours
            if one.level >= Level.ERROR
            and (one.name in ("duplicate_node", RIVALS) or (one.name in ("type", "type_hash") and one.topic in driven))
        ]
        self.blocked = faults[0] if faults else ""
        return ours

    def _rivals(self) -> list[Diagnostic]:
        """Who else says what this robot drives by, or commands its base; in shadow another one does, as he should."""
        if self.senses is None or self._commands is None:
            return []
        heard = self.senses.kinds | ({CLOCK.name: name_of(CLOCK.kind)} if self.node.clock.is_sim else {})
        commanded = "" if self.shadow else self._commands.topic
        return rivals(self._bus.census().ends, heard, commanded, self.node.fully_qualified)

    def diagnose(self) -> None:
        """Once a second: see who else is there, and tell how bus, inputs and control are."""
        found, senses = [*self.look(), *self._doubts()], self.senses
        if self._teller is not None and senses is not None:
            now = self.node.clock.now()
            found += self._standing(now)
            self._teller.diagnose(now, found, senses.found(now), senses.values(now))

    def _standing(self, now: int) -> list[Diagnostic]:
        """Whether simulated time has stood still since the last look; in lockstep it waits for others by right."""
        stood, self._looked = self._looked == now, now
        if not stood or self.lockstep or not self.node.clock.is_sim:
            return []
        text = f"/clock: expected time to go on, it stands at {now / SECOND:.3f} s; start or resume who publishes it"
        return [Diagnostic(Level.WARN, "clock", text, self.node.fully_qualified, CLOCK.name)]

    def close(self, reason: str = "") -> None:
        """See `HostedRobot.close`."""
        self.left = self.left or reason or "closed"
        if not self._closed:
            self._closed = True
            self.managed.close()

    # cycles ---------------------------------------------------------------------------------------------------

    def _opens(self, senses: Senses) -> int | None:
        """The stamp of a cycle that opens now, ns; None while none does."""
        now = self.node.clock.now()
        if now < self._opened - self._ahead:  # time began anew: a simulator was started again
            senses.forget()
            self._anew()
            self._opened = self._scanned = self._answered = -1
            self._due = -1.0
            self.cycle = None
            self.life += 1
        if not senses.complete:
            return None
        stamps = senses.stamps()
        if self.lockstep:
            return self._ticked(now, stamps)
        scanned = stamps[SCAN.name]
        if scanned <= self._scanned or (self._opened >= 0 and now - self._opened < self.spec.period // 2):
            return None
        self._scanned = scanned
        return max(now, *(stamps[topic.name] for topic in (SCAN, ODOM, POSE)))

    def _ticked(self, now: int, stamps: dict[str, int]) -> int | None:
        """In lockstep: /clock has gone on, and what is punctual has come, or is waited for no more."""
        if now <= self._opened:
            return None
        if self._due < 0.0:
            self._due = self._wall()
        if any(stamps[topic] < now for topic in self._punctual) and self._wall() - self._due < GRACE:
            return None
        self._due = -1.0
        self._punctual = {topic for topic, stamp in stamps.items() if stamp == now}
        return now

    def _made(self, senses: Senses, stamp: int) -> Cycle:
        """The cycle of that stamp, from the newest inputs."""
        self._opened = stamp
        before = self.cycle.round if self.cycle is not None else -1
        number = max(stamp // self.spec.period, before + 1)
        scan, twist, pose = senses.newest(SCAN), senses.newest(ODOM), senses.newest(POSE)
        charge, rate = senses.by[BATTERY.name].newest, senses.by[IMU.name].newest
        return Cycle(
            round=number,
            stamp=stamp,
            scan=scan.value,
            scan_stamp=scan.stamp,
            pose=pose.value,
            pose_stamp=pose.stamp,
            twist=twist.value,
            twist_stamp=twist.stamp,
            battery=charge.value if charge is not None else 1.0,
            bumper=senses.felt(),
            # the picture of the round before is on its way where the one before that came
            coordinator=self.lockstep and number >= 1 and self._pictures() >= number - 2,
            lift=senses.lift,
            battery_stamp=charge.stamp if charge is not None else -1,
            yaw_rate=rate.value if rate is not None else 0.0,
            yaw_rate_stamp=rate.stamp if rate is not None else -1,
        )

    def _send(self, command: RobotCommand) -> None:
        """Tell the base; in lockstep by the stamp of the cycle that this answers. In shadow another drives it."""
        assert self._commands is not None
        if self.shadow and not self.lockstep:
            return
        twist = Twist(Vector3(command.v), Vector3(0.0, 0.0, command.w))
        if self._kind is COMMAND_PLAIN:
            self._commands.publish(twist)
            return
        answers = self.lockstep and self.cycle is not None
        stamp = self.cycle.stamp if answers and self.cycle is not None else self.node.clock.now()
        self._commands.publish(TwistStamped(header(stamp, self.frames.base), twist))

    def _release(self) -> None:
        for end in (self.senses, self._commands, self._lifts, self._teller):
            if end is not None:
                end.close()
        self.senses = self._commands = self._lifts = self._teller = None
