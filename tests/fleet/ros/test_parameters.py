"""Parameter files as rcl_yaml_param_parser reads them, and parameters typed by their defaults."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.ros.arguments import parse
from fleet.ros.parameters import Parameters
from fleet.ros.paramfile import MAX_BYTES, ParameterError, matches, read_parameters, read_value
from sim.errors import MusterError


def declared(*words: str) -> Parameters:
    ros = parse(["--ros-args", *(word for given in words for word in ("-p", given))])
    return Parameters("/nav", ros.given("/nav"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("+7", 7),
        ("0x1F", 31),
        ("010", 8),
        ("08", 8.0),
        ("1.0", 1.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("inf", math.inf),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", 9223372036854775808.0),
        ("true", True),
        ("on", True),
        ("Y", True),
        ("NO", False),
        ("off", False),
        ("yEs", "yEs"),
        ("text", "text"),
        ("1e999", "1e999"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("~", "~"),
        ("null", "null"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("''", ""),
        ("[1, 2]", [1, 2]),
        ("[true, no]", [True, False]),
        ("[1.0, .5]", [1.0, 0.5]),
        ("['1', b]", ["1", "b"]),
        ("[]", []),
    ],
)
def test_a_value_means_what_it_means_to_rclpy(text: str, value: object) -> None:
    read = read_value(text, "-p")
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    assert all(math.isnan(read_value(text, "-p")) for text in (".nan", "nan", "NaN"))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("pattern", "fits", "not_fits"),
    [
        ("/**", ["/a", "/a/b", "/a/b/c"], []),
        ("/*", ["/a"], ["/a/b"]),
        ("*", ["/a"], ["/a/b"]),
        ("nav", ["/nav"], ["/r1/nav"]),
        ("/r1/nav", ["/r1/nav"], ["/r1/nav2", "/nav"]),
        ("/*/nav", ["/r1/nav"], ["/nav", "/a/r1/nav"]),
        ("/**/nav", ["/nav", "/r1/nav", "/a/r1/nav"], ["/nav/a"]),
        ("/r1/**", ["/r1/a", "/r1/a/b", "/r1"], ["/r2/a"]),
    ],
)
def test_a_pattern_names_nodes_as_in_rclpy(pattern: str, fits: list[str], not_fits: list[str]) -> None:
    assert all(matches(pattern, node) for node in fits)
    assert not any(matches(pattern, node) for node in not_fits)


def test_namespaces_nest_and_parameter_names_are_joined_by_dots(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "r1:\n  nav:\n    ros__parameters:\n      a: {b: {c: 1}, d: [1.0]}\n"
        "/**:\n  /nav:\n    ros__parameters: {x: yes}\n"
        "/*:\n  ros__parameters: {y: text}\n"
    )
    read = read_parameters(str(file))
    assert {p: {n: g.value for n, g in values.items()} for p, values in read.items()} == {
        "/r1/nav": {"a.b.c": 1, "a.d": [1.0]},
        "/**/nav": {"x": True},
        "/*": {"y": "text"},
    }
    assert read["/r1/nav"]["a.d"].source == f"{file}:4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\n", ":1:"),
        ("- a\n", ":1: expected node names"),
        ("ros__parameters:\n  a: 1\n", "needs a node"),
        ("n:\n  ros__parameters:\n    a: 1\n    a: 2\n", ":4:"),
        ("n:\n  ros__parameters:\n    a:\n", "no value"),
        ("n:\n  ros__parameters:\n", "expected parameters"),
        ("n:\n  ros__parameters: [1]\n", "expected parameters"),
        ("n:\n  ros__parameters:\n    a: &x 1\n    b: *x\n", "aliases"),
        ("n:\n  ros__parameters:\n    a: [1, [2]]\n", "expected a number"),
        ("n:\n  ros__parameters:\n    a: [1, 2.0]\n", "one type"),
        ("n:\n  ros__parameters:\n    ? [1]\n    : 2\n", "as key"),
        ("/f**oo:\n  ros__parameters: {a: 1}\n", "wildcards"),
        ("/a//b:\n  ros__parameters: {a: 1}\n", "names no node"),
        ("n: {\n", "not YAML"),
        ("n: \x01\n", "not YAML"),
        ("n: " + "[" * 4_000, "deeper"),
        ("{a: " * 4_000, "deeper"),
        ("#" * (MAX_BYTES + 1), "at most"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError) as caught:
        read_parameters(str(file))
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60) | st.text("ab:/*-[]{}&!'\"? \n1.#|>", max_size=60).map(str.encode))
def test_no_file_raises_anything_else(data: bytes) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"muster_parameters_{os.getpid()}.yaml"
    path.write_bytes(data)
    try:
        with contextlib.suppress(MusterError):
            read_parameters(str(path))
    finally:
        path.unlink()


def test_a_parameter_takes_what_was_given_and_else_its_default() -> None:
    parameters = declared("speed:=2.5", "name:=r1")
    assert parameters.declare("speed", 1.0) == 2.5
    assert parameters.declare("name", "") == "r1"
    assert parameters.declare("count", 3) == 3
    assert parameters["speed"] == 2.5
    assert parameters.declared()["count"] == (3, "")


def test_a_whole_number_stands_for_the_same_number_with_a_point_and_for_nothing_else() -> None:
    parameters = declared("a:=2", "b:=[1, 2]", "c:=9007199254740993", "d:=1", "e:=1.0")
    value = parameters.declare("a", 1.0)
    assert (value, type(value)) == (2.0, float)
    assert parameters.declare("b", [0.5]) == [1.0, 2.0]
    for name, default in (("c", 1.0), ("d", True), ("e", 1)):
        with pytest.raises(ParameterError):
            parameters.declare(name, default)


@pytest.mark.parametrize(
    ("given_", "default", "says"),
    [
        ("x:=fast", 1.0, "expected a number, came 'fast' (-p x:=fast)"),
        ("x:=1", "", "expected text, came 1"),
        ("x:=true", 1, "expected a whole number, came true"),
        ("x:=[1]", 1, "expected a whole number, came [1]"),
        ("x:=1", [1], "expected an array, each a whole number, came 1"),
        ("x:=[a]", [1.0], "expected an array, each a number"),
        ("x:=.nan", 1.0, "finite"),
        ("x:=[1.0, .inf]", [1.0], "finite"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(given_: str, default: object, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        declared(given_).declare("x", default)  # pyright: ignore[reportArgumentType]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_infinity_is_taken_where_the_default_is_infinite() -> None:
    assert declared("x:=.inf").declare("x", math.inf) == math.inf


def test_an_empty_default_array_takes_every_array() -> None:
    empty: list[str] = []
    assert declared("x:=[1, 2]").declare("x", empty) == [1, 2]
    assert declared("x:=[]").declare("x", [1.0]) == []


def test_a_parameter_that_nobody_declares_is_told_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("/**:\n  ros__parameters: {for_others: 1}\n/nav:\n  ros__parameters: {spede: 1.0}\n")
    ros = parse(["--ros-args", "--params-file", str(file), "-p", "sped:=2.0"])
    parameters = Parameters("/nav", ros.given("/nav"))
    parameters.declare("speed", 1.0)
    told = parameters.undeclared()
    assert len(told) == 2
    assert all('did you mean "speed"?' in line for line in told)
    assert not any("for_others" in line for line in told)


def test_declaring_twice_and_reading_the_undeclared_are_refused() -> None:
    parameters = declared()
    parameters.declare("speed", 1.0)
    with pytest.raises(ParameterError, match="twice"):
        parameters.declare("speed", 1.0)
    with pytest.raises(ParameterError, match="did you mean"):
        parameters["speeed"]


def test_what_is_no_file_of_parameters_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in (
        (tmp_path / "pipe", "it is no file"),
        ("/dev/zero", "it is no file"),
        (tmp_path, "a directory"),
    ):
        with pytest.raises(ParameterError, match=f"{place}: cannot be read: .*{said}"):
            read_parameters(str(place))
    (tmp_path / "large.yaml").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ParameterError, match="cannot be read: expected at most 1048576 bytes, got 1048577"):
        read_parameters(str(tmp_path / "large.yaml"))
