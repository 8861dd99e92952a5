"""One robot's loop without sockets: a step that raises, readings that fail to come, a robot that falls behind."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from agents.policy import Policy
from coordination.client import CoordinatorClient
from coordination.messages import Cycle, Done, Join, Joined, Leave, Picture, Report
from coordination.transport import InProcessEnd, Network
from fleet.calibrationfile import read_record, write_record
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot, PlantRobot
from fleet.hosted import JoinError
from fleet.metrics import RobotMetrics
from fleet.permit import Permit
from fleet.seat import Seat
from fleet.watchdog import Board
from safety.calibration import CREEP_SPEED, CalibrationMemory, Exceeded
from safety.supervisor import Cause, Mode
from sim.robot import RobotSpec
from tests.fleet.calibrated import record
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@dataclass
class Bench:
    """A seat between a plant's and a coordinator's end, played by hand."""

    seat: Seat
    plant: InProcessEnd
    coordinator: InProcessEnd
    heard: list[object] = field(default_factory=list)

    def send(self, moment: tuple[Cycle, Picture | None]) -> None:
        cycle, picture = moment
        if picture is not None:
            self.coordinator.send("r0", picture, picture.stamp)
        self.plant.send("r0", cycle, cycle.stamp)
        self.seat.take()

    def answers(self, kind: type) -> list:  # of that kind
        self.heard += [message.body for end in (self.plant, self.coordinator) for message in end.receive(0.0)]
        return [body for body in self.heard if isinstance(body, kind)]


@pytest.fixture
def moments(policy: Policy) -> list[tuple[Cycle, Picture | None]]:
    """What a robot on its way would be sent."""
    episode = Episode(
        Stepper(ControlConfig(spec=SPEC), SITE, policy),
        FakeRobot(SPEC, (0.6, 1.8, 0.0), walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)),
        FakeCoordinator(SITE, delivery(10)),
    )
    episode.run(5.0)
    out = []
    for step in episode.steps:
        i = step.inputs
        cycle = Cycle(
            i.cycle, i.stamp, i.scan, i.stamp, i.pose, i.stamp, i.twist, i.stamp, 1.0, False, i.picture is not None
        )
        out.append((cycle, i.picture))
    return out


@pytest.fixture
def bench(policy: Policy) -> Bench:
    plant_net, other_net = Network(), Network()
    ends = [plant_net.server("plant", None), other_net.server("coordinator", None)]
    robot = PlantRobot("r0", plant_net.client("r0", "plant", None), SPEC)
    link = CoordinatorClient(other_net.client("r0", "coordinator", None))
    stepper = Stepper(ControlConfig(spec=SPEC), SITE, policy)
    seat = Seat(0, robot, link, stepper, None, Board(("r0",)), RobotMetrics(("r0",)))
    return Bench(seat, ends[0], ends[1])


def drive(bench: Bench, moments: Sequence[tuple[Cycle, Picture | None]], count: int) -> None:
    for moment in moments[:count]:
        bench.send(moment)
        assert bench.seat.due(time.monotonic())
        bench.seat.step()


@pytest.mark.parametrize("call", ["write", "tell"])
def test_a_bus_that_does_not_send_ends_no_loop_and_the_next_command_goes_out(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*words: object) -> None:
        raise RuntimeError("the middleware's own error")

    drive(bench, moments, 10)
    with monkeypatch.context() as patch:
        patch.setattr(bench.seat.plant, call, refuse)
        drive(bench, moments[10:], 1)
    plan = bench.seat.board.plan(0)
    assert plan is not None
    assert plan.round == 10, "a watchdog knows what was decided"
    drive(bench, moments[11:], 9)
    assert (bench.seat.tally.steps, bench.seat.tally.errors) == (20, 1)
    sent = [done.round for done in bench.answers(Done)]
    assert sent == [number for number in range(20) if number != 10 or call == "tell"]


def test_each_cycle_is_answered_once_with_a_report_and_a_command(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]]
) -> None:
    drive(bench, moments, 20)
    assert [done.round for done in bench.answers(Done)] == list(range(20))
    assert [report.round for report in bench.answers(Report)] == list(range(20))
    assert not bench.seat.due(time.monotonic())
    plan = bench.seat.board.plan(0)
    assert plan is not None
    assert plan.round == 19
    assert plan.commands[0] == pytest.approx(bench.answers(Done)[-1].command)


def test_waiting_for_the_first_grant_is_no_stop_and_losing_one_is(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]]
) -> None:
    drive(bench, moments, 20)
    assert moments[0][1] is None, "the first cycle comes before any picture"
    assert bench.seat.tally.modes["STOPPED"] > 0, "and the robot stands"
    assert bench.seat.tally.stops == {}
    without = [(cycle, msgspec.structs.replace(picture, grant=None)) for cycle, picture in moments[20:25] if picture]
    drive(bench, without, 5)
    assert bench.seat.tally.stops == {"GRANT_STALE": 1}


def test_in_lockstep_a_cycle_waits_for_the_picture_of_the_round_before(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]]
) -> None:
    drive(bench, moments, 10)
    cycle, picture = moments[10]
    bench.send((cycle, None))
    assert not bench.seat.due(time.monotonic())
    assert bench.seat.due(time.monotonic() + 10.0)  # but not for ever
    assert picture is not None
    bench.coordinator.send("r0", picture, picture.stamp)
    bench.seat.take()
    assert bench.seat.due(time.monotonic())


def test_a_step_that_raises_plays_the_stored_plan_and_keeps_the_loop_alive(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(bench, moments, 30)
    plan = bench.seat.board.plan(0)
    assert plan is not None
    assert plan.commands[0][0] > 0.3
    whole = bench.seat.stepper.step

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(bench.seat.stepper, "step", broken)
    for moment in moments[30:45]:
        bench.send(moment)
        bench.seat.step()
    played = [done.command for done in bench.answers(Done)[30:]]
    wanted = [*plan.commands[1:], *[(0.0, 0.0)] * 15][:15]
    for command, expected in zip(played, wanted, strict=True):
        assert command == pytest.approx(expected, abs=1e-6)
    assert bench.seat.tally.errors == 15
    assert [report.round for report in bench.answers(Report)][-1] == 44  # lockstep goes on
    monkeypatch.setattr(bench.seat.stepper, "step", whole)
    bench.send(moments[45])
    bench.seat.step()
    assert bench.seat.tally.errors == 15


def test_in_wall_time_a_robot_without_readings_stops_on_what_it_knows(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]]
) -> None:
    bench.seat.lockstep = False
    drive(bench, moments, 30)
    before = len(bench.answers(Done))
    steps = 0
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        if bench.seat.silent(time.monotonic()):
            bench.seat.step()
            steps += 1
        time.sleep(0.01)
    assert 10 <= steps <= 19  # one a period after the first two
    assert bench.seat.memory.supervisor.mode is Mode.STOPPED
    assert bench.seat.memory.supervisor.cause >= Cause.ODOMETRY_STALE
    assert bench.answers(Done)[-1].command == (0.0, 0.0)
    assert len(bench.answers(Done)) == before + steps


def test_a_robot_that_fell_behind_acts_on_the_newest_cycle_alone(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]]
) -> None:
    drive(bench, moments, 5)
    for cycle, picture in moments[5:9]:
        assert picture is not None
        bench.coordinator.send("r0", picture, picture.stamp)
        bench.plant.send("r0", cycle, cycle.stamp)
    bench.seat.take()
    bench.seat.step()
    assert bench.answers(Done)[-1].round == 8
    assert bench.seat.plant.skipped == 3


def test_a_robot_that_is_sent_nothing_asks_to_be_heard_again(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]]
) -> None:
    drive(bench, moments, 3)
    now = time.monotonic()
    for seconds in (0.5, 1.2, 1.7, 2.5):
        bench.seat.rejoin(now + seconds)
    assert len(bench.answers(Join)) == 2


def test_counters_reach_the_metrics_once(bench: Bench, moments: list[tuple[Cycle, Picture | None]]) -> None:
    drive(bench, moments, 12)
    for _ in range(3):
        bench.seat.housekeeping()
    registry = bench.seat.metrics.registry
    labels = {"robot": "r0", "peer": "plant", "kind": "received"}
    assert registry.get_sample_value("muster_robot_messages_total", labels) == 12.0
    assert registry.get_sample_value("muster_control_steps_total", {"robot": "r0"}) == 12.0


def test_a_plant_that_refuses_or_ends_is_heard(bench: Bench) -> None:
    robot = bench.seat.plant
    bench.plant.send("r0", Joined(error="no room"), 0)
    with pytest.raises(JoinError, match="no room"):
        robot.join(1.0)
    assert [join.role for join in bench.answers(Join)] == ["robot"]
    bench.plant.send("r0", Leave("the shift is over"), 0)
    robot.read(0.0)
    assert robot.left == "the shift is over"


def test_a_calibration_that_its_monitors_found_wrong_is_marked_and_one_whose_day_is_over_leaves_creep(
    bench: Bench, moments: list[tuple[Cycle, Picture | None]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / "c.yaml", record())
    seat = bench.seat
    seat.permit = Permit(path=tmp_path / "c.yaml", until=time.time() + 3600.0)
    drive(bench, moments, 3)
    seat.housekeeping()
    assert not read_record(tmp_path / "c.yaml").expired
    seat.memory = msgspec.structs.replace(seat.memory, calibration=CalibrationMemory(expired=Exceeded.LATENCY))
    seat.housekeeping()
    seat.housekeeping()
    assert capsys.readouterr().out.count("r0 creeps: it answered later than calibrated") == 1
    assert read_record(tmp_path / "c.yaml").expired.startswith("it answered later than calibrated (r0, ")
    seat.memory = msgspec.structs.replace(seat.memory, calibration=CalibrationMemory())
    seat.permit = Permit(until=time.time() - 1.0)
    seat.housekeeping()
    drive(bench, moments[3:], 20)
    speeds = [abs(done.command[0]) for done in bench.answers(Done)[3:]]
    assert 0.1 < max(speeds) <= CREEP_SPEED + 0.1  # what is proposed is capped; a shield may add one period's reach
