"""A candidate on recorded black boxes: pairs of the same inputs, the command around it, clear words on bad ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.policy import Policy
from fleet import cli
from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import Header, write_header
from fleet.replay import find_files
from fleet.salvage import Recording, read_recording
from fleet.shadow.floor import asked, distance
from fleet.shadow.offline import headers, pairs
from fleet.shadow.pairs import Pair
from fleet.shadow.summary import summary
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()
CONFIG = ControlConfig(robot="r0", spec=SPEC, person_speed=1.6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Policy, list[Step]]:
    """A run with one black box: a delivery along an aisle in which somebody stands."""
    root = tmp_path_factory.mktemp("run")
    policy = write_hand_policy(root, SPEC)
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, ((9.0, 2.2, 0.25),))
    episode = Episode(
        Stepper(CONFIG, SITE, policy), FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(5))
    )
    episode.run(12.0)
    box = BlackBox(root / "blackbox", "r0", *write_header(CONFIG, SITE, policy))
    for number, step in enumerate(episode.steps, 1):
        box.append(step)
        if number % 7 == 0:
            box.flush()
    box.close()
    return root, policy, episode.steps


@pytest.fixture(scope="module")
def faster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("faster")
    write_hand_policy(place, SPEC, speed=1.0)
    return place


def paired(root: Path, policy: Policy) -> list[Pair]:
    return [one for recording, header in logs(root) for one in pairs(recording, header, policy)]


def logs(root: Path) -> list[tuple[Recording, Header]]:
    recordings = [read_recording(path) for path in find_files(root)]
    return list(zip(recordings, headers(recordings, root), strict=True))


def test_production_beside_itself_agrees_in_every_step(run: tuple[Path, Policy, list[Step]]) -> None:
    root, policy, steps = run
    found = paired(root, policy)
    assert len(found) == sum(asked(step.outputs) for step in steps) > 30
    for one in found:
        assert one.disagreement == 0.0
        assert one.production == one.candidate


def test_each_pair_is_one_step_of_the_candidate_from_where_production_was(
    run: tuple[Path, Policy, list[Step]], faster: Path
) -> None:
    root, _, steps = run
    other = Policy.load(faster)
    alone = Stepper(CONFIG, SITE, other)
    found = {one.cycle: one for one in paired(root, other)}
    for step in steps:
        if asked(step.outputs):
            one = found[step.cycle]
            theirs, _ = alone.step(step.inputs, step.memory)
            assert one.candidate.proposed == theirs.proposed
            assert one.candidate.released == theirs.released
            assert one.candidate.margin == min(theirs.margin, 10.0)
            assert one.production.released == step.outputs.released
            assert one.disagreement == distance(step.outputs.proposed, theirs.proposed, SPEC)
    assert max(one.disagreement for one in found.values()) > 0.3


def test_a_memory_that_is_not_recorded_is_worked_out_and_not_guessed(
    run: tuple[Path, Policy, list[Step]], faster: Path
) -> None:
    root, _, _ = run
    (recording, header), *_ = logs(root)
    gone = replace(recording, chunks=tuple(chunk[:9] + chunk[12:] for chunk in recording.chunks))
    left = [one.cycle for one in pairs(gone, header, Policy.load(faster))]
    whole = [one.cycle for one in pairs(recording, header, Policy.load(faster))]
    assert 0 < len(left) < len(whole)
    assert set(left) < set(whole)


def test_the_command_writes_pairs_summary_and_page(
    run: tuple[Path, Policy, list[Step]], faster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, policy, _ = run
    assert cli.main(["shadow", str(root), "--policy", str(faster), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "steps paired" in said
    assert "the shield would have changed" in said
    found = summary(tmp_path)
    assert found.candidate == Policy.load(faster).hash[:12]
    assert found.production == (policy.hash[:12],)
    assert found.verdict.decision == "hold"
    page = (tmp_path / "shadow.html").read_text()
    assert "Disagreement over time" in page
    assert "http" not in page
    assert cli.main(["shadow", str(tmp_path)]) == 0
    assert f"{found.pairs} steps of r0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--policy", "."], "nowhere does not exist"),
        (["RUN", "--policy", "abcdef123456", "--registry", "nowhere"], "there is no registry at nowhere"),
        (["RUN", "--policy", "EMPTY"], "expected a directory with policy.onnx"),
        (["RUN"], "run the robots with --shadow"),
        (["RUN", "--policy", "FASTER", "--alpha", "2"], "--alpha: expected a share between 0 and 1, got 2"),
        (["RUN", "--policy", "TRUCK"], "embodiment"),
        (["RUN", "--policy", "FASTER", "--out", "FILE/below"], "--out: expected a folder that can be made"),
        (["RUN", "--policy", "FASTER", "--out", "n" * 300], "--out: expected a folder that can be made"),
    ],
)
def test_what_cannot_be_paired_is_one_line(
    words: list[str],
    said: str,
    run: tuple[Path, Policy, list[Step]],
    faster: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truck = tmp_path / "truck"
    truck.mkdir()
    write_hand_policy(truck, replace(SPEC, length=2.0 * SPEC.length))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    names = {
        "FILE/below": tmp_path / "file" / "below",
        "RUN": run[0],
        "EMPTY": tmp_path / "empty",
        "FASTER": faster,
        "TRUCK": truck,
    }
    code = cli.main(["shadow", *(str(names.get(word, word)) for word in words)])
    errors = capsys.readouterr().err
    assert code == 2
    assert said in errors
    assert errors.count("\n") == 1
