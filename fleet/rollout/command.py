"""`muster rollout`: bring a candidate release to a fleet stage by stage, and take it back.

    muster rollout start RUN --candidate ID --baseline ID --registry DIR --plan FILE --robots FILE --key FILE
    muster rollout serve RUN                        robots' leases, the judge, automatic rollback; until a signal
    muster rollout gate RUN FILE --key FILE         what offline evaluation, suite or shadow say (gates.py)
    muster rollout status RUN                       stage, who drives what, what is lacking
    muster rollout promote|confirm RUN --key FILE   the closed course is passed; 100 % is for good
    muster rollout sign RUN ITEM --key FILE         an item of the closed course's checklist was seen
    muster rollout hold|resume RUN --key FILE       nobody else gets it; go on
    muster rollout rollback|kill RUN --key FILE     every robot drives the old release again
    muster rollout log RUN                          every event, and every order that was refused
    muster rollout verify RUN                       whether the events are those that were written; exit code 1 if not

An order needs an operator's own key (`muster keys derive operator_ann`) and says why by --reason. `--plan` is JSON
(fleet/rollout/plan.py), `--robots` a JSON object of zones by robot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from tyro.conf import Positional

from coordination.estop import is_operator
from coordination.keys import Keys, read_keys
from coordination.ports import listeners
from fleet.judge.cli import read_settings
from fleet.judge.settings import Settings
from fleet.registry.store import Registry
from fleet.rollout.authority import Signed, sign
from fleet.rollout.events import FILE, Store
from fleet.rollout.gates import gate, pinned
from fleet.rollout.plan import Plan, RolloutError
from fleet.rollout.record import Order, Started, State, Target
from fleet.rollout.serve import ADDRESS, Service, serve
from fleet.rundir import open_run
from sim.errors import MusterError, printable
from sim.files import read_file

Action = Literal[
    "start",
    "serve",
    "gate",
    "status",
    "promote",
    "confirm",
    "sign",
    "hold",
    "resume",
    "rollback",
    "kill",
    "log",
    "verify",
]
SIZE_MAX = 1 << 20
"""Bytes of a plan or a list of robots; a fleet of 1,000 has 30,000."""
T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """Bring a candidate release to a fleet stage by stage, and take it back."""

    action: Positional[Action]
    """What to do"""
    run: Positional[Path]
    """The run directory"""
    item: Positional[str] = ""
    """sign: which item of the checklist; gate: the file or folder of evidence"""
    key: Path | None = None
    """The operator's key file"""
    by: str = ""
    """The operator, where the key file does not name one"""
    reason: str = ""
    """Why, for the log"""
    registry: Path = Path("registry")
    """start, gate: where the releases are kept"""
    candidate: str = ""
    """start: the release that is to drive"""
    baseline: str = ""
    """start: the release that drives"""
    plan: Path | None = None
    """start: what is asked of each stage"""
    robots: Path | None = None
    """start: zone by robot"""
    address: str = ADDRESS
    """serve: of the leases, for `muster robot --rollout`; as it is, this computer alone hears it"""
    settings: Path | None = None
    """serve: the judge's settings, as `muster judge learn` writes them"""
    every: float = 60.0
    """serve: s between two looks of the judge"""
    metrics_port: int = 0
    """serve: port of /metrics on 127.0.0.1; 0 for none"""
    site: str = ""
    """serve: the site whose alias `production` in --registry names what was confirmed; empty: nobody's"""
    name: str = ""
    """start: what the rollout is called; the run directory's name if not given"""


def run(config: Config) -> int:
    """Do it. Raises RolloutError and what store and registry raise, each with one line."""
    root = open_run(config.run).root
    if config.action in ("status", "log", "verify"):
        store = Store(root / FILE, read_keys(open_run(config.run).key))
        return {"status": _status, "log": _log, "verify": _verify}[config.action](store)
    if config.action == "serve":
        return _serve(config, root, read_keys(open_run(config.run).key))
    if config.key is None:
        raise RolloutError(f"{config.action}: expected --key FILE, the operator's key; see `muster keys derive`")
    keys = read_keys(config.key)
    by = config.by or next(iter(keys.nodes), "")
    fleet = read_keys(open_run(config.run).key)
    store = Store(root / FILE, fleet)
    if config.action in ("start", "gate"):
        if not is_operator(by) or keys.node(by) is None or keys.node(by) != fleet.node(by):
            raise RolloutError(
                f"{config.action}: the key is not that of an operator {by}; "
                "give one of `muster keys derive operator_NAME`"
            )
        {"start": _start, "gate": _gate}[config.action](config, store, by)
        return _status(store)
    state = store.state()
    signed = Signed(
        rollout=state.rollout,
        verb=config.action,
        by=by,
        seen=state.number,
        stamp=store.now(),
        reason=config.reason,
        item=config.item,
    )
    store.order(sign(signed, keys))
    return _status(store)


