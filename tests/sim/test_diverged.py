"""Worlds that blow up: counted, kept, and played again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim import diverged, lostworlds
from sim.backend import BatchBackend
from sim.env import ActionError, BatchEnv
from sim.fixtures import Fixtures
from sim.generate import generate_campus
from sim.loads import Loads
from sim.lostworlds import FILES, MORE, NOT_KEPT
from sim.relive import Config, DivergedError, find_files, replay_diverged
from sim.relive import run as relive
from sim.scene import Scene
from sim.site import Site, make_site, with_fixtures
from sim.tasks.navigate import NavigateConfig
from sim.tasks.task import Ending

CONFIG = NavigateConfig(paths=256)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def drive(env: BatchEnv, steps: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        env.step(rng.uniform(-1.0, 1.0, (env.rows, 2)).astype(np.float32))


@pytest.mark.parametrize("robots", [1, 2])
def test_a_kept_world_blows_up_again_from_its_file(site: Site, tmp_path: Path, robots: int) -> None:
    env = BatchEnv(site, CONFIG, worlds=6, robots=robots, seed=9, threads=1, diverged=tmp_path / "diverged")
    env.reset()
    drive(env, 7)
    start = env.backend.qpos.numpy()[4].copy()
    start[0] = 3.0e9  # the engine finds it bad in its first step
    env.backend.qpos.numpy()[4, 0] = start[0]
    episode = env.state.episode.numpy().reshape(6, robots)[4].copy()
    step = env.step(np.full((env.rows, 2), 0.3, np.float32))
    assert (step.ending.reshape(6, robots)[4] == Ending.DIVERGED).all()
    (file,) = sorted((tmp_path / "diverged").iterdir())
    assert file.stat().st_size < 200_000
    played = replay_diverged(file)
    assert played.diverged
    assert played.substep == 1
    assert (played.about["seed"], played.about["world"], played.about["task"]) == (9, 4, "navigate")
    np.testing.assert_array_equal(played.qpos[0], start)
    with np.load(file) as kept:
        np.testing.assert_array_equal(kept["row.episode"], episode)


def test_a_replayed_control_step_is_the_one_that_was_lived(site: Site, tmp_path: Path) -> None:
    """A refused action ends the episode too, but physics goes on: replay must reach the state that was reached."""
    env = BatchEnv(site, CONFIG, worlds=3, seed=2, threads=1, diverged=tmp_path)
    env.reset()
    drive(env, 12)
    reached = []
    env.substep_hook = lambda env: reached.append(env.backend.qpos.numpy()[1].copy())
    action = np.full((3, 2), 0.5, np.float32)
    action[1, 0] = np.nan
    assert env.step(action).ending[1] == Ending.DIVERGED
    (file,) = tmp_path.iterdir()
    played = replay_diverged(file)
    assert not played.diverged
    np.testing.assert_array_equal(played.qpos[1:], reached)
    assert np.ptp(played.qpos[:, 0]) > 0.0


def unstable(scene: Scene, worlds: int) -> BatchBackend:
    """World 2 pushes what moves: v grows by m / (m - c dt) = 15 a physics step, until it is beyond all reason."""
    backend = BatchBackend(scene.model, worlds, threads=1)
    damping = np.tile(scene.model.dof_damping, (worlds, 1))
    damping[2, :2] = -2800.0  # m = 60 kg, dt = 0.02 s
    backend.set_field("dof_damping", damping)
    return backend


def test_a_world_that_blows_up_in_mid_step_is_relived_bit_for_bit(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = BatchEnv(site, CONFIG, worlds=5, seed=4, backend=unstable, diverged=tmp_path / "diverged")
    sound = BatchEnv(site, CONFIG, worlds=5, seed=4, threads=1)
    for each in (env, sound):
        each.reset()
    lost, others = 0, np.arange(5) != 2
    rng = np.random.default_rng(3)
    for _ in range(60):
        action = rng.uniform(-1.0, 1.0, (5, 2)).astype(np.float32)
        step, expected = env.step(action), sound.step(action)
        lost += int(step.ending[2] == Ending.DIVERGED)
        np.testing.assert_array_equal(step.ending[others], expected.ending[others])
        np.testing.assert_array_equal(step.observation[others], expected.observation[others])
        assert np.isfinite(step.observation).all()
    assert lost == env.diverged_total > 5
    files = find_files(tmp_path)
    assert len(files) == lost
    played = [replay_diverged(path) for path in files]
    assert all(each.diverged and each.faithful and each.difference == 0.0 for each in played)
    assert max(each.substep for each in played) > 1  # not bad from the start: the blow-up itself was computed again
    assert {each.about["world"] for each in played} == {2}
    assert relive(Config(tmp_path)) == 0
    assert capsys.readouterr().out.count("blew up again in physics step") == lost


def test_a_relived_step_that_differs_in_a_bit_is_reported(site: Site, tmp_path: Path) -> None:
    env = BatchEnv(site, CONFIG, worlds=3, seed=2, threads=1, diverged=tmp_path)
    env.reset()
    drive(env, 5)
    env.step(np.full((3, 2), np.nan, np.float32))
    path = sorted(tmp_path.iterdir())[0]
    assert relive(Config(path)) == 0
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    place = int(np.flatnonzero(kept["passed.3.state"])[2])
    kept["passed.3.state"][place] = np.nextafter(kept["passed.3.state"][place], np.inf)
    np.savez_compressed(path, **kept)
    assert 0.0 < replay_diverged(path).difference < 1e-12
    assert relive(Config(path)) == 1


def test_what_lifts_do_in_the_step_is_replayed(tmp_path: Path) -> None:
    """Robots over pods begin to lift in the kept step: the pods move with them from there on."""
    floor = with_fixtures(make_site("pods", np.zeros((8, 12), bool)), Fixtures(pods=(4 * 12 + 5, 4 * 12 + 9)))
    config = replace(CONFIG, people=0, loads=Loads(movable_pods=True))
    env = BatchEnv(floor, config, worlds=2, seed=1, threads=1, diverged=tmp_path)
    env.reset()
    env.backend.qpos.numpy()[:, :3] = (*floor.centre(4 * 12 + 5), 0.0)
    env.plant.pods.state.wanted.numpy()[...] = 1
    reached = []
    env.substep_hook = lambda env: reached.append(env.backend.qpos.numpy()[1].copy())
    env.backend.qvel.numpy()[:, 0] = 0.015
    assert (env.step(np.full((2, 2), np.nan, np.float32)).ending == Ending.DIVERGED).all()
    played = replay_diverged(sorted(tmp_path.iterdir())[1])
    np.testing.assert_array_equal(played.qpos[1:], reached)
    with np.load(sorted(tmp_path.iterdir())[1]) as kept:
        assert kept["change.eq_active.0"].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_no_number_ends_that_row_alone(site: Site, bad: float) -> None:
    env, sound = (BatchEnv(site, CONFIG, worlds=5, seed=3, threads=1) for _ in range(2))
    for each in (env, sound):
        each.reset()
        drive(each, 5)
    action = np.full((5, 2), 0.4, np.float32)
    expected = sound.step(action)
    action[2, 1] = bad
    step = env.step(action)
    assert step.ending[2] == Ending.DIVERGED
    assert (step.terminated[2], step.truncated[2], step.reward[2]) == (1, 0, 0.0)
    others = np.arange(5) != 2
    np.testing.assert_array_equal(step.observation[others], expected.observation[others])
    np.testing.assert_array_equal(step.ending[others], expected.ending[others])
    assert np.isfinite(env.step(np.zeros((5, 2), np.float32)).observation).all()
    assert (env.step(np.zeros((5, 2), np.float32)).ending != Ending.DIVERGED).all()


@pytest.mark.parametrize("shape", [(5,), (4, 2), (5, 3), (5, 2, 1), ()])
def test_an_action_of_the_wrong_shape_is_an_error(site: Site, shape: tuple[int, ...]) -> None:
    env = BatchEnv(site, CONFIG, worlds=5, threads=1)
    env.reset()
    with pytest.raises(ActionError, match=r"expected an action of shape \(5, 2\)"):
        env.step(np.zeros(shape, np.float32))


def test_every_lost_world_is_kept_and_played_again(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beyond the whole files a line each: 3 steps in which all of 20 worlds are lost leave 60 worlds to play."""
    worlds, steps = 20, 3
    env = BatchEnv(site, CONFIG, worlds=worlds, seed=1, threads=1, diverged=tmp_path)
    env.reset()
    for _ in range(steps):
        env.step(np.full((worlds, 2), np.nan, np.float32))
    assert env.diverged_total == worlds * steps
    assert len(list(tmp_path.glob("*.npz"))) == FILES
    lines = [json.loads(line) for line in (tmp_path / MORE).read_text().splitlines()]
    assert len(lines) == worlds * steps - FILES
    assert (tmp_path / MORE).stat().st_size / len(lines) < 20_000
    assert [line["world"] for line in lines] == [*range(FILES - worlds, worlds), *range(worlds)]
    assert {(line["seed"], line["task"], *line["episodes"]) for line in lines} == {
        (1, "navigate", 1),
        (1, "navigate", 2),
    }
    assert relive(Config(tmp_path)) == 0
    played = capsys.readouterr().out.splitlines()
    assert len(played) == worlds * steps
    assert all(line.endswith("bit for bit") for line in played)
    assert f"{MORE}:1: navigate, seed 1, world 12, episodes [1]: physics stayed sound" in played[-len(lines)]
    with (tmp_path / MORE).open("a") as file:
        file.write(json.dumps(lines[0])[:100])  # what a killed process leaves
    assert relive(Config(tmp_path / MORE)) == 0
    capsys.readouterr()
    again = BatchEnv(site, CONFIG, worlds=worlds, seed=2, threads=1, diverged=tmp_path)
    again.reset()
    for _ in range(2):
        again.step(np.full((worlds, 2), np.nan, np.float32))
    assert relive(Config(tmp_path / MORE)) == 0
    played = capsys.readouterr().out.splitlines()
    assert len(played) == len(lines) + 2 * worlds - FILES, "what was torn is cut, what follows is whole"


