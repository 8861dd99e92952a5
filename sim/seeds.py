"""Seeds that a command line may ask for: whole numbers that every draw takes.

Draws are keyed by int32 (`sim.randomization.draw`), and a run counts on from its seed: training, held-out checks and
evaluations use layouts that lie millions apart (`agents/navigation.py`), lanes and worlds the numbers after them. A
bound of half of int32's range leaves room for all of them, and is easier to say than 2**31 - 1 less something.

Other people's tools seed environments with up to 64 bits; `seed_key` makes of those what draws take.
"""

from __future__ import annotations

import hashlib

from sim.errors import MusterError

SEED_MAX = 1_000_000_000
"""Largest seed; draws take int32, up to 2,147,483,647."""


SEEDS = 2**64
"""Seeds that an environment takes: from 0 to one less."""


class SeedError(MusterError):
    """No seed."""


def check_seed(seed: int) -> None:
    """Raise `SeedError`, under the name of the option --seed, for a seed that draws cannot be keyed by."""
    if not 0 <= seed <= SEED_MAX:
        raise SeedError(f"--seed: expected a whole number from 0 up to {SEED_MAX}, got {seed}; choose another")


def seed_key(seed: int) -> int:
    """What draws are keyed by, 32 bits: seeds below 2^32 as they are, longer ones by hashing all of their bits."""
    if seed < 2**32:
        return int(seed)
    return int.from_bytes(hashlib.sha256(int(seed).to_bytes(8, "little")).digest()[:4], "little")
