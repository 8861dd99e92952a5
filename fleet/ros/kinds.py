"""What a ROS 2 message is made of: the kinds of its fields, and the decorator that makes a dataclass of it.

    @message("geometry_msgs/msg/Quaternion")
    class Quaternion:
        x: Float64 = 0.0
        ...
        w: Float64 = 1.0

A message is a plain mutable dataclass with slots; it knows nothing of any bus. What its fields are on the wire stands
in their annotations: a kind below, a message, a `list` of messages or strings (an unbounded sequence), or one of the
functions `array` and `sequence` inside an `Annotated`. Sequences and arrays of numbers are NumPy arrays, because a scan
of 360 floats as a Python list costs more than all the rest of its message. A field's default is its ROS default: the
literal that the .msg file gives, else zero; `default()` stands for one that has to be made anew for each message.

`byte` and `char` are integers from 0 to 255, as they travel. There is no `wstring`: the two common implementations of
ROS 2 disagree about its bytes, and no message that a robot needs has one.

Source: https://docs.ros.org/en/jazzy/Concepts/Basic/About-Interfaces.html
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError, nearest, shown

Shape = Literal["one", "array", "sequence"]

NUMBERS: dict[str, str] = {
    "bool": "?", "byte": "B", "char": "B", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i",
    "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
"""The types that have a fixed size, with their codes in `struct`."""

DTYPES = {name: np.dtype("<" + ("?" if name == "bool" else code)) for name, code in NUMBERS.items()}
"""What a sequence or an array of them is."""

ROS_NAME = re.compile(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*")


class KindError(MusterError):
    """A message's definition is not one, or nobody defined the message."""


@dataclass(frozen=True)
class Kind:
    """What one field is on the wire."""

    base: str | type
    """One of NUMBERS, "string", or a message."""
    shape: Shape = "one"
    size: int = 0
    """Of an array its length, of a sequence the most that it may hold; 0 is no bound."""
    capacity: int = 0
    """The most bytes that a string may have; 0 is no bound."""


@dataclass(frozen=True)
class Field:
    """One field of a message, in the order of its definition."""

    name: str
    kind: Kind


def array(base: str | type, size: int) -> Kind:
    """`base[size]`, for an Annotated."""
    return Kind(base, "array", size)


def sequence(base: str | type, most: int = 0) -> Kind:
    """`base[]`, or `base[<=most]`, for an Annotated."""
    return Kind(base, "sequence", most)


Bool = Annotated[bool, Kind("bool")]
Byte = Annotated[int, Kind("byte")]
Char = Annotated[int, Kind("char")]
Int8 = Annotated[int, Kind("int8")]
UInt8 = Annotated[int, Kind("uint8")]
Int16 = Annotated[int, Kind("int16")]
UInt16 = Annotated[int, Kind("uint16")]
Int32 = Annotated[int, Kind("int32")]
UInt32 = Annotated[int, Kind("uint32")]
Int64 = Annotated[int, Kind("int64")]
UInt64 = Annotated[int, Kind("uint64")]
Float32 = Annotated[float, Kind("float32")]
Float64 = Annotated[float, Kind("float64")]
String = Annotated[str, Kind("string")]

Bools = Annotated[NDArray[np.bool_], sequence("bool")]
Bytes = Annotated[NDArray[np.uint8], sequence("byte")]
Int8s = Annotated[NDArray[np.int8], sequence("int8")]
UInt8s = Annotated[NDArray[np.uint8], sequence("uint8")]
Int16s = Annotated[NDArray[np.int16], sequence("int16")]
UInt16s = Annotated[NDArray[np.uint16], sequence("uint16")]
Int32s = Annotated[NDArray[np.int32], sequence("int32")]
UInt32s = Annotated[NDArray[np.uint32], sequence("uint32")]
Int64s = Annotated[NDArray[np.int64], sequence("int64")]
UInt64s = Annotated[NDArray[np.uint64], sequence("uint64")]
Float32s = Annotated[NDArray[np.float32], sequence("float32")]
Float64s = Annotated[NDArray[np.float64], sequence("float64")]

_DEFAULT = object()
_MESSAGES: dict[str, type] = {}
_T = TypeVar("_T")


def default() -> Any:  # any field's type, so that the class reads as the dataclass that it becomes
    """The zero of a field that holds a message, a list or an array: made anew for each message."""
    return _DEFAULT


