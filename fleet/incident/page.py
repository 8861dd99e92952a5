"""`muster incident RUN --at T`: what happened to a robot around a moment, on one page that loads nothing.

A film (fleet/incident/film.py), and the steps around the moment, decided again, from above, to be walked through: what
the lidar met, the granted ground, the stopping plan, and where everybody truly was if the run says so. On one time
axis margin, speeds, mode, cause, the shield's reasons and who proposed; then each proposal that was rejected and what
was tried instead, what another assumption or policy would have changed, and the hashes of all that decided.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from fleet.box.grounds import counted
from fleet.box.keep import read_event
from fleet.box.window import is_event
from fleet.evidence import outcome
from fleet.incident import policies, whatif
from fleet.incident.moment import Moment, frames, read_moment
from fleet.incident.player import SCRIPT
from fleet.incident.restore import record_of
from fleet.incident.timeline import timeline
from fleet.incident.walk import Log, Walked, log_at, of_one_robot
from fleet.incident.whatif import QuestionError, Tally
from fleet.sheet import card, cards, sheet, table
from fleet.words import REASONS
from safety.reason import Reason
from safety.supervisor import Cause, Mode
from sim.files import write_atomic
from sim.robot import SECOND

LONGEST = 120.0
"""s of one page at most: a megabyte for each ten seconds of a lidar with 360 rays."""
ROWS = 16
"""Lines of a table at most; it says how many more there are."""
FASTER = 2.0
"""m/s: the assumption that a page asks about by itself, a quarter above ISO 13855's 1.6."""


@dataclass(frozen=True)
class Config:
    """Make a page of what happened to a robot around a moment."""

    path: Positional[Path]
    """A black box (.mcap), a run directory, or an event (blackbox/events/*.json)"""
    at: float | None = None
    """The second of the robot's recording; that of an event's first trigger if not given"""
    robot: str = ""
    """Which robot of a run"""
    before: float = 10.0
    """s before the moment"""
    after: float = 5.0
    """s after it"""
    policy: Path | None = None
    """Directory or version of a policy that is asked too what it would have done"""
    speed_assumption: float = FASTER
    """Another speed that people are assumed to walk at, m/s"""
    registry: Path = Path("registry")
    """Where a policy named by its version is looked for besides the run"""
    film: bool = True
    """Put a film of it on the page"""
    output: Path | None = None
    """The page; incident-ROBOT-SECOND.html in the run directory if not given"""


def run(config: Config) -> int:
    """Write the page and print where it is; returns 0. Raises MusterError for what the user can mend."""
    for name, value in (("--before", config.before), ("--after", config.after)):
        if not 0.0 <= value <= LONGEST:
            raise QuestionError(f"{name}: expected 0 to {LONGEST:g} s, got {value:g}; a page shows a moment")
    logs, stamp, zero = _asked(config)
    log = log_at(logs, stamp, zero)
    folder = policies.run_of(log.path)
    moment = read_moment(log, stamp, zero, config.before, config.after, record_of(folder))
    tallies = list(_tallies(config, moment, folder))
    seconds = (stamp - zero) / SECOND
    output = config.output or folder / f"incident-{log.robot}-{seconds:.1f}s.html"
    shot, note = b"", ""
    if config.film:
        from fleet.incident.film import film

        shot, note = film(moment, frames(moment), folder)
        print(note, end="\n" if note else "", flush=True)
    write_atomic(output, render(moment, tallies, shot, note))
    print(output)
    return 0


def render(moment: Moment, tallies: list[Tally], film: bytes = b"", lacks: str = "") -> str:
    """The page; `film` is an mp4 that stands in it, `lacks` what it does not show."""
    log, step = moment.log, moment.steps[moment.at]
    title = f"{log.robot} at {moment.seconds(step):.1f} s"
    begin, end = moment.seconds(moment.steps[0]), moment.seconds(moment.steps[-1])
    subtitle = f"{log.path.name} · {begin:.1f} to {end:.1f} s · {len(moment.steps)} control steps, decided again"
    data = json.dumps(frames(moment), separators=(",", ":")).replace("</", "<\\/")
    found = [
        _film(film, lacks),
        _video(moment),
        _axis(moment),
        _refused(moment),
        _decisions(moment),
        _whatifs(tallies, moment),
        _hashes(log),
    ]
    script = f'<script type="application/json" id="moment">{data}</script><script>{SCRIPT}</script>'
    return sheet(f"muster incident: {title}", title, subtitle, _tiles(moment) + cards(found) + script)


