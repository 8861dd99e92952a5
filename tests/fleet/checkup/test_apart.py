"""Looks that hang, crash or raise, each in a process of its own."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from fleet.checkup.apart import Lost, apart
from sim.errors import MusterError


def doubled(number: int, *, twice: bool = True) -> int:
    print("what a library prints")
    return 2 * number if twice else number


def raises(kind: type[Exception]) -> None:
    raise kind("first line\nsecond line")


def hangs() -> None:
    threading.Event().wait()


def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves() -> None:
    os._exit(3)


def test_an_answer_comes_back_and_standard_output_stays_clean(capfd: pytest.CaptureFixture[str]) -> None:
    assert apart(30.0, doubled, 21) == 42
    assert apart(30.0, doubled, 21, twice=False) == 21
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "what a library prints" in captured.err


def test_what_is_raised_is_one_line() -> None:
    assert apart(30.0, raises, MusterError) == Lost("first line second line")
    assert apart(30.0, raises, ValueError) == Lost("ValueError: first line second line")


def test_what_hangs_is_given_up() -> None:
    assert apart(0.2, hangs) == Lost("no answer within 0.2 s")


def test_what_crashes_takes_nobody_with_it() -> None:
    assert apart(30.0, crashes) == Lost("its process ended by SIGSEGV")
    assert apart(30.0, leaves) == Lost("its process ended with exit code 3")
