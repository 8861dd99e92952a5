"""Light as a camera of one world sees it: the world's own lights, drawn by the table, on the model that is rendered.

A renderer draws one model for all worlds, in colours of its own; the plant's worlds differ in what the rows `light`,
`light_x` .. of the table wrote into their fields (sim/variedfields.py). `Lighting` puts the lights of one world on
such a model before a picture is taken: colours scaled as the world's are, places and directions taken over. Where the
table leaves light alone it does nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.backend import Backend

MOVED = ("light_pos", "light_dir")
"""Fields that are taken over as they are."""


class Lighting:
    """The lights of an environment's worlds on a model for pictures. Owns that model's own colours."""

    def __init__(self, plant: Any, picture: Any) -> None:  # two mujoco.MjModel, which have no stub
        """`picture` has the lights of the model `plant` that the worlds were made of, in colours of its own."""
        self._picture = picture
        self._plant = np.array(plant.light_diffuse, np.float64)
        self._diffuse = np.array(picture.light_diffuse, np.float64)

    def put(self, backend: Backend, world: int) -> None:
        """Write the lights of one world of `backend` into the picture's model; `mj_camlight` then makes them count."""
        fields = backend.varied()
        if "light_diffuse" in fields:
            own = fields["light_diffuse"].numpy()[world]
            share = np.divide(own, self._plant, out=np.ones_like(self._plant), where=self._plant > 0.0)
            self._picture.light_diffuse[:] = self._diffuse * share
        for name in MOVED:
            if name in fields:
                getattr(self._picture, name)[:] = fields[name].numpy()[world]
