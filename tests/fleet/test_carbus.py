"""A car over a bus: the same commands as without one, and safe whatever comes."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np
import pytest

from fleet import carlog, carstep
from fleet.carlog import CarLog
from fleet.carnode import CarNode, CarSettings
from fleet.carserve import PATIENCE, WHOLE, CarServer
from fleet.drivelog import read_drive
from fleet.drivereplay import replay_drive
from fleet.drivinglevels import DrivingLevels, read_driving_levels
from fleet.ros.arguments import parse
from fleet.ros.carinputs import TOPICS, CarInputs
from fleet.ros.carmessages import Frames, command_message, pose_message, time_of
from fleet.ros.lifecycle import Transition
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.ackermann_msgs import AckermannDriveStamped
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray
from fleet.ros.messages.geometry_msgs import PoseStamped
from fleet.ros.messages.nav_msgs import Odometry, Path
from fleet.ros.messages.rosgraph_msgs import Clock as ClockMessage
from fleet.ros.messages.sensor_msgs import BatteryState
from fleet.ros.messages.std_msgs import Header, String
from fleet.ros.messages.visualization_msgs import MarkerArray
from fleet.ros.qos import SENSOR
from fleet.salvage import read_recording
from fleet.venues import read_fault
from safety.supervisor import Mode
from sim.bodies.specs import CAR
from sim.driving.reachsets import ReachSets
from sim.driving.reading import CarReading
from sim.robot import SECOND
from tests.fleet.carbus import SIM_TIME, Pair, drive_in_process, make_pair, make_plant
from tests.fleet.drivepolicies import write_driving_policies
from tests.fleet.ros.buses import rig_of


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> DrivingLevels:
    return read_driving_levels(write_driving_policies(tmp_path_factory.mktemp("policies")))


@pytest.mark.parametrize("kind", ["loop", "dds"])
@pytest.mark.parametrize(("site", "seed", "steps"), [("town:7", 3, 160), ("highway:3", 5, 160)])
def test_a_drive_over_a_bus_in_lockstep_is_the_drive_without_one_bit_for_bit(
    levels: DrivingLevels, monkeypatch: pytest.MonkeyPatch, kind: str, site: str, seed: int, steps: int
) -> None:
    alone = drive_in_process(make_plant(site, seed, 30.0), levels, steps)
    with rig_of(kind, monkeypatch) as rig:
        pair = make_pair(rig.bus(), rig.bus(*SIM_TIME), make_plant(site, seed, 30.0), levels)
        rig.until(lambda: pair.server.ready)
        over = pair.drive(steps)
        assert pair.server.missed == 0
        pair.close()
    assert len(alone) >= steps - 20
    assert over == alone


class Clock:
    """Our own, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 10 * SECOND

    def __call__(self) -> int:
        return self.now


class ByHand:
    """A plant and a car on the loop by a clock that the test turns, in wall time."""

    def __init__(self, levels: DrivingLevels, *, site: str = "highway:3", drive: bool = True, **among: object) -> None:
        self.clock = Clock()
        network = LoopNetwork(self.clock)
        self.plant = make_plant(site, 5, 60.0, **among)  # type: ignore[arg-type]  # of `make_plant`
        self.network = network
        self.server = CarServer(
            LoopBus(network), self.plant, lockstep=False, namespace="r1", clock=self.clock
        )  # fmt: skip
        self.node = CarNode(
            LoopBus(network, parse(SIM_TIME)), self.plant.road, levels, CAR, CarSettings(drive=drive),
            namespace="r1", clock=self.clock,
        )  # fmt: skip
        self.node.start()
        self.listener = LoopBus(network).node("listener")
        self.diagnostics = self.listener.subscription(DiagnosticArray, "/diagnostics")

    def go(self, steps: int, *, plant: bool = True) -> None:
        """So many periods; the plant says nothing and stands still where it is not `plant`."""
        for _ in range(steps):
            self.clock.now += CAR.period
            if plant:
                self.server.poll()
            self.node.poll()

    def told(self) -> list[str]:
        """What the newest diagnostics say of the car: its message, then its doubts."""
        came = [each for one in iter(self.diagnostics.take, None) for each in one.message.status]
        car = next(each for each in reversed(came) if each.name == "/r1/car: car")
        return [car.message, *(each.value for each in car.values if each.key.startswith("doubt"))]

    @property
    def speed(self) -> float:
        return float(self.plant.env.plant.view.motion.numpy()[0, 0])


