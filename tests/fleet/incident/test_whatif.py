"""What another policy or another assumed speed would have done at each recorded step, and what cannot be asked."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agents.errors import PolicyError
from fleet.cli import main
from fleet.incident.walk import read_log, walk
from fleet.incident.whatif import Tally, other_policy, other_speed, tally
from fleet.replay import Config, run
from hierarchy.skills import Answer
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.incident.conftest import SPEC, Run, write_box


def test_a_walk_decides_every_step_as_it_was_recorded(incident_run: Run) -> None:
    steps = list(walk(read_log(incident_run.box)))
    assert [step.inputs.cycle for step in steps] == [step.cycle for step in incident_run.steps]
    assert all(step.same for step in steps)
    assert [step.memory for step in steps] == [step.memory for step in incident_run.steps]


def test_a_walk_from_the_middle_has_the_memory_that_the_drive_had_there(incident_run: Run) -> None:
    begin, end = incident_run.steps[33].stamp, incident_run.steps[52].stamp
    steps = list(walk(read_log(incident_run.box), begin=begin, end=end))
    assert [step.inputs.cycle for step in steps] == list(range(33, 53))
    assert all(step.same for step in steps)


def test_the_same_policy_and_the_same_speed_change_nothing(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    for others in (other_policy(log, incident_run.policy), other_speed(log, 1.6)):
        found = tally("the same", others)
        assert (found.steps, found.released, found.proposed, found.refused) == (len(incident_run.steps), 0, 0, 0)
        assert found.margins[0] == found.margins[1]
        assert found.first is None


def test_a_slower_assumption_lets_pass_and_a_faster_one_refuses_what_was_released(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    still, quick = tally("still", other_speed(log, 0.0)), tally("quick", other_speed(log, 3.0))
    assert still.refused == 0
    assert still.interventions[1].total() < still.interventions[0].total()
    assert quick.refused > 0
    assert quick.slower >= quick.refused >= quick.stops
    assert quick.first is not None
    assert quick.first.step.inputs.cycle > 0


def test_each_step_is_compared_from_the_recorded_memory_so_that_no_deviation_adds_up(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    for one, step in zip(other_speed(log, 3.0), incident_run.steps, strict=True):
        assert one.step.memory == step.memory


def test_another_policy_is_compared_and_the_plain_one_replayed(
    incident_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_hand_policy(tmp_path, SPEC, speed=0.3)
    assert other.hash != incident_run.policy.hash
    assert run(Config(incident_run.root, tmp_path)) == 0
    said = capsys.readouterr().out
    assert f"with policy {other.hash[:12]} instead of {incident_run.policy.hash[:12]}" in said
    assert "the world does not answer" in said
    found = tally("other", other_policy(read_log(incident_run.box), other))
    assert found.proposed > 0
    assert found.released > 0
    assert run(Config(incident_run.root, incident_run.root)) == 0
    assert "identical" in capsys.readouterr().out


def test_a_policy_is_named_by_the_version_that_the_run_holds(
    incident_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Config(incident_run.box, Path(incident_run.policy.hash[:10]))) == 0
    assert "identical" in capsys.readouterr().out
    with pytest.raises(PolicyError, match="begins no version"):
        run(Config(incident_run.box, Path("abcdef123")))


def test_an_answer_that_is_no_number_is_counted_as_another_proposal(incident_run: Run) -> None:
    found = Tally("broken")
    for one in other_policy(read_log(incident_run.box), incident_run.policy):
        if one.step.now.answer is not None:
            broken = msgspec.structs.replace(
                one.other, proposed=(float("nan"), 0.0), answer=Answer((float("nan"), 0.0))
            )
            one = type(one)(one.step, broken)
        found.add(one)
    assert found.proposed == found.asked > 0


def test_a_log_that_another_code_decided_says_so(incident_run: Run, tmp_path: Path) -> None:
    steps = list(incident_run.steps)
    steps[20] = msgspec.structs.replace(
        steps[20], outputs=msgspec.structs.replace(steps[20].outputs, released=(0.123, 0.0))
    )
    found = tally("same", other_speed(read_log(write_box(tmp_path, incident_run.policy, steps)), 1.6))
    assert found.strange == 1
    assert any("decided otherwise by this code" in line for line in found.lines(0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--speed-assumption", "7"), "expected 0 to 3 m/s, got 7"),
        (("--speed-assumption", "-1"), "expected 0 to 3 m/s"),
        (("--speed-assumption", "1", "--sim", "3"), "expected one question"),
        (("--policy", "nowhere"), "nowhere"),
        (("--speed-assumption", "1", "--robot", "r7"), "there are those of r0"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(
    incident_run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert main(["replay", str(incident_run.root), *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
