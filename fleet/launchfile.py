"""Read a launch file: the subset of ROS 2's YAML launch front end that needs no ROS, strictly.

    launch:
      - arg: {name: robots, default: "16", description: "how many"}
      - executable:
          cmd: muster sim --robots $(var robots)
          output: both

Actions: arg, let, group, include, executable, node, set_env, push_ros_namespace, log; with `if` or `unless`.
Substitutions: `$(var name)`, `$(env NAME default)`, `$(dirname)`, `$(not value)`, nested as ROS does. Everything else
of ROS is refused with its line, as is an unknown key (with the nearest known one), so that a file which passes here
means the same under `ros2 launch` (its manual: "Using XML, YAML, and Python for ROS 2 launch files"). What differs:

- A `group` is scoped as in ROS; an `include` is too (ROS lets the included file's values leak out).
- `node` starts `python -m pkg.exec`, or `muster exec` for the package `muster`: there is no ament index to ask. It
  takes no `param` and no `remap`, because there is no ROS node behind it.
- `executable` starts `muster` with the Python that runs the launcher.
- `respawn` starts a process again that failed, not one that ended with 0.
- `push_ros_namespace` reaches a process as the environment variable MUSTER_NAMESPACE.

Text that ROS wants quoted (`default: "16"`) is wanted quoted here. This module reads and evaluates (text and
substitutions in `launchscope`); `launch` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from fleet.launchscope import Scope
from fleet.launchyaml import LaunchError, at, entries_of, list_of, text_of
from sim.errors import nearest

CONDITIONS = ("if", "unless")
OUTPUTS = ("log", "screen", "both")


@dataclass(frozen=True)
class Argument:
    """An `arg` as declared."""

    name: str
    default: str | None
    """As written, substitutions unresolved; None when the argument must be given."""
    description: str
    choices: tuple[str, ...]
    where: str
    """file:line"""


@dataclass(frozen=True)
class Process:
    """What to start."""

    name: str
    """Unique within the plan; names its log."""
    command: tuple[str, ...]
    """The words after substitution; `muster` or `python -m pkg.exec` in words, not yet resolved to a program."""
    environment: Mapping[str, str]
    """What the file adds to the environment."""
    directory: str | None
    """Working directory; None for the launcher's own."""
    output: str
    """log: to its log alone; both: to the console too, prefixed; screen: to the console as it comes."""
    respawn: bool
    """Start again when it dies, until the launch ends."""
    respawn_delay: float
    """s"""
    where: str
    sources: Mapping[str, str] = field(default_factory=dict)
    """Options of the command whose value has one `$(var name)` in it, with that name."""


@dataclass(frozen=True)
class Plan:
    """An evaluated launch file."""

    arguments: tuple[Argument, ...]
    """Every argument that was declared on the way, included files' too."""
    values: Mapping[str, str]
    """Values of the top file's arguments."""
    messages: tuple[str, ...]
    processes: tuple[Process, ...]


def read_plan(path: Path, given: Mapping[str, str], environment: Mapping[str, str], *, listing: bool = False) -> Plan:
    """Evaluate the launch file at `path` with arguments `given`; `listing` lets required arguments be absent.

    Raises `LaunchError` for a missing file, anything that is not in the subset, an unknown, missing or wrong argument.
    """
    reader = _Reader(listing)
    scope = Scope(values=dict(given), outer=dict(environment), listing=listing, environment={})
    try:
        reader.file(Path(path), scope, "")
    except RecursionError as error:
        raise LaunchError(f"{path}: nested too deep to be read; take levels away") from error
    known = {argument.name for argument in reader.arguments}
    for name in given:
        if name not in known:
            raise LaunchError(f'{path}: unknown launch argument "{name}"{nearest(name, known)} (--show-args lists all)')
    top = {argument.name: scope.values[argument.name] for argument in reader.arguments if argument.name in scope.values}
    return Plan(tuple(reader.arguments), top, tuple(reader.messages), tuple(_with_unique_names(reader.processes)))


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


