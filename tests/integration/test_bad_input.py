"""Bad input on the command line: one clear line, exit code 2, no traceback, nothing left behind."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from fleet import cli
from fleet.launchfile import read_plan
from fleet.preflight import check as launch_check
from fleet.world import World
from sim.readers import load_site
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import navigate_contract
from tests.commandline import contents, one_line

ROOT = Path(__file__).resolve().parents[2]
FLEET = str(ROOT / "launch" / "warehouse.launch.yaml")
ROBOT = str(ROOT / "launch" / "robot.launch.yaml")
DEMO = str(ROOT / "launch" / "warehouse_demo.launch.yaml")
TRAIN = str(ROOT / "launch" / "warehouse_train.launch.yaml")
COORDINATE = ("coordinate", "--clock", "wall", "--run", ".")
FLOORS = {
    "good.map": "type octile\nheight 2\nwidth 3\nmap\n...\n...\n",
    "ragged.map": "type octile\nheight 2\nwidth 3\nmap\n...\n..\n",
    "wrong.map": "type octile\nheight 2\nwidth 3\nmap\n...\n.x.\n",
    "empty.map": "",
    "island.map": "type octile\nheight 3\nwidth 5\nmap\nE..@E\n...@@\n.....\n",
    "floor.txt": "...\n",
    "racks.yaml": "muster: 1\nsize: {cells: [6, 4]}\nracks:\n- {cells: [1, 1, 2, 2]}\n- {cells: [2, 1, 2, 2]}\n",
    "station.yaml": "muster: 1\nsize: {cells: [6, 4]}\nracks: [{cells: [1, 1, 2, 2]}]\nstations: {both: [[2, 2]]}\n",
    "key.yaml": "muster: 1\nsize: {cells: [6, 4]}\ndors: []\n",
    "map.yaml": "image: none.pgm\nresolution: 0.05\norigin: [0, 0, 0]\nnegate: 0\noccupied_thresh: 0.65\n"
    "free_thresh: 0.25\n",
    "broken.launch.yaml": "launch:\n  - executable: {cmd: sleep 1, outptu: log}\n",
    "good.launch.yaml": "launch:\n  - arg: {name: robots, default: '1'}\n  - executable: {cmd: sleep 1}\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    for name, text in FLOORS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def muster(
    folder: Path, *words: str, prepare: Callable[[], None] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run muster in `folder`; `prepare` runs in the new process before it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    return subprocess.run(
        [sys.executable, "-m", "fleet.cli", *words],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        preexec_fn=prepare,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def full_disk() -> None:
    """Every write to a file fails from now on, as on a disk without space."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.fixture
def port_in_use() -> Iterator[str]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield f"tcp://127.0.0.1:{holder.getsockname()[1]}"


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("none.map", "cannot read none.map: No such file or directory"),
        ("ragged.map", "ragged.map, line 6: expected 3 characters as the header's width says, got 2"),
        ("wrong.map", 'wrong.map, line 6, column 2: expected one of .GSE (free) or @OTW (blocked), got "x"'),
        ("empty.map", "empty.map: expected"),
        ("racks.yaml", "racks.yaml, line 5: expected racks that do not overlap, got one on the rack of line 4"),
        ("station.yaml", "station.yaml, line 4: expected a free cell for a station, got column 2, row 2 in a rack"),
        ("key.yaml", 'key.yaml, line 3: file: unknown key "dors"; did you mean "doors"?'),
        ("map.yaml", "cannot read none.pgm: No such file or directory"),
        ("floor.txt", "expected a site as a .yaml, .map, .json or .npz file"),
        ("generate:x", 'expected "generate:SEED"'),
        ("genrate:7", 'did you mean "generate"?'),
        ("island.map", "expected a way between all stations"),
    ],
)
def test_a_bad_floor_is_refused(refused: Callable[..., str], site: str, expected: str) -> None:
    assert expected in refused("sim", "--robots", "r0", "--site", site)


@pytest.mark.parametrize("command", ["coordinate", "robot", "fleet"])
def test_every_process_refuses_a_bad_floor(refused: Callable[..., str], command: str) -> None:
    assert "ragged.map, line 6" in refused(command, "--site", "ragged.map")


