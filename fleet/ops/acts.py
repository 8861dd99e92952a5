"""What can be done from the operator page, each as its own command does it, and the record of it.

    raise          the fleet's emergency stop; unsigned, as `muster estop raise`: no key may keep it from being heard
    reset          of the stop with this number, signed with the operator's key (`muster estop reset`)
    kill           of the rollout: an order signed with the operator's key (`muster rollout kill`)
    acknowledge    an alarm is known; it stays listed

Each act, and what came of it, is a line of RUN/operator.jsonl (wall time, who, what, words, answer), on disk before the
browser is answered; where there is no run directory, or no room, only the answer says it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordination.client import COORDINATOR, FleetClient
from coordination.estop import is_operator
from coordination.keys import Keys, read_keys
from coordination.requests import StopState
from coordination.zmq_transport import ZmqClient
from fleet.estop import REASON_MAX, WHO_MAX, describe, who
from fleet.ops.places import Places
from fleet.ops.rollouts import kill_rollout
from sim.errors import MusterError, printable

RECORD = "operator.jsonl"
"""In the run directory."""
RECORD_MAX = 16 << 20
"""Bytes; 50,000 acts. Beyond it acts are done and not recorded."""
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

    def __init__(
        self,
        places: Places,
        operator: Operator,
        reset: Callable[[str, int, float], StopState] | None = None,
    ) -> None:
        """`reset` is used where the page already speaks under the operator's name: two ends of one name starve."""
        self.places, self.operator = places, operator
        self._reset = reset
        self._turn = threading.Lock()

    def raise_stop(self, reason: str) -> str:
        """Raise the emergency stop; how it stands then."""
        words = printable(reason)[:REASON_MAX] or "raised from the operator page"

        def act() -> str:
            with contextlib.closing(ZmqClient(self.operator.name, COORDINATOR, None, self.places.coordinator)) as end:
                return describe(FleetClient(end).stop(self._by(), words, TIMEOUT))

        return self._recorded("raise", words, act)

    def reset_stop(self, epoch: int) -> str:
        """Reset the stop of that number; how it stands then."""

        def act() -> str:
            if self._reset is not None:
                return describe(self._reset(self._by(), epoch, TIMEOUT))
            name, keys = self.operator.name, self.operator.keys
            with contextlib.closing(ZmqClient(name, COORDINATOR, keys, self.places.coordinator)) as end:
                return describe(FleetClient(end).reset(self._by(), epoch, TIMEOUT))

        return self._recorded("reset", str(epoch), act)

    def kill(self, reason: str) -> str:
        """Take the rollout's candidate from every robot; how it stands then."""
        words = printable(reason)[:REASON_MAX] or "killed from the operator page"
        return self._recorded(
            "kill", words, lambda: kill_rollout(self.places.run, self.operator.name, self.operator.keys, words)
        )

    def acknowledge(self, key: str) -> None:
        """Note that an alarm is known."""
        self._recorded("acknowledge", printable(key)[:200], lambda: "acknowledged")

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

    def _note(self, act: str, words: str, answer: str) -> None:
        if self.places.run is None:
            return
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": moment, "by": self.operator.name, "act": act, "words": words, "answer": answer})
        with (
            self._turn,
            contextlib.suppress(OSError),
            open(self.places.run.root / RECORD, "a", encoding="utf-8") as file,
        ):
            if file.tell() < RECORD_MAX:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
