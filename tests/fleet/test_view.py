"""`muster view`: the page in a real browser, its controls, and what it says to a wrong command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleet import cli
from fleet.live import Live, LiveConfig
from fleet.page import PageError, check_port
from fleet.shown import LIDAR, TONES, Focus, Tone, legend_html, verdict_html
from fleet.view import Config, Player, Verdict, focus_of, run, tone_of
from safety.reason import Reason
from safety.supervisor import Mode
from sim.drawing import robot_colour
from tests.fleet.browser import browse, needs_chromium
from tests.fleet.runs import write_run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


@contextmanager
def playing(folder: Path) -> Iterator[Player]:
    player = Player(folder, port=0)
    try:
        yield player
    finally:
        player.page.stop()


@contextmanager
def ticking(tick: Any) -> Iterator[None]:
    """Ticks from another thread, as the command's loop does, while a browser looks."""
    end = threading.Event()

    def loop() -> None:
        while not end.wait(0.1):
            tick(0.1)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def alike(picture: NDArray[np.uint8], colour: tuple[float, ...], cosine: float = 0.985) -> NDArray[np.bool_]:
    """Pixels of a colour's hue that are not grey, whatever the light."""
    pixels = picture.astype(float)
    wanted = np.array(colour[:3]) / np.linalg.norm(colour[:3])
    grey = pixels.max(axis=-1) - pixels.min(axis=-1) < 60
    return (pixels @ wanted / np.maximum(np.linalg.norm(pixels, axis=-1), 1.0) > cosine) & ~grey


