"""OpenGL without a screen, and pictures of MuJoCo models drawn with it.

MuJoCo chooses its OpenGL once, when it is imported, by the environment variable MUJOCO_GL, and takes GLFW where
nobody set it, which needs a screen. Environments are drawn in processes that imported it long ago. So a library that
works is looked for by a process of its own, which a broken driver may crash, and taken by name afterwards: EGL, then
OSMesa, or first what MUJOCO_GL names.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError

LIBRARIES = ("egl", "osmesa")
"""Modules of mujoco with a context that needs no screen, the faster one first."""

EXTRA = 600
"""Shapes that a picture may add to those of its model."""

PROBE = "import sys, importlib; importlib.import_module('mujoco.' + sys.argv[1]).GLContext(8, 8).free()"


class OpenGLError(MusterError):
    """Nothing can be drawn on this machine."""


@dataclass(frozen=True)
class Shape:
    """Something that a picture shows beside its model: a box, an upright cylinder, or one of the model's meshes."""

    at: tuple[float, float, float]
    """Middle, W, m"""
    half: tuple[float, float, float]
    """Half sizes, m; of a cylinder the radius twice and half its height."""
    colour: tuple[float, float, float, float]
    yaw: float = 0.0
    round: bool = False
    """A cylinder."""
    mesh: int = -1
    """Number of a mesh, at the size that it has; -1 for none."""


@functools.cache
def find_library() -> str:
    """The OpenGL library to draw with, one of `LIBRARIES`; about half a second at the first call of a process.

    Raises `OpenGLError` where none works, in one line that says what to install.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    failures = []
    for library in sorted(LIBRARIES, key=lambda name: name != wanted):
        environment = {**os.environ, "MUJOCO_GL": library}
        environment.pop("DISPLAY", None)
        child = subprocess.run(
            [sys.executable, "-c", PROBE, library], env=environment, capture_output=True, text=True, check=False
        )
        if child.returncode == 0:
            return library
        lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        failures.append(f"{library}: {lines[-1]}")
    raise OpenGLError(
        f"expected OpenGL by EGL or OSMesa to draw pictures, got {'; '.join(failures)}; "
        "install libegl1 and libgl1-mesa-dri, or libosmesa6"
    )


class Canvas:
    """Owns an OpenGL context and draws one model with it, `width` by `height` pixels. Close it in its own thread."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int, *, haze: bool = False) -> None:
        """With `haze` what is far fades into the model's fog. Raises `OpenGLError` where no OpenGL works."""
        model.vis.global_.offwidth = max(width, int(model.vis.global_.offwidth))
        model.vis.global_.offheight = max(height, int(model.vis.global_.offheight))
        self.model, self.width, self.height = model, width, height
        self._gl: Any = importlib.import_module(f"mujoco.{find_library()}").GLContext(width, height)
        self._gl.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + EXTRA)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG.value] = haze
        self._option = mujoco.MjvOption()
        self._context: Any = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._area = mujoco.MjrRect(0, 0, width, height)

    def draw(self, data: mujoco.MjData, camera: mujoco.MjvCamera, shapes: Sequence[Shape] = ()) -> NDArray[np.uint8]:
        """The model at `data` (its kinematics computed) with `shapes`, (height, width, 3)."""
        self._gl.make_current()
        scene = self._scene
        mujoco.mjv_updateScene(self.model, data, self._option, None, camera, mujoco.mjtCatBit.mjCAT_ALL.value, scene)
        for shape in shapes[: scene.maxgeom - scene.ngeom]:
            c, s = np.cos(shape.yaw), np.sin(shape.yaw)
            kind = mujoco.mjtGeom.mjGEOM_CYLINDER if shape.round else mujoco.mjtGeom.mjGEOM_BOX
            kind = kind if shape.mesh < 0 else mujoco.mjtGeom.mjGEOM_MESH
            mujoco.mjv_initGeom(
                scene.geoms[scene.ngeom],
                kind,
                np.array([shape.half[0], shape.half[2], 0.0] if shape.round else shape.half),
                np.array(shape.at),
                np.array([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]),
                np.array(shape.colour, np.float32),
            )
            if shape.mesh >= 0:
                scene.geoms[scene.ngeom].dataid = 2 * shape.mesh  # odd numbers are the convex hulls
            scene.ngeom += 1
        frame = np.empty((self.height, self.width, 3), np.uint8)
        mujoco.mjr_render(self._area, scene, self._context)
        mujoco.mjr_readPixels(frame, None, self._area, self._context)
        return np.ascontiguousarray(frame[::-1])  # OpenGL counts rows from below

    def depth(self, data: mujoco.MjData, camera: mujoco.MjvCamera) -> NDArray[np.float32]:
        """Distances from the camera's plane along its axis, (height, width), m; the far plane where nothing is.

        OpenGL keeps d = near (far - z) / (z (far - near)), which is 1 at the near plane and 0 at the far one.
        """
        self._gl.make_current()
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, data, self._option, None, camera, every, self._scene)
        kept = np.empty((self.height, self.width), np.float32)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        mujoco.mjr_render(self._area, self._scene, self._context)
        mujoco.mjr_readPixels(None, kept, self._area, self._context)
        planes = self.model.vis.map
        near, far = float(planes.znear * self.model.stat.extent), float(planes.zfar * self.model.stat.extent)
        return np.ascontiguousarray(near * far / (kept[::-1] * np.float32(far - near) + np.float32(near)))

    def close(self) -> None:
        """Free the context; safe to call again."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None
