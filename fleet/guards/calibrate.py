"""`muster calibrate-guard POLICY`: teach a policy's graph to tell what is new to it, and measure what is too much.

    drive, undisturbed     fit the scores of novelty (agents/novelty.py); the readings' need no fit (senses.py)
    drive on other floors  limits of all, for SHARE of one false trip in ten robot-hours (fleet/guards/limits.py)
    drive on others yet    count the trips of the very rule that serves (fleet/guards/watch.py), bound their rate

The policy is written anew, with the second output, its limits and golden observations in the manifest; its actions stay
bit for bit. Exit code 1 where the counted trips do not bound the rate: more hours, or a policy that drives more evenly.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tyro.conf import Positional

from agents.errors import PolicyError
from sim.errors import MusterError
from sim.seeds import check_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agents.novelty import Limits
    from agents.policy import Policy
    from fleet.guards.drive import Fleet
    from sim.tasks.navigate import NavigateConfig

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

T = TypeVar("T")

RATE = 0.1
"""False trips an hour of one robot that are allowed: one in ten robot-hours."""
ROWS_MAX = 20_000


class GuardError(MusterError):
    """A guard cannot be calibrated as asked."""


@dataclass(frozen=True)
class Config:
    """Give a policy a guard: novelty in its graph, calibrated limits, golden observations."""

    policy: Positional[Path]
    """Directory with policy.onnx and policy.json"""
    out: Path | None = None
    """Directory to write into; POLICY/guarded if not given"""
    fit_hours: float = 8.0
    """Robot-hours that the scores are fitted on"""
    limit_hours: float = 20.0
    """Robot-hours on other floors that the limits are taken from"""
    check_hours: float = 48.0
    """Robot-hours on others yet on which false trips are counted; 30 bound the rate with none of them, 48 with one"""
    updates: int = 1000
    """Gradient steps of the fit"""
    rows: int = 384
    """Robots that drive side by side"""
    seed: int = 1
    spec: str = ""
    """Robot that the policy is for (sim/specfile.py); the default robot if empty"""


@dataclass(frozen=True)
class Counted:
    """Trips of undisturbed driving."""

    hours: float
    trips: int
    by: dict[str, int]
    """By reason"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise GuardError for values that cannot work."""
    for option, hours, least in (
        ("--fit-hours", config.fit_hours, 0.5),
        ("--limit-hours", config.limit_hours, 2.0),
        ("--check-hours", config.check_hours, 0.01),
    ):
        if not least <= hours <= 1e5:
            raise GuardError(f"{option}: expected {least:g} to 100000 robot-hours, got {hours:g}; give for example 24")
    if config.updates < 1:
        raise GuardError(f"--updates: expected 1 or more, got {config.updates}; give for example 1000")
    if not 12 <= config.rows <= ROWS_MAX:
        raise GuardError(f"--rows: expected 12 to {ROWS_MAX} robots, got {config.rows}; give for example 384")
    check_seed(config.seed)


def run(config: Config) -> int:
    """Fit, limit, count, write; 0 where the count bounds the rate, else 1."""
    from agents.navigation import training_task
    from agents.policy import Policy
    from fleet.guards.drive import task_of
    from hierarchy.skills import sees_limit
    from sim.device import start_warp
    from sim.specfile import named_spec

    check(config)
    policy = Policy.load(config.policy)
    if policy.guarded:
        raise GuardError(
            f"expected a policy without a guard, {policy.hash[:12]} of {config.policy} has one; name the one that it "
            "was made of"
        )
    start_warp()
    spec = named_spec(config.spec).spec
    task = task_of(training_task(), spec, limited=sees_limit(policy, spec))
    directory = config.policy if config.policy.is_dir() else config.policy.parent
    guarded, counted, bound = calibrate(
        config, policy, task, directory / "policy.onnx", config.out or directory / "guarded"
    )
    print(
        f"guarded: {config.out or directory / 'guarded'} (sha256 {guarded.hash[:12]}), {counted.trips} false trips in "
        f"{counted.hours:.1f} robot-hours on other floors: below {bound:.3f} an hour with 95 % confidence",
        flush=True,
    )  # fmt: skip
    if bound > RATE:
        print(f"expected at most {RATE:g} an hour; give more --check-hours, or --limit-hours if it tripped", flush=True)
    return 0 if bound <= RATE else 1


