"""Faults of the kind that simulators had, planted one by one in the real code: does the suite see them?

Each fault is a patch of the code that runs, not of a test, held while one named test of the suite runs. It counts as
caught when that test passes without it and fails with it, by an assertion that complains of just that (`says`): a test
that stumbles over something else has seen nothing. The kinds are those that users of other simulators reported
(mjlab issues 588, 1139, 1141; Isaac Lab and Gymnasium trackers), and some that we made ourselves.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import warp as wp
from figure import Figure

from sim import backend, env, fields, graph, plant
from sim.backend import BatchBackend
from sim.env import BatchEnv
from sim.graph import StepGraph
from sim.plant import Plant

ROOT = Path(__file__).resolve().parent.parent.parent


class Also:
    """A launch that is followed by something that should not be there."""

    def __init__(self, launch: Any, fault: Callable[[], None]) -> None:  # a recorded launch, Warp's own type
        self._launch, self._fault = launch, fault

    def launch(self) -> None:
        """Both."""
        self._launch.launch()
        self._fault()


@dataclass(frozen=True)
class Fault:
    """One fault and the test that must see it."""

    name: str
    plant: Callable[[], AbstractContextManager[Any]]
    """The fault is there while this is entered."""
    test: str
    """Node id."""
    says: str
    """Part of what the failed assertion says: whatever the fault spoils."""


@contextmanager
def compounded_scale() -> Iterator[None]:
    """Each reset scales the motors' limits as they are, not as the model has them."""
    honest = Plant.renew

    def renew(self: Plant, mask: wp.array) -> Any:
        kept = self.limits.numpy().copy()

        def scale() -> None:
            worlds = mask.numpy().reshape(self.worlds, -1).any(axis=1)
            kept[worlds] *= 0.9
            self.limits.numpy()[worlds] = kept[worlds]

        return Also(honest(self, mask), scale)

    with patch.object(Plant, "renew", renew):
        yield


def stale_inertia() -> AbstractContextManager[Any]:
    """What follows from a mass is computed for the first world alone."""
    honest = BatchBackend.recompute

    def recompute(self: BatchBackend, level: fields.Recompute, mask: Any = None) -> None:
        honest(self, level, np.arange(self.worlds) == 0)

    return patch.object(BatchBackend, "recompute", recompute)


def missing_recompute() -> AbstractContextManager[Any]:
    """The table says that nothing follows from a body's inertia."""
    field = fields.Field("body_inertia", fields.Recompute.NONE)
    return patch.dict(fields.FIELDS, {"body_inertia": field})


@contextmanager
def leaked_delay_buffer() -> Iterator[None]:
    """A new episode begins with the command that the last one still had under way."""
    honest = Plant.renew

    def renew(self: Plant, mask: wp.array) -> Any:
        launch, before, setpoint = honest(self, mask), self.drive.before.numpy(), self.drive.setpoint.numpy()

        class Leaky:
            def launch(self) -> None:
                kept = before.copy(), setpoint.copy()
                launch.launch()
                before[...], setpoint[...] = kept

        return Leaky()

    with patch.object(Plant, "renew", renew):
        yield


def dropped_overflow() -> AbstractContextManager[Any]:
    """Contacts that did not fit are forgotten when the world is reset before anybody asked."""

    def forget(self: BatchBackend) -> None:
        self.batch.warning[:, backend.FULL, 1] = 0

    return patch.object(BatchBackend, "_collect_dropped", forget)


@contextmanager
def timers_differ() -> Iterator[None]:
    """An episode that begins by itself has a step on its clock, one that was asked for has none."""
    honest = BatchEnv._finish

    def finish(self: BatchEnv) -> None:
        honest(self)
        self.state.step.numpy()[self.task.outcome.ended.numpy() != 0] = 1

    with patch.object(BatchEnv, "_finish", finish):
        yield


@contextmanager
def reset_touches_neighbours() -> Iterator[None]:
    """A reset moves the commands of the rows beside it on, too."""
    honest = Plant.renew

    def renew(self: Plant, mask: wp.array) -> Any:
        def advance() -> None:
            beside = np.roll(mask.numpy(), 1) != 0
            self.drive.before.numpy()[beside] = self.drive.released.numpy()[beside]

        return Also(honest(self, mask), advance)

    with patch.object(Plant, "renew", renew):
        yield


@contextmanager
def draw_depends_on_worlds() -> Iterator[None]:
    """The plant's draws take the number of worlds in."""
    honest = Plant.renew

    def renew(self: Plant, mask: wp.array) -> Any:
        seed, self.seed = self.seed, self.seed + self.worlds
        try:
            return honest(self, mask)
        finally:
            self.seed = seed

    with patch.object(Plant, "renew", renew):
        yield


@contextmanager
def old_pointer() -> Iterator[None]:
    """A captured step is kept although an array that it was captured with has been replaced."""
    honest = StepGraph.__init__

    def init(
        self: StepGraph, play: Any, device: str, *, parts: Any = tuple, renew: Any = None, why_not: str = ""
    ) -> None:
        honest(self, play, device, parts=tuple, renew=renew, why_not=why_not)

    with patch.object(graph.StepGraph, "__init__", init):
        yield


