"""What the missions of two arms say so far: sums over blocks, from which every e-value and bound is worked out.

A block is a few missions of each arm of one shift, so that an hour that is hard for both is hard for nobody. All that
is taken from past blocks to weigh the next one (quantiles, scales) comes from the baseline's missions before it; that
keeps the evidence an e-process whatever these estimates are.

Channels. Counted metrics are event channels as they come: events per mission, and where a guardrail asks for it per
1,000 control steps or per hour, which are then what counts as missions. A measured metric y makes event channels "y is
above the baseline's 95 % (99 %) quantile t" and value channels "y, held between fences" and "y's excess over t", each
for a scale s of SCALES: under "the candidate is s times the baseline" y_c / s is distributed as y_b is. s = 1 is what
rolls back; the tolerance is what a promotion must rule out; all of them together are the bounds.

What did not arrive is no evidence for a rollback, and none for a promotion: there a candidate's missing count is taken
as an event and its missing value as the worst there is, so that nothing is gained by not telling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.judge import clusters, eprocess
from fleet.judge.settings import ACTIONS, COUNTED, HOUR, MEASURED, QUANTILES, RATES, Settings

Array = NDArray[np.float64]
Rows = list[tuple[float, ...]]
"""Missions: the metrics COUNTED, then MEASURED, then thousands of control steps; nan where not known."""

SCALES = (0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0)
"""Candidate over baseline, for values; the tolerances of the settings join them."""
EXPOSURES = {ACTIONS: (len(COUNTED) + len(MEASURED), 1.0), HOUR: (len(COUNTED), 3600.0)}
"""Of rates that are not per mission: the column of Rows that counts (steps, time), and how much of it is one."""
KNOWN_AFTER = {"mean": 20, "p95": 20, "p99": 60, "cvar": 40}
"""Missions of the baseline before a quantile of theirs is one."""
FENCE = 6.0
"""Interquartile ranges from the median at which a value is held: one mission that hung must not hide all others."""

DOUBT = 4.0
"""Blocks' worth of doubt: before there are many blocks nobody can know that missions do not hang together."""
RARE = 0.6
"""Power of a dispersion of values that rare events have: of 2 % (5 %) of a normal with memory 0.7 it is 0.48 (0.58),
with 0.9
0.65 (0.73), from the bivariate normal."""


class Grouped:
    """Owns one arm's sums by cluster: missions and events (clusters, channels), growing as clusters appear."""

    def __init__(self, channels: int) -> None:
        self._index: dict[object, int] = {}
        self._sums = np.zeros((8, 2, channels))

    def add(self, keys: list, there: Array, events: Array) -> None:
        """Add missions (rows, channels) that are there and their events to the clusters that `keys` name."""
        index = self._index
        places = [index.setdefault(key, len(index)) for key in keys]
        while len(index) > len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
        np.add.at(self._sums, places, np.stack([there, events], axis=1))

    @property
    def sums(self) -> tuple[Array, Array]:
        """Missions and events, each (clusters, channels)."""
        return self._sums[: len(self._index), 0], self._sums[: len(self._index), 1]


@dataclass(frozen=True)
class _Compared:
    """A block's values of both arms: candidate, baseline."""

    held: list[Array]
    """(missions, channels, scales) between the fences"""
    known: list[NDArray[np.bool_]]
    """(missions, channels)"""
    n: list[Array]
    """(channels, 1): values that count"""
    means: list[Array]
    """(channels, scales)"""
    both: NDArray[np.bool_]
    """(channels, 1): both arms have values"""
    unit: Array
    """(channels, 1): standard deviation of the difference of the means"""
    z: Array
    """(channels, scales): that difference, standardised"""


