"""`muster robot` by the leases of `muster rollout serve`: two real processes, a recorded plant, an operator's kill."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from agents.policy import Policy
from coordination.keys import Keys, new_keys, read_keys, write_keys
from fleet import cli
from fleet.control import ControlConfig
from fleet.records import Inputs, Outputs
from fleet.registry.pins import pins
from fleet.replay import replay_all
from fleet.rollout.events import FILE, Store
from fleet.rollout.leasing import RELEASES
from fleet.rollout.plan import Course, Stage
from fleet.rollout.record import Gate, Target
from fleet.rundir import ENVIRONMENT, create_run
from fleet.salvage import read_recording
from tests.fleet.episodes import delivery
from tests.fleet.recorded_plant import SITE, RecordedPlant, make_recording
from tests.fleet.rollout.rollouts import NEW, OLD, PLAN, started
from tests.fleet.rollout.test_serve import ROOT, serve
from tests.fleet.test_swap import slower, who_answered

SPEED = 0.25
"""m/s of the closed course"""


@pytest.mark.slow
def test_a_robot_drives_the_candidate_slowly_on_the_course_until_an_operator_kills_it(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    write_keys(run.key, new_keys())
    keys = read_keys(run.key)
    write_keys(tmp_path / "operator_anna.key", Keys(nodes={"operator_anna": keys.node("operator_anna") or b""}))
    make_recording(run.root, seconds=16.0, assignment=delivery(12))
    first, second = Policy.load(run.root), slower(tmp_path / "second", run.root, 0.599)
    (run.root / RELEASES).mkdir()
    (tmp_path / "second").rename(run.root / RELEASES / NEW.release)
    pinned = pins(ControlConfig())
    store = Store(run.root / FILE, keys)
    course = Course(robots=("r0",), fence=(-100.0, -100.0, 100.0, 100.0), speed=SPEED, checklist=PLAN.course.checklist)
    store.append(
        started(
            candidate=Target(NEW.release, pinned.embodiment, pinned.shield),
            baseline=Target(OLD.release, pinned.embodiment, pinned.shield),
            plan=msgspec.structs.replace(PLAN, course=course),
        )
    )
    for stage in (Stage.OFFLINE, Stage.SUITE, Stage.SHADOW):
        store.append(Gate(stamp=0, stage=stage, decision="promote", reason="good"))
    service, address = serve(run.root, "tcp://127.0.0.1:*", tmp_path / "log")
    plant = RecordedPlant(run.root, keys, pace=0.2)
    words = ["robot", "--site", str(run.root / SITE), "--plant", plant.plant, "--coordinator", plant.coordinator]
    robot = subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", *words, "--rollout", address],
        env={**os.environ, ENVIRONMENT: str(run.root), "PYTHONPATH": str(ROOT)},
        cwd=run.root,
        stdout=subprocess.DEVNULL,
    )
    serving = threading.Thread(target=plant.serve, args=(120.0,))
    serving.start()
    try:
        status = run.root / "serving-r0.json"

        def until(policy: Policy) -> None:
            deadline = time.monotonic() + 90.0
            while not status.exists() or json.loads(status.read_text())["current"] != policy.hash[:12]:
                assert time.monotonic() < deadline
                assert robot.poll() is None
                time.sleep(0.02)

        until(second)
        driven = len(plant.commands) + 10
        while len(plant.commands) < driven:  # the candidate's steps
            assert robot.poll() is None
            time.sleep(0.02)
        key = str(tmp_path / "operator_anna.key")
        assert cli.main(["rollout", "kill", str(run.root), "--key", key, "--reason", "a try"]) == 0
        until(first)
        serving.join(120.0)
        assert robot.wait(60.0) == 0
    finally:
        robot.kill()
        robot.wait()
        service.terminate()
        service.wait(30.0)
        serving.join(120.0)
        plant.close()
    boxes = sorted(path for path in run.blackbox.iterdir() if path.suffix == ".mcap")
    answered = [name for box in boxes for name in who_answered(box)]
    assert second.hash[:12] in answered
    drove, inputs = [], None
    for message in (message for box in boxes for chunk in read_recording(box).chunks for message in chunk):
        if message.channel == "inputs":
            inputs = msgspec.msgpack.decode(message.data, type=Inputs)
        elif message.channel == "outputs" and inputs is not None:
            drove.append(inputs.release)
            assert (inputs.speed == SPEED) is bool(inputs.release)
            if inputs.release:
                assert abs(msgspec.msgpack.decode(message.data, type=Outputs).released[0]) <= SPEED + 1e-6
    assert drove.count(NEW.release[:12]) > 3
    assert drove[-1] == ""  # after the kill; what was recorded drove faster, so nothing is asked there
    for verdict in replay_all(run.root):
        assert verdict.identical, verdict.line()
