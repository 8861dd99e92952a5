"""`render_mode="rgb_array"`: what environments of Gymnasium and PettingZoo render by, whatever their world is.

Each kind of worlds has a `Painter`: sim/rendering.py for the warehouse, sim/driving/rendering.py for the road. Only who
asks for a picture pays: nothing is made before the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError

RENDER_MODES = ("rgb_array",)


class RenderError(MusterError):
    """A way of rendering that there is none of."""


class Painter(Protocol):
    """Draws the worlds of one environment after the other. Owns what drawing needs."""

    environment: Any  # the kind of worlds that it draws

    def frame(self, world: int = 0) -> NDArray[np.uint8]:
        """One world as it stands, (height, width, 3)."""
        ...

    def close(self) -> None:
        """Free it; safe to call again."""
        ...


class Pictures:
    """What an environment of Gymnasium or PettingZoo renders by. Owns a painter, made at the first picture."""

    def __init__(self, mode: str | None, make: Callable[[Any], Painter]) -> None:
        """`make` a painter of an environment. Raises `RenderError` for anything but None and `RENDER_MODES`."""
        if mode is not None and mode not in RENDER_MODES:
            raise RenderError(f'expected render_mode None or "rgb_array", got {mode!r}; record frames and play them')
        self.mode = mode
        self._make = make
        self._painter: Painter | None = None

    def frame(self, environment: object | None, world: int = 0) -> NDArray[np.uint8] | None:
        """A world as it stands; None without a render mode. Raises `OpenGLError` where OpenGL is needed and fails.

        Successive environments must be of one floor or atlas, task and robot, as resets with a seed make them.
        """
        if self.mode is None:
            return None
        assert environment is not None, "call reset first"
        if self._painter is None:
            self._painter = self._make(environment)
        self._painter.environment = environment
        return self._painter.frame(world)

    def close(self) -> None:
        """Free what pictures needed; safe to call again."""
        if self._painter is not None:
            self._painter.close()
            self._painter = None
