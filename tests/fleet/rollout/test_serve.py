"""The rollout as a service: a real process, which is killed and goes on, and robots with leases of it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from coordination.keys import Keys, ensure_keys
from coordination.messages import LeaseAsk
from coordination.zmq_transport import ZmqClient
from fleet.judge.missions import FILE as MISSIONS
from fleet.judge.missions import Mission, MissionError, append_missions
from fleet.judge.settings import Settings
from fleet.rollout.authority import Signed, sign
from fleet.rollout.events import FILE, Store
from fleet.rollout.leasing import ROLLOUT, Tether
from fleet.rollout.meters import RolloutMetrics
from fleet.rollout.plan import RolloutError, Stage
from fleet.rollout.record import Gate, State, Tripped
from fleet.rollout.serve import Service
from fleet.rundir import create_run
from fleet.serving import Serving
from tests.fleet.judge.worlds import missions
from tests.fleet.rollout.rollouts import NEW, SECOND, started

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0
"""s that a process may take to start on a busy machine"""


@dataclass(frozen=True)
class Version:
    name: str


class Site:
    """A run with a rollout in its first share of the fleet."""

    def __init__(self, root: Path) -> None:
        directory = create_run(root, arguments=["test"], config={}, seed=1, clock="lockstep")
        self.run, self.keys = directory.root, ensure_keys(directory.key)
        self.store = Store(self.run / FILE, self.keys)
        self.store.append(started())
        for stage in (Stage.OFFLINE, Stage.SUITE, Stage.SHADOW):
            self.store.append(Gate(stamp=0, stage=stage, decision="promote", reason="good"))
        for item, by in (("stops", "operator_anna"), ("falls back", "operator_bert")):
            self.order("sign", by, item)
        self.state = self.order("promote")
        (self.driver,) = [robot for robot, arm in self.state.arms.items() if arm == "candidate"]

    def order(self, verb: str, by: str = "operator_anna", item: str = "", keys: Keys | None = None) -> State:
        state, key = self.store.state(), self.keys.node(by)
        assert key is not None
        signed = Signed(rollout="spring", verb=verb, by=by, seen=state.number, stamp=time.time_ns(), item=item)
        return self.store.order(sign(signed, keys or Keys(nodes={by: key})))[0]

    @contextlib.contextmanager
    def robot(self, name: str, address: str, pinned: tuple[str, str] = ("", "")) -> Iterator["Robot"]:
        """A robot's versions with its lease."""
        key = self.keys.node(name)
        assert key is not None
        link = ZmqClient(name, ROLLOUT, Keys(nodes={name: key}), address)
        serving = Serving(Version("old"), lambda place: Version(place.name))
        serving.start()
        yield Robot(serving, Tether(serving, link, Path(), pinned=pinned))
        link.close()
        serving.close()


@dataclass
class Robot:
    serving: Serving[Version]
    tether: Tether[Version]

    def __call__(self, version: str, patience: float) -> float:
        """Keep the lease until a version answers; how long that was, s."""
        began = time.monotonic()
        while self.serving.current.name != version:
            assert time.monotonic() < began + patience, self.serving.current.name
            self.tether.keep()
            time.sleep(0.01)
        return time.monotonic() - began


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def serve(run: Path, address: str, log: Path) -> tuple[subprocess.Popen, str]:
    """The command, once it says where it is."""
    words = [sys.executable, "-m", "fleet.cli", "rollout", "serve", str(run), "--address", address]
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
        )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := re.search(r"leases at (\S+)", log.read_text()):
            return process, found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    process.kill()
    raise AssertionError(log.read_text())