def test_more_robots_than_free_cells_are_refused(refused: Callable[..., str]) -> None:
    message = refused("sim", "--site", "good.map", "--robots", "r[0:7]")
    assert "expected at most 6 robots, one for each free cell of good, got 7" in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sim", "--robts", "r0"), 'unknown option "--robts"; did you mean "--robots"?'),
        (("sim", "--robots", ""), "expected at least one robot"),
        (("sim", "--robots", "R0"), '"R0" is no robot id'),
        (("coordinate", "--clock", "wall"), "expected the directory where tasks.sqlite and fleet.key are kept"),
        (("sim", "--cell", "0"), "expected a cell size from 0.05 to 100 m, got 0"),
        (("sim", "--cell", "1e-9"), "expected a cell size from 0.05 to 100 m, got 1e-09"),
        (("sim", "--cell", "-1"), "expected a cell size from 0.05 to 100 m, got -1"),
        (("sim", "--cell", "1e9"), "expected a cell size from 0.05 to 100 m, got 1e+09; give for example 1.2"),
        (("sim", "--cell", "0.3"), "--cell: expected cells of 0.86 m or more, in which a robot of 0.40 m radius turns"),
        (("sim", "--cell", "nan"), '--cell: expected a number, got "nan"'),
        (("sim", "--robots", "r[0:99999999]"), 'expected at most 100000 robots, got "r[0:99999999]"; take fewer'),
        (("sim", "--metrics-port", "99999"), "--metrics-port: expected a port from 1 to 65535, or 0 for none"),
        (("sim", "--people", "-1"), "expected a number of people from 0 up"),
        (("sim", "--person-speed", "3"), "expected a person speed of 0 or 1.6"),
        (("sim", "--clock", "sundial"), "sundial"),
        (("sim", "--seed", "9" * 23), f"--seed: expected a whole number from 0 up to 1000000000, got {'9' * 23}"),
        (("sim", "--patience", "0"), "--patience: expected a time above 0 s, got 0"),
        (("sim", "--key", "none.key"), "cannot read the key file none.key: No such file or directory"),
        (("sim", "--address", "bogus"), "--address: expected tcp://ADDRESS:PORT or ipc://PATH, got 'bogus'"),
        ((*COORDINATE, "--address", "bogus"), "--address: expected tcp://ADDRESS:PORT or ipc://PATH, got 'bogus'"),
        ((*COORDINATE, "--key", "none.key"), "cannot read the key file none.key: No such file or directory"),
        (("fleet", "--key", "none.key"), "cannot read the key file none.key: No such file or directory"),
        (("train", "--seconds", "0"), "--seconds: expected a finite time above 0 s, got 0"),
        (("train", "--device", "abacus"), 'got "abacus"'),
        (("train", "--seed", "1000000001"), "--seed: expected a whole number from 0 up to 1000000000"),
        (("train", "--worlds", "1000000000"), "--worlds: expected at most 131072 worlds, got 1000000000"),
        (("train", "--out", "good.map"), "--out: cannot make the directory good.map: File exists; name another"),
        (("train", "--out", "good.map/deep"), "--out: cannot make the directory good.map/deep: Not a directory"),
        (("coordinate", "--plant", ""), "lockstep needs the plant's address"),
        (("robot", "--policy", "."), "policy.json"),
        (("replay", "nowhere.mcap"), "nowhere.mcap"),
        (("video", "nowhere"), "nowhere"),
        (("evaluate", "--policy", "."), "policy.json"),
        (("evaluate", "--policy", ".", "--seed", "-1"), "--seed: expected a whole number from 0 up"),
        (("evaluate", "--policy", ".", "--worlds", "1000000000"), "--worlds: expected at most 131072 worlds"),
        (("evaluate", "--policy", ".", "--profiles"), "--profiles: expected one or more of no_shield, v0, v16"),
        (
            ("evaluate", "--policy", ".", "--profiles", "v0", "v9"),
            '--profiles: expected one of no_shield, v0, v16, got "v9"',
        ),
        (("keys", "derive"), "make one with `muster keys create`"),
        (("launch", "nowhere.launch.yaml"), "cannot read launch file nowhere.launch.yaml"),
        (
            ("launch", "broken.launch.yaml"),
            'broken.launch.yaml:2: executable: unknown key "outptu"; did you mean "output"?',
        ),
        (("launch", "good.launch.yaml", "robot:=2"), 'unknown launch argument "robot"; did you mean "robots"?'),
        (("launch", "good.launch.yaml", "robots=2"), "expected name:=value"),
        (("lunch", "good.launch.yaml"), 'unknown command "lunch"; did you mean "launch"?'),
    ],
)
def test_a_wrong_word_is_named(refused: Callable[..., str], words: tuple[str, ...], expected: str) -> None:
    assert expected in refused(*words)


