"""How people behave and how many forklifts there are, as rows of the table: off by default, drawn for a world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.env import BatchEnv
from sim.generate import generate_warehouse
from sim.manners import SHARES, Manners
from sim.people import Profile
from sim.site import Site, make_site
from sim.tasks.navigate import NavigateConfig
from sim.vary import VaryError, vary

CROWD = replace(NavigateConfig(), paths=64, people=4, crowd="social_force", profile=Profile.WALKING)
TRUCKS = replace(NavigateConfig(), paths=64, people=0, forklifts=3, profile=Profile.WALKING)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_warehouse(3)


def test_rows_are_there_for_those_who_move_and_as_configured() -> None:
    names = {row.name for row in NavigateConfig().table()}
    assert not {name for name in names if name.startswith(("crowd_", "forklift_"))}
    table = replace(CROWD, manners=Manners(crossing=0.4)).table()
    assert (table.row("crowd_crossing").low, table.row("crowd_crossing").high) == (0.4, 0.4)
    assert not any(table.row(f"crowd_{name}").varies for name in SHARES)
    assert (TRUCKS.table().row("forklift_count").low, TRUCKS.table().row("forklift_count").high) == (3.0, 3.0)
    with pytest.raises(VaryError, match="crowd_running: high: expected a number from 0 to 1"):
        replace(CROWD, randomization=vary(crowd_running=(0.0, 2.0))).table()
    with pytest.raises(VaryError, match="forklift_count: high: expected a number from 0 to 3 of the forklifts, got 4"):
        replace(TRUCKS, randomization=vary(forklift_count=(0.0, 4.0))).table()


def test_people_run_and_heed_where_their_worlds_share_says_so(site: Site) -> None:
    drawn = vary(crowd_running=(0.0, 1.0), crowd_heeding=(0.0, 1.0), person_share=1.0)
    env = BatchEnv(site, replace(CROWD, randomization=drawn), worlds=96, seed=2, threads=1)
    env.reset()
    env.step(np.zeros((96, 2), np.float32))
    there = env.people.origin.numpy() >= 0
    values = env.plant.varies.values.numpy()
    for name, seen in (("running", env.people.speed.numpy() > 2.0), ("heeding", env.plant.crowd.heeds.numpy() > 0)):
        share = np.broadcast_to(values[:, env.table.index(f"crowd_{name}")][:, None], there.shape)
        assert seen[there & (share < 0.3)].mean() < 0.3
        assert seen[there & (share > 0.7)].mean() > 0.7


def test_a_world_has_as_many_forklifts_as_it_drew() -> None:
    seen, site = {}, make_site("open", np.zeros((14, 18), bool))
    for name, change in (("all", vary()), ("some", vary(forklift_count=(0.0, 3.0)))):
        env = BatchEnv(site, replace(TRUCKS, randomization=change), worlds=32, seed=2, threads=1)
        env.reset()
        seen[name] = np.array(env.plant.forklifts.place.numpy())
        count = env.plant.varies.values.numpy()[:, env.table.index("forklift_count")]
        assert (seen[name] >= 0).sum(axis=1).tolist() == count.tolist()
    some = seen["some"] >= 0
    assert set(some.sum(axis=1).tolist()) == {0, 1, 2, 3}
    np.testing.assert_array_equal(seen["some"][:, 0][some[:, 0]], seen["all"][:, 0][some[:, 0]])  # the same lives
