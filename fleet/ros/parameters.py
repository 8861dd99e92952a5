"""A node's parameters: declared in code with a default, given by ROS arguments, typed by the default.

A value of another type than the default's is refused; only a whole number stands for the same number with a point, so
that `speed:=2` says what it means (rclpy refuses that too; see docs/decisions.md). What was given and never declared is
most often a word misspelt: `undeclared` names it.

Parameters do not change while a node runs: that would need ROS services, which the embedded bus does not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from fleet.ros.paramfile import Given, ParameterError, Value
from sim.errors import nearest

T = TypeVar("T", bound=Value)

EXACT = 1 << 53
"""Whole numbers up to here are the same number as a float64."""


class Parameters:
    """Owns the parameters of one node."""

    def __init__(self, node: str, given: Mapping[str, Given]) -> None:
        """For the node of that fully qualified name; `given` by ROS arguments."""
        self.told: Callable[[str, Value, str], None] | None = None
        """Hears of each declaration: name, value, description."""
        self._node = node
        self._given = dict(given)
        self._values: dict[str, Value] = {}
        self._descriptions: dict[str, str] = {}

    def declare(self, name: str, default: T, description: str = "") -> T:
        """The parameter's value: what was given, else the default, and always of the default's type.

        An empty default array takes arrays of every type. Raises ParameterError for a value of another type, for one
        that is not finite where the default is, and for a name declared before.
        """
        if name in self._values:
            raise ParameterError(f'{self._node}: parameter "{name}" is declared twice')
        given = self._given.get(name)
        value = default if given is None else cast(T, _typed(given, default, f"{self._node}: parameter {name}"))
        self._values[name], self._descriptions[name] = value, description
        if self.told is not None:
            self.told(name, value, description)
        return value

    def __getitem__(self, name: str) -> Value:
        """A declared parameter's value; raises ParameterError."""
        if name not in self._values:
            raise ParameterError(f'{self._node}: no parameter "{name}" is declared{nearest(name, self._values)}')
        return self._values[name]

    def declared(self) -> dict[str, tuple[Value, str]]:
        """Name -> value and description, in the order of declaration."""
        return {name: (value, self._descriptions[name]) for name, value in self._values.items()}

    def undeclared(self) -> list[str]:
        """One line for each parameter that was given to this node by name and never declared."""
        return [
            f"{given.source}: {self._node} has no parameter {name}{nearest(name, self._values)}"
            for name, given in self._given.items()
            if given.exact and name not in self._values
        ]


def _typed(given: Given, default: Value, what: str) -> Value:
    """The given value as one of the default's type."""
    value = given.value
    came = value if isinstance(value, list) else [value]
    wanted = default if isinstance(default, list) else [default]
    fits = isinstance(value, list) == isinstance(default, list)
    kind = type(wanted[0]) if wanted else type(came[0]) if came else str
    if fits and kind is float:
        came = [float(v) if type(v) is int and abs(v) <= EXACT else v for v in came]
    if not fits or any(type(v) is not kind for v in came):
        raise ParameterError(f"{what}: expected {_kind(default)}, came {_written(value)} ({given.source})")
    finite = all(math.isfinite(v) for v in wanted if isinstance(v, float))
    if finite and any(isinstance(v, float) and not math.isfinite(v) for v in came):
        raise ParameterError(f"{what}: expected a finite number, came {_written(value)} ({given.source})")
    return cast(Value, came if isinstance(default, list) else came[0])


def _kind(default: Value) -> str:
    if isinstance(default, list):
        return f"an array, each {_kind(default[0])}" if default else "an array"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(default)]


def _written(value: Value) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
