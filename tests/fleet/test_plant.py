import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from coordination.keys import ensure_keys
from coordination.messages import Cycle, Done, Join, Joined, Leave, Round
from coordination.transport import TransportError
from coordination.wire import Received
from coordination.zmq_transport import ZmqClient, ZmqServer
from fleet import cli
from fleet import plant as module
from fleet.hardware import PlantRobot
from fleet.plant import Config
from fleet.rounds import Plant
from fleet.rundir import ENVIRONMENT, create_run
from fleet.world import World
from sim.errors import MusterError
from sim.robot import RobotCommand, RobotSpec
from sim.site import make_site

SPEC = RobotSpec()
HASH = SPEC.embodiment_hash()


class Fleet:
    """A scripted fleet and its wall clock: answers what it is sent at once; waiting in vain moves the clock on."""

    def __init__(self, robots: int = 3, coordinator: bool = True) -> None:
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self.sent: list[tuple[str, msgspec.Struct]] = []
        self.inbox: list[Received] = []
        self.silent: set[str] = set()
        self.each_round: Callable[[int], None] = lambda number: None
        self.command = (0.2, 0.0)
        self._seen = -1
        for number in range(robots):
            self.say(f"r{number}", Join("robot", (f"r{number}",), HASH))
        if coordinator:
            self.say("coordinator", Join("coordinator"))

    def say(self, sender: str, body: msgspec.Struct) -> None:
        self.inbox.append(Received(sender, "", body, 0, 0, True, sender))

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        self.sent.append((peer, body))
        number = getattr(body, "round", -1)
        if number > self._seen:
            self._seen = number
            self.each_round(number)
        if peer in self.silent:
            return True
        if isinstance(body, Cycle):
            self.say(peer, Done(peer, body.round, self.command))
        elif isinstance(body, Round) and peer == "coordinator":
            self.say(peer, Round(body.round, body.stamp))
        elif isinstance(body, Round):
            for robot in body.robots:
                self.say(peer, Done(robot, body.round, (0.0, 0.0), "watchdog"))
        return True

    def receive(self, timeout: float) -> list[Received]:
        if not self.inbox:
            self.now += timeout
        taken, self.inbox = self.inbox, []
        return taken

    def close(self) -> None:
        pass

    def got(self, peer: str, kind: type) -> list:
        return [body for to, body in self.sent if to == peer and isinstance(body, kind)]


def make_plant(fleet: Fleet, robots: int = 3, clock: str = "lockstep") -> Plant:
    world = World(make_site("hall", np.zeros((8, 8), bool)), SPEC, robots, seed=1)
    return Plant(world, fleet, tuple(f"r{k}" for k in range(robots)), clock=clock, wall=lambda: fleet.now)


def until(fleet: Fleet, last: int, then: Callable[[int], None] = lambda number: None) -> None:
    def each(number: int) -> None:
        then(number)
        if number == last:
            fleet.say("client", Leave("enough"))

    fleet.each_round = each


def test_every_member_takes_part_in_every_round() -> None:
    fleet = Fleet()
    until(fleet, 20)
    plant = make_plant(fleet)
    outcome = plant.serve()
    assert outcome.ended == "enough"
    assert outcome.gone == []
    rounds = fleet.got("coordinator", Round)
    assert [message.round for message in rounds] == list(range(len(rounds)))
    assert {message.robots for message in rounds} == {("r0", "r1", "r2")}
    cycles = fleet.got("r1", Cycle)
    assert [cycle.stamp for cycle in cycles] == [k * 100_000_000 for k in range(len(cycles))]
    assert [cycle.coordinator for cycle in cycles][:3] == [False, True, True]
    assert fleet.now < 1.0


def test_released_commands_move_the_robots_within_the_drives_limits() -> None:
    fleet = Fleet()
    fleet.command = (9.0, -9.0)
    until(fleet, 3)
    plant = make_plant(fleet)
    plant.serve()
    assert plant.commands.tolist() == [[SPEC.drive.speed_max, -SPEC.drive.turn_max]] * 3
    assert (np.abs(plant.world.twists[:, 1]) > 0.3).all()


def test_a_silent_robot_is_gone_after_two_seconds_and_its_last_command_goes_on() -> None:
    fleet = Fleet()
    until(fleet, 12, lambda number: fleet.silent.add("r1") if number == 5 else None)
    plant = make_plant(fleet)
    outcome = plant.serve()
    assert outcome.gone == [{"round": 5, "member": "r1"}]
    assert 2.0 <= fleet.now < 2.5
    named = {message.round: message for message in fleet.got("coordinator", Round)}
    assert named[4].robots == ("r0", "r1", "r2")
    assert named[5].robots == named[11].robots == ("r0", "r2")
    assert (named[5].gone, named[6].gone) == (("r1",), ())
    assert max(cycle.round for cycle in fleet.got("r1", Cycle)) == 5
    assert plant.commands[1].tolist() == pytest.approx([0.2, 0.0])


