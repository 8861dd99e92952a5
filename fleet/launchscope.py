"""The scope that text of a launch file is evaluated in: values of arguments, environment, namespace, directory.

Substitutions: `$(var name)`, `$(env NAME default)`, `$(dirname)`, `$(not value)`, nested as ROS does; all others of ROS
are refused with their line. A command is split into words before it is substituted, so that a value stays one word.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

import yaml

from fleet.launchyaml import LaunchError, at, boolean, substituted, text_of
from sim.errors import nearest


@dataclass
class Scope:
    """What actions see and change; a group or an include works on a copy."""

    values: dict[str, str]
    outer: dict[str, str]
    """The launcher's own environment."""
    listing: bool
    """Required arguments may be absent: what depends on them is empty."""
    environment: dict[str, str]
    """What the file adds to it."""
    namespace: str = ""
    directory: str = ""
    """Of the file that is read."""

    def copy(self) -> Scope:
        """A scope whose changes stay its own."""
        return replace(self, values=dict(self.values), environment=dict(self.environment))

    def truth(self, node: yaml.Node, file: str) -> bool:
        """A condition; what is wrong with an argument's value is said of the argument."""
        word = self.text(node, file, loose=True)
        if self.listing and not word:
            return False
        argument = re.fullmatch(r"\$\(var (\w+)\)", text_of(node, file, loose=True))
        return boolean(word, at(node, file) if argument is None else f"{argument[1]}:={word}")

    def text(self, node: yaml.Node, file: str, *, loose: bool = False) -> str:
        """A scalar with its substitutions made; `loose` takes unquoted numbers and booleans too."""
        return self._plain(text_of(node, file, loose=loose), at(node, file))

    def words(self, node: yaml.Node, file: str) -> tuple[list[str], dict[str, str]]:
        """A command as words: split as a shell would before substitution, so that a value stays one word.

        With them the options whose value comes from one `$(var name)`, and its name.
        """
        where = at(node, file)
        marks: list[str] = []

        def hold(inner: str) -> str:
            marks.append(inner)
            return f"\0{len(marks) - 1}\0"

        template = substituted(text_of(node, file), where, hold)
        try:
            parts = shlex.split(template)
        except ValueError as error:
            raise LaunchError(f"{where}: {error} in the command; close the quotation") from error
        words: list[str] = []
        sources: dict[str, str] = {}
        for part in parts:
            pieces = part.split("\0")
            inside = [marks[int(piece)].split() for piece in pieces[1::2]]
            if len(inside) == 1 and inside[0][0] == "var" and words and words[-1].startswith("--"):
                sources[words[-1]] = inside[0][-1]
            pieces[1::2] = [self._substitute(marks[int(piece)], where) for piece in pieces[1::2]]
            words.append("".join(pieces))
        return words, sources

    def _plain(self, text: str, where: str) -> str:
        return substituted(text, where, lambda inner: self._substitute(inner, where))

    def _substitute(self, inner: str, where: str) -> str:
        """The value of what stands in `$(...)`."""
        name, _, rest = inner.strip().partition(" ")
        plain = self._plain(rest.strip(), where)
        words = plain.split(None, 1)
        match name, len(words):
            case "var", 1:
                if plain not in self.values:
                    raise LaunchError(f"{where}: $(var {plain}): no such argument{nearest(plain, self.values)}")
                return self.values[plain]
            case "env", 1 | 2:
                environment = {**self.outer, **self.environment}
                if words[0] in environment:
                    return environment[words[0]]
                if len(words) == 2:
                    return words[1].strip("\"'")
                raise LaunchError(f"{where}: $(env {plain}): not set and no default; export {plain}")
            case "dirname", 0:
                return self.directory
            case "not", 1:
                if self.listing and not plain:
                    return "true"
                return "false" if boolean(plain, where) else "true"
            case "var" | "env" | "dirname" | "not", _:
                raise LaunchError(
                    f"{where}: $({inner}): expected $(var name), $(env NAME default), $(dirname) or $(not value)"
                )
        raise LaunchError(f"{where}: $({name} ...) is not in the subset that muster reads: var, env, dirname, not")
