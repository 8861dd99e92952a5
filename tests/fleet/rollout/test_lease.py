import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordination.keys import Keys, new_keys
from coordination.messages import Lease, LeaseAsk
from coordination.zmq_transport import ZmqClient
from fleet.rollout.lease import ASK, SECOND, SPAN, Lessee, Lessor
from fleet.rollout.leasing import ROLLOUT, LeaseServer, Tether
from fleet.rollout.plan import Course, Stage
from fleet.serving import Serving
from sim.errors import MusterError
from tests.fleet.rollout.rollouts import Rollout

START = 50 * SECOND


def leased(now: int = START, epoch: int = 1) -> Lessee:
    robot = Lessee()
    ask = robot.ask(now, "")
    assert ask is not None
    robot.take(Lease("new", epoch, ask.asked, SPAN), now + 1)
    return robot


def test_a_lease_holds_from_the_question_on_and_ends_by_itself_within_two_seconds() -> None:
    robot = leased()
    assert robot.release(START + SPAN - 1) == "new"
    assert robot.release(START + SPAN) == ""
    assert SPAN < 2 * SECOND


def test_an_answer_that_lay_in_a_queue_is_as_old_as_it_is() -> None:
    robot = Lessee()
    ask = robot.ask(START, "")
    assert ask is not None
    robot.take(Lease("new", 1, ask.asked, SPAN), START + SPAN + SECOND)
    assert robot.release(START + SPAN + SECOND) == ""


@pytest.mark.parametrize(
    "lease",
    [
        Lease("new", 0, START, SPAN),
        Lease("new", 1, START + 10 * SECOND, SPAN),
        Lease("new", 1, START, 3600 * SECOND),
        Lease("new", 1, 0, SPAN),
    ],
    ids=["older epoch", "asked in the future", "an hour", "not asked for"],
)
def test_a_lease_that_cannot_be_is_not_taken(lease: Lease) -> None:
    robot = leased()
    robot.take(Lease("", 1), START + 2)
    robot.take(lease, START + SECOND)
    assert robot.release(START + SECOND) == ""
    assert robot.counts["refused"] == 1


def test_a_revocation_ends_the_lease_and_what_was_on_its_way_before_it_holds_no_more() -> None:
    robot = leased()
    robot.take(Lease("", 2), START + 5)
    robot.take(Lease("new", 1, START, SPAN), START + 6)
    assert robot.release(START + 6) == ""


def test_a_guard_bars_the_candidate_until_a_newer_epoch_and_says_why() -> None:
    robot = leased()
    robot.trip("novelty")
    assert robot.release(START + 2) == ""
    ask = robot.ask(START + ASK, "")
    assert ask is not None
    assert ask.fallen == "novelty"
    robot.take(Lease("new", 1, ask.asked, SPAN), START + ASK + 1)
    assert robot.release(START + ASK + 1) == ""
    robot.take(Lease("new", 2, ask.asked, SPAN), START + ASK + 2)
    assert robot.release(START + ASK + 2) == "new"


def test_the_rollout_leases_the_candidate_to_those_that_drive_it_and_to_nobody_after_a_revocation() -> None:
    office = Lessor()
    assert office.answer("r0", LeaseAsk(1)).release == ""
    office.deploy({"r0": "candidate", "r1": "baseline", "r2": "holdout"}, "new", 3)
    assert [office.answer(robot, LeaseAsk(1)).release for robot in ("r0", "r1", "r2", "r9")] == ["new", "", "", ""]
    assert office.answer("r0", LeaseAsk(1, fallen="novelty")).release == ""
    assert office.close().epoch == 4
    assert office.answer("r0", LeaseAsk(1)) == Lease("", 4, 1, SPAN)


# a host's versions tied to it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    name: str


def load(place: Path) -> Version:
    if place.name == "broken":
        raise MusterError("it does not load")
    return Version(place.name)