def test_a_port_in_use_is_named(refused: Callable[..., str], port_in_use: str) -> None:
    for words in (("sim", "--robots", "r0"), COORDINATE):
        message = refused(*words, "--address", port_in_use)
        assert f"{port_in_use} is in use by another process; stop that process or choose another port" in message


@pytest.mark.parametrize(
    "words",
    [("sim", "--robots", "r0"), ("train", "--steps", "1000"), ("keys", "create"), COORDINATE],
)
def test_a_full_disk_is_named(folder: Path, words: tuple[str, ...]) -> None:
    before = contents(folder)
    done = muster(folder, *words, prepare=full_disk)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "File too large" in one_line(done.stderr, folder, before)


def test_a_truncated_checkpoint_is_refused(refused: Callable[..., str], folder: Path) -> None:
    (folder / "checkpoints").mkdir()
    inside = "checkpoints/step_0000001024.npz"
    for given, path in (("step.npz", "step.npz"), (inside, inside), (".", inside)):
        (folder / path).write_bytes(b"PK\x03\x04 half of a file")
        message = refused("train", "--resume", given, "--steps", "1000")
        assert f"expected a whole checkpoint, {path} (19 bytes) is truncated or damaged" in message
        assert "; resume from another checkpoint or train anew\n" in message


def test_a_truncated_policy_is_refused(refused: Callable[..., str], folder: Path) -> None:
    (folder / "policy.onnx").write_bytes(b"\x08\x08")
    (folder / "policy.json").write_text('{"muster": 1, "onnx_')
    assert "policy.json" in refused("robot", "--policy", ".")


def test_a_robot_needs_the_key_that_was_named(refused: Callable[..., str], policy: str) -> None:
    """A new key under a mistyped name would talk to nobody, and would lie there."""
    message = refused("robot", "--site", "good.map", "--policy", policy.partition(":=")[2], "--key", "none.key")
    assert "cannot read the key file none.key: No such file or directory" in message
    message = refused("robot", "--site", "good.map", "--policy", policy.partition(":=")[2], "--patience", "-1")
    assert "--patience: expected a time above 0 s, got -1" in message


def test_a_plant_that_nobody_joins_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MUSTER_RUN", raising=False)
    before = contents(folder)
    words = ("sim", "--site", "good.map", "--robots", "r0", "--patience", "0.2", "--address", "tcp://127.0.0.1:*")
    handler = signal.getsignal(signal.SIGTERM)
    assert cli.main(words) == 1
    signal.signal(signal.SIGTERM, handler)
    assert "no robot joined within 0.2 s" in capfd.readouterr().out
    assert contents(folder) == before


def test_a_machine_without_opengl_is_told_what_to_install(folder: Path) -> None:
    """Without a vendor's file EGL finds no driver, and OSMesa is not installed here; a fake would prove nothing."""
    world = World(load_site(folder / "good.map"), RobotSpec(), 1)
    world.step()
    world.write(folder, ("r0",))
    before = contents(folder)
    done = muster(folder, "video", "plant.npz", __EGL_VENDOR_LIBRARY_FILENAMES=str(folder / "none.json"))
    if done.returncode == 0:
        pytest.skip("this machine draws by OSMesa")
    assert done.returncode == 2
    message = one_line(done.stderr, folder, before)
    assert "expected OpenGL by EGL or OSMesa" in message
    assert "install libegl1" in message


def test_a_policy_of_another_embodiment_is_refused_with_both_hashes(refused: Callable[..., str], folder: Path) -> None:
    other = replace(navigate_contract(RobotSpec()), embodiment="a" * 64)
    network = ActorCritic(other.observation_size, other.action_size, (8,), generator=torch.Generator().manual_seed(1))
    export(folder, network, Moments(other.observation_size), other, training={}, evaluation={})
    message = refused("robot", "--site", "good.map", "--policy", ".")
    assert "they differ in embodiment" in message
    assert other.hash[:12] in message
    assert navigate_contract(RobotSpec()).hash[:12] in message


