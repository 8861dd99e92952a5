"""drive_contacts: at-fault contacts in 20,000 shielded drives of a minute on unseen roads, and their upper bound.

A third of them by a brisk driver who changes lanes, a third by random commands, a third by the learned hierarchy with
its motor policy; a tenth of each on the full body. Runs in two
processes and goes on where it was interrupted (tests/benchmarks/drives.py): runs/drives/drive_contacts-<commit>.jsonl.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from drives import campaign_records, default_out, summary, upper_95
from figure import Figure

NAME = "drive_contacts"

DRIVES, QUICK = 20_000, 160


def of(name: str, quick: bool) -> list[dict]:
    """The records of a campaign: run, or gone on with."""
    if not quick:
        return campaign_records(name, DRIVES, default_out(name))
    with tempfile.TemporaryDirectory() as folder:
        return campaign_records(name, QUICK, Path(folder) / "drives.jsonl", processes=1, quick=True)


def figures(records: list[dict]) -> Iterable[Figure]:
    """Contacts at fault, and the bound of the share of drives that have one."""
    shielded = [record for record in records if record["shielded"]]
    faults = [sum(c["class"] == "AT_FAULT" for c in record["contacts"]) for record in shielded]
    print(summary(records), file=sys.stderr)
    yield Figure("at_fault", sum(faults), "1", "drives", len(shielded))
    yield Figure("upper_95", upper_95(int(np.count_nonzero(faults)), len(shielded)), "1")


def measure(quick: bool) -> Iterable[Figure]:
    """See the module."""
    yield from figures(of(NAME, quick))
