"""Seeds that a command line may ask for: whole numbers that every draw takes.

Draws are keyed by int32 (`sim.randomization.draw`), and a run counts on from its seed: training, held-out checks and
evaluations use layouts that lie millions apart (`agents/navigation.py`), lanes and worlds the numbers after them. A
bound of half of int32's range leaves room for all of them, and is easier to say than 2**31 - 1 less something.
"""

from __future__ import annotations

from sim.errors import MusterError

SEED_MAX = 1_000_000_000
"""Largest seed; draws take int32, up to 2,147,483,647."""


class SeedError(MusterError):
    """No seed."""


def check_seed(seed: int) -> None:
    """Raise `SeedError`, under the name of the option --seed, for a seed that draws cannot be keyed by."""
    if not 0 <= seed <= SEED_MAX:
        raise SeedError(f"--seed: expected a whole number from 0 up to {SEED_MAX}, got {seed}; choose another")
