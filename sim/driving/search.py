"""Search for the parameters of a scenario that are worst for whoever drives: cross-entropy, then refinement near by.

    state = begin_search(scenario, seed)
    while state.round < 8:
        state = search_round(scenario, state, evaluate)          evaluate(rows (n, p)) -> score (n,), lower: worse
    state = refine(scenario, state, evaluate)
    state.worst, state.score                                     the worst rows found, worst first

Each round draws rows from a normal distribution over the scenario's box (each parameter scaled to 0..1, cut off at the
ends; choices from shares), keeps the ELITE share with the lowest scores and moves the distribution towards them
(Rubinstein and Kroese, The cross-entropy method, 2004, with their smoothed updates; for driving: Zhao et al. 2017). A
share of every round is drawn uniformly, so that a second pit is not lost with the first round. `refine` then halves a
box around the worst row until it is a thousandth of the whole. Scores need not be finite: +inf and nan count as
harmless.

A state is arrays alone (`SearchState.save`, `load_search`), every draw is keyed by seed, round and row: a search that
was interrupted goes on to the same end.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from sim.driving.scenario import Floats, Scenario, ScenarioError, valid
from sim.files import read_arrays, write_atomic
from sim.randomization import Term, bell_numpy, draw_numpy, unit_numpy

Evaluate = Callable[[Floats], Floats]
"""Scores (n,) of rows of parameters (n, p); lower is more dangerous: the least margin of the drive, m."""

ELITE = 0.1
"""Share of a round that the next one follows (Rubinstein and Kroese: 1 to 10 %)."""

SMOOTH = 0.7
"""How far the distribution moves towards the elite (the same: 0.7 to 0.9)."""

UNIFORM = 0.2
"""Share of a round that is drawn from the whole box (own choice)."""

SPREAD_LEAST = 0.02
"""Standard deviation below which a parameter's distribution does not shrink, of its range; refinement does the rest."""

SHARE_LEAST = 0.05
"""Least share of each value of a choice."""

KEPT = 32
"""How many worst rows a state holds."""

HALVINGS = 10
"""Of the box in `refine`: 2^-10."""

ATTEMPTS = 64
"""Draws of a row until the scenario's rules hold; then a row that was found before stands in."""

REFINING = 1 << 16
"""First counter of refinement's draws: rounds use those below."""


@dataclass(frozen=True, eq=False)
class SearchState:
    """How far a search is; parameters in columns."""

    seed: int
    round: int
    evaluated: int
    """Rows that were scored so far"""
    mean: Floats
    """Of each parameter, scaled to 0..1, (p,)"""
    spread: Floats
    """Standard deviation, (p,)"""
    shares: Floats
    """Of the values of choices, (p, most values), 0 where there is none"""
    worst: Floats
    """Worst rows so far, worst first, (k, p), k up to KEPT"""
    score: Floats
    """Theirs, (k,)"""

    def save(self, path: Path) -> None:
        """Write the state whole. Raises `FileError`."""
        data = io.BytesIO()
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        np.savez(data, **arrays)  # type: ignore[arg-type]  # names of arrays, none of them `allow_pickle`
        write_atomic(path, data.getvalue())


def load_search(scenario: Scenario, path: Path) -> SearchState:
    """A state that `save` wrote. Raises `FileError`, and ScenarioError for a state of another scenario."""
    arrays, columns = read_arrays(path), len(scenario.parameters)
    expected = {field.name for field in fields(SearchState)}
    if set(arrays) != expected or arrays["mean"].shape != (columns,) or arrays["worst"].shape[1:] != (columns,):
        raise ScenarioError(
            f"{path}: expected a search of the {columns} parameters of {scenario.name}, got another file; begin anew"
        )
    seed, rounds, evaluated = (int(arrays[name]) for name in ("seed", "round", "evaluated"))
    columns = (arrays[name] for name in ("mean", "spread", "shares", "worst", "score"))
    return SearchState(seed, rounds, evaluated, *columns)


def begin_search(scenario: Scenario, seed: int) -> SearchState:
    """A search that knows nothing: the whole box."""
    many = len(scenario.parameters)
    shares = np.zeros((many, max(len(parameter.values) for parameter in scenario.parameters)))
    for k, parameter in enumerate(scenario.parameters):
        if parameter.choice:
            shares[k, : len(parameter.values)] = 1.0 / len(parameter.values)
    nothing = np.zeros((0, many))
    return SearchState(seed, 0, 0, np.full(many, 0.5), np.full(many, 0.5), shares, nothing, np.zeros(0))


