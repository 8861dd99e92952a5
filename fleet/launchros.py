"""What `ros2 launch` puts behind a node's own arguments, in its order (launch_ros, actions/node.py).

    --ros-args -r __node:=NAME -r __ns:=NAMESPACE -p PARAMETER:=VALUE --params-file FILE -r FROM:=TO

The node's name only where the file gives one, its namespace where the file gives or has pushed one; then the parameters
of `set_parameter`, then one file for each `param`, then the remappings. A parameter that the file names becomes a file
of its own, for the node's full name where name and namespace are known and for every node (`/**`) where not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from fleet.launchactions import Entry
from fleet.launchscope import NAMESPACE, Scope
from fleet.launchtext import Text
from fleet.launchyaml import LaunchError
from fleet.ros.names import RosNameError, check_namespace, check_node_name, qualified


def document(number: int) -> str:
    """The word that stands for the path of a process's document `number` until that is written."""
    return f"\0{number}"


def pushed(scope: Scope, text: Text) -> str:
    """The namespace that `text` makes within the scope's, absolute."""
    return _namespace(scope, scope.text(text), text.where)


def ros_arguments(entry: Entry, scope: Scope) -> tuple[list[str], list[str]]:
    """The words from `--ros-args` on, and the documents (YAML) that `document` stands for in them.

    Raises `LaunchError` for a name or namespace that ROS has not and for a parameter file that is not there.
    """
    words, documents = ["--ros-args"], []
    name = scope.text(entry.texts["name"]) if "name" in entry.texts else ""
    if "name" in entry.texts and not scope.listing:
        _checked(check_node_name, name, entry.texts["name"].where)
        words += ["-r", f"__node:={name}"]
    namespace = scope.values.get(NAMESPACE, "")
    if "namespace" in entry.texts:
        namespace = pushed(scope, entry.texts["namespace"])
    if namespace:
        words += ["-r", f"__ns:={namespace}"]
    for rule in scope.parameters or ():
        words += ["-p", rule]
    for parameter in entry.lists.get("param", ()):
        if "from" in parameter.texts:
            path = scope.text(parameter.texts["from"])
            if not Path(path).is_file() and not scope.listing:
                raise LaunchError(f"{parameter.where}: there is no parameter file {path}; correct from")
            words += ["--params-file", path]
            continue
        value = parameter.values["value"]
        if isinstance(value, Text):
            value = scope.typed(value, "value")
        node = qualified(namespace, name) if name and namespace else "/**"
        content = {node: {"ros__parameters": {scope.text(parameter.texts["name"]): value}}}
        words += ["--params-file", document(len(documents))]
        documents.append(yaml.safe_dump(content, default_flow_style=False))
    for rule in entry.lists.get("remap", ()):
        words += ["-r", f"{scope.text(rule.texts['from'])}:={scope.text(rule.texts['to'])}"]
    return words, documents


def _namespace(scope: Scope, name: str, where: str) -> str:
    """`name` within the namespace that was pushed (launch_ros, utilities/namespace_utils.py)."""
    before = scope.values.get(NAMESPACE, "")
    joined = name if name.startswith("/") or not before else f"{before.rstrip('/')}/{name}"
    full = joined.rstrip("/") or "/"
    return full if scope.listing else _checked(check_namespace, full, where)


def _checked(check: Callable[[str], str], name: str, where: str) -> str:
    """A name as ROS has it; what is wrong with it is said with its place."""
    try:
        return check(name)
    except RosNameError as error:
        raise LaunchError(f"{where}: {error}") from error
