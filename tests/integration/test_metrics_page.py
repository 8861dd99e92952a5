"""docs/metrics.md lists the names that are served, and no other."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"muster_[a-z_]+")


def test_the_page_lists_every_metric_and_no_other(root: Path) -> None:
    """The names stand as text in the modules that define metrics."""
    sources = ("fleet/metrics.py", "coordination/meters.py", "fleet/plantmetrics.py", "fleet/rollout/meters.py")
    served = {name for source in sources for name in re.findall(r'"(muster_[a-z_]+)"', (root / source).read_text())}
    listed = set(NAME.findall((root / "docs" / "metrics.md").read_text()))
    assert listed == served
