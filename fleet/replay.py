"""`muster replay FILE|RUN`: the same control step again on what was recorded, and the first difference or "identical".

Three links are checked, step by step:

    1  inputs -> observation                 bit-identical
    2  observation -> policy output          bit-identical on the same CPU features and library versions; else within
                                             1e-6, reported as "identical given the recorded policy outputs"
    3  recorded policy output -> decision    bit-identical: every field of the outputs, and the memory that the step
                                             hands on, compared with what the next chunk began with

A robot that was given another policy while it drove (`muster swap`) says with each answer who gave it; what took over
lies in its run.

A chunk begins with the whole memory, so a file that was cut, or lost steps to a full disk, is replayed where it is
whole. How values are compared: fleet/difference.py.

Questions beyond that (`--policy` of another version, `--speed-assumption`, `--sim`, `--to-test`) are fleet/incident's.

Black boxes of drives (`muster drive`) are replayed by fleet/drivereplay.py: recorded inputs -> decision.

Exit code 0: identical; 1: a difference; 2: a file cannot be replayed.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from tyro.conf import Positional

from agents.errors import PolicyError
from agents.policy import MODEL, Policy
from fleet.box.keep import by_number
from fleet.codehash import code_hash
from fleet.control import Stepper
from fleet.difference import Difference, compare, numbers
from fleet.guards.ask import answer, before
from fleet.header import Header, read_header
from fleet.records import SCHEMA, Inputs, Memory, Outputs, as_recorded
from fleet.rundir import cpu, versions
from fleet.salvage import BlackBoxError, Message, Recording, read_recording
from fleet.served import POLICIES, kept
from hierarchy.skills import Answer, version_of

POLICY_TOLERANCE = 1.0e-6
"""Largest difference of policy outputs between machines (architecture: Replay)."""
DRIVES = "drive "
"""How the schemas of drives begin (fleet/drivelog.py)."""
DECIDING = ("onnxruntime", "numpy", "warp-lang")
"""Libraries whose versions can change bits."""


@dataclass(frozen=True)
class Config:
    """Replay black boxes and compare every decision."""

    path: Positional[Path]
    """A black box (.mcap), or a run directory: all of its black boxes"""
    policy: Path | None = None
    """Directory, version, release or alias of a policy; that of the run if not given. With another than drove: what it
    would have proposed at each step, and what the shield would have released"""
    speed_assumption: float | None = None
    """What the shield would have released had people been assumed to walk at this speed, m/s"""
    sim: float | None = None
    """Restore the world at this second of the recording and let the policy play on"""
    to_test: Path | None = None
    """Make a regression test in this directory, of what was decided around --at"""
    robot: str = ""
    """Which robot of a run; all if not given, one alone for --sim and --to-test"""
    at: float | None = None
    """--to-test: the second of the recording; where this code first decides otherwise if not given"""
    seconds: float | None = None
    """--sim: how long to play on, 10 s; --to-test: how much to keep before and after the moment, 1 s"""
    unknown: Literal["stand", "walk"] = "stand"
    """--sim without the plant's record: whether what only the lidar saw stands, or walks at the assumed speed"""
    registry: Path = Path("registry")
    """Where a policy named by its version is looked for besides the run"""


@dataclass
class Verdict:
    """What the replay of one file found."""

    path: Path
    steps: int = 0
    gaps: int = 0
    """Cycles that the file does not hold"""
    difference: Difference | None = None
    policy_error: float = 0.0
    """Largest difference of a policy output within the tolerance"""
    asked: int = 0
    """Steps in which a policy answered"""
    notes: list[str] = field(default_factory=list)
    policy: bool = True
    """Whether policy outputs are compared at all"""

    @property
    def identical(self) -> bool:
        """No field differs (policy outputs perhaps within the tolerance)."""
        return self.difference is None

    def line(self) -> str:
        """The verdict for a person."""
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        if self.difference is not None:
            d = self.difference
            where = f"{self.path}: differs at cycle {d.cycle} in {d.field}"
            return f"{where}: recorded {d.recorded}, replayed {d.replayed}{notes}"
        if self.policy_error > 0.0:
            return (
                f"{self.path}: identical given the recorded policy outputs, {self.steps} steps; "
                f"policy within {self.policy_error:.1e}{notes}"
            )
        asked = f", {self.asked} policy outputs" if self.policy else ""
        return f"{self.path}: identical, {self.steps} steps{asked}{notes}"