def test_a_robot_that_joins_again_is_heard_again() -> None:
    fleet = Fleet()

    def each(number: int) -> None:
        if number == 3:
            fleet.silent.add("r1")
        if number == 8:
            fleet.silent.clear()
            fleet.say("r1", Join("robot", ("r1",), HASH))

    until(fleet, 12, each)
    make_plant(fleet).serve()
    named = {message.round: message.robots for message in fleet.got("coordinator", Round)}
    assert named[8] == ("r0", "r2")
    assert named[9] == named[11] == ("r0", "r1", "r2")


def test_a_watchdog_speaks_for_a_silent_robot_until_its_loop_joins_again() -> None:
    fleet = Fleet()
    fleet.say("r1", Join("robot", ("r1",), HASH, "watchdog_r1"))

    def each(number: int) -> None:
        if number == 4:
            fleet.silent.add("r1")
            fleet.say("watchdog_r1", Join("watchdog", ("r1",)))
            fleet.say("watchdog_r1", Done("r1", 4, (0.1, 0.0), "watchdog"))
        if number == 6:
            fleet.say("r1", Done("r1", 6, (1.0, 0.0)))  # the loop woke up, but has not joined
        if number == 9:
            fleet.silent.clear()
            fleet.say("r1", Join("robot", ("r1",), HASH, "watchdog_r1"))

    until(fleet, 12, each)
    plant = make_plant(fleet)
    outcome = plant.serve()
    assert outcome.gone == []
    assert outcome.watched == [{"round": 4, "robot": "r1"}]
    assert fleet.now < 1.0  # nobody waited for the silent loop
    named = {message.round: message for message in fleet.got("coordinator", Round)}
    assert named[4].gone == ("r1",)
    assert named[8].robots == ("r0", "r2")
    assert named[11].robots == ("r0", "r1", "r2")
    assert [message.round for message in fleet.got("watchdog_r1", Round)] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("thief", ["r0", "watchdog_r0", "alice"])
def test_no_node_takes_over_a_robot_that_did_not_name_it(thief: str) -> None:
    """All of these senders are signed: each has a key of its own."""
    fleet = Fleet()
    for name in ("r0", "r1"):
        fleet.say(name, Join("robot", (name,), HASH, f"watchdog_{name}"))

    def each(number: int) -> None:
        if number == 3:
            fleet.say(thief, Join("watchdog", ("r0", "r1") if thief == "watchdog_r0" else ("r1",)))
            fleet.say(thief, Done("r1", number, (1.5, 0.0), "watchdog"))
        if number == 5:
            fleet.say("r1", Join("robot", ("r1",), HASH))  # without a watchdog: from now on nobody may
        if number == 6:
            fleet.say("watchdog_r1", Join("watchdog", ("r1",)))

    until(fleet, 8, each)
    plant = make_plant(fleet)
    outcome = plant.serve()
    assert outcome.watched == []
    assert plant.membership.members["r1"].joined
    assert plant.membership.members["r0"].joined
    assert plant.commands[1].tolist() == pytest.approx([0.2, 0.0])
    (answer,) = [body for body in fleet.got(thief, Joined) if body.error]
    assert answer.error == (
        f"expected the watchdog that r1 named when it joined, got {thief}; let r1 join first and name its own"
    )
    (late,) = fleet.got("watchdog_r1", Joined)
    assert "expected the watchdog that r1 named" in late.error


@pytest.mark.parametrize("stranger", ["alice", "r7", "watchdog_r1", "plant"])
def test_only_the_fleets_client_ends_the_plant(stranger: str) -> None:
    fleet = Fleet()
    until(fleet, 6, lambda number: fleet.say(stranger, Leave("go home")) if number == 2 else None)
    outcome = make_plant(fleet).serve()
    assert outcome.ended == "enough"
    assert outcome.rounds >= 6


def test_commands_of_strangers_and_of_past_rounds_are_not_heard() -> None:
    fleet = Fleet()
    fleet.silent.add("r2")

    def each(number: int) -> None:
        if number == 2:
            fleet.say("r0", Done("r2", 2, (1.0, 0.0)))
            fleet.say("r2", Done("r2", 1, (1.0, 0.0)))
            fleet.say("r0", Done("r2", 2, (1.0, 0.0), "watchdog"))
            fleet.say("r2", Done("nobody", 2, (1.0, 0.0)))

    until(fleet, 4, each)
    plant = make_plant(fleet)
    plant.serve()
    assert plant.commands[2].tolist() == [0.0, 0.0]


