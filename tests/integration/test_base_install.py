"""A robot's computer has the base install: neither learner, simulator nor planner. Every command for it runs there.

Unlike tests/integration/test_wheel.py this needs no package index: the environment is linked from this one.
"""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from fleet.commands import COMMANDS
from fleet.rundir import ENVIRONMENT, RunDirectory, create_run
from tests.fleet.baseinstall import Environment, make_environment
from tests.fleet.drivepolicies import write_driving_policies
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.recorded_plant import SITE, RecordedPlant

HEAVY = (
    "torch", "mujoco", "mujoco_warp", "gymnasium", "pettingzoo", "numba", "networkx", "scipy", "onnx", "tensorboard",
    "imageio", "viser", "starlette", "z3", "stable_baselines3", "highway_env", "pytest", "hypothesis",
)  # fmt: skip
OURS = sorted(name for name, command in COMMANDS.items() if not command.extra)
"""Commands that say of themselves that they need no extra."""

LOADED = """
import json, sys
from fleet import cli
said = {}
for name in json.loads(sys.argv[1]):
    try:
        module = cli.load(name)
        cli.parse(name, module.Config, ["--no-such-option"])
    except cli.UsageError as error:
        said[name] = str(error)
print(json.dumps(said))
"""
"""What each of these commands says to an option that none has: it was imported, and read its words."""


