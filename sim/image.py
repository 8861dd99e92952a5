"""Small images for maps: PBM and PGM (netpbm.sourceforge.net/doc, P1, P2, P4, P5) and PNG (W3C PNG, 3rd edition).

A robot that loads a map has the base install alone, so nothing but numpy and zlib is used. map_server reads images with
GraphicsMagick, so what people have is of every kind: PNG is read with 1 to 16 bits a channel, grey, RGB or a palette,
with alpha or a transparent colour. Interlacing is refused with what to do.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.files import read_file

SIDE_MAX = 16384
"""Pixels along a side; a larger number is a broken header rather than a map of 800 m at 5 cm."""

PALETTE = 3
"""PNG colour type whose samples number the colours of the chunk PLTE."""

_CHANNELS = {0: 1, 2: 3, PALETTE: 1, 4: 2, 6: 4}
"""PNG colour types: channels."""

_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""PNG colour types: bits that a sample may have."""


class ImageError(MusterError):
    """An image is none, damaged or of a kind that is not read."""


def read_image(path: Path) -> NDArray[np.float64]:
    """An image as shades from 0 (black, transparent) to 1, (rows, columns, channels), row 0 at the top.

    Channels: grey, grey and alpha, RGB, or RGBA. Raises `ImageError`, or `FileError` where it cannot be read.
    """
    data = read_file(path)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _read_png(path, data)
    if data[:2] in (b"P2", b"P5"):
        return _read_pgm(path, data)
    if data[:2] in (b"P1", b"P4"):
        return _read_pbm(path, data)
    raise ImageError(f"{path}: expected a PGM (P2, P5), PBM (P1, P4) or PNG image, got {data[:8]!r}; convert it")


def _read_pbm(path: Path, data: bytes) -> NDArray[np.float64]:
    """1 is black. P1 writes digits, with or without space between them; P4 bits, each row from a byte of its own."""
    space = rb"(?:\s+|#[^\n\r]*[\n\r])+"
    head = re.match(rb"P[14]" + space + rb"(\d{1,6})" + space + rb"(\d{1,6})(?=\s|#|$)", data)
    if not head:
        raise ImageError(f"{path}: expected width and height after {data[:2].decode()}; repair its header")
    width, height = (int(part) for part in head.groups())
    _check_size(path, width, height)
    if data[:2] == b"P4":
        row = (width + 7) // 8
        packed = np.frombuffer(data[head.end() + 1 : head.end() + 1 + row * height], np.uint8)
        if len(packed) < row * height:
            raise ImageError(
                f"{path}: expected {row * height} bytes of pixels, got {len(packed)}; the file was cut, copy it again"
            )
        ink = np.unpackbits(packed.reshape(height, row), axis=1)[:, :width]
    else:
        digits = b"".join(re.sub(rb"#[^\n\r]*", b" ", data[head.end() :]).split())
        if len(digits) != width * height or digits.strip(b"01"):
            raise ImageError(f"{path}: expected {width} x {height} digits 0 and 1, got {len(digits)} signs; repair it")
        ink = (np.frombuffer(digits, np.uint8) - ord("0")).reshape(height, width)
    return 1.0 - ink[:, :, None].astype(np.float64)


def _read_pgm(path: Path, data: bytes) -> NDArray[np.float64]:
    raw = data[:2] == b"P5"
    # magic, width, height, maxval, apart by white space and comments; one white space ends the header of P5
    space = rb"(?:\s+|#[^\n\r]*[\n\r])+"
    head = re.match(rb"P[25]" + space + rb"(\d{1,6})" + space + rb"(\d{1,6})" + space + rb"(\d{1,6})(?=\s|#|$)", data)
    if not head:
        raise ImageError(
            f"{path}: expected width, height and largest value after {data[:2].decode()}; repair its header"
        )
    width, height, largest = (int(part) for part in head.groups())
    _check_size(path, width, height)
    if not 1 <= largest <= 65535:
        raise ImageError(f"{path}: expected a largest value from 1 to 65535, got {largest}; repair its header")
    if raw:
        kind = np.dtype("u1" if largest < 256 else ">u2")
        begin = head.end() + 1
        whole = (len(data) - begin) // kind.itemsize  # bytes behind the pixels are no fault: savers end with a line
        if whole < width * height:
            raise ImageError(
                f"{path}: expected {width} x {height} pixels, got {max(whole, 0)}; the file was cut, copy it again"
            )
        pixels = np.frombuffer(data, kind, count=width * height, offset=begin)
    else:
        words = re.sub(rb"#[^\n\r]*", b" ", data[head.end() :]).split()
        if len(words) != width * height or not all(word.isdigit() and len(word) <= 6 for word in words):
            raise ImageError(
                f"{path}: expected {width} x {height} = {width * height} whole numbers, got {len(words)} words; repair"
            )
        pixels = np.array(words, np.int64)
    pixels = pixels[: width * height].astype(np.float64).reshape(height, width, 1)
    if pixels.max() > largest:
        raise ImageError(f"{path}: expected values up to {largest}, got {pixels.max():.0f}; repair its header")
    return pixels / largest


