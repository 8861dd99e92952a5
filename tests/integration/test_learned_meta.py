"""One launch of a fleet whose robots answer offers by a frozen meta policy, in the layout that a hierarchy leaves.

The policy takes the longest way that it is offered, which no rule of ours would: what it chose is told from what the
coordinator would have assigned.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agents.choices import ChoiceNetwork, Prior
from coordination.messages import Chosen, Offer
from fleet.legs import LegTable
from fleet.meta_train import SHAPE, freeze
from fleet.recordings import find_files, read_steps
from hierarchy.chooser import META, Chooser, Rule, answer, load_chooser
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy

TASKS = 9


def write_longest_way(directory: Path, skill: Path) -> Chooser:
    """A meta policy on the skill: logit 50 x way / 20 cells for a task, and never to charge."""
    tasks = torch.zeros(SHAPE.features)
    tasks[1] = 50.0
    prior = Prior(tasks, torch.zeros(SHAPE.context, 1), -100.0)
    network = ChoiceNetwork(SHAPE, 8, prior, torch.Generator().manual_seed(0))
    policy = write_hand_policy(skill)
    return freeze(directory, network, RobotSpec(), policy, Rule(1.0, 0.3, 0.9), LegTable(skill=policy.hash), 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """navigate/ and meta/ side by side."""
    root = tmp_path_factory.mktemp("hierarchy")
    (root / "navigate").mkdir()
    write_longest_way(root / META, root / "navigate")
    return root


@pytest.fixture(scope="module")
def run(trained: Path, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The run directory of three robots and nine tasks, some 20 s."""
    runs = tmp_path_factory.mktemp("runs")
    words = [
        "launch/warehouse.launch.yaml", f"policy:={trained / 'navigate'}", "meta:=learned", "robots:=3",
        f"tasks:={TASKS}", "people:=0", "video:=false", "limit:=200",
    ]  # fmt: skip
    done = muster(root, "launch", *words, "--runs", str(runs))
    assert done.returncode == 0, done.stdout + done.stderr
    (directory,) = runs.iterdir()
    return directory


def muster(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    command = [sys.executable, "-m", "fleet.cli", *words]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=400, check=False)


def answers(run: Path) -> list[tuple[str, float, Offer, Chosen]]:
    """What the black boxes hold of the first answer to each offer: robot, state of charge, offer, answer."""
    found: dict[tuple[str, int], tuple[str, float, Offer, Chosen]] = {}
    for file in find_files(run):
        robot = file.stem.partition("-")[0]
        for inputs, outputs in read_steps(file)[1]:
            offer = inputs.picture.offer if inputs.picture is not None else None
            said = outputs.report.chosen
            if offer is not None and said is not None and said.offer == offer.id:
                found.setdefault((robot, offer.id), (robot, inputs.battery, offer, said))
    return list(found.values())


@pytest.mark.slow
def test_a_fleet_that_chooses_by_a_policy_does_all_its_tasks(run: Path) -> None:
    with sqlite3.connect(run / "tasks.sqlite") as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM tasks")]
    connection.close()
    assert states == [3] * TASKS  # TaskState.DONE
    plant = json.loads((run / "plant.json").read_text())
    assert (plant["collisions"], plant["oracle_collisions"]) == (0, 0)
    assert json.loads((run / "audit.json").read_text())["findings"] == 0


@pytest.mark.slow
def test_every_assignment_is_an_answer_that_the_policy_gave(run: Path, trained: Path) -> None:
    chooser = load_chooser(trained / "navigate", RobotSpec(), None)
    given = answers(run)
    for _, battery, offer, said in given:
        assert said == answer(chooser, offer, battery)
        ways = {line.task: line.way for line in offer.tasks}
        assert ways[said.task] == max(ways.values())
    with sqlite3.connect(run / "tasks.sqlite") as connection:
        assigned = connection.execute("SELECT robot, task FROM events WHERE event = 'assign'").fetchall()
    connection.close()
    assert len(assigned) == TASKS
    assert set(assigned) <= {(robot, said.task) for robot, _, _, said in given}
    differs = [said for _, _, offer, said in given if said.task != offer.tasks[0].task]
    assert differs, "the rule takes the cheapest, which stands first"


@pytest.mark.slow
def test_black_boxes_of_robots_that_choose_replay_identically(run: Path, root: Path) -> None:
    done = muster(root, "replay", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split("/blackbox/")[1].partition("-")[0] for line in done.stdout.splitlines()[:-1]} == {
        "r0",
        "r1",
        "r2",
    }
    assert "0 with differences" in done.stdout


@pytest.mark.slow
def test_what_robots_drew_is_known_with_its_probability_and_few_choices_are_no_ground(
    trained: Path, tmp_path: Path, root: Path
) -> None:
    words = [
        "launch/warehouse.launch.yaml", f"policy:={trained / 'navigate'}", "meta:=learned", "explore:=0.5", "robots:=3",
        f"tasks:={TASKS}", "people:=0", "video:=false", "limit:=200",
    ]  # fmt: skip
    done = muster(root, "launch", *words, "--runs", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    given = answers(run)
    assert {said.exploration for _, _, _, said in given} == {True, False}
    assert all(not said.deterministic and said.log_probability <= 0.0 for _, _, _, said in given)
    replayed = muster(root, "replay", str(run))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    told = tmp_path / "estimate.json"
    judged = muster(root, "evaluate-offline", str(run), "--policy", str(trained), "--out", str(told))
    assert judged.returncode == 3, judged.stdout + judged.stderr
    assert "unknown: the logs are worth" in judged.stdout
    estimate = json.loads(told.read_text())
    assert estimate["choices"] >= TASKS - 3  # all but the last of each robot
    assert estimate["logged"] > 0.0


def test_a_fleet_without_its_meta_policy_is_not_started(trained: Path, tmp_path: Path, root: Path) -> None:
    """One line before anything is made: the skill of another training has no meta beside it, or one that is not its."""
    (tmp_path / "navigate").mkdir()
    write_hand_policy(tmp_path / "navigate", RobotSpec())
    words = ["launch/warehouse.launch.yaml", f"policy:={tmp_path / 'navigate'}", "meta:=learned", "--runs"]
    done = muster(root, "launch", *words, str(tmp_path / "runs"))
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert str(tmp_path) in line
    assert not (tmp_path / "runs").exists()