@contextmanager
def episode_counter_not_saved() -> Iterator[None]:
    """A snapshot leaves out which episode each row is in."""
    honest = Plant.arrays

    def arrays(self: Plant) -> Mapping[str, wp.array]:
        return {name: array for name, array in honest(self).items() if name != "robot.episode"}

    with patch.object(plant.Plant, "arrays", arrays):
        yield


@contextmanager
def reward_after_reset() -> Iterator[None]:
    """The reward of the last step is that of the episode which begins."""
    honest = BatchEnv._finish

    def finish(self: BatchEnv) -> None:
        honest(self)
        outcome: Any = self.task.outcome  # a Warp struct: its fields are known at run time
        names = [name for name in outcome._cls.vars if name != "reward"]
        kept = {name: getattr(outcome, name).numpy().copy() for name in names}
        for launch in self.task.advance:
            launch.launch()
        for name in names:
            getattr(outcome, name).assign(kept[name])

    with patch.object(env.BatchEnv, "_finish", finish):
        yield


@contextmanager
def truncation_terminates() -> Iterator[None]:
    """An episode that was only cut counts as one without a future."""
    honest = BatchEnv._move

    def move(self: BatchEnv) -> None:
        honest(self)
        outcome = self.task.outcome
        outcome.terminated.numpy()[...] |= outcome.truncated.numpy()

    with patch.object(env.BatchEnv, "_move", move):
        yield


FAULTS = (
    Fault(
        "compounded scale", compounded_scale,
        "tests/sim/test_episode_starts.py::test_an_episode_is_the_same_whatever_came_before[1]",
        "actuator_forcerange",
    ),
    Fault(
        "stale inertia", stale_inertia,
        "tests/sim/test_backend.py::test_mass_and_inertia_act_as_in_a_model_compiled_with_them[wheeled-batch]",
        "[1, 0]",  # of world 1; world 0 is right
    ),
    Fault(
        "missing recompute", missing_recompute,
        "tests/sim/test_fields.py::test_a_field_acts_as_in_mujocos_own_model[body_inertia-batch]",
        "Not equal to tolerance",
    ),
    Fault(
        "leaked delay buffer", leaked_delay_buffer,
        "tests/sim/test_episode_starts.py::test_an_episode_is_the_same_whatever_came_before[1]",
        "drive.befor",  # cut off by pytest
    ),
    Fault(
        "dropped overflow", dropped_overflow,
        "tests/sim/test_backend.py::test_the_c_engine_tells_whose_contacts_did_not_fit_its_memory",
        "DID NOT RAISE BufferOverflowError",
    ),
    Fault(
        "timers of automatic resets", timers_differ,
        "tests/sim/test_episode_starts.py::test_an_episode_that_begins_by_itself_is_as_one_that_was_asked_for[1]",
        "robot.step",
    ),
    Fault(
        "reset advances others' commands", reset_touches_neighbours,
        "tests/sim/test_env.py::test_rows_that_end_leave_every_other_row_bit_identical",
        "drive.before",
    ),
    Fault(
        "draw depends on the number of worlds", draw_depends_on_worlds,
        "tests/sim/test_env.py::test_a_world_lives_the_same_life_among_few_or_many",
        "Arrays are not equal",
    ),
    Fault(
        "captured graph keeps an old pointer", old_pointer,
        "tests/sim/test_graph.py::test_an_array_in_another_place_is_recorded_anew",
        "DESIRED: array(4.)",  # got what the old array holds
    ),
    Fault(
        "episode counter not in the snapshot", episode_counter_not_saved,
        "tests/sim/test_env.py::test_a_restored_environment_goes_on_bit_for_bit",
        "observation",
    ),
    Fault(
        "reward computed after the reset", reward_after_reset,
        "tests/sim/test_env.py::test_leaving_the_granted_cells_terminates",
        "< -4.0",
    ),
    Fault(
        "truncation taken for termination", truncation_terminates,
        "tests/sim/test_env.py::test_the_time_limit_truncates_and_terminates_nothing",
        "[1, 1, 1, 1, 1, 1]",  # all terminated
    ),
)  # fmt: skip


class _Result:
    """A pytest plugin: a fault in place while the test itself runs, and how it ended."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self.outcome = "not run"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """The fault is there for the call alone, not for fixtures; only a failed assertion is a verdict."""
        self.outcome = "broke"
        with self.fault.plant() if self.fault else contextlib.nullcontext():
            try:
                result = yield
            except (AssertionError, pytest.fail.Exception) as error:
                self.outcome = "failed" if self.fault is None or self.fault.says in str(error) else "failed otherwise"
                raise
            self.outcome = "passed"
            return result


def outcome(test: str, fault: Fault | None = None) -> str:
    """`passed`, `failed`, or no verdict: `failed otherwise`, `broke` (an error of another kind), `not run`."""
    result = _Result(fault)
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), str(ROOT / test)], plugins=[result])
    return result.outcome


def caught(fault: Fault) -> bool:
    """Whether the test passes without the fault and fails with it."""
    return outcome(fault.test) == "passed" and outcome(fault.test, fault) == "failed"


def measure(quick: bool) -> Iterable[Figure]:
    """Part caught: how many of the faults the suite sees; all of them with --quick too."""
    yield Figure("caught", float(sum(caught(fault) for fault in FAULTS)), "1")
