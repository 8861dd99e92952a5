"""mcap_conformance: files of MCAP's conformance suite that our writer makes byte for byte, and the mcap package reads.

The suite in ../shared/data/fleet/mcap states each variant as a list of records; the hash of the file that upstream's
own writer makes of them stands beside it. Padded variants count too. `share`: those of which the hash is the same and
which the mcap package for Python reads as the very records, checksums on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from figure import Figure, NotHere

from tests.fleet.box.conformance import read_alike, same, variants, write

SUITE = Path(__file__).resolve().parents[3] / "shared" / "data" / "fleet" / "mcap" / "conformance"


def measure(quick: bool) -> Iterable[Figure]:
    """The same, quick or not."""
    found = list(variants(SUITE)) if SUITE.is_dir() else []
    if not found:
        raise NotHere("needs ../shared/data/fleet/mcap")
    good = 0
    for variant in found:
        data = write(variant)
        fine = same(variant, data) and read_alike(variant, data)
        good += fine
        if not fine:
            print(f"{variant.path.stem} differs", file=sys.stderr)
    print(f"{good} of {len(found)} variants", file=sys.stderr)
    yield Figure("share", good / len(found), "1")
