"""shadow_cost: what a candidate in the shadow takes of the tick, and ticks that are missed with it.

The loop is hot_swap's: whole control steps (`fleet.control`, scenes of control_step, the policy asked in each) at
100 Hz, ten times the rate of an AMR, the append to a black box whose writer runs beside; here each tick also offers its
step to a shadow (`fleet.shadow.live`) with a candidate of the trained network's size, and asks it in the time that is
left, and the pairs are written once a second by another thread. 20,000 ticks (200 s); `--quick`: 2,000.
Beside it the same loop without a shadow, as many ticks.

    share         seconds of offering, asking and pairing over the seconds of all ticks
    tick_p99      the same of single ticks, 99 % of them take less (a step cannot be cut in pieces)
    paired        share of the steps that the candidate was asked in
    missed        ticks whose command was not out before the next one was due; beside: without a shadow
    unexplained   of these, those for which the machine did not stand still meanwhile (stalls.py)
    amr_share     share at an AMR's 10 Hz, worked out from the same steps: each of them is asked there

That the candidate was asked, that each pair is of its own step and that nothing of it was released is checked.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from control_step import SITE, SPEC, scenes
from figure import Figure
from hot_swap import PERIOD, make_policy
from stalls import Span, watched

from fleet.blackbox import BlackBox, Recorder, Step
from fleet.control import ControlConfig, Stepper
from fleet.header import write_header
from fleet.ready import quieten
from fleet.shadow.candidate import stepper_for
from fleet.shadow.floor import FloorCandidate, FloorStep
from fleet.shadow.live import Shadow, Shadows
from sim.robot import SECOND


def measure(quick: bool) -> Iterable[Figure]:
    """Share of the tick, and missed ticks."""
    ticks = 2_000 if quick else 20_000
    interval = sys.getswitchinterval()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy, other = make_policy(folder / "production", 0), make_policy(folder / "candidate", 1)
        config = ControlConfig(spec=SPEC)
        stepper = Stepper(config, SITE, policy)
        candidate = stepper_for(config, SITE, other)
        desk = Shadows(folder)
        shadow = Shadow("r0", FloorCandidate(candidate), desk.take, tick=PERIOD)
        desk.shadows = (shadow,)
        box = BlackBox(folder, "r0", *write_header(config, SITE, policy))
        prepared = scenes(1000, seed=5)
        for inputs, memory, _ in prepared[:50]:
            stepper.step(inputs, memory)
            candidate.step(inputs, memory)
        recorder = Recorder([box])
        end = threading.Event()
        writer = threading.Thread(target=_flush, args=(desk, end), daemon=True)
        try:
            quieten()
            writer.start()
            with watched() as stalls:
                alone, _ = _run(stepper, None, box, prepared, ticks)
                missed, spent = _run(stepper, shadow, box, prepared, ticks)
        finally:
            end.set()
            writer.join(10.0)
            recorder.close()
            gc.unfreeze()
            sys.setswitchinterval(interval)
    print(stalls.words(), file=sys.stderr)
    pairs = shadow.counts["pairs"]
    if not pairs or sum(shadow.counts[why] for why in ("pairs", "late", "budget", "busy", "fault")) not in (
        ticks,
        ticks - 1,
    ):
        raise RuntimeError(f"expected each of {ticks} steps to be paired or skipped, got {shadow.counts}")
    step = shadow.seconds / pairs
    print(
        f"{ticks} ticks, {dict(shadow.counts)}; a candidate's step takes {1e3 * step:.2f} ms; "
        f"load average {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )
    yield Figure("share", round(float(np.sum(spent)) / (ticks * PERIOD), 4), "1")
    yield Figure("tick_p99", round(float(np.percentile(spent, 99)) / PERIOD, 4), "1")
    yield Figure("paired", round(pairs / ticks, 4), "1")
    yield Figure("missed", sum(map(len, missed)), "1", "without shadow", sum(map(len, alone)))
    without, ours = stalls.unexplained(alone, PERIOD), stalls.unexplained(missed, PERIOD)
    yield Figure("unexplained", ours, "1", "without shadow", without)
    yield Figure("amr_share", round(step / (SPEC.period / SECOND), 4), "1")


def _flush(desk: Shadows, end: threading.Event) -> None:
    while not end.wait(1.0):
        desk.flush()
    desk.flush()


def _run(
    stepper: Stepper, shadow: Shadow[FloorStep] | None, box: BlackBox, prepared: list, ticks: int
) -> tuple[list[list[Span]], list[float]]:
    """The missed ticks in runs without gaps, and what each tick spent on the shadow, s."""
    late: list[float] = []
    spent: list[float] = []
    missed: list[int] = []
    runs: list[list[Span]] = []
    begin = time.monotonic() + PERIOD
    behind = False
    for number in range(ticks):
        due = begin + number * PERIOD
        if (left := due - time.monotonic()) > 0.0:
            time.sleep(left)
        inputs, memory, _ = prepared[number % len(prepared)]
        outputs, _ = stepper.step(inputs, memory, lateness=PERIOD / 2)
        paired = shadow.newest() if shadow is not None else None
        if paired is not None and paired.production.policy == paired.candidate.policy:
            raise RuntimeError("expected the candidate's answer in a pair, got production's")
        box.append(Step(number, number * round(PERIOD * SECOND), inputs, memory, outputs, paired))
        now = time.monotonic()
        late.append(now - due)
        behind = late[-1] > PERIOD
        if behind:
            if not missed or missed[-1] != number - 1:
                runs.append([])
            missed.append(number)
            runs[-1].append((due, now))
        if shadow is not None:
            shadow.offer(FloorStep(inputs, memory, outputs), late=behind)
            shadow.work(due + PERIOD - time.monotonic())
            spent.append(time.monotonic() - now)
    p50, p99, worst = (1e3 * float(value) for value in np.percentile(late, (50, 99, 100)))
    print(
        f"{'with' if shadow else 'without'} shadow: a command was out {p50:.2f} ms (p50), {p99:.2f} (p99), "
        f"{worst:.2f} (worst) after its tick was due",
        file=sys.stderr,
    )
    return runs, spent or [0.0]
