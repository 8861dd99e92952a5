"""The subset of ROS 2's launch YAML: what is understood, and what is refused with its line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import yaml

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
              cmd: muster sim --site $(var site) --name 'two words' --robots r[0:$(var n):2]
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
              - node: {pkg: muster_ros, exec: robot}
          - executable: {cmd: echo $(var speed) $(env COLOUR none), name: outer}
          - group:
              scoped: false
              children:
                - let: {name: speed, value: "3"}
          - log: {message: "speed $(var speed)"}
        """,
    )
    inner, node, outer = found.processes
    assert inner.command == ("echo", "2", "red")
    assert inner.environment == {"COLOUR": "red"}
    assert node.command == ("muster", "robot", "--ros-args", "-r", "__ns:=/cell")
    assert node.name == "cell.robot"
    assert outer.command == ("echo", "1", "none")
    assert dict(outer.environment) == {}
    assert [message.text for message in found.messages] == ["speed 3"]


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


def test_an_include_is_no_scope_of_its_own(tmp_path: Path) -> None:
    """As in launch: what the included file sets and what it was passed stays."""
    (tmp_path / "inner.yaml").write_text(
        "launch:\n"
        "  - arg: {name: robots}\n"
        "  - let: {name: kind, value: amr}\n"
        "  - set_env: {name: COLOUR, value: red}\n"
        "  - push_ros_namespace: {namespace: inner}\n",
        encoding="utf-8",
    )
    include = "include: {file: $(dirname)/inner.yaml, arg: [{name: robots, value: '3'}]}"
    show = "node: {pkg: muster_ros, exec: sim, args: '$(var robots) $(var kind) $(env COLOUR)'}"
    plain = plan(tmp_path, f"launch:\n  - {include}\n  - {show}\n").processes[0]
    assert plain.command == ("muster", "sim", "3", "amr", "red", "--ros-args", "-r", "__ns:=/inner")
    assert "no such argument" in refused(tmp_path, f"launch:\n  - group: [{{{include}}}]\n  - {show}\n")


def test_an_include_must_pass_what_its_file_requires(tmp_path: Path) -> None:
    """launch looks for it among the include's own arguments alone."""
    (tmp_path / "inner.yaml").write_text("launch:\n  - arg: {name: robots}\n", encoding="utf-8")
    text = "launch:\n  - arg: {name: robots, default: '2'}\n  - include: {file: $(dirname)/inner.yaml}\n"
    assert "inner.yaml:2: launch argument robots has no default; the include must pass it" in refused(tmp_path, text)