def calibrate(
    config: Config, policy: Policy, task: NavigateConfig, graph: Path, out: Path
) -> tuple[Policy, Counted, float]:
    """The guarded policy in `out`, what was counted, and the upper bound of its false trips an hour of one robot."""
    from agents.novelty import RAW, add_novelty, fit, normaliser
    from fleet.guards.drive import fleets, recorded, samples
    from fleet.guards.golden import MANY, make
    from fleet.guards.limits import rate_bound
    from sim.robot import SECOND
    from sim.tasks.navigate_contract import navigate_contract

    period = task.spec.period / SECOND
    steps = lambda hours: max(1, round(hours * 3600.0 / period / config.rows))  # noqa: E731
    contract = navigate_contract(task.spec, limited=task.limited)
    base = graph.read_bytes()
    driven = fleets(task, 10 * config.seed, config.rows)
    parts = _both(lambda fleet: recorded(fleet, policy, steps(config.fit_hours)), driven)
    print(f"fitting to {config.fit_hours:g} robot-hours", flush=True)
    observations, first = (_join([part[index] for part in parts]) for index in (0, 1))
    try:
        shift, scale = normaliser(base)
        novelty = fit(
            observations, first, contract.slices(), shift, scale, seed=config.seed, updates=config.updates
        )  # fmt: skip
        scored = _loaded(policy, add_novelty(base, novelty, RAW))
    except ValueError as error:
        raise GuardError(str(error)) from error
    print(f"limits from {config.limit_hours:g} robot-hours", flush=True)
    limits = find_limits(scored, fleets(task, 10 * config.seed + 1, config.rows), steps(config.limit_hours), period)
    judged = _loaded(policy, add_novelty(base, novelty, limits))
    print(f"counting in {config.check_hours:g} robot-hours", flush=True)
    others = fleets(task, 10 * config.seed + 2, config.rows)
    counted = count_trips(judged, others, steps(config.check_hours), period)
    bound = rate_bound(counted.trips, counted.hours)
    golden = make(policy, samples(others[0], policy, MANY))
    guard = {
        "rate_bound": round(bound, 4),
        "checked_hours": round(counted.hours, 2),
        "false_trips": counted.by,
        "limit_hours": config.limit_hours,
        "fit_hours": config.fit_hours,
        "seed": config.seed,
        "updates": config.updates,
        "limits": {"middle": limits.middle, "single": limits.single, "lasting": limits.lasting},
        "golden": golden,
    }
    return write(out, policy, add_novelty(base, novelty, limits), guard), counted, bound


def find_limits(scored: Policy, both: tuple[Fleet, Fleet], steps: int, period: float) -> Limits:
    """Limits of each score for one step and for the mean, from driving by a policy that tells raw scores."""
    import numpy as np

    from agents.novelty import Limits
    from agents.policy import RESIDUALS, SCORES
    from fleet.guards.limits import SHARE, bounded_limit_of, limit_of, with_headroom
    from fleet.guards.senses import LEAST

    rate = RATE * SHARE / (2 * len(SCORES))

    parts = _both(lambda fleet: _scores(scored, fleet, steps), both)
    single, means = (np.concatenate([part[index] for part in parts], 1) for index in (0, 1))
    middle = tuple(float(np.nanmedian(single[..., k])) for k in range(len(SCORES)))

    def limits_of(scores: NDArray[np.float32]) -> tuple[float, ...]:
        found = []
        for k, name in enumerate(SCORES):
            law = bounded_limit_of if name in RESIDUALS else limit_of
            limit = with_headroom(law(scores[..., k], rate, period), scores[..., k], middle[k], name)
            found.append(max(limit, LEAST.get(name, -np.inf)))
        return tuple(found)

    try:
        return Limits(middle, limits_of(single), limits_of(means))
    except ValueError as error:
        raise GuardError(f"--limit-hours: {error}") from error


