from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import warp as wp

from sim.battery import CURVE, Battery, BatteryError, battery_numbers, make_batteries, run_batteries, truck_battery
from sim.bodies import specs
from sim.device import start_warp
from sim.robot import RobotSpec

start_warp()
SPEC = RobotSpec()
PACK = Battery()


class Packs:
    """Some rows with the same pack."""

    def __init__(self, battery: Battery = PACK, spec: RobotSpec = SPEC, rows: int = 1, charge: float = 1.0) -> None:
        self.numbers = battery_numbers(battery, spec, "cpu")
        self.arrays = make_batteries(rows, "cpu")
        self.arrays.charge.fill_(charge)
        self.rows = rows

    def step(
        self, v: float = 0.0, w: float = 0.0, *, seconds: float = 0.1, payload: float = 0.0, charging: bool = False
    ) -> float:
        """One step; the current of the first row, A."""
        wp.launch(
            run_batteries,
            dim=self.rows,
            inputs=[
                self.numbers,
                wp.array(np.tile(np.array([[v, w, 0.0]], np.float32), (self.rows, 1)), dtype=wp.float32),
                wp.full(self.rows, payload, dtype=wp.float32),
                wp.full(self.rows, int(charging), dtype=wp.uint8),
                seconds,
                self.arrays,
            ],
        )
        return float(self.arrays.current.numpy()[0])

    @property
    def charge(self) -> float:
        return float(self.arrays.charge.numpy()[0])

    def power(self, current: float) -> float:
        """At the terminals, W."""
        voltage = PACK.cells * float(np.interp(self.charge, *zip(*CURVE, strict=True)))
        return (voltage - current * PACK.resistance) * current


def test_the_curve_is_that_of_a_measured_cell() -> None:
    """Open-circuit potentials of both electrodes: [BPX] of sim/sources.py."""

    def graphite(x: float) -> float:
        steps = (
            (1.20956356e03, 6.72033948e01, -2.44746396e-02), (4.52430314e-02, -1.47542326e01, 1.62746053e-01),
            (2.01855800e01, -2.46666302e01, 1.12986136e00), (2.01708039e-02, -1.19900231e01, 5.49773440e-01),
            (4.99616805e01, -6.11370883e01, -4.69382558e-03),
        )  # fmt: skip
        falls = 5.29210878e01 * math.exp(-1.72699386e02 * x) - 1.17963399e03
        return falls + sum(height * math.tanh(slope * (x - middle)) for height, slope, middle in steps)

    def phosphate(x: float) -> float:
        ends = 3.54866018e14 * math.exp(-3.95729493e02 * x) - 1.45998465e00 * math.exp(-1.10108622e02 * (1.0 - x))
        return 3.41285712e00 - 1.49721852e-02 * x + ends

    for share, volts in CURVE[1:-1]:
        left = 0.0016261 + share * (0.82258 - 0.0016261)
        right = 0.95038 + share * (0.0875 - 0.95038)
        assert volts == pytest.approx(phosphate(right) - graphite(left), abs=0.05), share


def test_standing_takes_the_idle_power() -> None:
    packs = Packs(charge=0.6)
    # 16 cells of 3.30 V: 52.8 V; I = (52.8 - sqrt(52.8^2 - 4 * 0.08 * 60)) / 0.16 = 1.1383 A
    assert packs.step() == pytest.approx(1.1383, abs=1e-3)
    assert packs.power(packs.step()) == pytest.approx(60.0, rel=1e-3)


def test_driving_takes_rolling_resistance_over_the_efficiency_and_more_with_a_load() -> None:
    packs = Packs(charge=0.6)
    packs.step(1.0)  # the step that accelerates
    # 0.02 * 60 kg * 9.81 m/s^2 * 1 m/s / 0.7 = 16.8 W beside the idle 60 W
    assert packs.power(packs.step(1.0)) == pytest.approx(60.0 + 16.817, rel=2e-3)
    assert packs.power(packs.step(1.0, payload=40.0)) == pytest.approx(60.0 + 16.817 * 100 / 60, rel=2e-3)


def test_turning_on_the_spot_rolls_the_wheels() -> None:
    packs = Packs(charge=0.6)
    packs.step(0.0, 2.0)
    # each wheel at 2 rad/s * 0.21 m = 0.42 m/s
    assert packs.power(packs.step(0.0, 2.0)) == pytest.approx(60.0 + 0.42 * 16.817, rel=2e-3)


def test_acceleration_takes_the_kinetic_energy_and_braking_gives_nothing_back() -> None:
    packs = Packs(charge=0.6)
    # 0 to 0.5 m/s in 0.1 s: 60 kg * 0.125 J/kg / 0.1 s = 75 W, rolling 5.886 W, over 0.7
    assert packs.power(packs.step(0.5)) == pytest.approx(60.0 + (75.0 + 5.886) / 0.7, rel=2e-3)
    assert packs.power(packs.step(0.0)) == pytest.approx(60.0, rel=2e-3)
    inertia = 60.0 * (SPEC.length**2 + SPEC.width**2) / 12.0
    packs = Packs(charge=0.6)
    turning = inertia * 1.0 / 2.0 / 0.1 + 0.02 * 60.0 * 9.81 * 0.21
    assert packs.power(packs.step(0.0, 1.0)) == pytest.approx(60.0 + turning / 0.7, rel=2e-3)


def test_the_charge_that_leaves_is_the_current_over_time() -> None:
    packs = Packs(charge=0.6)
    drawn = sum(packs.step(seconds=10.0) * 10.0 for _ in range(100))
    assert packs.charge == pytest.approx(0.6 - drawn / (20.0 * 3600.0), abs=1e-8)


def test_an_idle_shift_and_a_driving_one_end_where_such_robots_do() -> None:
    packs = Packs()
    hours = 0.0
    while packs.charge > 0.1:
        packs.step(0.8, seconds=60.0)
        hours += 1.0 / 60.0
    # 0.9 of 20 Ah at about 52 V by 60 + 13.5 W: 12.8 h
    assert 11.5 < hours < 14.0


def test_an_empty_pack_stays_empty_and_gives_no_more_than_it_can() -> None:
    packs = Packs(charge=1.0e-4)
    for _ in range(100):
        packs.step(seconds=60.0)
    assert packs.charge == 0.0
    weak = Packs(Battery(resistance=10.0), charge=0.6)
    # a pack of 10 ohm gives at most 52.8 V / 20 ohm, whatever is asked
    assert weak.step(1.5) == pytest.approx(52.8 / 20.0, rel=1e-4)


def test_charging_is_constant_current_then_constant_voltage() -> None:
    packs = Packs(charge=0.0)
    currents, charges = [], []
    while packs.charge < 0.9999 and len(currents) < 2 * 3600:
        currents.append(-packs.step(seconds=1.0, charging=True))
        charges.append(packs.charge)
    current, charge = np.array(currents), np.array(charges)
    assert (current[charge < 0.96] == 20.0).all()
    tail = current < 20.0 - 1e-4
    assert tail.any()
    # the end voltage is met while the current falls
    voltage = 16 * np.interp(np.concatenate([[0.0], charge[:-1]]), *zip(*CURVE, strict=True))
    np.testing.assert_allclose(voltage[tail] + current[tail] * PACK.resistance, 56.0, atol=2e-3)
    assert (np.diff(current[tail]) <= 1e-4).all()
    # 0 to 95 % at 1C: 57 minutes
    assert int(np.argmax(charge > 0.95)) == pytest.approx(0.95 * 3600, abs=5)
    assert (voltage + current * PACK.resistance <= 56.0 + 2e-3).all()


def test_rows_are_apart() -> None:
    packs = Packs(rows=3)
    packs.arrays.charge.assign(np.array([0.2, 0.6, 1.0]))
    packs.step(1.0)
    one = []
    for charge in (0.2, 0.6, 1.0):
        single = Packs(charge=charge)
        single.step(1.0)
        one.append(single.charge)
    np.testing.assert_array_equal(packs.arrays.charge.numpy(), np.array(one))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capacity": 0.0}, r"battery's capacity: expected above 0, got 0"),
        ({"resistance": -0.1}, r"resistance: expected above 0, got -0.1"),
        ({"efficiency": 1.2}, r"efficiency: expected above 0 and at most 1, got 1.2"),
        ({"charge_voltage": 48.0}, r"charge_voltage: expected at least 56 V, the voltage of a full pack, got 48"),
        ({"capacity": math.nan}, r"capacity: expected above 0, got nan"),
    ],
)
def test_a_battery_that_cannot_be_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(BatteryError, match=message):
        battery_numbers(replace(PACK, **change), SPEC, "cpu")


def test_the_truck_lasts_a_shift() -> None:
    packs = Packs(truck_battery(), specs.forklift())
    for _ in range(8 * 60):
        packs.step(1.0, payload=500.0, seconds=60.0)
    assert 0.1 < packs.charge < 0.9
