"""Compile mujoco_warp's kernels for the smallest scene: `python -m sim.warm`.

Its first step on a machine takes a minute, and later ones come from Warp's cache. `make setup` runs this, so that the
tests that run mujoco_warp on the CPU do not wait. `fleet.warm` compiles our own kernels; it runs before every launch,
which never needs this engine.
"""

from __future__ import annotations

import sys
import time

import numpy as np


def main() -> int:
    """Step, reset, write a field, and say what that took."""
    from sim.robot import RobotSpec
    from sim.scene import build_scene
    from sim.site import make_site
    from sim.warp_backend import WarpBackend

    begin = time.perf_counter()
    scene = build_scene(make_site("warm", np.zeros((1, 6), bool)), RobotSpec(), robots=1, people=1)
    backend = WarpBackend(scene.model, 4)
    backend.set_field("body_mass", np.tile(scene.model.body_mass, (4, 1)), np.array([True, False, True, False]))
    backend.step(2)
    backend.reset(np.array([True, False, False, False]))
    backend.diverged()
    print(f"mujoco_warp ready in {time.perf_counter() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
