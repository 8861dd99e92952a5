from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.files import FileError
from sim.floor import graph_to_site, site_to_graph
from sim.image import ImageError, read_image
from sim.navmap import read_navmap
from sim.readers import load_site
from sim.site import SiteError

DATA = Path(__file__).parent / "data" / "navmaps"

YAML = """\
image: floor.pgm
resolution: 0.5
origin: [-3.0, 2.0, 0.0]
negate: 0
occupied_thresh: 0.65
free_thresh: 0.25
"""
# 4 x 3 pixels of 0.5 m; 254 is free, 150 is unknown, 0 is occupied
PIXELS = [[254, 254, 0, 254], [254, 254, 254, 254], [254, 150, 254, 254]]


def pgm(pixels: list[list[int]], largest: int = 255) -> bytes:
    return f"P2\n# by hand\n{len(pixels[0])} {len(pixels)}\n{largest}\n".encode() + b"\n".join(
        " ".join(map(str, row)).encode() for row in pixels
    )


def png(pixels: np.ndarray, colour: int, filters: list[int], bits: int = 8, interlaced: int = 0) -> bytes:
    """A PNG of (rows, columns, channels) bytes, each row by its own filter: from the standard, not from our reader."""
    rows, columns, channels = pixels.shape
    lines = b""
    flat = pixels.reshape(rows, -1).astype(int)
    for row in range(rows):
        kind = filters[row % len(filters)]
        out = []
        for k, value in enumerate(flat[row]):
            left = flat[row, k - channels] if k >= channels else 0
            up = flat[row - 1, k] if row else 0
            corner = flat[row - 1, k - channels] if row and k >= channels else 0
            paeth = min((left, up, corner), key=lambda guess: abs(left + up - corner - guess))
            out.append((value - [0, left, up, (left + up) // 2, paeth][kind]) % 256)
        lines += bytes([kind, *out])

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, interlaced)
    data = zlib.compress(lines)
    middle = len(data) // 2
    parts = (part(b"IHDR", header), part(b"tEXt", b"a\0b"), part(b"IDAT", data[:middle]), part(b"IDAT", data[middle:]))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + part(b"IEND", b"")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(yaml: str = YAML, image: bytes | None = None, name: str = "floor.pgm") -> Path:
        (tmp_path / "map.yaml").write_text(yaml)
        (tmp_path / name).write_bytes(pgm(PIXELS) if image is None else image)
        return tmp_path / "map.yaml"

    return write


def drawn(path: Path, cell: float) -> list[str]:
    return ["".join(".#"[blocked] for blocked in row) for row in load_site(path, cell).blocked.astype(int)]


def test_a_cell_is_free_only_if_all_its_pixels_are(write: Callable[..., Path]) -> None:
    path = write()
    assert drawn(path, 0.5) == ["..#.", "....", ".#.."]
    # two pixels a side, from the lower left corner: the upper row of cells reaches beyond the image
    assert drawn(path, 1.0) == ["##", "#."]
    # 0.75 m are one pixel and a half, so that a cell touches two a side; the third column reaches beyond the image
    assert drawn(path, 0.75) == [".##", "###"]


def test_the_origin_is_the_pose_of_the_floor_in_the_map(write: Callable[..., Path]) -> None:
    site = load_site(write(YAML.replace("2.0, 0.0]", "2.0, 7.0]")), 0.5)
    assert site.fixtures.frame == (-3.0, 2.0, pytest.approx(7.0 - 2.0 * math.pi))
    assert site.name == "map"
    plain = load_site(write(), 0.5)
    assert plain.hash != site.hash
    assert graph_to_site(site_to_graph(site)).hash == site.hash


@pytest.mark.parametrize(
    ("shade", "negate", "mode", "free"),
    [
        # occupancy 1 - shade / 255 below 0.25: from shade 192 on (192 is 0.247, 191 is 0.251)
        (192, 0, "trinary", True),
        (191, 0, "trinary", False),
        (63, 1, "trinary", True),  # negated: 63 / 255 = 0.247
        (64, 1, "trinary", False),
        (205, 0, "trinary", True),  # 0.196: map_server's pitfall
        (192, 0, "scale", True),
        (191, 0, "scale", False),
        (24, 0, "raw", True),  # the value itself, of 100
        (25, 0, "raw", False),
        (24, 1, "raw", True),
        (254, 0, "raw", False),  # above 100: unknown
    ],
)
def test_thresholds_are_those_of_map_server(
    shade: int, negate: int, mode: str, free: bool, write: Callable[..., Path]
) -> None:
    # a second pixel that is free in any reading, so that the floor has a cell
    white = 0 if negate or mode == "raw" else 255
    path = write(YAML.replace("negate: 0", f"negate: {negate}") + f"mode: {mode}\n", pgm([[shade, white]]))
    assert drawn(path, 0.5) == ["." + "." if free else "#."]


def test_the_grey_of_older_map_savers_is_unknown_at_their_threshold(write: Callable[..., Path]) -> None:
    assert drawn(write(YAML.replace("free_thresh: 0.25", "free_thresh: 0.196"), pgm([[205, 254]])), 0.5) == ["#."]


def test_alpha_counts_in_trinary_and_makes_a_pixel_unknown_in_scale(write: Callable[..., Path]) -> None:
    yaml = YAML.replace("floor.pgm", "floor.png")
    # white and opaque; white and half transparent: mean of channels (3 * 255 + 128) / 4 / 255 = 0.875
    picture = np.array([[[255, 255], [255, 128], [255, 0]]])
    path = write(yaml, png(picture, 4, [0]), "floor.png")
    assert drawn(path, 0.5) == ["..#"]  # 0.75 is occupancy 0.25, not below it
    assert drawn(write(yaml + "mode: scale\n", png(picture, 4, [0]), "floor.png"), 0.5) == [".##"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_png_of_the_kinds_that_are_read_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    colour, channels = data.draw(st.sampled_from([(0, 1), (2, 3), (4, 2), (6, 4)]))
    rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    seed = data.draw(st.integers(0, 2**32 - 1))
    filters = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, channels))
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(png(pixels, colour, filters))
    np.testing.assert_array_equal(np.round(read_image(path) * 255), pixels)


def test_plain_and_raw_pgm_of_8_and_16_bits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    for data in (
        b"P5 2 1 255\n\x00\xff",
        b"P5 # c\n2\n# d\n1 255 \x00\xff",
        b"P2 2 1 7 0 #x\n7",
        b"P5 2 1 1000\n\0\0\x03\xe8",
    ):
        path.write_bytes(data)
        assert read_image(path)[:, :, 0].tolist() == [[0.0, 1.0]], data


def test_bytes_behind_a_raw_map_are_no_fault(tmp_path: Path) -> None:
    """16-bit samples, and the line end that editors and some savers put behind them."""
    path = tmp_path / "floor.pgm"
    path.write_bytes(b"P5 2 1 65535\n\x00\x00\xff\xff\n")
    np.testing.assert_array_equal(read_image(path)[:, :, 0], [[0.0, 1.0]])


@pytest.mark.parametrize("data", [b"P1 # a door\n3 2\n1 0 1\n010\n", b"P4\n3 2\n\xa0\x40", b"P4 3 2 \xbf\x5f\n"])
def test_black_and_white_maps_are_read(data: bytes, tmp_path: Path) -> None:
    """1 is black, unlike everywhere else; bits behind a row's end mean nothing."""
    path = tmp_path / "floor.pbm"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path)[:, :, 0], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])


