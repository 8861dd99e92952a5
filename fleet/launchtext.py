r"""Text of a launch file with its substitutions, by the grammar of ROS 2's launch, and the words of a command.

    text            any, with $(name argument argument) in it; \x is x
    argument        characters without blank, quotes, backslash, parentheses, with $(...) in it; or all of it in quotes

One blank stands before each argument. `\$(` is no substitution. Inside $(...) a backslash is refused: what launch
makes of it depends on the quotes around. Source: launch's grammar.lark and parse_substitution.py.

A command is split as launch does (execute_process.py): each stretch of text between two substitutions by the shell's
rules, alone. So a value stays one word whatever is in it, an empty one too, and needs no quotation; a quotation that
reaches over a substitution, as in "$(var site)", has no end for launch, which refuses the file: so does muster.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import pairwise

from fleet.launchyaml import LaunchError

_TEXT = re.compile(r"(?:[^$]|\$(?!\()|(?<=\\)\$)+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_BARE = re.compile(r"""(?:[^ '"\\$()]|\$(?!\())+""")
_QUOTED = {quote: re.compile(rf"(?:[^{quote}\\$]|\$(?!\())+") for quote in "'\""}

SUBSTITUTIONS = {
    "var": (1, 1, "$(var name)"),
    "env": (1, 2, "$(env NAME default)"),
    "dirname": (0, 0, "$(dirname)"),
    "not": (1, 1, "$(not value)"),
    "find-pkg-share": (1, 1, "$(find-pkg-share package)"),
    "anon": (1, 1, "$(anon name)"),
}
"""What may stand in $(...): its smallest and largest number of arguments, and how it is written."""


@dataclass(frozen=True)
class Call:
    """A substitution."""

    name: str
    arguments: tuple[tuple[str | Call, ...], ...]
    source: str
    """As written, with $( and )."""


Fragments = tuple[str | Call, ...]
"""Plain stretches and substitutions in turn."""


@dataclass(frozen=True)
class Text:
    """A text of a launch file."""

    fragments: Fragments
    where: str
    """file:line"""
    source: str
    """As written."""

    @property
    def variable(self) -> str:
        """The name in a text that is `$(var name)` and no more; empty for any other text."""
        return _variable(self.fragments[0]) if len(self.fragments) == 1 else ""


@dataclass(frozen=True)
class Command:
    """A command's words."""

    words: tuple[Fragments, ...]
    where: str
    sources: dict[str, str]
    """Options whose value comes from one `$(var name)`, with that name."""


def unescaped(text: str) -> str:
    r"""`text` with every \x as x."""
    return re.sub(r"\\(.)", r"\1", text)


def read_text(text: str, where: str) -> Text:
    """The substitutions of `text`; raises `LaunchError` for what launch's grammar does not know."""
    fragments: list[str | Call] = []
    position = 0
    while position < len(text):
        if plain := _TEXT.match(text, position):
            fragments.append(unescaped(plain.group()))
            position = plain.end()
        else:
            call, position = _call(text, position, where)
            fragments.append(call)
    return Text(tuple(fragments), where, text)


def read_command(text: str, where: str) -> Command:
    """The words of a command, as launch splits them."""
    words: list[list[str | Call]] = [[]]
    fragments = read_text(text, where).fragments
    if fragments and isinstance(fragments[0], str) and fragments[0].isspace():  # launch makes an empty word of it
        raise LaunchError(f"{where}: blanks before the command; take them away")
    for fragment in fragments:
        if isinstance(fragment, Call):
            words[-1].append(fragment)
            continue
        try:
            parts = shlex.split(fragment)
        except ValueError as error:
            raise LaunchError(
                f"{where}: {error} in the command before the next $(...) or its end; close the quotation, and put none "
                "around $(...): a value stays one word without"
            ) from error
        if words[-1] and (fragment[0].isspace() or not parts):
            words.append([])
        for number, part in enumerate(parts):
            if number:
                words.append([])
            words[-1].append(part)
        if parts and fragment[-1].isspace():
            words.append([])
    found = tuple(tuple(word) for word in words if word)
    sources = {
        option[0]: _variable(inside[0])
        for option, word in pairwise(found)
        if isinstance(option[0], str) and len(option) == 1 and option[0].startswith("--")
        if len(inside := [piece for piece in word if isinstance(piece, Call)]) == 1 and _variable(inside[0])
    }
    return Command(found, where, sources)


def _variable(fragment: str | Call) -> str:
    if isinstance(fragment, Call) and fragment.name == "var":
        (name,) = fragment.arguments
        if len(name) == 1 and isinstance(name[0], str):
            return name[0]
    return ""


def _call(text: str, start: int, where: str, *, quoted: bool = False) -> tuple[Call, int]:
    """The substitution that begins at `start`, and where it ends; `quoted` when quotes stand around it."""
    name = _NAME.match(text, start + 2)
    if name is None:
        raise LaunchError(f"{where}: expected the name of a substitution right after $(, as in $(var name)")
    position = name.end()
    arguments = []
    while text[position : position + 1] == " ":
        argument, position = _argument(text, position + 1, where, quoted)
        arguments.append(argument)
    if position == len(text):
        raise LaunchError(f"{where}: $( without its ); close it")
    if text[position] != ")":
        raise LaunchError(
            f'{where}: "{text[position]}" in $({name.group()} ...): expected arguments, one blank before each, '
            "without parentheses or backslashes, each in quotes as a whole or not at all"
        )
    position += 1
    call = Call(name.group(), tuple(arguments), text[start:position])
    if call.name not in SUBSTITUTIONS:
        raise LaunchError(
            f"{where}: $({call.name} ...) is not in the subset that muster reads: {', '.join(SUBSTITUTIONS)}"
        )
    least, most, form = SUBSTITUTIONS[call.name]
    if not least <= len(arguments) <= most:
        raise LaunchError(f"{where}: {call.source}: expected {form}")
    return call, position


def _argument(text: str, position: int, where: str, quoted: bool) -> tuple[Fragments, int]:
    """One argument of a substitution, and where it ends."""
    quote = text[position : position + 1]
    if quote not in _QUOTED:
        return _pieces(text, position, where, _BARE, quoted)
    if quoted:  # launch takes quotes within quotes for a part of the value
        raise LaunchError(f"{where}: quotes within quotes in $(...); take the inner ones away")
    pieces, position = _pieces(text, position + 1, where, _QUOTED[quote], True)
    if text[position : position + 1] != quote:
        raise LaunchError(f"{where}: {quote} without its end in $(...); close it, and put no backslash in it")
    return pieces, position + 1


def _pieces(text: str, position: int, where: str, plain: re.Pattern[str], quoted: bool) -> tuple[Fragments, int]:
    pieces: list[str | Call] = []
    while position < len(text):
        if stretch := plain.match(text, position):
            pieces.append(stretch.group())
            position = stretch.end()
        elif text.startswith("$(", position):
            call, position = _call(text, position, where, quoted=quoted)
            pieces.append(call)
        else:
            break
    if not pieces and plain is _BARE:
        raise LaunchError(f"{where}: expected an argument after the blank in $(...); one blank stands before each")
    return tuple(pieces), position