def test_a_car_drives_in_real_time_on_the_newest_that_has_come(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(100)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin >= 0.0
    assert hand.speed > 5.0
    assert hand.server.missed <= 1
    assert hand.told()[0] == "drives"


@pytest.mark.parametrize("kind", ["loop", "dds"])
def test_a_car_and_its_plant_keep_real_time_by_the_computers_own_clock(
    levels: DrivingLevels, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Never faster than real time, slower only on a computer that cannot; a driver that falls silent is braked."""
    plant = make_plant("highway:3", 5, 60.0)
    with rig_of(kind, monkeypatch) as rig:
        server = CarServer(rig.bus(), plant, lockstep=False, namespace="r1")
        node = CarNode(rig.bus(*SIM_TIME), plant.road, levels, CAR, CarSettings(drive=True), namespace="r1")
        node.start()
        rig.until(lambda: server.ready)
        began, stamp = time.monotonic(), plant.stamp
        while (passed := time.monotonic() - began) < 3.0:
            server.poll(0.001)
            node.poll(0.001)
        driven = (plant.stamp - stamp) / SECOND
        assert 0.5 * passed < driven < passed + 0.1
        assert 0.5 * passed < node.steps * CAR.period / SECOND < passed + 0.1
        assert node.last is not None
        assert node.last.decided is not None
        assert float(plant.env.plant.view.motion.numpy()[0, 0]) > 1.0
        assert server.missed < 10
        while time.monotonic() - began < passed + 0.4:
            server.poll(0.001)
        assert server.released[-1][0] == pytest.approx(-CAR.car.brake_min), "nobody drives any more: the plant brakes"
        node.close()
        server.close()


def test_a_plant_tells_of_commands_that_it_does_not_obey_and_brakes(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    hand.node.close()
    stranger = hand.listener.publisher(AckermannDriveStamped, "/r1/ackermann_cmd")
    came = hand.listener.subscription(DiagnosticArray, "/diagnostics")
    for _ in range(30):
        stranger.publish(AckermannDriveStamped(Header(time_of(hand.plant.stamp), "r2/base_link")))
        hand.clock.now += CAR.period
        hand.server.poll()
    assert hand.server.released[-1][0] == pytest.approx(-CAR.car.brake_min)
    told = [each for one in iter(came.take, None) for each in one.message.status if each.name == "/r1/plant: commands"]
    assert told[-1].level == 1
    assert 'came one in "r2/base_link"; it is not obeyed' in told[-1].message


def test_sensors_that_fall_silent_stop_the_car_by_our_own_clock(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    assert hand.node.last is not None
    commands = hand.listener.subscription(AckermannDriveStamped, "/r1/ackermann_cmd")
    hand.go(5, plant=False)  # 250 ms: /clock stands still with all the rest
    decided = hand.node.last.decided
    assert decided is not None
    assert decided.margin < 0.0, "the stored plan plays"
    newest = commands.newest()
    assert newest is not None
    assert newest.message.drive.acceleration < 0.0
    assert any("odom: expected a message every 0.2 s" in each for each in hand.told())


def test_a_car_that_has_no_gauge_of_its_battery_drives_on_and_says_so(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.server._ends["battery_state"].close()
    hand.server._ends["battery_state"] = hand.listener.publisher(BatteryState, "unheard")
    hand.go(60)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.mode is Mode.POLICY
    assert hand.told()[0].startswith("battery_state: expected a BatteryState, none has come")


def test_a_low_battery_is_told_and_driven_on(levels: DrivingLevels) -> None:
    hand = ByHand(levels, charge=0.2)
    hand.go(60)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.mode is Mode.POLICY
    assert hand.told()[0] == "battery_state: 20% left, charge it"


def test_a_battery_that_runs_empty_ends_the_drive_where_the_car_may_stand(levels: DrivingLevels) -> None:
    hand = ByHand(levels, charge=0.02)
    hand.go(60)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.mode is Mode.FALLBACK
    assert hand.told()[0] == "fallback: battery_state: 2% left, the car drives no further"


@pytest.mark.parametrize("percentage", [math.nan, 87.0, -0.1])
def test_a_gauge_that_says_what_is_no_charge_ends_the_drive(levels: DrivingLevels, percentage: float) -> None:
    hand = ByHand(levels)
    hand.go(50)
    gauge = hand.listener.publisher(BatteryState, "/r1/battery_state")
    gauge.publish(BatteryState(Header(time_of(hand.plant.stamp)), percentage=percentage))
    hand.go(2)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.mode is Mode.FALLBACK
    assert "fallback: battery_state: expected a percentage from 0 to 1" in hand.told()[0]


def test_a_gauge_that_falls_silent_is_told(levels: DrivingLevels) -> None:
    heard = CarInputs(Frames(), (0.0, 0.0), "steer", 2.7)
    heard.take("battery_state", BatteryState(Header(time_of(20 * SECOND)), percentage=0.9), 0, 20 * SECOND)
    said = {now: [each for each in heard.reading(now * SECOND).doubts if "battery" in each] for now in (21, 31)}
    assert said == {21: [], 31: ["battery_state: expected a message every second, none for 10 s"]}


def test_a_car_that_may_not_drive_commands_nobody(levels: DrivingLevels) -> None:
    hand = ByHand(levels, drive=False)
    commands = hand.listener.subscription(AckermannDriveStamped, "/r1/ackermann_cmd")
    shadow = hand.listener.subscription(AckermannDriveStamped, "/r1/car/shadow")
    hand.go(40)
    assert commands.matched == 0
    assert commands.newest() is None
    assert shadow.newest() is not None
    assert hand.server.released[-1][0] == pytest.approx(-CAR.car.brake_min), "nobody drives: the plant brakes"
    assert hand.told()[0].startswith("shadow")


@pytest.mark.parametrize("fault", ["lane_lost:2", "gnss_jump:2", "list_frozen:2"])
def test_a_sensor_that_fails_stops_the_car(levels: DrivingLevels, fault: str) -> None:
    hand = ByHand(levels, fault=read_fault(fault))
    hand.go(36)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin >= 0.0
    hand.go(200)
    assert hand.node.last.decided.margin < 0.0
    assert hand.speed < 0.5


def test_two_cars_in_one_namespace_are_told_and_both_stop(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    twin = LoopBus(hand.network, parse(SIM_TIME)).node("car", "r1")
    hand.go(25)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin < 0.0
    assert any("2 nodes are called /r1/car" in each for each in hand.node.doubts())
    twin.close()


def test_two_senders_of_one_sensor_are_trusted_neither(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    other = LoopBus(hand.network).node("other", "r1").publisher(Odometry, "odom", SENSOR)
    hand.go(25)
    assert any("odom: expected one sender, 2 are there" in each for each in hand.node.doubts())
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin < 0.0
    other.close()


def test_somebody_who_means_another_message_is_not_driven_by(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    other = LoopBus(hand.network).node("other", "r1").publisher(String, "odom")
    hand.go(25)
    assert any("odom" in each and "String" in each for each in hand.node.doubts()), hand.node.doubts()
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin < 0.0
    other.close()


SPOILT: dict[str, tuple[Callable[[CarReading], CarReading], str]] = {
    "wheels say no number": (
        lambda reading: replace(reading, odometry=replace(reading.odometry, speed=math.nan)), "odom: expected a number"
    ),
    "the inertial unit says no number": (
        lambda reading: replace(reading, inertia=replace(reading.inertia, turn=math.nan)), "imu: expected a number"
    ),
    "wheels are stamped in the future": (
        lambda reading: replace(reading, odometry=replace(reading.odometry, stamp=reading.now + SECOND)),
        "odom: expected a stamp up to now",
    ),
    "localisation comes a second late": (
        lambda reading: replace(reading, place=replace(reading.place, stamp=reading.now - SECOND)), ""
    ),
    "localisation knows no bound": (
        lambda reading: replace(reading, place=replace(reading.place, bound=math.inf)), ""
    ),
    "everybody is seen twice": (
        lambda reading: replace(reading, objects=replace(reading.objects, objects=2 * reading.objects.objects)),
        "objects: expected another object_id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_what_cannot_be_believed_stops_the_car_and_is_told(levels: DrivingLevels, what: str) -> None:
    hand = ByHand(levels)
    hand.go(60)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin >= 0.0
    spoil, doubt = SPOILT[what]
    true = hand.plant.reading
    hand.plant.reading = lambda: spoil(true())  # type: ignore[method-assign]  # a sensor that fails
    hand.go(30)
    assert hand.node.last.decided.margin < 0.0, "the stored plan plays"
    assert hand.node.last.acceleration < 0.0 or hand.speed < 0.1
    assert any(each.startswith(doubt) for each in hand.node.doubts()) or not doubt


def test_frames_of_another_car_stop_the_car(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    hand.server._frames = Frames("r2/")
    hand.go(10)
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin < 0.0
    assert any('odom: expected frame r1/odom, came "r2/odom"' in each for each in hand.node.doubts())


def test_what_is_not_trusted_stops_a_car_in_lockstep_too(levels: DrivingLevels) -> None:
    network = LoopNetwork()
    pair = make_pair(
        LoopBus(network), LoopBus(network, parse(SIM_TIME)), make_plant("highway:3", 5, 30.0), levels
    )  # fmt: skip
    pair.drive(40)
    assert pair.node.last is not None
    assert pair.node.last.decided is not None
    assert pair.node.last.decided.margin >= 0.0
    pair.node._distrust, pair.node._examined = "two are called so", time.monotonic_ns() + 60 * SECOND
    pair.drive(45)
    assert pair.node.last.decided.margin < 0.0
    pair.close()


@pytest.mark.parametrize("topic", ["odom", "imu", "joint_states", "pose", "lane_pose", "objects", "clock"])
def test_a_step_of_a_lockstep_waits_for_all_that_it_decides_on(levels: DrivingLevels, topic: str) -> None:
    network = LoopNetwork()
    plant = make_plant("highway:3", 5, 30.0)
    pair = make_pair(LoopBus(network), LoopBus(network, parse(SIM_TIME)), plant, levels)
    pair.drive(5)
    unheard = LoopBus(network).node("listener").publisher
    if topic == "clock":
        pair.server._ticks = unheard(ClockMessage, "unheard")
    else:
        pair.server._ends[topic] = unheard(TOPICS[topic], "unheard")
    followed = len(pair.server.released)
    for _ in range(200):
        pair.server.poll()
        pair.node.poll()
    assert len(pair.server.released) <= followed + 1, "what has been said already may complete one"
    pair.close()


def test_a_plant_in_lockstep_follows_the_present_stamp_and_brakes_for_who_is_silent(levels: DrivingLevels) -> None:
    clock = Clock()
    network = LoopNetwork(clock)
    plant = make_plant("highway:3", 5, 30.0)
    server = CarServer(LoopBus(network), plant, lockstep=True, namespace="r1", clock=clock)
    driver = LoopBus(network).node("driver", "r1").publisher(AckermannDriveStamped, "ackermann_cmd", WHOLE)

    def command(stamp: int, acceleration: float) -> int:
        driver.publish(command_message(stamp, acceleration, 0.0, 0.0, (0.0, 0.0), Frames("r1/")))
        for _ in range(3):
            server.poll()
        return len(server.released)

    assert command(plant.stamp - plant.period, 1.0) == 0
    assert command(plant.stamp + plant.period, 1.0) == 0
    assert command(plant.stamp, math.nan) == 0
    assert server.commands.counts["refused"] == 1
    assert command(plant.stamp, 1.0) == 1
    clock.now += PATIENCE - 1
    server.poll()
    assert len(server.released) == 1
    clock.now += 2
    server.poll()
    assert server.missed == 1
    assert server.released[-1][0] == pytest.approx(-CAR.car.brake_min)


def test_a_clock_that_is_set_back_begins_another_drive(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    steps = hand.node.steps
    hand.plant = make_plant("highway:3", 5, 60.0)
    hand.server.plant = hand.plant
    hand.go(40)
    assert hand.node.steps < steps, "counted anew"
    assert hand.node.last is not None
    assert hand.node.last.decided is not None
    assert hand.node.last.decided.margin >= 0.0


def test_a_car_without_a_goal_is_held_and_says_so(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.server._goal.close()
    hand.server._goal = hand.listener.publisher(PoseStamped, "unheard")
    hand.go(40)
    assert hand.node.last is not None
    assert hand.node.last.decided is None
    assert hand.node.last.acceleration < 0.0
    assert hand.speed < 1.0 or hand.server.released[-1][0] < 0.0
    assert any("goal_pose: expected a goal" in each for each in hand.told())


def test_a_goal_off_the_road_is_refused_in_words(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(30)
    goal = hand.listener.publisher(PoseStamped, "/r1/goal_pose")
    goal.publish(pose_message((1.0e4, 0.0, 0.0), 0, "map"))
    hand.go(1, plant=False)
    assert any("expected a goal on a driving lane" in each for each in hand.node._inputs.reading(0).doubts)


def test_a_car_that_is_deactivated_tells_its_drive_to_stop(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    hand.go(60)
    commands = hand.listener.subscription(AckermannDriveStamped, "/r1/ackermann_cmd")
    hand.node.lifecycle.trigger(Transition.DEACTIVATE)
    newest = commands.newest()
    assert newest is not None
    assert newest.message.drive.acceleration == pytest.approx(-CAR.car.brake_comfort)
    assert newest.message.drive.speed == 0.0
    hand.go(5)
    assert commands.newest() is None
    hand.node.lifecycle.trigger(Transition.ACTIVATE)
    hand.go(5)
    assert commands.newest() is not None


def test_path_and_markers_are_in_the_map(levels: DrivingLevels) -> None:
    hand = ByHand(levels)
    paths = hand.listener.subscription(Path, "/r1/lane")
    plans = hand.listener.subscription(Path, "/r1/path")
    states = hand.listener.subscription(String, "/r1/state")
    markers = hand.listener.subscription(MarkerArray, "/r1/shield")
    hand.go(60)
    path, shown = paths.newest(), markers.newest()
    assert path is not None
    assert shown is not None
    truth = hand.plant.env.plant.state.pose.numpy()[0, :2] + hand.plant.origin
    points = np.array([(each.pose.position.x, each.pose.position.y) for each in path.message.poses])
    assert np.hypot(*(points - truth).T).min() < 5.0
    assert path.message.header.frame_id == "map"
    plan = next(each for each in shown.message.markers if each.ns == "plan")
    assert np.hypot(plan.points[0].x - truth[0], plan.points[0].y - truth[1]) < 5.0
    assert any(each.ns == "reach" for each in shown.message.markers)
    stored = plans.newest()
    assert stored is not None
    assert len(stored.message.poses) == len(plan.points)
    told = states.newest()
    assert told is not None
    state = json.loads(told.message.data)
    assert (state["mode"], state["shadow"], state["doubts"]) == ("POLICY", False, [])


def test_the_black_box_of_a_car_is_decided_once_more_bit_for_bit(levels: DrivingLevels, tmp_path: FilePath) -> None:
    plant = make_plant("town:7", 3, 30.0)
    network = LoopNetwork()
    server = CarServer(LoopBus(network), plant, lockstep=True, namespace="r1")
    log = CarLog(tmp_path, plant.road, CAR, "town:7", levels.name)
    node = CarNode(
        LoopBus(network, parse(SIM_TIME)), plant.road, levels, CAR, CarSettings(drive=True, lockstep=True),
        namespace="r1", log=log,
    )  # fmt: skip
    node.start()
    pair = Pair(server, node)
    pair.drive(120)
    pair.close()
    drive = read_drive(tmp_path / "drive0-0.mcap")
    assert drive.damage == ""
    assert len({each.pose for each in drive.moments}) > 110, "what is written later is as it was in its step"
    assert all(np.allclose(each.plan[0], each.pose, atol=1e-3) for each in drive.moments if len(each.plan))
    assert sum(len(each.plan) > 1 for each in drive.moments) > 50
    assert len(drive.moments) >= 119
    assert drive.moments[60].released == pytest.approx(server.released[60])
    assert len(drive.moments[60].others.kind) > 0
    verdict = replay_drive(read_recording(tmp_path / "drive0-0.mcap"))
    assert verdict.difference is None
    assert verdict.steps >= 119


def test_what_a_black_box_works_out_is_worked_out_beside_the_control_step(
    levels: DrivingLevels, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored plans, reach sets and distances take milliseconds, which are the writer's."""
    threads: dict[str, list[int]] = {}

    def watched(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object) -> object:
            threads.setdefault(name, []).append(threading.get_ident())
            return work(*words)

        return call

    monkeypatch.setattr(carstep, "play", watched("play", carstep.play))
    monkeypatch.setattr(ReachSets, "outlines", watched("outlines", ReachSets.outlines))
    monkeypatch.setattr(carlog, "nearest", watched("nearest", carlog.nearest))
    plant = make_plant("town:7", 3, 30.0)
    network = LoopNetwork()
    log = CarLog(tmp_path, plant.road, CAR, "town:7", levels.name)
    node = CarNode(
        LoopBus(network, parse(SIM_TIME)), plant.road, levels, CAR, CarSettings(lockstep=True, drive=True),
        namespace="r1", log=log,
    )  # fmt: skip
    node.start()
    pair = Pair(CarServer(LoopBus(network), plant, lockstep=True, namespace="r1"), node)
    pair.drive(60)
    pair.close()
    assert {name: len(each) >= 59 for name, each in threads.items()} == dict.fromkeys(
        ("play", "outlines", "nearest"), True
    )
    assert threading.get_ident() not in {one for each in threads.values() for one in each}
