"""`muster swap`: robots are given another policy while they drive, and replay knows who answered."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import numpy_helper

from agents.policy import MANIFEST, MODEL, Policy, graph_hash
from coordination.keys import new_keys, read_keys, write_keys
from fleet import cli, swap
from fleet.blackbox import BlackBox
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from fleet.records import Outputs
from fleet.replay import replay_all
from fleet.rundir import ENVIRONMENT, RunDirectory, create_run, is_unused
from fleet.salvage import read_recording
from fleet.served import POLICIES, Served, keep
from fleet.serving import Change, Outcome
from fleet.swap import REQUEST, Config, Desk, Request, Status, SwapError, read_request, version_before
from sim.files import write_atomic
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.recorded_plant import SITE, RecordedPlant, make_recording

SPEC = RobotSpec()


def slower(place: Path, source: Path, share: float) -> Policy:
    """The hand policy of `source` with another share of the full speed."""
    place.mkdir(exist_ok=True)
    model = onnx.load(source / MODEL)
    for tensor in model.graph.initializer:
        if tensor.name == "share":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 0 + share, "share"))
    data = model.SerializeToString(deterministic=True)
    manifest = json.loads((source / MANIFEST).read_text())
    (place / MODEL).write_bytes(data)
    (place / MANIFEST).write_text(json.dumps({**manifest, "onnx_sha256": graph_hash(data)}))
    return Policy.load(place)


# replay ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Policy, Policy]:
    """A run whose robot was given a slower policy after 3 s and the first one again after 6."""
    first = write_hand_policy(tmp_path, SPEC)
    second = slower(tmp_path / "second", tmp_path, 0.3)
    keep(Served(second), tmp_path / "second", tmp_path / POLICIES)
    shutil.rmtree(tmp_path / "second")
    site = aisle()
    config = ControlConfig(spec=SPEC)
    stepper = Stepper(config, site, first)
    scan = walls(site, SPEC.lidar.rays, SPEC.lidar.range_max)
    episode = Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(site, delivery(8)))
    for policy in (first, second, first):
        stepper.use(policy, None)
        episode.run(3.0)
    box = BlackBox(tmp_path / "blackbox", "r0", *write_header(config, site, first))
    for step in episode.steps:
        box.append(step)
    box.close()
    return tmp_path, first, second


def test_a_recording_with_a_swap_replays_with_each_policy_where_it_answered(
    recorded: tuple[Path, Policy, Policy],
) -> None:
    root, first, second = recorded
    (verdict,) = replay_all(root)
    assert verdict.identical, verdict.line()
    assert not verdict.notes
    assert verdict.asked > 60
    kept = root / POLICIES / second.hash
    assert kept.exists()
    slower(kept, root, 0.2)  # another policy under the old name would be found out
    shutil.move(kept, root / POLICIES / ("f" * 64))
    (verdict,) = replay_all(root)
    assert verdict.identical
    assert verdict.notes == [
        f"policy {second.hash[:12]}, which took over, is not in the run: its outputs were not compared"
    ]
    assert first.hash[:12] != second.hash[:12]


def test_a_kept_policy_that_does_not_answer_as_recorded_is_a_difference(
    recorded: tuple[Path, Policy, Policy],
) -> None:
    root, _, second = recorded
    other = slower(root / "other", root, 0.31)
    shutil.rmtree(root / POLICIES)
    shutil.move(root / "other", root / POLICIES / (second.hash[:12] + other.hash[12:]))
    (verdict,) = replay_all(root)
    assert verdict.difference is not None
    assert verdict.difference.field == "policy output"


# a robot's process -------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    run = create_run(tmp_path)
    write_keys(run.key, new_keys())
    make_recording(run.root, seconds=16.0, assignment=delivery(12))
    return run


@pytest.fixture
def recorded_plant(directory: RunDirectory) -> Iterator[RecordedPlant]:
    plant = RecordedPlant(directory.root, read_keys(directory.key), pace=0.05)
    yield plant
    plant.close()


def test_a_driving_robot_is_given_another_policy_and_the_one_before(
    directory: RunDirectory, recorded_plant: RecordedPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = directory.root
    first, second = Policy.load(root), slower(tmp_path / "second", root, 0.599)
    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / "second", damaged)
    with (damaged / MODEL).open("ab") as stream:
        stream.write(b"\0")
    command = [sys.executable, "-m", "fleet.cli", "robot", "--site", str(root / SITE)]
    command += ["--plant", recorded_plant.plant, "--coordinator", recorded_plant.coordinator]
    here = Path(__file__).parents[2]
    environment = {**os.environ, ENVIRONMENT: str(root), "PYTHONPATH": str(here)}
    process = subprocess.Popen(command, env=environment, cwd=root, text=True, stdout=subprocess.PIPE)
    serving = threading.Thread(target=recorded_plant.serve)
    serving.start()
    with process, contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        status = root / "serving-r0.json"
        deadline = time.monotonic() + 60.0
        while not status.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert cli.main(["swap", str(root), "--policy", str(tmp_path / "second")]) == 0
        assert capsys.readouterr().out == f"r0: {second.hash[:12]} drives, {first.hash[:12]} is kept warm\n"
        assert cli.main(["swap", str(root), "--policy", str(damaged)]) == 2
        said = capsys.readouterr()
        assert said.out.startswith(f"r0: refused, {second.hash[:12]} drives on: expected {damaged / MODEL} to have")
        assert said.err == "muster: r0 drive on with what they had; give another policy or ask again\n"
        assert cli.main(["swap", str(root), "--back"]) == 0
        assert capsys.readouterr().out == f"r0: {first.hash[:12]} drives again, {second.hash[:12]} is kept warm\n"
        assert json.loads(status.read_text())["current"] == first.hash[:12]
        serving.join(60.0)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"r0: {second.hash[:12]} drives" in output
    (box,) = directory.blackbox.iterdir()
    answered = who_answered(box)
    assert answered == [first.hash[:12], second.hash[:12], first.hash[:12]]
    (verdict,) = replay_all(root)
    assert verdict.identical, verdict.line()
    assert not verdict.notes
    assert len(recorded_plant.commands) == len(recorded_plant.moments)  # every cycle was answered


def who_answered(box: Path) -> list[str]:
    """The policies that answered in a black box, each as often as it took over."""
    names: list[str] = []
    for chunk in read_recording(box).chunks:
        for message in chunk:
            if message.channel == "outputs":
                answer = msgspec.msgpack.decode(message.data, type=Outputs).answer
                if answer is not None and names[-1:] != [answer.policy]:
                    names.append(answer.policy)
    return names


# the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run(tmp_path)


def host(run: RunDirectory, **changes: object) -> None:
    status = {"muster": 1, "pid": os.getpid(), "robots": ["r0", "r1"], "current": "a" * 12, **changes}
    (run.root / "serving-r0.json").write_text(json.dumps(status))


def test_a_swap_says_either_what_or_back(run: RunDirectory) -> None:
    for config in (Config(run.root), Config(run.root, policy=run.root, back=True)):
        with pytest.raises(SwapError, match="give one of them"):
            swap.run(config)
    with pytest.raises(SwapError, match="expected a time above 0 s"):
        swap.run(Config(run.root, back=True, patience=0.0))


def test_robots_that_are_gone_or_silent_are_named(run: RunDirectory) -> None:
    with pytest.raises(SwapError, match="expected robots that drive in"):
        swap.run(Config(run.root, back=True))
    assert is_unused(run)
    ended = subprocess.Popen(["true"])
    ended.wait()
    host(run, pid=ended.pid)
    assert is_unused(run), "a robot that never drove leaves no result"
    with pytest.raises(SwapError, match="expected robots that drive in"):
        swap.run(Config(run.root, back=True))
    assert read_request(run.root) is None, "nobody was asked"
    host(run, previous="b" * 12)
    with pytest.raises(SwapError, match=r"expected an answer within 0.2 s, r0, r1 gave none"):
        swap.run(Config(run.root, back=True, patience=0.2))
    assert read_request(run.root) == Request(1, 1, "", "b" * 12)


@pytest.mark.parametrize("pid", [0, -1, 1 << 31, 1 << 62])
def test_a_status_of_no_process_is_no_host(run: RunDirectory, pid: int) -> None:
    """Whoever can write there could name a group of processes, or a number that the kernel has none for."""
    host(run, pid=pid)
    with pytest.raises(SwapError, match="expected robots that drive in"):
        swap.run(Config(run.root, back=True, patience=0.1))


@pytest.mark.parametrize(
    ("hosts", "version"),
    [
        ([("b", "a")], "a"),
        ([("b", "a"), ("b", "a")], "a"),
        ([("c", "b"), ("b", "a")], "b"),  # one refused c
        ([("b", "a"), ("a", "")], "a"),  # one was started again
        ([("a", "")], ""),
        ([("b", "a"), ("c", "")], ""),
        ([("c", "b"), ("b", "c")], ""),
        ([("c", "b"), ("d", "a")], ""),
    ],
)
def test_all_robots_go_back_to_one_version_or_none_does(hosts: list[tuple[str, str]], version: str) -> None:
    told = [Status(1, 1, (f"r{number}",), *names) for number, names in enumerate(hosts)]
    if version:
        assert version_before(told) == version
    else:
        with pytest.raises(SwapError, match="expected one version to go back to, robots drive r0 by"):
            version_before(told)


def test_a_robot_that_is_started_again_takes_up_the_version_that_the_others_went_back_to(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = types.SimpleNamespace(name="r0")
    asked: list[tuple[str, str]] = []
    desk = Desk(run.root, [seat], Served(types.SimpleNamespace(hash="a" * 64)), lambda place: None)  # type: ignore[arg-type, list-item, return-value]
    monkeypatch.setattr(desk.serving, "request", lambda place, number: asked.append(("load", place.name)))
    monkeypatch.setattr(desk.serving, "request_back", lambda number, name: asked.append(("back", name)))
    chooses = "+".join(("d" * 64, "e" * 64))
    for name in ("b" * 64, chooses):
        (run.root / POLICIES / name).mkdir(parents=True)
    versions = ("b" * 12, "a" * 12, "c" * 12, "..", "d" * 12 + "+" + "e" * 12, "d" * 12 + "+" + "b" * 12)
    for number, version in enumerate(versions, start=1):
        write_atomic(run.root / REQUEST, json.dumps({"muster": 1, "number": number, "version": version}))
        desk._look()
    back = [("back", version) for version in versions]
    assert asked == [("load", "b" * 64), *back[1:4], ("load", chooses), back[5]]


def test_a_request_is_numbered_after_all_that_was_asked_or_answered(run: RunDirectory) -> None:
    host(run, number=4)
    for number in (5, 6):
        with pytest.raises(SwapError):
            swap.run(Config(run.root, policy=run.root, patience=0.1))
        assert read_request(run.root) == Request(1, number, str(run.root))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot be read"), ('{"muster": 1}', "cannot be read"), ('{"muster": 2, "number": 1}', "of version 1")],
)
def test_a_request_that_cannot_be_read_is_said(run: RunDirectory, text: str, said: str) -> None:
    (run.root / swap.REQUEST).write_text(text)
    with pytest.raises(SwapError, match=said):
        read_request(run.root)


def test_a_status_that_cannot_be_read_is_no_host(run: RunDirectory) -> None:
    (run.root / "serving-r0.json").write_text("{")
    with pytest.raises(SwapError, match="expected robots that drive in"):
        swap.run(Config(run.root, back=True))


def test_each_step_knows_the_release_by_which_a_lease_lets_it_drive(run: RunDirectory) -> None:
    stated: list[dict[str, str]] = []
    seat = types.SimpleNamespace(
        name="r0", opened="", release="", place=None, speed=0.0,
        metrics=types.SimpleNamespace(swap=lambda name, outcome: None),
        stepper=types.SimpleNamespace(use=lambda policy, chooser: None),
        box=types.SimpleNamespace(restate=lambda **said: stated.append(said)),
    )  # fmt: skip
    served = Served(types.SimpleNamespace(hash="a" * 64, contract_hash="c" * 64))  # type: ignore[arg-type]
    desk = Desk(run.root, [seat], served, lambda place: served)  # type: ignore[list-item]
    for release, outcome in (("de" * 32, Outcome.SWAPPED), ("", Outcome.BACK)):
        change = Change(outcome, 1, "said")
        desk.tether = types.SimpleNamespace(keep=lambda places, change=change: change, release=release, speed=0.0)  # type: ignore[assignment]
        desk.swap()
        assert seat.release == release[:12]
    assert [said["release"] for said in stated] == ["de" * 32, ""]