def _asked(config: Config) -> tuple[list[Log], int, int]:
    """The robot's files, the moment's stamp, and the stamp from which seconds count."""
    path, robot, stamp = config.path, config.robot, None
    if is_event(path):
        event = read_event(path)
        path, robot = path.parent.parent, event.robot
        stamp = event.triggers[0].stamp if event.triggers else event.begin
    logs = of_one_robot(path, robot)
    zero = logs[0].span[0]
    if config.at is not None:
        stamp = zero + round(config.at * SECOND)
    if stamp is None:
        raise QuestionError(f"expected --at, the second of the recording to look at, for {config.path}; give it")
    return logs, stamp, zero


def _tallies(config: Config, moment: Moment, folder: Path) -> Iterator[Tally]:
    """What another assumption, and another policy if one is named, would have changed."""
    log = moment.log
    begin, end = moment.steps[0].inputs.stamp, moment.steps[-1].inputs.stamp
    speed, was = config.speed_assumption, log.header.config.person_speed
    what = f"people assumed at {speed:g} m/s instead of {was:g}"
    yield whatif.tally(what, whatif.other_speed(log, speed, begin, end))
    if config.policy is not None:
        policy = policies.find(config.policy, folder, config.registry, log.header)
        what = f"policy {policy.hash[:12]} instead of {log.header.policy_hash[:12] or 'none'}"
        yield whatif.tally(what, whatif.other_policy(log, policy, begin, end))


def _tiles(moment: Moment) -> str:
    now = moment.steps[moment.at].now
    margins = [step.now.margin for step in moment.steps if step.now.margin >= 0.0]
    changed = sum(step.now.reason is not Reason.NONE for step in moment.steps)
    mode = Mode(now.mode)
    same = len(moment.steps) - moment.strange
    fine = mode in (Mode.POLICY, Mode.SHIELDED)
    tiles = [
        (mode.name.lower(), _because(now.cause), "good" if fine else "bad"),
        (now.reason.name.lower().replace("_", " "), f"shield: {REASONS[now.reason]}", ""),
        (f"{now.released[0]:.2f} m/s", "released at the moment", ""),
        (f"{min(margins):.2f} m" if margins else "none", "smallest margin of the page", ""),
        (str(changed), f"of {len(moment.steps)} commands changed by the shield", ""),
        (f"{same} / {len(moment.steps)}", "steps replay bit for bit", "bad" if moment.strange else "good"),
    ]
    shown = (
        f'<div class="tile"><b class="{kind}">{html.escape(value)}</b><span>{html.escape(text)}</span></div>'
        for value, text, kind in tiles
    )
    columns = "grid-template-columns:repeat(auto-fit,minmax(150px,1fr))"
    return f'<div class="tiles" style="{columns}">{"".join(shown)}</div>'


def _film(film: bytes, lacks: str) -> str:
    """The film in the page itself: it loads nothing."""
    if not film:
        return ""
    data = base64.b64encode(film).decode()
    source = f'src="data:video/mp4;base64,{data}"'
    content = f'<video controls muted playsinline style="width:100%;border-radius:6px" {source}></video>'
    words = "left: what the robot knew, decided again; right: the floor as it was, from behind the robot; real time"
    return card("The film", content, lacks or words, wide=True)