def run(config: Config) -> int:
    """Replay and print a line per file; 0 identical, 1 different. Raises BlackBoxError and PolicyError (exit 2)."""
    asked = config.speed_assumption is not None or config.sim is not None or config.to_test is not None
    given: Policy | None = None
    if asked or config.policy is not None:
        # not imported above: a world is simulated for --sim, which no robot needs
        answered = importlib.import_module("fleet.incident.questions").answer(config)
        if not isinstance(answered, Policy):
            return answered
        given = answered
    verdicts = list(replay_all(config.path, config.policy, given, config.robot))
    for verdict in verdicts:
        print(verdict.line(), flush=True)
    different = sum(not verdict.identical for verdict in verdicts)
    if len(verdicts) > 1:
        steps = sum(verdict.steps for verdict in verdicts)
        print(f"{len(verdicts)} black boxes, {steps} steps, {different} with differences")
    return 1 if different else 0


def replay_all(
    path: Path, policy: Path | None = None, known: Policy | None = None, robot: str = ""
) -> Iterator[Verdict]:
    """The verdict of every black box under `path`, of one robot where it is named; raises BlackBoxError for none.

    `policy` is where to look for what drove; `known` was loaded already.
    """
    policies = {known.hash: known} if known is not None else {}
    others: set[str] = set()
    named = not robot
    for file in find_files(path):
        recording = read_recording(file)
        if robot and (name := recording.metadata.get("robot", "none")) != robot:
            others.add(name)
            continue
        named = True
        if recording.metadata.get("schema", "").startswith(DRIVES):
            yield _replay_drive(recording)
            continue
        header = read_header(recording)
        if recording.metadata.get("imported"):
            raise BlackBoxError(
                f"{file} was imported from the recording {recording.metadata['imported']}: none of ours decided there; "
                "ask a policy with muster shadow"
            )
        if header.policy_hash and header.policy_hash not in policies:
            policies[header.policy_hash] = find_policy(file, header, policy)
        yield replay(recording, header, policies.get(header.policy_hash))
    if not named:
        raise BlackBoxError(
            f"expected a black box of {robot} in {path}, there are those of {', '.join(sorted(others))}"
        )


def _replay_drive(recording: Recording) -> Verdict:
    """Not imported above: drives need the road's world, which is no warehouse robot's."""
    try:
        return importlib.import_module("fleet.drivereplay").replay_drive(recording)
    except ModuleNotFoundError as error:
        if error.name not in ("networkx", "scipy"):
            raise
        raise BlackBoxError(
            f"{recording.path} is a drive, whose road takes {error.name}, which is not installed; "
            "pip install 'muster[car]'"
        ) from error


