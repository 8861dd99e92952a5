"""The page of `muster view`: a floor and what moves on it in a browser, by viser (three.js over a web socket).

It listens on this machine alone and asks nothing of any other: viser brings its client with it. Where moments come from
is not its business: `fleet/view.py` plays runs, `fleet/live.py` drives an environment.
"""

from __future__ import annotations

import contextlib
import html
import io
import math
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from fleet.meshes import BALL, BOX, CYLINDER, Batch, Vision, quaternions
from fleet.shown import TONES, Focus, Shown, to_bytes, to_linear
from sim.drawing import (
    CARDBOARD,
    CHASSIS,
    MARK,
    MAST,
    SKIN,
    TRUCK,
    VEST,
    camera_distance,
    drawn_floor,
    robot_colour,
)
from sim.errors import MusterError
from sim.site import Site

HOST = "127.0.0.1"
"""The page is for whoever sits at this machine."""

FOV_DEG = 32.0
"""Of the first camera: a narrow one shows the floor with little distortion."""

SLANT_DEG = 50.0
"""How steeply it looks down."""

ASPECT, PANEL = 1.7, 0.22
"""A window's width by its height, and the share of it that the panel covers, for the first camera."""

BEHIND, ABOVE, AHEAD = 5.5, 4.2, 1.5
"""m: where a camera that follows a robot stands behind and above it, and how far ahead of it it looks."""


class PageError(MusterError):
    """The page cannot be served."""


def check_port(port: int) -> None:
    """Raise `PageError` unless the page can listen there; 0 lets the system choose. viser would take the next one."""
    if not 0 <= port <= 65535:
        raise PageError(f"--port: expected a port from 1 to 65535, or 0 for any free one, got {port}; choose another")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            raise PageError(
                f"--port: expected a free port, got {port} ({error.strerror}); choose another, or 0 for any"
            ) from error