def search_round(scenario: Scenario, state: SearchState, evaluate: Evaluate, many: int = 200) -> SearchState:
    """The state after one more round of `many` rows. Raises ScenarioError where no row keeps the scenario's rules."""
    rows = _draw(scenario, state, many)
    score = _scored(evaluate, rows)
    elite = rows[np.argsort(score, kind="stable")[: max(int(ELITE * many), 2)]]
    scaled = _scale(scenario, elite)
    shares = state.shares.copy()
    for k, parameter in enumerate(scenario.parameters):
        if parameter.choice:
            values = np.array(parameter.values)
            seen = (elite[:, k, None] == values).mean(axis=0)
            mixed = np.maximum((1.0 - SMOOTH) * shares[k, : len(values)] + SMOOTH * seen, SHARE_LEAST)
            shares[k, : len(values)] = mixed / mixed.sum()
    found = _keep(state, rows, score)
    return replace(
        found,
        round=state.round + 1,
        mean=(1.0 - SMOOTH) * state.mean + SMOOTH * scaled.mean(axis=0),
        spread=np.maximum((1.0 - SMOOTH) * state.spread + SMOOTH * scaled.std(axis=0), SPREAD_LEAST),
        shares=shares,
    )


def refine(
    scenario: Scenario, state: SearchState, evaluate: Evaluate, many: int = 32, halvings: int = HALVINGS
) -> SearchState:
    """The state after drawing rows around the worst one from ever smaller boxes; each follows the worst of before."""
    free = np.array([not parameter.choice and parameter.high > parameter.low for parameter in scenario.parameters])
    reach = 0.25
    for halving in range(halvings):
        if len(state.worst) == 0 or not free.any():
            return state
        middle = _scale(scenario, state.worst[:1])
        counters = REFINING + np.arange(len(free))
        bits = draw_numpy(state.seed, int(Term.SCENARIO), np.arange(many)[:, None], -1 - halving, counters)
        draws = unit_numpy(bits).astype(np.float64)
        scaled = np.clip(middle + np.where(free, reach * (2.0 * draws - 1.0), 0.0), 0.0, 1.0)
        rows = _unscale(scenario, scaled)
        rows[:, ~free] = state.worst[0, ~free]
        rows = rows[valid(scenario, rows)]
        if len(rows):
            state = _keep(state, rows, _scored(evaluate, rows))
        reach *= 0.5
    return state


def _draw(scenario: Scenario, state: SearchState, many: int) -> Floats:
    """Rows of one round that keep the rules, (many, p)."""
    columns = len(scenario.parameters)
    rows, left = np.zeros((many, columns)), np.arange(many)
    anywhere = np.arange(many) < (many if state.round == 0 else UNIFORM * many)
    for attempt in range(ATTEMPTS):
        life = -1 - state.round * ATTEMPTS - attempt  # `sample` draws with the others
        bits = draw_numpy(state.seed, int(Term.SCENARIO), left[:, None], life, np.arange(columns))
        share = unit_numpy(bits).astype(np.float64)
        wide = anywhere[left, None]
        scaled = np.where(wide, share, state.mean + state.spread * bell_numpy(bits).astype(np.float64))
        drawn = _unscale(scenario, np.clip(scaled, 0.0, 1.0))
        for k, parameter in enumerate(scenario.parameters):
            if parameter.choice:
                values = np.array(parameter.values)
                even = np.full(len(values), 1.0 / len(values))
                chances = np.where(wide, even, state.shares[k, : len(values)])
                passed = (share[:, k, None] >= chances.cumsum(axis=1)).sum(axis=1)
                drawn[:, k] = values[np.minimum(passed, len(values) - 1)]
        kept = valid(scenario, drawn)
        rows[left[kept]] = drawn[kept]
        left = left[~kept]
        if len(left) == 0:
            return rows
    found = np.setdiff1d(np.arange(many), left)
    if len(found) == 0:
        rules = "; ".join(rule.says for rule in scenario.rules)
        raise ScenarioError(f"{scenario.name}: expected parameters that keep its rules ({rules}), got none; fix fewer")
    rows[left] = rows[found[np.arange(len(left)) % len(found)]]
    return rows


def _scored(evaluate: Evaluate, rows: Floats) -> Floats:
    score = np.asarray(evaluate(rows), np.float64)
    if score.shape != (len(rows),):
        raise ValueError(f"expected {len(rows)} scores, got an array of shape {score.shape}")
    return np.where(np.isnan(score), np.inf, score)


def _keep(state: SearchState, rows: Floats, score: Floats) -> SearchState:
    """The state with the worst of what it had and of more rows, none twice."""
    rows_all, score_all = np.concatenate([state.worst, rows]), np.concatenate([state.score, score])
    _, first = np.unique(rows_all, axis=0, return_index=True)
    first = first[np.lexsort((first, score_all[first]))][:KEPT]
    return replace(state, worst=rows_all[first], score=score_all[first], evaluated=state.evaluated + len(rows))


def _scale(scenario: Scenario, rows: Floats) -> Floats:
    low, high = _box(scenario)
    return (rows - low) / np.maximum(high - low, 1e-12)


def _unscale(scenario: Scenario, scaled: Floats) -> Floats:
    low, high = _box(scenario)
    return low + (high - low) * scaled


def _box(scenario: Scenario) -> tuple[Floats, Floats]:
    return tuple(np.array([getattr(p, end) for p in scenario.parameters], np.float64) for end in ("low", "high"))  # type: ignore[return-value]
