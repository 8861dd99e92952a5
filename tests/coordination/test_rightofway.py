import pytest

from coordination.messages import Report, RobotStatus
from coordination.mover import braking_distance
from coordination.rightofway import GRANT_ID_GAP, RightOfWay
from coordination.roadmap import NONE, Roadmap
from coordination.rules import Rules
from sim.robot import MILLISECOND, SECOND, RobotSpec
from tests.coordination.floors import floor

SPEC = RobotSpec(tracking_e0=0.03)


class Hall:
    """Robots that are put into places by hand, and the law that answers."""

    def __init__(self, *rows: str, rules: Rules | None = None) -> None:
        self.site = floor(*rows)
        self.law = RightOfWay(Roadmap(self.site), rules or Rules(), SPEC)
        self.now = SECOND

    def report(
        self,
        robot: str,
        cell: int,
        *,
        also: tuple[int, ...] = (),
        seen: int | None = None,
        speed: float = 0.0,
        status: RobotStatus = RobotStatus.MOVING,
        blocked: tuple[int, ...] = (),
        stamp: int | None = None,
        yaw: float = 0.0,
    ) -> None:
        x, y = self.site.centre(cell)
        grant = self.law.grant(robot, self.now)
        newest = grant.id if grant is not None else 0
        report = Report(
            round=0,
            stamp=self.now if stamp is None else stamp,
            pose=(float(x), float(y), yaw),
            twist=(speed, 0.0),
            cells=(cell, *also),
            battery=1.0,
            status=status,
            grant=newest if seen is None else seen,
            blocked=blocked,
        )
        self.law.observe(robot, report, self.now)

    def tick(self, count: int = 1, stopped: bool = False) -> None:
        for _ in range(count):
            self.now += 100 * MILLISECOND
            self.law.tick(self.now, stopped)

    def cells(self, robot: str) -> tuple[int, ...]:
        grant = self.law.grant(robot, self.now)
        return grant.cells if grant is not None else ()

    def owners(self) -> str:
        return "".join(self.law.ledger.holder(cell)[-1:] or "." for cell in range(self.law.roadmap.cells))


def test_a_grant_runs_from_the_robot_ahead_as_far_as_the_law_looks() -> None:
    hall = Hall("..........")
    hall.report("a", 1)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(10)
    assert hall.cells("a") == (1, 2, 3, 4, 5, 6), "the cell under it and five ahead"


def test_no_cell_has_two_owners_and_the_second_robot_waits_before_the_first() -> None:
    hall = Hall("..........")
    hall.report("a", 5)
    hall.report("b", 1)
    hall.law.set_goal("b", 9, hall.now)
    hall.report("a", 5, status=RobotStatus.WORKING)
    hall.tick(10)
    assert hall.cells("b") == (1, 2, 3, 4)
    assert hall.owners() == ".bbbba...."


def test_a_cell_behind_is_released_only_after_the_robot_has_seen_the_grant_without_it() -> None:
    hall = Hall("..........")
    hall.report("a", 1)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(5)
    old = hall.law.grant("a", hall.now)
    assert old is not None
    hall.report("a", 3, also=(2,), speed=1.0)
    hall.tick()
    assert hall.cells("a")[0] == 2, "what lies under it stays in the grant"
    hall.report("a", 3, speed=1.0, seen=old.id)
    assert 2 not in hall.cells("a")
    assert hall.law.ledger.holder(2) == "a", "it may still act on the grant that has it"
    hall.report("a", 3, speed=1.0)
    assert hall.law.ledger.holder(2) == ""


def test_an_acknowledgement_does_not_release_what_the_footprint_covers() -> None:
    hall = Hall("..........")
    hall.report("a", 1)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(5)
    hall.report("a", 3, also=(2,))
    hall.tick()
    hall.report("a", 3, also=(2,))
    assert hall.law.ledger.holder(2) == "a"


def test_a_grant_is_cut_back_behind_the_braking_distance_and_freed_when_it_is_seen() -> None:
    hall = Hall("..........", "..........")
    hall.report("a", 1)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(6)
    hall.report("a", 1, speed=1.5)
    hall.law.set_goal("a", 0, hall.now)
    hall.tick(10)
    # 1.5 m/s: 0.6 m in four periods, 0.75 m of braking, 0.03 m of tracking, 0.43 m of footprint: 1.81 m; the second
    # cell ahead begins at 1.8 m.
    assert hall.cells("a") == (1, 2, 3)
    assert hall.owners()[:7] == ".aaaaaa", "nothing is free before the robot has seen the shorter grant"
    hall.report("a", 1, speed=0.0)
    hall.tick(3)
    assert hall.owners()[4:7] == "..."


