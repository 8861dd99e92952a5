import base64
import io
import re

import numpy as np
import pytest

from fleet.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    Span,
    bar_chart,
    heat_colours,
    line_chart,
    number,
    png,
    range_chart,
    share_chart,
    ticks,
)


def test_a_picture_survives_the_png() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    data = base64.b64decode(png(pixels).removeprefix("data:image/png;base64,"))
    assert (np.asarray(Image.open(io.BytesIO(data))) == pixels).all()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 60.0, [0, 10, 20, 30, 40, 50, 60]),
        (3.0, 4.1, [3, 3.2, 3.4, 3.6, 3.8, 4.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_numbers_are_short() -> None:
    assert [number(value) for value in (12345.6, 3.0, 0.123456, 999.9)] == ["12,346", "3", "0.123", "1e+03"]


def test_names_are_escaped_and_nothing_gives_no_chart() -> None:
    assert "&lt;x&gt;" in bar_chart([("<x>", 1.0)])
    assert bar_chart([]) == line_chart([], "x", "y") == range_chart([], "ms") == share_chart([]) == ""


def test_a_line_spans_the_chart() -> None:
    chart = line_chart([Line("a", [0.0, 10.0], [0.0, 1.0])], "x", "y", (0.0, 1.0))
    assert "M56.0 220.0L624.0 26.0" in chart


def test_heat_goes_from_pale_to_dark() -> None:
    brightness = heat_colours(np.linspace(0.0, 1.0, 11)).sum(axis=-1)
    assert (np.diff(brightness.astype(int)) < 0).all()


def test_spans_are_marked_behind_the_curves_at_their_place() -> None:
    chart = line_chart([Line("y", [0.0, 10.0], [0.0, 1.0])], "x", "y", (0.0, 1.0), [Span("here", 2.5, 5.0, "#abc")])
    found = re.search(r'<rect x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)" height="([0-9.]+)" fill="#abc"', chart)
    assert found is not None
    whole = WIDTH - LEFT - RIGHT
    assert float(found[1]) == pytest.approx(LEFT + 0.25 * whole, abs=0.1)
    assert float(found[2]) == pytest.approx(0.25 * whole, abs=0.1)
    assert float(found[3]) == pytest.approx(HEIGHT - TOP - BOTTOM, abs=0.1)
    assert chart.index("<rect") < chart.index("<path")
    assert "<title>here</title>" in chart