def test_a_service_that_is_killed_lets_robots_fall_back_and_goes_on_when_it_is_started_again(
    site: Site, tmp_path: Path
) -> None:
    process, address = serve(site.run, "tcp://127.0.0.1:*", tmp_path / "log")
    try:
        with site.robot(site.driver, address) as until:
            until(NEW.release, 10.0)
            process.send_signal(signal.SIGKILL)
            process.wait(10.0)
            assert until("old", 5.0) < 2.0
            process, _ = serve(site.run, address, tmp_path / "log")
            until(NEW.release, 10.0)
            site.order("kill")
            assert until("old", 5.0) < 2.0
            site_says = (tmp_path / "log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10.0) == 0
        assert "part_1, killed" in site_says + (tmp_path / "log").read_text()
        assert site.store.state().status == "killed"
    finally:
        process.kill()


@contextlib.contextmanager
def served(site: Site, settings: Settings | None = None) -> Iterator[Service]:
    service = Service(site.run, site.keys, settings or Settings(), "tcp://127.0.0.1:*")
    yield service
    service.close()


def test_one_service_alone_serves_a_rollout(site: Site) -> None:
    with served(site), pytest.raises(RolloutError, match="a process does"):
        Service(site.run, site.keys, Settings(), "tcp://127.0.0.1:*")


def test_a_run_without_a_rollout_is_not_served(tmp_path: Path) -> None:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    with pytest.raises(RolloutError, match="muster rollout start"):
        Service(directory.root, ensure_keys(directory.key), Settings(), "tcp://127.0.0.1:*")


def test_nobody_without_a_key_gets_a_lease_or_gives_an_order(site: Site) -> None:
    with served(site) as service:
        service.turn(0.0)
        stranger = ZmqClient(site.driver, ROLLOUT, Keys(nodes={site.driver: b"x" * 32}), service.server.address)
        assert stranger.connected(5.0)
        stranger.send(ROLLOUT, LeaseAsk(1, fallen="novelty"), 0)
        assert stranger.receive(0.5) == []
        stranger.close()
        with pytest.raises(RolloutError, match="not signed"):
            site.order("kill", keys=Keys(nodes={"operator_anna": b"x" * 32}))
        state = service.turn(0.1)
        assert (state.status, state.arms) == ("running", site.state.arms)


def test_the_judge_is_asked_of_missions_that_others_write_and_takes_a_bad_candidate_back(site: Site) -> None:
    with served(site) as service:
        service.turn(0.0)
        for number in range(400):
            now = time.time_ns()
            bad = number % 2 == 0
            append_missions(
                site.run / MISSIONS,
                [
                    Mission(
                        id=str(number),
                        robot=site.driver if bad else f"r{number % 7 + 1}",
                        shift="1",
                        arm="candidate" if bad else "baseline",
                        begin=now - 10 * SECOND,
                        end=now,
                        interventions=int(bad),
                        contacts=0,
                        near_misses=0,
                        done=True,
                    )
                ],
            )
            if service.turn(0.1 * (number + 1)).final:  # long before it would be asked by its clock
                break
        state = site.store.state()
        assert (state.status, state.stage) == ("rolled_back", Stage.PART_1)
        assert service.server.lessor.answer(site.driver, LeaseAsk(1)).release == ""
        assert "rolled back (interventions.rate" in service.news()
        assert service.news() == ""


def test_a_robot_whose_guard_trips_is_told_to_the_rollout_once(site: Site) -> None:
    with served(site) as service, site.robot(site.driver, service.server.address) as until:
        service.turn(0.0)
        until(NEW.release, 10.0)
        until.tether.trip("novelty")
        until("old", 1.0)
        deadline = time.monotonic() + 5.0
        while not service.turn(0.1).tripped:
            assert time.monotonic() < deadline
            until.tether.keep()
            time.sleep(0.02)
        event = site.store.rows()[-1].event
        assert isinstance(event, Tripped)
        assert (event.robot, event.reason) == (site.driver, "novelty")


def test_a_file_of_missions_that_cannot_be_gone_by_ends_the_service(site: Site) -> None:
    with served(site) as service:
        service.turn(0.0)
        (site.run / MISSIONS).write_text("{}\n")
        with pytest.raises(MissionError, match="line 1"):
            service.turn(0.1)


@pytest.mark.parametrize("pinned", [("d" * 64, NEW.shield), (NEW.embodiment, "4" * 64)], ids=["spec", "shield"])
def test_a_robot_with_another_specification_or_shield_gets_no_candidate_and_all_return_to_the_closed_course(
    site: Site, pinned: tuple[str, str]
) -> None:
    with served(site) as service:
        service.turn(0.0)
        with site.robot(site.driver, service.server.address, (NEW.embodiment, NEW.shield)) as same:
            same(NEW.release, 10.0)
        with site.robot(site.driver, service.server.address, pinned) as other:
            deadline = time.monotonic() + 10.0
            while service.turn(0.1).stage is not Stage.COURSE:
                assert time.monotonic() < deadline
                other.tether.keep()
                assert other.serving.current.name == "old"
                time.sleep(0.02)
        state = site.store.state()
        assert (state.candidate.embodiment, state.candidate.shield) == pinned
        assert state.signed == {}
        assert state.epoch > site.state.epoch


def test_a_new_robot_joins_on_the_old_release_and_one_of_another_embodiment_stays_out(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(site) as service:
        service.turn(0.0)
        pinned = {"new": (NEW.embodiment, NEW.shield), "odd": ("d" * 64, NEW.shield)}
        robots = [site.robot(name, service.server.address, hashes) for name, hashes in pinned.items()]
        with robots[0] as new, robots[1] as odd:
            deadline, said = time.monotonic() + 10.0, ""
            while "odd is dddd" not in said or "new" not in service.conductor.state.robots:
                said += capsys.readouterr().out
                assert time.monotonic() < deadline
                new.tether.keep()
                odd.tether.keep()
                service.turn(0.1)
                time.sleep(0.02)
            assert (new.serving.current.name, odd.serving.current.name) == ("old", "old")
        state = site.store.state()
        assert state.arms["new"] == "baseline"
        assert "odd" not in state.robots
        assert (state.stage, state.epoch) == (site.state.stage, site.state.epoch)


def test_how_the_rollout_stands_is_told_to_prometheus(site: Site) -> None:
    metrics = RolloutMetrics()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"muster_rollout_{name}", labels)

    with served(site) as service, site.robot(site.driver, service.server.address) as until:
        service.turn(0.0)
        metrics.tell(service.conductor, service.server)
        assert (value("stage"), value("status", status="running"), value("undecided")) == (5.0, 1.0, 0.0)
        assert (value("robots", arm="candidate"), value("robots", arm="holdout")) == (1.0, 3.0)
        assert value("asking_robots", arm="candidate") == 0.0
        until(NEW.release, 10.0)
        append_missions(
            site.run / MISSIONS, [msgspec.structs.replace(each, robot=site.driver) for each in missions()[:7]]
        )
        service.turn(0.1)
        metrics.tell(service.conductor, service.server)
        assert value("asking_robots", arm="candidate") == 1.0
        assert value("missions_total") == 7.0
        epoch = value("epoch")
        site.order("kill")
        service.turn(0.2)
        metrics.tell(service.conductor, service.server)
        assert (value("status", status="killed"), value("status", status="running")) == (1.0, 0.0)
        assert value("epoch") != epoch
        assert value("robots", arm="candidate") == 0.0