@dataclass
class _Reader:
    """One evaluation: walks the actions in order and collects what they ask for."""

    listing: bool
    arguments: list[Argument] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    stack: list[Path] = field(default_factory=list)
    declared: list[set[str]] = field(default_factory=list)
    """Names of the arguments that each file on the stack declares, itself or by an include."""

    def file(self, path: Path, scope: Scope, asked: str) -> set[str]:
        """Evaluate one file; `asked` is the place of the include. Returns the names of its arguments."""
        prefix = f"{asked}: " if asked else ""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise LaunchError(
                f"{prefix}cannot read launch file {path}: {reason}; give the path of a launch file"
            ) from error
        if path.resolve() in self.stack:
            raise LaunchError(f"{prefix}{path} includes itself; remove one include")
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise LaunchError(f"{path}:{line}: not YAML: {error.problem}; correct the line") from error
        except yaml.YAMLError as error:
            raise LaunchError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        if root is None:
            raise LaunchError(f"{path}: empty; expected the root key launch: with a list of actions")
        entries = entries_of(root, str(path), "a launch file", required=("launch",))
        self.stack.append(path.resolve())
        self.declared.append(set())
        scope.directory = str(path.resolve().parent)
        self.actions(entries["launch"], str(path), scope)
        self.stack.pop()
        return self.declared.pop()

    def actions(self, node: yaml.Node, file: str, scope: Scope) -> None:
        """Evaluate a list of actions in order."""
        if not isinstance(node, yaml.SequenceNode):
            raise LaunchError(f"{at(node, file)}: expected a list of actions, each with a dash")
        handlers: dict[str, Callable[[yaml.Node, str, Scope], None]] = {
            "arg": self.arg,
            "let": self.let,
            "group": self.group,
            "include": self.include,
            "executable": self.executable,
            "node": self.node,
            "set_env": self.set_env,
            "push_ros_namespace": self.push_namespace,
            "log": self.log,
        }
        for entry in node.value:
            if not isinstance(entry, yaml.MappingNode) or len(entry.value) != 1:
                raise LaunchError(f"{at(entry, file)}: expected one action such as `- executable:`")
            key, value = entry.value[0]
            if not isinstance(key, yaml.ScalarNode):
                raise LaunchError(f"{at(key, file)}: expected one action such as `- executable:`")
            if key.value not in handlers:
                raise LaunchError(
                    f'{at(key, file)}: action "{key.value}" is not in the subset that muster reads'
                    f"{nearest(str(key.value), handlers)}"
                )
            handlers[key.value](value, file, scope)

    def arg(self, node: yaml.Node, file: str, scope: Scope) -> None:
        entries = entries_of(node, file, "arg", ("name",), ("default", "description", "choice"))
        name = text_of(entries["name"], file)
        choices: tuple[str, ...] = ()
        if "choice" in entries:
            listed = entries["choice"]
            if not isinstance(listed, yaml.SequenceNode):
                raise LaunchError(f"{at(listed, file)}: choice: expected a list of entries with a value")
            choices = tuple(text_of(entries_of(one, file, "choice", ("value",))["value"], file) for one in listed.value)
        default = entries.get("default")
        argument = Argument(
            name,
            text_of(default, file) if default is not None else None,
            text_of(entries["description"], file) if "description" in entries else "",
            choices,
            at(node, file),
        )
        if name not in {known.name for known in self.arguments}:
            self.arguments.append(argument)
        for names in self.declared:
            names.add(name)
        if name not in scope.values:
            if default is not None:
                scope.values[name] = scope.text(default, file)
            elif self.listing:
                scope.values[name] = ""
            else:
                raise LaunchError(f"{argument.where}: launch argument {name} has no default; give {name}:=VALUE")
        if choices and scope.values[name] not in choices and not self.listing:
            raise LaunchError(f"{name}:={scope.values[name]}: expected one of {', '.join(choices)}")

    def let(self, node: yaml.Node, file: str, scope: Scope) -> None:
        entries = entries_of(node, file, "let", ("name", "value"), CONDITIONS)
        if self.wanted(entries, file, scope):
            scope.values[text_of(entries["name"], file)] = scope.text(entries["value"], file)

    def group(self, node: yaml.Node, file: str, scope: Scope) -> None:
        if isinstance(node, yaml.SequenceNode):
            self.actions(node, file, scope.copy())
            return
        entries = entries_of(node, file, "group", ("children",), (*CONDITIONS, "scoped"))
        scoped = scope.truth(entries["scoped"], file) if "scoped" in entries else True
        if self.wanted(entries, file, scope):
            self.actions(entries["children"], file, scope.copy() if scoped else scope)

    def include(self, node: yaml.Node, file: str, scope: Scope) -> None:
        entries = entries_of(node, file, "include", ("file",), (*CONDITIONS, "arg"))
        if not self.wanted(entries, file, scope):
            return
        inner = scope.copy()
        passed: dict[str, str] = {}
        for one in list_of(entries.get("arg"), file, "arg"):
            pair = entries_of(one, file, "arg", ("name", "value"))
            name = text_of(pair["name"], file)
            passed[name] = inner.values[name] = scope.text(pair["value"], file)
        target = Path(scope.text(entries["file"], file))
        declared = self.file(target, inner, at(entries["file"], file))
        for name in passed:
            if name not in declared:
                raise LaunchError(f'{at(node, file)}: {target} has no argument "{name}"{nearest(name, declared)}')

    def executable(self, node: yaml.Node, file: str, scope: Scope) -> None:
        optional = (*CONDITIONS, "name", "cwd", "output", "env", "respawn", "respawn_delay")
        entries = entries_of(node, file, "executable", ("cmd",), optional)
        if self.wanted(entries, file, scope):
            words, sources = scope.words(entries["cmd"], file)
            if not words or not (words[0] or self.listing):
                raise LaunchError(f"{at(node, file)}: cmd is empty; expected a program and its arguments")
            default = words[0].rpartition("/")[2]
            if default == "muster":
                default = next((word for word in words[1:] if not word.startswith("-") and "/" not in word), default)
            self.process(entries, file, scope, words, sources, default)

    def node(self, node: yaml.Node, file: str, scope: Scope) -> None:
        optional = (*CONDITIONS, "name", "namespace", "output", "args", "env", "respawn", "respawn_delay")
        entries = entries_of(node, file, "node", ("pkg", "exec"), optional)
        if not self.wanted(entries, file, scope):
            return
        package, program = (scope.text(entries[key], file) for key in ("pkg", "exec"))
        words = ["muster", program] if package == "muster" else ["python", "-m", f"{package}.{program}"]
        sources: dict[str, str] = {}
        if "args" in entries:
            arguments, sources = scope.words(entries["args"], file)
            words += arguments
        inner = scope.copy()
        if "namespace" in entries:
            inner.namespace = _join(scope.namespace, scope.text(entries["namespace"], file))
        self.process(entries, file, inner, words, sources, program)

    def process(
        self,
        entries: Mapping[str, yaml.Node],
        file: str,
        scope: Scope,
        words: list[str],
        sources: Mapping[str, str],
        default: str,
    ) -> None:
        name = scope.text(entries["name"], file) if "name" in entries else default
        if not name.strip("/") and not self.listing:
            raise LaunchError(
                f"{at(entries['name'], file)}: name is empty; expected a name for the process and its log"
            )
        environment = dict(scope.environment)
        for one in list_of(entries.get("env"), file, "env"):
            self.variable(entries_of(one, file, "env", ("name", "value")), file, scope, environment)
        if scope.namespace:
            environment["MUSTER_NAMESPACE"] = scope.namespace
        output = scope.text(entries["output"], file) if "output" in entries else "log"
        if output not in OUTPUTS:
            raise LaunchError(f'{at(entries["output"], file)}: output "{output}": expected one of {", ".join(OUTPUTS)}')
        delay = 0.0
        if "respawn_delay" in entries:
            word = scope.text(entries["respawn_delay"], file, loose=True)
            try:
                delay = float(word)
            except ValueError:
                delay = -1.0
            if not 0.0 <= delay < float("inf"):
                raise LaunchError(
                    f'{at(entries["respawn_delay"], file)}: respawn_delay "{word}": expected seconds >= 0'
                )
        self.processes.append(
            Process(
                name=_join(scope.namespace, name).strip("/").replace("/", "."),
                command=tuple(words),
                environment=environment,
                directory=scope.text(entries["cwd"], file) if "cwd" in entries else None,
                output=output,
                respawn=scope.truth(entries["respawn"], file) if "respawn" in entries else False,
                respawn_delay=delay,
                where=at(next(iter(entries.values())), file),
                sources=sources,
            )
        )

    def set_env(self, node: yaml.Node, file: str, scope: Scope) -> None:
        entries = entries_of(node, file, "set_env", ("name", "value"), CONDITIONS)
        if self.wanted(entries, file, scope):
            self.variable(entries, file, scope, scope.environment)

    def variable(self, pair: Mapping[str, yaml.Node], file: str, scope: Scope, environment: dict[str, str]) -> None:
        """Set an environment variable under a name that it can have (POSIX: any without `=`)."""
        name = text_of(pair["name"], file)
        if not name or "=" in name:
            raise LaunchError(f'{at(pair["name"], file)}: "{name}" is no name of an environment variable; correct it')
        environment[name] = scope.text(pair["value"], file)

    def push_namespace(self, node: yaml.Node, file: str, scope: Scope) -> None:
        entries = entries_of(node, file, "push_ros_namespace", ("namespace",), CONDITIONS)
        if self.wanted(entries, file, scope):
            scope.namespace = _join(scope.namespace, scope.text(entries["namespace"], file))

    def log(self, node: yaml.Node, file: str, scope: Scope) -> None:
        entries = entries_of(node, file, "log", ("message",), CONDITIONS)
        if self.wanted(entries, file, scope):
            self.messages.append(scope.text(entries["message"], file))

    def wanted(self, entries: Mapping[str, yaml.Node], file: str, scope: Scope) -> bool:
        """Whether `if` and `unless` let an action happen."""
        if "if" in entries and "unless" in entries:
            raise LaunchError(f"{at(entries['unless'], file)}: both if and unless; expected one of them")
        if "if" in entries:
            return scope.truth(entries["if"], file)
        return not scope.truth(entries["unless"], file) if "unless" in entries else True


def _join(namespace: str, name: str) -> str:
    return name if name.startswith("/") else f"{namespace}/{name}"


def _with_unique_names(processes: list[Process]) -> list[Process]:
    counts: dict[str, int] = {}
    unique = []
    for process in processes:
        counts[process.name] = number = counts.get(process.name, 0) + 1
        unique.append(process if number == 1 else replace(process, name=f"{process.name}-{number}"))
    return unique
