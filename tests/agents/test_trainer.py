from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from agents.errors import CheckpointError, TrainingError
from agents.evaluation import HeldOut
from agents.trainer import Trainer, TrainerConfig
from tests.agents.point_goal import CONTRACT, PointGoal
from tests.agents.training import SMALL, make_trainer, train

SCRIPT = Path(__file__).parent / "training.py"


def run_script(root: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE, text=True, env=environment, cwd=root
    )


def test_point_learns_to_stop_at_the_goal(tmp_path: Path) -> None:
    outcome, curve = train(make_trainer(tmp_path))
    assert outcome.reached
    assert outcome.reason == "target"
    assert outcome.held_out.success >= 0.95
    assert curve[0].success < 0.7 or np.isnan(curve[0].success)


def test_missed_target_is_told(tmp_path: Path) -> None:
    outcome, _ = train(make_trainer(tmp_path, steps=2_000, target=1.01))
    assert not outcome.reached
    assert outcome.reason == "steps"


def test_seconds_end_a_run_by_the_clock_that_was_passed(tmp_path: Path) -> None:
    ticks = itertools.count()
    held_out = HeldOut([PointGoal(4, seed=9)], episodes=4)
    trainer = Trainer(
        TrainerConfig(ppo=SMALL, seconds=30.0, target=2.0),
        [PointGoal(4, seed=8)],
        held_out,
        CONTRACT,
        tmp_path,
        clock=lambda: float(next(ticks)),
    )
    outcome, curve = train(trainer)
    assert outcome.reason == "seconds"
    assert 1 < len(curve) < 30


def test_run_that_is_killed_and_resumed_ends_with_equal_weights(tmp_path: Path, root: Path) -> None:
    steps = "30000"
    whole = run_script(root, str(tmp_path / "whole"), steps)
    killed = run_script(root, str(tmp_path / "killed"), steps)
    assert killed.stdout is not None
    for line in killed.stdout:
        if int(line) >= 17_000:  # the last 15,000 steps anneal
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    assert killed.returncode == -signal.SIGKILL
    reached = int(list_checkpoints(tmp_path / "killed" / "checkpoints")[-1].stem.removeprefix("step_"))
    assert 15_000 < reached < 30_000
    resumed = run_script(root, str(tmp_path / "killed"), steps, "--resume")
    expected = whole.communicate(timeout=60)[0].splitlines()[-1]
    came = resumed.communicate(timeout=60)[0].splitlines()
    assert int(came[0]) == reached + 1024
    assert len(expected) == 64
    assert came[-1] == expected
    curves = [
        [json.loads(line) for line in (tmp_path / run / "train.jsonl").read_text().splitlines()]
        for run in ("whole", "killed")
    ]
    timeless = [[{k: v for k, v in entry.items() if "seconds" not in k} for entry in curve] for curve in curves]
    assert timeless[0] == timeless[1]


def test_lanes_in_threads_do_not_change_the_weights(tmp_path: Path) -> None:
    hashes = []
    for run in ("one", "two"):
        trainer = make_trainer(tmp_path / run, steps=5_000, target=2.0)
        train(trainer)
        hashes.append(trainer.weights_hash())
    assert hashes[0] == hashes[1]


def test_seed_changes_the_weights(tmp_path: Path) -> None:
    assert make_trainer(tmp_path, seed=1).weights_hash() != make_trainer(tmp_path, seed=2).weights_hash()


def test_curve_is_written_for_the_report_and_for_tensorboard(tmp_path: Path) -> None:
    _, curve = train(make_trainer(tmp_path, steps=10_000, target=2.0))
    entries = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [entry["steps"] for entry in entries] == [progress.steps for progress in curve]
    assert {"seconds", "cpu_seconds", "success", "return"} <= entries[-1].keys()
    assert entries[-1]["held_out_success"] == pytest.approx(curve[-1].held_out.success, abs=1e-6)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/success")][-1] == entries[-1]["steps"]


def test_world_count_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at least one world"):
        Trainer(TrainerConfig(), [], HeldOut([PointGoal(1)], 1), CONTRACT, tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    train(make_trainer(directory, steps=3_000, target=2.0))
    return directory


def one_line(error: pytest.ExceptionInfo[CheckpointError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kept", [0, 10, 1000, 0.5, 0.999])
def test_truncated_checkpoint_is_refused(trained: Path, tmp_path: Path, kept: float) -> None:
    data = list_checkpoints(trained / "checkpoints")[-1].read_bytes()
    broken = tmp_path / "step_0000003072.npz"
    broken.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(CheckpointError) as error:
        make_trainer(tmp_path).resume(broken)
    assert "truncated or damaged" in one_line(error)


def test_altered_checkpoint_is_refused(trained: Path, tmp_path: Path) -> None:
    data = bytearray(list_checkpoints(trained / "checkpoints")[-1].read_bytes())
    data[len(data) // 2] ^= 1
    broken = tmp_path / "step_0000003072.npz"
    broken.write_bytes(data)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(broken)
    assert "damaged" in one_line(error)


def test_no_flipped_bit_loads_other_content(tmp_path: Path) -> None:
    """Also in names, types and shapes inside of the archive, which zip's checksums do not all cover."""
    arrays = {"a/weights": np.arange(12.0).reshape(3, 4), "a/steps": np.array(7), "b": np.zeros((0, 2), np.int8)}
    path = save_checkpoint(tmp_path, 5, {"contract": "c"}, arrays)
    whole, good = path.read_bytes(), load_checkpoint(path)
    loaded = 0
    for bit in range(0, 8 * len(whole), 3):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            came = load_checkpoint(path)
        except CheckpointError:
            continue
        loaded += 1
        assert came.header == good.header
        assert came.arrays.keys() == arrays.keys()
        for name, array in arrays.items():
            assert came.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(came.arrays[name], array)
    assert 0 < loaded < len(whole), "times and attributes of the archive's members say nothing"


def test_a_checkpoint_without_hash_is_refused(tmp_path: Path) -> None:
    header = np.frombuffer(b'{"version": 1, "steps": 5}', np.uint8)
    np.savez(tmp_path / "step_0000000005.npz", header=header)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path / "step_0000000005.npz")
    assert "expected checkpoint version 2" in one_line(error)
    assert "has 1; resume from another checkpoint or train anew" in one_line(error)


def test_checkpoint_of_another_embodiment_is_refused(trained: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(CONTRACT, embodiment="forklift")
    with pytest.raises(CheckpointError) as error:
        make_trainer(tmp_path, contract=other).resume(trained)
    assert "embodiment point, expected forklift" in one_line(error)


def test_checkpoint_of_other_arguments_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        make_trainer(tmp_path, worlds=16).resume(trained)
    assert "worlds 32, expected 16" in one_line(error)


def test_run_without_checkpoints_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found none"):
        make_trainer(tmp_path).resume(tmp_path / "nowhere")


def test_full_disk_leaves_the_last_checkpoint_whole(trained: Path, tmp_path: Path) -> None:
    # a child process, because a file size limit holds for all of it
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tests.agents.training import make_trainer\n"
        "from agents.errors import CheckpointError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "trainer = make_trainer(Path(sys.argv[1]))\n"
        "first = trainer.save()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "trainer.steps = 64\n"
        "try: trainer.save()\n"
        "except CheckpointError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=True
    )
    assert "cannot write" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    left = list((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in left] == ["step_0000000000.npz"]
    load_checkpoint(left[0])


def test_only_the_newest_checkpoints_are_kept(trained: Path) -> None:
    assert len(list_checkpoints(trained / "checkpoints")) == 2
