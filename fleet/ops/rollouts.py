"""How a run's rollout stands, and its kill switch, by RUN/rollout.sqlite (fleet/rollout/events.py).

Every look checks the whole log and each operator's signature in it, so it wants the run's fleet key; a log that is not
as it was written is told as such, and nothing of it is believed.
"""

from __future__ import annotations

from collections import Counter

from coordination.database import StoreError
from coordination.keys import Keys, read_keys
from fleet.ops.seen import ROBOTS_SHOWN, Rollout
from fleet.rollout.authority import Signed, sign
from fleet.rollout.events import FILE, Store
from fleet.rollout.plan import RolloutError, Stage, stage_name
from fleet.rundir import RunDirectory

STAGES = tuple(map(stage_name, Stage))
"""As people say them, in their order."""


def read_rollout(run: RunDirectory | None, keys: Keys | None) -> Rollout | None:
    """How the run's rollout stands; None where there is none. What cannot be read says so in `error`."""
    path = run.root / FILE if run is not None else None
    if path is None or not path.exists():
        return None
    if keys is None or keys.fleet is None:
        return Rollout("", "", "", error="only the fleet key can check it; keep fleet.key in the run directory")
    try:
        state = Store(path, keys).state()
    except (RolloutError, StoreError) as error:
        return Rollout("", "", "", error=str(error))
    if not state.rollout:
        return None
    return Rollout(
        name=state.rollout,
        stage=STAGES[state.stage],
        status=state.status,
        reason=state.reason,
        candidate=state.candidate.release,
        baseline=state.baseline.release,
        number=state.number,
        stages=STAGES,
        arms=dict(Counter(state.arms.values())),
        robots=dict(sorted(state.arms.items(), key=lambda each: (len(each[0]), each[0]))[:ROBOTS_SHOWN]),
    )


def kill_rollout(run: RunDirectory | None, name: str, keys: Keys, reason: str) -> str:
    """Take the candidate from every robot, by an order that the operator's key signs; how it stands then.

    Raises RolloutError, StoreError or KeyFileError: there is none, it has ended, or the key is not the operator's.
    """
    path = run.root / FILE if run is not None else None
    if run is None or path is None or not path.exists():
        raise RolloutError("there is no rollout in this run; `muster rollout start` begins one")
    store = Store(path, read_keys(run.key))
    before = store.state()
    order = Signed(rollout=before.rollout, verb="kill", by=name, seen=before.number, stamp=store.now(), reason=reason)
    state, _ = store.order(sign(order, keys))
    return f"{state.rollout} is {state.status.replace('_', ' ')}: {state.reason}"