@needs_chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_page_shows_the_floor_the_robots_and_what_one_of_them_saw(recorded: Path, tmp_path: Path) -> None:
    with playing(recorded) as player:
        player.panel.playing = False
        player.panel.time = 6.0

        def scene(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return picture[:, :700]  # beside the panel, whose legend has the same colours

        def drawn(picture: NDArray[np.uint8]) -> bool:
            part = scene(picture)
            floor = (np.ptp(part.astype(int), axis=-1) < 25) & (part.max(axis=-1) < 235)
            coloured = (robot_colour(0), robot_colour(1), LIDAR)
            return floor.sum() > 4000 and all(alike(part, colour).sum() > 5 for colour in coloured)

        url = f"http://127.0.0.1:{player.page.port}"
        with ticking(player.tick), browse(url, tmp_path, (1000, 640)) as tab:
            picture = tab.wait(drawn, 90.0)
            text = tab.text()
            assert drawn(picture)
            player.page.layers(lidar=False)
            hidden = scene(tab.wait(lambda one: alike(scene(one), LIDAR).sum() == 0, 30.0))
            assert alike(hidden, LIDAR).sum() == 0  # they were the lidar's points, and are gone
            assert alike(hidden, robot_colour(0)).sum() > 5
        assert "r0" in text
        assert "margin" in text
        assert "lidar point" in text  # the legend


def test_the_player_shows_each_moment_as_it_was_recorded(recorded: Path) -> None:
    with playing(recorded) as player:
        player.trails.whole(0)
        player.tick(3.0)
        assert player.panel.time == pytest.approx(3.0)
        trail, _ = player.trails.whole(0)
        assert trail is not None
        moment = trail.at(int(player.trace.stamps[0]) + 3_000_000_000)
        assert moment is not None
        focus = focus_of(moment)
        assert focus.tone == tone_of(moment.verdict)
        player.panel.playing = False
        player.tick(5.0)
        assert player.panel.time == pytest.approx(3.0)
        player.panel.playing = True
        player.tick(1000.0)  # past the end: it begins again
        assert player.panel.time == 0.0


def test_a_robot_without_a_black_box_says_so(recorded: Path) -> None:
    with playing(recorded) as player:
        trail, why = player.trails.whole(1)
        assert trail is None
        assert why == "none was written (blackbox:=false)"
        player.panel.robot = 1
        player.tick(0.1)
        assert player.trails.verdict(1, int(player.trace.stamps[0])) is None


@pytest.mark.parametrize(
    ("mode", "reason", "margin", "tone"),
    [
        (Mode.POLICY, Reason.NONE, 0.3, Tone.POLICY),
        (Mode.SHIELDED, Reason.PERSON, 0.1, Tone.SHIELDED),
        (Mode.POLICY, Reason.LIMITS, 0.1, Tone.SHIELDED),
        (Mode.FALLBACK, Reason.NONE, 0.2, Tone.FALLBACK),
        (Mode.FALLBACK, Reason.CORRIDOR, 0.2, Tone.FALLBACK),
        (Mode.MANUAL, Reason.NONE, 0.2, Tone.MANUAL),
        (Mode.MANUAL, Reason.PERSON, 0.2, Tone.MANUAL),
        (Mode.SHIELDED, Reason.PERSON, -1.0, Tone.STOPPED),
        (Mode.STOPPED, Reason.NONE, 0.5, Tone.STOPPED),
        (Mode.LATCHED, Reason.NONE, 0.5, Tone.STOPPED),
    ],
)
def test_how_a_robot_drives_has_one_colour(mode: Mode, reason: Reason, margin: float, tone: Tone) -> None:
    assert tone_of(Verdict(mode, reason, margin)) is tone
    assert tone_of(None) is Tone.UNKNOWN


def test_words_on_the_page_are_no_markup() -> None:
    words = verdict_html("<b>r0</b>", Focus(rows=[("a<", "b&")]))
    assert "<b>r0</b>" not in words.replace("<b>&lt;b&gt;", "")
    assert "a&lt;" in words
    assert "b&amp;" in words
    for text, _ in TONES.values():
        assert text in legend_html()


def test_a_port_in_use_is_one_line(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert cli.main(["view", str(recorded), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"--port: expected a free port, got {port} (Address already in use); choose another, or 0 for any" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "view: expected either a run or --site, got neither"),
        (["run", "--site", "generate:3"], "view: expected either a run or --site, got both"),
        (["nowhere"], "cannot read nowhere: "),
        (["run", "--speed", "0"], "--speed: expected a factor above 0, got 0"),
        (["--site", "nowhere.map"], "nowhere.map"),
        (["--site", "generate:3", "--robots", "0"], "--robots: expected 1 to 64, got 0; choose another number"),
        (["--site", "generate:3", "--policy", "nowhere"], "nowhere"),
        (["run", "--port", "70000"], "--port: expected a port from 1 to 65535"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    refused: Callable[..., str], recorded: Path, words: list[str], expected: str
) -> None:
    assert expected in refused("view", *(str(recorded) if word == "run" else word for word in words))


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "viser" or name == "fleet.view"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("fleet.page", "fleet.panel", "fleet.meshes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "viser", None)
    assert cli.main(["view", "runs/none"]) == 2
    said = capsys.readouterr().err
    assert said == "muster: muster view needs viser, which is not installed; pip install 'muster[sim,view]'\n"


def test_an_interrupt_ends_it_cleanly_and_frees_the_port(recorded: Path) -> None:
    command = [sys.executable, "-m", "fleet.cli", "view", str(recorded), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), line
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60.0)
    assert process.returncode == 0
    assert errors == ""
    check_port(int(line.split()[0].rpartition(":")[2]))


def test_ports_are_numbers_of_ports() -> None:
    check_port(0)
    with pytest.raises(PageError, match="expected a port from 1 to 65535, or 0 for any free one, got -1"):
        check_port(-1)


@pytest.mark.parametrize("shield", [True, False])
def test_a_live_environment_is_driven_and_shown(shield: bool) -> None:
    live = Live(LiveConfig(site="generate:3:20x14", robots=3, people=2, shield=shield, port=0))
    try:
        before = live.environment.state.pose.numpy().copy()
        for _ in range(30):
            live.tick(0.1)
        assert (live.environment.state.pose.numpy() != before).any()
        focus = live.focus(1)
        assert len(focus.points) > 50
        assert len(focus.corridor) > 0
        words = dict(focus.rows)
        assert words["driven by"] == "random actions"
        if shield:
            reasons = {int(code) for code in live.environment.reason.numpy()}
            assert len(focus.plan) >= 2
            assert reasons <= {int(reason) for reason in Reason}
        else:
            assert words["shield"] == "off"
            assert focus.tone is Tone.UNKNOWN
    finally:
        live.page.stop()


def test_a_run_without_a_record_is_named(tmp_path: Path) -> None:
    from sim.files import FileError

    with pytest.raises(FileError, match=r"cannot read .*plant\.npz"):
        run(Config(tmp_path))
