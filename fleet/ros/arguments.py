"""What a launch file says to a node: the command line's ROS arguments, read as rcl reads them.

    node --speed 2 --ros-args -r __node:=nav -r __ns:=/r1 -r scan:=lidar/scan --params-file robot.yaml
                              -p speed:=1.5 --log-level debug -- --more

From `--ros-args` to `--` or the end stand remapping rules, parameters and switches; everything else is the program's
own (`rest`). Rules and parameters may be for one node of the process, `nav:scan:=x`. Of several rules that fit, the
first holds; of several values of a parameter the last, where a pattern of nodes keeps the place at which it first
stood: that is rcl's order, and a file's `/r1/nav:` after its `/**:` therefore outweighs a `-p` (which is for `/**`).

Source: ROS 2 design, "ROS 2 Command Line Arguments"; rcl `arguments.c`. Two things differ: rules outside `--ros-args`,
long deprecated in ROS, are left to the program, and an unknown ROS argument is an error here, as in rclpy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.ros.names import Remap, RosNameError, check_namespace, check_node_name, expand
from fleet.ros.paramfile import Given, GivenByNode, matches, read_parameters, read_value
from sim.errors import MusterError, nearest, shown

LEVELS = ("unset", "debug", "info", "warn", "error", "fatal")
"""Log levels by name, in any case (rcutils)."""

_TAKES_VALUE = {
    "-r": "--remap",
    "--remap": "--remap",
    "-p": "--param",
    "--param": "--param",
    "--params-file": "--params-file",
    "-e": "--enclave",
    "--enclave": "--enclave",
    "--log-level": "--log-level",
    "--log-config-file": "--log-config-file",
    "--log-file-name": "--log-file-name",
}
_SWITCHES = tuple(
    f"--{on}-{what}" for on in ("enable", "disable") for what in ("stdout-logs", "rosout-logs", "external-lib-logs")
)
_RULE = re.compile(r"(?:([A-Za-z_][A-Za-z0-9_]*):(?!=|//))?(?:ros(topic|service)://)?([^:=*]+):=(.+)")
_PARAMETER = re.compile(
    r"(?:([A-Za-z_][A-Za-z0-9_]*):(?!=))?([A-Za-z_/][A-Za-z0-9_/]*(?:\.[A-Za-z0-9_/]+)*):=(.*)", re.DOTALL
)


class ArgumentError(MusterError):
    """A ROS argument is wrong; the message names it."""


@dataclass(frozen=True)
class RosArguments:
    """What the ROS arguments of a process, or of one node, say."""

    remaps: tuple[Remap, ...] = ()
    """Rules in their order, those of node and namespace among them."""
    parameters: tuple[GivenByNode, ...] = ()
    """Node pattern -> parameter -> value, from files and from the command line; what stands later outweighs."""
    log_level: str = ""
    """The level for all loggers; empty where none was given."""
    logging: tuple[str, ...] = ()
    """The arguments about logs and the enclave as they came, for whoever hands them on to rclpy."""
    enclave: str = ""
    """The security enclave; empty where none was given."""
    rest: tuple[str, ...] = ()
    """What is not ROS's."""

    def identity(self, name: str, namespace: str) -> tuple[str, str]:
        """Name and absolute namespace of the node that its code calls so; raises RosNameError.

        A rule for one node names it, in `__node`, by the name in the code, in all others by its new name (as rcl does).
        """
        check_node_name(name)
        name = next(
            (rule.replacement for rule in self.remaps if rule.match == "__node" and rule.node in ("", name)), name
        )
        for rule in self.remaps:
            if rule.match == "__ns" and rule.node in ("", name):
                return name, rule.replacement
        return name, check_namespace(namespace)

    def given(self, node: str) -> dict[str, Given]:
        """The parameters for a node, by its fully qualified name."""
        found: dict[str, Given] = {}
        for layer in self.parameters:
            for pattern, values in layer.items():
                if matches(pattern, node):
                    found.update(values)
        return found

    def over(self, process: RosArguments) -> RosArguments:
        """These, of one node, above those of its whole process: its rules come first, its parameters outweigh."""
        return RosArguments(
            remaps=self.remaps + process.remaps,
            parameters=process.parameters + self.parameters,
            log_level=self.log_level or process.log_level,
            logging=process.logging + self.logging,
            enclave=self.enclave or process.enclave,
            rest=self.rest,
        )