def test_time_goes_on_without_a_silent_coordinator_until_it_joins_again() -> None:
    fleet = Fleet()

    def each(number: int) -> None:
        if number == 3:
            fleet.silent.add("coordinator")
        if number == 7:
            fleet.silent.clear()
            fleet.say("coordinator", Join("coordinator"))

    until(fleet, 10, each)
    outcome = make_plant(fleet).serve()
    assert outcome.gone == [{"round": 3, "member": "coordinator"}]
    told = {cycle.round: cycle.coordinator for cycle in fleet.got("r0", Cycle)}
    assert [told[k] for k in range(1, 11)] == [True, True, True, False, False, False, False, True, True, True]


@pytest.mark.parametrize(
    ("sender", "join", "error"),
    [
        ("r0", Join("robot", ("r0",), "beef"), r"expected embodiment .*, got beef; give plant and robot the same"),
        ("r9", Join("robot", ("r9",), HASH), r"expected one of r0, r1, got r9; name it in the plant's --robots"),
        ("r0", Join("robot", ("r1",), HASH), r"expected robot r0 to join for itself, got r1"),
        ("x", Join("dancer"), r'expected role robot, .* got "dancer"'),
        ("x", Join("coordinator"), r"expected role robot"),
    ],
)
def test_who_does_not_belong_is_refused_with_the_reason(sender: str, join: Join, error: str) -> None:
    fleet = Fleet(robots=0, coordinator=False)
    fleet.say(sender, join)
    plant = make_plant(fleet, robots=2)
    plant.serve(patience=1.0)
    (answer,) = fleet.got(sender, Joined)
    assert re.search(error, answer.error)


def test_a_plant_that_nobody_joins_ends() -> None:
    fleet = Fleet(robots=0, coordinator=False)
    outcome = make_plant(fleet).serve(patience=5.0)
    assert outcome.rounds == 0
    assert "no robot joined within 5 s" in outcome.ended
    assert 5.0 <= fleet.now < 6.0


def test_a_plant_that_all_have_left_ends() -> None:
    fleet = Fleet()
    fleet.each_round = lambda number: [fleet.say(f"r{k}", Leave()) for k in range(3)] and None if number == 6 else None
    outcome = make_plant(fleet).serve()
    assert outcome.ended == "all members left"
    assert outcome.rounds <= 8


def test_a_plant_whose_members_are_all_gone_ends_after_its_patience() -> None:
    fleet = Fleet()
    fleet.each_round = lambda number: fleet.silent.update({"r0", "r1", "r2"}) if number == 2 else None
    outcome = make_plant(fleet).serve(patience=3.0)
    assert outcome.ended == "nobody there for 3 s"
    assert len(outcome.gone) == 3
    assert fleet.now < 7.0


def test_the_end_is_told_to_every_member() -> None:
    fleet = Fleet()
    until(fleet, 2)
    plant = make_plant(fleet)
    plant.serve()
    plant.say_goodbye()
    for peer in ("r0", "r1", "r2", "coordinator"):
        assert fleet.got(peer, Leave) == [Leave("enough")]


def test_wall_mode_ticks_in_real_time_and_waits_for_nobody() -> None:
    fleet = Fleet()
    until(fleet, 30, lambda number: fleet.silent.add("r1") if number == 2 else None)
    outcome = make_plant(fleet, clock="wall").serve()
    assert outcome.rounds == pytest.approx(fleet.now / 0.1, abs=1.5)
    assert [entry["member"] for entry in outcome.gone] == ["r1"]
    assert 20 <= outcome.gone[0]["round"] <= 24


def serve_in_thread(plant: Plant, **options: float) -> threading.Thread:
    thread = threading.Thread(target=plant.serve, kwargs=options)
    thread.start()
    return thread


def test_robots_drive_over_zeromq(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "fleet.key")
    server = ZmqServer("plant", keys)
    world = World(make_site("hall", np.zeros((8, 8), bool)), SPEC, 2, seed=1)
    plant = Plant(world, server, ("r0", "r1"), silence=5.0)
    thread = serve_in_thread(plant, coordinator=False)
    robots = [PlantRobot(name, ZmqClient(name, "plant", keys, server.address), SPEC) for name in ("r0", "r1")]
    deadline = time.monotonic() + 20.0
    for robot in robots:
        assert robot.join(10.0).site == world.site.hash
    for _ in range(15):
        for robot in robots:
            reading = None
            while reading is None and time.monotonic() < deadline:
                reading = robot.read(1.0)
            assert reading is not None
            assert reading.scan.shape == (360,)
            robot.write(RobotCommand(0.1, 0.0))
    client = ZmqClient("client", "plant", keys, server.address)
    assert client.connected(5.0)
    client.send("plant", Leave("the test is over"), 0)
    thread.join(20.0)
    assert not thread.is_alive()
    assert plant.outcome.ended == "the test is over"
    assert plant.outcome.gone == []
    for end in (client, *(robot.transport for robot in robots), server):
        end.close()


