"""The scope that a launch file is evaluated in, as launch keeps it: variables, environment, namespace, parameters.

A scoped group works on a copy; an include does not: what the included file sets stays set, as does what it is passed.
Parameters of `set_parameter` are one list that groups share once an outer scope has begun it: launch does so too
(launch_ros, set_parameter.py), so a parameter set in a group then reaches the nodes after the group.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import yaml

from fleet.launchpackages import share
from fleet.launchtext import Call, Command, Fragments, Text
from fleet.launchyaml import LaunchError
from sim.errors import nearest

NAMESPACE = "ros_namespace"
"""The variable that push_ros_namespace sets."""


@dataclass
class Frame:
    """A file that is being evaluated."""

    directory: str
    unclear: str = ""
    """The include after which `$(dirname)` differs: up to Jazzy launch goes on with the included file's directory."""


@dataclass
class Scope:
    """What actions see and change."""

    values: dict[str, str]
    outer: Mapping[str, str]
    """The launcher's own environment."""
    listing: bool
    """Required arguments may be absent: what depends on them is empty."""
    environment: dict[str, str] = field(default_factory=dict)
    """What the file adds to it."""
    parameters: list[str] | None = None
    """name:=value of `set_parameter`."""
    frame: Frame = field(default_factory=lambda: Frame(""))

    def copy(self) -> Scope:
        """The scope of a group."""
        return replace(self, values=dict(self.values), environment=dict(self.environment))

    def condition(self, text: Text) -> bool:
        """`if` or `unless`; what is wrong with an argument's value is said of the argument."""
        word = self.text(text).strip()
        known = {"true": True, "1": True, "false": False, "0": False}
        if self.listing and not word:
            return False
        if word.lower() not in known:
            place = f"{text.variable}:={word}" if text.variable else text.where
            raise LaunchError(f'{place}: "{word}" is no condition; expected true, false, 1 or 0')
        return known[word.lower()]

    def flag(self, text: Text) -> bool:
        """A flag given as text: what YAML takes for one, or 1 or 0."""
        return self._flag(self.text(text), f"{text.variable}:={self.text(text)}" if text.variable else text.where)

    def text(self, text: Text) -> str:
        """A text with its substitutions made."""
        return self._join(text.fragments, text.where)

    def words(self, command: Command) -> list[str]:
        """The words of a command."""
        return [self._join(word, command.where) for word in command.words]

    def typed(self, text: Text, what: str, *, lists: bool = True) -> object:
        """A text as the value of a parameter: text, flag, number or, with `lists`, a list, by YAML's rules."""
        word = self.text(text)
        try:
            value = yaml.safe_load(word) if word else ""
        except yaml.YAMLError as error:
            raise LaunchError(f"{text.where}: {what} {word!r} is no YAML value; put it in inner quotes") from error
        kinds = {type(one) for one in value} if lists and isinstance(value, list) else {type(value)}
        if len(kinds) != 1 or not kinds <= {str, bool, int, float}:
            expected = "text, a flag, a number" + (" or a list of one of them" if lists else "")
            raise LaunchError(f"{text.where}: {what} {word!r}: expected {expected}; put text in inner quotes")
        return value

    def _flag(self, word: str, where: str) -> bool:
        try:
            value = {"1": True, "0": False}[word] if word in ("0", "1") else yaml.safe_load(word)
        except yaml.YAMLError:
            value = None
        if not isinstance(value, bool):
            if self.listing and not word:
                return False
            raise LaunchError(f'{where}: "{word}" is no condition; expected true, false, 1 or 0')
        return value

    def _join(self, fragments: Fragments, where: str) -> str:
        return "".join(piece if isinstance(piece, str) else self._substitute(piece, where) for piece in fragments)

    def _substitute(self, call: Call, where: str) -> str:
        words = [self._join(argument, where) for argument in call.arguments]
        match call.name:
            case "var":
                if words[0] not in self.values:
                    raise LaunchError(f"{where}: $(var {words[0]}): no such argument{nearest(words[0], self.values)}")
                return self.values[words[0]]
            case "env":
                found = self.environment.get(words[0], self.outer.get(words[0]))
                if found is None and len(words) < 2:
                    raise LaunchError(f"{where}: $(env {words[0]}): not set and no default; export {words[0]}")
                return words[1] if found is None else found
            case "dirname":
                if self.frame.unclear:
                    raise LaunchError(
                        f"{where}: $(dirname) after the include of another folder's file ({self.frame.unclear}): what "
                        "that is depends on launch's version; keep it in a variable before, by let"
                    )
                return self.frame.directory
            case "not":
                return "false" if self._flag(words[0], where) else "true"
            case "find-pkg-share":
                found = share(words[0], {**self.outer, **self.environment})
                if found is None and not self.listing:
                    raise LaunchError(
                        f"{where}: {call.source}: there is no ROS package {words[0]}; source the workspace that has it"
                    )
                return str(found or "")
        assert call.name == "anon"
        return self.values.setdefault(f"anon{words[0]}", f"{words[0]}_{os.getpid()}_{secrets.token_hex(4)}")
