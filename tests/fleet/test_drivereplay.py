"""`muster replay` of drives: the same decisions from recorded inputs, and the first difference where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fleet import cli
from fleet.driveguard import MEMORY_EVERY, Decision, Guard
from fleet.drivelog import read_drive, recording
from fleet.driverecord import DriveRecorder
from fleet.replay import Verdict, replay_all
from fleet.venues import Among, course_of, guard_of, make_env, make_venue, read_fault, without_policy
from safety.supervisor import Mode
from sim.bodies.specs import CAR
from sim.driving.moment import Course, Moment
from sim.roadpack import pack_road

Drive = tuple[Course, list[Moment], dict[str, float]]


@pytest.fixture(scope="module")
def wild() -> Drive:
    """Four seconds at full throttle with the steering turned, among others: the shield has to intervene."""
    return driven(
        "highway:3", Among(seconds=4.0, traffic=12, walkers=0), lambda step: (1.0, 0.8 if step % 40 < 20 else -0.2)
    )


def driven(site: str, among: Among, act: Callable[[int], tuple[float, float]]) -> Drive:
    venue = make_venue(site)
    env = make_env(venue, 3, among)
    env.reset()
    course, guard = course_of(venue, env, 3, "by hand"), guard_of(env)
    assert guard is not None
    recorder, moments = DriveRecorder(env, course), list[Moment]()
    while not recorder.over:
        if guard.failed:
            without_policy(env)
        else:
            env.step(np.array([act(len(moments))], np.float32))
        moments.append(recorder.take())
    return course, moments, guard.assumed


def written(place: Path, drive: Drive, moments: Sequence[Moment] | None = None) -> Path:
    """The black box of a drive, of other moments if they are given."""
    course, mine, bounds = drive
    with recording(place, course, {}, "drive0", bounds) as box:
        for moment in mine if moments is None else moments:
            box.append(moment)
    return place / "drive0-0.mcap"


def replayed(path: Path) -> Verdict:
    (verdict,) = replay_all(path)
    return verdict


def changed(moments: list[Moment], at: int, **values: Any) -> list[Moment]:  # fields of a decision
    """The moments with another decision in one of them."""
    decision = moments[at].decision
    assert isinstance(decision, Decision)
    other = replace(moments[at], decision=msgspec.structs.replace(decision, **values))
    return [*moments[:at], other, *moments[at + 1 :]]


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with their lowest bit changed in one place."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def decision_of(moment: Moment) -> Decision:
    assert isinstance(moment.decision, Decision)
    return moment.decision


def test_recorded_inputs_give_the_same_decisions_bit_for_bit(tmp_path: Path, wild: Drive) -> None:
    path = written(tmp_path, wild)
    moments = wild[1]
    assert sum(moment.intervened for moment in moments) > 20
    assert {moment.mode for moment in moments} >= {"shielded", "policy"}
    verdict = replayed(path)
    assert verdict.identical
    assert verdict.steps == len(moments)
    assert verdict.notes == []
    assert verdict.line() == f"{path}: identical, {len(moments)} steps"
    size = path.stat().st_size - len(pack_road(wild[0].road))
    assert 60.0 / 0.05 * size / len(moments) < 10e6, "10 MB a minute at most, as docs/decisions.md states"
    assert [moment.pose for moment in read_drive(path).moments] == [moment.pose for moment in moments]


def test_what_was_released_is_what_the_record_says(wild: Drive) -> None:
    for moment in wild[1]:
        decision = decision_of(moment)
        assert np.frombuffer(decision.outputs["command"], np.float32).tolist() == list(moment.released)
        assert np.frombuffer(decision.inputs["command"], np.float32).tolist() == list(moment.proposed)


@pytest.mark.parametrize("name", ["command", "margin", "reason"])
def test_another_decision_is_found_where_it_was_made(tmp_path: Path, wild: Drive, name: str) -> None:
    outputs = decision_of(wild[1][33]).outputs
    path = written(tmp_path, wild, changed(wild[1], 33, outputs=outputs | {name: flipped(outputs[name], 0)}))
    found = replayed(path).difference
    assert found is not None
    assert found.cycle == 33
    assert found.field.startswith(f"outputs.{name}")


def test_a_candidate_that_fared_otherwise_is_a_difference_and_older_logs_have_none(tmp_path: Path, wild: Drive) -> None:
    at = next(i for i, moment in enumerate(wild[1]) if (found := decision_of(moment).tried) and found.verdicts)
    tried = decision_of(wild[1][at]).tried
    assert tried is not None
    other = msgspec.structs.replace(tried, verdicts=flipped(tried.verdicts, tried.chosen))
    found = replayed(written(tmp_path / "other", wild, changed(wild[1], at, tried=other))).difference
    assert found is not None
    assert (found.cycle, found.field) == (at, "tried.1")
    older = [replace(moment, decision=msgspec.structs.replace(decision_of(moment), tried=None)) for moment in wild[1]]
    assert replayed(written(tmp_path / "older", wild, older)).identical


def test_why_tells_a_drives_candidates(tmp_path: Path, wild: Drive, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, wild)
    at = next(i for i, moment in enumerate(wild[1]) if (found := decision_of(moment).tried) and found.chosen >= 0)
    assert cli.main(["blackbox", "why", str(path), "--at", str(at * wild[0].period)]) == 0
    text = capsys.readouterr().out
    tried = decision_of(wild[1][at]).tried
    assert tried is not None
    assert f"released is candidate {tried.chosen}" in text
    assert "refused   the proposal" in text
    assert "versions  " in text


def test_an_input_that_was_another_shows_in_the_decisions(tmp_path: Path, wild: Drive) -> None:
    """The lowest bit of the speed: the step's own margin differs, or a later one's."""
    inputs = decision_of(wild[1][25]).inputs
    path = written(
        tmp_path, wild, changed(wild[1], 25, inputs=inputs | {"view.motion": flipped(inputs["view.motion"], 0)})
    )
    found = replayed(path).difference
    assert found is not None
    assert 25 <= found.cycle <= 25 + MEMORY_EVERY


def test_another_mode_and_another_memory_are_differences(tmp_path: Path, wild: Drive) -> None:
    path = written(tmp_path / "mode", wild, changed(wild[1], 12, mode=int(Mode.FALLBACK)))
    found = replayed(path).difference
    assert found is not None
    assert (found.cycle, found.field, found.recorded, found.replayed) == (12, "mode", "FALLBACK", "POLICY")
    memory = decision_of(wild[1][40]).memory
    assert memory is not None
    path = written(
        tmp_path / "memory", wild, changed(wild[1], 40, memory=memory | {"history": flipped(memory["history"], 4)})
    )
    found = replayed(path).difference
    assert found is not None
    assert (found.cycle, found.field) == (40, "memory.history[1]")


def test_after_a_gap_the_replay_goes_on_at_the_next_memory(tmp_path: Path, wild: Drive) -> None:
    moments = wild[1]
    verdict = replayed(written(tmp_path, wild, [*moments[:5], *moments[30:]]))
    assert verdict.identical
    assert verdict.gaps == 25
    assert verdict.steps == 5 + len(moments) - 2 * MEMORY_EVERY
    assert verdict.notes == ["25 cycles are not in the file"]


def test_a_file_that_was_cut_is_replayed_where_it_is_whole(tmp_path: Path, wild: Drive) -> None:
    path = written(tmp_path, wild)
    whole = path.read_bytes()
    head = len(pack_road(wild[0].road)) + 60_000
    for size in np.linspace(head, len(whole) - 40, 7).astype(int):
        path.write_bytes(whole[:size])
        verdict = replayed(path)
        assert verdict.identical
        assert "the file was cut; its whole records were replayed" in verdict.notes


def test_who_drives_without_his_policy_is_recorded_and_replayed(tmp_path: Path) -> None:
    fault = read_fault("policy:1")
    drive = driven("highway:3", Among(seconds=40.0, traffic=4, walkers=0, fault=fault), lambda step: (0.0, 0.0))
    moments = drive[1]
    assert {moment.mode for moment in moments[:20]} == {"policy"}
    assert all(moment.mode != "policy" for moment in moments[20:])
    assert sum(moment.mode == "fallback" for moment in moments) > 100
    assert moments[-1].ending == "stopped at minimal risk"
    assert moments[-1].speed < 0.05
    assert not any(moment.contact for moment in moments)
    verdict = replayed(written(tmp_path, drive))
    assert verdict.identical
    assert verdict.steps == len(moments)


def test_a_sensor_that_fails_stops_the_car_and_says_why() -> None:
    fault = read_fault("lane_lost:1")
    _, moments, _ = driven("rural:2", Among(seconds=40.0, traffic=0, walkers=0, fault=fault), lambda step: (0.0, 0.0))
    assert moments[-1].ending == "stopped at minimal risk"
    assert moments[-1].reason == "stale view"
    assert {moment.mode for moment in moments[60:]} == {"stopped"}


def test_files_that_cannot_be_replayed_are_refused_in_a_line(
    tmp_path: Path, wild: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    course, moments, _ = wild
    with recording(tmp_path / "bare", course, {}, "drive0") as box:
        for moment in moments[:30]:
            box.append(replace(moment, decision=None))
    assert cli.main(["replay", str(tmp_path / "bare")]) == 2
    assert "the drive had none" in capsys.readouterr().err
    inputs = decision_of(moments[0]).inputs
    other = written(tmp_path / "other", wild, changed(moments, 0, inputs=inputs | {"view.age": b"123"}))
    assert cli.main(["replay", str(other)]) == 2
    said = capsys.readouterr().err
    assert "of this version" in said
    assert len(said.strip().splitlines()) == 1
    assert cli.main(["replay", str(written(tmp_path / "good", wild))]) == 0
    assert "identical" in capsys.readouterr().out


def test_a_guard_is_of_one_car() -> None:
    with pytest.raises(ValueError, match="expected one car on the CPU, got 2"):
        Guard(CAR).init(2, "cpu")
