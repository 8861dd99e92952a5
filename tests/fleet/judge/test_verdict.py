"""A verdict is a file that gives the same verdict again, and tells what was changed."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from fleet import cli
from fleet.judge.judge import judge
from fleet.judge.missions import FILE, MissionError, append_missions, line, read_missions
from fleet.judge.settings import Known, Settings
from fleet.judge.verdict import VerdictError, encode, read_verdict, replay, write_verdict
from sim.files import FileError
from tests.fleet.judge.worlds import missions

SETTINGS = Settings(history={"interventions": Known(0.02)})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with an hour of missions and one verdict."""
    append_missions(tmp_path / FILE, missions(3, hours=2))
    write_verdict(judge(SETTINGS, read_missions(tmp_path / FILE)), tmp_path)
    return tmp_path


def test_missions_come_back_as_they_were_written(tmp_path: Path) -> None:
    made = missions(3, hours=0.5)
    append_missions(tmp_path / FILE, made[:10])
    append_missions(tmp_path / FILE, made[10:])
    assert list(read_missions(tmp_path / FILE)) == made
    assert (tmp_path / FILE).read_bytes() == b"".join(map(line, made))


def test_line_that_is_not_finished_is_left_out_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    append_missions(tmp_path / FILE, missions(3, hours=0.1))
    whole = len(list(read_missions(tmp_path / FILE)))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"id": "half')
    assert len(list(read_missions(tmp_path / FILE))) == whole
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(MissionError, match=f"line {whole + 1} "):
        list(read_missions(tmp_path / FILE))


def test_a_line_that_a_killed_writer_left_unfinished_spoils_no_later_mission(tmp_path: Path) -> None:
    made = missions(3, hours=0.1)
    append_missions(tmp_path / FILE, made[:3])
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"id": "half')
    append_missions(tmp_path / FILE, made[3:])
    assert list(read_missions(tmp_path / FILE)) == made


def test_on_a_full_disk_missions_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made = missions(3, hours=0.5)
    append_missions(tmp_path / FILE, made[:3])
    room = (tmp_path / FILE).stat().st_size + 2 * len(line(made[3])) + 10
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            append_missions(tmp_path / FILE, made[3:])
        with pytest.raises(FileError, match="cannot write"):
            write_verdict(judge(SETTINGS, made), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, told)
    assert list(read_missions(tmp_path / FILE)) == made[:3]
    append_missions(tmp_path / FILE, made[3:])
    assert list(read_missions(tmp_path / FILE)) == made
    assert not list((tmp_path / "verdicts").iterdir())


def test_verdict_replays_to_the_same_bytes(run: Path) -> None:
    path = run / "verdicts" / "0001.json"
    told = read_verdict(path)
    assert encode(told) == path.read_bytes()
    assert replay(path).same
    append_missions(run / FILE, missions(4, hours=1))  # what came later changes nothing
    assert replay(path).same


def test_verdict_on_a_candidate_that_is_far_better_replays_too(tmp_path: Path) -> None:
    append_missions(tmp_path / FILE, missions(3, hours=10, candidate=0.0, baseline=0.9))
    path = write_verdict(judge(Settings(), read_missions(tmp_path / FILE)), tmp_path)
    assert replay(path).same


def test_changed_mission_is_told(run: Path) -> None:
    lines = (run / FILE).read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b'"contacts":0', b'"contacts":1')
    (run / FILE).write_bytes(b"".join(lines))
    told = replay(run / "verdicts" / "0001.json")
    assert not told.same
    assert "the missions differ" in told.line


@pytest.mark.parametrize("field", ["decision", "log_e", "reason", "holds"])
def test_changed_verdict_is_told(run: Path, field: str) -> None:
    path = run / "verdicts" / "0001.json"
    told = json.loads(path.read_text())
    told[field] = {"decision": "promote", "log_e": 9.0, "reason": "it is good", "holds": ["it is late"]}[field]
    path.write_text(json.dumps(told))
    again = replay(path)
    assert not again.same
    assert again.line.startswith(f"{field} differs")


def test_fewer_missions_than_were_judged_and_files_that_are_no_verdicts_are_one_line(run: Path) -> None:
    path = run / "verdicts" / "0001.json"
    lines = (run / FILE).read_bytes().splitlines(keepends=True)
    (run / FILE).write_bytes(b"".join(lines[:-5]))
    with pytest.raises(VerdictError, match="expected 400 missions"):
        replay(path)
    path.write_text("{}")
    with pytest.raises(VerdictError, match="expected a verdict"):
        replay(path)


def test_verdicts_are_numbered(run: Path) -> None:
    verdict = read_verdict(run / "verdicts" / "0001.json")
    assert write_verdict(verdict, run).name == "0002.json"


def test_command_looks_replays_and_learns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["judge", "look", str(run)]) == 3
    said = capsys.readouterr().out
    assert said.startswith("hold: ")
    assert "0002.json" in said
    assert cli.main(["judge", "replay", str(run / "verdicts" / "0002.json")]) == 0
    assert capsys.readouterr().out.startswith("identical: hold")
    settings = run / "judge.json"
    assert cli.main(["judge", "learn", str(run), "--settings", str(settings)]) == 0
    assert cli.main(["judge", "look", str(run), "--settings", str(settings), "--no-write"]) == 3


@pytest.mark.parametrize("words", [["look", "nowhere"], ["replay", "nowhere.json"], ["learn", "nowhere"]])
def test_files_that_are_not_there_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["judge", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_settings_with_an_unknown_field_are_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "judge.json").write_text('{"alpah": 0.01}')
    assert cli.main(["judge", "look", str(run), "--settings", str(run / "judge.json")]) == 2
    assert "alpah" in capsys.readouterr().err


@pytest.mark.parametrize("now", ["inf", "-inf", "1e300", "1e14", "-5e11"])
def test_a_now_that_no_clock_shows_is_one_line(run: Path, now: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["judge", "look", str(run), f"--now={now}"]) == 2
    error = capsys.readouterr().err
    assert "--now: expected " in error
    assert len(error.splitlines()) == 1