@pytest.fixture
def policy(folder: Path) -> str:
    """`policy:=` with one that fits the default robot."""
    contract = navigate_contract(RobotSpec())
    network = ActorCritic(contract.observation_size, contract.action_size, (8,), generator=torch.Generator())
    (folder / "trained").mkdir()
    export(folder / "trained", network, Moments(contract.observation_size), contract, training={}, evaluation={})
    return "policy:=trained"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("robots:=5000", "plant: expected at most 446 robots, one for each free cell of generate:7, got 5000"),
        ("robots:=99999999999", "plant: robots:=99999999999: expected at most 100000 robots"),
        ("robots:=abc", 'plant: robots:=abc: "r[0:abc]" is no slice of robot ids; expected whole numbers'),
        ("robots:=-3", "plant: robots:=-3: "),
        ("robots:=", "plant: robots:=: "),
        ("robots:=0", "plant: robots:=0: expected at least one robot, got none"),
        ("tasks:=-1", "fleet: tasks:=-1: expected 1 to 1000000 tasks, got -1; choose another number\n"),
        ("tasks:=many", 'fleet: tasks:=many: expected a whole number, got "many"\n'),
        ("people:=-1", "plant: people:=-1: expected a number of people from 0 up"),
        ("people:=999", "plant: expected room for 999 people on generate:7"),
        ("seed:=-1", "plant: seed:=-1: expected a whole number from 0 up"),
        ("seed:=99999999999999999999999", "plant: seed:=99999999999999999999999: expected a whole number from 0 up"),
        ("seed:=1.5", 'plant: seed:=1.5: expected a whole number, got "1.5"\n'),
        ("cell:=0", "plant: expected a cell size from 0.05 to 100 m"),
        ("cell:=0.3", "plant: cell:=0.3: expected cells of 0.86 m or more"),
        ("person_speed:=3", "plant: person_speed:=3: expected a person speed of 0 or 1.6 m/s"),
        ("limit:=0", "fleet: limit:=0: expected a time above 0 s"),
        ("clock:=sundial", "clock:=sundial: expected one of lockstep, wall"),
        ("robot_metrics_2:=99999", "host-1: robot_metrics_2:=99999: expected a port from 1 to 65535"),
        ("site:=none.map", "plant: cannot read none.map"),
        ("site:=ragged.map", "plant: ragged.map, line 6: expected 3 characters"),
        ("site:=wrong.map", "plant: wrong.map, line 6, column 2: expected one of"),
        ("site:=empty.map", "plant: empty.map: expected"),
        ("site:=island.map robots:=1", "plant: expected a way between all stations"),
        ("site:=good.map robots:=7", "plant: expected at most 6 robots, one for each free cell of good, got 7"),
    ],
)
def test_a_launch_refuses_a_bad_value_under_its_name(
    refused: Callable[..., str], policy: str, words: str, expected: str
) -> None:
    assert f"muster: {expected}" in refused("launch", FLEET, policy, *words.split())


def test_a_launch_refuses_policies_that_cannot_drive(refused: Callable[..., str], folder: Path, policy: str) -> None:
    hint = "train one with `muster launch launch/warehouse_train.launch.yaml`"
    assert hint in refused("launch", FLEET)
    assert hint in refused("launch", FLEET, "policy:=nowhere")
    manifest, graph = folder / "trained" / "policy.json", folder / "trained" / "policy.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:100])
    assert "host-0: expected trained/policy.onnx to have sha256" in refused("launch", FLEET, policy)
    graph.write_bytes(whole)
    manifest.write_text(manifest.read_text()[:100])
    assert "host-0: expected JSON, trained/policy.json is damaged" in refused("launch", FLEET, policy)
    other = replace(navigate_contract(RobotSpec()), embodiment="a" * 64)
    network = ActorCritic(other.observation_size, other.action_size, (8,), generator=torch.Generator())
    export(folder / "trained", network, Moments(other.observation_size), other, training={}, evaluation={})
    assert "host-0: expected a policy for contract" in refused("launch", FLEET, policy)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("domain:=abc", 'ROS_DOMAIN_ID: expected a number from 0 to 232, came "abc"'),
        ("reach:=LAN", "ROS_AUTOMATIC_DISCOVERY_RANGE: expected one of"),
    ],
)
def test_a_launch_refuses_the_ros_variables_that_its_processes_would(
    refused: Callable[..., str], policy: str, words: str, expected: str
) -> None:
    """What `set_env` gives them is not the launcher's own."""
    pytest.importorskip("cyclonedds")
    assert f"muster: r0.robot: {expected}" in refused("launch", ROBOT, "bus:=dds", policy, words)


