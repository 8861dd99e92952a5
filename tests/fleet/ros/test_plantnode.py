"""The plant as ROS 2 robots: what a stack that knows standard topics alone sees of it, and what it may tell it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from coordination.keys import Keys, new_keys
from coordination.messages import Join, Joined, Leave, Round
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray
from fleet.ros.messages.geometry_msgs import PoseWithCovarianceStamped, Twist, TwistStamped
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.sensor_msgs import BatteryState, Imu, LaserScan
from fleet.ros.messages.std_msgs import Bool, Float64
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.planar import stamp_of, time_of, yaw_of
from fleet.ros.plantbase import DEAD_MAN, CommandKind
from fleet.ros.plantnode import BusPlant
from fleet.ros.qos import LATCHED, SENSOR
from fleet.ros.transport import BusClient, BusServer
from fleet.rounds import Plant
from fleet.world import World
from sim.robot import RobotSpec
from sim.site import make_site
from tests.fleet.ros.stacks import Stranger, Turns, no_wall_beyond

SPEC = RobotSpec()
PERIOD = SPEC.period
NAMES = ("r0", "r1")
KEYS = Keys(fleet=b"k" * 32)


@dataclass
class Stage:
    """A plant on a loop, and everybody else on buses of their own."""

    network: LoopNetwork
    bus: Turns
    end: BusPlant
    plant: Plant
    world: World
    client: BusClient

    def stranger(self, name: str, kind: type = TwistStamped) -> Stranger:
        one = Stranger(LoopBus(self.network), name, kind)
        self.bus.others.append(one.turn)
        return one

    def each(self, then: Callable[[int], object]) -> None:
        """Do something once in each round, after all had their turn."""
        seen: list[int] = []

        def turn() -> None:
            if self.plant.outcome.rounds not in seen:
                seen.append(self.plant.outcome.rounds)
                then(self.plant.outcome.rounds)

        self.bus.others.append(turn)

    def until(self, rounds: int) -> None:
        """Serve so many rounds."""

        def enough(number: int) -> None:
            if number >= rounds:
                self.client.send("plant", Leave("enough"), 0)

        self.each(enough)
        self.bus.others.append(lambda: self.client.receive(0.0))
        self.plant.serve(coordinator=False, gather=self.plant.clock == "lockstep")


def stage(clock: str = "lockstep", command: CommandKind = "stamped", robots: tuple[str, ...] = NAMES) -> Stage:
    bus = Turns()
    network, node = bus.network, bus.node("plant")
    server = BusServer(bus, node, "plant", KEYS, "~")
    world = World(make_site("hall", np.zeros((8, 8), bool)), SPEC, len(robots), seed=1)
    end = BusPlant(
        bus,
        node,
        server,
        world,
        robots,
        lockstep=clock == "lockstep",
        command=command,
        wall=bus.wall,
    )
    plant = Plant(world, end, robots, clock=clock, dead_man=DEAD_MAN, wall=bus.wall)  # pyright: ignore[reportArgumentType]
    other = LoopBus(network)
    client = BusClient(other, other.node("client"), "client", "plant", KEYS)
    return Stage(network, bus, end, plant, world, client)


def test_each_robot_says_what_it_senses_in_its_own_namespace_by_the_conventions() -> None:
    on = stage()
    drivers = [on.stranger(name) for name in NAMES]
    ears = LoopBus(on.network).node("ears", "r1")
    poses = ears.subscription(PoseWithCovarianceStamped, "pose", qos=SENSOR)
    batteries = ears.subscription(BatteryState, "battery_state", qos=SENSOR)
    gyros = ears.subscription(Imu, "imu", qos=SENSOR)
    bumpers = ears.subscription(Bool, "bumper", qos=SENSOR)
    lifts = ears.subscription(Float64, "lift/position", qos=SENSOR)
    frames = ears.subscription(TFMessage, "/tf")
    on.until(10)
    scan, odom = drivers[1].seen[-1], drivers[1].moved[-1]
    assert scan.header.frame_id == "r1/base_scan"
    assert (scan.angle_min, len(scan.ranges)) == (pytest.approx(-math.pi), SPEC.lidar.rays)
    assert scan.angle_min + 359 * scan.angle_increment == pytest.approx(scan.angle_max, abs=1e-5)
    assert no_wall_beyond(scan, scan.range_max)
    assert scan.ranges.tobytes() == on.world.readings(1).scan.tobytes()
    assert (odom.header.frame_id, odom.child_frame_id) == ("r1/odom", "r1/base_link")
    assert 0.0 < odom.twist.twist.linear.x < 0.5
    assert odom.pose.pose.position.x == pytest.approx(0.3 * 1.0, abs=0.15), "it drives ahead in its own odom frame"
    assert abs(odom.pose.pose.position.y) < 0.02
    newest = poses.newest()
    assert newest is not None
    assert newest.message.header.frame_id == "map"
    told = newest.message.pose.pose
    back = np.array((told.position.x, told.position.y, yaw_of(told.orientation)), np.float32)
    assert back.tobytes() == on.world.readings(1).pose.tobytes()
    battery, gyro, bumper, lift = (end.newest() for end in (batteries, gyros, bumpers, lifts))
    assert battery is not None
    assert battery.message.percentage == on.world.readings(1).battery
    assert gyro is not None
    assert gyro.message.orientation_covariance[0] == -1.0
    assert bumper is not None
    assert not bumper.message.data
    assert lift is not None
    assert lift.message.data == -1.0
    trees = {
        (one.header.frame_id, one.child_frame_id): one.transform
        for sample in iter(frames.take, None)
        for one in sample.message.transforms
    }
    assert {("map", "r1/odom"), ("r1/odom", "r1/base_link"), ("map", "r0/odom")} <= set(trees)
    late = ears.subscription(TFMessage, "/tf_static", qos=LATCHED).newest()
    assert late is not None, "static frames are there for who comes late"
    assert {one.child_frame_id for one in late.message.transforms} == {"r0/base_scan", "r1/base_scan"}


def test_in_lockstep_a_round_ends_with_the_command_stamped_with_it_from_each_robot() -> None:
    on = stage()
    drivers = [on.stranger(name) for name in NAMES]
    on.until(20)
    assert on.plant.outcome.gone == []
    assert on.plant.outcome.rounds >= 20
    for driver in drivers:
        assert [stamp_of(time) for time in driver.said[:20]] == [k * PERIOD for k in range(20)]
        assert [stamp_of(scan.header.stamp) for scan in driver.seen[:20]] == [k * PERIOD for k in range(20)]
    assert on.end.counts["command_taken"] >= 40
    assert on.bus.now < 1.0, "nobody was waited for"


def test_a_robot_that_is_silent_for_two_seconds_is_gone_stands_and_comes_again() -> None:
    on = stage()
    drivers = [on.stranger(name) for name in NAMES]
    on.each(lambda number: setattr(drivers[1], "silent", 5 <= number < 12))
    on.until(20)
    assert on.plant.outcome.gone == [{"round": 6, "member": "r1"}], "it had answered round 5 already"
    assert 2.0 <= on.bus.now < 3.0
    assert on.plant.membership.members["r1"].joined, "and it was heard again"
    assert on.plant.membership.members["r1"].answered >= 19


def test_a_gone_robot_s_command_is_zero() -> None:
    on = stage()
    drivers = [on.stranger(name) for name in NAMES]
    seen: list[list[float]] = []
    on.each(lambda number: setattr(drivers[1], "silent", number >= 5))
    on.each(lambda number: seen.append(on.plant.commands[:, 0].tolist()))
    on.until(10)
    assert seen[5] == pytest.approx([0.3, 0.3])
    assert seen[8] == pytest.approx([0.3, 0.0])


def test_a_cycle_that_was_not_answered_is_said_again() -> None:
    on = stage()
    drivers = [on.stranger(name) for name in NAMES]
    drivers[1].silent = True
    on.each(lambda number: setattr(drivers[1], "silent", False) if number > 0 else None)
    turns = iter(range(10_000))

    def wake() -> None:  # it missed the first cycle, and hears it when it is said again
        if next(turns) == 30:
            drivers[1].silent = False

    on.bus.others.append(wake)
    on.until(3)
    assert on.plant.outcome.gone == []
    first = [stamp_of(scan.header.stamp) for scan in drivers[1].seen]
    assert first.count(0) >= 2
    assert [stamp_of(scan.header.stamp) for scan in drivers[0].seen].count(0) == 1, "who answered is left alone"


def test_a_driver_that_leaves_in_lockstep_holds_nobody_up() -> None:
    on = stage()
    drivers = [on.stranger(name) for name in NAMES]
    on.each(lambda number: drivers[1].node.close() or drivers[1].__setattr__("turn", None) if number == 5 else None)
    on.bus.others[1] = lambda: drivers[1].turn and drivers[1].turn()
    on.until(9)
    assert on.plant.outcome.gone == []
    assert on.plant.membership.left == {"r1"}
    assert on.plant.commands[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (lambda d: setattr(d, "v", math.nan), "not_finite", "expected finite speeds"),
        (lambda d: setattr(d, "frame", "map"), "frame", 'came one in "map"'),
        (lambda d: setattr(d, "frame", "\x1b[31m"), "frame", r'came one in "\x1b[31m"'),
        (lambda d: setattr(d, "stamp", lambda t: time_of(stamp_of(t) + PERIOD)), "future", "0.080 s in the future"),
        (lambda d: setattr(d, "stamp", lambda t: Time(1_700_000_000, 0)), "future", "use_sim_time"),
    ],
)
def test_a_bad_command_is_not_obeyed_but_told(spoil: Callable[[Stranger], None], kind: str, said: str) -> None:
    on = stage("wall")
    drivers = [on.stranger(name) for name in NAMES]
    ears = LoopBus(on.network).node("ears").subscription(DiagnosticArray, "/diagnostics")
    on.each(lambda number: spoil(drivers[1]) if number == 5 else None)
    on.until(25)
    assert on.end.bases["r1"].counts[kind] > 10
    assert on.plant.commands[0, 0] == pytest.approx(0.3)
    assert on.plant.commands[1].tolist() == [0.0, 0.0], "without a sound command it stands"
    told = [one.message for sample in iter(ears.take, None) for one in sample.message.status if one.name[:2] == "r1"]
    assert any(said in text for text in told), told


def test_a_base_that_two_command_says_so() -> None:
    on = stage("wall")
    for name in (*NAMES, "r1"):
        on.stranger(name)
    ears = LoopBus(on.network).node("ears").subscription(DiagnosticArray, "/diagnostics")
    on.until(25)
    told = [one.message for sample in iter(ears.take, None) for one in sample.message.status if "commands" in one.name]
    assert told
    assert all("/r1/cmd_vel: expected one publisher, 2 are there" in text for text in told)


def test_another_one_who_says_what_the_plant_says_is_told() -> None:
    on = stage("wall")
    other = LoopBus(on.network).node("other", "r1")
    other.publisher(Clock, "/clock")
    other.publisher(LaserScan, "scan")
    ears = other.subscription(DiagnosticArray, "/diagnostics")
    on.until(25)
    told = [
        one.message for sample in iter(ears.take, None) for one in sample.message.status if one.name == "plant: bus"
    ]
    for topic in ("/clock", "/r1/scan"):
        assert f"{topic}: expected no other publisher, /r1/other is there too" in told[-1]
    assert "/r0/" not in told[-1]


def test_who_commands_more_slowly_than_the_dead_man_is_told_so() -> None:
    on = stage("wall")
    drivers = {name: on.stranger(name) for name in NAMES}
    ears = LoopBus(on.network).node("ears").subscription(DiagnosticArray, "/diagnostics")
    on.each(lambda number: setattr(drivers["r1"], "silent", number % 3 != 0))
    on.until(35)
    told = [one for sample in iter(ears.take, None) for one in sample.message.status if "commands" in one.name]
    assert {one.name for one in told} == {"r1: commands"}
    assert all("come more slowly; the base halts in between" in one.message for one in told)


def test_a_driver_that_is_there_and_silent_is_told_where_time_goes_on() -> None:
    for clock in ("wall", "lockstep"):
        on = stage(clock)
        drivers = {name: on.stranger(name) for name in NAMES}
        ears = LoopBus(on.network).node("ears").subscription(DiagnosticArray, "/diagnostics")
        on.each(lambda number, drivers=drivers: setattr(drivers["r1"], "silent", number >= 5))
        on.until(35)
        told = [one for sample in iter(ears.take, None) for one in sample.message.status if "commands" in one.name]
        assert {one.name for one in told} == ({"r1: commands"} if clock == "wall" else set())
        assert all("no sound command for" in one.message for one in told)


def test_in_real_time_an_old_stamp_is_refused_and_none_means_now() -> None:
    on = stage("wall")
    drivers = [on.stranger(name) for name in NAMES]
    drivers[0].stamp = lambda time: Time(0, 0)
    drivers[1].stamp = lambda time: time_of(max(stamp_of(time) - 6 * PERIOD, 1))
    on.until(15)
    assert on.plant.commands[0, 0] == pytest.approx(0.3)
    assert on.end.bases["r1"].counts["past"] > 5
    assert on.plant.commands[1, 0] == 0.0


def test_a_twist_is_taken_where_the_plant_was_told_so_and_nowhere_else() -> None:
    on = stage(command="twist")
    for name in NAMES:
        on.stranger(name, Twist)
    on.until(8)
    assert on.plant.commands[:, 0].tolist() == pytest.approx([0.3, 0.3])
    off = stage("wall")
    for name in NAMES:
        off.stranger(name, Twist)
    off.until(8)
    assert not off.plant.commands.any()
    found = [one.text for one in off.bus.diagnostics() if one.name == "type" and one.topic == "/r1/cmd_vel"]
    assert found, "which is a diagnostic"


def test_in_real_time_a_silent_driver_s_robot_is_told_to_stand_by_message_age_and_goes_on_when_it_speaks() -> None:
    on = stage("wall", robots=("r0",))
    driver = on.stranger("r0")
    stood: list[float] = []
    on.each(lambda number: setattr(driver, "silent", 5 <= number < 12))
    last = [0.0]

    def watch() -> None:
        if driver.silent and not stood and not on.plant.commands.any():
            stood.append(on.bus.now - last[0])
        if not driver.silent:
            last[0] = on.bus.now

    on.bus.others.append(watch)
    on.until(20)
    assert stood
    assert DEAD_MAN - 0.03 <= stood[0] <= 0.2
    assert on.plant.outcome.rested == 1
    assert on.plant.commands[0, 0] == pytest.approx(0.3)


@pytest.mark.parametrize(("periods", "further"), [(2, 0.15), (5, 0.6)])
def test_a_base_that_its_own_dead_man_stops_at_full_speed_stands_so_much_further_on(
    periods: int, further: float
) -> None:
    """Nobody plays the stored plan for a robot whose process died or hangs, see docs/decisions.md.

    The shield's plan counts on one period of the last command; ours rests after 0.15 s, at the next period's begin,
    and diff_drive_controller after 0.5 s: 1.5 m/s times the difference.
    """
    assert abs(stopping_way(periods) - stopping_way(1) - further) < 0.03


def stopping_way(periods: int) -> float:
    """m from the last command at full speed until rest, when it is in force for so many periods."""
    hall = np.zeros((24, 24), bool)
    world = World(make_site("hall", hall), SPEC, 1, seed=1, starts=np.array([12 * 24 + 12], np.int32))
    world.command(np.array([[SPEC.diff.speed_max, 0.0]]))
    for _ in range(40):
        world.step()
    begin = world.poses[0, :2].copy()
    for _ in range(periods):
        world.step()
    world.command(np.zeros((1, 2)))
    for _ in range(20):
        world.step()
    assert abs(world.twists[0, 0]) < 0.01
    return float(np.linalg.norm(world.poses[0, :2] - begin))


def test_a_command_that_grew_old_while_the_plant_stood_still_is_not_obeyed() -> None:
    on = stage("wall", robots=("r0",))
    driver = on.stranger("r0")
    on.each(lambda number: setattr(on.bus, "now", on.bus.now + 0.4) if number == 10 else None)
    on.until(15)
    assert on.end.bases["r0"].counts["waited"] == 1
    assert on.plant.commands[0, 0] == pytest.approx(driver.v)


def test_a_lift_is_commanded_beside() -> None:
    on = stage(robots=("r0",))
    driver = on.stranger("r0")
    out = driver.node.publisher(Bool, "lift/command")
    on.each(lambda number: out.publish(Bool(number < 8)) if number in (3, 8) else None)
    seen: list[bool] = []
    on.each(lambda number: seen.append(bool(on.plant.lifts[0])))
    on.until(12)
    assert (seen[2], seen[6], seen[11]) == (False, True, False)


def test_the_coordinator_is_a_member_by_signed_messages_and_hears_of_every_round() -> None:
    on = stage()
    for name in NAMES:
        on.stranger(name)
    other = LoopBus(on.network)
    end = BusClient(other, other.node("coordinator"), "coordinator", "plant", KEYS)
    heard: list[Round] = []

    def turn() -> None:
        for message in end.receive(0.0):
            if isinstance(message.body, Round):
                heard.append(message.body)
                end.send("plant", message.body, message.body.stamp)
            elif isinstance(message.body, Joined):
                assert message.body.site == on.world.site.hash
        if not heard:
            end.send("plant", Join("coordinator"), 0)

    on.bus.others.append(turn)
    on.until(10)
    assert [body.robots for body in heard[1:9]] == [NAMES] * 8
    assert on.plant.outcome.gone == []


def test_a_robot_with_another_name_is_nobody_s() -> None:
    on = stage()
    for name in (*NAMES, "r7"):
        on.stranger(name)
    on.until(5)
    assert set(on.end.bases) == set(NAMES)


def test_who_has_no_key_does_not_end_the_plant() -> None:
    on = stage()
    for name in NAMES:
        on.stranger(name)
    other = LoopBus(on.network)
    forger = BusClient(other, other.node("forger"), "client", "plant", new_keys())
    on.each(lambda number: forger.send("plant", Leave("no more"), 0))
    on.until(8)
    assert on.plant.outcome.ended == "enough"
