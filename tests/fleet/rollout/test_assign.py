import pytest

from fleet.rollout.assign import CANDIDATE, HOLDOUT, arms, holdout, order
from fleet.rollout.plan import SHARES, RolloutError, Share

FLEETS = [
    {f"r{number}": f"z{number % zones}" for number in range(count)} for count in (2, 7, 60, 1000) for zones in (1, 3)
]


@pytest.mark.parametrize("fleet", FLEETS, ids=lambda fleet: f"{len(fleet)}x{len(set(fleet.values()))}")
def test_each_stage_has_its_share_less_the_holdout_and_keeps_who_was_in_it(fleet: dict[str, str]) -> None:
    held = holdout(fleet, "spring", 0.05)
    assert len(held) == max(1, -(-len(fleet) // 20))
    before: dict[str, str] = {}
    for share in SHARES:
        given = arms(fleet, "spring", share, held, before)
        mine = {robot for robot, arm in given.items() if arm == CANDIDATE}
        assert {robot for robot, arm in before.items() if arm == CANDIDATE} <= mine
        assert not mine & set(held)
        assert all(given[robot] == HOLDOUT for robot in held)
        wanted = max(1, -(-round(share.robots * 100) * len(fleet) // 100))
        assert len(mine) <= wanted
        if not share.zones:
            assert len(mine) == min(wanted, len(fleet) - len(held))
        before = given


def test_who_is_chosen_depends_on_the_rollout_and_not_on_the_order_of_the_fleet() -> None:
    fleet = FLEETS[4]
    turned = dict(reversed(fleet.items()))
    assert order(fleet, "spring") == order(turned, "spring")
    assert order(fleet, "spring") != order(fleet, "autumn")


def test_zones_take_turns() -> None:
    fleet = FLEETS[5]
    line = order(fleet, "spring")
    assert {fleet[robot] for robot in line[:3]} == {"z0", "z1", "z2"}
    assert len({fleet[robot] for robot in order(fleet, "spring", zones=1)}) == 1


def test_a_robot_that_joins_moves_nobody() -> None:
    fleet = FLEETS[4]
    held = holdout(fleet, "spring", 0.05)
    share = Share(0.25, 0, 1, 0.0, True)
    before = arms(fleet, "spring", share, held, {})
    after = arms({**fleet, "r900": "z0"}, "spring", share, held, before)
    assert {robot for robot in before if before[robot] == CANDIDATE} <= {r for r in after if after[r] == CANDIDATE}


def test_a_fleet_of_one_has_nothing_to_compare() -> None:
    with pytest.raises(RolloutError, match="2 robots"):
        holdout({"r0": "z0"}, "spring", 0.05)