def test_dirname_is_refused_where_versions_of_launch_differ(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for place in (tmp_path, tmp_path / "sub"):
        (place / "inner.yaml").write_text("launch: [{log: {message: $(dirname)}}]", encoding="utf-8")
    text = "launch:\n  - include: {file: $(dirname)/%sinner.yaml}\n  - log: {message: $(dirname)}\n"
    assert [message.text for message in plan(tmp_path, text % "").messages] == [str(tmp_path)] * 2
    assert "x.launch.yaml:3: $(dirname) after the include of another folder's file" in refused(tmp_path, text % "sub/")


def test_a_node_is_a_python_module_or_a_muster_command(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        """
        launch:
          - node:
              {pkg: muster_ros, exec: coordinator, args: --x y, namespace: /north, respawn: "true", respawn_delay: 0.5}
          - node: {pkg: fleet, exec: warm, name: warmer, env: [{name: A, value: b}]}
          - node: {pkg: fleet, exec: warm, name: warmer}
        """,
    )
    first, second, third = found.processes
    assert first.command == ("muster", "coordinate", "--x", "y", "--ros-args", "-r", "__ns:=/north")
    assert (first.name, first.respawn, first.respawn_delay) == ("north.coordinator", True, 0.5)
    assert second.command == ("python", "-m", "fleet.warm", "--ros-args", "-r", "__node:=warmer")
    assert second.environment == {"A": "b"}
    assert third.name == "warmer-2"


def test_a_node_gets_the_arguments_that_ros_launch_gives_it(tmp_path: Path) -> None:
    """Recorded from launch_ros 0.26 (Jazzy)."""
    (tmp_path / "given.yaml").write_text("/**: {ros__parameters: {a: 1}}", encoding="utf-8")
    found = plan(
        tmp_path,
        """
        launch:
          - arg: {name: n, default: "7"}
          - set_parameter: {name: use_sim_time, value: "true"}
          - push_ros_namespace: {namespace: fleet}
          - node:
              pkg: muster_ros
              exec: robot
              name: driver
              namespace: r$(var n)
              args: --shadow -x 'two words'
              param:
                - {name: speed, value: 0.50}
                - {name: word, value: "3"}
                - {name: typed, value: $(var n)}
                - {name: limits.list, value: [1, 2]}
                - {from: $(dirname)/given.yaml}
              remap: [{from: scan, to: lidar/scan}]
          - node: {pkg: muster_ros, exec: robot, param: [{name: a, value: off}]}
        """,
    )
    first, second = found.processes
    paths = ["\0000", "\0001", "\0002", "\0003", str(tmp_path / "given.yaml")]
    assert first.command == (
        "muster", "robot", "--shadow", "-x", "two words", "--ros-args", "-r", "__node:=driver", "-r", "__ns:=/fleet/r7",
        "-p", "use_sim_time:=True", *(word for path in paths for word in ("--params-file", path)),
        "-r", "scan:=lidar/scan",
    )  # fmt: skip
    assert [yaml.safe_load(text)["/fleet/r7/driver"]["ros__parameters"] for text in first.documents] == [
        {"speed": 0.5}, {"word": "3"}, {"typed": 7}, {"limits.list": [1, 2]},
    ]  # fmt: skip
    assert second.command[:6] == ("muster", "robot", "--ros-args", "-r", "__ns:=/fleet", "-p")
    assert [yaml.safe_load(text) for text in second.documents] == [{"/**": {"ros__parameters": {"a": False}}}]


def test_a_parameter_set_in_a_group_leaks_once_there_is_one_outside(tmp_path: Path) -> None:
    """As in launch_ros, whose groups share the list."""
    group = "group: [{set_parameter: {name: inner, value: '1'}}]"
    node = "node: {pkg: muster_ros, exec: sim}"
    alone = plan(tmp_path, f"launch:\n  - {group}\n  - {node}\n").processes[0]
    assert "-p" not in alone.command
    both = f"launch:\n  - set_parameter: {{name: outer, value: '2'}}\n  - {group}\n  - {node}\n"
    assert plan(tmp_path, both).processes[0].command[3:] == ("-p", "outer:=2", "-p", "inner:=1")


def test_a_timer_sees_what_the_whole_file_has_left(tmp_path: Path) -> None:
    """As in launch: its actions are evaluated when they are due, outside the group that they stand in."""
    found = plan(
        tmp_path,
        """
        launch:
          - let: {name: speed, value: "1"}
          - group:
              - let: {name: speed, value: "2"}
              - push_ros_namespace: {namespace: cell}
              - timer:
                  period: 2.5
                  children:
                    - node: {pkg: muster_ros, exec: sim, args: $(var speed)}
                    - timer: {period: "0.5", children: [{log: {message: third}}]}
          - timer: {period: 1.0, children: [{executable: {cmd: echo first}}, {log: {message: second}}]}
          - let: {name: speed, value: "3"}
          - timer: {period: 3.5, children: [{shutdown: {reason: enough}}]}
          - timer: {period: 4.0, children: [{executable: {cmd: echo never}}]}
        """,
    )
    assert [(one.command[1:3], one.start) for one in found.processes] == [(("first",), 1.0), (("sim", "3"), 2.5)]
    assert found.processes[1].name == "sim"
    assert [(one.text, one.start) for one in found.messages] == [("second", 1.0), ("third", 3.0)]
    assert found.shutdown is not None
    assert (found.shutdown.text, found.shutdown.start) == ("enough", 3.5)


def test_packages_are_found_where_ros_finds_them(tmp_path: Path) -> None:
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "other").touch()
    (tmp_path / "lib" / "other").mkdir(parents=True)
    (tmp_path / "lib" / "other" / "run").touch()
    text = "launch:\n  - log: {message: $(find-pkg-share other)}\n  - node: {pkg: other, exec: run}\n"
    found = plan(tmp_path, text, AMENT_PREFIX_PATH=f"/nowhere:{tmp_path}")
    assert [message.text for message in found.messages] == [str(tmp_path / "share" / "other")]
    assert found.processes[0].command == (str(tmp_path / "lib" / "other" / "run"), "--ros-args")
    with pytest.raises(LaunchError, match='the package other has no program "walk"'):
        plan(tmp_path, text.replace("run", "walk"), AMENT_PREFIX_PATH=str(tmp_path))


