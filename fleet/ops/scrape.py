"""What a process's metrics page says of it, as far as the operator page shows it.

Bounded: at most `LONGEST` bytes are read, within `PATIENCE`. A page that is none, or is cut off, counts as no answer.
"""

from __future__ import annotations

import http.client
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from fleet.ops.seen import Process

LONGEST = 4 << 20
"""Bytes: a host of a hundred robots serves about 300 kB."""
PATIENCE = 1.0
"""s; the page is on this machine, or near."""

COUNTS = {
    "missed": "muster_missed_deadlines",
    "skipped": "muster_skipped_cycles",
    "lost": "muster_blackbox_dropped_steps",
    "faults": "muster_blackbox_faults",
    "interventions": "muster_shield_interventions",
    "steps": "muster_control_steps",
}
"""Counters that are added up over a process's robots."""


def scrape(name: str, url: str, before: Process | None, since: float) -> Process:
    """Read a page; `since` is how long ago (s) the look `before` was, by which an older answer has aged."""
    try:
        with _OPENER.open(url, timeout=PATIENCE) as answer:
            text = _whole(answer).decode("utf-8")
        return Process(name, url, True, 0.0, figures(text_string_to_metric_families(text)))
    except (OSError, ValueError, http.client.HTTPException, urllib.error.URLError):
        age = -1.0 if before is None or before.age < 0.0 else before.age + since
        return Process(name, url, False, age, before.said if before is not None else {})


def figures(families: Iterable[Metric]) -> dict[str, float]:
    """What `Process.said` holds, from the families of a page."""
    found: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in families:
        if family.name == "process_resident_memory_bytes":
            found["memory"] = sum(sample.value for sample in family.samples)
        elif family.name == "muster_control_step_seconds":
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    bound = float(sample.labels["le"])
                    buckets[bound] = buckets.get(bound, 0.0) + sample.value
        for figure, counter in COUNTS.items():
            if family.name == counter:
                found[figure] = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    if (p99 := quantile(buckets, 0.99)) is not None:
        found["step_p99"] = p99
    return {figure: value for figure, value in found.items() if math.isfinite(value)}


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """A quantile of a cumulative histogram, linear within its bucket as Prometheus does it; None where it is empty.

    Beyond the last finite bound that bound is told.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0.0:
        return None
    rank, below, count = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return below
            return below + (bound - below) * (rank - count) / max(buckets[bound] - count, 1e-12)
        below, count = bound, buckets[bound]
    return below


def _whole(answer: http.client.HTTPResponse) -> bytes:
    """All of an answer, within the bounds; a peer that says a byte a second does not hold the caller."""
    end, parts, length = time.monotonic() + 2.0 * PATIENCE, [], 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        length += len(part)
        if length > LONGEST or time.monotonic() > end:
            raise ValueError("too long")
    return b"".join(parts)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """See `HTTPRedirectHandler`: none."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