class Evidence:
    """Owns the sums. `add` takes a closed block; everything else reads."""

    def __init__(self, settings: Settings, careful: bool = True) -> None:
        """`careful`: whether variances over few robots are made larger, as a verdict needs and a record does not."""
        self._careful = careful
        guardrails = settings.guardrails
        tolerances = {guardrail.tolerance for guardrail in guardrails if guardrail.kind not in RATES}
        exposed = [(g.metric, g.kind) for g in guardrails if g.kind in EXPOSURES]
        self.scales: Array = np.array(sorted({*SCALES, *tolerances}))
        self.one = int(np.searchsorted(self.scales, 1.0))
        """Place of 1 in the scales"""
        self.rates = (*((metric, "rate") for metric in COUNTED), *exposed)
        """The event channels of counted metrics: all per mission, then per what guardrails ask for"""
        self.tails = tuple((g.metric, g.kind) for g in guardrails if g.kind in ("p95", "p99"))
        self.means = tuple((g.metric, g.kind) for g in guardrails if g.kind in ("mean", "cvar"))
        first = len(COUNTED)
        self.events = len(self.rates) + len(self.tails)
        """Event channels: rates, then tails"""
        self._rate_columns = [COUNTED.index(metric) for metric, _ in self.rates]
        self._exposures = [(first + i, *EXPOSURES[kind]) for i, (_, kind) in enumerate(exposed)]
        self._tail_columns = [first + MEASURED.index(metric) for metric, _ in self.tails]
        self._mean_columns = [first + MEASURED.index(metric) for metric, _ in self.means]
        ratios, bets, scales = len(eprocess.RATIOS), len(eprocess.LAMBDAS), len(self.scales)
        self.counted = np.zeros((len(self.rates), ratios))
        """Log-likelihoods of the ratio of rates."""
        self.exceeded = np.zeros((len(self.tails), scales, ratios))
        """The same of rates above a quantile, for each scale."""
        self.counted_at_worst = np.zeros_like(self.counted)
        self.exceeded_at_worst = np.zeros_like(self.exceeded)
        """Both, with what is missing of the candidate taken as events: for a promotion."""
        self.missing = np.zeros(len(self.rates))
        """Missions of the candidate whose count is not known, by channel of a counted metric."""
        self.up = np.zeros((len(self.means), scales, bets))
        self.down = np.zeros((len(self.means), scales, bets))
        """Scores of being more than each scale, and of being less, what is missing taken as the most there is."""
        self.totals = np.zeros((2, 2, self.events))
        """Of candidate and baseline: missions (or what counts as such) and events of each event channel."""
        self.blocks = 0
        self._times: list[Array] = []
        self._series: list[tuple[Array, Array]] = []
        """Standardised differences by block, and what a difference of 1 would have made of them"""
        channels = self.events + len(self.means)
        self._robots = (Grouped(channels), Grouped(channels))
        self._shifts = (Grouped(self.events), Grouped(self.events))
        self._squares = np.zeros(len(self.means))
        self._apart = np.zeros((3, len(self.means)))
        """Differences of the arms' block means, their squares, and what independent missions would make of these."""
        self._compared = np.zeros(len(self.means))
        """Blocks of which that could be told"""
        self._within = np.zeros((2, 3, self.events))
        """Of both arms: sums of events squared, of missions times events, of missions squared"""
        self._past = [np.zeros(0) for _ in MEASURED]

    def add(self, rows: tuple[Rows, Rows], robots: tuple[list[str], list[str]], shifts: tuple[list, list]) -> None:
        """Take a block in: missions of both arms that were driven side by side, their robots, their shifts."""
        self.blocks += 1
        arms = [np.array(arm) for arm in rows]
        worst, silent = self._at_worst(arms[0])
        first, ones = len(COUNTED), np.ones_like(self.scales)
        bounds = np.array([self._quantile(metric, kind) for metric, kind in self.tails])
        n = np.empty((3, len(self.tails), 1))
        above = np.empty((3, len(self.tails), len(self.scales)))
        there, events = [], []
        for a, arm in enumerate((*arms, worst)):
            y = arm[:, self._tail_columns]
            over = y[:, :, None] > bounds[:, None] * (ones if a == 1 else self.scales)  # nan: never
            in_tail = ~(np.isnan(y) | np.isnan(bounds))
            n[a, :, 0], above[a] = in_tail.sum(axis=0), over.sum(axis=0)
            counts = arm[:, self._rate_columns]
            exposure = self._exposure((arms[0], arms[1], arms[0])[a])
            known = ~np.isnan(counts) & (exposure > 0.0)  # nan: never
            there.append(np.concatenate([np.where(known, exposure, 0.0), in_tail], axis=1))
            events.append(np.concatenate([np.where(known, counts, 0.0), over[:, :, self.one]], axis=1))
        self.exceeded += eprocess.two_arms(above[0], above[1], n[0], n[1])
        self.exceeded_at_worst += eprocess.two_arms(above[2], above[1], n[2], n[1])
        sums = np.array([[there[a].sum(axis=0), events[a].sum(axis=0)] for a in (0, 1, 2)])
        rates = len(self.rates)
        self.counted += eprocess.two_arms(*(sums[a, i, :rates] for i in (1, 0) for a in (0, 1)))
        self.counted_at_worst += eprocess.two_arms(*(sums[a, i, :rates] for i in (1, 0) for a in (2, 1)))
        self.missing += silent
        sums = sums[:2]
        self.totals += sums
        self._times.append(sums)
        for a in (0, 1):
            self._within[a] += [
                (one * other).sum(axis=0)
                for one, other in ((events[a], events[a]), (there[a], events[a]), (there[a],) * 2)
            ]
        residuals = self._add_means(arms)
        self.down += eprocess.score(-self._compare([worst, arms[1]]).z)
        for a in (0, 1):
            known, residual = residuals[a]
            self._shifts[a].add(list(zip(robots[a], shifts[a], strict=True)), there[a], events[a])
            self._robots[a].add(
                robots[a],
                np.concatenate([there[a], known], axis=1),
                np.concatenate([events[a], residual], axis=1),
            )
        for i in range(len(MEASURED)):
            new = arms[1][:, first + i]
            self._past[i] = np.sort(np.concatenate([self._past[i], new[~np.isnan(new)]]))

    def _exposure(self, arm: Array) -> Array:
        """What each mission (rows) counts as in each channel of a counted metric; nan where nothing is known of it.

        A mission whose steps or time did not arrive counts as the others of its block do: its events are not lost.
        """
        exposure = np.ones((len(arm), len(self.rates)))
        for channel, column, unit in self._exposures:
            told = arm[:, column]
            known = ~np.isnan(told)
            usual = told[known].mean() if known.any() else math.nan
            exposure[:, channel] = np.where(known, told, usual) / unit
        return exposure

    def _at_worst(self, arm: Array) -> tuple[Array, Array]:
        """The candidate's missions with the worst in place of what is missing, and how many that is by channel."""
        first = len(COUNTED)
        worst = arm.copy()
        worst[:, :first] = np.where(np.isnan(arm[:, :first]), 1.0, arm[:, :first])
        measured = slice(first, first + len(MEASURED))
        worst[:, measured] = np.where(np.isnan(arm[:, measured]), math.inf, arm[:, measured])
        return worst, np.isnan(arm[:, self._rate_columns]).sum(axis=0)

    def _compare(self, arms: list[Array]) -> _Compared:
        """The arms' means of a block's values, side by side."""
        shapes = np.array([self._shape(metric, kind) for metric, kind in self.means]).reshape(-1, 3)
        low, high, scale = shapes.T
        held, known = [], []
        for a, arm in enumerate(arms):
            y = arm[:, self._mean_columns]
            counts = ~(np.isnan(y) | np.isnan(scale))
            if a == 0:  # no more than the baseline has: else its mean would be the more skewed of the two
                most = (~np.isnan(arms[1][:, self._mean_columns])).sum(axis=0)
                counts &= np.cumsum(counts, axis=0) <= most
            scales = self.scales if a == 0 else self.scales[self.one : self.one + 1]
            held.append(np.clip(y[:, :, None] / scales, low[:, None], high[:, None]))
            known.append(counts)
        n = [counts.sum(axis=0)[:, None] for counts in known]
        means = [np.where(known[a][:, :, None], held[a], 0.0).sum(axis=0) / np.maximum(n[a], 1) for a in (0, 1)]
        both = (n[0] > 0) & (n[1] > 0)
        unit = np.where(both, scale[:, None] * np.sqrt(1.0 / np.maximum(n[0], 1) + 1.0 / np.maximum(n[1], 1)), 1.0)
        z = np.where(both, (means[0] - means[1]) / unit, 0.0)
        return _Compared(held, known, n, means, both, unit, z)

    def _add_means(self, arms: list[Array]) -> list[tuple[Array, Array]]:
        """Scores of a block's values; per arm which values (rows, channels) count, and their residuals."""
        block = self._compare(arms)
        held, known, n, means, both, z = block.held, block.known, block.n, block.means, block.both, block.z
        self.up += eprocess.score(z)
        self._series.append((z[:, self.one], np.where(both, 1.0 / block.unit, 0.0)[:, 0]))
        self._add_apart(held, known, n, means)
        middle = 0.5 * (means[0][:, self.one] + means[1][:, 0])
        found = []
        for a, place in ((0, self.one), (1, 0)):
            counts = known[a] & both[:, 0]
            residual = np.where(counts, held[a][:, :, place] - middle, 0.0)
            self._squares += (residual**2).sum(axis=0)
            found.append((counts.astype(float), residual))
        return found

    def _add_apart(self, held: list[Array], known: list[NDArray[np.bool_]], n: list[Array], means: list[Array]) -> None:
        """How far the arms' means lie apart in a block, beside how far its missions do: what is alike within it."""
        within, freedom, width = np.zeros(len(self.means)), np.zeros(len(self.means)), np.zeros(len(self.means))
        centre = [means[0][:, self.one], means[1][:, 0]]
        for a, place in ((0, self.one), (1, 0)):
            within += np.where(known[a], (held[a][:, :, place] - centre[a]) ** 2, 0.0).sum(axis=0)
            freedom += np.maximum(n[a][:, 0] - 1, 0)
            width += 1.0 / np.maximum(n[a][:, 0], 1)
        good = (n[0][:, 0] > 1) & (n[1][:, 0] > 1)
        apart = np.where(good, centre[0] - centre[1], 0.0)
        self._apart += [apart, apart**2, np.where(good, within / np.maximum(freedom, 1) * width, 0.0)]
        self._compared += good

    def _quantile(self, metric: str, kind: str) -> float:
        """The baseline's quantile so far; nan before it is known."""
        past = self._past[MEASURED.index(metric)]
        if len(past) < KNOWN_AFTER[kind]:
            return math.nan
        return float(past[int(QUANTILES[kind] * len(past))])

    def _shape(self, metric: str, kind: str) -> tuple[float, float, float]:
        """Fences and scale of a value channel from the baseline's past; nan before they are known."""
        past = self._past[MEASURED.index(metric)]
        if len(past) < KNOWN_AFTER[kind]:
            return math.nan, math.nan, math.nan
        quartiles = past[[len(past) // 4, len(past) // 2, 3 * len(past) // 4]]
        spread = max(float(quartiles[2] - quartiles[0]), 1e-6 * abs(float(quartiles[1])), 1e-12)
        if kind == "mean":
            middle = float(quartiles[1])
            return middle - FENCE * spread, middle + FENCE * spread, spread / 1.349  # IQR of a normal: 1.349 sigma
        low = float(past[int(0.95 * len(past))])
        excess = np.minimum(past[int(0.95 * len(past)) :] - low, FENCE * spread)
        return low, low + FENCE * spread, max(math.sqrt(float((excess**2).sum()) / len(past)), 1e-3 * spread)

    def event_dispersion(self) -> Array:
        """Dispersion (event channels,), at least 1."""
        if not self.blocks:
            return np.ones(self.events)
        times = np.array(self._times)
        n, y = self.totals[:, 0], self.totals[:, 1]
        expected = y.sum(axis=0)
        rates = y / np.where(n > 0.0, n, 1.0)
        squares, products, sizes = self._within.swapaxes(0, 1)
        residual = (squares - 2.0 * rates * products + rates**2 * sizes).sum(axis=0)
        mission = np.where(expected > 0.0, residual / np.where(expected > 0.0, expected, 1.0), 1.0)
        robots = [
            (missions[:, : self.events], events[:, : self.events])
            for missions, events in (g.sums for g in self._robots)
        ]
        return np.maximum.reduce(
            [
                np.full(self.events, 1.0 + DOUBT / self.blocks),
                self._memory(),
                mission,
                clusters.of_counts([group.sums for group in self._shifts]),
                self._wary(clusters.of_counts(robots, clusters.WARY)),
                clusters.over_time([(times[:, a, 0], times[:, a, 1]) for a in (0, 1)]),
            ]
        )

    def mean_dispersion(self) -> Array:
        """Dispersion (value channels,), at least 1."""
        if not self.blocks or not self.means:
            return np.ones(len(self.means))
        robots = [
            (missions[:, self.events :], sums[:, self.events :]) for missions, sums in (g.sums for g in self._robots)
        ]
        return np.maximum.reduce(
            [
                np.full(len(self.means), 1.0 + DOUBT / self.blocks),
                clusters.of_series(self._around()),
                self._wary(clusters.of_robots(robots, self._squares, self._freedom, clusters.WARY)),
            ]
        )

    def _around(self) -> Array:
        """Standardised differences (blocks, value channels), less what the candidate's mean effect makes of each.

        A real difference is larger in blocks of many missions: left in, it would be taken for memory.
        """
        z, whole = (np.array(series) for series in zip(*self._series, strict=True))
        effect = (z * whole).sum(axis=0) / np.maximum((whole * whole).sum(axis=0), 1e-300)
        return z - effect * whole

    def _memory(self) -> Array:
        """Dispersion (event channels,) that the values' own suggests: values tell of memory long before rare events do.

        Its own metric's for a tail, the median of all for a counted metric; RARE is its power, because rare events of a
        process that remembers hang together less than its values.
        """
        of_metric = {
            metric: value
            for (metric, kind), value in zip(self.means, self._value_dispersion(), strict=True)
            if kind == "mean"
        }
        if not of_metric:
            return np.ones(self.events)
        median = float(np.median(list(of_metric.values())))
        tails = [max(of_metric.get(metric, median), 1.0) for metric, _ in self.tails]
        return np.array([median] * len(self.rates) + tails) ** RARE

    def _value_dispersion(self) -> Array:
        """Dispersion (value channels,) of missions' values, not of blocks: what is alike within a block counts too.

        Around the mean difference of the arms: what is the same in all blocks is the candidate's effect, not noise.
        """
        mean = self.mean_dispersion()
        blocks = np.maximum(self._compared, 2.0)
        expected = self._apart[2] * (1.0 - 1.0 / blocks)
        around = np.maximum(self._apart[1] - self._apart[0] ** 2 / blocks, 0.0)
        error = clusters.MODESTY * np.sqrt(2.0 / blocks)
        block = np.where(expected > 0.0, around / np.where(expected > 0.0, expected, 1.0) - error, 1.0)
        return np.maximum(block, 1.0) * mean

    def _wary(self, dispersion: Array) -> Array:
        """A dispersion over robots as a verdict needs it."""
        return clusters.wary(dispersion, self._freedom) if self._careful else dispersion

    @property
    def _freedom(self) -> int:
        """Degrees of freedom of a variance over the robots of both arms."""
        return sum(len(group.sums[0]) for group in self._robots) - 2
