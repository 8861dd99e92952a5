"""The controls of the page of `muster view`: time and speed, which robot, what of it is shown, its words, its margins.

A browser's events arrive in viser's threads; they only set fields here, which the loop that draws reads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser
from numpy.typing import NDArray
from viser import uplot

from fleet.page import Page
from fleet.shown import Focus, legend_html, verdict_html

MARGIN_MAX = 0.6
"""m at the chart's top: a little above what the shield looks for (safety.judge)."""

BACK = 20.0
"""s of margins in the chart."""

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class Panel:
    """Owns the controls of a page and what they say."""

    def __init__(self, page: Page, *, seconds: float | None, speed: float = 1.0) -> None:
        """`seconds` is how long the run is; None for one that has no end and cannot be wound back."""
        self._page, self._seconds = page, seconds
        self.time = 0.0
        """Moment that is shown, s."""
        self.playing, self.speed, self.robot = True, speed, 0
        self._follow = self._home = False
        gui = page.server.gui
        self._play = gui.add_button("Pause")
        self._play.on_click(lambda _: self._toggle())
        self._slider = None
        if seconds is not None:
            end = max(round(seconds, 1), 0.1)
            self._slider = gui.add_slider("time (s)", min=0.0, max=end, step=0.1, initial_value=0.0)
            self._slider.on_update(self._wind)
        speeds = sorted({*SPEEDS, speed})
        pace = gui.add_dropdown("speed", [f"{one:g} x" for one in speeds], initial_value=f"{speed:g} x")
        pace.on_update(lambda _: self._set(speed=speeds[[f"{one:g} x" for one in speeds].index(pace.value)]))
        self._choice = gui.add_dropdown("robot", list(page.names), initial_value=page.names[0])
        self._choice.on_update(lambda _: self._set(robot=page.names.index(self._choice.value)))
        follow = gui.add_checkbox("follow it", False)
        follow.on_update(lambda _: self._set(_follow=follow.value, _home=not follow.value))
        self._words = gui.add_html("")
        axis = {"stroke": "#667", "size": 42}
        self._chart = gui.add_uplot(
            data=(np.array([-BACK, 0.0]), np.array([0.0, 0.0])),
            series=(
                uplot.Series(label="s"),
                uplot.Series(label="margin (m)", stroke="#2262ad", width=2, fill="rgba(34,98,173,0.15)"),
            ),
            scales={
                "x": uplot.Scale(time=False, auto=False, range=(-BACK, 0.0)),
                "y": uplot.Scale(auto=False, range=(0.0, MARGIN_MAX)),
            },
            axes=(uplot.Axis(**axis), uplot.Axis(**axis)),
            legend=uplot.Legend(show=False),
            title=f"margin of the shield (m), last {BACK:g} s",
            height=120,
        )
        with gui.add_folder("What is shown", expand_by_default=False):
            for label, name in (("lidar", "lidar"), ("granted ground, way, goal", "ground"), ("stopping plan", "plan")):
                box = gui.add_checkbox(label, True)
                box.on_update(lambda _, box=box, name=name: page.layers(**{name: box.value}))
        with gui.add_folder("Legend"):
            gui.add_html(legend_html())

    def advance(self, passed: float) -> None:
        """Let `passed` seconds of wall time go by; a run that has ended begins again."""
        if not self.playing:
            return
        self.time += passed * self.speed
        if self._seconds is not None and self.time > self._seconds:
            self.time = 0.0
        if self._slider is not None:
            self._slider.value = round(min(self.time, self._slider.max), 1)

    def place_camera(self, pose: Callable[[], NDArray[np.floating]]) -> None:
        """Follow the chosen robot at `pose()`, or go home once when that ends."""
        if self._follow:
            self._page.follow(pose())
        elif self._home:
            self._home = False
            self._page.look_home()

    def tell(self, name: str, focus: Focus) -> None:
        """The words of the chosen robot."""
        words = verdict_html(name, focus)
        if self._words.content != words:
            self._words.content = words

    def chart(self, seconds: NDArray[np.floating], margins: NDArray[np.floating]) -> None:
        """Margins, m, at seconds before now; (n,) each."""
        if len(seconds) > 1:
            self._chart.data = (np.asarray(seconds, np.float64), np.asarray(margins, np.float64))

    def _toggle(self) -> None:
        self.playing = not self.playing
        self._play.label = "Pause" if self.playing else "Play"

    def _wind(self, event: viser.GuiEvent) -> None:
        if event.client is not None and self._slider is not None:  # not our own move
            self.time = float(self._slider.value)

    def _set(self, **values: float | int | bool) -> None:
        for name, value in values.items():
            setattr(self, name, value)
