"""The calls that every message makes, straight to Cyclone DDS's C code below the binding's classes.

The binding's `write` and `take` wrap bytes into objects and back, in Python that is cold by the time that the next
message of a control loop comes: without them a round trip between two processes is 25 to 45 us shorter (of some 300, on
busy cores). Its wait set tells how many readers were triggered, but not which. While `Waiter.wait` waits, Python's lock
is free.

The names are private to the binding, hence its versions are bounded in pyproject.toml.
"""

from __future__ import annotations

import ctypes
from typing import Generic, TypeVar

from cyclonedds._clayer import ddspy_take, ddspy_write
from cyclonedds.core import DDSException, InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.internal import DDS, SampleInfo
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader

Owner = TypeVar("Owner")

MOST = 256
"""Readers told by one wait; the rest is told by the next."""
ALL = SampleState.Any | ViewState.Any | InstanceState.Any

_attach = DDS._dll_handle["dds_waitset_attach"]
_attach.argtypes, _attach.restype = (ctypes.c_int32, ctypes.c_int32, ctypes.c_ssize_t), ctypes.c_int32
_detach = DDS._dll_handle["dds_waitset_detach"]
_detach.argtypes, _detach.restype = (ctypes.c_int32, ctypes.c_int32), ctypes.c_int32
_wait = DDS._dll_handle["dds_waitset_wait"]
_wait.argtypes = (ctypes.c_int32, ctypes.POINTER(ctypes.c_ssize_t), ctypes.c_size_t, ctypes.c_int64)
_wait.restype = ctypes.c_int32


def write(writer: DataWriter, data: bytes) -> None:
    """Send a message, encapsulation header and all; raises DDSException."""
    if len(data) & 3:  # RTPS counts in words of four bytes
        data = data.ljust((len(data) + 3) & ~3, b"\0")
    code = ddspy_write(writer._ref, data)
    if code < 0:
        raise DDSException(code, "Occurred while writing")


def take(reader: DataReader, most: int) -> list[tuple[bytes, SampleInfo]]:
    """What has come, in its order, without the news that a writer is gone; raises DDSException."""
    came = ddspy_take(reader._ref, ALL, most)
    if isinstance(came, int):
        raise DDSException(came, "Occurred while taking")
    return [each for each in came if each[1].valid_data]


class Waiter(Generic[Owner]):
    """Owns a wait set, and knows whose each reader is."""

    def __init__(self, participant: DomainParticipant) -> None:
        """For readers of that participant."""
        self._waitset = WaitSet(participant)
        self._watched: dict[int, tuple[ReadCondition, DataReader, Owner]] = {}
        self._woken = (ctypes.c_ssize_t * MOST)()

    def watch(self, reader: DataReader, owner: Owner) -> None:
        """Wake for what comes for that reader."""
        condition = ReadCondition(reader, ALL)
        number = condition._ref
        self._checked(_attach(self._waitset._ref, number, number))
        self._watched[number] = condition, reader, owner

    def forget(self, reader: DataReader) -> None:
        """Wake for it no more."""
        for number, (condition, watched, _) in list(self._watched.items()):
            if watched is reader:
                del self._watched[number]
                self._checked(_detach(self._waitset._ref, number))
                condition.__del__()

    def wait(self, timeout_s: float) -> list[Owner]:
        """Whose readers hold something, after waiting at most so long for the first."""
        count = self._checked(_wait(self._waitset._ref, self._woken, MOST, round(timeout_s * 1e9)))
        return [self._watched[number][2] for number in self._woken[: min(count, MOST)] if number in self._watched]

    def close(self) -> None:
        """End it; all readers are forgotten."""
        for _, reader, _ in list(self._watched.values()):
            self.forget(reader)
        self._waitset.__del__()

    @staticmethod
    def _checked(code: int) -> int:
        if code < 0:
            raise DDSException(code, "Occurred while waiting")
        return code
