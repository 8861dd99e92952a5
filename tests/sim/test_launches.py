"""Launches that are recorded once: they do what Warp's own do, also inside of a capture."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from sim.launches import Nothing, PackedLaunch, record


@wp.struct
class Pair:
    """Two arrays, as kernels of the simulator group them."""

    source: wp.array(dtype=wp.float32)  # pyright: ignore[reportInvalidTypeForm]  # Warp's notation
    target: wp.array(dtype=wp.float32)  # pyright: ignore[reportInvalidTypeForm]


@wp.kernel
def scale(factor: float, pair: Pair, count: wp.array(dtype=wp.int32)) -> None:  # pyright: ignore
    """Multiply, and count the calls."""
    i = wp.tid()
    pair.target[i] = factor * pair.source[i]
    wp.atomic_add(count, 0, 1)


@pytest.fixture
def arrays() -> tuple[Pair, wp.array]:
    pair = Pair()
    pair.source = wp.array(np.arange(5, dtype=np.float32), device="cpu")
    pair.target = wp.zeros(5, dtype=wp.float32, device="cpu")
    return pair, wp.zeros(1, dtype=wp.int32, device="cpu")


def test_a_packed_launch_does_what_warp_s_own_does(arrays: tuple[Pair, wp.array]) -> None:
    pair, count = arrays
    launch = record(scale, 5, [3.0, pair, count])
    assert isinstance(launch, PackedLaunch)
    assert count.numpy()[0] == 0, "recording runs nothing"
    for times in range(1, 4):
        pair.source.fill_(float(times))
        launch.launch()
        np.testing.assert_array_equal(pair.target.numpy(), np.full(5, 3.0 * times, np.float32))
        assert count.numpy()[0] == 5 * times


def test_a_packed_launch_holds_its_arrays() -> None:
    source, target = wp.full(50_000, 2.0, dtype=wp.float32, device="cpu"), wp.zeros(50_000, device="cpu")
    pair = Pair()
    pair.source, pair.target = source, target
    launch = record(scale, 50_000, [1.0, pair, wp.zeros(1, dtype=wp.int32, device="cpu")])
    del pair, source
    others = [wp.full(50_000, float(k), dtype=wp.float32, device="cpu") for k in range(20)]  # would take its place
    launch.launch()
    assert (target.numpy() == 2.0).all()
    assert len(others) == 20


def test_a_capture_takes_a_packed_launch_in(arrays: tuple[Pair, wp.array]) -> None:
    pair, count = arrays
    launch = record(scale, 5, [2.0, pair, count])
    launch.launch()
    with wp.ScopedCapture(device="cpu") as capture:
        launch.launch()
    before = int(count.numpy()[0])
    pair.source.fill_(7.0)
    wp.capture_launch(capture.graph)
    assert int(count.numpy()[0]) == before + 5
    assert (pair.target.numpy() == 14.0).all()


def test_a_launch_over_no_threads_is_nothing(arrays: tuple[Pair, wp.array]) -> None:
    launch = record(scale, 0, [2.0, *arrays])
    assert isinstance(launch, Nothing)
    launch.launch()
