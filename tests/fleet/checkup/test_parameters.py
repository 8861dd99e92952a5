"""What the doctor says of the files that a robot is started with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordination.keys import Keys, new_keys, write_keys
from fleet.calibrationfile import write_record
from fleet.checkup.finding import Finding, Reading, Verdict
from fleet.checkup.parameters import ParameterFacts, check, look
from sim.readers import load_site
from sim.specfile import SpecFile, write_spec
from tests.fleet.calibrated import MADE, SPEC, record

NOW = MADE + timedelta(days=1)
SITE = load_site("generate:7")
WELL = ParameterFacts(
    site=Reading("generate:7", SITE),
    spec=Reading("robot.yaml", SPEC),
    calibration=Reading("calibration.yaml", record(floor=SITE.hash)),
    key=Reading("r1.key", Keys(nodes={"r1": bytes(32)})),
)


def told(facts: ParameterFacts, *robots: str, now: timedelta = timedelta()) -> list[Finding]:
    return [each for each in check(facts, NOW + now, 0.999, robots) if each.verdict is not Verdict.OK]


def test_what_belongs_together_is_well() -> None:
    assert told(WELL, "r1") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expired": "it braked weaker than calibrated"}, "it expired: it braked weaker"),
        ({"embodiment": "b" * 64}, "it was made for specification bbbbbbbbbbbb"),
        ({"floor": "c" * 64}, "it was made on floor cccccccccccc"),
        ({"coverage": 0.95}, "it shows 0.95 of the drives"),
        ({"findings": ("its odometry is off",)}, "its odometry is off"),
    ],
)
def test_a_calibration_that_does_not_hold_says_why(changes: dict[str, object], said: str) -> None:
    broken = replace(WELL, calibration=Reading("calibration.yaml", record(**{"floor": SITE.hash, **changes})))
    (fault,) = told(broken)
    assert (fault.name, fault.verdict) == ("calibration", Verdict.MEND)
    assert fault.found.startswith(said)


def test_a_calibration_of_another_unit_or_of_a_simulated_robot_is_told() -> None:
    for made, said in (("r2", "it was made of r2, this is r1"), ("", "it was made of a simulated robot, this is r1")):
        facts = replace(WELL, calibration=Reading("calibration.yaml", record(floor=SITE.hash, unit=made)))
        (fault,) = [each for each in check(facts, NOW, 0.999, unit="r1") if each.verdict is Verdict.MEND]
        assert fault.found.startswith(said)
    mine = replace(WELL, calibration=Reading("calibration.yaml", record(floor=SITE.hash, unit="r1")))
    assert [each for each in check(mine, NOW, 0.999, unit="r1") if each.verdict is Verdict.MEND] == []


def test_a_calibration_ends_by_the_calendar_and_is_told_two_weeks_before() -> None:
    assert told(WELL, now=timedelta(days=74)) == []
    assert [each.verdict for each in told(WELL, now=timedelta(days=80))] == [Verdict.NOTE]
    assert [each.verdict for each in told(WELL, now=timedelta(days=90))] == [Verdict.MEND]


def test_a_calibration_that_cannot_be_compared_is_a_note() -> None:
    assert [each.expected for each in told(replace(WELL, site=None))] == ["the floor that it drives on"]
    assert [each.name for each in told(replace(WELL, spec=Reading("x", error="no file")))] == ["spec", "calibration"]


def test_a_key_of_another_robot_and_the_fleets_key_are_told() -> None:
    (fault,) = told(WELL, "r2")
    assert fault.expected == "a key of r2"
    (note,) = told(replace(WELL, key=Reading("fleet.key", new_keys())), "r1")
    assert note.verdict is Verdict.NOTE


def test_all_that_a_robot_is_started_with_is_read(tmp_path: Path) -> None:
    (tmp_path / "robot.params.yaml").write_text("/r1/robot:\n  ros__parameters:\n    speed: 1.5\n")
    write_spec(tmp_path / "robot.yaml", SpecFile(SPEC))
    write_record(tmp_path / "calibration.yaml", record(floor=SITE.hash))
    write_keys(tmp_path / "r1.key", Keys(nodes={"r1": bytes(32)}))
    facts = look(
        tmp_path / "robot.params.yaml",
        "generate:7",
        str(tmp_path / "robot.yaml"),
        tmp_path / "calibration.yaml",
        tmp_path / "r1.key",
    )
    assert told(facts, "r1") == []
    said = {each.name: each.found for each in check(facts, NOW, 0.999, ["r1"])}
    assert said["params-file"].endswith("1 parameters for /r1/robot")
    assert "depot7" in said["spec"]


def test_each_file_that_cannot_be_read_is_a_line_of_its_own(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("muster: 1\nrobot: {mas: 3}\n")
    key = tmp_path / "open.key"
    key.write_text("0" * 64)
    key.chmod(0o644)
    facts = look(tmp_path / "none.yaml", "nowhere.map", str(bad), bad, key)
    faults = told(facts)
    assert [each.name for each in faults] == ["params-file", "site", "spec", "calibration", "key"]
    assert all(each.verdict is Verdict.MEND and each.remedy and "\n" not in each.found for each in faults)
    assert "chmod 600" in faults[-1].found


def test_hostile_names_of_files_are_findings_too() -> None:
    facts = look(Path("a\0b"), "a\0b", "a\0b", Path("a\0b"), Path("a\0b"))
    assert len(told(facts)) == 5
    assert all("\0" not in each.found + each.expected for each in told(facts))


def test_a_parameter_file_without_parameters_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    facts = look(tmp_path / "empty.yaml", "", "", None, None)
    assert [each.name for each in told(facts)] == ["params-file"]
