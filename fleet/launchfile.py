"""Read a launch file: what `ros2 launch` and `muster launch` do alike, without ROS.

    launch:
      - arg: {name: robots, default: "16", description: "how many"}
      - executable:
          cmd: muster sim --robots r[0:$(var robots)]
          output: both
      - node: {pkg: muster_ros, exec: robot, namespace: r1, param: [{name: speed, value: 0.5}]}

Everything else of ROS is refused with its line, as is an unknown key (with the nearest known one). The actions stand in
`launchactions`, the substitutions in `launchtext`, the scope that they are evaluated in in `launchscope`, a node's ROS
arguments in `launchros`. Source: ROS 2's launch and launch_ros (Jazzy). What differs from them when it runs:

- A node of the package `muster_ros`, and an `executable` muster, is started with the Python that runs the launcher; a
  node of another package by the ament index, or where ROS 2 is not sourced as `python -m pkg.exec`.
- `respawn` starts a process again that failed, not one that ended with 0; one without it that fails ends the launch.

This module evaluates; `launch` runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from fleet.launchactions import Entry, read_actions
from fleet.launchpackages import OWN, PROGRAMS, program
from fleet.launchplan import Argument, Message, Plan, Process
from fleet.launchros import pushed, ros_arguments
from fleet.launchscope import NAMESPACE, Frame, Scope
from fleet.launchyaml import LaunchError
from sim.errors import nearest

OUTPUTS = ("log", "screen", "both")


def read_plan(path: Path, given: Mapping[str, str], environment: Mapping[str, str], *, listing: bool = False) -> Plan:
    """Evaluate the launch file at `path` with arguments `given`; `listing` lets required arguments be absent.

    Raises `LaunchError` for a missing file, anything that is not in the subset, an unknown, missing or wrong argument.
    """
    reader = _Reader(listing)
    scope = Scope(values=dict(given), outer=dict(environment), listing=listing)
    try:
        reader.file(Path(path), scope, "", set(given))
        reader.run_timers(scope)
    except RecursionError as error:
        raise LaunchError(f"{path}: nested too deep to be read; take levels away") from error
    known = {argument.name for argument in reader.arguments}
    for name in given:
        if name not in known:
            raise LaunchError(f'{path}: unknown launch argument "{name}"{nearest(name, known)} (--show-args lists all)')
    top = {argument.name: scope.values[argument.name] for argument in reader.arguments if argument.name in scope.values}
    processes = tuple(_with_unique_names(reader.processes))
    return Plan(tuple(reader.arguments), top, tuple(reader.messages), processes, reader.ended)


def split_assignments(words: tuple[str, ...] | list[str]) -> dict[str, str]:
    """`name:=value` words as a mapping; raises `LaunchError` for anything else or a name given twice."""
    given: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition(":=")
        if not sign or not name:
            raise LaunchError(f'launch argument "{word}" is not understood; expected name:=value')
        if name in given:
            raise LaunchError(f'launch argument "{name}" is given twice; give it once')
        given[name] = value
    return given


# evaluation ---------------------------------------------------------------------------------------------------


@dataclass(order=True)
class _Timer:
    """Actions that wait for their time."""

    due: float
    number: int
    children: tuple[Entry, ...] = field(compare=False)
    frame: Frame = field(compare=False)


@dataclass
class _Reader:
    """One evaluation: walks the actions in order and collects what they ask for."""

    listing: bool
    now: float = 0.0
    """When the actions are visited that are being evaluated, s after the begin."""
    arguments: list[Argument] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    timers: list[_Timer] = field(default_factory=list)
    ended: Message | None = None
    stack: list[Path] = field(default_factory=list)
    declared: list[set[str]] = field(default_factory=list)
    """Names of the arguments that each file on the stack declares, itself or by an include."""
    passed: list[set[str]] = field(default_factory=list)
    """Names of the arguments that each file on the stack was passed."""
    numbers: count[int] = field(default_factory=count)
    """Of timers: of two with one time the first in the file comes first."""

    def file(self, path: Path, scope: Scope, asked: str, passed: set[str]) -> set[str]:
        """Evaluate one file; `asked` is the place of the include. Returns the names of its arguments."""
        if path.resolve() in self.stack:
            raise LaunchError(f"{asked}: {path} includes itself; remove one include")
        actions = read_actions(path, asked)
        self.stack.append(path.resolve())
        self.declared.append(set())
        self.passed.append(passed)
        outer, scope.frame = scope.frame, Frame(str(path.resolve().parent))
        self.actions(actions, scope)
        if asked and (scope.frame.unclear or scope.frame.directory != outer.directory):
            outer.unclear = asked
        scope.frame = outer
        self.stack.pop()
        self.passed.pop()
        return self.declared.pop()

    def run_timers(self, scope: Scope) -> None:
        """What waits comes last, in the order of its time, in the scope that the whole file has left (as in launch)."""
        while self.timers:
            timer = heapq.heappop(self.timers)
            if self.ended is not None and timer.due > self.ended.start:
                break
            self.now, scope.frame = timer.due, timer.frame
            self.declared, self.passed = [set()], [set()]
            self.actions(timer.children, scope)

    def actions(self, entries: tuple[Entry, ...], scope: Scope) -> None:
        """Evaluate actions in order."""
        handlers: dict[str, Callable[[Entry, Scope], None]] = {
            "arg": self.arg,
            "let": self.let,
            "set_env": self.set_env,
            "group": self.group,
            "push_ros_namespace": self.push_namespace,
            "set_parameter": self.set_parameter,
            "include": self.include,
            "executable": self.executable,
            "node": self.node,
            "log": self.log,
            "timer": self.timer,
            "shutdown": self.shutdown,
        }
        for entry in entries:
            if "if" in entry.texts and not scope.condition(entry.texts["if"]):
                continue
            if "unless" in entry.texts and scope.condition(entry.texts["unless"]):
                continue
            handlers[entry.kind](entry, scope)

    def arg(self, entry: Entry, scope: Scope) -> None:
        name, default = entry.plain["name"], entry.texts.get("default")
        choices = tuple(choice.plain["value"] for choice in entry.lists.get("choice", ()))
        argument = Argument(
            name,
            default.source if default is not None else None,
            entry.plain.get("description", ""),
            choices,
            entry.where,
        )
        if name not in {known.name for known in self.arguments}:
            self.arguments.append(argument)
        for names in self.declared:
            names.add(name)
        if default is None and name not in self.passed[-1] and not self.listing:
            where = "the include must pass it" if len(self.stack) > 1 else f"give {name}:=VALUE"
            raise LaunchError(f"{argument.where}: launch argument {name} has no default; {where}")
        if name not in scope.values:
            scope.values[name] = "" if default is None else scope.text(default)
        if choices and scope.values[name] not in choices and not self.listing:
            raise LaunchError(f"{name}:={scope.values[name]}: expected one of {', '.join(choices)}")

    def let(self, entry: Entry, scope: Scope) -> None:
        scope.values[scope.text(entry.texts["name"])] = scope.text(entry.texts["value"])

    def set_env(self, entry: Entry, scope: Scope) -> None:
        _set_variable(entry, scope, scope.environment)

    def group(self, entry: Entry, scope: Scope) -> None:
        self.actions(entry.lists["children"], scope.copy() if entry.flags.get("scoped", True) else scope)

    def push_namespace(self, entry: Entry, scope: Scope) -> None:
        scope.values[NAMESPACE] = pushed(scope, entry.texts["namespace"])

    def set_parameter(self, entry: Entry, scope: Scope) -> None:
        value = scope.typed(entry.texts["value"], "value", lists=False)
        if scope.parameters is None:
            scope.parameters = []
        scope.parameters.append(f"{scope.text(entry.texts['name'])}:={value}")

    def include(self, entry: Entry, scope: Scope) -> None:
        target = Path(scope.text(entry.texts["file"]))
        passed = {}
        for pair in entry.lists.get("arg", ()):
            passed[name := scope.text(pair.texts["name"])] = scope.values[name] = scope.text(pair.texts["value"])
        declared = self.file(target, scope, entry.texts["file"].where, set(passed))
        for name in passed:
            if name not in declared:
                raise LaunchError(f'{entry.where}: {target} has no argument "{name}"{nearest(name, declared)}')

    def executable(self, entry: Entry, scope: Scope) -> None:
        words = scope.words(entry.commands["cmd"])
        if not words or not (words[0] or self.listing):
            raise LaunchError(f"{entry.where}: cmd is empty; expected a program and its arguments")
        default = words[0].rpartition("/")[2]
        if default == "muster":
            default = next((word for word in words[1:] if not word.startswith("-") and "/" not in word), default)
        name = scope.text(entry.texts["name"]) if "name" in entry.texts else default
        self.process(entry, scope, name, words)

    def node(self, entry: Entry, scope: Scope) -> None:
        package, name = scope.text(entry.texts["pkg"]), scope.text(entry.texts["exec"])
        words = program(package, name, {**scope.outer, **scope.environment})
        if words is None and not self.listing:
            known = PROGRAMS if package == OWN else ()
            raise LaunchError(f'{entry.where}: the package {package} has no program "{name}"{nearest(name, known)}')
        arguments, documents = ros_arguments(entry, scope)
        own = scope.words(entry.commands["args"]) if "args" in entry.commands else []
        label = scope.text(entry.texts["name"]) if "name" in entry.texts else name
        namespace = next((word[6:] for word in arguments if word.startswith("__ns:=")), "")
        self.process(entry, scope, f"{namespace}/{label}", [*(words or ()), *own, *arguments], tuple(documents))

    def process(self, entry: Entry, scope: Scope, name: str, words: list[str], documents: tuple[str, ...] = ()) -> None:
        name = name.strip("/").replace("/", ".")
        if not name and not self.listing:
            raise LaunchError(
                f"{entry.texts['name'].where}: name is empty; expected a name for the process and its log"
            )
        environment = dict(scope.environment)
        for pair in entry.lists.get("env", ()):
            _set_variable(pair, scope, environment)
        output = scope.text(entry.texts["output"]) if "output" in entry.texts else "log"
        if output not in OUTPUTS:
            raise LaunchError(f'{entry.texts["output"].where}: output "{output}": expected one of {", ".join(OUTPUTS)}')
        command = entry.commands.get("cmd", entry.commands.get("args"))
        self.processes.append(
            Process(
                name=name,
                command=tuple(words),
                environment=environment,
                directory=scope.text(entry.texts["cwd"]) if "cwd" in entry.texts else None,
                output=output,
                respawn=scope.flag(entry.texts["respawn"]) if "respawn" in entry.texts else False,
                respawn_delay=entry.seconds.get("respawn_delay", 0.0),
                where=entry.where,
                sources=command.sources if command is not None else {},
                documents=documents,
                start=self.now,
                ends_launch=entry.flags.get("on_exit", False),
            )
        )

    def log(self, entry: Entry, scope: Scope) -> None:
        self.messages.append(Message(scope.text(entry.texts["message"]), self.now))

    def timer(self, entry: Entry, scope: Scope) -> None:
        period = entry.seconds.get("period", -1.0)
        if "period" in entry.texts:
            word = scope.text(entry.texts["period"])
            try:
                period = float(word)
            except ValueError:
                period = 0.0 if self.listing else -1.0
            if not 0.0 <= period < float("inf"):
                raise LaunchError(f'{entry.texts["period"].where}: period "{word}": expected seconds >= 0')
        heapq.heappush(self.timers, _Timer(self.now + period, next(self.numbers), entry.lists["children"], scope.frame))

    def shutdown(self, entry: Entry, scope: Scope) -> None:
        if self.ended is None:
            reason = scope.text(entry.texts["reason"]) if "reason" in entry.texts else "reason not given"
            self.ended = Message(reason, self.now)


def _set_variable(pair: Entry, scope: Scope, environment: dict[str, str]) -> None:
    """Set an environment variable under a name that it can have (POSIX: any without `=`)."""
    name = scope.text(pair.texts["name"])
    if not name or "=" in name:
        raise LaunchError(f'{pair.texts["name"].where}: "{name}" is no name of an environment variable; correct it')
    environment[name] = scope.text(pair.texts["value"])


def _with_unique_names(processes: list[Process]) -> list[Process]:
    counts: dict[str, int] = {}
    unique = []
    for process in processes:
        counts[process.name] = number = counts.get(process.name, 0) + 1
        unique.append(process if number == 1 else replace(process, name=f"{process.name}-{number}"))
    return unique
