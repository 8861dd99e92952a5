"""The learning curve on disk: one JSON line per iteration for the report, and TensorBoard event files.

`train.jsonl` holds flat objects, one per iteration, with at least `steps`, `seconds`, `cpu_seconds`, `success` and
`return`; lines of iterations with a held-out check have `held_out_*` keys too: those of `Evaluation`, and where driving
is learned `held_out_at_fault`, `_completion`, `_speed`, `_ttc`, `_jerk` and the like (sim/driving/meter.py). (Meta
trainings count decisions, and have `per_hour` instead of the last three: fleet/meta_train.py.) A resumed run drops what
it wrote after its checkpoint, so that a curve never runs twice through the same steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from sim.files import write_atomic


class Journal:
    """Owns the open curve files of one run."""

    def __init__(self, directory: Path, resumed_at: int = 0) -> None:
        """Write into `directory`; entries beyond step `resumed_at` of an earlier process are dropped."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "train.jsonl"
        write_atomic(self._path, _lines_until(self._path, resumed_at))
        self._stream = self._path.open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(directory / "tb"), purge_step=resumed_at + 1 if resumed_at else None)

    def write(self, entry: Mapping[str, float]) -> None:
        """Append one iteration; `entry["steps"]` is the x axis. Values that are not finite are left out."""
        finite = {key: value for key, value in entry.items() if math.isfinite(value)}
        self._stream.write(json.dumps(finite) + "\n")
        self._stream.flush()
        for key, value in finite.items():
            if key != "steps":
                self._writer.add_scalar(f"train/{key}", value, int(entry["steps"]))

    def close(self) -> None:
        """Flush and close both."""
        self._stream.close()
        self._writer.close()


def _lines_until(path: Path, steps: int) -> str:
    if not steps or not path.exists():
        return ""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:  # the line that the killed process was writing
            break
        if entry["steps"] > steps:
            break
        kept.append(line)
    return "".join(kept)