@dataclass_transform()
def message(name: str) -> Callable[[type[_T]], type[_T]]:
    """Make a class the dataclass of a ROS message, known by its name from now on.

    Raises:
        KindError: the name is none, is taken, or a field has no kind.

    """
    if not ROS_NAME.fullmatch(name):
        raise KindError(f'expected a message name such as "std_msgs/msg/String", got {shown(name)}')

    def made(plain: type[_T]) -> type[_T]:
        known = _MESSAGES.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (plain.__module__, plain.__qualname__):
            raise KindError(
                f"{name} is defined by {known.__module__} and again by {plain.__module__}; keep one of them"
            )
        fields = tuple(_fields(name, plain))
        for each in fields:
            if getattr(plain, each.name, _DEFAULT) is _DEFAULT:
                setattr(plain, each.name, field(default_factory=zero(each.kind)))
        kind = dataclass(slots=True, eq=False)(plain)
        for key, value in {"__ros_name__": name, "__ros_fields__": fields, "__eq__": _equal, "__hash__": None}.items():
            setattr(kind, key, value)
        _MESSAGES[name] = kind
        return kind

    return made


def zero(kind: Kind) -> Callable[[], Any]:  # of the field's type
    """Makes a field's value where no literal is given."""
    base, size = kind.base, kind.size if kind.shape == "array" else 0
    if kind.shape == "one":
        return base if isinstance(base, type) else {"string": str, "bool": bool}.get(base, _zero_number(base))
    if isinstance(base, str) and base in DTYPES:
        return lambda: np.zeros(size, DTYPES[base])
    one = base if isinstance(base, type) else str
    return lambda: [one() for _ in range(size)]


def is_message(kind: object) -> bool:
    """Whether it is a class that `message` made."""
    return isinstance(kind, type) and hasattr(kind, "__ros_fields__")


def name_of(kind: type) -> str:
    """A message's ROS name, such as `std_msgs/msg/String`.

    Raises:
        KindError: `message` made no such class.

    """
    if not is_message(kind):
        raise KindError(f"expected a message class, got {getattr(kind, '__name__', None) or shown(repr(kind))}")
    return getattr(kind, "__ros_name__")  # noqa: B009


def fields_of(kind: type) -> tuple[Field, ...]:
    """A message's fields in their order on the wire."""
    name_of(kind)
    return getattr(kind, "__ros_fields__")  # noqa: B009


def find(name: str) -> type:
    """The message of a ROS name; modules of `fleet.ros.messages` are imported as they are asked for.

    Raises:
        KindError: there is none; names one that is alike.

    """
    if ROS_NAME.fullmatch(name) and name not in _MESSAGES:
        module = f"{__package__}.messages.{name.split('/')[0]}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    if name not in _MESSAGES:
        raise KindError(f"no message {shown(name)} is defined{nearest(name, _MESSAGES)}")
    return _MESSAGES[name]


def _fields(name: str, plain: type) -> list[Field]:
    """The fields that a class announces, with the kinds of their annotations."""
    hints = get_type_hints(plain, vars(sys.modules[plain.__module__]), include_extras=True)
    found = {key: _kind(hint) for key, hint in hints.items() if get_origin(hint) is not ClassVar}
    for key, kind in found.items():
        if kind is None:
            raise KindError(f"{name}.{key}: {hints[key]} is no kind of field; see fleet/ros/kinds.py")
    return [Field(key, kind) for key, kind in found.items() if kind is not None]


def _kind(hint: Any) -> Kind | None:  # an annotation: anything
    """What an annotation says."""
    if is_message(hint):
        return Kind(hint)
    if hint is str:
        return Kind("string")
    if get_origin(hint) is list:
        one = _kind(get_args(hint)[0])
        listed = one is not None and one.shape == "one" and (is_message(one.base) or one.base == "string")
        return sequence(one.base) if one is not None and listed else None
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Kind)), None)


def _zero_number(base: str) -> type:
    return float if base.startswith("float") else int


def _equal(self: object, other: object) -> object:
    """Whether two messages of one kind hold the same; arrays element by element, NaN equal to nothing as ever."""
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(
        _same(getattr(self, each.name), getattr(other, each.name))
        for each in dataclass_fields(self)  # pyright: ignore[reportArgumentType]: `message` made it a dataclass
    )


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return bool(one == other)
