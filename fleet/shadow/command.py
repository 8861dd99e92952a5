"""`muster shadow LOG --policy V`: what that policy would have done where these robots were.

LOG is a black box, a run directory with black boxes, or the log that `muster import` made of a rosbag2 recording. Every
step in which a policy was asked is given to the candidate too, with the same inputs and memory. Pairs, summary and page
go to --out, by default LOG/shadow-<candidate>. Without --policy LOG holds pairs already (a run with shadow:=VERSION):
they are summed up again.

Exit code 0: pass or hold; 1: reject; 2: something cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from tyro.conf import Positional

from fleet.shadow import candidate as candidates
from fleet.shadow import record
from fleet.shadow.candidate import ShadowError
from fleet.shadow.page import render
from fleet.shadow.pairs import Pair
from fleet.shadow.summary import ShadowSummary, of_records
from fleet.shadow.verdict import REJECT, Settings
from sim.files import write_atomic


@dataclass(frozen=True)
class Config:
    """Let a candidate decide beside production on recorded logs, and report."""

    log: Positional[Path]
    """A black box (.mcap), a run directory, or what `muster import` wrote"""
    policy: str = ""
    """The candidate: a directory, a version, a release or an alias; empty to sum up pairs that LOG holds"""
    registry: Path = candidates.REGISTRY
    """Where versions, releases and aliases are looked up"""
    out: Path | None = None
    """Folder for pairs, summary.json and report.html"""
    disagreement: float = Settings().disagreement
    """Share of steps that may differ before a person should look"""
    alpha: float = Settings().alpha
    """Probability, over all looks, that a candidate no worse than production is rejected"""


def run(config: Config) -> int:
    """Pair, sum up, write the page and print the verdict. Raises MusterError with one line."""
    for name in ("disagreement", "alpha"):
        value = getattr(config, name)
        if not 0.0 < value < 1.0:
            raise ShadowError(f"--{name}: expected a share between 0 and 1, got {value:g}; give for example 0.05")
    settings = Settings(disagreement=config.disagreement, alpha=config.alpha)
    if config.policy:
        found, held, out = _pair(config, settings)
    else:
        files = record.files(config.log)
        held = sorted((one for file in files for one in record.read(file)), key=lambda one: one.stamp)
        found = of_records(held, settings)
        out = config.out or (config.log if config.log.is_dir() else config.log.parent)
        if not found.pairs:
            raise ShadowError(f"expected pairs in {config.log}, there are none; give --policy for the candidate")
    pairs = [one for one in held if isinstance(one, Pair) and one.candidate.policy == found.candidate]
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "shadow.json", msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
    write_atomic(out / "shadow.html", render(config.log.name, found, pairs))
    print("\n".join(words(found)))
    print(f"report: {out / 'shadow.html'}")
    return 1 if found.verdict.decision == REJECT else 0


def words(found: ShadowSummary) -> list[str]:
    """The summary for a person."""
    verdict, n = found.verdict, max(found.pairs, 1)
    asked = f"{found.pairs} steps of {', '.join(found.robots) or 'no robot'}"
    skipped = f", {sum(found.skipped.values())} left out" if found.skipped else ""
    return [
        f"candidate {found.candidate} beside {', '.join(found.production) or 'a recording'}: {asked}{skipped}",
        f"disagreement: mean {found.disagreement_mean:.3f}, p95 {found.disagreement_p95:.3f}; "
        f"{100 * found.differing:.1f} % of the steps differ",
        f"the shield would have changed {found.interventions_candidate} of the candidate's commands "
        f"({100 * found.interventions_candidate / n:.2f} %), and {found.interventions_production} of production's",
        f"failed answers: candidate {found.failures_candidate}, production {found.failures_production}",
        f"{verdict.decision}: {verdict.reason}",
    ]


def _pair(config: Config, settings: Settings) -> tuple[ShadowSummary, list[Pair], Path]:
    from fleet.shadow.offline import logs, pairs

    held: list[Pair] = []
    found = logs(config.log)
    spec, site = found[0][1].config.spec, found[0][1].site
    root = config.log if config.log.is_dir() else config.log.parent
    keep = config.out or root
    place = candidates.find(config.policy, spec, config.registry, keep / "policies", site.name)
    policy = candidates.load(place, spec)
    out = config.out or root / f"shadow-{policy.hash[:12]}"
    for recording, header in found:
        if recording.damage:
            print(f"{recording.path}: {recording.damage}", flush=True)
        mine = list(pairs(recording, header, policy))
        held += mine
        print(f"{recording.path}: {len(mine)} steps paired", flush=True)
    if not held:
        raise ShadowError(
            f"expected steps in which a policy was asked in {config.log}, there are none; give a log of a driving robot"
        )
    held.sort(key=lambda one: one.stamp)
    for robot in sorted({one.robot for one in held}):
        path = out / f"{robot}.jsonl"
        path.unlink(missing_ok=True)
        record.write(path, (one for one in held if one.robot == robot))
    return of_records(held, settings), held, out
