"""Logs that somebody or something damaged, and clocks that jumped, in every verb: an answer or one line, never more."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.blackbox import BlackBox, Step
from fleet.cli import main
from fleet.header import write_header
from fleet.incident.walk import read_logs
from fleet.records import Inputs
from tests.fleet import drives
from tests.fleet.incident.conftest import CONFIG, SITE, Run
from tests.fleet.incident.conftest import incident_run as drove
from tests.fleet.test_drivelog import write as write_drive

pytestmark = pytest.mark.filterwarnings("error")

recorded_run = drove
"""A fixture of another folder's tests"""

VERBS: dict[str, tuple[str, ...]] = {
    "verify": ("blackbox", "verify", "LOG"),
    "recover": ("blackbox", "recover", "LOG", "--out", "OUT.mcap"),
    "timeline": ("blackbox", "timeline", "LOG"),
    "why": ("blackbox", "why", "LOG", "--at", "3"),
    "export": ("blackbox", "export", "LOG", "--out", "OUT.csv"),
    "replay": ("replay", "LOG"),
    "assumption": ("replay", "LOG", "--speed-assumption", "2"),
    "to test": ("replay", "LOG", "--at", "3", "--seconds", "0.5", "--to-test", "OUT"),
    "sim": ("replay", "LOG", "--sim", "3", "--seconds", "0.3"),
    "incident": (
        "incident",
        "LOG",
        "--at",
        "3",
        "--before",
        "0.5",
        "--after",
        "0.5",
        "--no-film",
        "--output",
        "OUT.html",
    ),
}


def answered(capsys: pytest.CaptureFixture[str], verb: str, log: Path, folder: Path) -> tuple[int, str]:
    words = [word.replace("LOG", str(log)).replace("OUT", str(folder / "out")) for word in VERBS[verb]]
    capsys.readouterr()
    code = main(words)
    said = capsys.readouterr()
    assert code in (0, 1, 2)
    assert "Traceback" not in said.out + said.err
    if code == 2:
        assert said.err.count("\n") == 1, said.err
    return code, said.out + said.err


def bits(data: bytes, draw: random.Random) -> bytes:
    """Some bits flipped anywhere."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 3, 30))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def sector(data: bytes, draw: random.Random) -> bytes:
    """A sector overwritten with another one."""
    at, other = (512 * draw.randrange(len(data) // 512) for _ in range(2))
    return data[:at] + data[other : other + 512] + data[at + 512 :]


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def gap(data: bytes, draw: random.Random) -> bytes:
    """Some kilobytes are missing."""
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.randrange(1, 8000) :]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("damage", [bits, sector, cut, gap])
def test_a_damaged_log_of_a_robot_gets_an_answer_or_one_line_from_every_verb(
    recorded_run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    damage: Callable[[bytes, random.Random], bytes],
) -> None:
    draw, data = random.Random(f"{verb} {damage.__name__}"), recorded_run.box.read_bytes()
    for number in range(3):
        place = tmp_path / str(number)
        (place / "blackbox").mkdir(parents=True)
        for name in ("policy.onnx", "policy.json"):
            shutil.copy(recorded_run.root / name, place / name)
        log = place / "blackbox" / "r0-0.mcap"
        log.write_bytes(damage(data, draw))
        code, said = answered(capsys, verb, log, place)
        if verb == "verify":
            assert code in (1, 2), said


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"{}" * 400, b"\x89MCAP0\r\n" + bytes(9000)],
                         ids=["nothing", "the magic alone", "another format", "zeros"])  # fmt: skip
def test_what_is_no_log_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, content: bytes
) -> None:
    log = tmp_path / "r0-0.mcap"
    log.write_bytes(content)
    code, said = answered(capsys, verb, log, tmp_path)
    assert code in ((1, 2) if verb in ("verify", "recover") else (2,)), said


@pytest.mark.parametrize("verb", ["verify", "recover", "timeline", "why", "export", "replay"])
@pytest.mark.parametrize("damage", [bits, sector, cut, gap])
def test_a_damaged_log_of_a_drive_gets_an_answer_or_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    data, draw = write_drive(tmp_path, drives.moments(2.0)).read_bytes(), random.Random(damage.__name__)
    for number in range(4):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "drive0-0.mcap").write_bytes(damage(data, draw))
        answered(capsys, verb, place / "drive0-0.mcap", place)


@pytest.fixture
def jumped(recorded_run: Run, tmp_path: Path) -> Path:
    """The same steps with a site clock that went back by 4 s in the middle, twice, and ahead by ten minutes once."""
    second = 10**9

    def shifted(inputs: Inputs, by: int) -> Inputs:
        import msgspec

        names = ("stamp", "scan_stamp", "pose_stamp", "twist_stamp")
        return msgspec.structs.replace(inputs, **{name: getattr(inputs, name) + by for name in names})

    box = BlackBox(tmp_path / "blackbox", "r0", *write_header(CONFIG, SITE, None))
    shift = 5 * second
    for number, step in enumerate(recorded_run.steps):
        shift += {40: -4 * second, 42: -second, 90: 600 * second}.get(number, 0)
        inputs = shifted(step.inputs, shift)
        box.append(Step(step.cycle, inputs.stamp, inputs, step.memory, step.outputs))
        if number % 5 == 4:
            box.flush()
    box.close()
    return tmp_path


def test_a_clock_that_jumps_leaves_a_log_that_is_intact_whole_and_in_the_order_of_its_steps(
    jumped: Path,
    recorded_run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = answered(capsys, "verify", jumped, jumped)
    assert code == 0, said
    code, said = answered(capsys, "timeline", jumped, jumped)
    assert code == 0
    jumps = [line for line in said.splitlines() if "CLOCK" in line]
    assert any("jumped by -" in line for line in jumps)
    assert any("jumped by +6" in line for line in jumps)
    code, said = answered(capsys, "export", jumped, jumped)
    assert code == 0
    cycles = [int(line.split(",")[0]) for line in (jumped / "out.csv").read_text().splitlines()[1:]]
    assert cycles == [step.cycle for step in recorded_run.steps], "steps stand in the order in which they were made"
    stamps = [int(line.split(",")[1]) for line in (jumped / "out.csv").read_text().splitlines()[1:]]
    assert stamps != sorted(stamps)


@pytest.mark.parametrize("verb", ["why", "replay", "assumption", "to test", "incident"])
def test_a_log_whose_clock_jumped_can_be_asked_everything(
    jumped: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    answered(capsys, verb, jumped, jumped)
    assert sum(len(log.recording.chunks) for log in read_logs(jumped)) > 20
