"""One finding of a check: what was found, what was expected, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from sim.errors import MusterError, printable

T = TypeVar("T")


class Verdict(Enum):
    """How a finding stands."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing to mend for what was asked"""
    MEND = "mend"


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    section: str
    """clock, transports, peers, parameters, models or disk"""
    name: str
    """What was looked at"""
    verdict: Verdict
    found: str
    """One line"""
    expected: str = ""
    """Empty where all is well"""
    remedy: str = ""
    """What to do; empty where all is well"""


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A file that was read, or why it could not be."""

    place: str
    """Its path, as it was given"""
    value: T | None = None
    error: str = ""
    """One line; empty where it could be read"""


@dataclass(frozen=True)
class Section:
    """Makes the findings of one section."""

    name: str

    def ok(self, what: str, found: str) -> Finding:
        """All is well."""
        return Finding(self.name, what, Verdict.OK, found)

    def note(self, what: str, found: str, expected: str = "", remedy: str = "") -> Finding:
        """Worth knowing."""
        return Finding(self.name, what, Verdict.NOTE, found, expected, remedy)

    def mend(self, what: str, found: str, expected: str, remedy: str) -> Finding:
        """Something to mend."""
        return Finding(self.name, what, Verdict.MEND, found, expected, remedy)

    def judged(self, good: bool, what: str, found: str, expected: str, remedy: str) -> Finding:
        """Well where `good`, else something to mend."""
        return self.ok(what, found) if good else self.mend(what, found, expected, remedy)

    def unread(self, what: str, reading: Reading[T], remedy: str) -> Finding:
        """A file that could not be read."""
        return self.mend(what, reading.error, f"a file that can be read at {reading.place}", remedy)


def one_line(error: BaseException) -> str:
    """What an exception says, as one line; its class where it says nothing, or is none of ours."""
    text = readable(" ".join(str(error).split()))
    return text if isinstance(error, MusterError) else f"{type(error).__name__}: {text}".rstrip(": ")


def readable(text: Path | str) -> str:
    """What somebody wrote, for a line of text: nothing unprintable."""
    return printable(str(text))
