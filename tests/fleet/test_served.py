"""What a robot may be given while it drives: every way in which a policy does not fit is one line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from agents.errors import ContractMismatch, PolicyError
from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import MANIFEST, MODEL, Policy, graph_hash
from fleet import served
from fleet.control import ControlConfig, Stepper
from fleet.guards.ask import asker
from fleet.guards.watch import GuardMemory
from fleet.served import Loader, Served, kept, rehearse
from hierarchy.chooser import choose_contract
from sim.files import FileError
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import navigate_contract
from tests.fleet.episodes import aisle
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
CONTRACT = navigate_contract(SPEC)


def network(directory: Path, seed: int, *, limited: bool = False, spec: RobotSpec = SPEC) -> Policy:
    """An untrained policy."""
    contract = navigate_contract(spec, limited=limited)
    generator = torch.Generator().manual_seed(seed)
    made = ActorCritic(contract.observation_size, contract.action_size, (16,), generator=generator)
    directory.mkdir(parents=True, exist_ok=True)
    return export(directory, made, Moments(contract.observation_size), contract, training={}, evaluation={})


def graph(
    directory: Path, *nodes: tuple[str, list[str]], size: int = CONTRACT.observation_size, width: int = 2
) -> Path:
    """A policy whose graph is these operators one after the other, under an honest manifest."""
    directory.mkdir(exist_ok=True)
    made = [helper.make_node("Slice", ["observation", "from", "to", "axis"], ["x0"])]
    made += [helper.make_node(kind, [f"x{k}", *more], [f"x{k + 1}"]) for k, (kind, more) in enumerate(nodes)]
    made.append(helper.make_node("Identity", [f"x{len(nodes)}"], ["action"]))
    ints = {"from": [0], "to": [width], "axis": [1]}
    whole = helper.make_graph(
        made,
        "graph",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["rows", size])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor(name, TensorProto.INT64, [1], values) for name, values in ints.items()]
        + [helper.make_tensor("hundred", TensorProto.FLOAT, [1], [100.0])],
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return write(directory, model.SerializeToString())


def write(directory: Path, data: bytes) -> Path:
    (directory / MODEL).write_bytes(data)
    manifest = {
        "muster": 1,
        "onnx_sha256": graph_hash(data),
        "contract": json.loads(CONTRACT.json()),
        "contract_hash": CONTRACT.hash,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return directory


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """The loader of a robot that drives by the hand policy."""
    (tmp_path / "first").mkdir()
    return Loader(ControlConfig(spec=SPEC), write_hand_policy(tmp_path / "first", SPEC), tmp_path / "policies")


def test_a_policy_that_fits_is_ready_and_kept_in_the_run(load: Loader, tmp_path: Path) -> None:
    policy = network(tmp_path / "next", 1)
    for place in (tmp_path / "next", tmp_path / "next" / MODEL):
        came = load(place)
        assert came.name == policy.hash[:12]
    kept = Policy.load(tmp_path / "policies" / policy.hash)
    assert kept.hash == policy.hash


def test_a_policy_for_another_body_or_observation_is_refused(load: Loader, tmp_path: Path) -> None:
    network(tmp_path / "longer", 1, spec=dataclasses.replace(SPEC, length=0.5))
    network(tmp_path / "limited", 1, limited=True)
    for name in ("longer", "limited"):
        with pytest.raises(ContractMismatch, match="train one for this robot"):
            load(tmp_path / name)
    assert not (tmp_path / "policies").exists()


def test_a_robot_whose_policy_sees_speed_limits_takes_only_such(tmp_path: Path) -> None:
    load = Loader(ControlConfig(spec=SPEC), network(tmp_path / "first", 1, limited=True), tmp_path / "policies")
    assert load(tmp_path / "first").policy.contract_hash == navigate_contract(SPEC, limited=True).hash
    network(tmp_path / "plain", 2)
    with pytest.raises(ContractMismatch):
        load(tmp_path / "plain")


@pytest.mark.parametrize("place", ["nothing", "first/policy.txt"])
def test_a_missing_file_is_refused(load: Loader, tmp_path: Path, place: str) -> None:
    with pytest.raises(PolicyError, match="cannot read"):
        load(tmp_path / place)


def test_damaged_files_are_refused(load: Loader, tmp_path: Path) -> None:
    network(tmp_path / "next", 1)
    data = (tmp_path / "next" / MODEL).read_bytes()
    (tmp_path / "next" / MODEL).write_bytes(data[:-1])
    with pytest.raises(PolicyError, match="sha256"):
        load(tmp_path / "next")
    (tmp_path / "next" / MANIFEST).write_text("{")
    with pytest.raises(PolicyError, match="expected JSON"):
        load(tmp_path / "next")


def test_a_graph_of_another_size_under_an_honest_manifest_is_refused(load: Loader, tmp_path: Path) -> None:
    """Nothing but asking it tells: the manifest says the robot's contract."""
    with pytest.raises(PolicyError, match="expected a graph that answers an observation"):
        load(graph(tmp_path / "narrow", size=10))
    with pytest.raises(PolicyError, match=r"expected actions float32 \(1, 2\), policy \w+ answers float32 \(1, 3\)"):
        load(graph(tmp_path / "wide", width=3))


