"""What `ros2 launch` puts behind a node's own arguments, in its order (launch_ros, actions/node.py).

    --ros-args -r __node:=NAME -r __ns:=NAMESPACE -p PARAMETER:=VALUE --params-file FILE -r FROM:=TO

The node's name only where the file gives one, its namespace where the file gives or has pushed one; then the parameters
of `set_parameter`, then one file for each `param`, then the remappings. A parameter that the file names becomes a file
of its own, for the node's full name where name and namespace are known and for every node (`/**`) where not.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from fleet.launchactions import Entry
from fleet.launchscope import NAMESPACE, Scope
from fleet.launchtext import Text
from fleet.launchyaml import LaunchError

_TOKEN = r"[A-Za-z_][A-Za-z0-9_]*"


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
        if not re.fullmatch(_TOKEN, name):
            raise LaunchError(
                f'{entry.texts["name"].where}: "{name}" is no name of a ROS node; expected letters, digits and _'
            )
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
        node = f"{namespace.rstrip('/')}/{name}" if name and namespace else "/**"
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
    full = full if full.startswith("/") else f"/{full}"
    if not re.fullmatch(rf"/|(/{_TOKEN})+", full) and not scope.listing:
        raise LaunchError(f'{where}: "{full}" is no ROS namespace; expected words of letters, digits and _ between /')
    return full