@pytest.fixture(scope="module", params=["", "ros"], ids=["base", "ros"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Environment:
    return make_environment(tmp_path_factory.mktemp("base") / "venv", root, request.param)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Environment:
    return make_environment(tmp_path_factory.mktemp("base") / "venv", root)


def loaded(environment: Environment, names: list[str]) -> dict[str, str]:
    done = environment.run("-c", LOADED, json.dumps(names))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_environment_is_the_base_install_alone(environment: Environment) -> None:
    program = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    assert environment.run("-c", program, *HEAVY).stdout == "[]\n"
    needed = ("numpy", "warp", "onnxruntime", "msgspec", "zmq", "mcap", "tyro", "rich", "prometheus_client", "yaml")
    assert environment.run("-c", program, *needed).stdout == f"{list(needed)}\n"


def test_a_command_that_names_no_extra_needs_none(environment: Environment) -> None:
    assert {"robot", "launch", "keys", "estop", "swap"} <= set(OURS)
    for name, said in loaded(environment, OURS).items():
        assert said.startswith(f"{name}: "), said


def test_a_command_that_needs_an_extra_names_it_or_can_be_read_without(base: Environment) -> None:
    others = sorted(set(COMMANDS) - set(OURS))
    said = loaded(base, others)
    for name, text in said.items():
        wanted = f"pip install 'muster[{COMMANDS[name].extra}]'"
        assert text.endswith(wanted) or text.startswith(f"{name}: "), text
    assert "not installed" in said["sim"]
    assert said["replay"].startswith("replay: "), "only --sim of it needs the simulator"


def test_an_import_of_the_learner_anywhere_on_the_way_is_found(tmp_path: Path, root: Path) -> None:
    shutil.copytree(root / "fleet", tmp_path / "fleet", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "fleet" / "served.py").open("a", encoding="utf-8") as stream:
        stream.write("\nimport torch\n")
    planted = make_environment(tmp_path / "venv", root, packages=(tmp_path / "fleet",))
    done = planted.run("-c", LOADED, json.dumps(["robot"]))
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


def test_modules_for_ros_lack_nothing_but_ros(environment: Environment) -> None:
    """rclpy comes with ROS 2 alone; the embedded bus's library is in the extra."""
    program = (
        "import pkgutil, importlib, json, fleet.ros\n"
        "lacking = {}\n"
        "for module in pkgutil.walk_packages(fleet.ros.__path__, 'fleet.ros.'):\n"
        "    try: importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error: lacking[module.name] = error.name.partition('.')[0]\n"
        "print(json.dumps(lacking))"
    )
    done = environment.run("-c", program)
    assert done.returncode == 0, done.stderr
    allowed = {"rclpy"} if "cyclonedds" in environment.names else {"rclpy", "cyclonedds"}
    assert set(json.loads(done.stdout).values()) <= allowed, done.stdout


def test_a_robots_computer_is_examined_with_what_is_on_it(environment: Environment, tmp_path: Path) -> None:
    """Whether all is well depends on the computer; that all of it is looked at does not."""
    done = environment.muster("doctor", "--json", "--listen", "0.5", "--runs", tmp_path, ROS_DOMAIN_ID="87")
    assert done.returncode in (0, 1), done.stderr
    findings = json.loads(done.stdout)["findings"]
    verdicts = {each["name"]: each["verdict"] for each in findings}
    assert {verdicts[name] for name in ("zmq", "onnxruntime", "kernels", "spec", "writable")} == {"ok"}
    assert verdicts["dds"] == ("ok" if "cyclonedds" in environment.names else "note")


# a car -------------------------------------------------------------------------------------------------------------

NODE = """
import sys
from pathlib import Path
from fleet.car import road_of
from fleet.carlog import CarLog
from fleet.carnode import CarNode, CarSettings
from fleet.drivereplay import replay_drive
from fleet.drivinglevels import read_driving_levels
from fleet.ros.loop import LoopBus, LoopNetwork
from sim.bodies.specs import CAR
levels, road = read_driving_levels(Path(sys.argv[1])), road_of("town:7")
log = CarLog(Path(sys.argv[2]), road, CAR, "x", "")
node = CarNode(LoopBus(LoopNetwork()), road, levels, CAR, CarSettings(), log=log)
node.start()
print(node.poll(), node.doubts()[0])
node.close()
"""
"""A car's computer without a bus to others: map, policies, node, black box, a control step."""


def test_a_cars_map_is_an_extra_that_is_named_where_it_is_missing(base: Environment, tmp_path: Path) -> None:
    policies = write_driving_policies(tmp_path / "policies")
    drive = ["car", "--site", "town:7", "--policy", policies, "--bus", "dds"]
    launch = ["launch", Path(__file__).resolve().parents[2] / "launch" / "car.launch.yaml", f"policy:={policies}"]
    for words in (drive, launch):
        done = base.muster(*words, MUSTER_RUN="")
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "muster car needs networkx, which is not installed; pip install 'muster[car,ros]'" in done.stderr


def test_the_doctor_looks_at_policies_with_what_a_robots_computer_has(base: Environment, tmp_path: Path) -> None:
    write_hand_policy(tmp_path)
    driving = write_driving_policies(tmp_path / "driving")
    found = {}
    for place in (tmp_path, driving):
        looked = base.muster("doctor", "--bus", "none", "--policy", place, "--json", "--runs", tmp_path)
        (found[place],) = [each for each in json.loads(looked.stdout)["findings"] if each["name"] == "policy"]
    assert found[tmp_path]["verdict"] == "ok", found
    assert "onnx, which is not installed; pip install 'muster[car]'" in found[driving]["found"]


def test_a_cars_computer_needs_its_extra_and_neither_learner_nor_simulator(tmp_path: Path, root: Path) -> None:
    policies = write_driving_policies(tmp_path / "policies")
    car = make_environment(tmp_path / "venv", root, "car")
    program = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    assert car.run("-c", program, *HEAVY).stdout == "['networkx', 'scipy', 'onnx']\n"
    done = car.run("-c", NODE, policies, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True odom: expected a"), done.stdout
    looked = car.muster("doctor", "--bus", "none", "--policy", policies, "--json", "--runs", tmp_path)
    (found,) = [each for each in json.loads(looked.stdout)["findings"] if each["name"] == "policy"]
    assert found["verdict"] == "ok", found


# a robot drives ----------------------------------------------------------------------------------------------------


def test_a_launch_file_with_a_robot_runs_and_its_black_box_replays(
    base: Environment, recorded_run: RunDirectory, recorded_plant: RecordedPlant
) -> None:
    """Runner, warm-up of the kernels, robot, watchdog, black box and replay."""
    file = recorded_run.root / "one.launch.yaml"
    words = f"--robots r0 --site {recorded_run.root / SITE} --plant {recorded_plant.plant}"
    words += f" --coordinator {recorded_plant.coordinator}"
    file.write_text(f"launch:\n  - executable:\n      cmd: muster robot {words}\n      name: r0\n")
    serving = threading.Thread(target=recorded_plant.serve, args=(300.0,))
    serving.start()
    done = base.muster("launch", file, **{ENVIRONMENT: str(recorded_run.root)})
    serving.join(60.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernels ready" in done.stdout
    assert recorded_plant.commands == {moment.cycle.round: moment.released for moment in recorded_plant.moments}
    replayed = base.muster("replay", recorded_run.root)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert f"identical, {len(recorded_plant.moments)} steps" in replayed.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["swap", "RUN", "--back"], "expected robots that drive in"),
        (["estop", "show", "--address", "tcp://127.0.0.1:1", "--timeout", "0.2"], "muster: "),
        (["robot", "--policy", "nowhere"], "expected a trained policy"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_what_is_wrong_is_one_line_there_too(base: Environment, tmp_path: Path, words: list[str], said: str) -> None:
    run = create_run(tmp_path)
    done = base.muster(*(str(run.root) if word == "RUN" else word for word in words))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr
