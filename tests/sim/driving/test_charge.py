"""A car's battery by hand."""

from __future__ import annotations

import pytest

from sim.driving.charge import CarBattery

BATTERY = CarBattery(capacity=1.0, idle=400.0, rolling=0.01, area=0.5, efficiency=0.8)


def test_a_car_that_stands_takes_what_its_electronics_take() -> None:
    assert BATTERY.after(0.5, 1500.0, 0.0, 0.0, 3600.0) == pytest.approx(0.5 - 0.4)


def test_a_car_at_speed_takes_rolling_air_and_acceleration() -> None:
    force = 1000.0 * 1.0 + 0.01 * 1000.0 * 9.81 + 0.5 * 1.2 * 0.5 * 400.0
    taken = (400.0 + force * 20.0 / 0.8) / 3.6e6
    assert BATTERY.after(0.5, 1000.0, 20.0, 1.0, 1.0) == pytest.approx(0.5 - taken, rel=1e-4)


def test_brakes_give_nothing_back_and_an_empty_pack_stays_empty() -> None:
    assert BATTERY.after(0.5, 1000.0, 20.0, -6.0, 1.0) == pytest.approx(0.5 - 400.0 / 3.6e6)
    assert BATTERY.after(1e-6, 1500.0, 30.0, 2.0, 1.0) == 0.0


def test_a_hundred_kilometres_at_25_m_per_s_take_what_such_cars_take() -> None:
    taken = (0.9 - CarBattery().after(0.9, 1500.0, 25.0, 0.0, 4000.0)) * CarBattery().capacity
    assert 12.0 < taken < 20.0