class Page:
    """Owns the server and the scene. Everything is drawn at once; `show` moves it."""

    def __init__(
        self,
        site: Site,
        names: Sequence[str],
        *,
        footprint: tuple[float, float, float],
        people: int = 0,
        forklifts: int = 0,
        truck: tuple[float, float, float] = (2.0, 1.0, 2.0),
        title: str = "",
        port: int = 8080,
    ) -> None:
        """`footprint` and `truck` are length, width and height of robots and forklifts, m. Raises `PageError`."""
        check_port(port)
        self.site, self.names = site, tuple(names)
        with contextlib.redirect_stdout(io.StringIO()):  # its banner; `verbose` does not silence it
            self.server = viser.ViserServer(host=HOST, port=port, label=f"muster {title}", verbose=False)
        self.port = int(self.server.get_port())
        if port and self.port != port:  # somebody took it since it was looked at
            self.server.stop()
            raise PageError(f"--port: expected a free port, got {port}, just taken; choose another, or 0 for any")
        self.server.scene.set_up_direction("+z")
        self._light()
        self.server.gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(34, 98, 173))
        self.server.gui.set_panel_label("muster")
        self.server.gui.add_html(
            f'<div style="padding:0 1em 0.5em 1em;font-size:0.85em;opacity:0.7">{html.escape(title)}</div>'
        )
        self._home = self._look_from_above()
        self._doors = self._draw_floor()
        self._draw_movers(footprint, people, forklifts, truck)
        self._vision = Vision(self.server, footprint)

    def show(self, shown: Shown, chosen: int, focus: Focus) -> None:
        """Move everything to a moment; `focus` is that of the robot `chosen`."""
        with self.server.atomic():
            for part in self._robots:
                part.move(shown.poses)
            self._robots[0].colour(
                np.array([to_linear(TONES[tone][1]) for tone in shown.tones], np.uint8).reshape(-1, 3)
            )
            self._robots[-1].present(shown.loaded)
            for part in self._people:
                part.move(np.column_stack([shown.people, np.zeros(len(shown.people))]))
            for part in self._trucks:
                part.move(shown.forklifts)
            for number, door in enumerate(self._doors):
                for handle in door:
                    handle.visible = not shown.doors[number]
            self._vision.show(chosen, self.names[chosen], shown.poses[chosen], focus)

    def layers(self, **visible: bool) -> None:
        """Show or hide what the chosen robot had: lidar, ground, plan."""
        self._vision.layers(**visible)

    def follow(self, pose: NDArray[np.floating]) -> None:
        """Put every browser's camera behind a robot."""
        x, y, yaw = (float(value) for value in pose)
        c, s = math.cos(yaw), math.sin(yaw)
        self._put_cameras((x - BEHIND * c, y - BEHIND * s, ABOVE), (x + AHEAD * c, y + AHEAD * s, 0.0))

    def look_home(self) -> None:
        """Put every browser's camera where it began."""
        self._put_cameras(*self._home)

    def stop(self) -> None:
        """Close the page and free its port."""
        self.server.stop()

    def _put_cameras(self, place: tuple[float, float, float], target: tuple[float, float, float]) -> None:
        for client in self.server.get_clients().values():
            with client.atomic():
                client.camera.position = place
                client.camera.look_at = target

    def _light(self) -> None:
        """Plain light without shadows or mirrors: quick on any machine, and colours are those of the legend."""
        scene = self.server.scene
        scene.configure_environment_map(None)
        scene.configure_default_lights(False)
        scene.add_light_ambient("/light/all", intensity=1.7)
        scene.add_light_directional("/light/sun", intensity=2.3, position=(-0.35, -0.55, 1.0), cast_shadow=False)

    def _look_from_above(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Where the first camera is and looks, so that it sees the whole floor."""
        site, slant = self.site, math.radians(SLANT_DEG)
        size = site.width * site.cell, site.height * site.cell
        distance = 1.05 * camera_distance(size, (1.0 - PANEL) * ASPECT, FOV_DEG, SLANT_DEG)
        beside = PANEL * ASPECT * distance * math.tan(math.radians(FOV_DEG) / 2)
        target = (size[0] / 2 + beside, size[1] / 2, 0.0)
        place = (target[0], target[1] - distance * math.cos(slant), distance * math.sin(slant))
        camera = self.server.initial_camera
        camera.position, camera.look_at, camera.up = place, target, (0.0, 0.0, 1.0)
        camera.fov, camera.near, camera.far = math.radians(FOV_DEG), 0.1, 20.0 * distance
        return place, target

    def _draw_floor(self) -> list[list[Any]]:
        """Everything that stands still as one node; returns viser's handles of the doors' boxes, by door."""
        parts = drawn_floor(self.site)
        still = [part for part in parts if part.door < 0]
        low, high = np.array([(part.low, part.high) for part in still]).T
        x0, y0, x1, y1 = np.array([part.where for part in still]).T
        self.server.scene.add_batched_meshes_simple(
            "/floor",
            *BOX,
            batched_wxyzs=quaternions(np.zeros(len(still))),
            batched_positions=np.column_stack([(x0 + x1) / 2, (y0 + y1) / 2, (low + high) / 2]).astype(np.float32),
            batched_scales=np.column_stack([x1 - x0, y1 - y0, high - low]).astype(np.float32),
            batched_colors=np.array([to_linear(part.colour) for part in still], np.uint8),
            flat_shading=True,
            lod="off",
            cast_shadow=False,
        )
        doors: list[list[Any]] = [[] for _ in self.site.fixtures.doors]
        for number, part in enumerate(part for part in parts if part.door >= 0):
            left, bottom, right, top = part.where
            handle = self.server.scene.add_box(
                f"/doors/{part.door}/{number}",
                color=to_bytes(part.colour),
                dimensions=(right - left, top - bottom, part.high - part.low),
                position=((left + right) / 2, (bottom + top) / 2, (part.low + part.high) / 2),
                opacity=0.75,
            )
            doors[part.door].append(handle)
        return doors

    def _draw_movers(
        self,
        footprint: tuple[float, float, float],
        people: int,
        forklifts: int,
        truck: tuple[float, float, float],
    ) -> None:
        server, robots = self.server, len(self.names)
        (length, broad, tall), (long, wide, high) = footprint, truck
        own = [robot_colour(number) for number in range(robots)]
        ring, top, nose = 1.5 * length, (length - 0.06, broad - 0.06, tall * 0.4), (0.06, broad - 0.1, 0.07)
        self._robots = [
            Batch(server, "/robots/ring", CYLINDER, (0, 0, 0.04), (ring, ring, 0.02), [MARK] * robots),
            Batch(server, "/robots/chassis", BOX, (0, 0, 0.33 * tall), (length, broad, 0.6 * tall), [CHASSIS] * robots),
            Batch(server, "/robots/top", BOX, (0, 0, 0.8 * tall), top, own),
            Batch(server, "/robots/nose", BOX, (length / 2 - 0.07, 0, tall), nose, [MARK] * robots),
            Batch(server, "/robots/load", BOX, (-0.07, 0, tall + 0.15), (0.34, 0.32, 0.3), [CARDBOARD] * robots),
        ]
        self._people = [
            Batch(server, "/people/coat", CYLINDER, (0, 0, 0.6), (0.5, 0.5, 1.15), [VEST] * people),
            Batch(server, "/people/head", BALL, (0, 0, 1.33), (0.34, 0.34, 0.38), [SKIN] * people),
        ]
        mast, forks = (0.12, 0.84 * wide, high), (0.4 * long, 0.6 * wide, 0.06)
        self._trucks = [
            Batch(server, "/trucks/body", BOX, (-0.2 * long, 0, 0.5), (0.6 * long, wide, 0.9), [TRUCK] * forklifts),
            Batch(server, "/trucks/mast", BOX, (0.1 * long, 0, high / 2), mast, [MAST] * forklifts),
            Batch(server, "/trucks/forks", BOX, (0.3 * long, 0, 0.1), forks, [MAST] * forklifts),
        ]
