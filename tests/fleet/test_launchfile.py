"""The subset of ROS 2's launch YAML: what is understood, and what is refused with its line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from fleet.launchfile import Plan, read_plan, split_assignments
from fleet.launchyaml import LaunchError


def plan(folder: Path, text: str, given: dict[str, str] | None = None, **environment: str) -> Plan:
    path = folder / "x.launch.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return read_plan(path, given or {}, environment)


def refused(folder: Path, text: str, given: dict[str, str] | None = None) -> str:
    with pytest.raises(LaunchError) as caught:
        plan(folder, text, given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_value_stays_one_word_of_a_command(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        """
        launch:
          - arg: {name: site, default: "generate:7"}
          - arg: {name: n, default: "4"}
          - executable:
              cmd: muster sim --site $(var site) --name 'two words' --robots "r[0:$(var n):2]"
        """,
        {"site": "my map.map", "n": "6"},
    )
    assert found.processes[0].command == (
        "muster", "sim", "--site", "my map.map", "--name", "two words", "--robots", "r[0:6:2]",
    )  # fmt: skip
    assert found.processes[0].name == "sim"
    assert found.values == {"site": "my map.map", "n": "6"}


def test_what_a_group_sets_ends_with_it(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        """
        launch:
          - let: {name: speed, value: "1"}
          - group:
              - let: {name: speed, value: "2"}
              - set_env: {name: COLOUR, value: red}
              - push_ros_namespace: {namespace: cell}
              - executable: {cmd: echo $(var speed) $(env COLOUR none), name: inner}
          - executable: {cmd: echo $(var speed) $(env COLOUR none), name: outer}
          - group:
              scoped: "false"
              children:
                - let: {name: speed, value: "3"}
          - log: {message: "speed $(var speed)"}
        """,
    )
    inner, outer = found.processes
    assert inner.command == ("echo", "2", "red")
    assert inner.environment == {"COLOUR": "red", "MUSTER_NAMESPACE": "/cell"}
    assert inner.name == "cell.inner"
    assert outer.command == ("echo", "1", "none")
    assert dict(outer.environment) == {}
    assert found.messages == ("speed 3",)


def test_conditions_decide_what_starts(tmp_path: Path) -> None:
    text = """
        launch:
          - arg: {name: video, default: "true"}
          - executable: {cmd: echo a, if: $(var video)}
          - executable: {cmd: echo b, unless: $(var video)}
          - executable: {cmd: echo c, if: $(not $(var video))}
        """
    assert [process.command[1] for process in plan(tmp_path, text).processes] == ["a"]
    assert [process.command[1] for process in plan(tmp_path, text, {"video": "0"}).processes] == ["b", "c"]


def test_an_include_passes_arguments_and_finds_its_file_by_dirname(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        "launch:\n"
        "  - arg: {name: robots}\n"
        "  - arg: {name: cell, default: '1.2'}\n"
        "  - executable: {cmd: 'echo $(var robots) $(var cell)'}\n",
        encoding="utf-8",
    )
    text = """
        launch:
          - include:
              file: $(dirname)/inner.yaml
              arg:
                - {name: robots, value: "3"}
        """
    assert plan(tmp_path, text).processes[0].command == ("echo", "3", "1.2")
    assert plan(tmp_path, text, {"cell": "2"}).processes[0].command == ("echo", "3", "2")
    wrong = text.replace('value: "3"}', 'value: "3"}, {name: robot, value: x}]').replace(
        "- {name: robots", "[{name: robots"
    )
    assert 'inner.yaml has no argument "robot"; did you mean "robots"?' in refused(tmp_path, wrong)


def test_a_node_is_a_python_module_or_a_muster_command(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        """
        launch:
          - node:
              {pkg: muster, exec: coordinate, args: "--site x", namespace: /north, respawn: true, respawn_delay: 0.5}
          - node: {pkg: fleet, exec: warm, name: warmer, env: [{name: A, value: b}]}
          - node: {pkg: fleet, exec: warm, name: warmer}
        """,
    )
    first, second, third = found.processes
    assert first.command == ("muster", "coordinate", "--site", "x")
    assert (first.name, first.respawn, first.respawn_delay) == ("north.coordinate", True, 0.5)
    assert second.command == ("python", "-m", "fleet.warm")
    assert second.environment == {"A": "b"}
    assert third.name == "warmer-2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty; expected the root key launch:"),
        ("lunch: []", 'x.launch.yaml:1: a launch file: unknown key "lunch"; did you mean "launch"?'),
        ("launch: {}", "x.launch.yaml:1: expected a list of actions"),
        ("launch:\n  - [1, 2]", "x.launch.yaml:2: expected one action"),
        ("launch:\n  - executble: {cmd: a}", 'x.launch.yaml:2: action "executble" is not in the subset'),
        ("launch:\n  - executble: {cmd: a}", 'did you mean "executable"?'),
        ("launch:\n  - timer: {period: 1}", 'x.launch.yaml:2: action "timer" is not in the subset'),
        ("launch:\n  - executable: {cmd: a, outptu: log}", 'unknown key "outptu"; did you mean "output"?'),
        ("launch:\n  - executable: {output: log}", 'executable: the key "cmd" is missing'),
        ("launch:\n  - executable: {cmd: a, cmd: b}", 'key "cmd" stands twice'),
        ("launch:\n  - executable: {cmd: a, output: loud}", "expected one of log, screen, both"),
        ("launch:\n  - executable: {cmd: ''}", "cmd is empty"),
        ('launch:\n  - executable: {cmd: "a \'b"}', "No closing quotation in the command"),
        ("launch:\n  - executable: {cmd: a, respawn_delay: soon}", 'respawn_delay "soon": expected seconds'),
        ("launch:\n  - executable: {cmd: a, if: maybe}", '"maybe" is no condition'),
        ("launch:\n  - executable: {cmd: a, if: '1', unless: '1'}", "both if and unless"),
        ("launch:\n  - node: {pkg: a, exec: b, param: []}", 'node: "param" is not supported'),
        ("launch:\n  - arg: {name: n, default: 3}", 'x.launch.yaml:2: expected text, came 3; quote it: "3"'),
        ("launch:\n  - arg: {name: n}", "launch argument n has no default; give n:=VALUE"),
        ("launch:\n  - log: {message: $(var speeed)}", "$(var speeed): no such argument"),
        ("launch:\n  - log: {message: $(env NOWHERE_SET)}", "not set and no default; export NOWHERE_SET"),
        ("launch:\n  - log: {message: $(eval 1 + 1)}", "$(eval ...) is not in the subset"),
        ("launch:\n  - log: {message: $(var)}", "expected $(var name)"),
        ("launch:\n  - log: {message: '$(var n'}", "$( without its )"),
        ("launch:\n  - include: {file: $(dirname)/nowhere.yaml}", "x.launch.yaml:2: cannot read launch file"),
        ("launch:\n  - include: {file: $(dirname)/x.launch.yaml}", "includes itself"),
        ("launch:\n  - log: {message: 'a", "not YAML"),
    ],
)
def test_a_file_outside_the_subset_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("? [a]\n    : {b: c}", "x.launch.yaml:3: expected one action such as `- executable:`"),
        ("executable: {? [a] : b}", "x.launch.yaml:3: executable: expected a word as key"),
        ("executable: {cmd: $(var none)}", "x.launch.yaml:3: cmd is empty; expected a program and its arguments"),
        ("executable: {cmd: '$(var none) a'}", "x.launch.yaml:3: cmd is empty"),
        ("executable: {cmd: a, name: ''}", "x.launch.yaml:3: name is empty; expected a name for the process"),
        ("executable: {cmd: a, name: $(var none)}", "x.launch.yaml:3: name is empty"),
        ("set_env: {name: A=B, value: c}", 'x.launch.yaml:3: "A=B" is no name of an environment variable'),
        ("set_env: {name: '', value: c}", 'x.launch.yaml:3: "" is no name of an environment variable'),
        ('set_env: {name: A, value: "b\\0"}', "x.launch.yaml:3: expected text without NUL"),
        ("executable: {cmd: a, env: [{name: A=B, value: c}]}", 'x.launch.yaml:3: "A=B" is no name of an environment'),
        ('executable: {cmd: a, env: [{name: A, value: "\\0"}]}', "x.launch.yaml:3: expected text without NUL"),
        ('executable: {cmd: "a \\0"}', "x.launch.yaml:3: expected text without NUL"),
        ('include: {file: "a\\0"}', "x.launch.yaml:3: expected text without NUL"),
    ],
)
def test_what_no_process_can_be_given_is_refused_with_its_line(tmp_path: Path, action: str, expected: str) -> None:
    text = f"launch:\n  - arg: {{name: none, default: ''}}\n  - {action}\n"
    assert expected in refused(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "launch: " + "[" * 5000,
        "launch: [" + "{group: [" * 2000 + "{log: {message: a}}" + "]}" * 2000 + "]",
        "launch: [{log: {message: '" + "$(var " * 2000 + "a" + ")" * 2000 + "'}}]",
    ],
    ids=["lists", "groups", "substitutions"],
)
def test_a_file_nested_beyond_reading_is_refused(tmp_path: Path, text: str) -> None:
    assert "x.launch.yaml: nested too deep to be read" in refused(tmp_path, text)


def test_an_unknown_argument_names_the_nearest(tmp_path: Path) -> None:
    text = "launch:\n  - arg: {name: robots, default: '1'}\n"
    assert 'unknown launch argument "robot"; did you mean "robots"?' in refused(tmp_path, text, {"robot": "3"})


def test_a_value_outside_the_choices_is_refused(tmp_path: Path) -> None:
    text = "launch:\n  - arg: {name: clock, default: lockstep, choice: [{value: lockstep}, {value: wall}]}\n"
    assert plan(tmp_path, text, {"clock": "wall"}).values == {"clock": "wall"}
    assert "clock:=sun: expected one of lockstep, wall" in refused(tmp_path, text, {"clock": "sun"})


def test_arguments_are_assignments() -> None:
    assert split_assignments(["a:=1", "b:=x:=y", "c:="]) == {"a": "1", "b": "x:=y", "c": ""}
    with pytest.raises(LaunchError, match="expected name:=value"):
        split_assignments(["a=1"])
    with pytest.raises(LaunchError, match="given twice"):
        split_assignments(["a:=1", "a:=2"])


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"cannot read launch file .*No such file"):
        read_plan(tmp_path / "none.yaml", {}, {})