def test_a_launch_names_the_argument_of_a_port_in_use(
    refused: Callable[..., str], policy: str, port_in_use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = port_in_use.rpartition(":")[2]
    for name in ("plant_metrics", "coordinator_metrics", "robot_metrics", "robot_metrics_2"):
        assert f": {name}:={port}: {port_in_use} is in use" in refused("launch", FLEET, policy, f"{name}:={port}")
    with socket.socket() as holder:  # a port that is free, for two
        holder.bind(("127.0.0.1", 0))
        free = holder.getsockname()[1]
    message = refused("launch", FLEET, policy, f"plant_metrics:={free}", f"robot_metrics:={free}")
    assert f"robot_metrics:={free} and plant: plant_metrics:={free} both want tcp://127.0.0.1:{free}" in message
    monkeypatch.setenv("MUSTER_PLANT", port_in_use)
    assert re.search(r"warehouse\.launch\.yaml:\d+: plant: --address: ", refused("launch", FLEET, policy))


def test_a_demo_is_refused_before_it_trains(refused: Callable[..., str]) -> None:
    """Its policy is not there yet, which is no reason; a value that cannot be is one."""
    assert "plant: expected at most 446 robots" in refused("launch", DEMO, "robots:=5000")
    assert "fleet: tasks:=0: expected 1 to 1000000 tasks" in refused("launch", DEMO, "tasks:=0")
    plan = read_plan(Path(DEMO), {}, {"MUSTER_RUN": "runs", "MUSTER_PLANT": "tcp://127.0.0.1:*"})
    launch_check(plan)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("seconds:=0", "train: seconds:=0: expected a finite time above 0 s, got 0"),
        ("steps:=-5", "train: steps:=-5: expected 1 or more control steps, got -5"),
        ("target:=95", "train: target:=95: expected a share above 0 and at most 1, got 95"),
        ("worlds:=0", "train: worlds:=0: expected 1 or more worlds, got 0"),
        ("seed:=-1", "train: seed:=-1: expected a whole number from 0 up"),
        ("device:=abacus", "train: device:=abacus: expected device cpu"),
        ("until_target:=soon", 'muster: until_target:=soon: "soon" is no condition; expected true, false, 1 or 0'),
        ("curriculum:=hope", "curriculum"),
        ("randomization:=none.yaml", "train: randomization:=none.yaml: cannot read none.yaml"),
    ],
)
def test_a_training_is_refused_before_it_begins(refused: Callable[..., str], words: str, expected: str) -> None:
    assert expected in refused("launch", TRAIN, words)


@pytest.mark.parametrize("show", [(), ("--show-randomization",)])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("payload: {high: 300}", "ranges.yaml, line 3: payload: high: expected a number from 0 to 40 kg, got 300"),
        ("frictoin: {low: 0.5}", 'ranges.yaml, line 3: rows: unknown key "frictoin"; did you mean "friction"'),
    ],
)
def test_a_randomization_out_of_its_bounds_is_refused(
    refused: Callable[..., str], folder: Path, row: str, expected: str, show: tuple[str, ...]
) -> None:
    (folder / "ranges.yaml").write_text(f"muster: 1\nrows:\n  {row}\n")
    message = refused("launch", TRAIN, "randomization:=ranges.yaml", *show)
    assert "train: randomization:=ranges.yaml: " in message
    assert expected in message


def test_a_refused_launch_starts_nothing(folder: Path) -> None:
    """As a process of its own: nothing on stdout, so no run directory was made and no kernel compiled."""
    before = contents(folder)
    done = muster(folder, "launch", FLEET, "robots:=0")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "robots:=0" in one_line(done.stderr, folder, before)
