"""Floors from Nav2 maps: the YAML file and image that map_server loads (ROS 2 Navigation, nav2_map_server).

    image: floor.pgm            # PGM, PBM or PNG (sim/image.py), beside the YAML file
    resolution: 0.05            # m per pixel
    origin: [-10.0, -10.0, 0.0] # pose of the lower left pixel's corner in the map frame: x, y (m), yaw
    negate: 0                   # 1: white is occupied
    occupied_thresh: 0.65
    free_thresh: 0.25
    mode: trinary               # scale or raw; optional

A pixel's occupancy p is 1 - shade, or its shade when negated, shade being the mean of its channels (alpha among them
in trinary, as map_server does it). A pixel is *free* where

    trinary, scale   p < free_thresh (in scale only where it is opaque)
    raw              its value, 0 to 255, is at most 100 and below 100 free_thresh

(so the grey 205 that older map savers write for unknown is unknown at their free_thresh of 0.196, and free at 0.25:
map_server reads it so too)

and a cell of the floor is free only if every pixel that it touches is. So unknown pixels, whatever lies beyond the
image, and shades between the thresholds are blocked: a robot is not sent where nobody has looked.

The floor keeps the image's axes, with W at its lower left corner; `Fixtures.frame` is the pose of W in the map frame,
so that p_map = R(yaw) p_W + (x, y) and nothing is sampled again. Cells begin at that corner; a last column or row that
the image does not fill is blocked. Keys that map_server does not know are errors.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from sim.files import FileError, read_file
from sim.fixtures import Fixtures
from sim.image import ImageError, read_image
from sim.site import Site, SiteError, make_site
from sim.strictyaml import SIZE_MAX, Reader

MODES = ("trinary", "scale", "raw")

GRAZE = 1.0e-6
"""Pixels; a cell whose edge lies on a pixel's, but for rounding, does not touch the next."""


def is_navmap(path: Path) -> bool:
    """Whether a YAML file names an image before anything of muster's: a guess by which reader to ask."""
    try:
        text = read_file(path, SIZE_MAX).decode(errors="replace")
    except FileError:
        return False
    return not re.search(r"^muster\s*:", text, re.MULTILINE) and bool(re.search(r"^image\s*:", text, re.MULTILINE))


def read_navmap(path: Path, cell: float) -> Site:
    """The floor of a map with cells of `cell` m. Raises `SiteError` where it is none, `FileError` for unread files."""
    reader = Reader(path, SiteError)
    keys = ("image", "resolution", "origin", "negate", "occupied_thresh", "free_thresh")
    entries = reader.root(keys, ("mode",), muster=False)
    resolution = reader.number(entries["resolution"], "resolution in m", 1.0e-4, 10.0)
    x, y, yaw = reader.numbers(entries["origin"], "origin (x, y, yaw)", 3)
    negate = _flag(reader, entries["negate"])
    occupied = reader.number(entries["occupied_thresh"], "occupied_thresh", 0.0, 1.0)
    free = reader.number(entries["free_thresh"], "free_thresh", 0.0, 1.0)
    if free >= occupied:
        raise reader.fault(
            entries["free_thresh"], f"expected free_thresh below occupied_thresh {occupied:g}, got {free:g}; swap them"
        )
    mode = reader.choice(entries["mode"], "mode", MODES) if "mode" in entries else "trinary"
    try:
        shades = read_image(path.parent / reader.text(entries["image"], "image"))
    except ImageError as error:
        raise SiteError(str(error)) from error
    if cell < resolution:
        raise reader.fault(
            entries["resolution"],
            f"expected cells of at least one pixel ({resolution:g} m), got {cell:g} m; take larger",
        )
    pixels = _free(shades, mode, negate, free)
    blocked = ~_cells(pixels, cell / resolution)
    if blocked.all():
        raise SiteError(
            f"{path}: expected a cell of {cell:g} m whose pixels are all free, got none in {pixels.shape[1]} x "
            f"{pixels.shape[0]} pixels of which {int(pixels.sum())} are free; take smaller cells or another threshold"
        )
    site = make_site(path.stem, blocked, cell=cell)
    return replace(site, fixtures=Fixtures(frame=(x, y, math.remainder(yaw, 2.0 * math.pi))))


def _free(shades: NDArray[np.float64], mode: str, negate: bool, threshold: float) -> NDArray[np.bool_]:
    """Which pixels of (rows, columns, channels) are free."""
    channels = shades.shape[2]
    has_alpha = channels in (2, 4)
    colours = shades if has_alpha and mode == "trinary" else shades[:, :, : channels - has_alpha]
    if colours.shape[2] == 2:
        colours = colours[:, :, [0, 0, 0, 1]]  # grey is three equal colours beside its alpha
    shade = colours.mean(axis=2)
    if mode == "raw":
        value = np.round(shade * 255.0)
        return (value <= 100.0) & (value < 100.0 * threshold)
    free = (shade if negate else 1.0 - shade) < threshold
    return free & (shades[:, :, -1] == 1.0) if mode == "scale" and has_alpha else free


def _cells(free: NDArray[np.bool_], pixels: float) -> NDArray[np.bool_]:
    """Which cells of `pixels` pixels a side, counted from the lower left, touch free pixels alone; row 0 at the top."""
    rows, columns = free.shape
    height, width = math.ceil(rows / pixels - GRAZE), math.ceil(columns / pixels - GRAZE)
    # free pixels left of and below each corner of the pixel grid, the lower left one first
    total = np.zeros((rows + 1, columns + 1), np.int64)
    total[1:, 1:] = np.cumsum(np.cumsum(free[::-1], axis=0), axis=1)

    def edges(count: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        number = np.arange(count)
        low = np.floor(number * pixels + GRAZE).astype(np.int64)
        high = np.ceil((number + 1) * pixels - GRAZE).astype(np.int64)
        return low, np.where(high > end, -1, high)  # -1: reaches beyond the image

    bottom, top = edges(height, rows)
    left, right = edges(width, columns)
    count = (
        total[np.ix_(top, right)]
        - total[np.ix_(bottom, right)]
        - total[np.ix_(top, left)]
        + total[np.ix_(bottom, left)]
    )
    whole = np.outer(top - bottom, right - left)
    inside = np.outer(top >= 0, right >= 0)
    return ((count == whole) & inside)[::-1]


def _flag(reader: Reader, node: yaml.Node) -> bool:
    """map_server takes 0 and 1, and what yaml-cpp takes for a boolean, small, capital or in capitals."""
    words = [form for word in ("false", "true", "no", "yes", "off", "on", "n", "y") for form in _forms(word)]
    return reader.choice(node, "negate", ("0", "1", *words)).lower() in ("1", "true", "yes", "on", "y")


def _forms(word: str) -> tuple[str, ...]:
    return word, word.capitalize(), word.upper()