def _video(moment: Moment) -> str:
    content = (
        '<div style="display:grid;grid-template-columns:minmax(0,3fr) minmax(260px,2fr);gap:18px;align-items:start">'
        '<div><canvas id="floor" width="900" height="600" style="width:100%;border-radius:6px"></canvas>'
        '<div style="display:flex;gap:12px;margin-top:8px"><button id="play" style="min-width:5em">Play</button>'
        '<input id="when" type="range" min="0" style="flex:1" aria-label="step"></div></div>'
        '<table id="words"></table></div><div class="legend">'
        '<span><i style="background:var(--a)"></i>the robot, and the ground granted to it</span>'
        '<span><i style="background:var(--c)"></i>what its lidar met</span>'
        '<span><i style="background:var(--d)"></i>how it would stop</span>'
        '<span><i style="background:var(--e)"></i>other robots as it was told</span>'
    )
    if moment.trace is not None:
        content += (
            '<span><i style="background:var(--b)"></i>people, true places</span>'
            '<span><i style="background:var(--soft)"></i>other robots, true places</span>'
        )
    words = "from the replay, in real time; arrow keys go step by step"
    if moment.trace is None:
        words += "; the run has no plant's record: shown is what the robot itself knew"
    return card("Step by step", content + "</div>", words, wide=True)


def _axis(moment: Moment) -> str:
    note = "a click goes there; the dashed line is the moment, the dark one what the picture shows"
    return card("Margins, modes and decisions", timeline(moment), note, wide=True)


def _decisions(moment: Moment) -> str:
    """Every change of mode or cause."""
    rows, before = [], None
    for step in moment.steps:
        now = (step.now.mode, step.now.cause)
        if now != before:
            mode, cause = Mode(step.now.mode), Cause(step.now.cause)
            rows.append((f"{moment.seconds(step):.1f} s", str(step.inputs.cycle), mode.name.lower(), _because(cause)))
        before = now
    return card("Who drove", table(("time", "cycle", "mode", "why"), rows[:ROWS]), _more(rows))


def _refused(moment: Moment) -> str:
    """Every proposal that the shield rejected, and what it released instead."""
    rows = [
        (
            f"{moment.seconds(step):.1f}&nbsp;s",
            html.escape(REASONS[step.now.reason]),
            _command(step.now.proposed),
            _command(step.now.released),
            _instead(step),
        )
        for step in moment.steps
        if step.now.reason is not Reason.NONE
    ]
    note = _more(rows) or "v in m/s, w in rad/s; candidates by the reason for which they were refused"
    head = ("time", "why", "rejected", "released", "what that is")
    return card("Rejected proposals", table(head, rows[:ROWS]) if rows else "<p>none</p>", note, wide=True)


def _instead(step: Walked) -> str:
    """What was released instead of a proposal, and what was refused before it."""
    now = step.now
    if now.evidence is None:
        return ""
    words = outcome(now.evidence.tried) + (f", margin {now.margin:.2f}&nbsp;m" if now.margin >= 0.0 else "")
    refused = counted(now.evidence.tried)
    return words + (f"; refused: {html.escape(refused)}" if refused else "")


def _whatifs(tallies: list[Tally], moment: Moment) -> str:
    content = "".join(
        f"<p><b>{html.escape(one.what)}</b></p><ul>"
        + "".join(f"<li>{html.escape(line.strip())}</li>" for line in one.lines(moment.zero)[1:])
        + "</ul>"
        for one in tallies
    )
    note = "one step at a time, on what was recorded: the world does not answer, and no deviation adds up"
    return card("What if", content, note)


def _hashes(log: Log) -> str:
    data = log.recording.metadata
    rows = [("file", f"<code>{hashlib.sha256(log.path.read_bytes()).hexdigest()}</code>")]
    names = ("release", "policy", "meta", "motor", "contract", "embodiment", "shield", "pinned", "site", "code")
    for name in names:
        rows.append((name, f"<code>{html.escape(data.get(name, '') or 'none')}</code>"))
    versions = ", ".join(f"{name} {version}" for name, version in log.header.versions.items())
    rows.append(("versions", html.escape(versions)))
    faults = log.recording.damage or ("" if log.recording.closed else "the file was cut; its whole records are shown")
    return card("What decided", table(("", ""), rows), faults or "sha256; all as the black box states them")


def _because(cause: Cause) -> str:
    return "nothing stops it" if cause is Cause.NONE else cause.name.lower().replace("_", " ")


def _command(command: tuple[float, float]) -> str:
    return f"{command[0]:+.2f},&nbsp;{command[1]:+.2f}"


def _more(rows: list[tuple[str, ...]]) -> str:
    return f"and {len(rows) - ROWS} more" if len(rows) > ROWS else ""
