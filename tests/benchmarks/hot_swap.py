"""hot_swap: ticks that a control loop at 100 Hz misses while it is given another policy again and again.

The loop is a robot's: whole control steps (`fleet.control`, scenes of control_step, the policy asked in each), the
append to a black box whose writer runs beside, and `fleet.serving` with a robot's own loader: files read, hashes and
contract checked, a copy kept, the graph rehearsed. 20,000 ticks (200 s), a swap every 200: three to a version that is
loaded from its files, then one back to the version before, which is kept warm. Half way between two swaps every fifth
time a damaged file is asked for, which must be refused. `--quick`: 2,000 ticks.

Beside it the same loop without any request, as many ticks: what the machine alone misses.

A tick is missed when its command is not out before the next one is due. `unexplained` counts the missed ticks for which
the machine did not stand still meanwhile (stalls.py). That every swap and every refusal happened,
that the policy was asked in each tick and that each answer came from the version in force, is checked; otherwise there
is no figure.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from control_step import SITE, SPEC, scenes
from figure import Figure
from stalls import Span, watched

from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import MODEL, Policy
from fleet.blackbox import BlackBox, Recorder, Step
from fleet.control import ControlConfig, Stepper
from fleet.header import write_header
from fleet.ready import quieten
from fleet.served import POLICIES, Loader, Served
from fleet.serving import Outcome, Serving
from sim.robot import SECOND
from sim.tasks.navigate_contract import navigate_contract

PERIOD = 0.01
"""s: 100 Hz, ten times the rate of an AMR's control loop"""
EVERY = 200
"""Ticks from swap to swap"""
VERSIONS = 4
"""Different policies, in turn"""


def make_policy(place: Path, seed: int) -> Policy:
    """A frozen policy of the trained network's size."""
    contract = navigate_contract(SPEC)
    generator = torch.Generator().manual_seed(seed)
    network = ActorCritic(contract.observation_size, contract.action_size, generator=generator)
    place.mkdir()
    return export(place, network, Moments(contract.observation_size), contract, training={}, evaluation={})


def measure(quick: bool) -> Iterable[Figure]:
    """The count of missed ticks."""
    ticks = 2_000 if quick else 20_000
    interval = sys.getswitchinterval()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = [folder / f"v{number}" for number in range(VERSIONS)]
        policies = [make_policy(place, seed) for seed, place in enumerate(places)]
        damaged = folder / "damaged"
        shutil.copytree(places[0], damaged)
        (damaged / MODEL).write_bytes((places[0] / MODEL).read_bytes()[:-1])
        config = ControlConfig(spec=SPEC)
        stepper = Stepper(config, SITE, policies[0])
        serving = Serving(Served(policies[0]), Loader(config, policies[0], folder / POLICIES))
        box = BlackBox(folder, "r0", *write_header(config, SITE, policies[0]))
        prepared = scenes(1000, seed=5)
        for inputs, memory, _ in prepared[:50]:
            stepper.step(inputs, memory)
        recorder = Recorder([box])
        try:
            quieten()
            serving.start()
            with watched() as stalls:
                alone = _run(stepper, serving, box, prepared, [], damaged, ticks)
                missed = _run(stepper, serving, box, prepared, places, damaged, ticks)
        finally:
            serving.close()
            recorder.close()
            gc.unfreeze()
            sys.setswitchinterval(interval)
    print(stalls.words(), file=sys.stderr)
    without, ours = stalls.unexplained(alone, PERIOD), stalls.unexplained(missed, PERIOD)
    yield Figure("missed", sum(map(len, missed)), "1", "without swaps", sum(map(len, alone)))
    yield Figure("unexplained", ours, "1", "without swaps", without)


def _run(
    stepper: Stepper,
    serving: Serving[Served],
    box: BlackBox,
    prepared: list,
    places: list[Path],
    damaged: Path,
    ticks: int,
) -> list[list[Span]]:
    """The missed ticks of one loop that swaps between `places`, or does not when there are none, in runs without gaps.

    Raises RuntimeError when it did not do what it is measured for.
    """
    late: list[float] = []
    missed: list[int] = []
    runs: list[list[Span]] = []
    outcomes: Counter[Outcome] = Counter()
    wrong = loads = 0
    begin = time.monotonic() + PERIOD
    for number in range(ticks):
        due = begin + number * PERIOD
        if (left := due - time.monotonic()) > 0.0:
            time.sleep(left)
        if (change := serving.take()) is not None:
            outcomes[change.outcome] += 1
            if change.swapped:
                stepper.use(serving.current.policy, serving.current.chooser)
        inputs, memory, _ = prepared[number % len(prepared)]
        outputs, _ = stepper.step(inputs, memory, lateness=PERIOD / 2)
        box.append(Step(number, number * round(PERIOD * SECOND), inputs, memory, outputs))
        now = time.monotonic()
        late.append(now - due)
        turn = number // EVERY
        if not places:
            pass
        elif number % EVERY == EVERY // 4:
            if turn % 4 == 3:
                serving.request_back()
            else:
                loads += 1
                serving.request(places[loads % len(places)])
        elif number % EVERY == EVERY // 4 + EVERY // 2 and turn % 5 == 4:
            serving.request(damaged)
        if late[-1] > PERIOD:
            if not missed or missed[-1] != number - 1:
                runs.append([])
            missed.append(number)
            runs[-1].append((due, now))
        answer = outputs.answer
        wrong += answer is None or answer.policy != serving.current.policy.hash[:12]
    swaps, refusals = (ticks // EVERY, ticks // EVERY // 5) if places else (0, 0)
    done = outcomes[Outcome.SWAPPED] + outcomes[Outcome.BACK]
    if wrong or done != swaps or outcomes[Outcome.REFUSED] != refusals or outcomes.total() != swaps + refusals:
        raise RuntimeError(f"expected {swaps} swaps and {refusals} refusals, got {outcomes}; {wrong} wrong answers")
    p50, p99, worst = (1e3 * float(value) for value in np.percentile(late, (50, 99, 100)))
    print(
        f"{ticks} ticks, {dict((outcome.value, count) for outcome, count in outcomes.items())}; a command was out "
        f"{p50:.2f} ms (p50), {p99:.2f} (p99), {worst:.2f} (worst) after its tick was due; ticks after a request that "
        f"were missed: {[number % EVERY for number in missed]}; load average {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )
    return runs