def test_what_is_not_kept_is_said(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diverged, "PLACES_BYTES", 1)
    monkeypatch.setattr(diverged, "PLACES_LEAST", 5)
    monkeypatch.setattr(lostworlds, "FILES", 2)
    monkeypatch.setattr(lostworlds, "MORE_BYTES", 50_000)
    for before in ("", "beyond"):  # the second run goes on in the first one's folder
        env = BatchEnv(site, CONFIG, worlds=8, seed=1, threads=1, diverged=tmp_path)
        env.reset()
        for _ in range(6):
            env.step(np.full((8, 2), np.nan, np.float32))
        assert env.diverged_total == 48
        assert before in (tmp_path / NOT_KEPT).read_text()
    assert relive(Config(tmp_path)) == 0
    *played, note = capsys.readouterr().out.splitlines()
    assert (tmp_path / MORE).stat().st_size <= 50_000
    said = [int(line.split()[0]) for line in (tmp_path / NOT_KEPT).read_text().splitlines()]
    assert len(said) == 4
    assert len(played) + sum(said) == 2 * 48
    assert "18 worlds blew up beyond the 5 places between two looks at the device: counted, not kept" in note


def test_a_file_that_is_no_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(DivergedError, match="expected a state that muster kept"):
        replay_diverged(tmp_path / "a.npz")
    with pytest.raises(DivergedError, match="no world of this run blew up"):
        find_files(tmp_path)
    with pytest.raises(DivergedError, match="does not exist"):
        find_files(tmp_path / "nowhere")
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    with pytest.raises(DivergedError, match="expected a state that muster kept"):
        replay_diverged(tmp_path / "b.npz")
