"""The subcommands of `muster`, in the order in which `muster --help` lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand: the module that has its `Config` and `run`, and what it is for."""

    module: str
    summary: str
    extra: str = ""
    """The extra of the distribution that it needs beyond the base install."""
    joins: bool = False
    """Whether it is one of a run's processes, the first of which makes the directory that MUSTER_RUN names."""


COMMANDS = {
    "doctor": Command("fleet.doctor", "look at clock, transports, peers, parameters, models and disk: what is to mend"),
    "launch": Command("fleet.launch", "start the processes of a launch file: muster launch FILE name:=value ..."),
    "train": Command("fleet.train", "train the navigation skill and freeze it", "sim,train", joins=True),
    "hierarchy": Command(
        "fleet.hierarchy_train", "train motor, navigate and meta bottom-up, each beside its twin", "sim,train"
    ),
    "driving-train": Command("fleet.driving_train", "train the driving skills and the manoeuvre policy", "sim,train"),
    "drive": Command(
        "fleet.driving", "drive a car on roads with shield and black box: video, report, logs", "sim,train,view"
    ),
    "car": Command(
        "fleet.car", "the computer of one car as a ROS 2 node, in shadow unless told to drive", "car,ros", joins=True
    ),
    "road": Command("fleet.roadserve", "the plant of one car: serve the driving simulator over ROS 2", "sim,ros"),
    "evaluate": Command("fleet.evaluate", "measure a frozen policy on unseen layouts", "sim,train"),
    "sim": Command("fleet.plant", "the plant: simulate a site with robots and people", "sim", joins=True),
    "validate-sim": Command(
        "fleet.validate", "is this my robot? compare and refit the simulation with recordings", "sim"
    ),
    "calibrate": Command("fleet.calibrate", "drive a course, fit a robot's bounds with their confidence", "sim"),
    "coordinate": Command(
        "fleet.coordinate", "the coordinator: tasks, assignment, right of way", "coordinator", joins=True
    ),
    "robot": Command("fleet.robot", "host one robot or several, each with its own loop", joins=True),
    "swap": Command("fleet.swap", "give the robots of a run another policy while they drive, or the one before"),
    "fleet": Command(
        "fleet.warehouse", "submit a warehouse's tasks, wait, write report and video", "sim,view", joins=True
    ),
    "blackbox": Command("fleet.box.command", "verify, recover, read or export black boxes, and make their seal keys"),
    "replay": Command("fleet.replay", "replay black boxes: identical, or the first field that differs", "sim"),
    "incident": Command("fleet.incident.page", "a page of what happened to a robot around a moment, from its log"),
    "calibrate-guard": Command(
        "fleet.guards.calibrate",
        "give a policy a guard: it tells what is new to it, and the fallback drives",
        "sim,train",
    ),
    "evaluate-offline": Command(
        "fleet.ope.command", "say from logs alone what another meta policy would have achieved", "coordinator"
    ),
    "registry": Command("fleet.registry.command", "keep policies by content, pin them into releases, name these"),
    "shadow": Command("fleet.shadow.command", "let a candidate decide beside production on recorded logs, and report"),
    "import": Command("fleet.shadow.importbag", "turn a rosbag2 recording of any robot into a log for muster shadow"),
    "judge": Command("fleet.judge.cli", "judge a candidate by its missions, replay a verdict"),
    "rollout": Command("fleet.rollout.command", "bring a release to a fleet stage by stage, and take it back"),
    "rollout-demo": Command(
        "fleet.rollout.demo",
        "two candidates for sixty simulated robots: one is caught, one confirmed",
        "sim,train",
        joins=True,
    ),
    "diverged": Command("sim.relive", "play worlds that blew up in training once more", "sim"),
    "view": Command("fleet.view", "show a run or an environment in the browser", "sim,view"),
    "page": Command(
        "fleet.ops.command", "the operator page of a fleet that runs: floor, alarms, tasks, rollout", "sim,view"
    ),
    "dashboards": Command("fleet.ops.dashboards", "write a Grafana dashboard and Prometheus alert rules"),
    "video": Command("sim.film", "draw a run as a video: the floor from above, a robot from behind", "sim,view"),
    "estop": Command("fleet.estop", "raise or reset the fleet's emergency stop"),
    "jog": Command("fleet.jog", "drive the robot that asked for an operator by hand, and hand it back"),
    "keys": Command("fleet.keys", "make the fleet's key and derive keys from it"),
}