def test_a_graph_that_answers_nonsense_inside_its_ranges_is_refused(load: Loader, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="expected actions within -1 and 1"):
        load(graph(tmp_path / "fierce", ("Add", ["hundred"])))
    with pytest.raises(PolicyError, match="expected actions within -1 and 1"):
        load(graph(tmp_path / "undefined", ("Log", [])))


def test_a_slow_policy_is_refused(load: Loader) -> None:
    with pytest.raises(PolicyError, match=r"expected answers within 0 ms, policy \w+ takes .* at the least"):
        rehearse(load.first, CONTRACT, bound=1.0, patience=0.0)


def test_a_graph_that_would_hold_up_the_loop_is_refused_unread(
    load: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network(tmp_path / "next", 1)
    size = (tmp_path / "next" / MODEL).stat().st_size
    monkeypatch.setattr(served, "GRAPH_MAX", size)
    load(tmp_path / "next")
    monkeypatch.setattr(served, "GRAPH_MAX", size - 1)
    with pytest.raises(PolicyError, match="restart the robot with it"):
        load(tmp_path / "next")


def test_a_version_that_cannot_be_kept_does_not_drive(load: Loader, tmp_path: Path) -> None:
    network(tmp_path / "next", 1)
    (tmp_path / "policies").write_text("a file where the folder should be")
    with pytest.raises(FileError, match="cannot keep policy"):
        load(tmp_path / "next")


def chooser(place: Path, below: str, seed: int = 3) -> Policy:
    contract = choose_contract(SPEC)
    made = ActorCritic(
        contract.observation_size, contract.action_size, (64,), generator=torch.Generator().manual_seed(seed)
    )
    place.mkdir(parents=True)
    training = {"below": {"navigate": below}}
    return export(place, made, Moments(contract.observation_size), contract, training=training, evaluation={})


def test_a_robot_that_chooses_its_work_is_given_both_levels_or_none(
    load: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choosing = dataclasses.replace(load, config=dataclasses.replace(load.config, meta="0" * 64))
    skill = network(tmp_path / "next", 1)
    with pytest.raises(PolicyError, match="meta"):
        choosing(tmp_path / "next")
    meta = chooser(tmp_path / "next" / "meta", skill.hash)
    came = choosing(tmp_path / "next")
    assert came.name == f"{skill.hash[:12]}+{meta.hash[:12]}"
    assert came.chooser is not None
    small = (tmp_path / "next" / MODEL).stat().st_size
    assert (tmp_path / "next" / "meta" / MODEL).stat().st_size > small
    with monkeypatch.context() as patch:
        patch.setattr(served, "GRAPH_MAX", small)
        with pytest.raises(PolicyError, match=r"meta/policy.onnx has .*: creating its session would hold up"):
            choosing(tmp_path / "next")
    network(tmp_path / "next", 2)  # the meta policy is still pinned to the skill before
    with pytest.raises(PolicyError, match="expected a meta policy trained on skill"):
        choosing(tmp_path / "next")


def test_a_version_that_chooses_its_work_is_kept_whole_and_taken_again_from_there(load: Loader, tmp_path: Path) -> None:
    choosing = dataclasses.replace(load, config=dataclasses.replace(load.config, meta="0" * 64))
    skill = network(tmp_path / "next", 1)
    came: list[Served] = []
    for seed in (3, 4):  # two trainings on one skill
        shutil.rmtree(tmp_path / "next" / "meta", ignore_errors=True)
        chooser(tmp_path / "next" / "meta", skill.hash, seed)
        came.append(choosing(tmp_path / "next"))
    shutil.rmtree(tmp_path / "next")
    for version in came:
        place = kept(tmp_path / "policies", version.name)
        assert place is not None
        assert choosing(place).name == version.name
    assert came[0].name != came[1].name
    assert kept(tmp_path / "policies", skill.hash[:12]) is not None, "a replay asks for the skill alone"
    for name in ("f" * 12, f"{skill.hash[:12]}+{'f' * 12}", "", "..", "a+", "a+b+c"):
        assert kept(tmp_path / "policies", name) is None


def test_a_stepper_answers_by_the_policy_that_it_was_given_and_says_so(load: Loader, tmp_path: Path) -> None:
    stepper = Stepper(load.config, aisle(), load.first)
    other = network(tmp_path / "next", 1)
    observation = np.zeros((1, CONTRACT.observation_size), np.float32)
    for policy in (load.first, other):
        stepper.use(policy, None)
        said = asker(stepper.policy, None, GuardMemory(), 0)(observation)
        assert said.policy == policy.hash[:12]
        assert said.action == tuple(policy.act(observation)[0].tolist())
        assert stepper.controller.navigate.version == f"navigate/{policy.hash[:12]}"
    with pytest.raises(ContractMismatch, match="restart the robot with it"):
        stepper.use(network(tmp_path / "limited", 1, limited=True), None)
    assert stepper.policy is other