def test_an_anonymous_name_is_one_name_in_one_launch(tmp_path: Path) -> None:
    text = "launch:\n  - log: {message: $(anon run)}\n  - log: {message: $(anon run)}\n  - log: {message: $(anon b)}\n"
    first, again, other = (message.text for message in plan(tmp_path, text).messages)
    assert first == again
    assert first.startswith("run_")
    assert other.startswith("b_")
    assert plan(tmp_path, text).messages[0].text != first


def test_a_backslash_takes_the_meaning_of_the_next_character(tmp_path: Path) -> None:
    text = "launch:\n  - log: {message: 'a\\$(var b) c\\\\d'}\n"
    assert plan(tmp_path, text).messages[0].text == "a$(var b) c\\d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty; expected the root key launch:"),
        ("lunch: []", 'x.launch.yaml:1: a launch file: unknown key "lunch"; did you mean "launch"?'),
        ("launch: {}", "x.launch.yaml:1: expected a list of actions"),
        ("launch:\n  - [1, 2]", "x.launch.yaml:2: expected one action"),
        ("launch:\n  - executble: {cmd: a}", 'x.launch.yaml:2: action "executble" is not in the subset'),
        ("launch:\n  - executble: {cmd: a}", 'did you mean "executable"?'),
        ("launch:\n  - group: [{timr: {}}]", 'x.launch.yaml:2: action "timr" is not in the subset'),
        (
            "launch:\n  - group: {if: '0', children: [{unset_env: {name: A}}]}",
            'action "unset_env" is not in the subset',
        ),
        ("launch:\n  - log: {message: $(eval 1), if: '0'}", "$(eval ...) is not in the subset"),
        ("launch:\n  - set_use_sim_time: {value: 'true'}", "write set_parameter: {name: use_sim_time"),
        ("launch:\n  - group: {scoped: 'false', children: []}", "scoped: expected true or false without quotes"),
        ("launch:\n  - group: {forwarding: false, children: []}", 'unknown key "forwarding"'),
        (
            "launch:\n  - timer: {period: 1, children: []}",
            'period "1": expected seconds >= 0, unquoted and with a point',
        ),
        ("launch:\n  - timer: {period: 'soon', children: []}", 'period "soon": expected seconds'),
        ("launch:\n  - executable: {cmd: a, respawn: true}", 'expected text, came true; quote it: "true"'),
        ("launch:\n  - executable: {cmd: a, if: true}", 'expected text, came true; quote it: "true"'),
        ("launch:\n  - executable: {cmd: a, on_exit: restart}", 'on_exit "restart": expected shutdown'),
        ("launch:\n  - let: {name: ros_namespace, value: a}", '"ros_namespace" is a name that launch keeps for itself'),
        (
            "launch:\n  - arg: {name: global_params, default: a}",
            '"global_params" is a name that launch keeps for itself',
        ),
        ("launch:\n  - &a log: {message: a}\n  - *a", "x.launch.yaml:3: an alias (*) is not in the subset"),
        (
            "launch:\n  - node: {pkg: muster_ros, exec: robt}",
            'the package muster_ros has no program "robt"; did you mean "robot"',
        ),
        (
            "launch:\n  - node: {pkg: muster_ros, exec: robot, name: a-b}",
            'x.launch.yaml:2: a node\'s name is letters, digits and _ and starts with no digit, came "a-b"',
        ),
        (
            "launch:\n  - node: {pkg: muster_ros, exec: robot, namespace: a-b}",
            "x.launch.yaml:2: a namespace is words of letters, digits and _",
        ),
        ("launch:\n  - push_ros_namespace: {namespace: 7}", 'expected text, came 7; quote it: "7"'),
        (
            "launch:\n  - push_ros_namespace: {namespace: '7'}",
            "x.launch.yaml:2: a namespace is words of letters, digits and _",
        ),
        ("launch:\n  - node: {pkg: muster_ros, exec: robot, param: []}", "param: expected at least one entry"),
        (
            "launch:\n  - node: {pkg: a, exec: b, param: [{name: c}]}",
            "param: expected the keys name and value, or the key from",
        ),
        (
            "launch:\n  - node: {pkg: a, exec: b, param: [{from: nowhere.yaml}]}",
            "there is no parameter file nowhere.yaml",
        ),
        (
            "launch:\n  - node: {pkg: a, exec: b, param: [{name: c, value: [1, a]}]}",
            "expected a list of texts, of flags or",
        ),
        ("launch:\n  - node: {pkg: a, exec: b, param: [{name: c, value: [$(var x)]}]}", "write the list as one text"),
        (
            "launch:\n  - node: {pkg: a, exec: b, param: [{name: c, value: {d: 1}}]}",
            "value: expected text, a flag, a number",
        ),
        ("launch:\n  - node: {pkg: a, exec: b, param: [{name: c, value: }]}", "value: expected text, a flag, a number"),
        ("launch:\n  - node: {pkg: a, exec: b, ros_args: x}", 'node: unknown key "ros_args"'),
        (
            "launch:\n  - set_parameter: {name: a, value: '[1, 2]'}",
            "expected text, a flag, a number; put text in inner",
        ),
        ("launch:\n  - set_parameter: {name: a, value: '{'}", "is no YAML value; put it in inner quotes"),
        ("launch:\n  - log: {message: $(find-pkg-share nowhere)}", "there is no ROS package nowhere"),
        ("launch:\n  - log: {message: $(env  A b)}", "expected an argument after the blank in $(...)"),
        ("launch:\n  - log: {message: $( env A)}", "expected the name of a substitution right after $("),
        ("launch:\n  - log: {message: $(env A b\\c)}", "without parentheses or backslashes"),
        ("launch:\n  - log: {message: $(env A b'c')}", "each in quotes as a whole or not at all"),
        ("launch:\n  - log: {message: $(env A 'b)}", "' without its end in $(...)"),
        ("launch:\n  - log: {message: $(env A '$(env B \"c\")')}", "quotes within quotes"),
        (
            "launch:\n  - executable: {cmd: 'muster sim --site \"$(var site)\"'}",
            "No closing quotation in the command before the",
        ),
        ("launch:\n  - node: {pkg: a, exec: b, args: ''}", "x.launch.yaml:2: args is empty; leave the key out"),
        ("launch:\n  - executable: {cmd: ' $(var site)'}", "blanks before the command"),
        ("launch:\n  - executable: {cmd: a, outptu: log}", 'unknown key "outptu"; did you mean "output"?'),
        ("launch:\n  - executable: {output: log}", 'executable: the key "cmd" is missing'),
        ("launch:\n  - executable: {cmd: a, cmd: b}", 'key "cmd" stands twice'),
        ("launch:\n  - executable: {cmd: a, output: loud}", "expected one of log, screen, both"),
        ("launch:\n  - executable: {cmd: ''}", "cmd is empty"),
        ('launch:\n  - executable: {cmd: "a \'b"}', "No closing quotation in the command"),
        ("launch:\n  - executable: {cmd: a, respawn_delay: soon}", 'respawn_delay "soon": expected seconds'),
        ("launch:\n  - executable: {cmd: a, respawn_delay: 1}", 'respawn_delay "1": expected seconds >= 0, unquoted'),
        ("launch:\n  - executable: {cmd: a, if: maybe}", '"maybe" is no condition'),
        ("launch:\n  - executable: {cmd: a, if: '1', unless: '1'}", "both if and unless"),
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
