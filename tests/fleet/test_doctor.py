"""`muster doctor` as a person or a script calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import cli, doctor
from fleet.checkup.finding import Finding, Verdict

OK = Finding("clock", "date", Verdict.OK, "today")
NOTE = Finding("clock", "synchronised", Verdict.NOTE, "kept by nothing", "NTP", "set it")
MEND = Finding("disk", "free", Verdict.MEND, "1 GB", "9 GB", "a larger disk")


def found(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(doctor, "examine", lambda config: list(findings))


def test_all_well_is_exit_code_0_and_a_note_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, OK, NOTE)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == (
        "clock\n"
        "  ok   date          today\n"
        "  note synchronised  kept by nothing\n"
        "                     expected: NTP\n"
        "                     do: set it\n"
        "2 looked at: all well\n"
    )


def test_something_to_mend_is_exit_code_1_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, OK, MEND)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "mend free" in out
    assert "do: a larger disk" in out
    assert out.endswith("2 looked at: 1 to mend\n")


def test_what_strangers_call_themselves_controls_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Finding("peers", "names", Verdict.MEND, "2 nodes are called /\x1b[2J", "one", "rename one")
    assert all("\x1b" not in line for line in doctor.lines([stranger]))


def test_a_machine_reads_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found(monkeypatch, OK, MEND)
    assert cli.main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["muster"], document["verdict"]) == (1, "mend")
    assert document["findings"][1] == {
        "section": "disk", "name": "free", "verdict": "mend", "found": "1 GB", "expected": "9 GB",
        "remedy": "a larger disk",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--domain", "233"], "--domain: expected a number from 0 to 232"),
        (["--domain", "-1"], "--domain: expected"),
        (["--listen", "61"], "--listen: expected 0 to 60 s"),
        (["--listen", "-1"], "--listen: expected"),
        (["--listen", "nan"], "--listen: expected a number"),
        (["--coverage", "1.5"], "--coverage"),
        (["--expect", "R1!"], "--expect: "),
        (["--bus", "loop"], "--bus"),
        (["--busses", "dds"], "--bus"),
        (["--params-file"], "--params-file: expected"),
        (["--ros-args", "-r", "a:=b"], "no ROS node"),
    ],
)
def test_a_wrong_command_line_is_one_line(refused: Callable[..., str], words: list[str], said: str) -> None:
    assert said in refused("doctor", *words)


def test_this_computer_is_looked_at_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it is well depends on it; planted is one fault that is there in any case."""
    words = ["--bus", "none", "--expect", "r1", "--policy", str(tmp_path / "none"), "--runs", str(tmp_path)]
    assert cli.main(["doctor", "--json", *words]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert list(dict.fromkeys(each["section"] for each in findings)) == [
        "clock", "transports", "peers", "parameters", "models", "disk",
    ]  # fmt: skip
    mend = {each["name"] for each in findings if each["verdict"] == "mend"}
    assert {"policy", "robots"} <= mend
    assert all(each["expected"] and each["remedy"] for each in findings if each["verdict"] == "mend")
    assert list(tmp_path.iterdir()) == []
