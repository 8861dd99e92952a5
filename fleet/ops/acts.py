"""What can be done from the operator page, each as its own command does it, and the record of it.

    raise          the fleet's emergency stop; unsigned, as `muster estop raise`: no key may keep it from being heard
    reset          of the stop with this number, signed with the operator's key (`muster estop reset`)
    kill           of the rollout: an order signed with the operator's key (`muster rollout kill`)
    acknowledge    an alarm is known; it stays listed, and stays known where the page is started again

Each act, and what came of it, is a line of RUN/operator.jsonl (wall time, who, what, words, answer), on disk before the
browser is answered; where there is no run directory, or no room, only the answer says it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordination.client import COORDINATOR, FleetClient
from coordination.estop import is_operator
from coordination.keys import Keys, page_of, read_keys
from coordination.requests import StopState
from coordination.zmq_transport import ZmqClient
from fleet.estop import REASON_MAX, WHO_MAX, describe, who
from fleet.ops.places import Places
from fleet.ops.rollouts import kill_rollout
from fleet.rundir import RunDirectory
from sim.errors import MusterError, printable
from sim.files import read_file

RECORD = "operator.jsonl"
"""In the run directory."""
RECORD_MAX = 16 << 20
"""Bytes; 50,000 acts. Beyond it acts are done and not recorded."""
KEY_MAX = 200
"""Letters of an alarm's key that are recorded; keys are made of names and numbers."""
ACKNOWLEDGE, ACKNOWLEDGED, OVER = "acknowledge", "acknowledged", "over"
TIMEOUT = 4.0
"""s that the coordinator may take to answer an act."""


class ActError(MusterError):
    """Something that cannot be done from here."""


@dataclass(frozen=True)
class Operator:
    """Who acts, and with what."""

    name: str
    keys: Keys


def read_operator(path: Path, name: str) -> Operator:
    """The operator of a key file; `name` is used where it is a fleet's. Raises MusterError unless it may reset."""
    keys = read_keys(path)
    own = name if keys.fleet is not None else next(iter(keys.nodes))
    if not is_operator(own):
        raise ActError(
            f"--key: expected an operator's key, got that of {own}; `muster keys derive operator_{own}`"[:300]
        )
    return Operator(own, keys)


class Acts:
    """Owns the record. Every method raises MusterError with one line, and is recorded either way."""

    def __init__(self, places: Places, operator: Operator) -> None:
        self.places, self.operator = places, operator
        self._turn = threading.Lock()

    def raise_stop(self, reason: str) -> str:
        """Raise the emergency stop; how it stands then."""
        words = printable(reason)[:REASON_MAX] or "from the operator page"

        def act() -> str:
            with contextlib.closing(ZmqClient(self.operator.name, COORDINATOR, None, self.places.coordinator)) as end:
                return _latched(FleetClient(end).stop(self._by(), words, TIMEOUT))

        return self._recorded("raise", words, act)

    def reset_stop(self, epoch: int) -> str:
        """Reset the stop of that number; how it stands then."""

        def act() -> str:
            # under a page's name, made by the operator's key: his other ends (muster jog) are heard on
            name, keys = page_of(self.operator.name, secrets.randbelow(10_000)), self.operator.keys
            with contextlib.closing(ZmqClient(name, COORDINATOR, keys, self.places.coordinator)) as end:
                return describe(FleetClient(end).reset(self._by(), epoch, TIMEOUT))

        return self._recorded("reset", str(epoch), act)

    def kill(self, reason: str) -> str:
        """Take the rollout's candidate from every robot; how it stands then."""
        words = printable(reason)[:REASON_MAX] or "killed from the operator page"
        return self._recorded(
            "kill", words, lambda: kill_rollout(self.places.run, self.operator.name, self.operator.keys, words)
        )

    def acknowledge(self, key: str) -> str:
        """Note that an alarm is known; what to answer."""
        if self._note(ACKNOWLEDGE, printable(key)[:KEY_MAX], ACKNOWLEDGED):
            return ACKNOWLEDGED
        return "acknowledged, but there is no place to record it: it is forgotten when the page ends"

    def over(self, key: str) -> None:
        """Note that an acknowledged alarm is over: it is not known if it comes again."""
        self._note(OVER, printable(key)[:KEY_MAX], "the alarm is over")

    def _by(self) -> str:
        return f"{self.operator.name} ({who()})"[:WHO_MAX]

    def _recorded(self, act: str, words: str, do: Callable[[], str]) -> str:
        try:
            answer = do()
        except MusterError as error:
            self._note(act, words, f"refused: {error}")
            raise
        self._note(act, words, answer)
        return answer

    def _note(self, act: str, words: str, answer: str) -> bool:
        """Whether the line is on disk."""
        if self.places.run is None:
            return False
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": moment, "by": self.operator.name, "act": act, "words": words, "answer": answer})
        try:
            with self._turn, open(self.places.run.root / RECORD, "a+b") as file:
                size = file.tell()
                if size >= RECORD_MAX:
                    return False
                if size and file.seek(size - 1) and file.read(1) != b"\n":
                    file.write(b"\n")  # a line was torn: this one must not hang on it
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        return True


def _latched(state: StopState) -> str:
    """How the stop stands, for who has the button to reset it before him."""
    return f"STOPPED: emergency stop {state.stop_epoch} is latched" if state.stopped else describe(state)


def acknowledged(run: RunDirectory | None) -> dict[str, str]:
    """Which alarms of a run were acknowledged and not over when its page ended, and by whom; a torn line is none."""
    found: dict[str, str] = {}
    if run is None:
        return found
    try:
        data = read_file(run.root / RECORD, 2 * RECORD_MAX)
    except MusterError:
        return found
    for text in data.splitlines():
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.MsgspecError:
            continue
        if line.act == ACKNOWLEDGE and line.answer == ACKNOWLEDGED:
            found[line.words] = line.by
        elif line.act == OVER:
            found.pop(line.words, None)
    return found


class _Line(msgspec.Struct, frozen=True):
    """A line of the record."""

    by: str
    act: str
    words: str
    answer: str
