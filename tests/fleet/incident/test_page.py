"""An incident's page: it says what was decided, plays it in a browser, and refuses what cannot be shown."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleet.cli import main
from fleet.incident.film import BAR, HEIGHT, WIDTH, pictures
from fleet.incident.moment import frames, read_moment
from fleet.incident.page import render
from fleet.incident.walk import read_log
from fleet.incident.whatif import other_speed, tally
from safety.reason import Reason
from tests.fleet.browser import browse, needs_chromium
from tests.fleet.incident.conftest import Run, write_box


def page_of(run: Run, folder: Path, *options: str) -> str:
    output = folder / "page.html"
    film = () if "--film" in options else ("--no-film",)
    assert main(["incident", str(run.root), "--at", "6.5", "--output", str(output), *film, *options]) == 0
    return output.read_text()


def test_the_page_tells_the_steps_around_the_moment(incident_run: Run, tmp_path: Path) -> None:
    text = page_of(incident_run, tmp_path, "--before", "2", "--after", "1")
    data = json.loads(re.findall(r'id="moment">(.*?)</script>', text)[0])
    cycles = [step["cycle"] for step in data["steps"]]
    assert cycles == list(range(cycles[0], cycles[0] + 31))
    here = data["steps"][data["at"]]
    recorded = incident_run.steps[here["cycle"]]
    assert here["t"] == pytest.approx(6.5, abs=0.05)
    assert here["released"] == pytest.approx(recorded.outputs.released, abs=0.001)
    assert here["mode"] == recorded.outputs.mode.name.lower() == "stopped"
    assert here["cause"] == "scan stale"
    assert "31 / 31" in text
    assert incident_run.policy.hash in text
    assert "the world does not answer" in text
    assert "http" not in text.replace("http://www.w3.org", "")  # it loads nothing


def test_a_rejected_proposal_stands_beside_what_was_released_instead(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    refused = next(step for step in incident_run.steps if step.outputs.reason is not Reason.NONE)
    moment = read_moment(log, refused.stamp, log.span[0], 1.0, 0.5)
    text = render(moment, [tally("faster people", other_speed(log, 3.0))])
    v, w = refused.outputs.proposed
    assert f"<td>{v:+.2f},&nbsp;{w:+.2f}</td><td>{refused.outputs.released[0]:+.2f}" in text
    assert "faster people" in text


def test_names_of_a_log_are_text_on_the_page_and_never_a_script(incident_run: Run, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    steps = [
        msgspec.structs.replace(step, outputs=msgspec.structs.replace(step.outputs, source=evil))
        for step in incident_run.steps[:20]
    ]
    log = read_log(write_box(tmp_path, incident_run.policy, steps))
    moment = read_moment(log, steps[10].stamp, log.span[0], 1.0, 1.0)
    assert moment.strange > 0
    assert "<script>alert" not in render(moment, [])
    assert all(isinstance(step["source"], str) for step in frames(moment)["steps"])


@needs_chromium
def test_a_browser_shows_the_moment_and_steps_through_it(incident_run: Run, tmp_path: Path) -> None:
    page_of(incident_run, tmp_path)
    with browse((tmp_path / "page.html").as_uri(), tmp_path / "profile") as tab:
        tab.wait(lambda picture: bool((picture.std(axis=(0, 1)) > 10).any()))
        said = "document.getElementById('words').innerText"
        before = tab.ask("Runtime.evaluate", expression=said)["result"]["value"]
        tab.ask("Runtime.evaluate", expression="document.onkeydown({key: 'ArrowRight'})")
        after = tab.ask("Runtime.evaluate", expression=said)["result"]["value"]
    assert "scan stale" in before
    assert "6.5 s" in before
    assert "6.6 s" in after


@needs_chromium
def test_the_film_stands_in_the_page_plays_there_and_says_what_it_lacks(incident_run: Run, tmp_path: Path) -> None:
    text = page_of(incident_run, tmp_path, "--film", "--before", "1", "--after", "0.5")
    assert "no plant&#x27;s record: only what the robot knew is shown" in text
    assert re.findall(r'src="([^,]*),', text) == ["data:video/mp4;base64"]  # it loads nothing
    size = "(() => { const v = document.querySelector('video'); return [v.videoWidth, v.videoHeight, v.duration]; })()"
    with browse((tmp_path / "page.html").as_uri(), tmp_path / "profile") as tab:

        def shown() -> list[float]:
            return tab.ask("Runtime.evaluate", expression=size, returnByValue=True)["result"].get("value") or [0]

        tab.wait(lambda _: shown()[0] > 0)
        answer = shown()
    assert answer == [WIDTH, HEIGHT + BAR, pytest.approx(1.6, abs=0.11)]


def test_every_frame_of_the_film_shows_its_own_step(incident_run: Run) -> None:
    log = read_log(incident_run.box)
    data = frames(read_moment(log, log.span[0] + 6_500_000_000, log.span[0], 1.0, 0.5))
    found = list(pictures(data, []))
    assert len(found) == len(data["steps"]) == 16
    assert all(frame.shape == (HEIGHT + BAR, WIDTH, 3) for frame in found)
    assert all((one != two).any() for one, two in itertools.pairwise(found))
    reds = [int((np.abs(frame[BAR:].astype(int) - (192, 57, 43)).sum(axis=-1) < 60).sum()) for frame in found]
    assert min(reds) > 100  # what the lidar met
    behind = [np.full((HEIGHT, WIDTH // 2, 3), number, np.uint8) for number in range(16)]
    both = list(pictures(data, behind))
    assert [int(frame[-1, -1, 0]) for frame in both] == list(range(16))


def test_without_what_a_film_needs_the_page_says_so(
    incident_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fleet.incident.film.find_spec", lambda name: None)
    text = page_of(incident_run, tmp_path, "--film")
    assert "<video" not in text
    assert "no film: imageio_ffmpeg and PIL not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "expected --at"),
        (("--at", "99"), "within the recording"),
        (("--at", "3", "--before", "900"), "expected 0 to 120 s"),
        (("--at", "3", "--robot", "r9"), "there are those of r0"),
        (("--at", "3", "--speed-assumption", "8"), "expected 0 to 3 m/s"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    incident_run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert main(["incident", str(incident_run.root), *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
