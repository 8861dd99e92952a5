"""The root of muster's exceptions: what a person did wrong, said in one line.

    MusterError
    ├── FileError            sim/files.py: a file cannot be read or written
    └── ...                  each package derives its own, in the module that raises them

A message says what was expected, what came and what to do, with the values. The command line prints it alone, without
a traceback, and exits with 2; anything that is not a MusterError is our own mistake and keeps its traceback. On the
control path nothing is raised: doubts are verdicts with a reason (see `safety.supervisor`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MusterError(Exception):
    """Something outside the program is not as it must be; the message is one line for a person."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause that names the known word most like `word`: `; did you mean "robots"?`, or a list of all known words.

    Meant for the end of an error message about an unknown name.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(names)}" if names else ""


def printable(text: str) -> str:
    """A line that may quote a file or a stranger: what would control a terminal, or turn its text round, is escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown(text: str) -> str:
    """What somebody wrote, quoted for a message: cut to 24 characters, nothing unprintable."""
    text = text if len(text) <= 24 else text[:21] + "..."
    return '"' + text.encode("unicode_escape").decode() + '"'