def test_nested_arrays_from_anyone_do_not_end_the_plant(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "fleet.key")
    server = ZmqServer("plant", keys)
    world = World(make_site("hall", np.zeros((8, 8), bool)), SPEC, 1, seed=1)
    plant = Plant(world, server, ("r0",))
    thread = serve_in_thread(plant, coordinator=False)
    stranger = zmq.Context.instance().socket(zmq.DEALER)
    stranger.connect(server.address)
    head = b"".join(map(msgspec.msgpack.encode, ("stop_raise/1", "r0", 1, 1, 0, b"")))
    stranger.send(b"\x97" + head + b"\x91" * 5000 + bytes(17))
    deadline = time.monotonic() + 10.0
    while not server.counts["malformed"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.counts["malformed"] == 1
    assert thread.is_alive()
    client = ZmqClient("client", "plant", keys, server.address)
    assert client.connected(5.0)
    client.send("plant", Leave("the test is over"), 0)
    thread.join(10.0)
    assert plant.outcome.ended == "the test is over"
    stranger.close(0)
    client.close()
    server.close()


def run_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config) -> int:
    monkeypatch.setenv(ENVIRONMENT, str(create_run(tmp_path).root))
    return module.run(config)


def test_a_port_in_use_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ZmqServer("plant", None)
    with pytest.raises(TransportError, match="is in use by another process; stop that process or choose another port"):
        run_in(tmp_path, monkeypatch, Config(address=server.address))
    server.close()


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (Config(robots=""), r'--robots: expected at least one robot, got none in ""'),
        (Config(person_speed=1.0), r"person speed of 0 or 1\.6 m/s .* got 1"),
        (
            Config(cell=0.3),
            r"--cell: expected cells of 0\.\d\d m or more, .*, got 0\.3 m on generate:7; give for example 1\.2",
        ),
        (Config(people=-1), r"number of people from 0 up, got -1"),
        (Config(seed=-1), r"whole number from 0 up to 1000000000, got -1"),
        (Config(starts="1,b"), r'start cells as 12,40,7, got "1,b"'),
    ],
)
def test_a_wrong_command_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config, error: str
) -> None:
    with pytest.raises(MusterError, match=error):
        run_in(tmp_path, monkeypatch, config)


def test_the_command_serves_writes_its_record_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = create_run(tmp_path)
    monkeypatch.setenv(ENVIRONMENT, str(directory.root))
    keys = ensure_keys(directory.key)
    probe = ZmqServer("probe", None)
    address = probe.address
    probe.close()

    def one_robot() -> None:
        robot = PlantRobot("r0", ZmqClient("r0", "plant", keys, address), SPEC)
        robot.join(20.0)
        for _ in range(5):
            while robot.read(1.0) is None and not robot.left:
                pass
            robot.write(RobotCommand(0.0, 0.0))
        robot.close("done")

    thread = threading.Thread(target=one_robot)
    thread.start()
    code = module.run(Config(site="generate:1", robots="r0", address=address, coordinator=False, patience=20.0))
    thread.join(10.0)
    assert code == 0
    summary = json.loads((directory.root / "plant.json").read_text())
    assert summary["ended"] == "all members left"
    assert summary["rounds"] >= 5
    assert (summary["collisions"], summary["oracle_collisions"]) == (0, 0)
    assert directory.trace.exists()


def test_metrics_are_served_and_a_taken_port_is_one_line() -> None:
    import socket
    import urllib.request

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        plant = make_plant(Fleet())
        taken.listen()
        with pytest.raises(TransportError, match=f"expected port {port} for /metrics to be free"):
            module.serve_metrics(plant, port)
    module.serve_metrics(plant, port)
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert "muster_plant_collisions_total 0.0" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ros-args", "-r", "__ns:=/hall2"], "expected no ROS arguments without a bus"),
        (["--bus", "zenoh"], "zenoh"),
        (["--bus", "dds", "--cmd-vel", "ackermann"], "ackermann"),
        (["--bus", "dds", "--ros-args", "-r", "nonsense"], 'expected "from:=to"'),
    ],
)
def test_a_plant_that_cannot_be_on_a_bus_is_one_clear_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "run"))
    assert cli.main(["sim", "--robots", "r0", "--site", "generate:7", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
