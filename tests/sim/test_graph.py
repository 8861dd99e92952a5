"""Steps replayed as graphs. Warp captures on its CPU device too, so that these run without CUDA."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import warp as wp

from sim.graph import GraphReport, StepGraph


@wp.kernel
def add(amount: wp.array(dtype=wp.float32), total: wp.array(dtype=wp.float32)) -> None:
    i = wp.tid()
    total[i] = total[i] + amount[0]


class Adder:
    """Adds `amount` to `total` at each step, and counts how often Python was asked to launch it."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.amount = wp.full(1, 1.0, dtype=wp.float32, device=device)
        self.total = wp.zeros(3, dtype=wp.float32, device=device)
        self.played = 0

    def play(self) -> None:
        self.played += 1
        wp.launch(add, dim=3, inputs=[self.amount, self.total], device=self.device)

    def parts(self) -> list[wp.array]:
        return [self.amount, self.total]


def test_a_replayed_step_does_what_the_launches_did() -> None:
    adder = Adder()
    graph = StepGraph(adder.play, "cpu", parts=adder.parts)
    for step in range(1, 8):
        graph.launch()
        np.testing.assert_array_equal(adder.total.numpy(), float(step))
    assert adder.played == 2  # once to load the kernel, once to be recorded
    adder.amount.fill_(10.0)  # what lies in the arrays is read at each step
    graph.launch()
    np.testing.assert_array_equal(adder.total.numpy(), 17.0)
    assert graph.report == GraphReport("cpu", True, "", True, 1)


def test_an_array_in_another_place_is_recorded_anew() -> None:
    adder = Adder()
    graph = StepGraph(adder.play, "cpu", parts=adder.parts)
    for _ in range(4):
        graph.launch()
    old, adder.total = adder.total, wp.zeros(3, dtype=wp.float32)
    for _ in range(3):
        graph.launch()
    np.testing.assert_array_equal(old.numpy(), 4.0)
    np.testing.assert_array_equal(adder.total.numpy(), 3.0)
    assert graph.report.captures == 2


def test_launches_that_the_caller_recorded_are_renewed_before_a_capture() -> None:
    adder = Adder()
    recorded: list[wp.Launch] = []

    def renew() -> None:
        recorded[:] = [wp.launch(add, dim=3, inputs=[adder.amount, adder.total], device="cpu", record_cmd=True)]

    renew()
    graph = StepGraph(lambda: recorded[0].launch(), "cpu", parts=adder.parts, renew=renew)
    for _ in range(4):
        graph.launch()
    adder.total = wp.zeros(3, dtype=wp.float32)
    for _ in range(4):
        graph.launch()
    np.testing.assert_array_equal(adder.total.numpy(), 4.0)


def test_a_step_with_python_in_it_is_played_plainly_and_says_why() -> None:
    adder = Adder()
    graph = StepGraph(adder.play, "cpu", parts=adder.parts, why_not="a hook runs in Python")
    for _ in range(3):
        graph.launch()
    assert adder.played == 3
    assert graph.report.line() == "graph on cpu: none, a hook runs in Python"


def test_a_capture_that_fails_is_told_and_loses_no_step() -> None:
    adder = Adder()

    def play() -> None:
        if adder.played == 1:
            adder.played = 2
            raise RuntimeError("cannot be\n  captured")
        adder.play()

    graph = StepGraph(play, "cpu", parts=adder.parts)
    for _ in range(5):
        graph.launch()
    np.testing.assert_array_equal(adder.total.numpy(), 5.0)
    assert graph.report.line() == "graph on cpu: none, the capture failed: cannot be captured"


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_before_a_capture_and_not_while_it_is_open(enabled: bool) -> None:
    adder = Adder()
    seen: list[bool] = []

    def play() -> None:
        seen.append(gc.isenabled())
        adder.play()

    graph = StepGraph(play, "cpu", parts=adder.parts)
    before = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        for _ in range(3):
            graph.launch()
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if before else gc.disable()
    assert seen == [enabled, False]


def test_before_the_second_step_nothing_is_captured() -> None:
    adder = Adder()
    graph = StepGraph(adder.play, "cpu", parts=adder.parts)
    graph.launch()
    assert graph.report.line() == "graph on cpu: captured at the second step"


@pytest.mark.gpu
def test_cuda_replays_and_records_anew() -> None:
    adder = Adder("cuda:0")
    graph = StepGraph(adder.play, "cuda:0", parts=adder.parts)
    for _ in range(4):
        graph.launch()
    adder.total = wp.zeros(3, dtype=wp.float32, device="cuda:0")
    for _ in range(3):
        graph.launch()
    np.testing.assert_array_equal(adder.total.numpy(), 3.0)
    assert graph.report.used
    assert graph.report.captures == 2