def _read_png(path: Path, data: bytes) -> NDArray[np.float64]:
    body = b""
    palette, clear = b"", b""
    header: tuple[int, ...] | None = None
    at = 8
    while True:
        if at + 12 > len(data):
            raise ImageError(f"{path}: expected a PNG that ends with IEND, got {len(data)} bytes; copy it again")
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        check = data[at + 8 + length : at + 12 + length]
        if len(check) < 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + content):
            raise ImageError(f"{path}: expected a whole PNG, its part at byte {at} is damaged; copy it again")
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise ImageError(f"{path}: expected a PNG header first, got {kind!r}; repair it")
            header = struct.unpack(">IIBBBBB", content)
        if kind == b"IDAT":
            body += content
        if kind == b"PLTE":
            palette = content
        if kind == b"tRNS":
            clear = content
        if kind == b"IEND":
            break
        at += 12 + length
    width, height, bits, colour, _, _, interlaced = header
    _check_size(path, width, height)
    if bits not in _BITS.get(colour, ()) or interlaced:
        raise ImageError(
            f"{path}: expected a PNG of 1 to 16 bits, not interlaced, got {bits} bits, colour type {colour}"
            f"{', interlaced' if interlaced else ''}; save it as 8-bit grey, or as PGM"
        )
    channels = _CHANNELS[colour]
    row = (width * channels * bits + 7) // 8
    reader = zlib.decompressobj()
    try:
        # one byte more than there may be, so that a bomb stays small
        lines = reader.decompress(body, height * (row + 1) + 1)
    except zlib.error as error:
        raise ImageError(f"{path}: expected PNG data, got {error}; copy it again") from error
    if len(lines) != height * (row + 1):
        raise ImageError(f"{path}: expected {width} x {height} pixels, got {len(lines)} bytes of them; copy it again")
    scan = np.frombuffer(lines, np.uint8).reshape(height, row + 1)
    pixels = np.zeros((height, row), np.uint8)
    above = np.zeros(row, np.uint8)
    for line in range(height):
        if scan[line, 0] > 4:
            raise ImageError(f"{path}: expected filters 0 to 4, got {scan[line, 0]} in line {line}; copy it again")
        above = pixels[line] = _unfilter(int(scan[line, 0]), scan[line, 1:], above, max(1, channels * bits // 8))
    samples = _samples(pixels, bits, width * channels).reshape(height, width, channels)
    if colour == PALETTE:
        return _coloured(path, samples[:, :, 0], palette, clear)
    shades = samples / (2.0**bits - 1.0)
    if len(clear) == 2 * channels and channels in (1, 3):  # one colour is transparent
        seen = (samples != np.frombuffer(clear, ">u2")).any(axis=2)
        return np.concatenate([shades, seen[:, :, None].astype(np.float64)], axis=2)
    return shades


def _samples(lines: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int64]:
    """The first `count` samples of each line, (rows, count); several in a byte begin with its upper bits."""
    if bits == 16:
        return lines.reshape(len(lines), -1, 2).astype(np.int64) @ np.array([256, 1])
    if bits == 8:
        return lines.astype(np.int64)
    apart = np.unpackbits(lines, axis=1).reshape(len(lines), -1, bits).astype(np.int64)
    return (apart @ (1 << np.arange(bits)[::-1]))[:, :count]


def _coloured(path: Path, numbers: NDArray[np.int64], palette: bytes, clear: bytes) -> NDArray[np.float64]:
    """The colours of a palette, RGB, with alpha where the file says so."""
    colours = np.frombuffer(palette[: len(palette) // 3 * 3], np.uint8).reshape(-1, 3) / 255.0
    if numbers.max() >= len(colours):
        raise ImageError(
            f"{path}: expected colours below {len(colours)}, which its palette has, got {numbers.max()}; repair it"
        )
    if clear:
        alpha = np.ones((len(colours), 1))
        alpha[: len(clear), 0] = np.frombuffer(clear[: len(colours)], np.uint8) / 255.0
        colours = np.concatenate([colours, alpha], axis=1)
    return colours[numbers]


def _unfilter(kind: int, line: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """One line of a PNG: what it adds to its neighbour to the left, above, their mean or Paeth's choice, modulo 256."""
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    out = np.zeros(len(line), np.int64)
    if kind == 1:
        for channel in range(step):
            out[channel::step] = np.cumsum(line[channel::step].astype(np.int64))
        return (out & 255).astype(np.uint8)
    values, up = line.astype(int).tolist(), above.astype(int).tolist()
    done = [0] * len(values)
    for k, value in enumerate(values):
        left, corner = (done[k - step], up[k - step]) if k >= step else (0, 0)
        if kind == 3:
            guess = (left + up[k]) // 2
        else:
            a, b, c = abs(up[k] - corner), abs(left - corner), abs(left + up[k] - 2 * corner)
            guess = left if a <= b and a <= c else up[k] if b <= c else corner
        done[k] = (value + guess) & 255
    return np.array(done, np.uint8)


def _check_size(path: Path, width: int, height: int) -> None:
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        raise ImageError(f"{path}: expected 1 to {SIDE_MAX} pixels a side, got {width} x {height}; crop it")
