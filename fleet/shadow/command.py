"""`muster shadow LOG --policy V`: what that policy would have done where these robots were.

LOG is a black box, a run directory with black boxes, or the log that `muster import` made of a rosbag2 recording. Every
step in which a policy was asked is given to the candidate too, with the same inputs and memory. Pairs, summary and page
go to --out, by default LOG/shadow-<candidate>. Without --policy LOG holds pairs already (a run with shadow:=VERSION):
they are summed up again.

Exit code 0: pass or hold; 1: reject; 2: something cannot be read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tyro.conf import Positional

from fleet.replay import find_files
from fleet.salvage import Recording, read_recording
from fleet.shadow import candidate as candidates
from fleet.shadow import record
from fleet.shadow.candidate import ShadowError
from fleet.shadow.page import render
from fleet.shadow.pairs import FLOOR, Pair
from fleet.shadow.record import Count
from fleet.shadow.summary import ShadowSummary, of_records
from fleet.shadow.verdict import REJECT, SETTINGS, Settings
from sim.files import replacing, write_atomic

DRIVE = "drive 2"
"""Schema of a car's black box: `fleet.drivelog.SCHEMA`, without its rooms."""


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


@dataclass(frozen=True)
class _Beside:
    """A candidate for some logs."""

    hash: str
    pairs: Callable[[Recording], Iterable[Pair]]
    """The pairs of one of them"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for values, and for a candidate that nobody has, before anything is made."""
    for name in ("disagreement", "alpha"):
        value = getattr(config, name)
        if not 0.0 < value < 1.0:
            raise ShadowError(f"--{name}: expected a share between 0 and 1, got {value:g}; give for example 0.05")
    if made_later is None and config.policy:
        with candidates.refusing("--policy"), tempfile.TemporaryDirectory() as folder:
            _candidate(config, [read_recording(find_files(config.log)[0])], Path(folder))


def run(config: Config) -> int:
    """Pair, sum up, write the page and print the verdict. Raises MusterError with one line."""
    check(config, Path())
    if config.policy:
        found, held, out = _pair(config)
    else:
        found, held, out = _held(config)
        if not found.pairs:
            raise ShadowError(f"expected pairs in {config.log}, there are none; give --policy for the candidate")
    return _tell(config.log.name, found, held, out)


def report(root: Path) -> None:
    """What the pairs of a run say, printed and as a page; nothing where it has none."""
    config = Config(root)
    if not list(root.glob(f"{record.FOLDER}/*.jsonl")):
        print("shadow: no step was paired, no verdict", flush=True)
        return
    found, held, out = _held(config)
    _tell(root.name, found, held, out)


def _held(config: Config) -> tuple[ShadowSummary, list[Pair | Count], Path]:
    files = record.files(config.log)
    held = sorted((one for file in files for one in record.read(file)), key=lambda one: one.stamp)
    world = next((one.world for one in held if isinstance(one, Pair)), FLOOR)
    out = config.out or (config.log if config.log.is_dir() else config.log.parent)
    return of_records(held, _settings(config, world)), held, out


def _settings(config: Config, world: str) -> Settings:
    return msgspec.structs.replace(SETTINGS[world], disagreement=config.disagreement, alpha=config.alpha)


def _tell(name: str, found: ShadowSummary, held: Sequence[Pair | Count], out: Path) -> int:
    pairs = [one for one in held if isinstance(one, Pair) and one.candidate.policy == found.candidate]
    _made(out)
    write_atomic(out / "shadow.json", msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
    write_atomic(out / "shadow.html", render(name, found, pairs))
    print("\n".join(words(found)))
    print(f"report: {out / 'shadow.html'}", flush=True)
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


def _pair(config: Config) -> tuple[ShadowSummary, list[Pair], Path]:
    root = config.log if config.log.is_dir() else config.log.parent
    recordings = [read_recording(path) for path in find_files(config.log)]
    beside = _candidate(config, recordings, (config.out or root) / "policies")
    out = config.out or root / f"shadow-{beside.hash[:12]}"
    held: list[Pair] = []
    for recording in recordings:
        if recording.damage:
            print(f"{recording.path}: {recording.damage}", flush=True)
        mine = list(beside.pairs(recording))
        held += mine
        print(f"{recording.path}: {len(mine)} steps paired", flush=True)
    if not held:
        raise ShadowError(
            f"expected steps in which a policy was asked in {config.log}, there are none; give a log of a driving robot"
        )
    held.sort(key=lambda one: one.stamp)
    _made(out)
    for robot in sorted({one.robot for one in held}):
        with replacing(out / f"{robot}.jsonl") as path:
            record.write(path, (one for one in held if one.robot == robot))
    return of_records(held, _settings(config, held[0].world)), held, out


def _made(out: Path) -> None:
    """Make the folder of the pairs and the report. Raises ShadowError where it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShadowError(f"--out: expected a folder that can be made, got {out} ({error.strerror})") from error


def _candidate(config: Config, recordings: Sequence[Recording], keep: Path) -> _Beside:
    """The candidate, and how it is asked; raises ShadowError for a folder with both kinds of logs."""
    kinds = {recording.metadata.get("schema") == DRIVE for recording in recordings}
    if len(kinds) > 1:
        raise ShadowError(
            f"expected logs of one kind of robot in {config.log}, got cars and others; give each by itself"
        )
    return (_cars if kinds.pop() else _floors)(config, recordings, keep)


def _floors(config: Config, recordings: Sequence[Recording], keep: Path) -> _Beside:
    from fleet.shadow.offline import headers, pairs

    found = headers(recordings, config.log)
    spec, site = found[0].config.spec, found[0].site
    policy = candidates.load(candidates.find(config.policy, spec, config.registry, keep, site.name), spec)
    told = {recording.path: header for recording, header in zip(recordings, found, strict=True)}
    return _Beside(policy.hash, lambda recording: pairs(recording, told[recording.path], policy))


def _cars(config: Config, recordings: Sequence[Recording], keep: Path) -> _Beside:
    from fleet.shadow.cars import Asked, levels_of
    from fleet.shadow.drivelogs import pairs
    from sim.bodies.specs import CAR

    levels = levels_of(Asked(config.policy, config.registry), CAR, keep)
    return _Beside(levels.top.hash, lambda recording: pairs(recording, levels, CAR))