def chunks(header: tuple[int, int, int, int], lines: bytes, **others: bytes) -> bytes:
    """A PNG of (columns, rows, bits, colour type) from its filtered lines, with more chunks before them."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    parts = [part(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))]
    parts += [part(kind.encode(), content) for kind, content in others.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, part(b"IDAT", zlib.compress(lines)), part(b"IEND", b"")])


COLOURS = bytes([0, 0, 0, 255, 255, 255, 51, 102, 204])


@pytest.mark.parametrize(
    ("image", "shades"),
    [
        # 9 pixels of one bit in two bytes, the second line by the filter `up`
        (chunks((9, 2, 1, 0), b"\0\xaa\x80" + b"\2\0\x80"), [[1, 0, 1, 0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0, 1, 0, 0]]),
        (chunks((3, 1, 2, 0), b"\0\x1b"), [[0, 1 / 3, 2 / 3]]),
        (chunks((3, 1, 4, 0), b"\0\x0f\x30"), [[0, 1, 0.2]]),
        (chunks((2, 1, 16, 0), b"\1\x00\x33\x33\x00"), [[0x0033 / 65535, 0x3333 / 65535]]),
        (chunks((3, 1, 8, 3), b"\0\0\1\2", PLTE=COLOURS), [[0, 1, 119 / 255]]),
        (chunks((3, 1, 2, 3), b"\0\x18", PLTE=COLOURS), [[0, 1, 119 / 255]]),
    ],
)
def test_pngs_of_all_depths_and_palettes_are_read(image: bytes, shades: list[list[float]], tmp_path: Path) -> None:
    path = tmp_path / "floor.png"
    path.write_bytes(image)
    np.testing.assert_allclose(read_image(path).mean(axis=2), shades, atol=1e-12)


def test_a_transparent_colour_is_alpha(tmp_path: Path) -> None:
    path = tmp_path / "floor.png"
    path.write_bytes(chunks((3, 1, 8, 3), b"\0\0\1\2", PLTE=COLOURS, tRNS=b"\xff\x00"))
    np.testing.assert_array_equal(read_image(path)[0, :, 3], [1.0, 0.0, 1.0])
    path.write_bytes(chunks((2, 1, 8, 0), b"\0\x05\x06", tRNS=b"\x00\x06"))
    np.testing.assert_array_equal(read_image(path)[0, :, 1], [1.0, 0.0])


@pytest.mark.parametrize(
    ("word", "negated"), [("True", True), ("false", False), ("NO", False), ("y", True), ("1", True)]
)
def test_negate_is_written_as_ros_users_write_it(word: str, negated: bool, write: Callable[..., Path]) -> None:
    path = write(YAML.replace("negate: 0", f"negate: {word}"), pgm([[0, 255]]))
    path = path.rename(path.with_suffix(".yml"))
    assert load_site(path, 0.5).blocked.tolist() == [[not negated, negated]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image: floor.pgm\n", "", r'map\.yaml, line 1: expected "muster: 1" as the first key'),
        ("image: floor.pgm", "image: nowhere.pgm", r"cannot read .*nowhere\.pgm: No such file"),
        ("image: floor.pgm", "image: ''", r"map\.yaml, line 1: image: expected text"),
        ("resolution: 0.5", "resolution: 0.0", r"line 2: resolution in m: expected a number from 0.0001 to 10"),
        ("resolution: 0.5", "resolution: 0.6", r"line 2: expected cells of at least one pixel \(0.6 m\), got 0.5 m"),
        ("resolution: 0.5\n", "", r'line 1: file: the key "resolution" is missing'),
        ("resolution:", "resoluton:", r'line 2: file: unknown key "resoluton"; did you mean "resolution"\?'),
        ("[-3.0, 2.0, 0.0]", "[-3.0, 2.0]", r"line 3: origin \(x, y, yaw\): expected 3 numbers, got 2"),
        ("[-3.0, 2.0, 0.0]", "[-3.0, .inf, 0.0]", r'line 3: origin .* expected a number, got ".inf"'),
        ("negate: 0", "negate: 2", r"line 4: negate: expected 0, 1, false, False, FALSE, true, .* got"),
        ("free_thresh: 0.25", "free_thresh: 0.7", r"line 6: expected free_thresh below occupied_thresh 0.65, got 0.7"),
        ("free_thresh: 0.25", "free_thresh: 1.7", r"line 6: free_thresh: expected a number from 0 to 1"),
        ("free_thresh: 0.25", "free_thresh: 0.0", r"a cell of 0.5 m whose pixels are all free, got none in 4 x 3"),
        ("negate: 0\n", "negate: 0\nmode: trinry\n", r'mode: .* got "trinry"; did you mean "trinary"\?'),
    ],
)  # fmt: skip
def test_a_broken_map_file_is_refused_in_one_line(old: str, new: str, message: str, write: Callable[..., Path]) -> None:
    with pytest.raises((SiteError, FileError), match=message) as caught:
        load_site(write(YAML.replace(old, new)), 0.5)
    assert "\n" not in str(caught.value)


GOOD = png(np.full((2, 2, 1), 200), 0, [0])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", r"expected a PGM \(P2, P5\), PBM \(P1, P4\) or PNG image, got b''"),
        (b"GIF89a..", r"PNG image, got b'GIF89a\.\.'; convert it"),
        (b"P5 2 x 255\n\0\0", r"expected width, height and largest value after P5"),
        (b"P5 0 2 255\n", r"expected 1 to 16384 pixels a side, got 0 x 2"),
        (b"P5 99999 2 255\n", r"got 99999 x 2; crop it"),
        (b"P5 2 2 255\n\0\0\0", r"expected 2 x 2 pixels, got 3; the file was cut"),
        (b"P5 2 2 0\n\0\0\0\0", r"expected a largest value from 1 to 65535, got 0"),
        (b"P2 2 1 255\n1 2 3", r"expected 2 x 1 = 2 whole numbers, got 3 words"),
        (b"P2 2 1 255\n1 -2", r"whole numbers, got 2 words"),
        (b"P2 2 1 7\n1 8", r"expected values up to 7, got 8"),
        (GOOD[:-20], r"ends with IEND|part at byte \d+ is damaged"),
        (GOOD.replace(b"IHDR", b"IHDX"), r"part at byte 8 is damaged"),
        (png(np.zeros((1, 1, 1)), 3, [0]), r"expected colours below 0, which its palette has, got 0; repair it"),
        (png(np.zeros((1, 1, 1)), 3, [0], bits=16), r"got 16 bits, colour type 3; save it as 8-bit grey, or as PGM"),
        (png(np.zeros((1, 1, 1)), 1, [0]), r"got 8 bits, colour type 1"),
        (b"P1 2 2\n1 0 1\n", r"expected 2 x 2 digits 0 and 1, got 3 signs"),
        (b"P1 2 1\n1 2\n", r"expected 2 x 1 digits 0 and 1, got 2 signs"),
        (b"P4 9 2\n\0\0\0", r"expected 4 bytes of pixels, got 3; the file was cut"),
        (b"P4 9\n", r"expected width and height after P4"),
        (png(np.zeros((1, 1, 1)), 0, [0], interlaced=1), r"colour type 0, interlaced"),
        (png(np.zeros((2, 2, 2)), 0, [0]), r"expected 2 x 2 pixels, got 7 bytes"),
    ],
)  # fmt: skip
def test_a_broken_image_is_refused_in_one_line(image: bytes, message: str, write: Callable[..., Path]) -> None:
    path = write(image=image)
    with pytest.raises(ImageError, match=message):
        read_image(path.parent / "floor.pgm")
    with pytest.raises(SiteError, match=rf"floor\.pgm: .*({message})") as caught:
        load_site(path, 0.5)
    assert "\n" not in str(caught.value)


def test_maps_in_files_made_by_hand() -> None:
    site = read_navmap(DATA / "hall.yaml", 1.0)
    assert ["".join(".#"[b] for b in row) for row in site.blocked.astype(int)] == ["####", "#..#", "#.##", "####"]
    assert site.fixtures.frame == (-2.0, -2.0, 0.0)
    for name in ("cut", "misspelled"):
        with pytest.raises(SiteError, match=name):
            load_site(DATA / f"{name}.yaml", 1.0)


PICTURE = np.arange(60).reshape(5, 6, 2) * 4 % 256
IMAGES = (pgm(PIXELS), b"P5 4 3 255\n" + bytes(range(12)), png(PICTURE, 4, [0, 1, 2, 3, 4]))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(IMAGES),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 6), st.binary(max_size=4)), min_size=1, max_size=3),
)
def test_a_damaged_image_is_a_floor_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, image: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for at, gone, put in changes:
        image = image[:at] + put + image[at + gone :]
    (folder / "damaged.pgm").write_bytes(image)
    (folder / "damaged.yaml").write_text(YAML.replace("floor.pgm", "damaged.pgm"))
    said = "damaged"
    try:
        load_site(folder / "damaged.yaml", 0.5)
    except SiteError as error:
        said = str(error)
    assert "damaged" in said
    assert "\n" not in said