@dataclass
class Site:
    server: LeaseServer
    serving: Serving[Version]
    tether: Tether[Version]
    keys: Keys
    fallen: list[tuple[str, str]]

    def until(self, name: str, patience: float = 5.0, place: tuple[float, float] | None = None) -> float:
        """Keep the tether, as a loop does, until a version answers; how long it took, s."""
        began = time.monotonic()
        while self.serving.current.name != name:
            assert time.monotonic() < began + patience, self.serving.current.name
            self.tether.keep([place])
            time.sleep(0.005)
        return time.monotonic() - began

    def stays(self, name: str, seconds: float, place: tuple[float, float] | None = None) -> None:
        """Keep it for a while: the version stays."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tether.keep([place])
            assert self.serving.current.name == name
            time.sleep(0.01)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    keys = new_keys()
    fallen: list[tuple[str, str]] = []
    server = LeaseServer(Lessor(), keys, "tcp://127.0.0.1:*", lambda robot, why: fallen.append((robot, why)))
    server.start()
    key = keys.node("r0")
    assert key is not None
    client = ZmqClient("r0", ROLLOUT, Keys(nodes={"r0": key}), server.address)
    serving = Serving(Version("old"), load)
    serving.start()
    yield Site(server, serving, Tether(serving, client, tmp_path), keys, fallen)
    server.close()
    client.close()
    serving.close()


def test_a_robot_drives_the_candidate_by_its_lease_and_the_old_release_once_it_is_revoked(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1)
    site.until("new")
    site.stays("new", 2.5)  # renewed
    assert site.tether.release == "new"
    site.server.revoke()
    assert site.until("old") < 1.0
    assert site.tether.release == ""
    site.stays("old", 1.0)
    site.server.deploy({"r0": "candidate"}, "new", 9)
    site.until("new")


def test_a_robot_that_is_cut_off_drives_the_old_release_within_two_seconds(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1)
    site.until("new")
    site.server.close()
    assert site.until("old") < 2.0


def test_a_guard_that_went_back_by_itself_is_not_overruled_and_the_rollout_is_told(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1)
    site.until("new")
    site.serving.back()  # in the tick, by whatever guards the loop
    site.stays("old", 1.0)
    assert site.fallen == [("r0", "guard")]


def test_its_own_guard_takes_effect_in_the_same_step(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1)
    site.until("new")
    site.tether.trip("novelty")
    assert site.serving.current.name == "old"
    site.stays("old", 1.0)
    assert site.fallen == [("r0", "novelty")]


def test_a_release_that_does_not_load_leaves_the_old_one_driving(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "broken", 1)
    site.stays("old", 1.5)
    assert len(site.fallen) == 1
    assert "does not load" in site.fallen[0][1]


def test_a_stranger_gets_no_lease_and_takes_none_away(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1)
    site.until("new")
    stranger = ZmqClient("r0", ROLLOUT, Keys(nodes={"r0": b"x" * 32}), site.server.address)
    assert stranger.connected(5.0)
    stranger.send(ROLLOUT, LeaseAsk(1, fallen="novelty"), 0)
    site.stays("new", 0.5)
    assert stranger.receive(0.3) == []
    stranger.close()
    assert not site.fallen


# the closed course ----------------------------------------------------------------------------------------------------

FENCE = (0.0, 0.0, 5.0, 4.0)
COURSE = Course(robots=("r0",), fence=FENCE, speed=0.25)


def test_leases_of_the_closed_course_alone_have_its_fence_and_speed() -> None:
    office = Lessor()
    office.deploy({"r0": "candidate", "r1": "baseline"}, "new", 1, COURSE)
    lease = office.answer("r0", LeaseAsk(1))
    assert (lease.fence, lease.speed) == (FENCE, 0.25)
    assert office.answer("r1", LeaseAsk(1)).fence is None
    rollout = Rollout()
    rollout.to(Stage.COURSE)
    office.follow(rollout.state)
    assert office.answer("r0", LeaseAsk(1)).fence == rollout.state.plan.course.fence
    rollout.to(Stage.PART_100)
    office.follow(rollout.state)
    driving = next(robot for robot, arm in rollout.state.arms.items() if arm == "candidate")
    assert office.answer(driving, LeaseAsk(1)).fence is None


@pytest.mark.parametrize(
    ("places", "holds"),
    [
        ([(2.0, 2.0)], True),
        ([(5.0, 4.0)], True),
        ([(5.01, 2.0)], False),
        ([(2.0, -0.01)], False),
        ([(2.0, 2.0), (2.0, 9.0)], False),
        ([None], False),
        ([(float("nan"), 2.0)], False),
        ([], False),
    ],
)
def test_a_lease_with_a_fence_holds_while_all_its_robots_are_known_to_be_inside(places: list, holds: bool) -> None:
    robot = Lessee()
    ask = robot.ask(START, "")
    assert ask is not None
    robot.take(Lease("new", 1, ask.asked, SPAN, FENCE, 0.25), START + 1)
    assert robot.release(START + 2, places) == ("new" if holds else "")
    assert robot.release(START + SPAN, places) == ""


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_a_lease_with_a_speed_that_cannot_be_is_not_taken(speed: float) -> None:
    robot = Lessee()
    ask = robot.ask(START, "")
    assert ask is not None
    robot.take(Lease("new", 1, ask.asked, SPAN, FENCE, speed), START + 1)
    assert robot.release(START + 2, [(1.0, 1.0)]) == ""
    assert robot.counts["refused"] == 1


def test_a_robot_that_leaves_the_course_drives_the_old_release_and_comes_back_to_the_candidate_no_more(
    site: Site,
) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1, COURSE)
    site.until("new", place=(2.0, 2.0))
    assert site.tether.speed == 0.25
    site.tether.keep([(5.2, 2.0)])
    assert site.serving.current.name == "old"
    assert site.tether.speed == 0.0
    site.stays("old", 1.0, place=(2.0, 2.0))
    assert site.fallen == [("r0", "outside of the closed course's fence")]


def test_a_robot_outside_of_the_course_does_not_begin_there_and_is_no_trip(site: Site) -> None:
    site.server.deploy({"r0": "candidate"}, "new", 1, COURSE)
    site.stays("old", 1.0, place=(9.0, 2.0))
    site.until("new", place=(2.0, 2.0))
    assert site.fallen == []