def count_trips(policy: Policy, both: tuple[Fleet, Fleet], steps: int, period: float) -> Counted:
    """Calls of the baseline in undisturbed driving, by the rule that serves; the policy drives on after each."""
    from collections import Counter

    from fleet.guards.drive import drive
    from fleet.guards.rows import RowWatch

    def count(fleet: Fleet) -> tuple[Counter[str], int]:
        watch, found, calm = RowWatch(fleet.rows, period), Counter[str](), [0]

        def look(now: NDArray[np.float32], before: NDArray[np.float32], residuals: NDArray[np.float32]) -> None:
            _, novelty = policy.judge(now, before, residuals)
            novelty[~fleet.calm] = 0.0
            calm[0] += int(fleet.calm.sum())
            found.update(trip.name for trip in watch.calls(novelty, fleet.first))

        drive(fleet, policy, steps, look)
        return found, calm[0]

    parts = _both(count, both)
    total = sum((found for found, _ in parts), Counter[str]())
    hours = sum(calm for _, calm in parts) * period / 3600.0
    return Counted(hours, sum(total.values()), dict(total))


def write(out: Path, policy: Policy, graph: bytes, guard: dict[str, Any]) -> Policy:  # JSON values
    """The files of a guarded policy; raises FileError where they cannot be written."""
    import json

    from agents.policy import MANIFEST, MODEL, Policy, graph_hash
    from sim.files import FileError, write_atomic

    manifest = {**policy.manifest, "onnx_sha256": graph_hash(graph), "guard": {"of": policy.hash, **guard}}
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the directory {out}: {error.strerror}; name another with --out") from error
    write_atomic(out / MODEL, graph)
    write_atomic(out / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return Policy.load(out)


def _scores(scored: Policy, fleet: Fleet, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Raw scores of each step (steps, rows, SCORES) and their means over LASTING; nan where an episode is too young."""
    import numpy as np

    from agents.policy import CHANGES, SCORES
    from fleet.guards.drive import drive
    from fleet.guards.watch import LASTING

    told: list[NDArray[np.float32]] = []

    def look(now: NDArray[np.float32], before: NDArray[np.float32], residuals: NDArray[np.float32]) -> None:
        _, novelty = scored.judge(now, before, residuals)
        kept = novelty[:, : len(SCORES)].copy()
        for column in CHANGES:  # what needs a step before
            kept[fleet.first, column] = np.nan
        kept[~fleet.calm] = np.nan
        told.append(kept)

    drive(fleet, scored, steps, look)
    single = np.stack(told)
    mean = np.full_like(single, np.nan)
    mean[LASTING - 1 :] = sum(single[LASTING - 1 - k : len(single) - k] for k in range(LASTING)) / LASTING
    return single, mean


def _loaded(policy: Policy, graph: bytes) -> Policy:
    """A graph as a policy, without files."""
    from agents.policy import graph_hash, open_session

    try:
        return replace(policy, hash=graph_hash(graph), session=open_session(graph, Path("policy.onnx")))
    except PolicyError as error:
        raise GuardError(str(error)) from error


def _both(task: Callable[[Fleet], T], both: tuple[Fleet, Fleet]) -> list[T]:
    """A task of each fleet, side by side."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(both)) as pool:
        return list(pool.map(task, both))


def _join(parts: list[Any]) -> Any:  # arrays (steps, rows, ...)
    import numpy as np

    return np.concatenate(parts, 1)