def find_files(path: Path) -> list[Path]:
    """The black box files of a run directory, a folder, or the file itself."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BlackBoxError(f"expected a black box or a run directory, {path} does not exist")
    files = sorted(path.glob("blackbox/*.mcap"), key=by_number) or sorted(path.glob("*.mcap"), key=by_number)
    if not files:
        raise BlackBoxError(f"expected {path}/blackbox/*.mcap, there is none; was the run recorded?")
    return files


def find_policy(file: Path, header: Header, given: Path | None) -> Policy:
    """The policy that was recorded with: given, beside the black box, in its run, or where the robot found it.

    Raises BlackBoxError when none of these places holds it.
    """
    run = file.parent.parent
    drove = kept(run / POLICIES, header.policy_hash)
    near = [*([drove] if drove is not None else []), file.parent, run, Path(header.policy_place or ".")]
    places = [given] if given is not None else near
    found = []
    for place in places:
        if given is not None or (place / MODEL).exists():
            policy = Policy.load(place)
            if policy.hash == header.policy_hash:
                return policy
            found.append(f"{place} holds {policy.hash[:12]}")
    raise BlackBoxError(
        f"expected policy {header.policy_hash[:12]} of {file}, {'; '.join(found) or 'none is near it'}; give --policy"
    )


def replay(recording: Recording, header: Header, policy: Policy | None) -> Verdict:
    """Run every step of a recording again and compare."""
    verdict = Verdict(recording.path)
    if recording.damage:
        verdict.notes.append(recording.damage)
    if not recording.closed:
        verdict.notes.append("the file was cut; its whole records were replayed")
    strict = same_machine(header.cpu, header.versions)
    if not strict:
        verdict.notes.append("another CPU or other libraries than it was recorded with")
    if header.code != code_hash():
        verdict.notes.append(
            f"recorded by other code ({header.code[:12] or 'it does not say which'}, here {code_hash()[:12]}): a "
            "difference may come of that"
        )
    stepper = Stepper(header.config, header.site, policy)
    found: dict[str, Policy | None] = {policy.hash[:12]: policy} if policy is not None else {}
    known = _Known(recording.path.parent.parent / POLICIES, found)
    chunks = recording.chunks[:-1] if recording.unsure else recording.chunks
    memory, last_cycle = _replay_chunks(chunks, recording.path, stepper, known, strict, verdict, None, None)
    if recording.unsure and verdict.difference is None:
        _replay_cut_chunk(recording, stepper, known, strict, verdict, memory, last_cycle)
    if verdict.gaps:
        verdict.notes.append(f"{verdict.gaps} cycles are not in the file")
    return verdict


def _replay_cut_chunk(
    recording: Recording,
    stepper: Stepper,
    known: _Known,
    strict: bool,
    verdict: Verdict,
    memory: Memory | None,
    last_cycle: int | None,
) -> None:
    """The last chunk, of which no checksum says that it is whole: what cannot be read of it ends it, not the replay."""
    try:
        _replay_chunks(recording.chunks[-1:], recording.path, stepper, known, strict, verdict, memory, last_cycle)
    except Exception as error:  # damaged records may say anything, an option or a cause that there is none of too
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        verdict.notes.append(f"the rest of the cut last chunk is damaged and was left out ({what})")
    if verdict.difference is not None:
        verdict.notes.append("this lies in the cut last chunk, which no checksum covers: it may be damage")


def _replay_chunks(
    chunks: Sequence[tuple[Message, ...]],
    path: Path,
    stepper: Stepper,
    known: _Known,
    strict: bool,
    verdict: Verdict,
    memory: Memory | None,
    last_cycle: int | None,
) -> tuple[Memory | None, int | None]:
    """Replay chunks one after the other until one differs; the memory and cycle that they end with."""
    for chunk in chunks:
        for step in recorded_steps(chunk, path):
            if step.memory is not None:
                if memory is not None and last_cycle is not None and step.inputs.cycle == last_cycle + 1:
                    verdict.difference = compare(step.inputs.cycle, step.memory, memory, "memory")
                    if verdict.difference:
                        return memory, last_cycle
                if step.memory.schema != SCHEMA:
                    raise BlackBoxError(f"expected memory of schema {SCHEMA}, {path} has {step.memory.schema}")
                memory = step.memory
            elif last_cycle is not None and step.inputs.cycle != last_cycle + 1:
                memory = None  # a record in between is damaged: nothing says what this step began with
            if memory is None:
                continue  # before the next whole memory nothing can be replayed
            if last_cycle is not None:
                verdict.gaps += max(step.inputs.cycle - last_cycle - 1, 0)
            last_cycle = step.inputs.cycle
            memory = _check(stepper, known, strict, step, memory, verdict)
            if verdict.difference:
                return memory, last_cycle
    return memory, last_cycle


@dataclass(frozen=True)
class RecordedStep:
    """One recorded step; `memory` where a chunk begins."""

    inputs: Inputs
    outputs: Outputs
    memory: Memory | None
    raw: bytes
    """`outputs` as the file has them"""


def recorded_steps(chunk: tuple[Message, ...], path: Path) -> Iterator[RecordedStep]:
    """The steps of a chunk that are whole; raises BlackBoxError for records that are not of the schema."""
    memory: Memory | None = None
    inputs: Inputs | None = None
    try:
        for message in chunk:
            if message.channel == "memory":
                memory = msgspec.msgpack.decode(message.data, type=Memory)
            elif message.channel == "inputs":
                inputs = msgspec.msgpack.decode(message.data, type=Inputs)
            elif message.channel == "outputs" and inputs is not None:
                if message.cycle == inputs.cycle & 0xFFFFFFFF:  # else what lies between is damaged
                    yield RecordedStep(inputs, msgspec.msgpack.decode(message.data, type=Outputs), memory, message.data)
                memory = inputs = None
    except msgspec.MsgspecError as error:
        raise BlackBoxError(f"expected records of schema {SCHEMA} in {path}: {error}") from error


def _check(
    stepper: Stepper, known: _Known, strict: bool, step: RecordedStep, memory: Memory, verdict: Verdict
) -> Memory:
    """Replay one step on the recorded policy output, then ask the policy; returns the next memory."""
    recorded = step.outputs.answer
    if recorded is not None and recorded.policy:
        known.let_answer(stepper, recorded.policy, verdict)
    policy = stepper.policy
    asked: list[bytes] = []

    def act(observation: np.ndarray) -> Answer:
        asked.append(observation.tobytes())
        return recorded if recorded is not None else Answer((0.0, 0.0))

    outputs, after = stepper.step(step.inputs, memory, act, lambda offer, battery: step.outputs.report.chosen)
    cycle, outputs = step.inputs.cycle, as_recorded(step.outputs, outputs)
    verdict.steps += 1
    if step.raw != msgspec.msgpack.encode(outputs):  # else no field differs; a file of before may lack fields
        # link 1 first, so that a wrong observation is not reported as the decision that follows from it
        verdict.difference = compare(
            cycle, numbers(step.outputs.observation), numbers(outputs.observation), "observation"
        ) or compare(cycle, step.outputs, outputs, "outputs")
    if verdict.difference is None and recorded is not None and policy is not None and asked:
        verdict.asked += 1
        seen = np.frombuffer(asked[0], np.float32).reshape(1, -1)
        again = answer(policy, seen, before(memory.guard, cycle, seen), lambda: stepper.look(step.inputs, memory))
        said = np.array((*again.action, *again.novelty, *again.fix), np.float32)
        wanted = np.array((*recorded.action, *recorded.novelty, *recorded.fix), np.float32)
        if said.tobytes() != wanted.tobytes():
            error = float(np.max(np.abs(said - wanted))) if said.shape == wanted.shape else np.inf
            if strict or not error <= POLICY_TOLERANCE:
                verdict.difference = Difference(cycle, "policy output", str(wanted.tolist()), str(said.tolist()))
            else:
                verdict.policy_error = max(verdict.policy_error, error)
    return after


@dataclass(frozen=True)
class _Known:
    """Policies that answered in a recording."""

    folder: Path
    """Where the run keeps those that took over while it drove"""
    found: dict[str, Policy | None]
    """By the first twelve digits of their hashes"""

    def let_answer(self, stepper: Stepper, name: str, verdict: Verdict) -> None:
        """Give the stepper the policy that answered when it was recorded; one that is missing is noted, not asked."""
        navigate = stepper.controller.navigate
        if navigate.version == version_of(name):
            return
        if name not in self.found:
            self.found[name] = self._find(name)
            if self.found[name] is None:
                verdict.notes.append(
                    f"policy {name}, which took over, is not in the run: its outputs were not compared"
                )
        navigate.version, stepper.policy = version_of(name), self.found[name]

    def _find(self, name: str) -> Policy | None:
        for place in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if place.name[:12] == name:
                with contextlib.suppress(PolicyError):  # damaged is as good as missing
                    return Policy.load(place)
        return None


def same_machine(recorded_cpu: Mapping[str, object], recorded_versions: Mapping[str, str]) -> bool:
    """Whether this machine must give the same bits as the one that recorded."""
    here, now = versions(), cpu()
    same_cpu = all(recorded_cpu.get(key) == now[key] for key in ("machine", "features"))
    return same_cpu and all(recorded_versions.get(name) == here.get(name) for name in DECIDING)
