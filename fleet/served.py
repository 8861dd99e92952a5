"""What a robot serves: the navigate policy and, where it chooses its work, the meta policy that is pinned to it.

`load` makes one ready to drive from files: hashes and contract as at the start (`agents.policy`, `hierarchy.chooser`),
a copy in the run directory, so that a replay finds what drove, and a rehearsal: the graph answers observations from
all over the contract's ranges, finite, inside the action's bounds and in time, and the golden ones of its manifest as
it did in training (fleet/guards/preflight.py). What answers there is warm.

Creating onnxruntime's session holds the interpreter lock, and with it the control loop: 0.9 ms for the 0.36 MB of the
navigate policy, 150 ms for 17.5 MB (x86, one core, 2026-11). Larger graphs than GRAPH_MAX need a restart.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.errors import PolicyError
from agents.policy import MANIFEST, MODEL, Policy, graph_hash
from fleet.control import LATE, ControlConfig
from fleet.guards.preflight import preflight
from hierarchy.chooser import META, Chooser, choose_contract, load_chooser, meta_place
from hierarchy.skills import sees_limit
from sim.files import FileError, write_atomic
from sim.tasks.contract import Contract
from sim.tasks.navigate_contract import navigate_contract

GRAPH_MAX = 4 * 2**20
"""Largest graph that is loaded beside a running loop, bytes: 9 ms per MB (above) are 40 ms, less than half a period."""
REHEARSALS = 16
"""Observations of a rehearsal: the first ones allocate, the rest are as quick as in the loop."""
POLICIES = "policies"
"""Folder of a run that keeps each version that drove, by its hashes."""


@dataclass(frozen=True)
class Served:
    """What answers in one control step: swapped whole."""

    policy: Policy
    chooser: Chooser | None = None

    @property
    def name(self) -> str:
        """The hashes of both, cut to twelve digits."""
        meta = f"+{self.chooser.policy.hash[:12]}" if self.chooser is not None else ""
        return f"{self.policy.hash[:12]}{meta}"


@dataclass(frozen=True)
class Loader:
    """Loads what may take the place of `first`; owns nothing."""

    config: ControlConfig
    first: Policy
    """What drove when the robot was started: its contract is what the robot observes"""
    folder: Path
    """Where versions are kept (POLICIES of the run)"""

    def __call__(self, place: Path) -> Served:
        """The version at `place`, ready to drive.

        Raises PolicyError, ContractMismatch or FileError with one line: files missing, damaged, of another training, of
        another contract, too large, a skew between training and this robot, or a graph that does not answer as its
        contract says.
        """
        directory = directory_of(place)
        _check_size(directory / MODEL)
        if self.config.meta:
            _check_size(meta_place(directory) / MODEL)
        policy = Policy.load(directory)
        spec = self.config.spec
        contract = navigate_contract(spec, limited=sees_limit(self.first, spec))
        policy.check(contract)
        rehearse(policy, contract, bound=1.0)
        preflight(policy, spec)
        chooser = None
        if self.config.meta:
            chooser = load_chooser(directory, spec, policy)
            rehearse(chooser.policy, choose_contract(spec), bound=math.inf)
        served = Served(policy, chooser)
        keep(served, directory, self.folder)
        return served


def directory_of(place: Path) -> Path:
    """The directory of a policy that may be named by one of its files."""
    return place.parent if place.name in (MANIFEST, MODEL) else place


def rehearse(policy: Policy, contract: Contract, *, bound: float, patience: float = LATE) -> None:
    """Ask a policy about observations drawn from its contract's ranges, zeros first.

    Raises PolicyError when it does not answer float32 (1, action), or not finite, beyond +-`bound`, or never within
    `patience` seconds.
    """
    low = np.concatenate([np.full(field.size, field.low) for field in contract.fields])
    high = np.concatenate([np.full(field.size, field.high) for field in contract.fields])
    draws = np.random.default_rng(0).uniform(low, high, (REHEARSALS, contract.observation_size)).astype(np.float32)
    draws[0] = 0.0
    quickest = math.inf
    for observation in draws:
        began = time.perf_counter()
        try:
            action = np.asarray(policy.act(observation[None]))
        except Exception as error:  # onnxruntime's errors share no base
            raise PolicyError(
                f"expected a graph that answers an observation of {contract.observation_size} numbers, policy "
                f"{policy.hash[:12]} does not ({str(error).splitlines()[0]}); export the policy again"
            ) from error
        quickest = min(quickest, time.perf_counter() - began)
        if action.shape != (1, contract.action_size) or action.dtype != np.float32:
            raise PolicyError(
                f"expected actions float32 (1, {contract.action_size}), policy {policy.hash[:12]} answers "
                f"{action.dtype} {action.shape}; export the policy again"
            )
        if not np.isfinite(action).all() or np.abs(action).max() > bound:
            raise PolicyError(
                f"expected actions within {-bound:g} and {bound:g}, policy {policy.hash[:12]} answers "
                f"{action[0].tolist()} inside its contract's ranges; train it again"
            )
    if quickest > patience:
        raise PolicyError(
            f"expected answers within {1e3 * patience:.3g} ms, policy {policy.hash[:12]} takes {1e3 * quickest:.3g} ms "
            "here at the least; train a smaller network"
        )


def keep(served: Served, directory: Path, folder: Path) -> None:
    """Copy a version's files to `folder`/<hash>, or `folder`/<hash>+<hash> with the meta policy in meta/.

    Nothing is written where they are already. Raises FileError when that fails.
    """
    chooser = served.chooser
    place = folder / served.policy.hash
    if chooser is not None:
        place = folder / f"{served.policy.hash}+{chooser.policy.hash}"
    if (place / MANIFEST).exists():
        return
    if chooser is not None:
        _copy(chooser.policy, meta_place(directory), place / META)
    _copy(served.policy, directory, place)  # last: with its manifest the version is whole


def kept(folder: Path, name: str) -> Path | None:
    """Where the version of a name (`Served.name`, or whole hashes) is kept; None where it is not, or it is no name."""
    hashes = name.split("+")
    if len(hashes) > 2 or not all(each.isalnum() for each in hashes):
        return None
    return min(folder.glob("*+".join(hashes) + "*"), default=None)


def _copy(policy: Policy, directory: Path, place: Path) -> None:
    try:
        graph, manifest = (directory / MODEL).read_bytes(), (directory / MANIFEST).read_bytes()
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot keep policy {policy.hash[:12]} in {place}: {error.strerror or error}") from error
    if graph_hash(graph) != policy.hash:
        raise PolicyError(f"expected {directory / MODEL} to stay as it was read, it changed meanwhile; ask again")
    write_atomic(place / MODEL, graph)
    write_atomic(place / MANIFEST, manifest)


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        return  # loading says what is wrong, with what to do
    if size > GRAPH_MAX:
        raise PolicyError(
            f"expected a graph of at most {GRAPH_MAX / 2**20:.3g} MiB, {path} has {size / 2**20:.3g}: creating its "
            "session would hold up the control loop; restart the robot with it"
        )
