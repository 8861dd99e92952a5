"""What a car's battery holds while it drives: a share that falls by what driving and electronics take.

Power at the terminals of a car of mass m at speed v and acceleration a:

    P = P_idle + max(F v, 0) / eta        F = m a + c m g + rho/2 C_A v^2

A step of dt takes P dt out of the pack. Braking gives nothing back, slopes, heating and ageing are left out: enough for
a gauge that sinks as one in a car does (some 15 kWh for 100 km), on a road of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.bodies.parts import GRAVITY

AIR = 1.2
"""rho, kg/m^3, at 20 degrees."""


@dataclass(frozen=True)
class CarBattery:
    """A pack and what takes from it. Defaults, own choice: an electric car of the middle class."""

    capacity: float = 60.0
    """kWh"""
    idle: float = 600.0
    """P_idle, W: computers, sensors, lights."""
    rolling: float = 0.01
    """c, of car tyres on asphalt."""
    area: float = 0.6
    """C_A, m^2: a drag coefficient of 0.27 on 2.2 m^2."""
    efficiency: float = 0.85
    """eta, from the terminals to the road."""

    def after(self, charge: float, mass: float, speed: float, accel: float, dt: float) -> float:
        """The state of charge (0 to 1) after `dt` s at a speed (m/s) and an acceleration (m/s^2)."""
        force = mass * accel + self.rolling * mass * GRAVITY + 0.5 * AIR * self.area * speed * speed
        power = self.idle + max(force * speed, 0.0) / self.efficiency
        return max(charge - power * dt / (self.capacity * 3.6e6), 0.0)
