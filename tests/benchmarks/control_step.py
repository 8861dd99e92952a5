"""control_step: time of one whole control step on one core, black box append included; ms of wall time.

360 rays of a crowded aisle (walls, nine people who may walk at 1.6 m/s, six reported robots), phantoms, the policy by
onnxruntime (a small network with random weights: its time does not depend on them), the shield with its lattice of 64
candidates, meta, supervisor, report, and the append to a black box whose writer thread runs beside. Each step is a
different place in the aisle.

    free          the proposal was released
    intervening   it was refused, and the lattice was judged

What drives is drawn, not learned: slow ahead or full throttle with a turn, so that both kinds of step occur.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from figure import Figure

from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import Policy
from coordination.messages import Grant, Picture
from fleet.blackbox import BlackBox, Recorder, Step
from fleet.control import ControlConfig, Stepper
from fleet.header import write_header
from fleet.ready import quieten
from fleet.records import Inputs, Memory
from hierarchy.skills import Answer
from safety.shield import Reason
from sim.robot import SECOND, RobotSpec
from sim.tasks.navigate_contract import navigate_contract
from tests.fleet.episodes import aisle, cell, delivery, walls

SPEC = RobotSpec()
SITE = aisle()


def random_policy(directory: Path) -> Policy:
    """A frozen policy of the trained network's size."""
    contract = navigate_contract(SPEC)
    generator = torch.Generator().manual_seed(0)
    network = ActorCritic(contract.observation_size, contract.action_size, generator=generator)
    return export(directory, network, Moments(contract.observation_size), contract, training={}, evaluation={})


def scenes(count: int, seed: int) -> list[tuple[Inputs, Memory, tuple[float, float]]]:
    """Inputs and memories of robots that drive along the aisle, and what is proposed there."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        stamp = (number + 10) * SPEC.period
        index = int(draw.integers(1, 8))
        x, y = (index + draw.uniform(0.2, 0.8)) * SITE.cell, 1.8 + draw.uniform(-0.05, 0.05)
        pose = (float(np.float32(x)), float(np.float32(y)), float(np.float32(draw.uniform(-0.1, 0.1))))
        people = tuple((x + d, 1.8 + s, 0.25) for d, s in zip(draw.uniform(2.0, 8.0, 9), draw.uniform(-0.5, 0.5, 9)))  # noqa: B905
        clean = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, people)(pose)
        noise = np.clip(draw.normal(0.0, SPEC.lidar.noise, len(clean)), -0.03, 0.03)
        scan = np.clip(clean + noise, 0.0, SPEC.lidar.range_max).astype(np.float32)
        hard = bool(number % 2)
        v = float(np.float32(draw.uniform(0.6, 1.0) if hard else draw.uniform(0.0, 0.15)))
        picture = Picture(
            round=number,
            stamp=stamp - SPEC.period,
            site=SITE.hash,
            grant=Grant(1, tuple(cell(i) for i in range(index - 1, index + 5)), stamp + SECOND * 2),
            others=tuple(cell(i) for i in range(index + 5, 14)),
            robots=tuple((x + 7.0 + i, 1.8, 0.6) for i in range(6)),
            assignment=delivery(13),
        )
        inputs = Inputs(
            cycle=number,
            stamp=stamp,
            scan=scan.tobytes(),
            scan_stamp=stamp,
            pose=pose,
            pose_stamp=stamp,
            twist=(v, 0.0),
            twist_stamp=stamp,
            picture=picture,
        )
        proposal = (1.0, float(draw.uniform(-1.0, 1.0))) if hard else (0.08, 0.0)
        made.append((inputs, Memory(last_command=(v, 0.0), pose=pose), proposal))
    return made


def measure(quick: bool) -> Iterable[Figure]:
    """Percentiles of both kinds of step."""
    count = 3000 if quick else 20000
    free, intervening, reasons, busy = [], [], {}, []
    before, interval = os.sched_getaffinity(0), sys.getswitchinterval()
    with tempfile.TemporaryDirectory() as folder:
        policy = random_policy(Path(folder))
        config = ControlConfig(spec=SPEC, person_speed=1.6)
        stepper = Stepper(config, SITE, policy)
        box = BlackBox(Path(folder), "r0", *write_header(config, SITE, policy))
        prepared = scenes(1000, seed=3)
        try:
            os.sched_setaffinity(0, {min(before)})
            recorder = Recorder([box])
            quieten()
            for number in range(count + 100):
                inputs, memory, proposal = prepared[number % len(prepared)]

                def act(observation: np.ndarray, proposal: tuple[float, float] = proposal) -> Answer:
                    policy.act(observation)
                    return Answer(proposal)

                begun, started = time.thread_time(), time.perf_counter()
                outputs, _ = stepper.step(inputs, memory, act)
                box.append(Step(inputs.cycle, inputs.stamp, inputs, memory, outputs))
                seconds = time.perf_counter() - started
                if number >= 100:
                    busy.append(time.thread_time() - begun)
                    (free if outputs.reason is Reason.NONE else intervening).append(seconds)
                    reasons[outputs.reason.name] = reasons.get(outputs.reason.name, 0) + 1
            recorder.close()
        finally:
            gc.unfreeze()
            sys.setswitchinterval(interval)
            os.sched_setaffinity(0, before)
    p50, p99 = (1e3 * float(value) for value in np.percentile(busy, (50, 99)))
    print(
        f"{count} steps, reasons {reasons}, dropped {box.counts.dropped}; CPU time p50 {p50:.3f}, p99 {p99:.3f} ms; "
        f"load average {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )
    for name, values in (("free", free), ("intervening", intervening)):
        p50, p99 = np.percentile(values, (50, 99))
        yield Figure(f"{name}_p50", round(float(p50) * 1e3, 4), "ms")
        yield Figure(f"{name}_p99", round(float(p99) * 1e3, 4), "ms")
