"""Compile every kernel before processes start together: `python -m fleet.warm`.

A cold Warp module takes 3 to 6 s to compile, in every process that meets it first, and a fleet starts many processes
at once; a numba function takes as long. Both keep what they compiled on disk (Warp in its user cache, numba beside the
source), so one process that compiles first saves all others. `make setup` and `muster launch` run this; with a warm
cache it takes about as long as its imports.

Modules are found by their text, so a new kernel needs no entry anywhere: each file of the six packages that defines a
`@wp.kernel` is imported and its Warp module loaded. What that cannot compile (generic kernels, whose types are known at
the first launch, and numba functions without signatures) a module compiles in a function `warm()` of its own, which is
called here. Modules whose libraries are not installed are left out: a robot has no numba.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

PACKAGES = ("sim", "safety", "coordination", "agents", "hierarchy", "fleet")
MARKS = ("@wp.kernel", "@numba.njit", "@njit", "\ndef warm()")


def compiled_modules() -> list[str]:
    """Names of our modules that hold something to compile, in import order."""
    root = Path(__file__).resolve().parent.parent
    names = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if path == Path(__file__).resolve():
                continue
            text = path.read_text(encoding="utf-8")
            if any(mark in text for mark in MARKS):
                names.append(".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
    return names


def warm(device: str = "cpu") -> list[str]:
    """Compile all of `compiled_modules` for `device`; returns the names of those that were."""
    import warp as wp

    from sim.device import start_warp

    start_warp()
    warmed = []
    for name in compiled_modules():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.partition(".")[0] not in PACKAGES:
                continue  # an extra that is not installed here
            raise
        if any(isinstance(value, wp.Kernel) and value.module.name == name for value in vars(module).values()):
            wp.load_module(module, device=device)
        if callable(getattr(module, "warm", None)):
            module.warm()
        warmed.append(name)
    return warmed


def main() -> int:
    """Warm the CPU's caches and say what that took."""
    begin = time.perf_counter()
    warmed = warm()
    print(f"kernels ready: {len(warmed)} modules in {time.perf_counter() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