def test_braking_distance_by_hand() -> None:
    assert braking_distance(0.0, SPEC) == pytest.approx(0.05)
    assert braking_distance(1.5, SPEC) == pytest.approx(1.5 * 0.4 + 1.5**2 / 3.0 + 0.03)
    assert braking_distance(0.5, SPEC) == pytest.approx(0.9 * 0.4 + 0.9**2 / 3.0 + 0.03)


def test_a_follower_waits_for_the_cell_that_the_leader_leaves() -> None:
    hall = Hall("..........")
    hall.report("a", 4)
    hall.report("b", 3)
    hall.law.set_goal("a", 9, hall.now)
    hall.law.set_goal("b", 8, hall.now)
    hall.tick()
    assert hall.law.waits_for() == {"b": "a"}
    assert hall.cells("b") == (3,), "a pending step is told to nobody"
    hall.report("a", 5, speed=1.0)
    hall.report("a", 5, speed=1.0)
    hall.tick()
    assert hall.cells("b") == (3, 4)


def test_two_robots_never_wait_for_each_other_and_a_full_ring_stands() -> None:
    hall = Hall("...", ".@.", "...")
    ring = [0, 1, 2, 5, 8, 7, 6, 3]
    for index, cell in enumerate(ring):
        hall.report(f"r{index}", cell)
        hall.law.set_goal(f"r{index}", ring[(index + 2) % 8], hall.now)
    hall.tick(5)
    assert hall.law.waits_for() == {}


def test_a_pending_step_is_given_up_after_a_while() -> None:
    hall = Hall("..........", rules=Rules(standing=3600 * SECOND))
    hall.report("a", 4)
    hall.report("b", 3)
    hall.law.set_goal("a", 9, hall.now)
    hall.law.set_goal("b", 8, hall.now)
    hall.tick()
    assert hall.law.waits_for() == {"b": "a"}
    since = hall.law.ledger.movers["b"].pending_since
    for _ in range(60):
        hall.report("a", 4)
        hall.report("b", 3)
        hall.tick()
    assert hall.law.ledger.movers["b"].pending_since > since


def test_an_idle_robot_is_pushed_out_of_the_way() -> None:
    hall = Hall("......", "@@@.@@")
    hall.report("idle", 3, status=RobotStatus.IDLE)
    hall.report("b", 0)
    hall.law.set_goal("b", 5, hall.now)
    for _ in range(8):
        hall.tick()
        hall.report("idle", hall.cells("idle")[-1], status=RobotStatus.IDLE)
        hall.report("b", 0)
    assert hall.cells("b")[-1] >= 3, "the idle robot has made room"


def test_a_robot_at_its_goal_is_not_pushed_off_it() -> None:
    hall = Hall("......")
    hall.report("a", 3)
    hall.law.set_goal("a", 3, hall.now, finishing=True)
    hall.report("b", 0)
    hall.law.set_goal("b", 5, hall.now, level=9)
    hall.tick(5)
    assert hall.cells("a") == (3,)


def test_a_silent_robot_keeps_its_cells_and_gets_no_new_ones() -> None:
    hall = Hall("..........")
    hall.report("a", 1)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(2)
    before = hall.owners()
    hall.now += 3600 * SECOND
    hall.tick(5)
    assert hall.owners() == before


def test_a_stopped_fleet_is_given_no_cell() -> None:
    hall = Hall("..........")
    hall.report("a", 1)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(5, stopped=True)
    assert hall.owners() == ".a........"


def test_a_restart_keeps_what_was_held_until_the_robot_speaks_and_then_drives_on() -> None:
    hall = Hall("..........")
    hall.law.restore({"a": [1, 2, 3, 4]}, 17, hall.now)
    hall.law.set_goal("a", 9, hall.now)
    hall.tick(3)
    assert hall.owners() == ".aaaa....."
    assert hall.cells("a") == (1, 2, 3, 4), "nobody else may have them, and the robot may still be using them"
    hall.report("a", 2, also=(3,), seen=12, speed=1.0)
    hall.tick()
    assert hall.cells("a")[0] == 2
    assert hall.cells("a")[:3] == (2, 3, 4)
    grant = hall.law.grant("a", hall.now)
    assert grant is not None
    assert grant.id >= 17 + GRANT_ID_GAP
    assert hall.law.ledger.holder(1) == "a", "grant 12 is none that leaves cell 1 out"


def test_two_robots_that_claim_one_cell_get_no_grant_until_one_is_gone() -> None:
    hall = Hall("......")
    hall.report("a", 2)
    hall.report("b", 2)
    hall.tick()
    assert hall.cells("a") == (2,)
    assert hall.law.grant("b", hall.now) is None
    assert hall.law.conflicts == ["b stands in cells [2] that a holds"]
    hall.report("a", 3)
    hall.law.forget("a")
    hall.report("b", 2)
    hall.tick()
    assert hall.cells("b") == (2,)


