from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.errors import ContractMismatch, PolicyError
from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import Policy
from agents.trainer import mean_action
from sim.tasks.contract import Contract, Field

SIZE = 88


def field(name: str, size: int) -> Field:
    return Field(name, (size,), "float32", "1", "B", -1.0, 1.0, 0.1, 0.1)


CONTRACT = Contract(
    task="navigate",
    fields=(field("ranges", 64), field("corridor", 24)),
    actions=(field("speed", 1), field("turn", 1)),
    embodiment="a" * 64,
)


def make_network() -> tuple[ActorCritic, Moments]:
    generator = torch.Generator().manual_seed(4)
    network = ActorCritic(SIZE, 2, (64, 64), generator=generator)
    with torch.no_grad():
        network.actor[-1].weight.mul_(300.0)  # so that the clip is reached
    moments = Moments(SIZE)
    moments.update(torch.randn((500, SIZE), generator=generator) * 3.0 + 1.0)
    return network, moments


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    network, moments = make_network()
    export(tmp_path, network, moments, CONTRACT, training={"seed": 4}, evaluation={"success": 0.97})
    return tmp_path


def test_frozen_policy_equals_torch(exported: Path) -> None:
    network, moments = make_network()
    observation = np.random.default_rng(6).normal(1.0, 4.0, (1000, SIZE)).astype(np.float32)
    observation[0] = 1e6  # far outside what the normaliser saw
    act = mean_action(network, *moments.shift_scale())
    expected, came = act(observation), Policy.load(exported).act(observation)
    assert came.dtype == np.float32
    np.testing.assert_allclose(came, expected, atol=1e-5, rtol=0.0)
    assert 0.1 < (np.abs(expected) == 1.0).mean() < 0.9


def test_one_row_is_answered_as_among_many(exported: Path) -> None:
    policy = Policy.load(exported)
    observation = np.random.default_rng(7).normal(1.0, 4.0, (50, SIZE)).astype(np.float32)
    together = policy.act(observation)
    alone = np.concatenate([policy.act(observation[row : row + 1]) for row in range(50)])
    np.testing.assert_array_equal(alone, together)


def test_equal_weights_give_equal_bytes(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    network, moments = make_network()
    other = tmp_path_factory.mktemp("other")
    policy = export(other, network, moments, CONTRACT, training={}, evaluation={})
    assert policy.hash == Policy.load(exported).hash


def test_manifest_says_where_the_weights_came_from(exported: Path) -> None:
    manifest = json.loads((exported / "policy.json").read_text())
    assert manifest["training"] == {"seed": 4}
    assert manifest["evaluation"] == {"success": 0.97}
    assert manifest["contract_hash"] == CONTRACT.hash
    assert [field["name"] for field in manifest["contract"]["fields"]] == ["ranges", "corridor"]


def test_policy_of_another_robot_is_refused_in_one_line_that_can_be_read(exported: Path) -> None:
    policy = Policy.load(exported)
    policy.check(CONTRACT)
    other = dataclasses.replace(CONTRACT, embodiment="b" * 64)
    with pytest.raises(ContractMismatch) as error:
        policy.check(other)
    message = str(error.value)
    assert f"contract {other.hash[:12]}, this one was trained for {CONTRACT.hash[:12]}" in message
    assert 'they differ in embodiment: expected "bbbb' in message
    assert "\n" not in message
    assert len(message) < 400


def test_mismatch_names_the_first_field_that_differs(exported: Path) -> None:
    shorter = dataclasses.replace(CONTRACT, fields=(field("ranges", 32), CONTRACT.fields[1]))
    with pytest.raises(ContractMismatch, match=r"they differ in fields\[0\]\.shape\[0\]: expected 32, came 64"):
        Policy.load(exported).check(shorter)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_graph_of_another_training_is_refused(exported: Path) -> None:
    with (exported / "policy.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(PolicyError, match="sha256"):
        Policy.load(exported)


def test_damaged_graph_is_refused_even_when_its_hash_fits(exported: Path) -> None:
    import hashlib

    (exported / "policy.onnx").write_bytes(b"not a graph")
    edit(exported / "policy.json", onnx_sha256=hashlib.sha256(b"not a graph").hexdigest())
    with pytest.raises(PolicyError, match="expected an ONNX graph"):
        Policy.load(exported)


def test_edited_contract_is_refused(exported: Path) -> None:
    edit(exported / "policy.json", contract={"fields": [], "actions": [], "embodiment": ""})
    with pytest.raises(PolicyError, match="match its hash"):
        Policy.load(exported)


def test_foreign_manifest_version_is_refused(exported: Path) -> None:
    edit(exported / "policy.json", muster=2)
    with pytest.raises(PolicyError, match="version 1"):
        Policy.load(exported)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_damaged_manifest_is_refused(exported: Path, text: str) -> None:
    (exported / "policy.json").write_text(text)
    with pytest.raises(PolicyError, match=r"policy\.json"):
        Policy.load(exported)


def test_a_manifest_nested_beyond_reading_is_refused(exported: Path) -> None:
    (exported / "policy.json").write_text('{"muster": ' + "[" * 100_000)
    with pytest.raises(PolicyError, match=r"expected JSON, .* is damaged"):
        Policy.load(exported)


@pytest.mark.parametrize("key", ["onnx_sha256", "contract_hash"])
def test_a_hash_that_is_no_text_is_refused(exported: Path, key: str) -> None:
    manifest = json.loads((exported / "policy.json").read_text())
    (exported / "policy.json").write_text(json.dumps({**manifest, key: 7}))
    with pytest.raises(PolicyError, match=f"expected {key} as text, .* has 7"):
        Policy.load(exported)


def test_missing_policy_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"train one with `muster launch launch/warehouse_train\.launch\.yaml`"):
        Policy.load(tmp_path)


def test_running_a_policy_needs_no_torch() -> None:
    code = "import sys, agents.policy; print([n for n in ('torch', 'onnx', 'mujoco', 'numba') if n in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_a_policy_answers_on_the_callers_thread_and_leaves_nothing_spinning(exported: Path) -> None:
    """onnxruntime's default pools start a thread for each core, which spin after each answer."""
    code = (
        "import os, sys, time, numpy as np; from agents.policy import Policy\n"
        "before = len(os.listdir('/proc/self/task')); policy = Policy.load(sys.argv[1])\n"
        f"for _ in range(100): policy.act(np.zeros((1, {SIZE}), np.float32))\n"
        "began = time.process_time(); time.sleep(0.2); spent = time.process_time() - began\n"
        "print(len(os.listdir('/proc/self/task')) - before, spent < 0.05)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "0 True"