def target(registry: Registry, release: str) -> Target:
    """What the state machine needs of a release (an id, or its first digits)."""
    found = registry.released(registry.find(release, releases=True))
    return Target(found.id, found.embodiment, found.shield)


def described(state: State) -> list[str]:
    """A state in lines for people."""
    if not state.rollout:
        return ["no rollout"]
    counts = Counter(state.arms.values())
    lines = [
        f"{state.rollout}: {state.stage.name.lower()}, {state.status.replace('_', ' ')} ({state.reason})",
        f"  candidate {state.candidate.release[:12]} on {counts['candidate']} robots, baseline "
        f"{state.baseline.release[:12]} on {counts['baseline']}, {counts['holdout']} held out; "
        f"event {state.number}, epoch {state.epoch}",
    ]
    if state.look is not None:
        look = state.look
        lines.append(f"  judge: {look.decision}, {look.reason}; {look.missions} missions, {look.hours:.2f} robot-hours")
        lines += [f"  lacking: {each}" for each in look.lacking]
    for item in state.plan.course.checklist:
        lines.append(f"  {'signed by ' + state.signed[item] if item in state.signed else 'open':>16s}  {item}")
    lines += [f"  tripped: {robot}" for robot in state.tripped]
    return lines


def _start(config: Config, store: Store, by: str) -> None:
    plan = _read(config.plan, Plan, "--plan") if config.plan is not None else Plan()
    if config.robots is None:
        raise RolloutError('start: expected --robots FILE, zone by robot such as {"r0": "hall"}; give one')
    robots = _read(config.robots, dict[str, str], "--robots")
    registry = Registry(config.registry, read_only=True)
    try:
        candidate, baseline = target(registry, config.candidate), target(registry, config.baseline)
    finally:
        registry.close()
    name = config.name or store.path.parent.name
    store.append(
        Started(stamp=0, rollout=name, candidate=candidate, baseline=baseline, robots=robots, plan=plan, by=by), by
    )


def _gate(config: Config, store: Store, by: str) -> None:
    state = store.state()
    if not state.rollout:
        raise RolloutError(
            "gate: expected a rollout that was started, there is none; begin with `muster rollout start`"
        )
    registry = Registry(config.registry, read_only=True)
    try:
        both = pinned(registry, state.candidate.release), pinned(registry, state.baseline.release)
    finally:
        registry.close()
    store.append(gate(state.stage, Path(config.item) if config.item else None, *both), by)


def _serve(config: Config, root: Path, keys: Keys) -> int:
    if not 1.0 <= config.every <= 3600.0:
        raise RolloutError(f"--every: expected 1 to 3600 s, got {config.every:g}; 60 is usual")
    listeners(metrics_port=config.metrics_port)  # refuses what is no port
    settings = read_settings(config.settings) if config.settings is not None else Settings()

    def name(release: str, reason: str) -> None:
        if not config.site:
            print(f"{release} is confirmed ({reason}); name it production with `muster registry alias`", flush=True)
            return
        try:
            registry = Registry(config.registry)
            try:
                registry.name(config.site, "production", release, "rollout", reason, keys)
            finally:
                registry.close()
        except MusterError as error:  # the rollout goes on: what drives is what the leases say
            print(f"production of {config.site} is not named: {printable(str(error))}", flush=True)

    return serve(Service(root, keys, settings, config.address, name, config.every), config.metrics_port)


def _status(store: Store) -> int:
    for line in described(store.state()):
        print(printable(line))
    return 0


def _log(store: Store) -> int:
    lines = [
        (row.stamp, f"{row.number:>5}  {_moment(row.stamp)}  {row.who:<12} {_told(row.event)}  {row.entry.hash[:12]}")
        for row in store.rows()
    ]
    lines += [
        (each.stamp, f"    -  {_moment(each.stamp)}  {each.who:<12} {each.verb} refused: {each.why}")
        for each in store.refusals()
    ]
    for _, line in sorted(lines):
        print(printable(line))
    return 0


def _verify(store: Store) -> int:
    try:
        state = store.state()
    except RolloutError as error:
        print(printable(str(error)))
        return 1
    print(f"sound: {state.number} events, every order proven")
    return 0


def _told(event: object) -> str:
    told = msgspec.to_builtins(event)
    told.pop("stamp")
    name = told.pop("event")
    if isinstance(event, Order):
        return f"{event.verb} {event.item} {event.reason}".strip()
    kept = {key: value for key, value in told.items() if isinstance(value, str | int | float) and value != ""}
    return f"{name} " + " ".join(f"{key}={str(value)[:80]}" for key, value in kept.items())


def _moment(stamp: int) -> str:
    if not isinstance(stamp, int):  # SQLite keeps whatever it is given
        return "no moment"
    return datetime.fromtimestamp(stamp / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _read(path: Path, kind: type[T], option: str) -> T:
    try:
        return msgspec.json.decode(read_file(path, SIZE_MAX), type=kind)
    except msgspec.MsgspecError as error:
        raise RolloutError(f"{option}: expected JSON of that kind in {path}, it cannot be read ({error})") from error