def parse(arguments: Sequence[str]) -> RosArguments:
    """Read a command line without the program's name; raises ArgumentError, RosNameError or ParameterError."""
    remaps: list[Remap] = []
    parameters: GivenByNode = {}
    logging: list[str] = []
    rest: list[str] = []
    log_level = enclave = ""
    words = iter(arguments)
    ros = False
    for word in words:
        if word == "--ros-args":
            ros = True
        elif not ros:
            rest.append(word)
        elif word == "--":
            ros = False
        elif word in _SWITCHES:
            logging.append(word)
        elif word not in _TAKES_VALUE:
            raise ArgumentError(
                f"unknown ROS argument {shown(word)}{nearest(word, [*_TAKES_VALUE, *_SWITCHES])} "
                '(after "--" the program\'s own arguments go on)'
            )
        else:
            flag, value = _TAKES_VALUE[word], next(words, None)
            if value is None:
                raise ArgumentError(f"{word}: expected a value after it; it stands last")
            if flag == "--remap":
                remaps += _rule(value, f"{word} {value}")
            elif flag == "--param":
                _parameter(value, f"{word} {value}", parameters)
            elif flag == "--params-file":
                merge(parameters, read_parameters(value))
            else:
                logging += [flag, value]
                if flag == "--log-level":
                    log_level = _level(value, log_level)
                elif flag == "--enclave":
                    enclave = value
    return RosArguments(tuple(remaps), (parameters,), log_level, tuple(logging), enclave, tuple(rest))


def merge(into: GivenByNode, more: GivenByNode) -> None:
    """Add parameters that were given later, which win within their pattern of nodes."""
    for pattern, values in more.items():
        into.setdefault(pattern, {}).update(values)


def _rule(text: str, source: str) -> list[Remap]:
    """The rule in `text`; none where it is about services alone, which the bus does not have."""
    found = _RULE.fullmatch(text)
    if not found:
        raise ArgumentError(
            f'{source}: expected "from:=to", "__node:=name" or "__ns:=/name"; one node\'s with "NODE:" before it'
        )
    node, url, match, replacement = found[1] or "", found[2], found[3], found[4]
    try:
        if match in ("__node", "__name"):
            return [Remap("__node", check_node_name(replacement), node)]
        if match == "__ns":
            if not replacement.startswith("/"):
                raise ArgumentError(f"{source}: expected a namespace from the root, __ns:=/{replacement}")
            return [Remap("__ns", check_namespace(replacement), node)]
        for topic in (match, replacement):
            expand(topic, "node", "/")
    except RosNameError as error:
        raise ArgumentError(f"{source}: {error}") from None
    return [] if url == "service" else [Remap(match, replacement, node)]


def _parameter(text: str, source: str, parameters: GivenByNode) -> None:
    found = _PARAMETER.fullmatch(text)
    if not found:
        raise ArgumentError(f'{source}: expected "name:=value", or "node:name:=value" for one node')
    pattern = f"/{found[1]}" if found[1] else "/**"
    given = Given(read_value(found[3], source), source, exact=True)
    parameters.setdefault(pattern, {})[found[2]] = given


def _level(value: str, before: str) -> str:
    logger, separator, level = value.rpartition(":=")
    if level.lower() not in LEVELS or (separator and not logger):
        raise ArgumentError(f'--log-level {value}: expected one of {", ".join(LEVELS)}, or "logger:=level"')
    return before if separator else level.lower()
