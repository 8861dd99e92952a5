"""`muster blackbox`: what it says of a robot's run, of a drive, and of files that somebody damaged."""

import csv
import resource
from pathlib import Path

import pytest

from fleet.blackbox import BlackBox
from fleet.box.sealkey import SealKey
from fleet.box.told import told
from fleet.cli import main
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from fleet.replay import replay_all
from fleet.salvage import read_recording
from sim.robot import RobotSpec
from tests.fleet import drives
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.test_drivelog import write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A robot whose scan fell silent for a second, sealed."""
    root, spec, site = tmp_path_factory.mktemp("run"), RobotSpec(), aisle()
    assert main(["blackbox", "key", "r0", "--out", str(root)]) == 0
    policy = write_hand_policy(root, spec)
    config = ControlConfig(robot="r0", spec=spec)
    scan = walls(site, spec.lidar.rays, spec.lidar.range_max, ((9.0, 2.2, 0.25),))
    robot = FakeRobot(spec, (0.6, 1.8, 0.0), scan)
    episode = Episode(Stepper(config, site, policy), robot, FakeCoordinator(site, delivery(5)))
    episode.run(4.0)
    robot.stale.add("scan")
    episode.run(1.0)
    robot.stale.clear()
    episode.run(4.0)
    box = BlackBox(root / "blackbox", "r0", *write_header(config, site, policy), key=SealKey(root / "r0.seal"))
    for number, step in enumerate(episode.steps):
        box.append(step)
        if number % 7 == 6:
            box.flush()
    box.close()
    return root


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["blackbox", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_run_is_verified_with_the_key_of_its_robot(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "verify", run, "--key", run / "r0.verify")
    assert code == 0
    assert "r0-0.mcap: intact" in text
    assert "no key" not in text
    code, text = said(capsys, "verify", run / "blackbox" / "r0-0.mcap")
    assert code == 0
    assert "not looked at: no key" in text
    code, text = said(capsys, "verify", run, "--key", run / "r0.seal")
    assert code == 2
    assert "is no verify key" in text


def test_a_changed_byte_is_told_and_the_rest_is_recovered(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((run / "blackbox" / "r0-0.mcap").read_bytes())
    at = data.rindex(b"observation")
    data[at] ^= 1
    bad, new = tmp_path / "r0-0.mcap", tmp_path / "new.mcap"
    bad.write_bytes(data)
    code, text = said(capsys, "verify", bad, "--key", run)
    assert code == 1
    assert "damaged" in text
    code, text = said(capsys, "recover", bad, "--out", new)
    assert code == 1
    whole = sum(len(chunk) for chunk in read_recording(run / "blackbox" / "r0-0.mcap").chunks)
    assert f"{whole - 1} records" in text
    assert sum(len(chunk) for chunk in read_recording(new).chunks) == whole - 1
    (verdict,) = replay_all(new, run)
    assert verdict.identical
    assert verdict.steps > 70
    assert said(capsys, "recover", bad, "--out", new)[0] == 2  # what is there is never written over


def test_a_timeline_shows_the_stop_and_its_event(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "timeline", run)
    assert code == 0
    assert "EVENT     stopped: stopped: scan stale" in text
    stops = [line for line in text.splitlines() if "stopped" in line and "EVENT" not in line]
    assert any("scan stale" in stop for stop in stops)


def test_why_says_what_was_decided_and_on_what(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "why", run, "--at", "4.8")
    assert code == 0
    for words in ("mode      stopped", "scan stale", "ages: scan", "versions  policy", "proposed", "margin"):
        assert words in text
    for words in (
        "monitors  ages: scan",
        "m of its bound",
        "novelty",
        "calibration",
        "steps without a verified command",
    ):
        assert words in text
    assert "release   no release by a rollout" in text
    code, text = said(capsys, "why", run, "--at", "1.4")
    assert "obstacle  nearest to the way of its stop" in text
    code, text = said(capsys, "why", run, "--at", "-3")
    assert code == 2


def test_on_a_full_disk_no_part_of_an_export_is_left(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next((run / "blackbox").glob("*.mcap"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        told = [
            said(capsys, "recover", file, "--out", tmp_path / "a.mcap"),
            said(capsys, "export", file, "--out", tmp_path / "b.mcap"),
            said(capsys, "export", file, "--out", tmp_path / "c.csv"),
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [code for code, _ in told] == [2, 2, 2]
    assert not list(tmp_path.glob("[abc].*"))
    assert said(capsys, "recover", file, "--out", tmp_path / "a.mcap")[0] in (0, 1)


def test_a_stretch_and_an_event_are_exported_for_others(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, log, whole = tmp_path / "a.csv", tmp_path / "a.mcap", tmp_path / "b.mcap"
    assert said(capsys, "export", run, "--out", table, "--begin", 1, "--end", 2)[0] == 0
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert 10 <= len(rows) <= 25
    assert float(rows[0]["released_1"]) > 0.0
    assert said(capsys, "export", run, "--out", log, "--begin", 1, "--end", 2)[0] == 0
    (verdict,) = replay_all(log, run)
    assert verdict.identical
    assert verdict.steps == len(rows)
    assert said(capsys, "export", run / "blackbox" / "events" / "r0-0.json", "--out", whole)[0] == 0
    assert len(list(told(read_recording(whole)))) == len(list(told(read_recording(run / "blackbox" / "r0-0.mcap"))))
    assert said(capsys, "export", run, "--out", tmp_path / "a.txt")[0] == 2


def test_a_drive_has_a_timeline_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, drives.moments(2.0))
    code, text = said(capsys, "timeline", path)
    assert code == 0
    assert "shielded" in text
    assert "policy" in text
    assert said(capsys, "why", path, "--at", 1)[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("verify", "nothing"), "does not exist"),
        (("key", "../r0"), "expected the name of a robot"),
        (("timeline", "log.mcap"), "expected an MCAP file"),
        (("recover", "events/r0-0.json"), "expected an event"),
        (("verify", "log.mcap", "--heads", "log.mcap"), "expected heads"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.mcap").write_bytes(b"not a log")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "r0-0.json").write_bytes(b"{")
    code, text = said(capsys, *words)
    assert code == 2
    assert told in text
    assert text.count("\n") == 1
