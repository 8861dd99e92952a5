"""`muster replay --to-test DIR`: a regression test of what was decided around a moment, in two files.

    r3_at_12_3_s.mcap       the few recorded steps, from a chunk's start on, because there the whole memory stands
    test_r3_at_12_3_s.py    decides them again and fails at the first field that differs

Answers of policy and chooser are the recorded ones, so neither is needed: what is tested is everything else of the
control step, bit by bit. Both files can be moved, as long as they stay together.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fleet.blackbox import BlackBox, Step
from fleet.header import read_header
from fleet.incident.walk import Log, log_at, of_one_robot, walk
from fleet.incident.whatif import QuestionError
from fleet.records import Memory
from fleet.replay import Config, RecordedStep, Verdict, recorded_steps, replay
from fleet.salvage import read_recording
from sim.files import FileError, write_atomic
from sim.robot import SECOND

AROUND = 1.0
"""s before and after the moment that are kept unless told otherwise: what led there, and what came of it."""

TEXT = '''"""What {robot} decided {seconds:.1f} s into {source}, once more.

Made by `muster replay --to-test`. It fails at the first field that this code decides otherwise than recorded.
"""

from __future__ import annotations

from pathlib import Path

from fleet.incident.cutting import decide_again


def test_{robot_word}_decides_at_{word}_as_recorded() -> None:
    verdict = decide_again(Path(__file__).with_name("{segment}"))
    assert verdict.difference is None, verdict.line()
    assert verdict.steps == {steps}
'''


def decide_again(segment: Path) -> Verdict:
    """Replay a segment given the recorded answers. Raises BlackBoxError where it cannot be read."""
    recording = read_recording(segment)
    return replay(recording, read_header(recording), None)


def cut_test(config: Config) -> int:
    """Write the test that was asked for and say so; returns 0. Raises MusterError for what the user can mend."""
    assert config.to_test is not None
    around = AROUND if config.seconds is None else config.seconds
    if not 0.0 <= around <= 60.0:
        raise QuestionError(f"--seconds: expected 0 to 60 s around the moment, got {around:g}; a test keeps little")
    logs = of_one_robot(config.path, config.robot)
    zero = logs[0].span[0]
    if config.at is None:
        log, stamp = _first_difference(logs)
    else:
        stamp = zero + round(config.at * SECOND)
        log = log_at(logs, stamp, zero)
    test, steps, verdict = write_test(log, stamp, zero, around, config.to_test)
    print(f"{test}: {steps} steps; {'it passes' if verdict.identical else f'it fails: {verdict.line()}'}")
    return 0


def write_test(log: Log, stamp: int, zero: int, around: float, folder: Path) -> tuple[Path, int, Verdict]:
    """Write segment and test of `around` s before and after a stamp; the test, its steps, and how it goes now."""
    chunks = list(_chunks(log, stamp - round(around * SECOND), stamp + round(around * SECOND)))
    steps = sum(map(len, chunks))
    if not steps:
        raise QuestionError(f"expected whole steps around {(stamp - zero) / SECOND:g} s of {log.path}, there are none")
    seconds = (stamp - zero) / SECOND
    robot, word = _word(log.robot), _word(f"{seconds:.1f}_s")
    name = f"{robot}_at_{word}"
    segment, test = folder / f"{name}.mcap", folder / f"test_{name}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            box = BlackBox(Path(place), log.robot, log.recording.metadata, log.recording.attachments)
            for chunk in chunks:
                memory = chunk[0].memory
                for step in chunk:
                    box.append(Step(step.inputs.cycle, step.inputs.stamp, step.inputs, memory, step.outputs))
                box.flush()
            box.close()
            shutil.move(str(next(Path(place).glob("*.mcap"))), segment)
    except OSError as error:
        raise FileError(f"cannot write {segment}: {error.strerror or error}; choose another directory") from error
    verdict = decide_again(segment)
    text = TEXT.format(
        robot=log.robot,
        seconds=seconds,
        source=log.path.name,
        robot_word=robot,
        word=word,
        segment=segment.name,
        steps=steps,
    )
    write_atomic(test, text)
    return test, steps, verdict


def _chunks(log: Log, begin: int, end: int) -> Iterator[list[RecordedStep]]:
    """Recorded steps by chunk, each beginning with its memory: from the newest chunk not after `begin` up to `end`."""
    kept = log.recording.chunks[:-1] if log.recording.unsure else log.recording.chunks
    whole: list[list[RecordedStep]] = []
    memory: Memory | None = None
    for chunk in kept:
        if chunk[0].stamp > end:
            break
        steps = [step for step in recorded_steps(chunk, log.path) if step.inputs.stamp <= end]
        memory = steps[0].memory if steps else None
        if memory is None:
            continue
        if steps[0].inputs.stamp <= begin:
            whole.clear()  # this one begins late enough
        whole.append(steps)
    yield from whole


def _first_difference(logs: list[Log]) -> tuple[Log, int]:
    steps = 0
    for log in logs:
        for step in walk(log):
            steps += 1
            if not step.same:
                return log, step.inputs.stamp
    raise QuestionError(
        f"expected --at: this code decides all {steps} steps as recorded, so no difference says where to cut; "
        "give the second of the recording"
    )


def _word(text: str) -> str:
    """Letters and digits, for names of files and functions."""
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in text).lower()