def test_older_reports_change_nothing() -> None:
    hall = Hall("......")
    hall.report("a", 3)
    hall.report("a", 1, stamp=hall.now - 1)
    assert hall.owners() == "...a.."


def test_a_pose_off_the_floor_is_objected_to_and_changes_nothing() -> None:
    hall = Hall("...@..")
    hall.report("a", 1)
    hall.report("a", 3)
    assert hall.owners() == ".a...."
    assert "off the free floor" in hall.law.conflicts[0]


def test_a_robot_that_finds_itself_again_goes_on_and_loses_no_cell() -> None:
    hall = Hall("..........", "@.........")
    hall.report("a", 1)
    hall.report("b", 5)
    hall.law.set_goal("a", 9, hall.now)
    hall.law.set_goal("b", 9, hall.now)
    hall.tick(4)
    held = hall.owners().count("a")
    hall.report("a", 10)
    assert hall.law.grant("a", hall.now) is None
    for _ in range(40):
        hall.tick()
        hall.report("a", 1)
        hall.report("b", 8, status=RobotStatus.WORKING)
    assert hall.law.grant("a", hall.now) is not None
    assert hall.owners().count("a") >= held
    mover = hall.law.ledger.movers["a"]
    assert sorted([*mover.path, *mover.returning]) == [c for c in range(20) if hall.law.ledger.holder(c) == "a"]


def test_a_cell_beside_the_grant_is_held_while_the_footprint_covers_it() -> None:
    hall = Hall("......", "......")
    hall.report("a", 1)
    hall.report("a", 1, also=(7,))
    assert hall.law.ledger.holder(7) == "a"
    assert hall.cells("a") == (1,), "it is not the robot's to drive in"
    hall.report("a", 1)
    assert hall.law.ledger.holder(7) == ""


def test_a_blocked_cell_is_driven_around_and_tried_again_later() -> None:
    hall = Hall("......", ".@@@@.", "......")
    hall.report("a", 0)
    hall.law.set_goal("a", 5, hall.now)
    hall.tick(5)
    assert hall.cells("a")[1] == 1
    for _ in range(12):
        hall.report("a", 0, blocked=(2,), status=RobotStatus.BLOCKED)
        hall.tick()
    assert hall.cells("a")[1] == 6, "the other way round"
    hall.report("a", 0)
    hall.tick(300)
    for _ in range(12):
        hall.report("a", 0)
        hall.tick()
    assert hall.cells("a")[1] == 1


def test_a_robot_waits_behind_one_that_stands_rather_than_try_a_blocked_cell() -> None:
    hall = Hall("......", ".@@@@.", "......")
    hall.report("a", 0)
    hall.report("b", 14)
    hall.law.set_goal("a", 5, hall.now)
    hall.tick(5)
    for _ in range(100):
        hall.report("a", 0, blocked=(2,), status=RobotStatus.BLOCKED)
        hall.report("b", 14, status=RobotStatus.WORKING)
        hall.tick()
    assert hall.cells("a") == (0, 6, 12, 13)


def test_a_blocked_cell_without_another_way_stays_granted() -> None:
    hall = Hall("......")
    hall.report("a", 0)
    hall.law.set_goal("a", 5, hall.now)
    hall.tick(5)
    hall.report("a", 0, blocked=(2,), status=RobotStatus.BLOCKED)
    hall.tick(5)
    assert hall.cells("a") == (0, 1, 2, 3, 4, 5)


def test_a_robot_that_stands_across_two_cells_is_driven_around() -> None:
    hall = Hall("......", ".@@@@.", "......")
    hall.report("a", 2, also=(3,), status=RobotStatus.IDLE)
    hall.report("b", 5)
    hall.law.set_goal("b", 12, hall.now)
    for _ in range(80):
        hall.report("a", 2, also=(3,), status=RobotStatus.IDLE)
        hall.report("b", 5)
        hall.tick()
    assert hall.cells("b")[1] == 11, "the way past cell 3 would be the shorter one"


def test_others_are_the_cells_nearby_that_are_not_its_own() -> None:
    hall = Hall("." * 40)
    hall.report("a", 5)
    hall.report("b", 8)
    hall.report("c", 30)
    assert hall.law.others("a") == (8,)
    assert hall.law.others("c") == ()
    assert hall.law.others("unknown") == ()


def test_room_for_robots_grows() -> None:
    hall = Hall(*["." * 30] * 30)
    for index in range(200):
        hall.report(f"r{index}", 2 * index)
        hall.law.set_goal(f"r{index}", 899 - index, hall.now)
    hall.tick(3)
    assert len({hall.law.tail(f"r{index}") for index in range(200)}) == 200
    assert hall.law.tail("unknown") == NONE
