"""Replay: identical on what was recorded, and the first difference where one is planted; clear words on bad files."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agents.errors import PolicyError
from agents.policy import Policy
from coordination.messages import Chosen, Offer, Offered
from fleet import replay as replaying
from fleet.blackbox import BlackBox, Step
from fleet.codehash import code_hash
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import pack_site, read_header, unpack_site, write_header
from fleet.records import Inputs, Memory, at_start
from fleet.replay import Config, Verdict, replay_all, run
from fleet.salvage import BlackBoxError, Recording, read_recording
from hierarchy.chooser import Rule
from safety.calibration import Authority, Calibrated
from sim.bodies.specs import amr, car, forklift, mobile_manipulator
from sim.generate import generate_warehouse
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()
CONFIG = ControlConfig(robot="r0", spec=SPEC, person_speed=1.6)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Policy, list[Step]]:
    """A run directory with one black box of a whole delivery, withheld scans among it."""
    root = tmp_path_factory.mktemp("run")
    policy = write_hand_policy(root, SPEC)
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, ((9.0, 2.2, 0.25),))
    episode = Episode(
        Stepper(CONFIG, SITE, policy), FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(5))
    )
    episode.run(6.0)
    episode.robot.stale.add("scan")
    episode.run(1.0)
    episode.robot.stale.clear()
    episode.run(15.0)
    assert episode.steps[-1].outputs.report.legs_done == 1
    write_box(root, policy, episode.steps)
    return root, policy, episode.steps


def write_box(root: Path, policy: Policy, steps: list[Step], *, chunk: int = 7, config: ControlConfig = CONFIG) -> Path:
    metadata, attachments = write_header(config, SITE, policy)
    box = BlackBox(root / "blackbox", "r0", metadata, attachments)
    for number, step in enumerate(steps, 1):
        box.append(step)
        if number % chunk == 0:
            box.flush()
    box.close()
    return sorted((root / "blackbox").iterdir())[-1]


def only(path: Path, policy: Path) -> Verdict:
    (verdict,) = replay_all(path, policy)
    return verdict


@pytest.mark.parametrize("spec", [amr(), forklift(), mobile_manipulator(), car()], ids=lambda spec: spec.name)
def test_the_header_gives_every_robot_back_as_it_was(spec: RobotSpec) -> None:
    calibrated = Calibrated(0.999, 1.6, 0.08, (1.02, 0.97), (1.01, 1.0))
    config = ControlConfig("r3", spec, 0.0, ("carry", "lift"), "motor", "meta", "wheeled", Authority.CREEP, calibrated)
    recording = Recording(Path("box.mcap"), *write_header(config, SITE, None), (), True, "")
    assert read_header(recording).config == config
    for wrong in ('{"spec": 4}', "[1]", '{"spec": {"drive": {"track": "wide"}}}', '{"person_speed": "fast"}'):
        damaged = replace(recording, metadata=recording.metadata | {"config": wrong})
        with pytest.raises(BlackBoxError, match="expected a readable header"):
            read_header(damaged)


def test_records_from_before_calibrations_are_read_as_those_of_a_robot_without_one() -> None:
    memory = msgspec.msgpack.decode(msgspec.msgpack.encode(at_start((1.0, 2.0, 0.5))))
    del memory["calibration"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=Memory) == at_start((1.0, 2.0, 0.5))
    inputs = Inputs(3, 4, b"", 5, (0.0, 0.0, 0.0), 6, (0.0, 0.0), 7)
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(inputs))
    del plain["authority"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plain), type=Inputs) == inputs


def test_a_recorded_run_replays_identically(
    recorded: tuple[Path, Policy, list[Step]], capsys: pytest.CaptureFixture[str]
) -> None:
    root, _, steps = recorded
    assert run(Config(root)) == 0
    assert f"identical, {len(steps)} steps" in capsys.readouterr().out
    verdict = only(root / "blackbox" / "r0-0.mcap", root)
    assert verdict.asked > 30


def test_each_link_that_is_broken_is_named_with_its_first_cycle(
    recorded: tuple[Path, Policy, list[Step]], tmp_path: Path
) -> None:
    root, policy, steps = recorded
    number = next(i for i, step in enumerate(steps) if step.outputs.answer is not None and i > 20)
    step = steps[number]
    seen = bytearray(step.outputs.observation)
    seen[40] ^= 1
    replace = msgspec.structs.replace
    answer = replace(step.outputs.answer, action=(0.123, *step.outputs.answer.action[1:]))
    scan = bytearray(step.inputs.scan)
    scan[700] ^= 0x10
    faults = {
        "observation": replace(step, outputs=replace(step.outputs, observation=bytes(seen))),
        "outputs": replace(step, outputs=replace(step.outputs, answer=answer)),
        "outputs.released": replace(step, outputs=replace(step.outputs, released=(9.0, 0.0))),
        "outputs.report.status": replace(
            step, outputs=replace(step.outputs, report=replace(step.outputs.report, status=6))
        ),
        "outputs.mode": replace(step, outputs=replace(step.outputs, mode=4)),
    }
    for field, fault in faults.items():
        folder = tmp_path / field
        path = write_box(folder, policy, [*steps[:number], fault, *steps[number + 1 :]])
        verdict = only(path, root)
        assert verdict.difference is not None, field
        assert verdict.difference.cycle == number
        assert verdict.difference.field.startswith(field)
        assert run(Config(path, root)) == 1


def test_a_changed_memory_is_found_at_the_next_chunk(recorded: tuple[Path, Policy, list[Step]], tmp_path: Path) -> None:
    root, policy, steps = recorded
    spoiled = msgspec.structs.replace(steps[14], memory=msgspec.structs.replace(steps[14].memory, latch_epoch=5))
    verdict = only(write_box(tmp_path, policy, [*steps[:14], spoiled, *steps[15:]]), root)
    assert verdict.difference is not None
    assert (verdict.difference.cycle, verdict.difference.field) == (14, "memory.latch_epoch")


def test_a_policy_that_answers_otherwise_is_found(
    recorded: tuple[Path, Policy, list[Step]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _policy, _ = recorded
    path = root / "blackbox" / "r0-0.mcap"
    real = Policy.act
    monkeypatch.setattr(Policy, "act", lambda self, observation: real(self, observation) + 1e-7)
    verdict = only(path, root)
    assert verdict.difference is not None
    assert verdict.difference.field == "policy output"
    # the same on another machine is within what is promised there
    monkeypatch.setattr(replaying, "same_machine", lambda *recorded: False)
    verdict = only(path, root)
    assert verdict.identical
    assert "identical given the recorded policy outputs" in verdict.line()
    monkeypatch.setattr(Policy, "act", lambda self, observation: real(self, observation) + 1e-4)
    assert not only(path, root).identical


def test_a_robot_that_is_named_is_replayed_alone(
    recorded: tuple[Path, Policy, list[Step]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, policy, steps = recorded
    write_box(tmp_path, policy, steps[:20])
    assert run(Config(tmp_path, policy=root, robot="r0")) == 0
    capsys.readouterr()
    with pytest.raises(BlackBoxError, match=r"expected a black box of r7 .* there are those of r0"):
        list(replay_all(tmp_path, root, robot="r7"))


def test_a_cut_file_is_replayed_as_far_as_it_is_whole(
    recorded: tuple[Path, Policy, list[Step]], tmp_path: Path
) -> None:
    root, _, steps = recorded
    data = (root / "blackbox" / "r0-0.mcap").read_bytes()
    cut = tmp_path / "r0-0.mcap"
    cut.write_bytes(data[: int(0.6 * len(data))])
    verdict = only(cut, root)
    assert verdict.identical
    assert 0.5 * len(steps) < verdict.steps < 0.7 * len(steps)
    assert "the file was cut" in verdict.line()


def test_lost_steps_are_a_gap_and_no_difference(recorded: tuple[Path, Policy, list[Step]], tmp_path: Path) -> None:
    root, policy, steps = recorded
    verdict = only(write_box(tmp_path, policy, [*steps[:21], *steps[35:]]), root)
    assert verdict.identical
    assert verdict.gaps == 14


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.mcap", "does not exist"), ("empty", "there is none"), ("text.mcap", "expected an MCAP file")],
)
def test_what_cannot_be_replayed_is_said_in_one_line(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mcap").write_text("no log")
    with pytest.raises(BlackBoxError, match=words) as caught:
        run(Config(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_run_without_its_policy_asks_for_it(recorded: tuple[Path, Policy, list[Step]], tmp_path: Path) -> None:
    root, policy, steps = recorded
    path = write_box(tmp_path, policy, steps[:7])
    with pytest.raises(BlackBoxError, match="give --policy"):
        run(Config(path))
    with pytest.raises(PolicyError):
        run(Config(path, tmp_path / "nowhere"))
    assert run(Config(path, root)) == 0


def test_a_policy_that_lies_elsewhere_is_found_by_the_header(
    recorded: tuple[Path, Policy, list[Step]], tmp_path: Path
) -> None:
    root, policy, steps = recorded
    metadata, attachments = write_header(CONFIG, SITE, policy, root)
    box = BlackBox(tmp_path, "r0", metadata, attachments)
    for step in steps[:40]:
        box.append(step)
    box.close()
    assert run(Config(tmp_path)) == 0


def test_a_recording_of_another_schema_is_refused(recorded: tuple[Path, Policy, list[Step]], tmp_path: Path) -> None:
    _, policy, steps = recorded
    metadata, attachments = write_header(CONFIG, SITE, policy)
    box = BlackBox(tmp_path, "r0", {**metadata, "schema": "99"}, attachments)
    box.append(steps[0])
    box.close()
    with pytest.raises(BlackBoxError, match="schema 99"):
        run(Config(tmp_path))


def test_the_header_holds_everything_that_a_replay_needs(recorded: tuple[Path, Policy, list[Step]]) -> None:
    root, policy, _ = recorded
    recording = read_recording(root / "blackbox" / "r0-0.mcap")
    header = read_header(recording)
    assert header.config == CONFIG
    assert header.site.hash == SITE.hash
    assert header.policy_hash == policy.hash
    assert {"onnxruntime", "numpy", "warp-lang"} <= header.versions.keys()
    assert json.loads(recording.metadata["cpu"])["features"]


def test_a_floor_survives_its_packing() -> None:
    site = generate_warehouse(4)
    again = unpack_site(pack_site(site))
    assert (again.hash, again.name) == (site.hash, site.name)


def test_a_flipped_bit_in_the_cut_last_chunk_costs_no_more_than_that_chunk(
    recorded: tuple[Path, Policy, list[Step]], tmp_path: Path
) -> None:
    root, policy, steps = recorded
    whole = write_box(tmp_path, policy, steps[20:29], chunk=3)
    last = read_recording(whole).chunks[-1]
    data = whole.read_bytes()
    begin = data.index(last[0].data) - 200  # the chunk's own head is damaged too
    cut = data[: data.index(last[-1].data) + 20]
    draw, damaged = random.Random(2), tmp_path / "cut.mcap"
    read, left_out, altered = 0, 0, 0
    for _ in range(150):
        flipped = bytearray(cut)
        flipped[draw.randrange(begin, len(cut))] ^= 1 << draw.randrange(8)
        damaged.write_bytes(flipped)
        verdict = only(damaged, root)
        assert verdict.steps >= 6, "the two whole chunks"
        read += verdict.identical
        left_out += "was left out" in verdict.line()
        if not verdict.identical:
            altered += 1
            assert "no checksum covers" in verdict.line()
            assert verdict.steps > 6 or "memory" in verdict.line()
    assert min(read, left_out, altered) > 5, (read, left_out, altered)


def test_other_code_is_named_beside_the_verdict(recorded: tuple[Path, Policy, list[Step]], tmp_path: Path) -> None:
    root, policy, steps = recorded
    metadata, attachments = write_header(CONFIG, SITE, policy)
    assert metadata["code"] == code_hash()
    path = write_box(tmp_path, policy, steps[:7])
    assert "other code" not in only(path, root).line()
    for number, code in enumerate(("0123456789abcdef", "")):
        box = BlackBox(tmp_path / str(number), "r0", {**metadata, "code": code}, attachments)
        for step in steps[:7]:
            box.append(step)
        box.close()
        line = only(tmp_path / str(number), root).line()
        assert "identical" in line
        assert "recorded by other code" in line
        assert (code[:12] or "does not say") in line


def test_answers_to_offers_replay_from_the_record(recorded: tuple[Path, Policy, list[Step]], tmp_path: Path) -> None:
    policy = recorded[1]
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)
    stepper = Stepper(replace(CONFIG, meta="rule"), SITE, policy, Rule(1.0, 0.3, 0.9))
    coordinator = FakeCoordinator(SITE, offer=Offer(5, (Offered("near", 4, 10, level=0.0),), charger=3, robots=2))
    episode = Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), coordinator)
    episode.run(2.0)
    assert episode.steps[-1].outputs.report.chosen == Chosen(5, "near")
    path = write_box(tmp_path, policy, episode.steps, config=replace(CONFIG, meta="rule"))
    verdict = only(path, recorded[0])
    assert verdict.identical, verdict.line()
